/* SPDX-License-Identifier: MIT */
#include "smtp/caps_parse.h"

#include <stdio.h>

/* "PLAIN LOGIN ..." behind AUTH; repeated lines ("AUTH=LOGIN" of old servers) add up. */
static void add_mechanisms(struct smtp_caps *c, struct slice words)
{
    struct slice w;
    size_t at = strlen(c->mechanisms);
    if (at == 0)
        c->mechanisms[at++] = ' ', c->mechanisms[at] = 0;
    while (slice_cut(&words, ' ', &w)) {
        bool clean = w.n > 0 && w.n <= 32 && at + w.n + 2 < sizeof c->mechanisms;
        for (size_t i = 0; clean && i < w.n; i++)
            clean = ascii_alpha(w.p[i]) || ascii_digit(w.p[i]) || w.p[i] == '-' || w.p[i] == '_';
        if (!clean)
            continue;
        for (size_t i = 0; i < w.n; i++)
            c->mechanisms[at++] = ascii_upper(w.p[i]);
        c->mechanisms[at++] = ' ', c->mechanisms[at] = 0;
    }
}

static void one_keyword(struct smtp_caps *c, struct slice word, struct slice args)
{
    const struct {
        struct slice name;
        bool *flag;
    } known[] = {{S("STARTTLS"), &c->starttls},
                 {S("PIPELINING"), &c->pipelining},
                 {S("SIZE"), &c->size},
                 {S("8BITMIME"), &c->eightbit},
                 {S("SMTPUTF8"), &c->smtputf8},
                 {S("CHUNKING"), &c->chunking},
                 {S("DSN"), &c->dsn},
                 {S("AUTH"), &c->auth},
                 {S("ENHANCEDSTATUSCODES"), &c->enhanced}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (slice_eq_case(word, known[i].name))
            *known[i].flag = true;
    uint64_t n;
    if (slice_eq_case(word, S("SIZE")) && slice_u64(slice_trim(args), &n))
        c->max_size = n;
    if (slice_eq_case(word, S("AUTH")))
        add_mechanisms(c, args);
    if (slice_starts_case(word, S("AUTH="))) { /* before RFC 2554 was finished */
        c->auth = true;
        add_mechanisms(c, slice_from(word, 5));
        add_mechanisms(c, args);
    }
}

void smtp_caps_parse(const struct smtp_reply *r, struct smtp_caps *c)
{
    struct slice rest = r->raw, line, word;
    *c = (struct smtp_caps){.esmtp = true};
    if (!smtp_reply_line(&rest, &line)) /* the greeting */
        return;
    while (smtp_reply_line(&rest, &line)) {
        line = slice_trim(line);
        if (slice_cut(&line, ' ', &word))
            one_keyword(c, word, line);
    }
}

bool smtp_caps_mechanism(const struct smtp_caps *c, const char *name)
{
    char spaced[40];
    snprintf(spaced, sizeof spaced, " %s ", name);
    return strstr(c->mechanisms, spaced) != NULL;
}
