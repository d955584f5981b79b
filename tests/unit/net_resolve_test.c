/* SPDX-License-Identifier: MIT */
/* The resolver against a name server on loopback that answers, stalls and lies as the test wants. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cursor.h"
#include "net/dial.h"
#include "net/listen.h"
#include "net/resolve.h"
#include "net/udp.h"
#include "rt/loop.h"

enum { TYPE_A = 1, TYPE_PTR = 12, TYPE_AAAA = 28, NXDOMAIN = 3, SERVFAIL = 2 };

struct server {
    struct listen_point at, tcp;
    struct udp_batch *batch;
    int asked_a, asked_aaaa;
    tick slow_until; /* AAAA of "slow.test" is answered only then */
};
static struct server server;

static void put_answer(struct cursor *c, int type, uint32_t ttl, struct slice data)
{
    cursor_put(c, 0xc00c, 2); /* the name asked for */
    cursor_put(c, (uint64_t)type, 2);
    cursor_put(c, 1, 2);
    cursor_put(c, ttl, 4);
    cursor_put(c, data.n, 2);
    cursor_put_bytes(c, data);
}

struct query {
    uint16_t id;
    struct slice question; /* as it came */
    char name[256];
    int type;
};

static struct query parse(struct slice packet)
{
    struct query q = {0};
    struct cursor c = cursor_reader(packet);
    q.id = cursor_get_u16(&c);
    cursor_take(&c, 10);
    size_t start = c.at, n = 0;
    for (uint8_t len; (len = cursor_get_u8(&c));) {
        struct slice label = cursor_get_bytes(&c, len);
        n += (size_t)snprintf(q.name + n, sizeof q.name - n, "%s%.*s", n ? "." : "", SLICE_ARG(label));
    }
    for (char *p = q.name; *p; p++)
        *p = ascii_lower(*p);
    q.type = cursor_get_u16(&c);
    cursor_take(&c, 2);
    q.question = slice_of(packet.p + start, c.at - start);
    assert_false(c.bad);
    return q;
}

static bool is(const struct query *q, const char *name, int type)
{
    return q->type == type && strcmp(q->name, name) == 0;
}

/* The whole zone. Returns the rcode and adds answers; `tcp` says over what it was asked. */
static int zone(const struct query *q, struct cursor *c, int *answers, bool *cut, bool tcp)
{
    static const char v6[16] = "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1";
    server.asked_a += q->type == TYPE_A;
    server.asked_aaaa += q->type == TYPE_AAAA;
    *answers = 1;
    if (is(q, "both.test", TYPE_AAAA) || is(q, "slow.test", TYPE_AAAA))
        put_answer(c, TYPE_AAAA, 60, slice_of(v6, 16));
    else if (is(q, "both.test", TYPE_A) || is(q, "slow.test", TYPE_A) || is(q, "four.test", TYPE_A))
        put_answer(c, TYPE_A, 60, S("\xc0\x00\x02\x01"));
    else if (is(q, "late.test", TYPE_A))
        put_answer(c, TYPE_A, 60, S("\x7f\x00\x00\x01"));
    else if (is(q, "late.test", TYPE_AAAA))
        put_answer(c, TYPE_AAAA, 60, slice_of("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16));
    else if (is(q, "brief.test", TYPE_A))
        put_answer(c, TYPE_A, 0, S("\xc0\x00\x02\x02"));
    else if (is(q, "long.test", TYPE_A) && !tcp)
        *cut = true, *answers = 0;
    else if (is(q, "long.test", TYPE_A))
        for (*answers = 0; *answers < 40; ++*answers)
            put_answer(c, TYPE_A, 60, slice_of((char[]){10, 0, 0, (char)*answers}, 4));
    else if (is(q, "1.2.0.192.in-addr.arpa", TYPE_PTR))
        put_answer(c, TYPE_PTR, 60, S("\x04name\x04test\x00"));
    else
        *answers = 0;
    bool none = strncmp(q->name, "none.", 5) == 0 || q->type == TYPE_PTR;
    return strcmp(q->name, "broken.test") == 0 ? SERVFAIL : none && *answers == 0 ? NXDOMAIN : 0;
}

static size_t answer(const struct query *q, uint8_t *out, size_t cap, bool tcp)
{
    struct cursor c = cursor_writer(out, cap);
    int answers = 0;
    bool cut = false;
    cursor_take(&c, 12);
    cursor_put_bytes(&c, q->question);
    int rcode = zone(q, &c, &answers, &cut, tcp);
    struct cursor head = cursor_writer(out, 12);
    cursor_put(&head, q->id, 2);
    cursor_put(&head, 0x8180u | (cut ? 0x200u : 0u) | (unsigned)rcode, 2);
    cursor_put(&head, 1, 2);
    cursor_put(&head, (uint64_t)answers, 2);
    cursor_put(&head, 0, 4);
    assert_false(c.bad);
    return c.at;
}

static void serve_udp(void *arg)
{
    (void)arg;
    static uint8_t out[1024];
    int fd = listen_fd(&server.at, 0);
    for (;;) {
        struct datagram *d;
        unsigned n, sent;
        if (udp_recv(fd, server.batch, &d, &n, TICK_NEVER))
            return;
        for (unsigned i = 0; i < n; i++) {
            struct query q = parse(d[i].payload);
            if (strcmp(q.name, "silent.test") == 0)
                continue;
            struct datagram back = {.peer = d[i].peer, .ttl = -1, .tos = -1};
            back.payload = slice_of(out, answer(&q, out, sizeof out, false));
            if (is(&q, "slow.test", TYPE_AAAA) && server.slow_until > now())
                continue;
            if (is(&q, "late.test", TYPE_AAAA))
                assert_ok(fiber_sleep(after(200)));
            assert_ok(udp_send(fd, server.batch, &back, 1, &sent, after(1000)));
        }
    }
}

static void serve_tcp(void *arg)
{
    (void)arg;
    static uint8_t in[512], out[2048];
    int conn;
    struct addr peer;
    while (io_accept(listen_fd(&server.tcp, 0), &conn, &peer, TICK_NEVER) == NULL) {
        size_t got = 0, have = 0;
        while (have < 2 || have < 2u + (size_t)(in[0] << 8 | in[1])) {
            assert_ok(io_read(conn, in + have, sizeof in - have, &got, after(1000)));
            have += got;
        }
        struct query q = parse(slice_of(in + 2, have - 2));
        size_t n = answer(&q, out + 2, sizeof out - 2, true);
        out[0] = (uint8_t)(n >> 8), out[1] = (uint8_t)n;
        for (size_t at = 0; at < n + 2; at += 100) { /* in pieces */
            assert_ok(io_write(conn, out + at, n + 2 - at < 100 ? n + 2 - at : 100, after(1000)));
            assert_ok(fiber_yield());
        }
        io_close(conn);
    }
}

static void with_server(void *arg)
{
    struct scope scope;
    scope_open(&scope);
    assert_ok(scope_spawn(&scope, "udp", serve_udp, NULL));
    assert_ok(scope_spawn(&scope, "tcp", serve_tcp, NULL));
    server.asked_a = server.asked_aaaa = 0;
    ((fiber_fn *)arg)(NULL);
    scope_close(&scope);
}

static void run(fiber_fn *test)
{
    struct loop *loop;
    assert_ok(loop_open(&loop));
    assert_ok(loop_run(loop, "test", with_server, (void *)test));
    loop_close(loop);
}

static err_t look(const char *name, int family, struct resolved *r, int64_t ms)
{
    return resolve(slice_z(name), 80, family, r, after(ms));
}

static void text_of(const struct resolved *r, char *out, size_t cap)
{
    size_t n = 0;
    char text[ADDR_TEXT];
    out[0] = 0;
    for (int i = 0; i < r->n; i++)
        n += (size_t)snprintf(out + n, cap - n, "%s%s", i ? " " : "", addr_text(&r->v[i], text));
}

static void answers_body(void *arg)
{
    (void)arg;
    struct resolved r;
    char text[256];
    for (int i = 0; i < 3; i++) { /* asked once, kept after that */
        assert_ok(look("Both.test", 0, &r, 5000));
        text_of(&r, text, sizeof text);
        assert_string_equal(text, "[2001:db8::1]:80 192.0.2.1:80");
        assert_int_equal(server.asked_a, 1);
        assert_int_equal(server.asked_aaaa, 1);
    }
    assert_ok(look("four.test", 0, &r, 5000));
    text_of(&r, text, sizeof text);
    assert_string_equal(text, "192.0.2.1:80");
    assert_err(look("four.test", AF_INET6, &r, 5000), E_NO_HOST);
    for (int i = 0; i < 2; i++)
        assert_ok(look("brief.test", AF_INET, &r, 5000));
    assert_int_equal(server.asked_a, 4); /* a TTL of 0 is not kept */
}
static void answers_are_kept_for_their_time(void **state)
{
    (void)state;
    run(answers_body);
}

static void failures_body(void *arg)
{
    (void)arg;
    struct resolved r;
    assert_err(look("none.test", AF_INET, &r, 5000), E_NO_HOST);
    assert_string_equal(fault_detail(), "none.test");
    int asked = server.asked_a;
    assert_err(look("none.test", AF_INET, &r, 5000), E_NO_HOST);
    assert_int_equal(server.asked_a, asked);
    assert_err(look("none.test", 0, &r, 5000), E_NO_HOST);
    assert_err(look("broken.test", AF_INET, &r, 5000), E_RESOLVE);
    tick start = now();
    assert_err(look("silent.test", 0, &r, 300), E_TIMEOUT);
    assert_true(now() - start >= 300 * TICK_MS && now() - start < 3000 * TICK_MS);
    assert_string_equal(fault_detail(), "looking up silent.test");
    char endless[400];
    memset(endless, 'a', sizeof endless);
    endless[sizeof endless - 1] = 0;
    assert_err(look(endless, AF_INET, &r, 5000), E_NO_HOST);
    assert_err(look("a..b", AF_INET, &r, 5000), E_NO_HOST);
}
/* Who does not wait at all: the question is withdrawn before anybody has looked at its socket. */
static void no_time_body(void *arg)
{
    (void)arg;
    struct resolved r;
    assert_err(look("four.test", AF_INET, &r, 0), E_TIMEOUT);
    assert_ok(look("four.test", AF_INET, &r, 5000));
}
static void a_question_without_time_is_withdrawn(void **state)
{
    (void)state;
    run(no_time_body);
}

static void failures_say_which_kind(void **state)
{
    (void)state;
    run(failures_body);
}

static void delay_body(void *arg)
{
    (void)arg;
    struct resolved r;
    server.slow_until = TICK_NEVER;
    tick start = now();
    assert_ok(look("slow.test", 0, &r, 5000));
    assert_int_equal(r.n, 1);
    assert_true(now() - start >= RESOLVE_DELAY && now() - start < 2000 * TICK_MS);
    struct dial_times times;
    int fd;
    struct dial_options options = {.family = AF_INET6};
    assert_err(dial(S("slow.test"), 9, &options, &fd, NULL, &times, after(200)), E_TIMEOUT);
    assert_string_equal(fault_detail(), "looking up slow.test");
}
static void the_slower_family_gets_50_ms(void **state)
{
    (void)state;
    run(delay_body);
}

/* Nobody listens on the IPv4 address, which comes first; the IPv6 one comes much later and is dialled then. */
static void late_body(void *arg)
{
    (void)arg;
    struct listen_point six = {.fd_count = 0};
    struct dial_times times;
    struct addr peer;
    int fd = -1;
    assert_ok(addr_parse_listen(S("[::1]:0"), 0, &six.addr));
    assert_ok(listen_open(&six, 1));
    assert_ok(dial(S("late.test"), addr_port(&six.addr), NULL, &fd, &peer, &times, after(5000)));
    assert_true(addr_eq(&peer, &six.addr));
    assert_true(times.resolved - times.start >= RESOLVE_DELAY);
    assert_true(times.connected - times.start >= 200 * TICK_MS);
    io_close(fd);
    listen_close(&six);
}
static void an_address_that_comes_late_still_takes_part(void **state)
{
    (void)state;
    run(late_body);
}

static void tcp_body(void *arg)
{
    (void)arg;
    struct resolved r;
    assert_ok(look("long.test", AF_INET, &r, 5000));
    assert_int_equal(r.n, RESOLVE_MAX);
}
static void a_cut_answer_is_asked_for_over_tcp(void **state)
{
    (void)state;
    run(tcp_body);
}

static void name_body(void *arg)
{
    (void)arg;
    struct addr a;
    char name[64];
    assert_ok(addr_parse(S("192.0.2.1"), 0, &a));
    assert_ok(resolve_name(&a, name, sizeof name, after(5000)));
    assert_string_equal(name, "name.test");
    assert_ok(addr_parse(S("192.0.2.2"), 0, &a));
    assert_err(resolve_name(&a, name, sizeof name, after(5000)), E_NO_HOST);
}
static void addresses_have_names(void **state)
{
    (void)state;
    run(name_body);
}

static void shared_ask(void *arg)
{
    struct resolved r;
    int *ok = arg;
    *ok += look("both.test", AF_INET, &r, 5000) == NULL;
}
static void shared_body(void *arg)
{
    (void)arg;
    struct scope scope;
    int ok = 0;
    scope_open(&scope);
    for (int i = 0; i < 50; i++)
        assert_ok(scope_spawn(&scope, "asker", shared_ask, &ok));
    assert_ok(scope_join(&scope, TICK_NEVER));
    scope_close(&scope);
    assert_int_equal(ok, 50);
    assert_int_equal(server.asked_a, 1);
}
static void fibers_share_one_question(void **state)
{
    (void)state;
    run(shared_body);
}

static void local_body(void *arg)
{
    (void)arg;
    struct resolved r;
    struct addr pin;
    char text[256];
    const char *cases[][2] = {{"localhost", "[::1]:80 127.0.0.1:80"},
                              {"a.b.LOCALHOST.", "[::1]:80 127.0.0.1:80"},
                              {"127.0.0.1", "127.0.0.1:80"},
                              {"[::1]", "[::1]:80"},
                              {"pinned.test", "192.0.2.77:80"}};
    assert_ok(addr_parse(S("192.0.2.77"), 0, &pin));
    assert_ok(resolve_pin(S("PINNED.test"), 80, &pin));
    for (size_t i = 0; i < 5; i++) {
        assert_ok(look(cases[i][0], 0, &r, 5000));
        text_of(&r, text, sizeof text);
        assert_string_equal(text, cases[i][1]);
    }
    assert_err(look("127.0.0.1", AF_INET6, &r, 5000), E_NO_HOST);
    assert_int_equal(server.asked_a + server.asked_aaaa, 0);
    assert_err(resolve(S("pinned.test"), 81, AF_INET, &r, after(5000)), E_NO_HOST);
    assert_int_equal(server.asked_a, 1); /* the pin is for port 80 */
}
static void literals_localhost_and_pins_ask_nobody(void **state)
{
    (void)state;
    run(local_body);
}

/* A port that is free for datagrams and for connections alike: the first that comes need not be. */
static err_t bind_both(void)
{
    server.at = (struct listen_point){.flags = LISTEN_UDP};
    TRY(addr_parse_listen(S("127.0.0.1:0"), 0, &server.at.addr));
    TRY(listen_open(&server.at, 1));
    server.tcp = (struct listen_point){.addr = server.at.addr};
    err_t e = listen_open(&server.tcp, 1);
    if (e)
        listen_close(&server.at);
    return e;
}

static int start_server(void **state)
{
    (void)state;
    char env[ADDR_TEXT];
    err_t e = E_BUSY;
    for (int i = 0; e == E_BUSY && i < 100; i++)
        e = bind_both();
    return e || udp_batch_new(8, 512, &server.batch) || setenv("L7_NAMESERVERS", addr_text(&server.at.addr, env), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_kept_for_their_time),
        cmocka_unit_test(failures_say_which_kind),
        cmocka_unit_test(a_question_without_time_is_withdrawn),
        cmocka_unit_test(the_slower_family_gets_50_ms),
        cmocka_unit_test(an_address_that_comes_late_still_takes_part),
        cmocka_unit_test(a_cut_answer_is_asked_for_over_tcp),
        cmocka_unit_test(addresses_have_names),
        cmocka_unit_test(fibers_share_one_question),
        cmocka_unit_test(literals_localhost_and_pins_ask_nobody),
    };
    return cmocka_run_group_tests(tests, start_server, NULL);
}
