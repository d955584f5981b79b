/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "app/ping/clients.h"
#include "app/ping/delays.h"
#include "app/ping/probes.h"
#include "app/ping/stamp_stats.h"

static struct probes made;

static struct probes *fresh(int sent)
{
    assert_ok(probes_init(&made));
    for (int i = 0; i < sent; i++)
        probes_sent(&made, (i + 1) * TICK_MS, i, i + 100);
    return &made;
}

static void each_answer_is_told_apart(void **state)
{
    (void)state;
    struct probes *p = fresh(5);
    assert_int_equal(probes_answer(p, 2, 2000).what, ANSWER_FIRST);
    assert_int_equal(probes_answer(p, 2, -1).what, ANSWER_DUPLICATE);
    assert_int_equal(probes_answer(p, 3, 7).what, ANSWER_FOREIGN); /* of another run: the time differs */
    assert_int_equal(probes_answer(p, 9, -1).what, ANSWER_FOREIGN);
    assert_true(probes_answer(p, 1, -1).reordered);
    for (uint64_t seq = 3; seq <= 5; seq++)
        assert_int_equal(probes_expire(p, 1000)->seq, seq);
    assert_null(probes_expire(p, 1000));
    assert_int_equal(p->count.lost, 3);
    struct probe_verdict v = probes_answer(p, 4, -1);
    assert_true(v.late && !v.reordered && v.what == ANSWER_FIRST);
    assert_int_equal(p->count.lost, 2);
    assert_int_equal(p->count.late, 1);
    assert_int_equal(p->count.received, 3);
    assert_int_equal(p->count.duplicates, 1);
    assert_int_equal(p->count.reordered, 1);
    assert_int_equal(p->count.foreign, 2);
    probes_done(p);
}

static void answers_without_a_number_go_to_the_oldest(void **state)
{
    (void)state;
    struct probes *p = fresh(3);
    assert_int_equal(probes_answer(p, 0, -1).probe->seq, 1);
    assert_int_equal(probes_expire(p, 101)->seq, 2);
    assert_int_equal(probes_answer(p, 0, -1).probe->seq, 3);
    assert_int_equal(probes_answer(p, 0, -1).what, ANSWER_FOREIGN);
    probes_done(p);
}

static void stamps_find_their_probe_past_those_not_sent(void **state)
{
    (void)state;
    struct probes *p = fresh(2);
    probes_not_sent(p, probes_sent(p, 0, 2, 102));
    probes_sent(p, 0, 3, 103);
    assert_int_equal(probes_stamp(p, 0, 70)->seq, 1);
    assert_int_equal(probes_stamp(p, 2, 72)->seq, 4);
    assert_int_equal(probes_find(p, 4)->stamp, 72);
    assert_null(probes_stamp(p, 9, 1));
    assert_int_equal(p->count.failed, 1);
    assert_int_equal(probes_due(p), 100);
    probes_done(p);
}

static void window_forgets_and_counts_what_it_forgot(void **state)
{
    (void)state;
    struct probes *p = fresh(PROBES_KEPT + 3);
    assert_int_equal(p->count.lost, 3);
    assert_null(probes_find(p, 3));
    assert_int_equal(probes_oldest_waiting(p)->seq, 4);
    probes_done(p);
}

static void loss_is_split_by_the_reflectors_numbers(void **state)
{
    (void)state;
    struct stamp_stats s = {0};
    /* Sent 0..9. Lost on the way up: 2, 3. On the way down: 5. Behind the last answer (8): 9. */
    static const uint32_t seq[] = {0, 1, 4, 6, 7, 8}, reflector[] = {0, 1, 2, 4, 5, 6};
    for (int i = 0; i < 6; i++)
        stamp_stats_add(&s, &(struct stamp_times){.t1 = 0, .t2 = 1030, .t3 = 1040, .t4 = 50, seq[i], reflector[i]});
    struct stamp_split split = stamp_stats_split(&s, 6, 4, false);
    assert_true(split.known);
    assert_int_equal(split.up, 2);
    assert_int_equal(split.down, 1);
    assert_int_equal(split.unknown, 1);
    assert_int_equal(s.best_rtt, 40);
    assert_int_equal(s.offset, 1010);
    assert_int_equal(s.vary_up.n, 3);
    struct stamp_stats copied = {0};
    stamp_stats_add(&copied, &(struct stamp_times){.seq = 4, .reflector_seq = 4});
    assert_false(stamp_stats_split(&copied, 1, 4, false).known);
    assert_true(stamp_stats_split(&copied, 1, 4, true).known);
    assert_int_equal(stamp_stats_split(&copied, 1, 4, true).down, 4);
    assert_true(stamp_stats_split(&copied, 5, 0, false).known);
}

static struct datagram to(uint16_t port, const char *text)
{
    struct datagram d = {.payload = slice_z(text)};
    assert_ok(addr_parse(S("127.0.0.1"), port, &d.peer));
    return d;
}

static void expect_next(struct delays *d, tick now, const char *text)
{
    struct delayed *e = delays_take(d, now);
    assert_non_null(e);
    assert_int_equal(e->datagram.payload.n, strlen(text));
    assert_memory_equal(e->datagram.payload.p, text, strlen(text));
    free(e);
}

static void held_replies_follow_the_next_to_the_same_client(void **state)
{
    (void)state;
    struct delays d;
    assert_ok(delays_init(&d));
    struct datagram a = to(1, "a"), b = to(1, "b"), other = to(2, "other"), z = to(1, "z");
    assert_int_equal(delays_add(&d, &z, 300), 0);
    assert_true(delays_hold(&d, &a, 0));
    assert_false(delays_hold(&d, &b, 0));
    assert_int_equal(delays_add(&d, &other, 10), 0);
    assert_int_equal(delays_add(&d, &b, 20), 1);
    assert_null(delays_take(&d, 9));
    expect_next(&d, 1000, "other");
    expect_next(&d, 1000, "b");
    expect_next(&d, 1000, "a");
    expect_next(&d, 1000, "z");
    assert_int_equal(delays_next(&d), TICK_NEVER);
    assert_true(delays_hold(&d, &a, 0));
    assert_int_equal(delays_next(&d), DELAYS_HOLD);
    expect_next(&d, DELAYS_HOLD, "a");
    assert_int_equal(delays_add(&d, &b, 0), 0);
    delays_done(&d);
}

static void loops_are_broken_and_clients_kept_apart(void **state)
{
    (void)state;
    struct clients c;
    assert_ok(clients_init(&c));
    struct datagram a = to(1, ""), b = to(2, "");
    uint64_t ka = clients_key(&c, &a.peer, true), kb = clients_key(&c, &b.peer, true);
    assert_true(ka != kb);
    assert_true(clients_key(&c, &a.peer, false) == clients_key(&c, &b.peer, false));
    int broken = 0;
    for (int i = 0; i < 2 * CLIENTS_REPEATS; i++) {
        broken += clients_loops(clients_get(&c, ka, 1 + i, TICK_S), 7);
        assert_false(clients_loops(clients_get(&c, kb, 1 + i, TICK_S), (uint32_t)i));
    }
    assert_int_equal(broken, 2);
    clients_get(&c, kb, 5 * TICK_S, TICK_S)->sequence = 3;
    assert_int_equal(clients_get(&c, kb, 5 * TICK_S + 1, TICK_S)->sequence, 3);
    assert_int_equal(clients_get(&c, kb, 9 * TICK_S, TICK_S)->sequence, 0);
    clients_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_answer_is_told_apart),
        cmocka_unit_test(answers_without_a_number_go_to_the_oldest),
        cmocka_unit_test(stamps_find_their_probe_past_those_not_sent),
        cmocka_unit_test(window_forgets_and_counts_what_it_forgot),
        cmocka_unit_test(loss_is_split_by_the_reflectors_numbers),
        cmocka_unit_test(held_replies_follow_the_next_to_the_same_client),
        cmocka_unit_test(loops_are_broken_and_clients_kept_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
