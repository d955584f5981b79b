/* SPDX-License-Identifier: MIT */
#include "tests/sim/world.h"

#include <errno.h>

#include "rt/io.h"
#include "rt/loop.h"
#include "rt/sim.h"
#include "rt/sys.h"

static int near_end, far_end; /* of one connection */

static void connect_both(void)
{
    struct addr at;
    char byte;
    size_t n;
    int l = sys_socket(AF_INET, SOCK_STREAM);
    assert_ok(addr_parse(S("127.0.0.1"), 80, &at));
    assert_int_equal(sys_bind(l, &at.sa, at.len), 0);
    assert_int_equal(sys_listen(l, 8), 0);
    near_end = sys_socket(AF_INET, SOCK_STREAM);
    assert_ok(io_connect(near_end, &at, after(1000)));
    assert_ok(io_accept(l, &far_end, &at, after(1000)));
    io_close(l);
    assert_err(io_read(near_end, &byte, 1, &n, after(1)), E_TIMEOUT); /* from now on the loop knows it */
}

static void in_narrow_world(size_t window, fiber_fn *fn)
{
    sim_reset();
    sim_window(window);
    run_in_world(fn);
}

static err_t soon(const char *text)
{
    struct iovec v[] = {{(void *)(uintptr_t)text, strlen(text)}, {NULL, 0}};
    return io_writev_soon(near_end, v, 2, after(1000));
}

/* What one read at the far end gives: until `by` ms from now. */
static struct slice one_read(int64_t by)
{
    static char in[8192];
    size_t n;
    return io_read(far_end, in, sizeof in, &n, after(by)) ? SLICE_NONE : slice_of(in, n);
}

static void far_gets(const char *text)
{
    struct slice got = one_read(1000);
    assert_int_equal(got.n, strlen(text));
    assert_memory_equal(got.p, text, got.n);
}

static void leaves_at_the_end_of_the_turn_body(void *arg)
{
    (void)arg;
    connect_both();
    unsigned long before = sim_calls();
    assert_ok(soon("one "));
    assert_ok(soon("two"));
    assert_int_equal(sim_calls(), before); /* nothing was asked of the kernel */
    assert_true(io_unsent(near_end));
    assert_ok(fiber_yield());
    assert_false(io_unsent(near_end));
    assert_int_equal(sim_calls() - before, 1); /* one write for both */
    far_gets("one two");
    io_close(near_end);
    io_close(far_end);
}
static void leaves_at_the_end_of_the_turn(void **state)
{
    (void)state;
    in_narrow_world(65536, leaves_at_the_end_of_the_turn_body);
}

static void keeps_order_body(void *arg)
{
    static char large[3000];
    (void)arg;
    connect_both();
    memset(large, 'x', sizeof large - 1);
    assert_ok(soon("a"));
    assert_ok(io_write(near_end, "b", 1, after(1000)));
    far_gets("ab");
    assert_ok(soon("c"));
    assert_ok(soon(large)); /* too large to be kept */
    struct slice got = one_read(1000);
    assert_int_equal(got.n, sizeof large);
    assert_memory_equal(got.p, "cx", 2);
    size_t put;
    assert_ok(soon("d"));
    assert_ok(io_write_now(near_end, "e", 1, &put));
    far_gets("de");
    assert_ok(soon("f"));
    assert_ok(io_send_pages(near_end, NULL, 0, "g", 1, after(1000)));
    far_gets("fg");
    assert_ok(soon("h"));
    io_close(near_end); /* sends what is kept */
    far_gets("h");
    far_gets("");
    io_close(far_end);
}
static void keeps_order(void **state)
{
    (void)state;
    in_narrow_world(65536, keeps_order_body);
}

/* Everything that the far end gets while it reads at its leisure. */
static void far_gets_slowly(const char *text)
{
    for (size_t n = strlen(text), at = 0; at < n;) {
        assert_ok(fiber_sleep(after(100)));
        struct slice got = one_read(1000);
        assert_true(got.n > 0 && got.n <= n - at);
        assert_memory_equal(got.p, text + at, got.n);
        at += got.n;
    }
}

/* A batch has one write of each at most: what comes behind a short one must not pass it by. */
static void takes_turns_body(void *arg)
{
    (void)arg;
    connect_both();
    int first = near_end, first_far = far_end;
    connect_both();
    int other = near_end, other_far = far_end;
    unsigned long before = sim_calls();
    near_end = first;
    assert_ok(soon("one "));
    near_end = other;
    assert_ok(soon("between"));
    assert_int_equal(sim_calls(), before);
    near_end = first;
    assert_ok(soon("two"));
    assert_int_equal(sim_calls() - before, 2); /* the first two */
    far_end = first_far;
    far_gets("one ");
    far_gets("two");
    far_end = other_far;
    far_gets("between");
    io_close(first), io_close(first_far), io_close(other), io_close(other_far);
}
static void takes_turns(void **state)
{
    (void)state;
    in_narrow_world(65536, takes_turns_body);
}

static void waits_for_room_body(void *arg)
{
    (void)arg;
    connect_both();
    int first = near_end, first_far = far_end;
    connect_both();
    int other = near_end, other_far = far_end;
    near_end = first;
    assert_ok(soon("0123456789abc")); /* the window takes ten */
    assert_ok(soon("def"));
    near_end = other;
    assert_ok(soon("between"));
    near_end = first;
    assert_ok(fiber_yield());
    assert_true(io_unsent(first));
    assert_false(io_unsent(other));
    tick start = now();
    assert_err(io_settle(first, after(50)), E_TIMEOUT); /* nobody reads */
    assert_int_equal(now() - start, 50 * TICK_MS);
    assert_err(soon("never"), E_TIMEOUT); /* not kept behind what is stuck, but waited for, in vain */
    size_t put;
    assert_err(io_write_now(first, "never", 5, &put), E_TIMEOUT);
    far_end = first_far;
    far_gets_slowly("0123456789abcdef");
    assert_ok(io_settle(first, after(1000)));
    assert_false(io_unsent(first));
    assert_ok(soon("on"));
    far_gets("on");
    far_end = other_far;
    far_gets("between");
    io_close(first), io_close(first_far), io_close(other), io_close(other_far);
}
static void waits_for_room(void **state)
{
    (void)state;
    in_narrow_world(10, waits_for_room_body);
}

static void tells_errors_later_body(void *arg)
{
    (void)arg;
    connect_both();
    assert_ok(soon("lost"));
    sim_abort_connection(far_end);
    assert_ok(fiber_yield());
    assert_false(io_unsent(near_end));
    assert_err(io_settle(near_end, after(1000)), E_RESET);
    assert_err(io_write(near_end, "x", 1, after(1000)), E_RESET);
    assert_err(soon("x"), E_RESET);
    io_close(near_end);
    io_close(far_end);
}
static void tells_errors_later(void **state)
{
    (void)state;
    in_narrow_world(65536, tells_errors_later_body);
}

/* A question that has not left although the connection lives: who waits for its answer is told, not left waiting. */
static void tells_who_waits_body(void *arg)
{
    (void)arg;
    char byte;
    size_t n;
    connect_both();
    tick start = now();
    assert_ok(soon("question"));
    sim_fail(1, ENOMEM);
    assert_err(io_read(near_end, &byte, 1, &n, after(1000)), E_NO_MEMORY);
    assert_int_equal(now(), start);
    io_close(near_end);
    io_close(far_end);
}
static void tells_who_waits(void **state)
{
    (void)state;
    in_narrow_world(65536, tells_who_waits_body);
}

static void loses_what_nobody_takes_body(void *arg)
{
    (void)arg;
    connect_both();
    assert_ok(soon("0123456789lost"));
    assert_ok(fiber_yield());
    io_close(near_end);
    far_gets("0123456789");
    far_gets("");
    io_close(far_end);
}
static void loses_what_nobody_takes(void **state)
{
    (void)state;
    in_narrow_world(10, loses_what_nobody_takes_body);
}

/* More than an outbox holds, in one turn. */
static void overflows_body(void *arg)
{
    static char piece[1025];
    (void)arg;
    memset(piece, 'p', sizeof piece - 1);
    connect_both();
    for (int i = 0; i < 40; i++)
        assert_ok(soon(piece));
    size_t n = 0;
    while (n < 40 * (sizeof piece - 1)) {
        struct slice got = one_read(1000);
        assert_true(got.n > 0);
        n += got.n;
    }
    assert_int_equal(n, 40 * (sizeof piece - 1));
    io_close(near_end);
    io_close(far_end);
}
static void overflows(void **state)
{
    (void)state;
    in_narrow_world(65536, overflows_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_at_the_end_of_the_turn),
        cmocka_unit_test(keeps_order),
        cmocka_unit_test(takes_turns),
        cmocka_unit_test(waits_for_room),
        cmocka_unit_test(tells_errors_later),
        cmocka_unit_test(tells_who_waits),
        cmocka_unit_test(loses_what_nobody_takes),
        cmocka_unit_test(overflows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
