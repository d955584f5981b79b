/* SPDX-License-Identifier: MIT */
#include "tests/unit/tls_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "rt/loop.h"

static char dir[64];
struct facts client_facts, server_facts;

const char *path(const char *name)
{
    static char ring[8][128];
    static int at;
    at = (at + 1) % 8;
    snprintf(ring[at], sizeof ring[at], "%s/%s", dir, name);
    return ring[at];
}

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

struct stream *plain(struct world *w, int end)
{
    struct stream *s;
    assert_ok(stream_tcp(w->fd[end], &s));
    return w->piped ? pass(s) : s;
}

void client_end(void *arg)
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

void meet(struct world *w)
{
    struct loop *loop;
    assert_ok(loop_open(&loop));
    assert_ok(loop_run(loop, "test", both_ends, w));
    loop_close(loop);
}

struct tls *server_of(const char *pair, unsigned alpn)
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

struct tls *client_of(const char *ca)
{
    struct tls *t;
    struct tls_client_options o = {.ca_file = path(ca)};
    assert_ok(tls_client_new(&o, &t));
    return t;
}

static void learn(const struct stream *s, struct facts *f)
{
    assert_true(tls_info(s, &f->info));
    f->alpn = tls_alpn_of(s);
    assert_ok(tls_channel_binding(s, &f->binding_type, f->binding, sizeof f->binding, &f->binding_n));
}
void learn_client(void *arg)
{
    struct world *w = arg;
    char p[8];
    size_t n;
    assert_ok(stream_read(w->c, p, sizeof p, &n, after(5000))); /* the ticket comes with the first data */
    learn(w->c, &client_facts);
}
void learn_server(void *arg)
{
    struct world *w = arg;
    assert_ok(stream_write(w->s, S("x"), after(5000)));
    learn(w->s, &server_facts);
}

int make_certificates(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/l7-tls-test-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    char command[256];
    snprintf(command, sizeof command, "sh '%s' '%s' >'%s/log' 2>&1", getenv("L7_MAKE_CERTS"), dir, dir);
    return system(command);
}

int remove_certificates(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    return system(command);
}
