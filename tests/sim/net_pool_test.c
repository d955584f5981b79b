/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "net/dial.h"
#include "net/pool.h"
#include "rt/io.h"
#include "rt/loop.h"
#include "rt/park.h"
#include "rt/sim.h"
#include "rt/sys.h"

enum { CONNS = 8 };
static struct addr at;
static int listening, accepted[CONNS];
static struct pool *pool;

static struct stream *dialled(int index)
{
    int fd;
    struct addr peer;
    struct stream *s;
    assert_ok(dial_addr(&at, NULL, &fd, after(1000)));
    assert_ok(io_accept(listening, &accepted[index], &peer, after(1000)));
    assert_ok(stream_tcp(fd, &s));
    return s;
}

static struct pool_conn *acquire(enum pool_want want)
{
    struct pool_conn *c;
    assert_ok(pool_acquire(pool, S("http://a"), want, &c, after(1000)));
    return c;
}

static void in_world(fiber_fn *test, struct pool_options options)
{
    struct loop *l;
    sim_reset();
    assert_ok(addr_parse(S("127.0.0.1"), 80, &at));
    assert_ok(loop_open(&l));
    listening = sys_socket(AF_INET, SOCK_STREAM);
    assert_int_equal(sys_bind(listening, &at.sa, at.len), 0);
    assert_int_equal(sys_listen(listening, 8), 0);
    assert_ok(pool_new(&options, &pool));
    assert_ok(loop_run(l, "test", test, NULL));
    pool_free(pool);
    io_close(listening);
    for (int i = 0; i < CONNS; i++)
        if (accepted[i])
            io_close(accepted[i]), accepted[i] = 0;
    loop_close(l);
    assert_int_equal(sim_open_count(), 0);
}

static void reuse_body(void *arg)
{
    (void)arg;
    struct pool_conn *a = acquire(POOL_ANY), *b = acquire(false);
    assert_null(a->stream);
    a->stream = dialled(0), b->stream = dialled(1);
    struct stream *sa = a->stream, *sb = b->stream;
    pool_release(a, true);
    pool_release(b, true);
    assert_int_equal(pool_idle(pool), 2);
    struct pool_conn *c = acquire(POOL_ANY);
    assert_ptr_equal(c->stream, sb); /* the one used last */
    assert_int_equal(c->uses, 1);
    struct pool_conn *other;
    assert_ok(pool_acquire(pool, S("http://b"), POOL_ANY, &other, after(1000)));
    assert_null(other->stream);
    pool_release(other, false);
    pool_release(c, false);
    c = acquire(POOL_ANY);
    assert_ptr_equal(c->stream, sa);
    pool_release(c, true);
    c = acquire(POOL_FRESH);
    assert_null(c->stream);
    pool_release(c, true); /* never dialled: nothing to keep */
    assert_int_equal(pool_idle(pool), 1);
}
static void idle_connections_are_reused(void **state)
{
    (void)state;
    in_world(reuse_body, (struct pool_options){.idle_ms = 60000, .idle_per_origin = 4, .idle_total = 10});
}

static void probing_body(void *arg)
{
    (void)arg;
    struct pool_conn *c = acquire(POOL_ANY);
    c->stream = dialled(0);
    pool_release(c, true);
    io_close(accepted[0]), accepted[0] = 0; /* the origin hangs up; found by the park or by the probe */
    c = acquire(POOL_PROBED);
    assert_null(c->stream);
    c->stream = dialled(1);
    pool_release(c, true);
    assert_ok(io_write(accepted[1], "HTTP/1.1 408 Request Timeout\r\n\r\n", 32, after(1000)));
    assert_ok(fiber_sleep(after(10)));
    assert_int_equal(pool_idle(pool), 0); /* it spoke out of turn: closed without being asked for */
    c = acquire(POOL_ANY);
    c->stream = dialled(2);
    pool_release(c, true);
    assert_ok(fiber_sleep(after(4990)));
    assert_int_equal(pool_idle(pool), 1);
    assert_ok(fiber_sleep(after(20)));
    assert_int_equal(pool_idle(pool), 0); /* idle for five seconds */
}
static void dead_chatty_and_old_ones_go(void **state)
{
    (void)state;
    in_world(probing_body, (struct pool_options){.idle_ms = 5000, .idle_per_origin = 4, .idle_total = 10});
}

static int waited_ms;
static void waiter(void *arg)
{
    (void)arg;
    tick start = now();
    struct pool_conn *c = acquire(POOL_ANY);
    waited_ms = (int)((now() - start) / TICK_MS);
    assert_non_null(c->stream);
    pool_release(c, true);
}
static void limits_body(void *arg)
{
    (void)arg;
    struct scope scope;
    struct pool_conn *c[3];
    for (int i = 0; i < 2; i++) {
        c[i] = acquire(POOL_ANY);
        c[i]->stream = dialled(i);
    }
    assert_err(pool_acquire(pool, S("http://a"), POOL_ANY, &c[2], after(50)), E_TIMEOUT);
    assert_string_equal(fault_detail(), "waiting for a free connection to http://a");
    scope_open(&scope);
    assert_ok(scope_spawn(&scope, "waiter", waiter, NULL));
    assert_ok(fiber_sleep(after(100)));
    pool_release(c[0], true);
    assert_ok(scope_join(&scope, after(1000)));
    scope_close(&scope);
    assert_int_equal(waited_ms, 100);
    pool_release(c[1], true); /* idle_per_origin is 1: the older one goes */
    assert_int_equal(pool_idle(pool), 1);
    park_wake_all(PARK_SHUTDOWN);
    assert_int_equal(pool_idle(pool), 0);
}
static void limits_hold_and_waiters_are_served(void **state)
{
    (void)state;
    in_world(limits_body,
             (struct pool_options){.idle_ms = 5000, .per_origin = 2, .idle_per_origin = 1, .idle_total = 10});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_connections_are_reused),
        cmocka_unit_test(dead_chatty_and_old_ones_go),
        cmocka_unit_test(limits_hold_and_waiters_are_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
