/* SPDX-License-Identifier: MIT */
#include "smtp/header_word.h"

#include "base/text.h"
#include "smtp/header_format.h"

enum { FRAME = 12 /* =?UTF-8?B? and ?= */ };

/* A space, or a fold when `n` more bytes would not fit; the first word stays beside the field's name unless it
   is far too long. */
static err_t add_gap(struct header_line *l, size_t n)
{
    size_t column = l->b->n - l->start;
    bool first = column && l->b->p[l->b->n - 1] == ':';
    if (column + 1 + n <= HEADER_FOLD || (first && column + 1 + n <= HEADER_LINE_MAX))
        return buf_add_char(l->b, ' ');
    TRY(buf_add(l->b, S("\r\n ")));
    l->start = l->b->n - 1;
    return NULL;
}

err_t header_line_word(struct header_line *l, struct slice word)
{
    TRY(add_gap(l, word.n));
    return buf_add(l->b, word);
}

/* RFC 2047 section 5 (3): what Q may leave alone within a phrase. */
static bool q_plain(char c)
{
    return ascii_alpha(c) || ascii_digit(c) || (c && strchr("!*+-/", c));
}

static size_t q_size(struct slice s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += q_plain(s.p[i]) || s.p[i] == ' ' ? 1 : 3;
    return n;
}

static err_t q_add(struct buf *b, struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == ' ')
            TRY(buf_add_char(b, '_'));
        else if (q_plain(s.p[i]))
            TRY(buf_add_char(b, s.p[i]));
        else
            TRY(buf_format(b, "=%02X", (uint8_t)s.p[i]));
    }
    return NULL;
}

/* Length of the character at `i`; the text is UTF-8. */
static size_t char_len(struct slice s, size_t i)
{
    size_t n = 1;
    while (i + n < s.n && ((uint8_t)s.p[i + n] & 0xc0) == 0x80)
        n++;
    return n;
}

/* As many whole characters as `room` letters can carry. */
static size_t fit(struct slice s, bool base64, size_t room)
{
    size_t at = 0, used = 0;
    while (at < s.n) {
        size_t n = char_len(s, at);
        size_t next = base64 ? (at + n + 2) / 3 * 4 : used + q_size(slice_of(s.p + at, n));
        if (next > room)
            break;
        used = next;
        at += n;
    }
    return at;
}

err_t header_line_encoded(struct header_line *l, struct slice s)
{
    bool base64 = (s.n + 2) / 3 * 5 < q_size(s); /* when about as short, the readable one */
    while (s.n) {
        size_t column = l->b->n - l->start;
        size_t room = column + 1 + FRAME + 12 < HEADER_FOLD ? HEADER_FOLD - column - 1 - FRAME : 0;
        if (room == 0) { /* start a line of its own */
            TRY(buf_add(l->b, S("\r\n ")));
            l->start = l->b->n - 1;
            room = HEADER_WORD_MAX - FRAME;
        } else {
            TRY(buf_add_char(l->b, ' '));
            room = room > HEADER_WORD_MAX - FRAME ? HEADER_WORD_MAX - FRAME : room;
        }
        size_t n = fit(s, base64, room);
        TRY(buf_add(l->b, base64 ? S("=?UTF-8?B?") : S("=?UTF-8?Q?")));
        TRY(base64 ? text_base64_add(l->b, slice_first(s, n)) : q_add(l->b, slice_first(s, n)));
        TRY(buf_add(l->b, S("?=")));
        s = slice_from(s, n);
    }
    return NULL;
}
