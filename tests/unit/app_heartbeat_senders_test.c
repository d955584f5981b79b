/* SPDX-License-Identifier: MIT */
#include "app/heartbeat/senders.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/heartbeat/sender_record.h"
#include "base/random.h"
#include "unit.h"

static struct {
    int n;
    enum beat_state from[64], to[64];
    bool restarted[64];
    tick at[64];
} seen;

static void note(void *arg, const struct senders_change *c)
{
    (void)arg;
    if (seen.n == 64)
        return;
    seen.from[seen.n] = c->from;
    seen.to[seen.n] = c->to;
    seen.restarted[seen.n] = c->restarted;
    seen.at[seen.n++] = c->at;
}

static struct senders t;
static struct addr peer;
static const tick origin = 1000 * TICK_S;

static void start(int64_t timeout, double rate, const char *state, tick now)
{
    seen.n = 0;
    struct senders_conf conf = {.timeout = timeout, .rate = rate, .damp = 600 * TICK_S, .max = 100000, .changed = note};
    assert_ok(senders_open(&t, &conf, state, now, now));
    assert_ok(addr_parse(S("192.0.2.1"), 4000, &peer));
}

static enum senders_verdict beat(const char *id, uint64_t incarnation, uint64_t sequence, tick when)
{
    struct beat b = {
        .id = slice_z(id), .incarnation = incarnation, .sequence = sequence, .sent_ns = when, .interval_ns = TICK_S};
    return senders_beat(&t, &b, &peer, when, when);
}

static void turn(tick now)
{
    for (int i = 0; i < SENDERS_SHARDS; i++)
        (void)senders_turn(&t, i, now);
}

static struct beat_row row_of(const char *id, tick now)
{
    static char name[BEAT_ID_MAX];
    struct beat_row row = {.received = 0};
    for (uint32_t slot = 0; slot < senders_slots(&t); slot++)
        if (senders_row(&t, slot, now, &row, name) && slice_eq(row.id, slice_z(id)))
            return row;
    fail_msg("no sender %s", id);
    return row;
}

static void loss_is_what_is_missing_between(void **state)
{
    (void)state;
    start(10 * TICK_S, 0, NULL, origin);
    assert_int_equal(beat("a", 1, 10, origin), SENDERS_FRESH);
    assert_int_equal(beat("a", 1, 13, origin), SENDERS_FRESH);
    assert_int_equal(row_of("a", origin).lost, 2);
    assert_int_equal(beat("a", 1, 12, origin), SENDERS_REORDERED);
    assert_int_equal(beat("a", 1, 12, origin), SENDERS_DUPLICATE);
    assert_int_equal(beat("a", 1, 13, origin), SENDERS_DUPLICATE);
    assert_int_equal(beat("a", 1, 9, origin), SENDERS_REORDERED); /* before the first that came */
    struct beat_row r = row_of("a", origin);
    assert_int_equal(r.received, 4);
    assert_int_equal(r.lost, 1);
    assert_int_equal(r.duplicates, 2);
    assert_int_equal(r.reordered, 2);
    assert_int_equal(beat("a", 1, 1000, origin), SENDERS_FRESH);
    assert_int_equal(beat("a", 1, 1000 - 128, origin), SENDERS_STALE);
    assert_int_equal(beat("a", 1, 1000 - 127, origin), SENDERS_REORDERED);
    assert_int_equal(row_of("a", origin).lost, 1000 - 9 + 1 - 6);
    senders_close(&t);
}

static void a_restart_is_not_loss(void **state)
{
    (void)state;
    start(10 * TICK_S, 0, NULL, origin);
    (void)beat("a", 1, 500, origin);
    (void)beat("a", 1, 501, origin);
    assert_int_equal(beat("a", 2, 1, origin + TICK_S), SENDERS_FRESH);
    assert_int_equal(beat("a", 1, 502, origin + TICK_S), SENDERS_STALE); /* the old one, overtaken */
    (void)beat("a", 2, 2, origin + TICK_S);
    struct beat_row r = row_of("a", origin + TICK_S);
    assert_int_equal(r.received, 4);
    assert_int_equal(r.lost, 0);
    assert_int_equal(r.restarts, 1);
    (void)beat("a", 3, 4, origin + TICK_S); /* the first three of the third incarnation are missing */
    assert_int_equal(row_of("a", origin + TICK_S).lost, 3);
    assert_int_equal(beat("a", 3, 2, origin + TICK_S), SENDERS_REORDERED);
    assert_int_equal(row_of("a", origin + TICK_S).lost, 2);
    assert_true(seen.n == 3 && seen.restarted[1] && seen.restarted[2]);
    senders_close(&t);
}

/* Random loss, duplicates, reordering and restarts against a plain count. */
static void loss_within_a_tenth_of_a_point(void **state)
{
    (void)state;
    struct prng r;
    prng_seed(&r, 7);
    for (int percent = 0; percent <= 30; percent += 5) {
        start(10 * TICK_S, 0, NULL, origin);
        uint64_t sent = 0, lost = 0, duplicates = 0;
        tick now = origin;
        struct beat held = {.sequence = 0};
        for (uint64_t incarnation = 1; incarnation <= 40; incarnation++)
            for (uint64_t sequence = 1; sequence <= 2500; sequence++) {
                struct beat b = {.id = S("x"),
                                 .incarnation = incarnation,
                                 .sequence = sequence,
                                 .sent_ns = now,
                                 .interval_ns = TICK_MS};
                now += TICK_MS;
                sent++;
                if (prng_unit(&r) * 100 < percent) {
                    lost++;
                    continue;
                }
                if (prng_unit(&r) < 0.02 && !held.sequence && sequence < 2400) {
                    held = b;
                    continue;
                }
                (void)senders_beat(&t, &b, &peer, now, now);
                if (prng_unit(&r) < 0.01) {
                    duplicates++;
                    (void)senders_beat(&t, &b, &peer, now, now);
                }
                if (held.sequence && prng_unit(&r) < 0.2) {
                    (void)senders_beat(&t, &held, &peer, now, now);
                    held.sequence = 0;
                }
            }
        struct beat_row row = row_of("x", now);
        double truth = (double)lost / (double)sent, told = (double)row.lost / (double)(row.lost + row.received);
        assert_true(told > truth - 0.001 && told < truth + 0.001);
        assert_int_equal(row.duplicates, duplicates);
        assert_int_equal(row.restarts, 39);
        senders_close(&t);
    }
}

static void late_then_down_then_up(void **state)
{
    (void)state;
    start(10 * TICK_S, 0, NULL, origin);
    (void)beat("a", 1, 1, origin);
    (void)beat("a", 1, 2, origin + TICK_S);
    turn(origin + TICK_S * 29 / 10);
    assert_int_equal(row_of("a", origin + 3 * TICK_S).state, BEAT_UP);
    turn(origin + TICK_S * 31 / 10);
    assert_int_equal(row_of("a", origin + 4 * TICK_S).state, BEAT_LATE);
    turn(origin + TICK_S * 1099 / 100);
    assert_int_equal(row_of("a", origin + 4 * TICK_S).state, BEAT_LATE);
    turn(origin + TICK_S * 1101 / 100);
    assert_int_equal(row_of("a", origin + 4 * TICK_S).state, BEAT_DOWN);
    assert_int_equal(seen.n, 2); /* late is not reported unless asked for */
    assert_true(seen.from[1] == BEAT_UP && seen.to[1] == BEAT_DOWN);
    (void)beat("a", 1, 3, origin + 60 * TICK_S);
    assert_true(seen.n == 3 && seen.to[2] == BEAT_UP);
    for (tick now = origin + 60 * TICK_S; now < origin + 80 * TICK_S; now += 5 * TICK_MS)
        turn(now);
    assert_true(seen.n == 4 && seen.to[3] == BEAT_DOWN);
    assert_true(seen.at[3] >= origin + 70 * TICK_S && seen.at[3] <= origin + 70 * TICK_S + 10 * TICK_MS);
    senders_close(&t);
}

static void goodbye_is_not_death(void **state)
{
    (void)state;
    start(10 * TICK_S, 0, NULL, origin);
    (void)beat("a", 1, 1, origin);
    struct beat b = {
        .id = S("a"), .incarnation = 1, .sequence = 2, .sent_ns = origin, .interval_ns = TICK_S, .goodbye = true};
    assert_int_equal(senders_beat(&t, &b, &peer, origin, origin), SENDERS_FRESH);
    assert_int_equal(senders_beat(&t, &b, &peer, origin, origin), SENDERS_DUPLICATE);
    turn(origin + 3600 * TICK_S);
    struct beat_row r = row_of("a", origin);
    assert_int_equal(r.state, BEAT_STOPPED);
    assert_int_equal(r.duplicates, 0); /* a goodbye is sent several times on purpose */
    (void)beat("a", 2, 1, origin + 3601 * TICK_S);
    assert_int_equal(row_of("a", origin).state, BEAT_UP);
    senders_close(&t);
}

static void flapping_is_muted_and_told_in_the_end(void **state)
{
    (void)state;
    start(2 * TICK_S, 0, NULL, origin);
    tick now = origin;
    uint64_t sequence = 1;
    for (int i = 0; i < 20; i++) {
        (void)beat("a", 1, sequence++, now);
        for (tick end = now + 5 * TICK_S; now < end; now += 100 * TICK_MS)
            turn(now);
    }
    int during = seen.n;
    assert_in_range(during, 8, 14); /* not 40 */
    assert_true(row_of("a", now).flapping);
    for (tick end = now + 3600 * TICK_S; now < end; now += 100 * TICK_MS) {
        if (now % TICK_S == 0)
            (void)beat("a", 1, sequence++, now);
        turn(now);
    }
    assert_false(row_of("a", now).flapping);
    assert_int_equal(row_of("a", now).state, BEAT_UP);
    assert_int_equal(seen.to[seen.n - 1], BEAT_UP);
    senders_close(&t);
}

static void replays_and_strangers_change_nothing(void **state)
{
    (void)state;
    start(10 * TICK_S, 0, NULL, origin);
    t.conf.max_age = 3600 * TICK_S;
    for (uint64_t i = 1; i < 300; i++)
        (void)beat("a", 5, i, origin + (tick)i);
    struct sender before, after;
    uint32_t slot = 0;
    char id[BEAT_ID_MAX];
    struct beat_row row;
    while (!senders_row(&t, slot, origin, &row, id))
        slot++;
    before = *(struct sender *)store_at(&t.store, slot);
    for (uint64_t i = 1; i < 300; i++)
        (void)beat("a", 5, i, origin + TICK_S);
    (void)beat("a", 4, 400, origin + TICK_S);
    struct beat old = {
        .id = S("new"), .incarnation = 1, .sequence = 1, .sent_ns = origin - 7200 * TICK_S, .seal.sealed = true};
    assert_int_equal(senders_beat(&t, &old, &peer, origin, origin), SENDERS_STALE);
    after = *(struct sender *)store_at(&t.store, slot);
    assert_int_equal(after.duplicates, 128);
    after.duplicates = before.duplicates;
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(senders_count(&t, NULL), 1);
    senders_close(&t);
}

static void text_senders_by_address(void **state)
{
    (void)state;
    start(10 * TICK_S, 0, NULL, origin);
    struct beat b = {.text = true, .sequence = 5, .sent_ns = 100 * TICK_S};
    assert_int_equal(senders_beat(&t, &b, &peer, origin, origin), SENDERS_FRESH);
    b.sequence = 7, b.sent_ns = 102 * TICK_S;
    assert_int_equal(senders_beat(&t, &b, &peer, origin, origin), SENDERS_FRESH);
    b.sequence = 6, b.sent_ns = 101 * TICK_S;
    assert_int_equal(senders_beat(&t, &b, &peer, origin, origin), SENDERS_REORDERED);
    b.sequence = 1, b.sent_ns = 110 * TICK_S; /* a smaller number, but sent later: started anew */
    assert_int_equal(senders_beat(&t, &b, &peer, origin, origin), SENDERS_FRESH);
    struct beat_row r = row_of("192.0.2.1:4000", origin);
    assert_true(r.text && r.restarts == 1 && r.lost == 0 && r.received == 4);
    struct addr other;
    assert_ok(addr_parse(S("192.0.2.1"), 4001, &other));
    assert_int_equal(senders_beat(&t, &b, &other, origin, origin), SENDERS_FRESH);
    assert_int_equal(senders_count(&t, NULL), 2);
    senders_close(&t);
}

/* The sender's clock was set back, and then it began anew: numbers and times both go back. */
static void a_dead_text_sender_with_another_clock(void **state)
{
    (void)state;
    start(10 * TICK_S, 0, NULL, origin);
    struct beat b = {.text = true, .sequence = 50, .sent_ns = 9000 * TICK_S};
    assert_int_equal(senders_beat(&t, &b, &peer, origin, origin), SENDERS_FRESH);
    struct beat again = {.text = true, .sequence = 1, .sent_ns = 5400 * TICK_S};
    assert_int_not_equal(senders_beat(&t, &again, &peer, origin, origin), SENDERS_FRESH); /* it may be an old one */
    turn(origin + 11 * TICK_S);
    assert_int_equal(row_of("192.0.2.1:4000", origin).state, BEAT_DOWN);
    b.sequence = 49, b.sent_ns -= TICK_S; /* late, but no sign of life */
    assert_int_not_equal(senders_beat(&t, &b, &peer, origin, origin), SENDERS_FRESH);
    again.sequence++;
    assert_int_equal(senders_beat(&t, &again, &peer, origin, origin + 12 * TICK_S), SENDERS_FRESH);
    assert_int_equal(row_of("192.0.2.1:4000", origin).state, BEAT_UP);
    senders_close(&t);
}

/* What a hostile sender may say about its times is carried through without overflow. */
static void times_at_the_ends_of_their_range(void **state)
{
    (void)state;
    start(10 * TICK_S, 1 / 3600e9, NULL, origin);
    for (uint64_t i = 1; i <= 40; i++) {
        struct beat b = {.id = S("x"),
                         .incarnation = 1,
                         .sequence = i,
                         .sent_ns = i % 2 ? INT64_MAX : 0,
                         .interval_ns = i < 20 ? BEAT_INTERVAL_MAX : 1};
        assert_int_equal(senders_beat(&t, &b, &peer, origin + (tick)i, origin + (tick)i), SENDERS_FRESH);
        turn(origin + (tick)i);
        struct beat_row r = row_of("x", origin + (tick)i);
        assert_true(i >= 20 || (r.state == BEAT_UP && r.left_ms > 0));
    }
    senders_close(&t);
}

static void many_come_and_are_forgotten(void **state)
{
    (void)state;
    start(10 * TICK_S, 0, NULL, origin);
    t.conf.forget = 100 * TICK_S;
    char id[32];
    for (int i = 0; i < 20000; i++) {
        snprintf(id, sizeof id, "node-%d", i);
        assert_int_equal(beat(id, 1, 1, origin), SENDERS_FRESH);
    }
    assert_int_equal(senders_count(&t, NULL), 20000);
    tick now = origin;
    for (; now < origin + 60 * TICK_S; now += 50 * TICK_MS)
        turn(now);
    uint32_t states[BEAT_STATES];
    (void)senders_count(&t, states);
    assert_int_equal(states[BEAT_DOWN], 20000);
    for (int i = 0; i < 20000; i += 2) {
        snprintf(id, sizeof id, "node-%d", i);
        assert_int_equal(beat(id, 1, 2, now), SENDERS_FRESH);
    }
    for (; now < origin + 130 * TICK_S; now += 50 * TICK_MS) {
        if (now % (5 * TICK_S) == 0)
            for (int i = 0; i < 20000; i += 2) {
                snprintf(id, sizeof id, "node-%d", i);
                (void)beat(id, 1, (uint64_t)(now / TICK_S), now);
            }
        turn(now);
    }
    assert_int_equal(senders_count(&t, states), 10000);
    assert_int_equal(states[BEAT_UP] + states[BEAT_LATE], 10000);
    senders_close(&t);
}

static void a_limit_on_senders(void **state)
{
    (void)state;
    start(10 * TICK_S, 0, NULL, origin);
    t.conf.max = 64;
    int full = 0;
    char id[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(id, sizeof id, "node-%d", i);
        full += beat(id, 1, 1, origin) == SENDERS_FULL;
    }
    assert_int_equal(full, 1000 - 64);
    senders_close(&t);
}

static void the_state_file_survives(void **state)
{
    (void)state;
    char path[] = "/tmp/l7-senders-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    start(10 * TICK_S, 0, path, origin);
    char id[32];
    for (int i = 0; i < 5000; i++) {
        snprintf(id, sizeof id, "node-%d", i);
        (void)beat(id, 1, 1, origin);
        (void)beat(id, 1, 3, origin + TICK_S);
    }
    (void)beat("dead", 1, 1, origin - 9 * TICK_S);
    turn(origin + 2 * TICK_S);
    struct senders other;
    assert_err(senders_open(&other, &t.conf, path, origin, origin), E_LOCKED);
    senders_close(&t); /* nothing is saved here: what a kill would leave is what is found */
    tick later = origin + 600 * TICK_S;
    start(10 * TICK_S, 0, path, later);
    uint32_t states[BEAT_STATES];
    assert_int_equal(senders_count(&t, states), 5001);
    assert_int_equal(states[BEAT_DOWN], 1);
    turn(later + 9 * TICK_S);
    assert_int_equal(seen.n, 0);
    for (int i = 0; i < 4999; i++) {
        snprintf(id, sizeof id, "node-%d", i);
        assert_int_equal(beat(id, 1, 700, later + 9 * TICK_S), SENDERS_FRESH);
    }
    turn(later + 11 * TICK_S);
    assert_int_equal(seen.n, 1);                       /* node-4999 did die while nobody listened */
    assert_int_equal(row_of("node-0", later).lost, 1); /* beats 4 to 699 are not known to be lost */
    assert_int_equal(row_of("node-0", later).received, 3);
    senders_close(&t);
    unlink(path);
}

/* How long a sender of ten beats is waited for. */
static int64_t newcomer(tick now)
{
    for (uint64_t k = 1; k <= 10; k++)
        (void)beat("newcomer", 1, k, now + (tick)k * TICK_S);
    return row_of("newcomer", now + 10 * TICK_S).left_ms;
}

/* What all know is summed up from the records, so the next listener has it as well. */
static void a_newcomer_is_judged_by_what_others_saw(void **state)
{
    (void)state;
    char path[] = "/tmp/l7-senders-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    start(10 * TICK_S, 1 / 3600e9, NULL, origin);
    int64_t alone = newcomer(origin);
    senders_close(&t);
    start(10 * TICK_S, 1 / 3600e9, path, origin);
    char id[32];
    tick now = origin;
    for (uint64_t k = 1; k <= 600; k++, now += TICK_S) {
        for (int i = 0; i < 100; i++) {
            snprintf(id, sizeof id, "node-%d", i);
            (void)beat(id, 1, k, now);
        }
        turn(now);
    }
    int64_t among = newcomer(now);
    senders_close(&t);
    start(10 * TICK_S, 1 / 3600e9, path, now + TICK_S);
    for (tick later = now + TICK_S; later < now + 7 * TICK_S; later += TICK_S / 4)
        turn(later);
    for (uint64_t k = 1; k <= 10; k++)
        (void)beat("another", 1, k, now + (tick)k * TICK_S);
    int64_t after = row_of("another", now + 10 * TICK_S).left_ms;
    print_message("alone %lld ms, among others %lld ms, after a restart %lld ms\n", (long long)alone, (long long)among,
                  (long long)after);
    assert_true(alone > 2 * among && among > 1000);
    assert_true(after < among * 11 / 10 && after > among * 9 / 10);
    senders_close(&t);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_is_what_is_missing_between),
        cmocka_unit_test(a_restart_is_not_loss),
        cmocka_unit_test(loss_within_a_tenth_of_a_point),
        cmocka_unit_test(late_then_down_then_up),
        cmocka_unit_test(goodbye_is_not_death),
        cmocka_unit_test(flapping_is_muted_and_told_in_the_end),
        cmocka_unit_test(replays_and_strangers_change_nothing),
        cmocka_unit_test(text_senders_by_address),
        cmocka_unit_test(a_dead_text_sender_with_another_clock),
        cmocka_unit_test(times_at_the_ends_of_their_range),
        cmocka_unit_test(many_come_and_are_forgotten),
        cmocka_unit_test(a_limit_on_senders),
        cmocka_unit_test(the_state_file_survives),
        cmocka_unit_test(a_newcomer_is_judged_by_what_others_saw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
