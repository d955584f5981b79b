/* SPDX-License-Identifier: MIT */
#include "smtp/header_format.h"

#include <stdio.h>
#include <time.h>

#include "base/text.h"
#include "smtp/header_word.h"

bool header_name_valid(struct slice name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] > '~' || name.p[i] == ':')
            return false;
    return name.n > 0 && name.n < 200;
}

err_t header_value_check(struct slice v, const char *field)
{
    for (size_t i = 0; i < v.n; i++) {
        uint8_t c = (uint8_t)v.p[i];
        if (c == '\r' || c == '\n')
            return fault(E_DATA, "%s: a line end inside is not allowed", field);
        if (c == 0)
            return fault(E_DATA, "%s: a NUL byte inside is not allowed", field);
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return fault(E_DATA, "%s: control character 0x%02x inside is not allowed", field, c);
    }
    if (v.n > HEADER_VALUE_MAX)
        return fault(E_DATA, "%s: longer than %d bytes", field, HEADER_VALUE_MAX);
    return text_utf8_valid(v) ? NULL : fault(E_DATA, "%s: not UTF-8", field);
}

/* ---- free text ---- */

/* Must this word (what stands between two spaces) be encoded to arrive unharmed? */
static bool word_needs(struct slice w, bool utf8)
{
    if (w.n == 0 || w.n > HEADER_WORD_MAX - 2 || slice_starts(w, S("=?")))
        return true;
    for (size_t i = 0; i < w.n; i++)
        if (w.p[i] == '\t' || (!utf8 && (uint8_t)w.p[i] >= 0x80))
            return true;
    return false;
}

static struct slice word_at(struct slice v, size_t from)
{
    size_t space = slice_find(v, ' ', from);
    return slice_of(v.p + from, (space == SIZE_MAX ? v.n : space) - from);
}

/* How far a run of words that are encoded together reaches from `from`. An empty word (two spaces, or one at an
   end) takes its neighbours into the run, so that the spaces lie inside of encoded words. */
static size_t run_end(struct slice v, size_t from, bool utf8)
{
    size_t end = from;
    for (size_t at = from; at <= v.n;) {
        struct slice w = word_at(v, at);
        size_t after = at + w.n;
        bool next_empty = after < v.n && word_at(v, after + 1).n == 0;
        bool prev_empty = at > from && (at == 1 || v.p[at - 2] == ' ');
        if (!word_needs(w, utf8) && !next_empty && !prev_empty)
            break;
        end = after;
        at = after + 1;
    }
    return end;
}

err_t header_text(struct buf *b, const char *name, struct slice v, bool utf8)
{
    TRY(header_value_check(v, name));
    size_t start = b->n;
    TRY(buf_format(b, "%s:", name));
    struct header_line line = {b, start};
    for (size_t at = 0; at < v.n;) {
        size_t end = run_end(v, at, utf8);
        if (end > at || word_at(v, at).n == 0) {
            TRY(header_line_encoded(&line, slice_of(v.p + at, end - at)));
        } else {
            struct slice w = word_at(v, at);
            TRY(header_line_word(&line, w));
            end = at + w.n;
        }
        at = end + 1;
    }
    return buf_add(b, S("\r\n"));
}

/* ---- addresses ---- */

static bool is_plain_phrase(struct slice s)
{
    bool space = true;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == ' ' ? space : !smtp_is_atext(s.p[i]))
            return false;
        space = s.p[i] == ' ';
    }
    return s.n > 0 && !space && !slice_starts(s, S("=?"));
}

static err_t add_quoted(struct buf *b, struct slice s)
{
    TRY(buf_add_char(b, '"'));
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            TRY(buf_add_char(b, '\\'));
        TRY(buf_add_char(b, s.p[i]));
    }
    return buf_add_char(b, '"');
}

/* A display name: as it is, quoted, or as encoded words. */
static err_t add_display(struct header_line *line, struct slice name, bool utf8, struct buf *scratch)
{
    bool encode = name.n > HEADER_WORD_MAX || (!utf8 && !smtp_is_ascii(name)) || slice_starts(name, S("=?"));
    if (encode)
        return header_line_encoded(line, name);
    if (is_plain_phrase(name))
        return header_line_word(line, name);
    scratch->n = 0;
    TRY(add_quoted(scratch, name));
    return header_line_word(line, buf_slice(scratch));
}

static err_t add_one(struct header_line *line, const struct smtp_mailbox *m, bool comma, bool utf8, struct buf *scratch)
{
    if (m->display.n)
        TRY(header_value_check(m->display, "a display name"));
    if (m->kind == SMTP_GROUP_START) {
        TRY(add_display(line, m->display, utf8, scratch));
        return buf_add_char(line->b, ':');
    }
    if (m->kind == SMTP_MAILBOX) {
        TRY(header_value_check(m->address, "an address"));
        if (m->display.n)
            TRY(add_display(line, m->display, utf8, scratch));
        scratch->n = 0;
        const char *form = m->display.n ? "<%.*s>%s" : "%.*s%s";
        TRY(buf_format(scratch, form, SLICE_ARG(m->address), comma ? "," : ""));
        return header_line_word(line, buf_slice(scratch));
    }
    return buf_add(line->b, comma ? S(";,") : S(";"));
}

err_t header_mailboxes(struct buf *b, const char *name, const struct smtp_mailbox *v, size_t n, bool utf8)
{
    AUTO(buf_free) struct buf scratch = {0};
    size_t start = b->n;
    TRY(buf_format(b, "%s:", name));
    struct header_line line = {b, start};
    for (size_t i = 0; i < n; i++) {
        bool comma = i + 1 < n && v[i + 1].kind != SMTP_GROUP_END && v[i].kind != SMTP_GROUP_START;
        TRY(add_one(&line, &v[i], comma, utf8, &scratch));
    }
    return buf_add(b, S("\r\n"));
}

/* ---- dates ---- */

char *header_date_text(int64_t unix_seconds, int offset_minutes, char out[80])
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t local = (time_t)(unix_seconds + offset_minutes * 60);
    struct tm tm = {0};
    gmtime_r(&local, &tm);
    int off = (offset_minutes < 0 ? -offset_minutes : offset_minutes) % 6000;
    snprintf(out, 80, "%.3s, %d %.3s %04d %02d:%02d:%02d %c%02d%02d", days + 3 * tm.tm_wday, tm.tm_mday,
             months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec,
             offset_minutes < 0 ? '-' : '+', off / 60, off % 60);
    return out;
}

err_t header_date(struct buf *b, const char *name, int64_t unix_seconds, int offset_minutes)
{
    char text[80];
    return buf_format(b, "%s: %s\r\n", name, header_date_text(unix_seconds, offset_minutes, text));
}
