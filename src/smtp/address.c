/* SPDX-License-Identifier: MIT */
#include "smtp/address.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/text.h"

struct parser {
    struct arena *arena;
    struct slice in;
    size_t at;
    const char *field;
    struct buf word;  /* the display name, or the local part, as it is read */
    struct buf local; /* the address being built */
};

bool smtp_is_atext(char c)
{
    return ascii_alpha(c) || ascii_digit(c) || (uint8_t)c >= 0x80 || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

bool smtp_is_ascii(struct slice s)
{
    uint8_t all = 0;
    for (size_t i = 0; i < s.n; i++)
        all |= (uint8_t)s.p[i];
    return all < 0x80;
}

static err_t bad(const struct parser *p, const char *why)
{
    char shown[101];
    text_safe(p->in, shown, sizeof shown);
    return fault(E_DATA, "%s: %s at byte %zu of '%s'", p->field, why, p->at + 1, shown);
}

static char peek(const struct parser *p)
{
    return p->at < p->in.n ? p->in.p[p->at] : 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static err_t skip_comment(struct parser *p)
{
    int depth = 0;
    for (; p->at < p->in.n; p->at++) {
        char c = p->in.p[p->at];
        if (c == '\\')
            p->at++;
        else if (c == '(' && ++depth > SMTP_COMMENT_DEPTH)
            return bad(p, "comments nested too deep");
        else if (c == ')' && --depth == 0) {
            p->at++;
            return NULL;
        }
    }
    p->at = p->in.n;
    return bad(p, "a comment without ')'");
}

/* Comments and folding white space. `*any` tells whether there was some; may be NULL. */
static err_t skip_cfws(struct parser *p, bool *any)
{
    size_t start = p->at;
    for (;;) {
        while (p->at < p->in.n && is_space(p->in.p[p->at]))
            p->at++;
        if (peek(p) != '(')
            break;
        TRY(skip_comment(p));
    }
    if (any)
        *any = p->at > start;
    return NULL;
}

/* The content of a quoted string, without quotes and escapes, is added to `out`. */
static err_t take_quoted(struct parser *p, struct buf *out)
{
    for (p->at++; p->at < p->in.n; p->at++) {
        char c = p->in.p[p->at];
        if (c == '"') {
            p->at++;
            return NULL;
        }
        if (c == '\r' || c == '\n') /* folded: what is left is the white space after it */
            continue;
        if (c == '\\' && ++p->at < p->in.n)
            c = p->in.p[p->at];
        TRY(buf_add_char(out, c));
    }
    return bad(p, "a quoted string without its closing quote");
}

static err_t take_atom(struct parser *p, struct buf *out)
{
    size_t start = p->at;
    while (p->at < p->in.n && (smtp_is_atext(p->in.p[p->at]) || p->in.p[p->at] == '.'))
        p->at++;
    return buf_add(out, slice_of(p->in.p + start, p->at - start));
}

/* What stands before '<', '@', ':' or a separator: words, with single spaces where there was any between them.
   It may turn out to be a display name or a local part; `*words` and `*quoted` tell which it can be. */
static err_t take_phrase(struct parser *p, int *words, bool *quoted)
{
    bool gap = false;
    p->word.n = 0, *words = 0, *quoted = false;
    for (;;) {
        TRY(skip_cfws(p, &gap));
        char c = peek(p);
        bool atom = smtp_is_atext(c) || c == '.';
        if (p->at >= p->in.n || !(atom || c == '"'))
            return NULL;
        if (*words && gap)
            TRY(buf_add_char(&p->word, ' '));
        if (c == '"') {
            *quoted = true;
            TRY(take_quoted(p, &p->word));
        } else {
            TRY(take_atom(p, &p->word));
        }
        (*words) += *words == 0 || gap ? 1 : 0;
    }
}

static bool is_dot_atom(struct slice s)
{
    bool dot = true; /* none at the start, none doubled, none at the end */
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '.' ? dot : !smtp_is_atext(s.p[i]))
            return false;
        dot = s.p[i] == '.';
    }
    return !dot;
}

/* Put the local part into p->local, quoted when it has to be (RFC 5321 section 4.1.2). */
static err_t add_local(struct parser *p, struct slice local, bool quoted)
{
    p->local.n = 0;
    if (is_dot_atom(local))
        return buf_add(&p->local, local);
    if (!quoted)
        return bad(p, "the part before '@' is malformed");
    TRY(buf_add_char(&p->local, '"'));
    for (size_t i = 0; i < local.n; i++) {
        if ((uint8_t)local.p[i] < 0x20 || local.p[i] == 0x7f)
            return bad(p, "a control character in the address");
        if (local.p[i] == '"' || local.p[i] == '\\')
            TRY(buf_add_char(&p->local, '\\'));
        TRY(buf_add_char(&p->local, local.p[i]));
    }
    return buf_add_char(&p->local, '"');
}

/* After '@': a dot-atom, white space and comments between its parts allowed, or a [literal]. */
static err_t add_domain(struct parser *p)
{
    TRY(buf_add_char(&p->local, '@'));
    TRY(skip_cfws(p, NULL));
    size_t start = p->local.n;
    if (peek(p) == '[') {
        size_t end = slice_find(p->in, ']', p->at);
        if (end == SIZE_MAX)
            return bad(p, "an address literal without ']'");
        TRY(buf_add(&p->local, slice_of(p->in.p + p->at, end + 1 - p->at)));
        p->at = end + 1;
    } else {
        char last = '.';
        for (; p->at < p->in.n && (last == '.' || peek(p) == '.'); last = p->local.p[p->local.n - 1]) {
            size_t n = p->local.n;
            TRY(take_atom(p, &p->local));
            if (p->local.n == n)
                return bad(p, "no domain after '@'");
            TRY(skip_cfws(p, NULL));
        }
        if (!is_dot_atom(slice_of(p->local.p + start, p->local.n - start)))
            return bad(p, "the part after '@' is malformed");
    }
    return skip_cfws(p, NULL);
}

static err_t add_mailbox(struct parser *p, struct smtp_mailboxes *out, struct smtp_mailbox m)
{
    if (out->n >= SMTP_MAILBOXES_MAX)
        return fault(E_LIMIT, "%s: more than %d addresses", p->field, SMTP_MAILBOXES_MAX);
    if (out->n == out->cap) {
        size_t cap = out->cap ? out->cap * 2 : 4;
        struct smtp_mailbox *v = ARENA_ARRAY(p->arena, struct smtp_mailbox, cap);
        if (!v)
            return E_NO_MEMORY;
        if (out->n)
            memcpy(v, out->v, out->n * sizeof *v);
        out->v = v, out->cap = cap;
    }
    if (m.display.n)
        m.display = arena_copy(p->arena, m.display);
    if (m.address.n)
        m.address = arena_copy(p->arena, m.address);
    if ((m.display.n && !m.display.p) || (m.address.n && !m.address.p))
        return E_NO_MEMORY;
    out->v[out->n++] = m;
    return NULL;
}

/* Take "@a,@b:" after '<' (RFC 5322 section 4.4, obs-route). */
static err_t skip_route(struct parser *p)
{
    if (peek(p) != '@')
        return NULL;
    size_t colon = slice_find(p->in, ':', p->at);
    if (colon == SIZE_MAX)
        return bad(p, "a route without ':'");
    p->at = colon + 1;
    return skip_cfws(p, NULL);
}

/* "<local@domain>" at '<'; the display name stands in `display`. */
static err_t take_angle(struct parser *p, struct buf *display, struct smtp_mailboxes *out)
{
    int words;
    bool quoted;
    *display = p->word, p->word = (struct buf){0};
    p->at++;
    TRY(skip_cfws(p, NULL));
    TRY(skip_route(p));
    TRY(take_phrase(p, &words, &quoted));
    TRY(add_local(p, buf_slice(&p->word), quoted));
    size_t local_len = p->local.n;
    if (peek(p) == '@') {
        p->at++;
        TRY(add_domain(p));
    }
    if (peek(p) != '>')
        return bad(p, "'>' expected");
    p->at++;
    return add_mailbox(p, out,
                       (struct smtp_mailbox){SMTP_MAILBOX, buf_slice(display), buf_slice(&p->local), local_len});
}

/* One address, group start or nothing (obsolete empty list elements), up to its separator. */
static err_t take_address(struct parser *p, bool *in_group, struct smtp_mailboxes *out)
{
    int words;
    bool quoted;
    TRY(take_phrase(p, &words, &quoted));
    char c = p->at < p->in.n ? peek(p) : 0;
    if (c == '<') {
        AUTO(buf_free) struct buf display = {0};
        return take_angle(p, &display, out);
    }
    if (c == ':' && words && !*in_group) {
        p->at++;
        *in_group = true;
        return add_mailbox(p, out, (struct smtp_mailbox){SMTP_GROUP_START, buf_slice(&p->word), SLICE_NONE, 0});
    }
    if (words == 0)
        return c == '@' ? bad(p, "nothing before '@'") : NULL;
    if (words > 1)
        return bad(p, "a display name without <address>, or an address with spaces");
    TRY(add_local(p, buf_slice(&p->word), quoted));
    size_t local_len = p->local.n;
    if (c == '@') {
        p->at++;
        TRY(add_domain(p));
    }
    return add_mailbox(p, out, (struct smtp_mailbox){SMTP_MAILBOX, SLICE_NONE, buf_slice(&p->local), local_len});
}

/* What may stand between two addresses. */
static err_t take_separator(struct parser *p, bool *in_group, struct smtp_mailboxes *out)
{
    TRY(skip_cfws(p, NULL));
    if (p->at >= p->in.n)
        return NULL;
    char c = peek(p);
    if (c == ';' && *in_group) {
        p->at++;
        *in_group = false;
        TRY(skip_cfws(p, NULL));
        TRY(add_mailbox(p, out, (struct smtp_mailbox){.kind = SMTP_GROUP_END}));
        c = peek(p);
        if (p->at >= p->in.n)
            return NULL;
    }
    if (c != ',')
        return bad(p, "',' expected");
    p->at++;
    return NULL;
}

static err_t parse_list(struct parser *p, struct smtp_mailboxes *out)
{
    bool in_group = false;
    while (p->at < p->in.n) {
        size_t had = out->n;
        TRY(take_address(p, &in_group, out));
        if (out->n > had && out->v[out->n - 1].kind == SMTP_GROUP_START)
            continue;
        TRY(take_separator(p, &in_group, out));
    }
    return in_group ? bad(p, "a group without ';'") : NULL;
}

err_t smtp_mailboxes_parse(struct arena *a, struct slice text, const char *field, struct smtp_mailboxes *out)
{
    struct parser p = {.arena = a, .in = text, .field = field};
    struct smtp_mailboxes list = *out;
    err_t e = text_utf8_valid(text) ? parse_list(&p, &list) : bad(&p, "text that is not UTF-8");
    buf_free(&p.word);
    buf_free(&p.local);
    if (!e)
        *out = list;
    return e;
}

err_t smtp_mailbox_parse(struct arena *a, struct slice text, const char *field, struct smtp_mailbox *out)
{
    struct smtp_mailboxes list = {0};
    TRY(smtp_mailboxes_parse(a, text, field, &list));
    if (list.n != 1 || list.v[0].kind != SMTP_MAILBOX)
        return fault(E_DATA, "%s: exactly one address is expected", field);
    *out = list.v[0];
    return NULL;
}
