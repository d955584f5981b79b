/* SPDX-License-Identifier: MIT */
#include "app/heartbeat/sender_record.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"

enum { WINDOW = 128, SPAN_MAX = 255 };
#define CLOCK_SET (60 * TICK_S) /* no datagram is under way for so long */
/* A down costs one point of penalty, halved every half-life: at FLAP_MUTE a sender is muted, at FLAP_CALM heard again.
 */
#define FLAP_MUTE 5.5
#define FLAP_CALM 2.0

/* ---- Names ---- */

static void host_bytes(const struct addr *a, uint8_t out[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (a->sa.sa_family == AF_INET6) {
        memcpy(out, &a->v6.sin6_addr, 16);
    } else {
        memcpy(out, mapped, 12);
        memcpy(out + 12, &a->v4.sin_addr, 4);
    }
}

void sender_name_of(const struct beat *b, const struct addr *peer, struct sender_name *n)
{
    *n = (struct sender_name){.text = b->text, .id = b->id, .port = addr_port(peer)};
    host_bytes(peer, n->host);
}

void sender_name(const struct sender *r, struct sender_name *n)
{
    *n = (struct sender_name){.text = r->text, .id = slice_of(r->id, r->id_size), .port = r->port};
    memcpy(n->host, r->host, sizeof n->host);
}

bool sender_is(const struct sender *r, const struct sender_name *n)
{
    if (r->text != n->text)
        return false;
    if (r->text)
        return r->port == n->port && memcmp(r->host, n->host, sizeof r->host) == 0;
    return slice_eq(slice_of(r->id, r->id_size), n->id);
}

void sender_peer(const struct sender *r, struct addr *out)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    *out = (struct addr){.len = 0};
    if (memcmp(r->host, mapped, 12) == 0) {
        out->len = sizeof out->v4;
        out->v4.sin_family = AF_INET;
        memcpy(&out->v4.sin_addr, r->host + 12, 4);
    } else {
        out->len = sizeof out->v6;
        out->v6.sin6_family = AF_INET6;
        memcpy(&out->v6.sin6_addr, r->host, 16);
    }
    addr_set_port(out, r->port);
}

struct slice sender_id(const struct sender *r, char out[BEAT_ID_MAX])
{
    if (!r->text) {
        memcpy(out, r->id, r->id_size);
        return slice_of(out, r->id_size);
    }
    struct addr a;
    char text[ADDR_TEXT];
    sender_peer(r, &a);
    struct slice s = slice_first(slice_z(addr_text(&a, text)), BEAT_ID_MAX);
    memcpy(out, s.p, s.n);
    return slice_of(out, s.n);
}

void sender_init(struct sender *r, const struct sender_name *n, tick now)
{
    *r = (struct sender){.port = n->port, .used = true, .text = n->text, .last = now, .changed = now};
    memcpy(r->host, n->host, sizeof r->host);
    if (n->text)
        return;
    CHECK(n->id.n <= sizeof r->id);
    memcpy(r->id, n->id.p, n->id.n);
    r->id_size = (uint8_t)n->id.n;
}

/* ---- The window of sequence numbers ---- */

static bool window_has(const struct sender *r, uint64_t back)
{
    return r->window[back / 64] >> back % 64 & 1;
}

static void window_set(struct sender *r, uint64_t back)
{
    r->window[back / 64] |= UINT64_C(1) << back % 64;
}

static void window_shift(struct sender *r, uint64_t by)
{
    if (by >= WINDOW) {
        r->window[0] = r->window[1] = 0;
    } else if (by >= 64) {
        r->window[1] = r->window[0] << (by - 64);
        r->window[0] = 0;
    } else if (by) {
        r->window[1] = r->window[1] << by | r->window[0] >> (64 - by);
        r->window[0] <<= by;
    }
}

/* A count of its own begins with sequence `first`; what should have come before stays counted. */
static void count_from(struct sender *r, uint64_t first, uint64_t newest, uint64_t expected)
{
    uint64_t span = newest - first;
    r->newest = newest;
    r->expected_base = (int64_t)(expected - first + 1);
    r->span = (uint8_t)(span > SPAN_MAX ? SPAN_MAX : span);
    r->window[0] = r->window[1] = 0;
    window_set(r, 0);
    r->received++;
}

static uint64_t expected(const struct sender *r)
{
    return (uint64_t)r->expected_base + r->newest;
}

uint64_t sender_lost(const struct sender *r)
{
    uint64_t e = expected(r);
    return e > r->received ? e - r->received : 0;
}

/* ---- Beats ---- */

static bool dead(const struct sender *r)
{
    return r->state == BEAT_DOWN || r->state == BEAT_STOPPED;
}

/* Text beats have no incarnation: a number that goes back although the beat was sent later is a restart, and so is one
   that comes from the dead and by its time should have come long ago: the sender's clock was set back. */
static enum sender_place place_back(const struct sender *r, const struct beat *b)
{
    uint64_t back = r->newest - b->sequence;
    int64_t later = b->text ? b->sent_ns - (int64_t)r->incarnation : 0;
    if (later > 0 || (later < -CLOCK_SET && dead(r)))
        return SENDER_RESTARTED;
    if (back >= WINDOW)
        return SENDER_OLD;
    return window_has(r, back) ? SENDER_SEEN : SENDER_BEHIND;
}

enum sender_place sender_place(const struct sender *r, const struct beat *b)
{
    if (!b->text && b->incarnation != r->incarnation) {
        bool later = b->incarnation > r->incarnation;
        /* Without signatures nobody can be kept from replaying anyway; then a clock that was set back must not
           lock a sender out for ever. */
        return later || (dead(r) && !b->seal.sealed && !r->sealed) ? SENDER_RESTARTED : SENDER_OLD;
    }
    return b->sequence > r->newest ? SENDER_AHEAD : place_back(r, b);
}

static void note_beat(struct sender *r, const struct beat *b, tick at)
{
    r->incarnation = b->text ? (uint64_t)b->sent_ns : b->incarnation;
    r->interval = (float)b->interval_ns;
    r->last = at;
}

void sender_begin(struct sender *r, const struct beat *b, tick at, const struct detector_aim *aim)
{
    count_from(r, b->sequence, b->sequence, 0);
    note_beat(r, b, at);
    detector_start(&r->d, b->interval_ns, at);
    if (aim->rate > 0)
        detector_solve(&r->d, aim);
}

void sender_restart(struct sender *r, const struct beat *b, tick at)
{
    /* A known sender counts from 1 again, so what was lost of its first beats is known. Text may begin anywhere. */
    bool from_one = !b->text && b->sequence <= WINDOW;
    count_from(r, from_one ? 1 : b->sequence, b->sequence, expected(r));
    r->restarts = (uint16_t)(r->restarts + (r->restarts < UINT16_MAX));
    r->resync = false;
    if ((double)b->interval_ns != (double)r->interval)
        detector_start(&r->d, b->interval_ns, at);
    else
        detector_rebase(&r->d, at);
    note_beat(r, b, at);
}

void sender_advance(struct sender *r, const struct beat *b, tick at, bool alarmed, const struct detector_aim *aim)
{
    uint64_t jump = b->sequence - r->newest;
    bool other = (float)b->interval_ns != r->interval;
    if (r->resync) {
        count_from(r, b->sequence, b->sequence, expected(r));
        r->resync = false;
        detector_rebase(&r->d, at);
    } else {
        window_shift(r, jump);
        window_set(r, 0);
        r->newest = b->sequence;
        r->received++;
        r->span = (uint8_t)(jump > (uint64_t)(SPAN_MAX - r->span) ? SPAN_MAX : r->span + jump);
        if (other)
            detector_start(&r->d, b->interval_ns, at);
        else
            detector_beat(&r->d, jump, at, alarmed, aim);
    }
    if (other && aim->rate > 0)
        detector_solve(&r->d, aim);
    note_beat(r, b, at);
}

void sender_fill(struct sender *r, const struct beat *b)
{
    uint64_t back = r->newest - b->sequence;
    window_set(r, back);
    r->received++;
    r->reordered += r->reordered < UINT32_MAX;
    if (r->span < SPAN_MAX && back > r->span) { /* even before the first one that arrived */
        r->expected_base += (int64_t)(back - r->span);
        r->span = (uint8_t)back;
    }
}

void sender_came(struct sender *r, const struct beat *b, const struct addr *peer, int64_t wall)
{
    int64_t delay = wall - b->sent_ns; /* of a hostile sender, anything: the halves cannot overflow */
    bool other = r->received == 1 || llabs(delay / 2 - r->delay / 2) > TICK_S / 2;
    r->delay = other ? delay : r->delay + (delay - r->delay) / 16;
    r->sealed = b->seal.sealed;
    r->port = addr_port(peer);
    host_bytes(peer, r->host);
}

/* ---- Deadlines ---- */

bool sender_alive(const struct sender *r)
{
    return r->state == BEAT_NEW || r->state == BEAT_UP || r->state == BEAT_LATE;
}

tick sender_deadline(const struct sender *r, const struct senders_conf *conf)
{
    bool learned = conf->rate > 0 && r->d.period > 0 && r->d.allow > 0;
    return learned ? detector_deadline(&r->d) : r->last + conf->timeout;
}

tick sender_late_at(const struct sender *r)
{
    double interval = r->interval > 0 ? (double)r->interval : r->d.period;
    return interval > 0 ? r->last + (tick)(interval * 2) : TICK_NEVER;
}

static double penalty_at(const struct sender *r, int64_t half_life, tick now)
{
    return half_life ? (double)r->penalty * exp2(-(double)(now - r->changed) / (double)half_life) : 0;
}

void sender_flap(struct sender *r, bool down, int64_t half_life, tick now)
{
    double p = penalty_at(r, half_life, now) + (down && half_life ? 1 : 0);
    r->penalty = (float)p;
    r->changed = now;
    if (p > FLAP_MUTE)
        r->flapping = true;
}

bool sender_calmed(const struct sender *r, int64_t half_life, tick now)
{
    return penalty_at(r, half_life, now) < FLAP_CALM;
}

/* ---- After a restart of the listener ---- */

/* Of lengths of time (ns) and counts: in range and no NaN. */
static bool sane(double x)
{
    return x >= 0 && x < 6e18;
}

/* Since the start of the machine, or before it. */
static bool sane_tick(tick at)
{
    return sane(fabs((double)at));
}

static bool sound_detector(const struct detector *d)
{
    bool unit = !d->unit || (d->unit >= DETECTOR_OCTAVE && d->unit <= DETECTOR_OCTAVE_UNIT);
    bool period = sane(d->period) && d->period <= (double)BEAT_INTERVAL_MAX;
    bool timing = sane_tick(d->base) && sane((double)d->jitter) && sane((double)d->allow);
    bool lean = sane((double)d->claim) && sane((double)d->foreseen) && sane((double)d->alarms);
    return unit && period && timing && lean;
}

bool sender_sound(const struct sender *r)
{
    bool name = r->id_size <= BEAT_ID_MAX && (r->text || beat_id_valid(slice_of(r->id, r->id_size)));
    bool interval = sane((double)r->interval) && r->interval <= (float)BEAT_INTERVAL_MAX;
    bool timing = sane_tick(r->last) && sane_tick(r->changed) && sane((double)r->penalty);
    return r->state < BEAT_STATES && r->announced < BEAT_STATES && name && interval && timing && sound_detector(&r->d);
}

void sender_resume(struct sender *r, const struct store *store, tick now)
{
    if (store->rebooted) /* the old monotonic clock is gone: some time before we paused */
        r->changed = now - store->pause;
    if (r->changed > now)
        r->changed = now;
    r->busy = false;
    r->resync = true;
    if (!r->d.solve_in)
        r->d.solve_in = 1;
    if (sender_alive(r)) { /* silence while nobody listened is no silence */
        r->last = now;
        detector_rebase(&r->d, now);
    } else if (store->rebooted || r->last > now) {
        r->last = r->changed;
    }
}

void sender_row(const struct sender *r, const struct senders_conf *conf, tick now, struct beat_row *row,
                char id[BEAT_ID_MAX])
{
    tick deadline = sender_deadline(r, conf);
    *row = (struct beat_row){
        .id = sender_id(r, id),
        .state = (enum beat_state)r->state,
        .text = r->text,
        .flapping = r->flapping,
        .sealed = r->sealed,
        .incarnation = r->text ? 0 : r->incarnation,
        .sequence = r->newest,
        .received = r->received,
        .lost = sender_lost(r),
        .duplicates = r->duplicates,
        .reordered = r->reordered,
        .restarts = r->restarts,
        .since_ms = (now - r->last) / TICK_MS,
        .state_ms = (now - r->changed) / TICK_MS,
        .left_ms = sender_alive(r) ? (deadline - now) / TICK_MS : 0,
        .interval_us = (int64_t)((r->interval > 0 ? (double)r->interval : r->d.period) / 1e3),
        .jitter_us = (uint32_t)fmin((double)r->d.jitter / 1e3, UINT32_MAX),
        .delay_us = r->delay / 1000,
    };
    sender_peer(r, &row->peer);
}
