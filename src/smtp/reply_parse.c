/* SPDX-License-Identifier: MIT */
#include "smtp/reply_parse.h"

#include <stdio.h>

#include "base/text.h"

/* One decimal number without a leading zero, of at most three digits (RFC 3463 section 2); 0 digits: false. */
static bool take_number(struct slice *s, uint16_t *v)
{
    size_t n = 0;
    unsigned sum = 0;
    while (n < s->n && n < 3 && ascii_digit(s->p[n]))
        sum = sum * 10 + (unsigned)(s->p[n++] - '0');
    if (n == 0 || (n > 1 && s->p[0] == '0'))
        return false;
    *v = (uint16_t)sum;
    *s = slice_from(*s, n);
    return true;
}

static bool take_char(struct slice *s, char c)
{
    if (s->n == 0 || s->p[0] != c)
        return false;
    *s = slice_from(*s, 1);
    return true;
}

bool smtp_enhanced_parse(struct slice text, struct smtp_enhanced *out)
{
    uint16_t class, subject, detail;
    if (!take_number(&text, &class) || (class != 2 && class != 4 && class != 5))
        return false;
    if (!take_char(&text, '.') || !take_number(&text, &subject))
        return false;
    if (!take_char(&text, '.') || !take_number(&text, &detail))
        return false;
    if (text.n && text.p[0] != ' ')
        return false;
    *out = (struct smtp_enhanced){(uint8_t) class, subject, detail};
    return true;
}

/* "250-text" or "250 text" or "250": the code, or 0. */
static int line_code(struct slice line)
{
    if (line.n < 3 || line.p[0] < '2' || line.p[0] > '5' || !ascii_digit(line.p[1]) || !ascii_digit(line.p[2]))
        return 0;
    if (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-')
        return 0;
    return (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + (line.p[2] - '0');
}

/* The line at `from` without its end; `*next` is where the one after it starts. False: not whole yet. */
static bool line_at(struct slice in, size_t from, struct slice *line, size_t *next)
{
    size_t lf = slice_find(in, '\n', from);
    if (lf == SIZE_MAX)
        return false;
    *next = lf + 1;
    *line = slice_of(in.p + from, lf - from);
    if (line->n && line->p[line->n - 1] == '\r')
        line->n--;
    return true;
}

static err_t bad_line(struct slice line)
{
    char shown[81];
    text_safe(line, shown, sizeof shown);
    return fault(E_PROTO, "the server's answer is no SMTP reply: '%s'", shown);
}

err_t smtp_reply_parse(struct slice in, struct smtp_reply *out, size_t *took)
{
    struct slice line;
    int code = 0;
    for (size_t from = 0, next; line_at(in, from, &line, &next); from = next) {
        if (line.n > SMTP_REPLY_LINE_MAX)
            return fault(E_TOO_LARGE, "a line of the server's reply is longer than %d bytes", SMTP_REPLY_LINE_MAX);
        if (next > SMTP_REPLY_MAX)
            break;
        int c = line_code(line);
        if (!c || (code && c != code))
            return bad_line(line);
        code = c;
        if (line.n > 3 && line.p[3] == '-')
            continue;
        struct smtp_reply r = {.code = code, .raw = slice_first(in, next)};
        struct slice rest = r.raw, text;
        if (smtp_reply_line(&rest, &text) && smtp_enhanced_parse(text, &r.enhanced) && r.enhanced.class != code / 100)
            r.enhanced = (struct smtp_enhanced){0};
        *out = r;
        *took = next;
        return NULL;
    }
    /* What has come of an unfinished line must be able to become one. */
    if (in.n > SMTP_REPLY_MAX)
        return fault(E_TOO_LARGE, "the server's reply is longer than %d bytes", SMTP_REPLY_MAX);
    *took = 0;
    return NULL;
}

bool smtp_reply_line(struct slice *rest, struct slice *text)
{
    struct slice line;
    size_t next;
    if (rest->n == 0 || !line_at(*rest, 0, &line, &next))
        return false;
    *text = slice_from(line, 4);
    *rest = slice_from(*rest, next);
    return true;
}

char *smtp_reply_text(const struct smtp_reply *r, char *out, size_t cap)
{
    struct slice rest = r->raw, text;
    int n = snprintf(out, cap, "%d", r->code);
    size_t at = n < 0 ? 0 : (size_t)n;
    for (bool first = true; at + 8 < cap && smtp_reply_line(&rest, &text); first = false) {
        if (text.n == 0)
            continue;
        const char *gap = first ? " " : " / ";
        memcpy(out + at, gap, strlen(gap));
        at += strlen(gap);
        at += text_safe(text, out + at, cap - at);
    }
    return out;
}
