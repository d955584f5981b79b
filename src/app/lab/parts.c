/* SPDX-License-Identifier: MIT */
/* parts.c -- how each tool takes part in the lab. */
#include <stdlib.h>

#include "app/echo/echo.h"
#include "app/heartbeat/listener.h"
#include "app/lab/lab.h"
#include "app/lab/site.h"
#include "app/mail/sink.h"
#include "app/ping/listen.h"
#include "app/proxy/proxy.h"
#include "app/serve/serve.h"
#include "http/server.h"
#include "net/tls_auto.h"

/* ---- web ---- */

static void web_free(struct site *s)
{
    serve_free((struct serve *)(uintptr_t)s->conf);
    tls_unref(s->tls);
    free(s);
}

/* A server for any handler, with the lab's settings. Takes over what `site` points at. */
static err_t web_server(struct lab *lab, struct site site, struct server **out)
{
    struct server_options limits = {.accept_lf = true}; /* nc and the exercises' own clients send LF */
    struct site *s = calloc(1, sizeof *s);
    if (!s)
        return E_NO_MEMORY;
    *s = site;
    return server_new(&limits, lab->workers, s, out);
}

/* The exercise's two routes; everything else is files. */
static const char *const home[] = {"/home=hello, network.\n"}, *const moved[] = {"/index=/home"},
                         *const index_names[] = {"index.html"};

static err_t site_open(struct lab *lab, struct tls *tls, struct server **out)
{
    struct serve_options files = {.root = lab->site,
                                  .index = {index_names, 1},
                                  .respond = {home, 1},
                                  .redirect = {moved, 1},
                                  .workers = lab->workers};
    struct serve *serve;
    err_t e = serve_new(&files, &serve);
    if (e) {
        tls_unref(tls);
        return e;
    }
    return web_server(lab, (struct site){serve_handler, serve_error_page, .conf = serve, .tls = tls, .free = web_free},
                      out);
}

static err_t web_open(struct lab *lab, const struct listen_point *point)
{
    (void)point;
    TRY(site_write(lab->site, sizeof lab->site));
    return site_open(lab, NULL, &lab->web);
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

/* ---- https: the same site, with a certificate of the local authority ---- */

static err_t https_open(struct lab *lab, const struct listen_point *point)
{
    struct tls_auto made;
    struct tls *tls;
    (void)point;
    TRY(tls_auto(&made));
    struct tls_pair pair = {made.cert, made.key};
    TRY(tls_server_new(&(struct tls_server_options){.pairs = &pair, .count = 1, .alpn = TLS_ALPN_HTTP1}, &tls));
    return site_open(lab, tls, &lab->https);
}

static err_t https_start(struct lab *lab, const struct listen_point *point, int worker)
{
    (void)worker;
    return server_listen(lab->https, point);
}

static void https_drain(struct lab *lab, int worker)
{
    (void)worker;
    server_drain(lab->https);
}

static void https_close(struct lab *lab)
{
    server_free(lab->https);
}

/* ---- proxy: forward, with a small cache ---- */

enum { CACHE_MEMORY = 64 << 20, OBJECT_MAX = 8 << 20 };

static void proxy_site_free(struct site *s)
{
    free(s); /* the proxy itself is the lab's */
}

static err_t proxy_open(struct lab *lab, const struct listen_point *point)
{
    struct proxy_options o = {.access.loopback_only = true,
                              .cache_memory = CACHE_MEMORY,
                              .object_max = OBJECT_MAX,
                              .origin_timeout = 60 * TICK_S};
    (void)point;
    TRY(proxy_new(&o, lab->workers, &lab->proxy));
    return web_server(lab, (struct site){.handler = proxy_handle, .conf = lab->proxy, .free = proxy_site_free},
                      &lab->proxy_server);
}

static err_t proxy_part_start(struct lab *lab, const struct listen_point *point, int worker)
{
    TRY(proxy_start(lab->proxy, worker));
    return server_listen(lab->proxy_server, point);
}

static void proxy_part_drain(struct lab *lab, int worker)
{
    server_drain(lab->proxy_server);
    proxy_drain(lab->proxy, worker);
}

static void proxy_close(struct lab *lab)
{
    server_free(lab->proxy_server);
    proxy_free(lab->proxy);
}

/* ---- mail: a sink that prints a line a message and keeps none ---- */

enum { MAIL_IDLE_MS = 300000, MAIL_RCPTS = 1000, MAIL_CLIENTS = 1000 };

static err_t mail_open(struct lab *lab, const struct listen_point *point)
{
    struct mail_sink *m = lab->mail = calloc(1, sizeof *m);
    if (!m)
        return E_NO_MEMORY;
    *m = (struct mail_sink){.server = {.name = "localhost", .max_rcpts = MAIL_RCPTS, .idle_ms = MAIL_IDLE_MS},
                            .points = point,
                            .count = 1,
                            .max_connections = MAIL_CLIENTS};
    return mail_sink_open(m);
}

static err_t mail_start(struct lab *lab, const struct listen_point *point, int worker)
{
    (void)point;
    return mail_sink_start(lab->mail, worker);
}

static void mail_drain(struct lab *lab, int worker)
{
    (void)lab, (void)worker;
    mail_sink_drain();
}

static void mail_close(struct lab *lab)
{
    if (lab->mail)
        mail_sink_close(lab->mail);
    free(lab->mail);
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
    {"web", "open http://ADDR/ in a browser", 8005, LISTEN_DEFER, web_open, web_start, web_drain, web_close},
    {"https", "open https://ADDR/ in a browser (l7 help tls: how to trust it)", 8443, LISTEN_DEFER, https_open,
     https_start, https_drain, https_close},
    {"proxy", "curl -x http://ADDR http://WEB/home", 8888, LISTEN_DEFER, proxy_open, proxy_part_start, proxy_part_drain,
     proxy_close},
    {"echo", "l7 echo HOST PORT", 12000, 0, echo_tcp_open, echo_tcp_start, echo_drain, echo_close},
    {"echo-udp", "l7 echo --udp HOST PORT", 12000, LISTEN_UDP, echo_udp_open, echo_udp_start, NULL, NULL},
    {"ping", "l7 ping HOST PORT", 12001, LISTEN_UDP, ping_open, ping_start, ping_drain, ping_close},
    {"heartbeat", "l7 heartbeat send HOST PORT --id me", 12002, LISTEN_UDP, heartbeat_open, heartbeat_start,
     heartbeat_drain, heartbeat_close},
    {"mail", "echo hello | l7 mail send --server ADDR --from a@example.org --to b@example.org --body -", 2525, 0,
     mail_open, mail_start, mail_drain, mail_close},
    {0},
};
