/* SPDX-License-Identifier: MIT */
/* TLS streams both ways: bytes, ends, resumption, ALPN, channel binding, secrets for Wireshark. */
#include "tests/unit/tls_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "rt/io.h"
#include "rt/loop.h"

/* -- bytes -- */

enum { BULK = 1000000 };
static char *bulk;

static void send_bulk(void *arg)
{
    struct world *w = arg;
    size_t at = 0;
    while (at < BULK) { /* pieces of all sizes, several a call */
        struct iovec v[3];
        for (int i = 0; i < 3; i++) {
            size_t n = (size_t)(at * 7919 % 40000) + (i == 1 ? 0 : 1);
            n = n < BULK - at ? n : BULK - at;
            v[i] = (struct iovec){bulk + at, n};
            at += n;
        }
        assert_ok(stream_writev(w->s, v, 3, after(5000)));
    }
    assert_ok(stream_finish(w->s, after(5000)));
}

static void send_file(void *arg)
{
    struct world *w = arg;
    FILE *f = tmpfile();
    assert_int_equal(fwrite(bulk, 1, BULK, f), BULK);
    fflush(f);
    assert_ok(stream_send_file(w->s, fileno(f), 0, BULK, after(5000)));
    fclose(f);
    assert_ok(stream_finish(w->s, after(5000)));
}

static void receive_bulk(void *arg)
{
    struct world *w = arg;
    char *got = malloc(BULK + 1);
    size_t have = 0, n = 1;
    while (n && have <= BULK) {
        assert_ok(stream_read(w->c, got + have, BULK + 1 - have, &n, after(5000)));
        have += n;
    }
    assert_int_equal(have, BULK);
    assert_memory_equal(got, bulk, BULK);
    assert_false(stream_pending(w->c));
    free(got);
}

static void every_byte_arrives_whatever_is_below(void **state)
{
    (void)state;
    fiber_fn *senders[] = {send_bulk, send_file};
    for (int i = 0; i < 4; i++) {
        struct world w = {.client = client_of("root.pem"),
                          .server = server_of("good", 0),
                          .host = "a.example",
                          .piped = i & 1,
                          .front = receive_bulk,
                          .back = senders[i / 2]};
        meet(&w);
        assert_null(w.client_error);
        assert_null(w.server_error);
        tls_unref(w.client);
        tls_unref(w.server);
    }
}

/* Reader and writer fibers on both ends at once, against a full pipe. */
struct duplex {
    struct stream *s;
    size_t got;
};
static void duplex_write(void *arg)
{
    struct duplex *d = arg;
    assert_ok(stream_write(d->s, slice_of(bulk, BULK), after(5000)));
    assert_ok(stream_finish(d->s, after(5000)));
}
static void duplex_read(void *arg)
{
    struct duplex *d = arg;
    char p[3000];
    size_t n = 1;
    for (; n; d->got += n) {
        assert_ok(stream_read(d->s, p, sizeof p, &n, after(5000)));
        assert_memory_equal(p, bulk + d->got, n);
    }
}
static void duplex(struct stream *s)
{
    struct scope scope;
    struct duplex d = {.s = s};
    scope_open(&scope);
    assert_ok(scope_spawn(&scope, "read", duplex_read, &d));
    assert_ok(scope_spawn(&scope, "write", duplex_write, &d));
    assert_ok(scope_join(&scope, after(10000)));
    scope_close(&scope);
    assert_int_equal(d.got, BULK);
}
static void duplex_client(void *arg)
{
    duplex(((struct world *)arg)->c);
}
static void duplex_server(void *arg)
{
    duplex(((struct world *)arg)->s);
}

static void both_directions_flow_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world w = {.client = client_of("root.pem"),
                          .server = server_of("good", 0),
                          .host = "a.example",
                          .piped = i,
                          .front = duplex_client,
                          .back = duplex_server};
        meet(&w);
        tls_unref(w.client);
        tls_unref(w.server);
    }
}

static void cut_client(void *arg)
{
    struct world *w = arg;
    char p[8];
    size_t n;
    assert_ok(stream_read(w->c, p, sizeof p, &n, after(5000)));
    assert_err(stream_read(w->c, p, sizeof p, &n, after(5000)), E_TRUNCATED);
}
static void cut_server(void *arg)
{
    struct world *w = arg;
    assert_ok(stream_write(w->s, S("cut"), after(5000)));
    shutdown(stream_fd(w->s), SHUT_RDWR); /* as an attacker would */
}
static void bare_close(void *arg)
{
    struct world *w = arg;
    stream_close(w->s);
    w->s = NULL;
}
static void bare_client(void *arg)
{
    struct world *w = arg;
    char p[8];
    size_t n = 9;
    assert_ok(stream_read(w->c, p, sizeof p, &n, after(5000)));
    assert_int_equal(n, 0);
}
static void an_end_without_goodbye_is_an_error(void **state)
{
    (void)state;
    struct world w = {.client = client_of("root.pem"),
                      .server = server_of("good", 0),
                      .host = "a.example",
                      .front = cut_client,
                      .back = cut_server};
    meet(&w);
    w.front = bare_client, w.back = bare_close; /* close alone says goodbye */
    meet(&w);
    tls_unref(w.client);
    tls_unref(w.server);
}

static void second_connections_resume(void **state)
{
    (void)state;
    struct world w = {.client = client_of("root.pem"),
                      .server = server_of("good", 0),
                      .host = "a.example",
                      .front = learn_client,
                      .back = learn_server};
    for (int i = 0; i < 3; i++) {
        meet(&w);
        assert_null(w.client_error);
        assert_int_equal(client_facts.info.resumed, i > 0);
        assert_string_equal(client_facts.info.version, "TLSv1.3");
        assert_string_equal(client_facts.info.subject, "/CN=good");
        assert_string_equal(client_facts.binding_type, "tls-exporter");
        assert_int_equal(client_facts.binding_n, 32);
        assert_memory_equal(client_facts.binding, server_facts.binding, 32);
        assert_true(client_facts.info.not_after > 1700000000);
    }
    w.host = "x.b.example"; /* another host: no session of a.example */
    meet(&w);
    assert_false(client_facts.info.resumed);
    tls_unref(w.client);
    tls_unref(w.server);
}

static void alpn_prefers_h2(void **state)
{
    (void)state;
    const unsigned cases[][3] = {{TLS_ALPN_H2 | TLS_ALPN_HTTP1, TLS_ALPN_H2 | TLS_ALPN_HTTP1, TLS_ALPN_H2},
                                 {TLS_ALPN_H2 | TLS_ALPN_HTTP1, TLS_ALPN_HTTP1, TLS_ALPN_HTTP1},
                                 {TLS_ALPN_HTTP1, TLS_ALPN_H2 | TLS_ALPN_HTTP1, TLS_ALPN_HTTP1},
                                 {TLS_ALPN_NONE, TLS_ALPN_HTTP1, TLS_ALPN_NONE},
                                 {TLS_ALPN_HTTP1, TLS_ALPN_NONE, TLS_ALPN_NONE}};
    for (size_t i = 0; i < 5; i++) {
        struct tls_client_options o = {.ca_file = path("root.pem"), .alpn = cases[i][0]};
        struct world w = {
            .server = server_of("good", cases[i][1]), .host = "a.example", .front = learn_client, .back = learn_server};
        assert_ok(tls_client_new(&o, &w.client));
        meet(&w);
        assert_int_equal(client_facts.alpn, cases[i][2]);
        assert_int_equal(server_facts.alpn, cases[i][2]);
        tls_unref(w.client);
        tls_unref(w.server);
    }
}

static void secrets_are_logged_for_wireshark(void **state)
{
    (void)state;
    struct tls_client_options o = {.ca_file = path("root.pem"), .keylog = path("secrets")};
    struct world w = {.server = server_of("good", 0), .host = "a.example"};
    char text[4096] = "";
    assert_ok(tls_client_new(&o, &w.client));
    meet(&w);
    FILE *f = fopen(path("secrets"), "r");
    assert_true(fread(text, 1, sizeof text - 1, f) > 0);
    fclose(f);
    assert_non_null(strstr(text, "CLIENT_HANDSHAKE_TRAFFIC_SECRET "));
    assert_non_null(strstr(text, "CLIENT_TRAFFIC_SECRET_0 "));
    tls_unref(w.client);
    tls_unref(w.server);
}

static void not_tls(void *arg)
{
    struct world *w = arg;
    struct stream *s = plain(w, 1);
    assert_ok(stream_write(s, S("HTTP/1.1 400 Bad Request\r\n\r\n"), after(5000)));
    w->s = s;
}
static void talk_plain(void *arg)
{
    struct world *w = arg;
    struct scope scope;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, w->fd), 0);
    scope_open(&scope);
    assert_ok(scope_spawn(&scope, "client", client_end, w));
    assert_ok(scope_spawn(&scope, "server", not_tls, w));
    assert_ok(scope_join(&scope, TICK_NEVER));
    scope_close(&scope);
    stream_close(w->s);
}
static void plain_servers_are_recognised(void **state)
{
    (void)state;
    struct world w = {.client = client_of("root.pem"), .host = "a.example"};
    struct loop *loop;
    assert_ok(loop_open(&loop));
    assert_ok(loop_run(loop, "test", talk_plain, &w));
    loop_close(loop);
    assert_ptr_equal(w.client_error, E_TLS);
    assert_string_equal(w.client_why, "the other side does not speak TLS");
    tls_unref(w.client);
}

static int set_up(void **state)
{
    bulk = malloc(BULK);
    random_bytes(bulk, BULK);
    return make_certificates(state);
}

static int tear_down(void **state)
{
    free(bulk);
    return remove_certificates(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_arrives_whatever_is_below),
        cmocka_unit_test(both_directions_flow_at_once),
        cmocka_unit_test(an_end_without_goodbye_is_an_error),
        cmocka_unit_test(second_connections_resume),
        cmocka_unit_test(alpn_prefers_h2),
        cmocka_unit_test(secrets_are_logged_for_wireshark),
        cmocka_unit_test(plain_servers_are_recognised),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
