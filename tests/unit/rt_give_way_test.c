/* SPDX-License-Identifier: MIT */
/* fiber_give_way: others begin, and it comes back before the turn is over. */
#include "tests/unit/unit.h"

#include <sys/socket.h>

#include "rt/internal.h"
#include "rt/io.h"
#include "rt/park.h"

static void in_loop(fiber_fn *fn)
{
    struct loop *l;
    assert_ok(loop_open(&l));
    assert_ok(loop_run(l, "test", fn, NULL));
    loop_close(l);
}

/* Connections whose bytes all come in one turn. */
enum { GUESTS = 6 };
static struct guest {
    struct parked parked;
    int far, begun, middle, ended;
} guest[GUESTS];
static int step, most_behind, behind, guests_ended;
static bool stop_giving_way;

static void gives_way(void *arg)
{
    struct guest *g = arg;
    g->begun = ++step;
    most_behind = ++behind > most_behind ? behind : most_behind;
    fiber_give_way();
    g->middle = ++step;
    fiber_give_way();
    g->ended = ++step;
    behind--;
    guests_ended++;
}
static void gives_way_for_ever(void *arg)
{
    (void)arg;
    while (!stop_giving_way && !fiber_spend())
        fiber_give_way();
    guests_ended++;
}
static fiber_fn *guest_runs;
static void guest_came(struct parked *p, enum park_why why)
{
    struct guest *g = LIST_ENTRY(p, struct guest, parked);
    assert_int_equal(why, PARK_READY);
    assert_ok(scope_spawn(loop_scope(loop_self()), "guest", guest_runs, g));
}
static void invite(int n, fiber_fn *fn)
{
    guest_runs = fn;
    step = most_behind = behind = guests_ended = 0;
    for (int i = 0; i < n; i++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        guest[i] = (struct guest){.parked = {.fd = pair[0], .until = TICK_NEVER, .wake = guest_came}, .far = pair[1]};
        park_enter(&guest[i].parked);
    }
    for (int i = 0; i < n; i++)
        assert_ok(io_write(guest[i].far, "x", 1, TICK_NEVER));
}
static void see_off(int n)
{
    for (int i = 0; i < n; i++) {
        park_forget(&guest[i].parked);
        io_close(guest[i].parked.fd);
        io_close(guest[i].far);
    }
}
static void others_begin_meanwhile_body(void *arg)
{
    (void)arg;
    invite(GUESTS, gives_way);
    assert_ok(fiber_sleep(after(1)));
    assert_int_equal(guests_ended, GUESTS); /* in the turn in which they began */
    assert_int_equal(most_behind, FIBER_BEHIND + 1);
    for (int i = 0; i < GUESTS; i++) {
        assert_true(guest[i].begun < guest[i].middle && guest[i].middle < guest[i].ended);
        assert_true(i == 0 || (guest[i].begun > guest[i - 1].begun && guest[i].ended > guest[i - 1].ended));
    }
    assert_true(guest[FIBER_BEHIND].begun < guest[0].middle);
    see_off(GUESTS);
    invite(1, gives_way); /* nobody else is about to begin */
    assert_ok(fiber_sleep(after(1)));
    assert_int_equal(guests_ended, 1);
    see_off(1);
}
static void others_begin_meanwhile(void **state)
{
    (void)state;
    in_loop(others_begin_meanwhile_body);
}
static void giving_way_has_an_end_body(void *arg)
{
    (void)arg;
    stop_giving_way = false;
    invite(GUESTS, gives_way_for_ever);
    assert_ok(fiber_sleep(after(2))); /* its timer fires: the turn came to an end */
    stop_giving_way = true;
    while (guests_ended < GUESTS)
        assert_ok(fiber_yield());
    see_off(GUESTS);
}
static void giving_way_has_an_end(void **state)
{
    (void)state;
    in_loop(giving_way_has_an_end_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_begin_meanwhile),
        cmocka_unit_test(giving_way_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
