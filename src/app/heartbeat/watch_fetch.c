/* SPDX-License-Identifier: MIT */
#include "app/heartbeat/watch_fetch.h"

#include "base/random.h"
#include "rt/loop.h"

enum { STRANDS = 8, BATCH = 16, TRIES = 5 };
#define PATIENCE_FIRST (300 * TICK_MS)

struct strand {
    uint32_t at, end; /* slots still to ask for */
    int tries;
    tick asked;
};

err_t fetch_open(struct fetch *f, const struct addr *to, const struct digest_keys *keys)
{
    *f = (struct fetch){.fd = -1, .keys = keys, .nonce = random_u64() << 4};
    TRY(udp_dial(to, &f->fd));
    return udp_batch_new(BATCH, BEAT_DATAGRAM + 64, &f->batch);
}

void fetch_close(struct fetch *f)
{
    if (f->fd >= 0)
        io_close(f->fd);
    udp_batch_free(f->batch);
    f->fd = -1;
    f->batch = NULL;
}

/* The nonce names the round and the strand; an answer to anything else is not for us. */
static err_t ask(struct fetch *f, int k, struct strand *s, tick until)
{
    uint8_t out[BEAT_DATAGRAM];
    bool sealed = f->keys->n > 0;
    struct beat_ask q = {
        .nonce = f->nonce | (unsigned)k, .from = s->at, .seal = {.sealed = sealed, .key = sealed ? f->keys->id[0] : 0}};
    size_t n = beat_ask_format(&q, out, sizeof out);
    if (sealed)
        n = digest_hmac_append(f->keys->key[0], out, n, BEAT_TAG);
    struct datagram d = {.payload = slice_of(out, n), .ttl = -1, .tos = -1};
    unsigned sent = 0;
    s->asked = clock_now();
    s->tries++;
    return udp_send(f->fd, f->batch, &d, 1, &sent, until);
}

static bool right(const struct fetch *f, const struct beat_answer *a)
{
    if (!f->keys->n)
        return true;
    const struct digest_key *key = a->seal.sealed ? digest_keys_find(f->keys, a->seal.key) : NULL;
    return key && digest_hmac_is(key, a->seal.covered, a->seal.tag.p, BEAT_TAG);
}

static err_t take(struct fetch *f, struct slice bytes, struct strand *strands, int n, struct view_rows *rows,
                  uint32_t *slots)
{
    struct beat_answer a;
    struct cursor c;
    if (beat_answer_parse(bytes, &a, &c) || !right(f, &a) || (a.nonce & ~UINT64_C(15)) != f->nonce)
        return NULL;
    unsigned k = a.nonce & 15;
    if (k >= (unsigned)n || a.from != strands[k].at || strands[k].at >= strands[k].end)
        return NULL; /* an answer to a question asked twice */
    struct beat_row row;
    for (int i = 0; i < a.rows; i++) {
        if (beat_answer_next(&c, &row))
            return NULL;
        TRY(view_add(rows, &row));
    }
    if (a.next <= a.from && a.next < a.slots)
        return fault(E_PROTO, "an answer that does not get on");
    *slots = a.slots;
    strands[k].at = a.next > a.from ? a.next : strands[k].end;
    strands[k].tries = 0;
    strands[k].asked = 0;
    return NULL;
}

static bool over(const struct strand *strands, int n)
{
    for (int k = 0; k < n; k++)
        if (strands[k].at < strands[k].end)
            return false;
    return true;
}

static err_t run_strands(struct fetch *f, struct strand *strands, int n, struct view_rows *rows, uint32_t *slots,
                         tick until)
{
    while (!over(strands, n)) {
        tick t = clock_now();
        for (int k = 0; k < n; k++) {
            struct strand *s = &strands[k];
            if (s->at >= s->end || (s->asked && t - s->asked < PATIENCE_FIRST * s->tries))
                continue;
            if (s->tries == TRIES)
                return E_TIMEOUT;
            err_t e = ask(f, k, s, until);
            if (e == E_CANCELED)
                return e;
        }
        struct datagram *d;
        unsigned got = 0;
        tick wait = clock_now() + PATIENCE_FIRST / 3;
        err_t e = udp_recv(f->fd, f->batch, &d, &got, wait < until ? wait : until);
        if (e && (e != E_TIMEOUT || clock_now() >= until))
            return e;
        for (unsigned i = 0; i < got; i++)
            TRY(take(f, d[i].payload, strands, n, rows, slots));
    }
    return NULL;
}

/* Strands may overlap at their seams, and senders move while we ask: the merge keeps one row a name. */
err_t fetch_table(struct fetch *f, struct view_rows *rows, tick until)
{
    struct strand strands[STRANDS] = {{.end = 1}};
    uint32_t slots = 0;
    rows->n = 0;
    f->nonce += 16;
    TRY(run_strands(f, strands, 1, rows, &slots, until)); /* the first answer tells how much there is */
    uint32_t from = strands[0].at, each = slots > from ? (slots - from + STRANDS - 1) / STRANDS : 0;
    if (!each)
        return NULL;
    f->nonce += 16;
    for (uint32_t k = 0; k < STRANDS; k++) {
        uint32_t start = from + k * each, end = start + each;
        strands[k] = (struct strand){.at = start < slots ? start : slots, .end = end < slots ? end : slots};
    }
    uint32_t ignored;
    return run_strands(f, strands, STRANDS, rows, &ignored, until);
}
