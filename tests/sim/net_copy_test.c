/* SPDX-License-Identifier: MIT */
/* The two directions of a tunnel, over hours of virtual time. */
#include "tests/unit/unit.h"

#include "net/stream.h"
#include "rt/io.h"
#include "rt/loop.h"
#include "rt/sim.h"
#include "rt/sys.h"

enum { IDLE_S = 600 };

struct pair { /* what the tunnel holds, and the peer */
    struct stream_tcp here;
    int there;
};

struct way {
    struct stream *to, *from;
    struct stream_flow flow;
    err_t e;
    tick ended;
};

static struct pair pair_open(uint16_t port)
{
    struct pair p;
    struct addr at, peer;
    int l = sys_socket(AF_INET, SOCK_STREAM), conn;
    assert_ok(addr_parse(S("127.0.0.1"), port, &at));
    assert_int_equal(sys_bind(l, &at.sa, at.len) | sys_listen(l, 1), 0);
    p.there = sys_socket(AF_INET, SOCK_STREAM);
    assert_ok(io_connect(p.there, &at, after(1000)));
    assert_ok(io_accept(l, &conn, &peer, after(1000)));
    stream_tcp_init(&p.here, conn);
    io_close(l);
    return p;
}

static void pair_close(struct pair *p)
{
    stream_close(&p->here.stream);
    io_close(p->there);
}

static void copy(void *arg)
{
    struct way *w = arg;
    w->e = stream_copy(w->to, w->from, &w->flow);
    w->ended = now();
}

/* A piece a minute, of a size that goes through memory or through the pipe. */
static void flow(size_t piece)
{
    static char bytes[32768];
    struct pair a = pair_open(80), b = pair_open(81);
    struct scope s;
    tick active = now(), quiet;
    struct stream_flow f = {.idle_ms = IDLE_S * 1000, .active = &active};
    struct way up = {&b.here.stream, &a.here.stream, f, NULL, 0}, down = {&a.here.stream, &b.here.stream, f, NULL, 0};
    scope_open(&s);
    assert_ok(scope_spawn(&s, "up", copy, &up));
    assert_ok(scope_spawn(&s, "down", copy, &down));
    for (int minute = 0; minute < 120; minute++) {
        assert_ok(io_write(b.there, bytes, piece, after(1000)));
        for (size_t have = 0, got; have < piece; have += got)
            assert_ok(io_read(a.there, bytes, sizeof bytes, &got, after(1000)));
        quiet = now();
        assert_ok(fiber_sleep(after(60000)));
        assert_int_equal(up.ended, 0); /* nothing came from that side for two hours */
    }
    assert_ok(scope_join(&s, TICK_NEVER));
    assert_int_equal(down.flow.moved, 120 * piece);
    assert_ptr_equal(up.e, E_TIMEOUT);
    assert_ptr_equal(down.e, E_TIMEOUT);
    assert_int_equal(up.ended - quiet, IDLE_S * TICK_S);
    scope_close(&s);
    pair_close(&a);
    pair_close(&b);
}

static void both(void *arg)
{
    (void)arg;
    flow(100);
    flow(20000);
}
static void one_way_is_not_idle(void **state)
{
    struct loop *l;
    (void)state;
    sim_reset();
    assert_ok(loop_open(&l));
    assert_ok(loop_run(l, "test", both, NULL));
    loop_close(l);
    assert_int_equal(sim_open_count(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_way_is_not_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
