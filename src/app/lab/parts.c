/* SPDX-License-Identifier: MIT */
/* parts.c -- how each tool takes part in the lab. */
#include <stdlib.h>

#include "app/echo/echo.h"
#include "app/heartbeat/listener.h"
#include "app/lab/lab.h"
#include "app/lab/site.h"
#include "app/ping/listen.h"
#include "app/serve/serve.h"
#include "http/server.h"

/* ---- web ---- */

static void web_free(struct site *s)
{
    serve_free((struct serve *)(uintptr_t)s->conf);
    free(s);
}

/* The exercise's two routes; everything else is files. */
static const char *const home[] = {"/home=hello, network.\n"}, *const moved[] = {"/index=/home"},
                         *const index_names[] = {"index.html"};

static err_t web_open(struct lab *lab, const struct listen_point *point)
{
    (void)point;
    TRY(site_write(lab->site, sizeof lab->site));
    struct serve_options files = {.root = lab->site,
                                  .index = {index_names, 1},
                                  .respond = {home, 1},
                                  .redirect = {moved, 1},
                                  .workers = lab->workers};
    struct server_options limits = {.accept_lf = true}; /* nc and the exercises' own clients send LF */
    struct serve *serve;
    TRY(serve_new(&files, &serve));
    struct site *s = calloc(1, sizeof *s);
    if (!s) {
        serve_free(serve);
        return E_NO_MEMORY;
    }
    *s = (struct site){.handler = serve_handler, .error_page = serve_error_page, .conf = serve, .free = web_free};
    return server_new(&limits, lab->workers, s, &lab->web);
}

static err_t web_start(struct lab *lab, const struct listen_point *point, int worker)
{
    (void)worker;
    return server_listen(lab->web, point);
}

static void web_drain(struct lab *lab, int worker)
{
    (void)worker;
    server_drain(lab->web);
}

static void web_close(struct lab *lab)
{
    server_free(lab->web);
    site_remove(lab->site);
}

/* ---- echo, over TCP and UDP ---- */

enum { ECHO_CLIENTS = 1000, ECHO_IDLE_MS = 600000 };

static err_t echo_open(struct lab *lab, const struct listen_point *point, bool udp)
{
    struct echo_server *e = lab->echo[udp] = calloc(1, sizeof *e);
    if (!e)
        return E_NO_MEMORY;
    *e = (struct echo_server){.points = (struct listen_point *)(uintptr_t)point,
                              .count = 1,
                              .udp = udp,
                              .max_connections = ECHO_CLIENTS,
                              .idle_ms = ECHO_IDLE_MS};
    return NULL;
}

static err_t echo_tcp_open(struct lab *lab, const struct listen_point *point)
{
    return echo_open(lab, point, false);
}

static err_t echo_udp_open(struct lab *lab, const struct listen_point *point)
{
    return echo_open(lab, point, true);
}

static err_t echo_tcp_start(struct lab *lab, const struct listen_point *point, int worker)
{
    (void)point;
    return echo_server_start(lab->echo[false], worker);
}

static err_t echo_udp_start(struct lab *lab, const struct listen_point *point, int worker)
{
    (void)point;
    return echo_server_start(lab->echo[true], worker);
}

static void echo_drain(struct lab *lab, int worker)
{
    (void)lab, (void)worker;
    echo_server_drain(); /* both of them */
}

static void echo_close(struct lab *lab)
{
    free(lab->echo[0]);
    free(lab->echo[1]);
}

/* ---- ping ---- */

static err_t ping_open(struct lab *lab, const struct listen_point *point)
{
    struct reflect_conf r = {.ports = {addr_port(&point->addr)}, .port_count = 1};
    return reflect_new(&r, lab->workers, &lab->ping);
}

static err_t ping_start(struct lab *lab, const struct listen_point *point, int worker)
{
    return reflect_start(lab->ping, worker, &(struct reflect_socket){listen_fd(point, worker), point->addr, false}, 1);
}

static void ping_drain(struct lab *lab, int worker)
{
    reflect_drain(lab->ping, worker);
}

static void ping_close(struct lab *lab)
{
    reflect_free(lab->ping);
}

/* ---- heartbeat ---- */

enum { SENDERS_MAX = 100000 };

static err_t heartbeat_open(struct lab *lab, const struct listen_point *point)
{
    (void)point;
    struct listener_conf *c = calloc(1, sizeof *c); /* large, and listener_new keeps its own copy */
    if (!c)
        return E_NO_MEMORY;
    c->senders.timeout = 10 * TICK_S;
    c->senders.max = SENDERS_MAX;
    c->workers = lab->workers;
    err_t e = listener_new(c, &lab->heartbeat);
    free(c);
    return e;
}

static err_t heartbeat_start(struct lab *lab, const struct listen_point *point, int worker)
{
    return listener_start(lab->heartbeat, &point, 1, worker);
}

static void heartbeat_drain(struct lab *lab, int worker)
{
    listener_drain(lab->heartbeat, worker);
}

static void heartbeat_close(struct lab *lab)
{
    listener_free(lab->heartbeat);
}

const struct lab_part lab_parts[] = {
    {"web", "http://", "", 8005, LISTEN_DEFER, web_open, web_start, web_drain, web_close},
    {"echo", "", "l7 echo 127.0.0.1", 12000, 0, echo_tcp_open, echo_tcp_start, echo_drain, echo_close},
    {"echo-udp", "", "l7 echo --udp 127.0.0.1", 12000, LISTEN_UDP, echo_udp_open, echo_udp_start, NULL, NULL},
    {"ping", "", "l7 ping 127.0.0.1", 12001, LISTEN_UDP, ping_open, ping_start, ping_drain, ping_close},
    {"heartbeat", "", "l7 heartbeat send 127.0.0.1", 12002, LISTEN_UDP, heartbeat_open, heartbeat_start,
     heartbeat_drain, heartbeat_close},
    {0},
};
