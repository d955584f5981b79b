/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>

#include "net/listen.h"
#include "net/udp.h"
#include "net/udp_warm.h"
#include "rt/loop.h"

enum { COUNT = 20 };

static void on_a_loop(void (*test)(void *), void *arg)
{
    struct loop *loop;
    assert_ok(loop_open(&loop));
    assert_ok(loop_run(loop, "test", test, arg));
    loop_close(loop);
}

/* Wait for the error queue of `fd`, then take the next event. */
static void next_event(int fd, struct udp_event *ev)
{
    err_t e;
    tick until = after(5000);
    while ((e = udp_event(fd, ev)) == E_TIMEOUT) {
        struct mmsghdr none = {0};
        unsigned got;
        err_t drained = io_recvmmsg(fd, &none, 1, MSG_PEEK, &got, now()); /* clears the remembered readiness */
        assert_true(drained == E_TIMEOUT || drained == E_REFUSED);
        if (drained == E_TIMEOUT)
            assert_ok(io_wait(fd, IO_READ, until));
    }
    assert_ok(e);
}

struct pair {
    struct listen_point at;
    int client;
    struct udp_batch *batch;
};

static void open_pair(struct pair *p, const char *where, const char *peer, enum udp_flags flags)
{
    enum udp_flags granted = 0;
    struct addr to;
    p->at = (struct listen_point){.flags = LISTEN_UDP};
    assert_ok(addr_parse_listen(slice_z(where), 0, &p->at.addr));
    assert_ok(listen_open(&p->at, 1));
    assert_ok(addr_parse(slice_z(peer), addr_port(&p->at.addr), &to));
    assert_ok(udp_dial(&to, &p->client));
    assert_ok(udp_setup(p->client, flags, &granted));
    assert_int_equal(granted, flags);
    assert_ok(udp_setup(listen_fd(&p->at, 0), UDP_LOCAL | UDP_TTL | UDP_TOS | UDP_RX_STAMP, &granted));
    assert_int_equal(granted, UDP_LOCAL | UDP_TTL | UDP_TOS | UDP_RX_STAMP);
    assert_ok(udp_batch_new(8, 64, &p->batch));
}

static void close_pair(struct pair *p)
{
    udp_batch_free(p->batch);
    io_close(p->client);
    listen_close(&p->at);
}

static void send_all(struct pair *p)
{
    struct datagram d[COUNT];
    char text[COUNT][8];
    unsigned sent = 0;
    for (int i = 0; i < COUNT; i++) {
        text[i][0] = (char)('a' + i);
        d[i] = (struct datagram){.payload = slice_of(text[i], 1), .ttl = (int16_t)(40 + i), .tos = 0x20};
    }
    assert_ok(udp_send(p->client, p->batch, d, COUNT, &sent, after(5000)));
    assert_int_equal(sent, COUNT);
}

static void receive_all(struct pair *p, const char *local)
{
    int64_t last = 0, at = clock_wall();
    unsigned have = 0, got = 0;
    struct datagram *d;
    while (have < COUNT) {
        assert_ok(udp_recv(listen_fd(&p->at, 0), p->batch, &d, &got, after(5000)));
        assert_true(got >= 1 && got <= 8);
        for (unsigned i = 0; i < got; i++, have++) {
            char text[ADDR_TEXT];
            assert_int_equal(d[i].payload.n, 1);
            assert_int_equal(d[i].payload.p[0], 'a' + (int)have);
            assert_int_equal(d[i].ttl, 40 + (int)have);
            assert_int_equal(d[i].tos, 0x20);
            assert_string_equal(addr_text_host(&d[i].local, text), local);
            assert_false(d[i].cut);
            /* The stamp facility needs a moment to be switched on in the kernel, so the first may lack it. */
            if (d[i].wall_ns) {
                assert_true(d[i].wall_ns >= last && llabs(d[i].wall_ns - at) < 5 * TICK_S);
                last = d[i].wall_ns;
            }
        }
    }
}

static void stamps_of_sending(struct pair *p)
{
    int64_t last = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        struct udp_event ev = {0};
        next_event(p->client, &ev);
        assert_int_equal(ev.what, UDP_EVENT_STAMP);
        assert_int_equal(ev.id, i);
        assert_true(ev.wall_ns >= last && llabs(ev.wall_ns - clock_wall()) < 5 * TICK_S);
        last = ev.wall_ns;
    }
}

static void exchange(void *arg)
{
    const char *const *w = arg;
    struct pair p;
    open_pair(&p, w[0], w[1], UDP_TX_STAMP | UDP_ERRORS);
    send_all(&p);
    receive_all(&p, w[1]);
    stamps_of_sending(&p);
    close_pair(&p);
}

static void what_the_kernel_knows_comes_along(void **state)
{
    (void)state;
    const char *cases[][2] = {{"127.0.0.1:0", "127.0.0.1"}, {"[::1]:0", "::1"}, {":0", "127.0.0.1"}};
    for (size_t i = 0; i < 3; i++)
        on_a_loop(exchange, cases[i]);
}

static void answer(void *arg)
{
    const char *const *w = arg;
    struct pair p;
    struct datagram *d, ask = {.payload = S("0123456789012345678901234567890123456789012345678901234567890123456789"),
                               .ttl = -1,
                               .tos = -1};
    unsigned n;
    open_pair(&p, w[0], w[1], 0);
    assert_ok(udp_send(p.client, p.batch, &ask, 1, &n, after(5000)));
    assert_ok(udp_recv(listen_fd(&p.at, 0), p.batch, &d, &n, after(5000)));
    assert_true(d->cut);
    assert_int_equal(d->payload.n, 64);
    struct datagram back = *d; /* a connected client takes it only when it comes from where it sent to */
    back.ttl = back.tos = -1;
    assert_ok(udp_send(listen_fd(&p.at, 0), p.batch, &back, 1, &n, after(5000)));
    assert_ok(udp_recv(p.client, p.batch, &d, &n, after(5000)));
    assert_int_equal(d->payload.n, 64);
    assert_int_equal(d->ttl, -1);
    assert_int_equal(d->wall_ns, 0);
    close_pair(&p);
}

static void answers_leave_from_the_address_asked(void **state)
{
    (void)state;
    const char *cases[][2] = {{"0.0.0.0:0", "127.0.0.77"}, {":0", "127.0.0.78"}, {":0", "::1"}};
    for (size_t i = 0; i < 3; i++)
        on_a_loop(answer, cases[i]);
}

static void complain(void *arg)
{
    (void)arg;
    struct pair p;
    struct udp_event ev = {0};
    unsigned n;
    struct datagram d = {.payload = S("anybody?"), .ttl = -1, .tos = -1};
    open_pair(&p, "127.0.0.1:0", "127.0.0.1", UDP_ERRORS);
    listen_close(&p.at);
    assert_ok(udp_send(p.client, p.batch, &d, 1, &n, after(5000)));
    next_event(p.client, &ev);
    assert_int_equal(ev.what, UDP_EVENT_ICMP);
    assert_int_equal(ev.error, ECONNREFUSED);
    assert_int_equal(ev.type, 3);
    assert_int_equal(ev.code, 3);
    assert_slice(ev.payload, "anybody?");
    char text[ADDR_TEXT];
    assert_string_equal(addr_text_host(&ev.offender, text), "127.0.0.1");
    assert_true(addr_eq(&ev.peer, &p.at.addr));
    assert_err(udp_event(p.client, &ev), E_TIMEOUT);
    close_pair(&p);
}

static void icmp_errors_name_who_complained(void **state)
{
    (void)state;
    on_a_loop(complain, NULL);
}

/* The datagram to ourselves leaves nothing behind, neither itself nor its stamp, and is not sent while we are warm. */
static void warm_up(void *arg)
{
    struct udp_warm w;
    struct udp_event ev;
    struct mmsghdr none = {0};
    unsigned got;
    udp_warm_open(&w, *(const int *)arg);
    assert_true(w.fd >= 0);
    for (tick at = 10 * TICK_S; at < 11 * TICK_S; at += TICK_MS * 100) {
        udp_warm(&w, at);
        assert_true(w.last == at);
        assert_err(udp_event(w.fd, &ev), E_TIMEOUT);
        assert_err(io_recvmmsg(w.fd, &none, 1, 0, &got, now()), E_TIMEOUT);
    }
    udp_warm(&w, w.last + TICK_MS);
    udp_warm_close(&w);
    assert_int_equal(w.fd, -1);
    udp_warm(&w, TICK_NEVER); /* nothing to warm with */
}

static void warming_leaves_nothing_behind(void **state)
{
    (void)state;
    on_a_loop(warm_up, &(int){AF_INET});
    on_a_loop(warm_up, &(int){AF_INET6});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_kernel_knows_comes_along),
        cmocka_unit_test(answers_leave_from_the_address_asked),
        cmocka_unit_test(icmp_errors_name_who_complained),
        cmocka_unit_test(warming_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
