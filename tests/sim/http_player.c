/* SPDX-License-Identifier: MIT */
/*
 * http_player.c -- the HTTP/1 server on the simulated network, with a handler that is easy to ask for things:
 * /hello answers at once, /echo sends the request's body back, /big sends 1 MiB (/big-chunks without a length,
 * /big-pages and /big-file by other ways), /last says how much of the last of these was sent, /why how the last /echo
 * read its body, /slow waits ten seconds, /chunked sends "ab" and "c" without a length, /lie announces more than it
 * sends, /late fails after its head; /early answers while another fiber reads the request's body, as the proxy does.
 */
#include "tests/sim/player.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "http/server.h"
#include "rt/loop.h"

enum { BIG = 1 << 20 };

static struct server *server;
static uint64_t last_sent;
static err_t last_read;
static struct listen_point point;

static err_t echo(struct exchange *x, tick until)
{
    struct buf all = {0};
    char piece[64];
    size_t got = 1;
    err_t e = NULL;
    while (!e && got) {
        e = request_body(x, piece, sizeof piece, &got, until);
        if (!e)
            e = buf_add(&all, slice_of(piece, got));
    }
    last_read = e;
    if (!e)
        e = reply_text(x, 200, S("text/plain"), buf_slice(&all), until);
    buf_free(&all);
    return e;
}

static err_t send_big(struct exchange *x, struct slice path, const char *p, int file, tick until)
{
    struct http_response r = {.status = 200};
    bool chunks = slice_eq(path, S("/big-chunks"));
    if (!fields_add_id(x->arena, &r.fields, F_CONTENT_TYPE, S("text/plain")) ||
        (!chunks && !fields_add_id(x->arena, &r.fields, F_CONTENT_LENGTH, S("1048576"))))
        return E_NO_MEMORY;
    TRY(reply_head(x, &r, until));
    if (slice_eq(path, S("/big-file")))
        TRY(reply_file(x, file, 0, BIG, until));
    else
        TRY((slice_eq(path, S("/big-pages")) ? reply_pages : reply_body)(x, slice_of(p, BIG), until));
    return reply_end(x, until);
}

static err_t big(struct exchange *x, struct slice path, tick until)
{
    int file = memfd_create("big", MFD_CLOEXEC);
    char *p = malloc(BIG);
    err_t e = p && file >= 0 ? NULL : E_NO_MEMORY;
    if (!e) {
        memset(p, 'x', BIG);
        e = pwrite(file, p, BIG, 0) == BIG ? send_big(x, path, p, file, until) : E_IO;
    }
    last_sent = x->sent;
    free(p);
    if (file >= 0)
        close(file);
    return e;
}

static err_t last(struct exchange *x, tick until)
{
    char digits[SLICE_U64];
    return reply_text(x, 200, S("text/plain"), slice_of_u64(last_sent, digits), until);
}

static err_t pieces(struct exchange *x, tick until)
{
    struct http_response r = {.status = 200};
    TRY(reply_head(x, &r, until));
    TRY(reply_body(x, S("ab"), until));
    TRY(reply_body(x, S("c"), until));
    return reply_end(x, until);
}

static err_t lie(struct exchange *x, bool late, tick until)
{
    struct http_response r = {.status = 200};
    if (!fields_add_id(x->arena, &r.fields, F_CONTENT_LENGTH, S("10")))
        return E_NO_MEMORY;
    TRY(reply_head(x, &r, until));
    TRY(reply_body(x, S("ab"), until));
    return late ? E_IO : reply_end(x, until);
}

static void read_along(void *arg)
{
    char piece[64];
    size_t got = 1;
    while (got && !request_body(arg, piece, sizeof piece, &got, TICK_NEVER))
        continue;
}

static err_t early(struct exchange *x, tick until)
{
    struct scope scope;
    scope_open(&scope);
    err_t e = scope_spawn(&scope, "upload", read_along, x);
    if (!e)
        e = fiber_sleep(after(100));
    if (!e)
        e = reply_text(x, 200, S("text/plain"), S("early"), until);
    scope_close(&scope);
    return e;
}

static err_t answer(struct exchange *x, const void *conf, tick until)
{
    (void)conf;
    struct slice p = x->request.target.path;
    if (slice_eq(p, S("/hello")))
        return reply_text(x, 200, S("text/plain"), S("hello"), until);
    if (slice_eq(p, S("/echo")))
        return echo(x, until);
    if (slice_starts(p, S("/big")))
        return big(x, p, until);
    if (slice_eq(p, S("/last")))
        return last(x, until);
    if (slice_eq(p, S("/why")))
        return reply_text(x, 200, S("text/plain"), slice_z(last_read ? last_read->text : "whole"), until);
    if (slice_eq(p, S("/chunked")))
        return pieces(x, until);
    if (slice_eq(p, S("/early")))
        return early(x, until);
    if (slice_eq(p, S("/lie")) || slice_eq(p, S("/late")))
        return lie(x, p.p[2] == 'a', until);
    if (!slice_eq(p, S("/slow")))
        return E_NOT_FOUND;
    TRY(fiber_sleep(after(10000)));
    return reply_text(x, 200, S("text/plain"), S("at last"), until);
}

/* "max-connections=2 per-client=1 accept-lf serial max-body=5 idle-timeout=5", of seconds */
static err_t configure(struct slice words, struct server_options *o)
{
    struct slice word;
    while (slice_cut(&words, ' ', &word)) {
        struct slice value = word, key;
        uint64_t n = 0;
        if (!slice_cut(&value, '=', &key))
            continue;
        (void)slice_u64(value, &n);
        if (slice_eq(key, S("max-connections")))
            o->max_connections = n;
        else if (slice_eq(key, S("per-client")))
            o->max_connections_per_client = n, o->limit_loopback = true;
        else if (slice_eq(key, S("max-body")))
            o->max_body = n;
        else if (slice_eq(key, S("idle-timeout")))
            o->idle_timeout = (tick)n * TICK_S;
        else if (slice_eq(key, S("max-header")))
            o->max_header = n;
        else if (slice_eq(key, S("accept-lf")))
            o->accept_lf = true;
        else if (slice_eq(key, S("serial")))
            o->serial = true;
        else if (key.n)
            return fault(E_USAGE, "config %.*s", SLICE_ARG(key));
    }
    return NULL;
}

static err_t start(struct slice config)
{
    static struct site site = {.handler = answer};
    struct server_options o = {.header_timeout = 10 * TICK_S, .body_timeout = 20 * TICK_S, .idle_timeout = 30 * TICK_S};
    TRY(configure(config, &o));
    server_free(server);
    server = NULL;
    point = (struct listen_point){0};
    TRY(server_new(&o, 1, &site, &server));
    point = (struct listen_point){.flags = LISTEN_DEFER};
    TRY(addr_parse_listen(S(":80"), 80, &point.addr));
    TRY(listen_open(&point, 1));
    return server_listen(server, &point);
}

static void stop(void)
{
    player_drain(server, &point);
}

int main(int argc, char **argv)
{
    int status = player_main(argc, argv, &(struct player_sut){start, stop});
    server_free(server);
    return status;
}
