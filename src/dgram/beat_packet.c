/* SPDX-License-Identifier: MIT */
#include "dgram/beat_packet.h"

#include <stdio.h>

#include "base/check.h"
#include "base/text.h"

enum { VERSION = 1, KIND_AT = 5, FLAGS_AT = 6, NEXT_AT = 28, ROWS_AT = 56, ROW_FIXED = 113 };
static const char magic[4] = {'L', '7', 'H', 'B'};

const char *const beat_state_names[BEAT_STATES] = {"new", "up", "late", "down", "stopped"};

/* ---- Text ---- */

static struct slice trim(struct slice s)
{
    while (s.n && strchr(" \t\r\n", s.p[s.n - 1])) /* NUL, which pads some, is found too */
        s.n--;
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = slice_from(s, 1);
    return s;
}

enum beat_kind beat_kind(struct slice s)
{
    if (s.n >= BEAT_HEAD && memcmp(s.p, magic, sizeof magic) == 0) {
        uint8_t kind = (uint8_t)s.p[KIND_AT];
        return s.p[4] == VERSION && kind >= BEAT_BEAT && kind <= BEAT_ANSWER ? (enum beat_kind)kind : BEAT_NONE;
    }
    if (s.n && ascii_digit(s.p[0]))
        return BEAT_TEXT;
    return slice_eq_case(trim(s), S("online")) ? BEAT_ONLINE : BEAT_NONE;
}

/* Seconds with any number of decimals, as time.time() prints them; digits past the ninth are cut. */
static bool seconds(struct slice s, int64_t *ns)
{
    uint64_t whole, part = 0;
    size_t dot = slice_find(s, '.', 0);
    if (!slice_u64(slice_first(s, dot), &whole) || whole > INT64_MAX / 1000000000 - 1)
        return false;
    if (dot != SIZE_MAX) {
        struct slice digits = slice_first(slice_from(s, dot + 1), 9);
        if (slice_from(s, dot + 1).n > 9 && !slice_u64(slice_first(slice_from(s, dot + 10), 18), &part))
            return false;
        if (!slice_u64(digits, &part))
            return false;
        for (size_t i = digits.n; i < 9; i++)
            part *= 10;
    }
    *ns = (int64_t)(whole * 1000000000 + part);
    return true;
}

err_t beat_parse_text(struct slice s, struct beat *out)
{
    struct slice rest = trim(s), number;
    struct beat b = {.text = true};
    if (rest.n > 64 || !slice_cut(&rest, ' ', &number) || !slice_u64(number, &b.sequence) ||
        !seconds(slice_trim(rest), &b.sent_ns))
        return E_DATA;
    *out = b;
    return NULL;
}

size_t beat_format_text(const struct beat *b, char *out, size_t cap)
{
    int n = snprintf(out, cap, "%llu %lld.%06lld", (unsigned long long)b->sequence,
                     (long long)(b->sent_ns / 1000000000), (long long)(b->sent_ns % 1000000000 / 1000));
    CHECK(n > 0 && (size_t)n < cap);
    return (size_t)n;
}

bool beat_id_valid(struct slice id)
{
    if (id.n < 1 || id.n > BEAT_ID_MAX || !text_utf8_valid(id))
        return false;
    for (size_t i = 0; i < id.n; i++) {
        unsigned char c = (unsigned char)id.p[i];
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)id.p[i + 1] < 0xa0)) /* C0, DEL, C1 */
            return false;
    }
    return true;
}

/* ---- Heads and trailers ---- */

static void put_head(struct cursor *c, enum beat_kind kind, unsigned flags, size_t id)
{
    cursor_put_bytes(c, slice_of(magic, sizeof magic));
    cursor_put(c, VERSION, 1);
    cursor_put(c, kind, 1);
    cursor_put(c, flags, 1);
    cursor_put(c, id, 1);
}

/* Cuts the trailer off `*body` when the flags announce one. */
static bool take_seal(struct slice *body, struct beat_seal *seal)
{
    *seal = (struct beat_seal){.sealed = body->p[FLAGS_AT] & BEAT_SIGNED};
    if (!seal->sealed)
        return true;
    if (body->n < BEAT_HEAD + BEAT_TRAILER)
        return false;
    struct cursor c = cursor_reader(slice_from(*body, body->n - BEAT_TRAILER));
    seal->key = cursor_get_u32(&c);
    seal->covered = slice_first(*body, body->n - BEAT_TAG);
    seal->tag = slice_from(*body, body->n - BEAT_TAG);
    body->n -= BEAT_TRAILER;
    return true;
}

/* ---- Beats ---- */

err_t beat_parse(struct slice s, struct beat *out)
{
    struct beat b = {.text = false};
    unsigned flags = s.n >= BEAT_HEAD ? (uint8_t)s.p[FLAGS_AT] : 0;
    if (beat_kind(s) != BEAT_BEAT || flags & ~(unsigned)(BEAT_SIGNED | BEAT_GOODBYE) || !take_seal(&s, &b.seal))
        return E_DATA;
    struct cursor c = cursor_reader(slice_from(s, 7));
    size_t id = cursor_get_u8(&c);
    b.goodbye = flags & BEAT_GOODBYE;
    b.incarnation = cursor_get_u64(&c);
    b.sequence = cursor_get_u64(&c);
    b.sent_ns = (int64_t)cursor_get_u64(&c);
    b.interval_ns = (int64_t)cursor_get_u64(&c);
    b.id = cursor_get_bytes(&c, id);
    bool interval = b.interval_ns >= 0 && b.interval_ns <= BEAT_INTERVAL_MAX;
    if (c.bad || cursor_left(&c) || !beat_id_valid(b.id) || !interval || b.sent_ns < 0 || !b.sequence)
        return E_DATA;
    *out = b;
    return NULL;
}

size_t beat_format(const struct beat *b, uint8_t *out)
{
    CHECK(beat_id_valid(b->id));
    struct cursor c = cursor_writer(out, BEAT_MAX);
    put_head(&c, BEAT_BEAT, (b->seal.sealed ? BEAT_SIGNED : 0u) | (b->goodbye ? BEAT_GOODBYE : 0u), b->id.n);
    cursor_put(&c, b->incarnation, 8);
    cursor_put(&c, b->sequence, 8);
    cursor_put(&c, (uint64_t)b->sent_ns, 8);
    cursor_put(&c, (uint64_t)b->interval_ns, 8);
    cursor_put_bytes(&c, b->id);
    if (b->seal.sealed)
        cursor_put(&c, b->seal.key, 4);
    CHECK(!c.bad);
    return c.at;
}

/* ---- Watching ---- */

err_t beat_ask_parse(struct slice s, struct beat_ask *out)
{
    struct beat_ask ask = {.from = 0};
    if (beat_kind(s) != BEAT_ASK || !take_seal(&s, &ask.seal) || s.n < BEAT_ASK_MIN)
        return E_DATA;
    struct cursor c = cursor_reader(slice_from(s, BEAT_HEAD));
    ask.nonce = cursor_get_u64(&c);
    ask.from = cursor_get_u32(&c);
    *out = ask;
    return NULL;
}

size_t beat_ask_format(const struct beat_ask *ask, uint8_t *out, size_t size)
{
    size_t trailer = ask->seal.sealed ? BEAT_TRAILER : 0;
    CHECK(size >= BEAT_ASK_MIN + trailer);
    struct cursor c = cursor_writer(out, size);
    put_head(&c, BEAT_ASK, ask->seal.sealed ? BEAT_SIGNED : 0, 0);
    cursor_put(&c, ask->nonce, 8);
    cursor_put(&c, ask->from, 4);
    cursor_put_zeros(&c, size - trailer - c.at);
    if (ask->seal.sealed)
        cursor_put(&c, ask->seal.key, 4);
    CHECK(!c.bad);
    return c.at;
}

void beat_answer_start(struct beat_writer *w, const struct beat_answer *a, uint8_t *out, size_t size)
{
    CHECK(size >= BEAT_ANSWER_HEAD + BEAT_TRAILER);
    size_t trailer = a->seal.sealed ? BEAT_TRAILER : 0;
    *w = (struct beat_writer){.out = cursor_writer(out, size - trailer), .sealed = a->seal.sealed};
    put_head(&w->out, BEAT_ANSWER, a->seal.sealed ? BEAT_SIGNED : 0, 0);
    cursor_put(&w->out, a->nonce, 8);
    cursor_put(&w->out, a->instance, 8);
    cursor_put(&w->out, a->from, 4);
    cursor_put(&w->out, a->next, 4);
    cursor_put(&w->out, a->slots, 4);
    cursor_put(&w->out, a->senders, 4);
    cursor_put_zeros(&w->out, 8);
    cursor_put(&w->out, (uint64_t)a->wall_ns, 8);
    cursor_put_zeros(&w->out, 4); /* rows, and two bytes that are zero */
}

static void put_addr(struct cursor *c, const struct addr *a)
{
    bool six = a->sa.sa_family == AF_INET6;
    cursor_put(c, six ? 6 : a->sa.sa_family == AF_INET ? 4 : 0, 1);
    if (six)
        cursor_put_bytes(c, slice_of(&a->v6.sin6_addr, 16));
    else
        cursor_put_bytes(c, slice_of(&a->v4.sin_addr, 4)), cursor_put_zeros(c, 12);
    cursor_put(c, addr_port(a), 2);
}

static bool get_addr(struct cursor *c, struct addr *out)
{
    *out = (struct addr){.len = 0};
    unsigned family = cursor_get_u8(c);
    struct slice bytes = cursor_get_bytes(c, 16);
    uint16_t port = cursor_get_u16(c);
    if (c->bad || (family != 4 && family != 6 && family != 0))
        return false;
    if (family == 6) {
        out->len = sizeof out->v6;
        out->v6.sin6_family = AF_INET6;
        memcpy(&out->v6.sin6_addr, bytes.p, 16);
    } else if (family == 4) {
        out->len = sizeof out->v4;
        out->v4.sin_family = AF_INET;
        memcpy(&out->v4.sin_addr, bytes.p, 4);
    }
    if (family)
        addr_set_port(out, port);
    return true;
}

enum row_flags { ROW_TEXT = 1, ROW_FLAPPING = 2, ROW_SEALED = 4 };

bool beat_answer_row(struct beat_writer *w, const struct beat_row *r)
{
    struct cursor *c = &w->out;
    if (cursor_left(c) < ROW_FIXED + r->id.n || w->rows == UINT16_MAX)
        return false;
    cursor_put(c, r->id.n, 1);
    cursor_put(c, r->state, 1);
    cursor_put(c, (r->text ? ROW_TEXT : 0u) | (r->flapping ? ROW_FLAPPING : 0u) | (r->sealed ? ROW_SEALED : 0u), 1);
    put_addr(c, &r->peer);
    cursor_put(c, r->incarnation, 8);
    cursor_put(c, r->sequence, 8);
    cursor_put(c, r->received, 8);
    cursor_put(c, r->lost, 8);
    cursor_put(c, r->duplicates, 4);
    cursor_put(c, r->reordered, 4);
    cursor_put(c, r->restarts, 4);
    cursor_put(c, (uint64_t)r->since_ms, 8);
    cursor_put(c, (uint64_t)r->state_ms, 8);
    cursor_put(c, (uint64_t)r->left_ms, 8);
    cursor_put(c, (uint64_t)r->interval_us, 8);
    cursor_put(c, r->jitter_us, 4);
    cursor_put(c, (uint64_t)r->delay_us, 8);
    cursor_put_zeros(c, 3);
    cursor_put_bytes(c, r->id);
    CHECK(!c->bad);
    w->rows++;
    return true;
}

size_t beat_answer_end(struct beat_writer *w, uint32_t next, uint32_t key)
{
    struct cursor c = cursor_writer(w->out.p, w->out.at);
    c.at = NEXT_AT;
    cursor_put(&c, next, 4);
    c.at = ROWS_AT;
    cursor_put(&c, w->rows, 2);
    if (!w->sealed)
        return w->out.at;
    w->out.n += BEAT_TRAILER;
    cursor_put(&w->out, key, 4);
    return w->out.at;
}

err_t beat_answer_parse(struct slice s, struct beat_answer *out, struct cursor *rows)
{
    struct beat_answer a = {.from = 0};
    if (beat_kind(s) != BEAT_ANSWER || !take_seal(&s, &a.seal) || s.n < BEAT_ANSWER_HEAD)
        return E_DATA;
    struct cursor c = cursor_reader(slice_from(s, BEAT_HEAD));
    a.nonce = cursor_get_u64(&c);
    a.instance = cursor_get_u64(&c);
    a.from = cursor_get_u32(&c);
    a.next = cursor_get_u32(&c);
    a.slots = cursor_get_u32(&c);
    a.senders = cursor_get_u32(&c);
    (void)cursor_get_u64(&c);
    a.wall_ns = (int64_t)cursor_get_u64(&c);
    a.rows = cursor_get_u16(&c);
    (void)cursor_get_u16(&c);
    if (c.bad)
        return E_DATA;
    *out = a;
    *rows = c;
    return NULL;
}

err_t beat_answer_next(struct cursor *c, struct beat_row *out)
{
    struct beat_row r = {.state = BEAT_NEW};
    size_t id = cursor_get_u8(c);
    unsigned state = cursor_get_u8(c), flags = cursor_get_u8(c);
    if (state >= BEAT_STATES || !get_addr(c, &r.peer))
        return E_DATA;
    r.state = (enum beat_state)state;
    r.text = flags & ROW_TEXT;
    r.flapping = flags & ROW_FLAPPING;
    r.sealed = flags & ROW_SEALED;
    r.incarnation = cursor_get_u64(c);
    r.sequence = cursor_get_u64(c);
    r.received = cursor_get_u64(c);
    r.lost = cursor_get_u64(c);
    r.duplicates = cursor_get_u32(c);
    r.reordered = cursor_get_u32(c);
    r.restarts = cursor_get_u32(c);
    r.since_ms = (int64_t)cursor_get_u64(c);
    r.state_ms = (int64_t)cursor_get_u64(c);
    r.left_ms = (int64_t)cursor_get_u64(c);
    r.interval_us = (int64_t)cursor_get_u64(c);
    r.jitter_us = cursor_get_u32(c);
    r.delay_us = (int64_t)cursor_get_u64(c);
    (void)cursor_get_bytes(c, 3);
    r.id = cursor_get_bytes(c, id);
    if (c->bad || !beat_id_valid(r.id))
        return E_DATA;
    *out = r;
    return NULL;
}
