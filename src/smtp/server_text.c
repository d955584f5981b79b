/* SPDX-License-Identifier: MIT */
/*
 * server_text.c -- what a strict server looks for in a message: lone CR or LF (which two servers could take for
 * different ends of the message), lines over 998, bytes beyond ASCII without 8BITMIME, size.
 */
#include "smtp/encode.h"
#include "smtp/server.h"

static bool has_high_bit(struct slice s)
{
    uint64_t word, all = 0;
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        memcpy(&word, s.p + i, 8);
        all |= word;
    }
    for (; i < s.n; i++)
        all |= (uint64_t)(uint8_t)s.p[i];
    return (all & UINT64_C(0x8080808080808080)) != 0;
}

/* Line ends and lengths; each CR is looked for, and what lies before it for LF. */
static const char *check_lines(struct smtp_server *s, struct slice t)
{
    size_t at = 0;
    if (s->last_cr && t.p[0] != '\n')
        return "554 5.6.0 The message holds a CR without LF";
    if (s->last_cr)
        s->line = 0, at = 1;
    s->last_cr = false;
    while (at < t.n) {
        size_t cr = slice_find(t, '\r', at), end = cr == SIZE_MAX ? t.n : cr;
        if (memchr(t.p + at, '\n', end - at))
            return "554 5.6.0 The message holds a LF without CR";
        s->line += end - at;
        if (s->line > MIME_LINE_MAX)
            return "554 5.6.0 A line is longer than 998 bytes";
        if (cr == SIZE_MAX)
            break;
        if (cr + 1 == t.n) {
            s->last_cr = true;
            break;
        }
        if (t.p[cr + 1] != '\n')
            return "554 5.6.0 The message holds a CR without LF";
        s->line = 0;
        at = cr + 2;
    }
    return NULL;
}

static const char *check(struct smtp_server *s, struct slice t)
{
    const struct smtp_server_conf *c = s->conf;
    if (c->max_size && s->size > c->max_size)
        return "552 5.3.4 Larger than the limit";
    if (c->lenient)
        return NULL;
    bool eightbit = s->env.mail.body == SMTP_BODY_8BITMIME || s->env.mail.smtputf8;
    if (!eightbit && has_high_bit(t))
        return "554 5.6.1 Bytes beyond ASCII need BODY=8BITMIME";
    return check_lines(s, t);
}

/* A fault may strike within this piece. */
static err_t text_with_faults(struct smtp_server *s, struct slice t)
{
    bool played;
    if (smtp_server_fault_in(s) >= t.n)
        return NULL;
    return smtp_server_fault(s, STEP_BODY, SLICE_NONE, &played);
}

err_t smtp_server_text(struct smtp_server *s, struct slice t)
{
    const struct smtp_hooks *h = &s->conf->hooks;
    if (t.n == 0)
        return NULL;
    if (s->conf->fault_count)
        TRY(text_with_faults(s, t));
    s->size += t.n;
    if (s->damage)
        return NULL;
    s->damage = check(s, t);
    if (!s->damage && s->delivery && h->data(s->delivery, t))
        s->damage = "452 4.3.1 No room for the message";
    return NULL;
}
