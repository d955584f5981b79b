/* SPDX-License-Identifier: MIT */
#include "app/heartbeat/senders.h"

#include <math.h>
#include <stdlib.h>

#include "app/heartbeat/senders_index.h"
#include "app/heartbeat/senders_pool.h"
#include "base/check.h"

enum { NEAR_SHIFT = 21, FAR_SHIFT = 31, RECHECK_BEATS = 4 };

/* ---- Wheel: chains of slots of the living; whoever comes up and is not due yet is queued again ---- */

static void queue(struct senders *t, struct senders_shard *s, uint32_t slot, tick due, tick now)
{
    struct sender *r = senders_at(t, slot);
    double often = fmax(r->d.period * RECHECK_BEATS, 1e9);
    if ((double)(due - now) > often)
        due = now + (tick)often; /* a deadline that becomes shorter is noticed by then */
    r->queued = true;
    int64_t near = due >> NEAR_SHIFT, far = due >> FAR_SHIFT;
    near = near < s->near_at ? s->near_at : near;
    far = far < s->far_at ? s->far_at : far;
    if (due - now < (tick)(SENDERS_NEAR - 1) << NEAR_SHIFT) {
        if (near - s->near_at >= SENDERS_NEAR) /* the wheel has stood still: earlier does no harm */
            near = s->near_at + SENDERS_NEAR - 1;
        uint32_t i = (uint32_t)near % SENDERS_NEAR;
        r->next = s->near[i];
        s->near[i] = slot + 1;
        s->near_used[i / 64] |= UINT64_C(1) << i % 64;
    } else {
        far = far - s->far_at < SENDERS_FAR ? far : s->far_at + SENDERS_FAR - 1;
        uint32_t i = (uint32_t)far % SENDERS_FAR;
        r->next = s->far[i];
        s->far[i] = slot + 1;
    }
}

static void forget(struct senders *t, struct senders_shard *s, uint32_t slot)
{
    struct sender *r = senders_at(t, slot);
    struct sender_name name;
    uint32_t place = 0;
    sender_name(r, &name);
    CHECK(senders_index_find(t, s, senders_index_hash(t, &name), &name, &place) == r);
    senders_index_remove(t, s, place);
    s->states[r->state]--;
    s->count--;
    *r = (struct sender){.next = s->free};
    s->free = slot + 1;
}

static void report(struct senders *t, struct sender *r, enum beat_state from, bool restarted, tick now)
{
    struct sender_name name;
    sender_name(r, &name);
    struct senders_change c = {.from = from,
                               .to = r->state,
                               .restarted = restarted,
                               .text = r->text,
                               .at = now,
                               .silent = now - r->last,
                               .incarnation = r->text ? 0 : r->incarnation,
                               .sequence = r->newest,
                               .received = r->received,
                               .lost = sender_lost(r)};
    char id[BEAT_ID_MAX];
    c.id = sender_id(r, id);
    sender_peer(r, &c.peer);
    if (t->conf.changed)
        t->conf.changed(t->conf.arg, &c);
}

/* Where every change of state goes through. */
static void become(struct senders *t, struct senders_shard *s, struct sender *r, enum beat_state to, bool restarted,
                   tick now)
{
    enum beat_state from = r->state;
    s->states[from]--;
    s->states[to]++;
    r->state = (uint8_t)to;
    bool quiet =
        !t->conf.report_late && (to == BEAT_LATE || from == BEAT_LATE) && to != BEAT_DOWN && to != BEAT_STOPPED;
    if (quiet && !restarted)
        return;
    if (to != from && to != BEAT_LATE && !(from == BEAT_LATE && to == BEAT_UP))
        sender_flap(r, to == BEAT_DOWN, t->conf.damp, now);
    if (r->flapping)
        return;
    enum beat_state said = (enum beat_state)r->announced;
    r->announced = (uint8_t)to;
    if (said != to || restarted)
        report(t, r, said, restarted, now);
}

static void calm(struct senders *t, struct sender *r, tick now)
{
    if (!sender_calmed(r, t->conf.damp, now))
        return;
    r->flapping = false;
    enum beat_state said = (enum beat_state)r->announced;
    r->announced = r->state;
    if (said != (enum beat_state)r->state)
        report(t, r, said, false, now);
}

/* What is due for a living sender at `now`; when the next thing is, TICK_NEVER once it is dead. */
static tick look(struct senders *t, struct senders_shard *s, struct sender *r, tick now)
{
    tick down = sender_deadline(r, &t->conf), late = sender_late_at(r);
    if (down <= now) {
        become(t, s, r, BEAT_DOWN, false, now);
        return TICK_NEVER;
    }
    if (r->state == BEAT_UP && late <= now)
        become(t, s, r, BEAT_LATE, false, now);
    return r->state == BEAT_UP && late < down ? late : down;
}

static void run_chain(struct senders *t, struct senders_shard *s, uint32_t chain, tick known)
{
    while (chain) {
        uint32_t slot = chain - 1;
        struct sender *r = senders_at(t, slot);
        chain = r->next;
        r->queued = false;
        tick due = sender_alive(r) ? look(t, s, r, known) : TICK_NEVER;
        if (due < TICK_NEVER)
            queue(t, s, slot, due, known);
    }
}

/* A sixteenth of the slots every quarter of a second: who has calmed down, and who has been dead for long enough. */
static void sweep(struct senders *t, int shard, tick now)
{
    struct senders_shard *s = &t->shard[shard];
    for (uint32_t n = s->fresh / 16 + 1; n && s->fresh; n--) {
        uint32_t slot = s->sweep++ % s->fresh * SENDERS_SHARDS + (uint32_t)shard;
        struct sender *r = senders_at(t, slot);
        if (r->used && r->flapping)
            calm(t, r, now);
        bool dead = r->used && !r->queued && !sender_alive(r);
        if (dead && t->conf.forget && r->changed + t->conf.forget <= now)
            forget(t, s, slot);
    }
    if (t->conf.rate > 0)
        senders_pool_more(t, shard, s->fresh / 16 + 1);
    s->sweep_at = now + TICK_S / 4;
}

static uint32_t take_chain(uint32_t *head)
{
    uint32_t chain = *head;
    *head = 0;
    return chain;
}

static tick next_time(const struct senders_shard *s)
{
    for (int64_t n = s->near_at; n < s->near_at + SENDERS_NEAR;) {
        uint32_t i = (uint32_t)n % SENDERS_NEAR;
        uint64_t bits = s->near_used[i / 64] >> i % 64;
        if (bits)
            return (n + __builtin_ctzll(bits) + 1) << NEAR_SHIFT;
        n += 64 - i % 64;
    }
    return (s->far_at + 1) << FAR_SHIFT;
}

tick senders_turn(struct senders *t, int shard, tick known)
{
    struct senders_shard *s = &t->shard[shard];
    pthread_mutex_lock(&s->lock);
    int64_t far = known >> FAR_SHIFT, near = known >> NEAR_SHIFT;
    if (near - s->near_at > SENDERS_NEAR)
        s->near_at = near - SENDERS_NEAR;
    for (; s->near_at < near;) { /* a slot is run when it has passed: never early, 2 ms late at most */
        uint32_t i = (uint32_t)s->near_at++ % SENDERS_NEAR;
        if (!s->near[i])
            continue;
        s->near_used[i / 64] &= ~(UINT64_C(1) << i % 64);
        run_chain(t, s, take_chain(&s->near[i]), known);
    }
    if (far - s->far_at > SENDERS_FAR)
        s->far_at = far - SENDERS_FAR;
    while (s->far_at <= far)
        run_chain(t, s, take_chain(&s->far[(uint32_t)s->far_at++ % SENDERS_FAR]), known);
    if (known >= s->sweep_at)
        sweep(t, shard, known);
    tick next = next_time(s);
    next = s->fresh && s->sweep_at < next ? s->sweep_at : next;
    pthread_mutex_unlock(&s->lock);
    return next;
}

/* ---- Beats ---- */

static struct sender *add(struct senders *t, int shard, uint64_t hash, const struct sender_name *n, tick now,
                          uint32_t *out)
{
    struct senders_shard *s = &t->shard[shard];
    uint32_t slot;
    if (!senders_index_room(t, s) || !senders_index_take(t, shard, &slot))
        return NULL;
    struct sender *r = senders_at(t, *out = slot);
    sender_init(r, n, now);
    senders_index_put(s, hash, slot);
    s->count++;
    s->states[BEAT_NEW]++;
    return r;
}

static enum senders_verdict first_beat(struct senders *t, struct senders_shard *s, struct sender *r,
                                       const struct beat *b, tick when)
{
    struct detector_aim aim = senders_aim(t);
    sender_begin(r, b, when, &aim);
    become(t, s, r, b->goodbye ? BEAT_STOPPED : BEAT_UP, false, when);
    return SENDERS_FRESH;
}

static enum senders_verdict known_beat(struct senders *t, struct senders_shard *s, struct sender *r,
                                       const struct beat *b, tick when)
{
    enum sender_place place = sender_place(r, b);
    if (place == SENDER_OLD)
        return SENDERS_STALE;
    if (place == SENDER_SEEN)
        return r->duplicates += !b->goodbye && r->duplicates < UINT32_MAX, SENDERS_DUPLICATE;
    if (place == SENDER_BEHIND)
        return sender_fill(r, b), SENDERS_REORDERED;
    bool restarted = place == SENDER_RESTARTED;
    struct detector_aim aim = senders_aim(t);
    if (restarted)
        sender_restart(r, b, when);
    else
        sender_advance(r, b, when, when > sender_deadline(r, &t->conf), &aim);
    enum beat_state to = b->goodbye ? BEAT_STOPPED : BEAT_UP;
    if (to != (enum beat_state)r->state || restarted)
        become(t, s, r, to, restarted, when);
    return SENDERS_FRESH;
}

static bool too_old(const struct senders *t, const struct beat *b, int64_t wall)
{
    return b->seal.sealed && t->conf.max_age && llabs(wall - b->sent_ns) > t->conf.max_age;
}

enum senders_verdict senders_beat(struct senders *t, const struct beat *b, const struct addr *peer, tick when,
                                  int64_t wall)
{
    struct sender_name n;
    sender_name_of(b, peer, &n);
    uint64_t hash = senders_index_hash(t, &n);
    int shard = senders_index_shard(hash);
    struct senders_shard *s = &t->shard[shard];
    uint32_t place, slot = 0;
    enum senders_verdict v = SENDERS_FULL;
    pthread_mutex_lock(&s->lock);
    struct sender *r = senders_index_find(t, s, hash, &n, &place);
    if ((!r || (!b->text && r->incarnation != b->incarnation)) && too_old(t, b, wall)) {
        pthread_mutex_unlock(&s->lock);
        return SENDERS_STALE;
    }
    if (r) {
        slot = senders_index_slot(s, place);
        r->busy = true;
        v = known_beat(t, s, r, b, when);
    } else if ((r = add(t, shard, hash, &n, when, &slot))) {
        r->busy = true;
        v = first_beat(t, s, r, b, when);
    }
    if (r && !r->queued && sender_alive(r))
        queue(t, s, slot, when, when);
    if (v == SENDERS_FRESH)
        sender_came(r, b, peer, wall);
    if (r)
        r->busy = false;
    pthread_mutex_unlock(&s->lock);
    return v;
}

/* ---- Views ---- */

uint32_t senders_slots(const struct senders *t)
{
    uint32_t most = 0;
    for (int i = 0; i < SENDERS_SHARDS; i++) {
        uint32_t used = __atomic_load_n(&t->shard[i].fresh, __ATOMIC_RELAXED);
        most = used > most ? used : most;
    }
    return most * SENDERS_SHARDS;
}

uint32_t senders_count(struct senders *t, uint32_t states[BEAT_STATES])
{
    uint32_t sum = 0;
    for (int k = 0; states && k < BEAT_STATES; k++)
        states[k] = 0;
    for (int i = 0; i < SENDERS_SHARDS; i++) {
        pthread_mutex_lock(&t->shard[i].lock);
        sum += t->shard[i].count;
        for (int k = 0; states && k < BEAT_STATES; k++)
            states[k] += t->shard[i].states[k];
        pthread_mutex_unlock(&t->shard[i].lock);
    }
    return sum;
}

bool senders_row(struct senders *t, uint32_t slot, tick now, struct beat_row *row, char id[BEAT_ID_MAX])
{
    struct senders_shard *s = &t->shard[slot % SENDERS_SHARDS];
    pthread_mutex_lock(&s->lock);
    bool there = slot / SENDERS_SHARDS < s->fresh && senders_at(t, slot)->used;
    if (there)
        sender_row(senders_at(t, slot), &t->conf, now, row, id);
    pthread_mutex_unlock(&s->lock);
    return there;
}

/* ---- Opening: anew, or from what an earlier listener left ---- */

static err_t adopt(struct senders *t, uint32_t slot, tick now)
{
    struct sender *r = senders_at(t, slot);
    int home = (int)(slot % SENDERS_SHARDS);
    struct senders_shard *s = &t->shard[home];
    s->fresh = slot / SENDERS_SHARDS + 1;
    if (!r->used || !sender_sound(r)) {
        *r = (struct sender){.next = s->free};
        s->free = slot + 1;
        return NULL;
    }
    struct sender_name name;
    sender_name(r, &name);
    uint64_t hash = senders_index_hash(t, &name);
    if (senders_index_shard(hash) != home || !senders_index_room(t, s)) /* the seed is kept, so this is damage */
        return E_DATA;
    sender_resume(r, &t->store, now);
    senders_index_put(s, hash, slot);
    s->count++;
    s->states[r->state]++;
    if (sender_alive(r))
        queue(t, s, slot, now + TICK_S, now);
    return NULL;
}

static err_t adopt_all(struct senders *t, tick now)
{
    for (uint32_t slot = 0; slot < store_slots(&t->store); slot++)
        TRY(adopt(t, slot, now));
    return NULL;
}

err_t senders_open(struct senders *t, const struct senders_conf *conf, const char *state, tick now, int64_t wall)
{
    memset(t, 0, sizeof *t); /* far too large for a temporary */
    t->conf = *conf;
    TRY(store_open(&t->store, state, sizeof(struct sender), wall));
    t->seed = t->store.seed;
    pthread_mutex_init(&t->grow, NULL);
    pthread_mutex_init(&t->pooling, NULL);
    for (int i = 0; i < SENDERS_SHARDS; i++) {
        pthread_mutex_init(&t->shard[i].lock, NULL);
        t->shard[i].near_at = now >> NEAR_SHIFT;
        t->shard[i].far_at = (now >> FAR_SHIFT) + 1;
    }
    err_t e = adopt_all(t, now);
    if (e)
        senders_close(t);
    return e == E_DATA ? fault(E_CONFIG, "%s: damaged (remove it to begin anew)", state) : e;
}

void senders_close(struct senders *t)
{
    for (int i = 0; i < SENDERS_SHARDS; i++) {
        free(t->shard[i].index);
        pthread_mutex_destroy(&t->shard[i].lock);
    }
    pthread_mutex_destroy(&t->grow);
    pthread_mutex_destroy(&t->pooling);
    store_close(&t->store);
}
