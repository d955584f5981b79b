/* SPDX-License-Identifier: MIT */
/* TLS both ways: our client against our server and against openssl's, with certificates made here by openssl's own
 * tool. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "net/tls.h"
#include "net/tls_auto.h"
#include "rt/io.h"
#include "rt/loop.h"

static char dir[64];

static const char *path(const char *name)
{
    static char ring[8][128];
    static int at;
    at = (at + 1) % 8;
    snprintf(ring[at], sizeof ring[at], "%s/%s", dir, name);
    return ring[at];
}

/* The two ends of a connection; `front` is what the client does, `back` the server. */
struct world {
    struct tls *client, *server;
    const char *host;
    bool piped; /* over streams that are no plain sockets */
    fiber_fn *front, *back;
    int fd[2];
    struct stream *c, *s;
    err_t client_error, server_error;
    char client_why[256];
};

/* A stream that is no socket, so that TLS takes its other way: passes everything on. */
static err_t pass_read(struct stream *s, void *p, size_t cap, size_t *got, tick until)
{
    return stream_read(s->below, p, cap > 1000 ? 1000 : cap, got, until);
}
static err_t pass_writev(struct stream *s, struct iovec *v, int n, tick until)
{
    return stream_writev(s->below, v, n, until);
}
static err_t pass_finish(struct stream *s, tick until)
{
    return stream_finish(s->below, until);
}
static void pass_close(struct stream *s)
{
    stream_close(s->below);
    free(s);
}
static int pass_fd(const struct stream *s)
{
    return stream_fd(s->below);
}
static struct stream *pass(struct stream *below)
{
    static const struct stream_ops ops = {.name = "pass",
                                          .read = pass_read,
                                          .writev = pass_writev,
                                          .finish = pass_finish,
                                          .close = pass_close,
                                          .fd = pass_fd};
    struct stream *s = malloc(sizeof *s);
    *s = (struct stream){&ops, below};
    return s;
}

static struct stream *plain(struct world *w, int end)
{
    struct stream *s;
    assert_ok(stream_tcp(w->fd[end], &s));
    return w->piped ? pass(s) : s;
}

static void client_end(void *arg)
{
    struct world *w = arg;
    w->client_error = stream_tls_client(plain(w, 0), w->client, slice_z(w->host), &w->c, after(5000));
    snprintf(w->client_why, sizeof w->client_why, "%s", fault_detail());
    if (!w->client_error && w->front)
        w->front(w);
}

static void server_end(void *arg)
{
    struct world *w = arg;
    w->server_error = stream_tls_server(plain(w, 1), w->server, &w->s, after(5000));
    if (!w->server_error && w->back)
        w->back(w);
}

static void both_ends(void *arg)
{
    struct world *w = arg;
    struct scope scope;
    w->c = w->s = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, w->fd), 0);
    scope_open(&scope);
    assert_ok(scope_spawn(&scope, "client", client_end, w));
    assert_ok(scope_spawn(&scope, "server", server_end, w));
    assert_ok(scope_join(&scope, TICK_NEVER));
    scope_close(&scope);
    stream_close(w->c);
    stream_close(w->s);
}

static void meet(struct world *w)
{
    struct loop *loop;
    assert_ok(loop_open(&loop));
    assert_ok(loop_run(loop, "test", both_ends, w));
    loop_close(loop);
}

static struct tls *server_of(const char *pair, unsigned alpn)
{
    struct tls *t;
    char cert[64], key[64];
    snprintf(cert, sizeof cert, "%s.pem", pair);
    snprintf(key, sizeof key, "%s.key", pair);
    struct tls_pair p = {path(cert), path(key)};
    struct tls_server_options o = {.pairs = &p, .count = 1, .alpn = alpn};
    assert_ok(tls_server_new(&o, &t));
    return t;
}

static struct tls *client_of(const char *ca)
{
    struct tls *t;
    struct tls_client_options o = {.ca_file = path(ca)};
    assert_ok(tls_client_new(&o, &t));
    return t;
}

/* -- verdicts -- */

static void verdict(const char *pair, const char *host, err_t e, const char *why)
{
    struct world w = {.client = client_of("root.pem"), .server = server_of(pair, 0), .host = host};
    meet(&w);
    if (w.client_error != e || (why && strcmp(w.client_why, why) != 0))
        fail_msg("%s for %s: %s: %s", pair, host, w.client_error ? w.client_error->name : "accepted", w.client_why);
    tls_unref(w.client);
    tls_unref(w.server);
}

static void certificates_get_the_right_verdict_in_words(void **state)
{
    (void)state;
    verdict("good", "a.example", NULL, NULL);
    verdict("good", "A.Example.", NULL, NULL);
    verdict("good", "x.b.example", NULL, NULL);
    verdict("good", "127.0.0.1", NULL, NULL);
    verdict("good", "::1", NULL, NULL);
    verdict("good", "b.example", E_CERT,
            "certificate is for a.example, *.b.example, 127.0.0.1 and 2 more, not b.example");
    verdict("good", "y.x.b.example", E_CERT, NULL);
    verdict("good", "127.0.0.2", E_CERT,
            "certificate is for a.example, *.b.example, 127.0.0.1 and 2 more, not 127.0.0.2");
    verdict("nameless", "only.cn.example", E_CERT,
            "certificate is for nobody in particular (it has no names), not only.cn.example");
    verdict("expired", "a.example", E_CERT, "certificate expired on 2021-01-01");
    verdict("future", "a.example", E_CERT, "certificate is not yet valid, only from 2090-01-01 on");
    verdict("selfsigned", "a.example", E_CERT, "self-signed certificate");
    verdict("stranger", "a.example", E_CERT, "signed by an authority that is not trusted, \"Stranger CA\"");
    verdict("chained", "a.example", NULL, NULL);
    verdict("shuffled", "a.example", NULL, NULL);
    verdict("incomplete", "a.example", E_CERT,
            "the server did not send its intermediate certificate \"Middle CA\" (or that is an authority that is not "
            "trusted)");
    verdict("clientonly", "a.example", E_CERT, "certificate is not meant for servers");
}

static void insecure_accepts_what_it_must_not(void **state)
{
    (void)state;
    struct world w = {.server = server_of("expired", 0), .host = "wrong.example"};
    struct tls_client_options o = {.insecure = true};
    assert_ok(tls_client_new(&o, &w.client));
    meet(&w);
    assert_null(w.client_error);
    tls_unref(w.client);
    tls_unref(w.server);
}

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

/* -- resumption, ALPN, channel binding, SNI, client certificates -- */

struct facts {
    struct tls_info info;
    enum tls_alpn alpn;
    uint8_t binding[64];
    size_t binding_n;
    const char *binding_type;
};
static struct facts client_facts, server_facts;

static void learn(const struct stream *s, struct facts *f)
{
    assert_true(tls_info(s, &f->info));
    f->alpn = tls_alpn_of(s);
    assert_ok(tls_channel_binding(s, &f->binding_type, f->binding, sizeof f->binding, &f->binding_n));
}
static void learn_client(void *arg)
{
    struct world *w = arg;
    char p[8];
    size_t n;
    assert_ok(stream_read(w->c, p, sizeof p, &n, after(5000))); /* the ticket comes with the first data */
    learn(w->c, &client_facts);
}
static void learn_server(void *arg)
{
    struct world *w = arg;
    assert_ok(stream_write(w->s, S("x"), after(5000)));
    learn(w->s, &server_facts);
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

static void names_choose_the_certificate(void **state)
{
    (void)state;
    struct tls_pair pairs[] = {{path("good.pem"), path("good.key")},
                               {path("chained.pem"), path("chained.key")},
                               {path("other.pem"), path("other.key")}};
    struct tls_server_options o = {.pairs = pairs, .count = 3};
    struct world w = {.client = client_of("root.pem"), .front = learn_client, .back = learn_server};
    const char *cases[][2] = {{"a.example", "/CN=good"}, {"other.example", "/CN=other"}, {"127.0.0.1", "/CN=good"}};
    assert_ok(tls_server_new(&o, &w.server));
    for (size_t i = 0; i < 3; i++) {
        w.host = cases[i][0];
        meet(&w);
        assert_null(w.client_error);
        assert_string_equal(client_facts.info.subject, cases[i][1]);
    }
    tls_unref(w.client);
    tls_unref(w.server);
}

static void clients_show_certificates(void **state)
{
    (void)state;
    struct tls_pair p = {path("good.pem"), path("good.key")};
    struct tls_server_options so = {.pairs = &p, .count = 1, .client_ca = path("root.pem")};
    struct tls_client_options co = {
        .ca_file = path("root.pem"), .cert_file = path("clientonly.pem"), .key_file = path("clientonly.key")};
    struct world w = {.host = "a.example", .front = learn_client, .back = learn_server};
    assert_ok(tls_server_new(&so, &w.server));
    assert_ok(tls_client_new(&co, &w.client));
    meet(&w);
    assert_null(w.server_error);
    assert_string_equal(server_facts.info.subject, "/CN=clientonly");
    tls_unref(w.client);
    w.client = client_of("root.pem");
    w.front = w.back = NULL;
    meet(&w);
    assert_ptr_equal(w.server_error, E_TLS);
    tls_unref(w.client);
    tls_unref(w.server);
}

static void loading_errors_name_the_file(void **state)
{
    (void)state;
    struct tls *t = NULL;
    struct tls_pair p = {path("absent.pem"), path("good.key")};
    struct tls_server_options o = {.pairs = &p, .count = 1};
    assert_err(tls_server_new(&o, &t), E_NOT_FOUND);
    assert_string_equal(fault_detail(), path("absent.pem"));
    p = (struct tls_pair){path("good.pem"), path("other.key")};
    assert_err(tls_server_new(&o, &t), E_CERT);
    assert_non_null(strstr(fault_detail(), "does not belong to"));
    p = (struct tls_pair){path("good.key"), path("good.key")};
    assert_err(tls_server_new(&o, &t), E_CERT);
    assert_null(t);
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

static void mode_is(const char *file, mode_t mode)
{
    struct stat st;
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
}

static void the_local_authority_is_made_once(void **state)
{
    (void)state;
    struct tls_auto a, b;
    struct stat before, after_;
    setenv("XDG_STATE_HOME", path("state"), 1);
    assert_ok(tls_auto(&a));
    assert_string_equal(a.ca, path("state/l7/tls/ca.pem"));
    mode_is(path("state/l7/tls"), 0700);
    mode_is(path("state/l7/tls/ca.key"), 0600);
    mode_is(a.key, 0600);
    assert_int_equal(stat(a.ca, &before), 0);
    assert_ok(tls_auto(&b));
    assert_int_equal(stat(b.ca, &after_), 0);
    assert_int_equal(before.st_ino, after_.st_ino);

    struct tls_pair p = {a.cert, a.key};
    struct tls_server_options so = {.pairs = &p, .count = 1};
    struct tls_client_options co = {.ca_file = a.ca};
    char host[65];
    gethostname(host, sizeof host);
    const char *names[] = {"localhost", "127.0.0.1", "::1", host};
    struct world w = {.front = learn_client, .back = learn_server};
    assert_ok(tls_server_new(&so, &w.server));
    assert_ok(tls_client_new(&co, &w.client));
    for (size_t i = 0; i < 4; i++) {
        w.host = names[i];
        meet(&w);
        if (w.client_error)
            fail_msg("%s: %s", names[i], w.client_why);
    }
    tls_unref(w.client);
    tls_unref(w.server);

    unlink(a.key); /* the leaf is made anew, the authority stays */
    assert_ok(tls_auto(&b));
    assert_int_equal(stat(b.ca, &after_), 0);
    assert_int_equal(before.st_ino, after_.st_ino);
    chmod(path("state/l7/tls"), 0755);
    assert_err(tls_auto(&b), E_PERMISSION);
}

/* An authority that is stolen still vouches for nobody else: its name constraints hold. */
static void the_local_authority_speaks_for_this_machine_only(void **state)
{
    (void)state;
    char command[512];
    struct tls_auto a;
    struct tls_client_options co = {.ca_file = a.ca};
    struct world w = {.host = "evil.example"};
    setenv("XDG_STATE_HOME", path("state2"), 1);
    assert_ok(tls_auto(&a));
    snprintf(command, sizeof command,
             "cd '%s' && openssl x509 -req -in good.csr -CA state2/l7/tls/ca.pem -CAkey state2/l7/tls/ca.key "
             "-CAcreateserial "
             "-extfile evil.ext -out evil.pem 2>/dev/null && cp good.key evil.key",
             dir);
    FILE *f = fopen(path("evil.ext"), "w");
    fputs("subjectAltName=DNS:evil.example\n", f);
    fclose(f);
    assert_int_equal(system(command), 0);
    w.server = server_of("evil", 0);
    assert_ok(tls_client_new(&co, &w.client));
    meet(&w);
    assert_ptr_equal(w.client_error, E_CERT);
    assert_string_equal(w.client_why, "permitted subtree violation");
    tls_unref(w.client);
    tls_unref(w.server);
}

static int make_certificates(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/l7-tls-test-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    bulk = malloc(BULK);
    random_bytes(bulk, BULK);
    char command[256];
    snprintf(command, sizeof command, "sh '%s' '%s' >'%s/log' 2>&1", getenv("L7_MAKE_CERTS"), dir, dir);
    return system(command);
}

static int remove_certificates(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    free(bulk);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_get_the_right_verdict_in_words),
        cmocka_unit_test(insecure_accepts_what_it_must_not),
        cmocka_unit_test(every_byte_arrives_whatever_is_below),
        cmocka_unit_test(both_directions_flow_at_once),
        cmocka_unit_test(an_end_without_goodbye_is_an_error),
        cmocka_unit_test(second_connections_resume),
        cmocka_unit_test(alpn_prefers_h2),
        cmocka_unit_test(names_choose_the_certificate),
        cmocka_unit_test(clients_show_certificates),
        cmocka_unit_test(loading_errors_name_the_file),
        cmocka_unit_test(secrets_are_logged_for_wireshark),
        cmocka_unit_test(plain_servers_are_recognised),
        cmocka_unit_test(the_local_authority_is_made_once),
        cmocka_unit_test(the_local_authority_speaks_for_this_machine_only),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
