/* SPDX-License-Identifier: MIT */
#include "smtp/encode.h"

#include "base/check.h"
#include "smtp/base64_lines.h"

/* ---- looking at text ---- */

/* One byte of a sequence beyond ASCII (RFC 3629 section 4, as ranges for the byte that comes next). */
static void utf8_step(struct mime_scan *s, uint8_t c)
{
    if (s->utf8_need) {
        if (c < s->utf8_low || c > s->utf8_high)
            s->not_utf8 = true;
        s->utf8_need--;
        s->utf8_low = 0x80, s->utf8_high = 0xbf;
        return;
    }
    s->utf8_low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    s->utf8_high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    s->utf8_need = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    if (c < 0xc2 || c > 0xf4)
        s->not_utf8 = true, s->utf8_need = 0;
}

static void end_line(struct mime_scan *s)
{
    s->lf++;
    uint64_t length = s->line - s->last_cr;
    s->crlf += s->last_cr;
    if (length > s->longest)
        s->longest = length;
    if (length > MIME_LINE_MAX && !s->bad_line)
        s->bad_line = s->lf;
    s->line = 0;
}

void mime_scan_add(struct mime_scan *s, struct slice in)
{
    for (size_t i = 0; i < in.n; i++) {
        uint8_t c = (uint8_t)in.p[i];
        if (s->utf8_need && c < 0x80)
            s->not_utf8 = true, s->utf8_need = 0;
        if (c == '\n') {
            end_line(s);
        } else {
            s->line++;
            if (c >= 0x80) {
                s->eightbit++;
                utf8_step(s, c);
            } else if (c < 0x20 || c == 0x7f) {
                s->cr += c == '\r';
                s->controls += c != '\t' && c != '\r' && c != '\f';
                s->nul += c == 0;
            }
        }
        s->last_cr = c == '\r';
    }
    s->bytes += in.n;
    if (in.n)
        s->last = in.p[in.n - 1];
}

void mime_scan_end(struct mime_scan *s)
{
    if (s->line > s->longest)
        s->longest = s->line;
    if (s->line > MIME_LINE_MAX && !s->bad_line)
        s->bad_line = s->lf + 1;
    if (s->utf8_need)
        s->not_utf8 = true;
}

bool mime_scan_crlf(const struct mime_scan *s)
{
    return s->lf > 0 && s->lf == s->crlf && s->cr == s->crlf;
}

bool mime_scan_final_break(const struct mime_scan *s)
{
    return s->bytes == 0 || s->last == '\n';
}

/* ---- choosing ---- */

enum mime_encoding mime_choose(const struct mime_scan *s, bool allow_8bit, bool exact_end)
{
    bool cr_is_data = s->cr && !mime_scan_crlf(s);
    bool plain = s->longest <= MIME_LINE_MAX && !s->controls && !cr_is_data && (!exact_end || mime_scan_final_break(s));
    if (plain && !s->eightbit)
        return MIME_7BIT;
    if (plain && allow_8bit)
        return MIME_8BIT;
    /* Three characters a byte that needs it, against a third more for all. */
    return 2 * (s->eightbit + s->controls) > s->bytes / 3 ? MIME_BASE64 : MIME_QP;
}

const char *mime_encoding_name(enum mime_encoding e)
{
    static const char *const names[] = {"7bit", "8bit", "quoted-printable", "base64"};
    return names[e];
}

/* ---- encoding ---- */

static size_t copy_lines(struct slice in, char *out)
{
    char *start = out;
    while (in.n) {
        size_t lf = slice_find(in, '\n', 0);
        size_t n = lf == SIZE_MAX ? in.n : lf;
        memcpy(out, in.p, n);
        out += n;
        if (lf == SIZE_MAX)
            break;
        *out++ = '\r', *out++ = '\n';
        in = slice_from(in, n + 1);
    }
    return (size_t)(out - start);
}

/* The same for text some of whose lines end in CRLF already. */
static size_t copy_mixed(struct mime_encoder *e, struct slice in, char *out)
{
    char *start = out;
    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] == '\n' && e->held != '\r')
            *out++ = '\r';
        *out++ = e->held = in.p[i];
    }
    return (size_t)(out - start);
}

/* A byte as itself (n = 1) or as =HH, after a soft line break where it would not fit. */
static char *qp_put(struct mime_encoder *e, char *out, uint8_t c, bool escape)
{
    size_t n = escape ? 3 : 1;
    if (e->column + n > MIME_QP_LINE - 1) {
        memcpy(out, "=\r\n", 3);
        out += 3;
        e->column = 0;
    }
    /* A dot that begins a line survives stuffing, but not every server (RFC 2049 section 3). */
    if (c == '.' && e->column == 0)
        escape = true, n = 3;
    if (escape) {
        *out++ = '=', *out++ = "0123456789ABCDEF"[c >> 4], *out++ = "0123456789ABCDEF"[c & 15];
    } else {
        *out++ = (char)c;
    }
    e->column += n;
    return out;
}

/* What was held: white space stays itself unless a line break follows it; a CR is dropped before LF only where
   the two are the line break. */
static char *qp_release(struct mime_encoder *e, char *out, bool line_break)
{
    char c = e->held;
    e->held = 0;
    if (c == '\r')
        return line_break && !e->lf ? out : qp_put(e, out, '\r', true);
    return qp_put(e, out, (uint8_t)c, line_break);
}

static size_t qp_encode(struct mime_encoder *e, struct slice in, bool end, char *out)
{
    char *start = out;
    for (size_t i = 0; i < in.n; i++) {
        uint8_t c = (uint8_t)in.p[i];
        bool line_break = c == '\n' && e->text;
        bool before_break = line_break || (c == '\r' && e->text && !e->lf);
        if (e->held)
            out = qp_release(e, out, before_break);
        if (line_break) {
            *out++ = '\r', *out++ = '\n';
            e->column = 0;
        } else if (c == ' ' || c == '\t' || (c == '\r' && e->text)) {
            e->held = (char)c;
        } else {
            out = qp_put(e, out, c, c < 0x20 || c > 0x7e || c == '=');
        }
    }
    if (end && e->held) {
        out = qp_put(e, out, (uint8_t)e->held, true);
        e->held = 0;
    }
    if (end && e->soft_end && e->column) {
        memcpy(out, "=\r\n", 3);
        out += 3;
    }
    return (size_t)(out - start);
}

/* Whole lines are written at once; what is left of a line waits in `carry`. */
static size_t base64_piece(struct mime_encoder *e, struct slice in, bool end, char *out)
{
    char *start = out;
    if (e->carry_n && in.n) {
        size_t n = BASE64_LINE_IN - e->carry_n;
        n = n < in.n ? n : in.n;
        memcpy(e->carry + e->carry_n, in.p, n);
        e->carry_n += n;
        in = slice_from(in, n);
        if (e->carry_n == BASE64_LINE_IN) {
            out += base64_lines(e->carry, BASE64_LINE_IN, out);
            e->carry_n = 0;
        }
    }
    size_t whole = in.n / BASE64_LINE_IN * BASE64_LINE_IN;
    if (whole)
        out += base64_lines((const uint8_t *)in.p, whole, out);
    if (in.n > whole) {
        memcpy(e->carry, in.p + whole, in.n - whole);
        e->carry_n = in.n - whole;
    }
    if (end && e->carry_n) {
        out += base64_lines(e->carry, e->carry_n, out);
        e->carry_n = 0;
    }
    return (size_t)(out - start);
}

/* Line breaks first, in steps that fit a small buffer. */
static size_t base64_text(struct mime_encoder *e, struct slice in, bool end, char *out)
{
    char wide[1024];
    size_t written = 0;
    while (in.n) {
        struct slice step = slice_first(in, sizeof wide / 2);
        written += base64_piece(e, slice_of(wide, copy_lines(step, wide)), false, out + written);
        in = slice_from(in, step.n);
    }
    return end ? written + base64_piece(e, SLICE_NONE, true, out + written) : written;
}

size_t mime_encode(struct mime_encoder *e, struct slice in, bool end, char *out)
{
    switch (e->how) {
    case MIME_7BIT:
    case MIME_8BIT:
        if (e->lf)
            return e->mixed ? copy_mixed(e, in, out) : copy_lines(in, out);
        memcpy(out, in.n ? in.p : "", in.n);
        return in.n;
    case MIME_QP:
        return qp_encode(e, in, end, out);
    case MIME_BASE64:
        return e->lf ? base64_text(e, in, end, out) : base64_piece(e, in, end, out);
    }
    UNREACHABLE();
}

bool mime_encoded_size(const struct mime_encoder *e, const struct mime_scan *s, uint64_t *size)
{
    uint64_t wide = s->bytes + (e->lf ? s->lf - (e->mixed ? s->crlf : 0) : 0);
    if (e->how == MIME_QP)
        return false;
    *size = e->how == MIME_BASE64 ? base64_lines_size(wide) : wide;
    return true;
}

size_t smtp_stuff(struct slice in, bool *at_start, char *out)
{
    char *start = out;
    while (in.n) {
        if (*at_start && in.p[0] == '.')
            *out++ = '.';
        size_t lf = slice_find(in, '\n', 0);
        size_t n = lf == SIZE_MAX ? in.n : lf + 1;
        memcpy(out, in.p, n);
        out += n;
        *at_start = lf != SIZE_MAX;
        in = slice_from(in, n);
    }
    return (size_t)(out - start);
}
