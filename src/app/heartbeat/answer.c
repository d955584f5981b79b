/* SPDX-License-Identifier: MIT */
/*
 * answer.c -- who is alive? `online` in text, and questions of the watch protocol.
 *
 * Nobody is sent more bytes than he sent, so forged sources gain nothing; only askers on loopback or in --trust get
 * the whole list for a bare `online`. When there are keys, strangers must sign their questions.
 */
#include <stdio.h>
#include <stdlib.h>

#include "app/heartbeat/listener_port.h"
#include "base/check.h"
#include "base/stat.h"
#include "rt/loop.h"

enum {
    LIST_DATAGRAM = 1024,
    LISTS_MAX = 4,
    LINE_MAX_BYTES = 160,
    LOOK_MAX = 4096, /* slots a question, or before others have their turn: who is gone leaves empty ones behind */
};

static void send_one(struct port *p, const struct datagram *asked, struct slice bytes)
{
    struct datagram d = {.peer = asked->peer, .payload = bytes, .ttl = -1, .tos = -1};
    unsigned sent = 0;
    if (!udp_send(p->fd, p->out, &d, 1, &sent, after(100)))
        stat_add(STAT_BEAT_ANSWERS, sent);
}

/* "NAME SEQ SECONDS": who, the last sequence number, the time left before it counts as down. Blanks in a name become
   underscores, so that the line can be split. 0 when the slot holds nobody alive. */
static size_t line_of(struct listener *l, uint32_t slot, tick t, char out[LINE_MAX_BYTES])
{
    struct beat_row row;
    char id[BEAT_ID_MAX];
    if (!senders_row(&l->senders, slot, t, &row, id) || (row.state != BEAT_UP && row.state != BEAT_LATE))
        return 0;
    for (size_t i = 0; i < row.id.n; i++)
        id[i] = id[i] == ' ' ? '_' : id[i];
    int64_t left = row.left_ms > 0 ? row.left_ms : 0;
    int n = snprintf(out, LINE_MAX_BYTES, "%.*s %llu %lld.%lld\n", SLICE_ARG(row.id), (unsigned long long)row.sequence,
                     (long long)(left / 1000), (long long)(left % 1000 / 100));
    CHECK(n > 0 && n < LINE_MAX_BYTES);
    return (size_t)n;
}

struct listing {
    struct port *p;
    struct datagram asked;
};

static void send_list(void *arg)
{
    struct listing *list = arg;
    struct port *p = list->p;
    char text[LIST_DATAGRAM];
    size_t n = 0;
    bool any = false;
    for (uint32_t slot = 0, end = senders_slots(&p->l->senders); slot < end; slot++) {
        char line[LINE_MAX_BYTES];
        size_t add = line_of(p->l, slot, now(), line);
        bool full = n + add > sizeof text;
        if (full) {
            send_one(p, &list->asked, slice_of(text, n));
            any = true;
            n = 0;
        }
        if ((full || slot % LOOK_MAX == LOOK_MAX - 1) && fiber_yield())
            break;
        memcpy(text + n, line, add);
        n += add;
    }
    if (n || !any) /* nobody alive: an empty datagram, so that the asker need not wait */
        send_one(p, &list->asked, slice_of(text, n));
    p->lists--;
    free(list);
}

static void send_what_fits(struct port *p, const struct datagram *d)
{
    char text[LIST_DATAGRAM];
    size_t n = 0, most = d->payload.n < sizeof text ? d->payload.n : sizeof text;
    uint32_t end = senders_slots(&p->l->senders);
    for (uint32_t slot = 0; slot < end && slot < LOOK_MAX && n + 6 <= most; slot++) {
        char line[LINE_MAX_BYTES];
        size_t add = line_of(p->l, slot, now(), line);
        if (n + add > most)
            break;
        memcpy(text + n, line, add);
        n += add;
    }
    if (n)
        send_one(p, d, slice_of(text, n));
}

void answer_online(struct port *p, const struct datagram *d)
{
    if (!listener_trusts(p->l, &d->peer)) {
        if (p->l->keys.n)
            stat_add(STAT_BEATS_UNSIGNED, 1);
        else
            send_what_fits(p, d);
        return;
    }
    struct listing *list = p->lists < LISTS_MAX ? malloc(sizeof *list) : NULL;
    if (!list)
        return; /* he asks faster than we can tell */
    *list = (struct listing){p, *d};
    list->asked.payload = SLICE_NONE;
    p->lists++;
    if (scope_spawn(p->scope, "heartbeat list", send_list, list)) {
        p->lists--;
        free(list);
    }
}

void answer_ask(struct port *p, const struct datagram *d)
{
    struct listener *l = p->l;
    struct beat_ask ask;
    if (beat_ask_parse(d->payload, &ask)) {
        stat_add(STAT_BEATS_MALFORMED, 1);
        return;
    }
    bool right = listener_seal_right(l, &ask.seal);
    if (ask.seal.sealed ? !right : l->keys.n && !listener_trusts(l, &d->peer)) {
        stat_add(ask.seal.sealed ? STAT_BEATS_FORGED : STAT_BEATS_UNSIGNED, 1);
        return;
    }
    uint8_t out[PORT_DATAGRAM];
    size_t size = d->payload.n - (ask.seal.sealed ? BEAT_TAG : 0);
    if (size < BEAT_ANSWER_HEAD + BEAT_TRAILER)
        return;
    uint32_t slots = senders_slots(&l->senders), next = ask.from;
    uint32_t end = next < slots && slots - next > LOOK_MAX ? next + LOOK_MAX : slots;
    struct beat_writer w;
    struct beat_answer a = {.nonce = ask.nonce,
                            .instance = l->instance,
                            .from = ask.from,
                            .slots = slots,
                            .senders = senders_count(&l->senders, NULL),
                            .wall_ns = clock_wall(),
                            .seal = ask.seal};
    beat_answer_start(&w, &a, out, size);
    tick t = clock_now();
    for (struct beat_row row; next < end; next++) {
        char id[BEAT_ID_MAX];
        if (senders_row(&l->senders, next, t, &row, id) && !beat_answer_row(&w, &row))
            break;
    }
    size_t n = beat_answer_end(&w, next, ask.seal.key);
    if (ask.seal.sealed)
        n = digest_hmac_append(digest_keys_find(&l->keys, ask.seal.key), out, n, BEAT_TAG);
    send_one(p, d, slice_of(out, n));
}
