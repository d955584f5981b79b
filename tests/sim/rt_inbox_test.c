/* SPDX-License-Identifier: MIT */
#include "tests/sim/world.h"

#include <errno.h>

#include "base/list.h"
#include "rt/inbox.h"
#include "rt/io.h"
#include "rt/loop.h"
#include "rt/sim.h"
#include "rt/sys.h"

/* Parked connections, each of which says nothing at first, and what came over them. */
enum { GUESTS_MAX = INBOX_PIECES + 6 };
static struct guest {
    struct parked parked;
    int far, index;
    size_t step; /* the most that it reads at once */
    bool rests;  /* between two reads, for a turn */
    bool leaves; /* it closes without a read */
    char got[3 * INBOX_PIECE];
    size_t n;
    unsigned calls;         /* of the kernel, before its first byte was there */
    unsigned long woken_at; /* the count of them when it was woken */
    bool ended;
} guests[GUESTS_MAX];
static int served;

static void take_all(struct guest *g)
{
    err_t e = NULL;
    size_t n = 1;
    for (unsigned long before = sim_calls(); !e && n; g->n += n) {
        if ((e = io_read_now(g->parked.fd, g->got + g->n, g->step, &n)))
            break;
        if (!g->n)
            g->calls = (unsigned)(sim_calls() - before);
        g->ended = n == 0;
        if (g->rests)
            assert_ok(fiber_yield());
    }
}

static void serve(void *arg)
{
    struct guest *g = arg;
    if (!g->leaves)
        take_all(g);
    if (g->leaves || g->ended)
        io_close(g->parked.fd);
    else
        park_enter(&g->parked);
    served++;
}

static void woken(struct parked *p, enum park_why why)
{
    struct guest *g = LIST_ENTRY(p, struct guest, parked);
    assert_int_equal(why, PARK_READY);
    g->woken_at = sim_calls();
    assert_ok(scope_spawn(loop_scope(loop_self()), "guest", serve, g));
}

static void let_in(int count, bool ahead)
{
    struct addr at, peer;
    int l = sys_socket(AF_INET, SOCK_STREAM);
    assert_ok(addr_parse(S("127.0.0.1"), 80, &at));
    assert_int_equal(sys_bind(l, &at.sa, at.len), 0);
    assert_int_equal(sys_listen(l, GUESTS_MAX), 0);
    memset(guests, 0, sizeof guests);
    for (int i = 0; i < count; i++) {
        struct guest *g = &guests[i];
        char byte;
        size_t n;
        g->far = sys_socket(AF_INET, SOCK_STREAM);
        g->step = sizeof g->got / 3 * 2;
        assert_ok(io_connect(g->far, &at, after(1000)));
        assert_ok(io_accept(l, &g->parked.fd, &peer, after(1000)));
        assert_err(io_read_now(g->parked.fd, &byte, 1, &n), E_TIMEOUT);
        g->parked.ahead = ahead;
        g->parked.until = TICK_NEVER;
        g->parked.wake = woken;
        park_enter(&g->parked);
    }
    io_close(l);
    assert_ok(fiber_sleep(after(100))); /* whatever the poller has to say first */
    served = 0;
}

static void say(int i, const char *text, size_t n)
{
    assert_ok(io_write(guests[i].far, text, n, after(1000)));
}

static void wait_for(int count)
{
    while (served < count)
        assert_ok(fiber_sleep(after(10)));
}

static void all_leave(int count)
{
    for (int i = 0; i < count; i++) {
        if (!guests[i].ended && !guests[i].leaves) {
            park_forget(&guests[i].parked);
            io_close(guests[i].parked.fd);
        }
        io_close(guests[i].far);
    }
}

static void assert_got(int i, const char *text, size_t n)
{
    assert_int_equal(guests[i].n, n);
    assert_memory_equal(guests[i].got, text, n);
}

static void reads_together_body(void *arg)
{
    (void)arg;
    let_in(3, true);
    say(0, "a", 1);
    say(1, "bc", 2);
    say(2, "def", 3);
    wait_for(3);
    for (int i = 0; i < 3; i++) { /* everything was there before the first was woken */
        assert_int_equal(guests[i].calls, 0);
        assert_int_equal(guests[i].woken_at, guests[0].woken_at);
    }
    assert_got(0, "a", 1);
    assert_got(1, "bc", 2);
    assert_got(2, "def", 3);
    say(1, "more", 4); /* alone */
    wait_for(4);
    assert_got(1, "bcmore", 6);
    assert_int_equal(guests[1].calls, 0);
    all_leave(3);
}
static void reads_together(void **state)
{
    (void)state;
    in_world(reads_together_body);
}

static void only_when_asked_for_body(void *arg)
{
    (void)arg;
    let_in(2, false);
    say(0, "a", 1);
    say(1, "b", 1);
    wait_for(2);
    assert_int_equal(guests[0].calls, 1);
    assert_int_equal(guests[1].calls, 1);
    assert_got(0, "a", 1);
    assert_got(1, "b", 1);
    all_leave(2);
}
static void only_when_asked_for(void **state)
{
    (void)state;
    in_world(only_when_asked_for_body);
}

/* A call that fails ahead of time is made again by who is woken. */
static void asks_again_body(void *arg)
{
    (void)arg;
    let_in(2, true);
    say(0, "a", 1);
    say(1, "b", 1);
    sim_fail(1, EINTR);
    wait_for(2);
    assert_int_equal(guests[0].calls + guests[1].calls, 1);
    assert_got(0, "a", 1);
    assert_got(1, "b", 1);
    all_leave(2);
}
static void asks_again(void **state)
{
    (void)state;
    in_world(asks_again_body);
}

static char pattern(size_t i)
{
    return (char)('a' + i % 23);
}

/* More than a piece each, and more of them than there are pieces. */
static void large_ones_body(void *arg)
{
    static char text[2 * INBOX_PIECE];
    (void)arg;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = pattern(i);
    let_in(GUESTS_MAX, true);
    for (int i = 0; i < GUESTS_MAX; i++)
        say(i, text, sizeof text - (size_t)i);
    wait_for(GUESTS_MAX);
    for (int i = 0; i < GUESTS_MAX; i++) {
        assert_got(i, text, sizeof text - (size_t)i);
        assert_int_equal(guests[i].calls, 0);
        assert_int_equal(guests[i].woken_at < guests[INBOX_PIECES].woken_at, i < INBOX_PIECES);
    }
    all_leave(GUESTS_MAX);
}
static void large_ones(void **state)
{
    (void)state;
    in_world(large_ones_body);
}

/* What is taken bit by bit stays until it has been, while others come and go and more arrives. */
static void slow_takers_body(void *arg)
{
    (void)arg;
    let_in(4, true);
    guests[0].rests = true;
    guests[0].step = 2;
    say(0, "0123456789", 10);
    say(1, "x", 1);
    for (int round = 1; round <= 3; round++) {
        assert_ok(fiber_yield());
        say(1, "yy", 2);
        say(2, "z", 1);
        say(3, "zz", 2);
    }
    say(0, "end", 3);
    while (guests[0].n < 13 || guests[1].n < 7 || guests[2].n < 3 || guests[3].n < 6)
        assert_ok(fiber_sleep(after(10)));
    assert_got(0, "0123456789end", 13);
    assert_got(1, "xyyyyyy", 7);
    assert_got(2, "zzz", 3);
    assert_got(3, "zzzzzz", 6);
    all_leave(4);
}
static void slow_takers(void **state)
{
    (void)state;
    in_world(slow_takers_body);
}

/* Who closes without a look at it leaves the room to others; an end behind the bytes is seen. */
static void left_alone_body(void *arg)
{
    (void)arg;
    static const char piece[INBOX_PIECE];
    let_in(4, true);
    guests[0].leaves = true;
    say(0, "nobody", 6);
    say(1, "b", 1);
    say(2, "last", 4);
    assert_int_equal(sys_shutdown_write(guests[2].far), 0);
    wait_for(3);
    assert_got(0, "", 0);
    assert_got(1, "b", 1);
    assert_got(2, "last", 4);
    assert_true(guests[2].ended);
    for (unsigned sum = 0; sum < 2 * INBOX_PIECES; sum += 2) {
        guests[1].n = guests[3].n = 0;
        served = 0;
        say(1, piece, sizeof piece);
        say(3, piece, sizeof piece);
        wait_for(2);
        assert_int_equal(guests[1].calls + guests[3].calls, 0);
    }
    all_leave(4);
}
static void left_alone(void **state)
{
    (void)state;
    in_world(left_alone_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_together), cmocka_unit_test(only_when_asked_for), cmocka_unit_test(asks_again),
        cmocka_unit_test(large_ones),     cmocka_unit_test(slow_takers),         cmocka_unit_test(left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
