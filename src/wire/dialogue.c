/* SPDX-License-Identifier: MIT */
#include "wire/dialogue.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/cursor.h"
#include "base/text.h"
#include "wire/frame_text.h"

enum state {
    START, /* at a start line, or any line of a line protocol */
    FIELDS,
    BODY, /* `left` bytes */
    CHUNK_SIZE,
    CHUNK, /* `left` bytes */
    CHUNK_END,
    TRAILERS,
    MESSAGE, /* of SMTP: lines up to a single dot */
    RAW,     /* counted */
    PREFACE, /* of HTTP/2: "SM" after the request line that is none */
    FRAME,   /* its header, then `left` bytes */
};

enum { CLIENT, SERVER };

void dialogue_init(struct dialogue *d, enum dialogue_kind kind, bool secrets, dialogue_emit *emit, void *arg)
{
    *d = (struct dialogue){.emit = emit, .arg = arg, .kind = kind, .secrets = secrets};
    if (kind == DIALOGUE_BINARY)
        d->side[CLIENT].state = d->side[SERVER].state = RAW;
}

static struct dialogue_side *side_of(struct dialogue *d, char who)
{
    return &d->side[who == 'C' ? CLIENT : SERVER];
}

static void tell(struct dialogue *d, char who, struct slice text)
{
    char out[DIALOGUE_LINE + 256];
    text_safe(text, out, sizeof out);
    d->emit(d->arg, who, out);
}

static const char *name_of_counted(const struct dialogue *d, const struct dialogue_side *s)
{
    if (s->state == RAW || s->state == START)
        return "";
    return d->kind == DIALOGUE_HTTP ? " of body" : " of message";
}

/* Say how many bytes were counted and not shown. */
static void tell_counted(struct dialogue *d, char who)
{
    struct dialogue_side *s = side_of(d, who);
    char text[96];
    bool missing = s->state == BODY && s->left && s->left != UINT64_MAX;
    if (s->seen == 0 && !missing)
        return;
    if (missing)
        snprintf(text, sizeof text, "[%" PRIu64 " of %" PRIu64 " bytes of body]", s->seen, s->body);
    else
        snprintf(text, sizeof text, "[%" PRIu64 " byte%s%s]", s->seen, s->seen == 1 ? "" : "s", name_of_counted(d, s));
    s->seen = 0;
    d->emit(d->arg, who, text);
}

/* -- lines -- */

static bool is_secret_field(struct slice line, size_t *shown)
{
    static const char *const names[] = {"Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie"};
    size_t colon = slice_find(line, ':', 0);
    if (colon == SIZE_MAX)
        return false;
    *shown = colon + 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_eq_case(slice_first(line, colon), slice_z(names[i])))
            return true;
    return false;
}

static void tell_masked(struct dialogue *d, char who, struct slice head)
{
    char text[DIALOGUE_LINE + 32];
    snprintf(text, sizeof text, "%.*s%s<masked>", SLICE_ARG(head), head.n ? " " : "");
    tell(d, who, slice_z(text));
}

/* "AUTH PLAIN dGVzdA==" keeps its mechanism. */
static struct slice harmless_head(struct slice line)
{
    if (!slice_starts_case(line, S("AUTH ")))
        return SLICE_NONE;
    size_t space = slice_find(line, ' ', 5);
    return slice_first(line, space == SIZE_MAX ? line.n : space);
}

static void tell_line(struct dialogue *d, char who, const struct dialogue_side *s)
{
    struct slice line = {s->line, s->n};
    char long_line[DIALOGUE_LINE + 64];
    size_t shown = 0;
    if (d->masked == who && !d->secrets) {
        tell_masked(d, who, harmless_head(line));
    } else if (s->state == FIELDS && !d->secrets && is_secret_field(line, &shown)) {
        tell_masked(d, who, slice_first(line, shown));
    } else if (s->cut) {
        snprintf(long_line, sizeof long_line, "%.*s... [%" PRIu64 " more bytes]", SLICE_ARG(line), s->cut);
        tell(d, who, slice_z(long_line));
    } else {
        tell(d, who, line);
    }
}

/* -- HTTP/1 framing -- */

static void expect_answer(struct dialogue *d, struct slice request)
{
    if (d->asked_n == DIALOGUE_ASKED)
        return; /* pipelined beyond belief: bodies of answers to HEAD may then be guessed wrong */
    char what = slice_starts(request, S("HEAD ")) ? 'H' : slice_starts(request, S("CONNECT ")) ? 'C' : 'o';
    d->asked[(d->asked_first + d->asked_n++) % DIALOGUE_ASKED] = what;
}

static char answered(struct dialogue *d)
{
    if (d->asked_n == 0)
        return 'o';
    char what = d->asked[d->asked_first];
    d->asked_first = (d->asked_first + 1) % DIALOGUE_ASKED;
    d->asked_n--;
    return what;
}

static void start_line(struct dialogue *d, char who, struct dialogue_side *s)
{
    struct slice line = {s->line, s->n};
    uint64_t status = 0;
    s->chunked = false;
    s->body = 0;
    s->close_ends = who == 'S';
    s->state = FIELDS;
    if (who == 'S') {
        size_t space = slice_find(line, ' ', 0);
        s->status = slice_u64(slice_first(slice_from(line, space == SIZE_MAX ? line.n : space + 1), 3), &status)
                        ? (uint16_t)status
                        : 0;
    } else if (slice_eq(line, S("PRI * HTTP/2.0"))) {
        s->state = PREFACE;
        d->side[SERVER] = (struct dialogue_side){.state = FRAME}; /* half a line from before is none of a frame's */
    } else {
        expect_answer(d, line);
    }
}

static void field_line(struct dialogue_side *s)
{
    struct slice rest = {s->line, s->n}, name;
    if (!slice_cut(&rest, ':', &name))
        return;
    struct slice value = slice_trim(rest);
    if (slice_eq_case(name, S("Content-Length")) && slice_u64(value, &s->body))
        s->close_ends = false;
    else if (slice_eq_case(name, S("Transfer-Encoding")) && value.n >= 7 &&
             slice_eq_case(slice_from(value, value.n - 7), S("chunked")))
        s->chunked = true;
}

static void go_raw(struct dialogue *d)
{
    d->side[CLIENT].state = d->side[SERVER].state = RAW;
}

/* The empty line has come: what follows? */
static void head_done(struct dialogue *d, char who, struct dialogue_side *s)
{
    bool none = false;
    if (who == 'S') {
        bool interim = s->status >= 100 && s->status < 200 && s->status != 101;
        char what = interim ? 'o' : answered(d);
        none = interim || s->status == 204 || s->status == 304 || what == 'H';
        if (s->status == 101 || (what == 'C' && s->status >= 200 && s->status < 300)) {
            go_raw(d);
            return;
        }
    }
    if (none || (!s->chunked && !s->close_ends && s->body == 0)) {
        s->state = START;
    } else if (s->chunked) {
        s->state = CHUNK_SIZE;
    } else {
        s->state = BODY;
        s->left = s->close_ends ? UINT64_MAX : s->body;
    }
}

static void chunk_size(struct dialogue *d, char who, struct dialogue_side *s)
{
    struct slice line = {s->line, s->n}, size;
    if (!slice_cut(&line, ';', &size) || !slice_hex_u64(slice_trim(size), &s->left)) {
        tell_counted(d, who);
        s->state = RAW;
        return;
    }
    s->state = s->left ? CHUNK : TRAILERS;
    if (s->left == 0) {
        s->state = CHUNK; /* for the words of tell_counted */
        tell_counted(d, who);
        s->state = TRAILERS;
    }
}

/* -- line protocols -- */

static void protocol_line(struct dialogue *d, char who, struct dialogue_side *s)
{
    struct slice line = {s->line, s->n}, word;
    if (who == 'S' && slice_starts(line, S("354"))) {
        d->side[CLIENT].state = MESSAGE;
    } else if (who == 'C' && slice_starts_case(line, S("BDAT "))) {
        line = slice_from(line, 5);
        if (slice_cut(&line, ' ', &word) && slice_u64(word, &s->body) && s->body) {
            s->left = s->body;
            s->state = BODY;
        }
    }
}

/* A whole line, without its end, is in s->line. */
static void line_done(struct dialogue *d, char who, struct dialogue_side *s)
{
    if (s->n && s->line[s->n - 1] == '\r')
        s->n--;
    switch ((enum state)s->state) {
    case START:
        if (s->n == 0 && d->kind == DIALOGUE_HTTP)
            return; /* RFC 9112 section 2.2: an empty line ahead of a request */
        tell_line(d, who, s);
        if (d->kind == DIALOGUE_HTTP)
            start_line(d, who, s);
        else
            protocol_line(d, who, s);
        return;
    case FIELDS:
        if (s->n == 0) {
            head_done(d, who, s);
            return;
        }
        tell_line(d, who, s);
        field_line(s);
        return;
    case CHUNK_SIZE:
        chunk_size(d, who, s);
        return;
    case CHUNK_END:
        s->state = CHUNK_SIZE;
        return;
    case TRAILERS:
        if (s->n == 0)
            s->state = START;
        else
            tell_line(d, who, s);
        return;
    case MESSAGE:
        s->seen += s->n + s->cut + 2;
        if (s->n == 1 && s->cut == 0 && s->line[0] == '.') {
            s->seen -= 3;
            tell_counted(d, who);
            s->state = START;
        }
        return;
    default:
        return;
    }
}

/* -- what is counted -- */

static void counted(struct dialogue *d, char who, struct dialogue_side *s, uint64_t n)
{
    s->seen += n;
    if (s->left != UINT64_MAX)
        s->left -= n;
    if (s->left)
        return;
    if (s->state == CHUNK) {
        s->state = CHUNK_END;
    } else {
        tell_counted(d, who);
        s->state = START;
    }
}

/* -- HTTP/2 frames: nine bytes of header, of which and of the first of its payload a line is made -- */

static size_t frame_wanted(const struct dialogue_side *s)
{
    return s->n < FRAME_HEADER ? FRAME_HEADER : FRAME_HEADER + frame_peek(s->line);
}

static size_t frame_bytes(struct dialogue *d, char who, struct dialogue_side *s, struct slice in)
{
    size_t used = 0;
    if (s->left) {
        used = in.n < s->left ? in.n : (size_t)s->left;
        s->left -= used;
        return used;
    }
    while (used < in.n && s->n < frame_wanted(s))
        s->line[s->n++] = in.p[used++];
    if (s->n >= FRAME_HEADER && s->n == frame_wanted(s)) {
        char text[160];
        s->left = frame_text(slice_of(s->line, s->n), text, sizeof text) - (s->n - FRAME_HEADER);
        s->n = 0;
        tell(d, who, slice_z(text));
    }
    return used;
}

static size_t preface_bytes(struct dialogue_side *s, struct slice in)
{
    static const size_t rest = sizeof "\r\nSM\r\n\r\n" - 1;
    size_t used = in.n < rest - s->n ? in.n : rest - s->n;
    s->n += used;
    if (s->n == rest) {
        s->n = 0;
        s->left = 0;
        s->state = FRAME;
    }
    return used;
}

static size_t line_bytes(struct dialogue *d, char who, struct dialogue_side *s, struct slice in)
{
    size_t end = slice_find(in, '\n', 0), n = end == SIZE_MAX ? in.n : end, room = sizeof s->line - s->n;
    size_t take = n < room ? n : room;
    memcpy(s->line + s->n, in.p, take);
    s->n += take;
    s->cut += n - take;
    if (end == SIZE_MAX)
        return in.n;
    line_done(d, who, s);
    s->n = 0;
    s->cut = 0;
    return end + 1;
}

static size_t step(struct dialogue *d, char who, struct slice in)
{
    struct dialogue_side *s = side_of(d, who);
    uint64_t n;
    switch ((enum state)s->state) {
    case RAW:
        s->seen += in.n;
        return in.n;
    case BODY:
    case CHUNK:
        n = in.n < s->left ? in.n : s->left;
        counted(d, who, s, n);
        return (size_t)n;
    case PREFACE:
        return preface_bytes(s, in);
    case FRAME:
        return frame_bytes(d, who, s, in);
    default:
        return line_bytes(d, who, s, in);
    }
}

/* When the other side takes over, a line without an end and bytes of unknown shape are due. */
static void turn(struct dialogue *d, char who)
{
    char other = who == 'C' ? 'S' : 'C';
    struct dialogue_side *s = side_of(d, other);
    if (d->last == who)
        return;
    d->last = who;
    if (s->state == RAW)
        tell_counted(d, other);
    if (d->kind == DIALOGUE_LINES && s->state == START && s->n) {
        tell_line(d, other, s);
        s->n = 0;
        s->cut = 0;
    }
}

void dialogue_feed(struct dialogue *d, char who, struct slice in)
{
    turn(d, who);
    while (in.n)
        in = slice_from(in, step(d, who, in));
}

void dialogue_skip(struct dialogue *d, char who, uint64_t n)
{
    struct dialogue_side *s = side_of(d, who);
    turn(d, who);
    if ((s->state == BODY || s->state == CHUNK) && n <= s->left) {
        counted(d, who, s, n);
    } else {
        s->seen += n;
        if (s->state != RAW)
            tell_counted(d, who);
    }
}

void dialogue_end(struct dialogue *d)
{
    for (int i = 0; i < 2; i++) {
        char who = i == CLIENT ? 'C' : 'S';
        struct dialogue_side *s = &d->side[i];
        bool text = s->state == START || s->state == FIELDS || s->state == TRAILERS;
        if (text && s->n)
            tell_line(d, who, s);
        s->n = 0;
        tell_counted(d, who);
    }
}
