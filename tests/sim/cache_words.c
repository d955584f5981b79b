/* SPDX-License-Identifier: MIT */
/* cache_words.c -- lines of a script into words, messages into what the checks ask about. */
#include "tests/sim/cache_play.h"

#include "base/text.h"
#include "http/date.h"
#include "rt/io.h"
#include "rt/loop.h"

/* ---- Words ---- */

static void put_date(struct buf *out, struct slice *rest)
{
    int64_t delta = 0, sign = 1;
    char text[DATE_LENGTH + 1];
    *rest = slice_from(*rest, 5);
    if (rest->n > 1 && (rest->p[0] == '+' || rest->p[0] == '-') && ascii_digit(rest->p[1])) {
        sign = rest->p[0] == '-' ? -1 : 1;
        for (*rest = slice_from(*rest, 1); rest->n && ascii_digit(rest->p[0]); *rest = slice_from(*rest, 1))
            delta = delta * 10 + (rest->p[0] - '0');
    }
    date_format(wall_now() / TICK_S + sign * delta, text);
    CHECK(!buf_add(out, slice_of(text, DATE_LENGTH)));
}

static struct slice expand(struct slice s)
{
    struct buf b = {0};
    while (s.n) {
        if (slice_starts(s, S("$date"))) {
            put_date(&b, &s);
            continue;
        }
        CHECK(!buf_add_char(&b, s.p[0]));
        s = slice_from(s, 1);
    }
    struct slice out = arena_copy(&play.text, buf_slice(&b));
    buf_free(&b);
    return out;
}

struct slice quoted(struct slice *rest)
{
    struct buf b = {0};
    *rest = slice_from(*rest, 1);
    while (rest->n && rest->p[0] != '"') {
        char c = rest->p[0];
        if (c == '\\' && rest->n > 1) {
            *rest = slice_from(*rest, 1);
            c = rest->p[0] == 'n' ? '\n' : rest->p[0] == 'r' ? '\r' : rest->p[0] == 't' ? '\t' : rest->p[0];
        }
        CHECK(!buf_add_char(&b, c));
        *rest = slice_from(*rest, 1);
    }
    *rest = slice_from(*rest, 1);
    size_t once = b.n, times = 1;
    if (rest->n && rest->p[0] == '*')
        for (times = 0, *rest = slice_from(*rest, 1); rest->n && ascii_digit(rest->p[0]); *rest = slice_from(*rest, 1))
            times = times * 10 + (size_t)(rest->p[0] - '0');
    for (size_t i = 1; i < times; i++) {
        char *at;
        CHECK(!buf_room(&b, once, &at)); /* may move: the source is read after it */
        memcpy(at, b.p, once);
        b.n += once;
    }
    struct slice out = expand(buf_slice(&b));
    buf_free(&b);
    return out;
}

void split(struct slice text, struct line *l)
{
    l->n = 0;
    l->number = play.number;
    for (;;) {
        text = slice_trim(text);
        if (!text.n || text.p[0] == '#')
            return;
        CHECK(l->n < WORDS);
        struct word *w = &l->v[l->n++];
        w->quoted = text.p[0] == '"';
        if (w->quoted) {
            w->text = quoted(&text);
        } else {
            w->text = arena_copy(&play.text, slice_first(text, slice_find(text, ' ', 0)));
            text = slice_from(text, w->text.n);
        }
    }
}

bool is(const struct line *l, int i, const char *word)
{
    return i < l->n && !l->v[i].quoted && slice_eq(l->v[i].text, slice_z(word));
}

int find(const struct line *l, const char *word)
{
    for (int i = 0; i < l->n; i++)
        if (is(l, i, word))
            return i;
    fail(l->number, "no %s in the line", word);
    return l->n;
}

int64_t number(struct slice s)
{
    uint64_t v = 0;
    if (!slice_u64(s, &v))
        fail(0, "not a number: %.*s", SLICE_ARG(s));
    return (int64_t)v;
}

int64_t duration(struct slice s)
{
    int64_t ns = 0;
    if (text_duration(s, &ns))
        fail(0, "not a time: %.*s", SLICE_ARG(s));
    return ns;
}

/* ---- Messages as text ---- */

/* Does the head have this "Name: value" line (or, without a colon, any line of that name)? */
bool head_has(struct slice head, struct slice wanted)
{
    struct slice line;
    size_t colon = slice_find(wanted, ':', 0);
    slice_cut(&head, '\n', &line);
    while (slice_cut(&head, '\n', &line)) {
        if (slice_ends(line, S("\r")))
            line.n--;
        size_t at = slice_find(line, ':', 0);
        if (at == SIZE_MAX || !slice_eq_case(slice_first(line, at), slice_first(wanted, colon)))
            continue;
        if (colon == SIZE_MAX ||
            slice_eq(slice_trim(slice_from(line, at + 1)), slice_trim(slice_from(wanted, colon + 1))))
            return true;
    }
    return false;
}

struct slice head_value(struct slice head, struct slice name)
{
    struct slice line, last = SLICE_NONE;
    while (slice_cut(&head, '\n', &line)) {
        size_t at = slice_find(line, ':', 0);
        if (at != SIZE_MAX && slice_eq_case(slice_first(line, at), name)) {
            last = slice_trim(slice_from(line, at + 1));
            if (slice_ends(last, S("\r")))
                last.n--;
        }
    }
    return last;
}

bool read_head(int fd, struct buf *in, struct slice *head)
{
    for (;;) {
        size_t end = slice_find_slice(buf_slice(in), S("\r\n\r\n")), got;
        if (end != SIZE_MAX) {
            *head = slice_first(buf_slice(in), end + 4);
            return true;
        }
        char *at;
        CHECK(!buf_room(in, 4096, &at));
        if (io_read(fd, at, 4096, &got, after(PATIENCE_MS)) || !got)
            return false;
        in->n += got;
    }
}
