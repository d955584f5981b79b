/* SPDX-License-Identifier: MIT */
#include "app/lab/lab.h"

#include <stdio.h>
#include <stdlib.h>

#include "app/echo/echo.h"
#include "app/heartbeat/listener.h"
#include "app/lab/page.h"
#include "app/lab/site.h"
#include "app/ping/listen.h"
#include "http/server.h"

const struct lab_row lab_rows[LAB_SERVICES] = {
    [LAB_PAGE] = {"page", 8007, LISTEN_DEFER, "this overview", "http://", NULL, "", false},
    [LAB_SITE] = {"site", 8005, LISTEN_DEFER, "a small web site", "http://", "curl -i http://", "/home", false},
    [LAB_PING] = {"ping", 12001, LISTEN_UDP, "answers l7 ping", "", "l7 ping -c 3", "", true},
    [LAB_STAMP] = {"stamp", 12862, LISTEN_UDP, "reflects STAMP", "", "l7 ping --stamp -c 3", "", true},
    [LAB_HEARTBEAT] = {"heartbeat", 12002, LISTEN_UDP, "knows who is alive", "", "l7 heartbeat send",
                       " --id me --count 1", true},
    [LAB_ECHO] = {"echo", 12000, 0, "upper case over TCP", "", "l7 echo", "", true},
    [LAB_ECHO_UDP] = {"echo-udp", 12000, LISTEN_UDP, "upper case over UDP", "", "l7 echo --udp", "", true},
};

enum { ECHO_CLIENTS = 1000, ECHO_IDLE_MS = 600000, SENDERS = 100000 };

struct lab {
    struct lab_options o;
    struct buf front; /* the page's HTML */
    struct lab_site page, site;
    struct site page_site, site_site;
    struct server *page_server, *site_server;
    struct reflect *reflect;
    struct listener *heartbeat;
    struct listen_point echo_points[2]; /* TCP, UDP */
    struct echo_server echo[2];
};

/* ---- Text ---- */

void lab_attempt(const struct lab_row *row, const struct addr *a, char *out, size_t cap)
{
    char text[ADDR_TEXT];
    if (!row->attempt)
        *out = 0;
    else if (row->apart)
        snprintf(out, cap, "%s %s %u%s", row->attempt, addr_text_host(a, text), addr_port(a), row->tail);
    else
        snprintf(out, cap, "%s%s%s", row->attempt, addr_text(a, text), row->tail);
}

err_t lab_describe(const struct lab_options *o, struct buf *out)
{
    char address[ADDR_TEXT];
    for (int i = 0; i < LAB_SERVICES; i++) {
        const struct lab_row *row = &lab_rows[i];
        const struct addr *a = &o->points[i]->addr;
        char where[ADDR_TEXT + 16], attempt[ADDR_TEXT + 64] = "";
        addr_text(a, address);
        snprintf(where, sizeof where, "%s%s%s", row->scheme, address, *row->scheme ? "/" : "");
        lab_attempt(row, a, attempt, sizeof attempt);
        TRY(buf_format(out, "  %-10s %-24s %-20s %s\n", row->name, where, row->what, attempt));
    }
    return NULL;
}

/* ---- Making ---- */

static err_t make_web(struct lab *l)
{
    struct server_options o = {.accept_lf = true}; /* nc and the exercises' own clients end lines in LF */
    TRY(lab_page(&l->o, &l->front));
    l->page.front = buf_slice(&l->front);
    l->page_site = (struct site){.handler = lab_site_handler, .conf = &l->page};
    l->site_site = (struct site){.handler = lab_site_handler, .conf = &l->site};
    TRY(server_new(&o, l->o.workers, &l->page_site, &l->page_server));
    return server_new(&o, l->o.workers, &l->site_site, &l->site_server);
}

static err_t make_datagrams(struct lab *l)
{
    struct reflect_conf r = {
        .ports = {addr_port(&l->o.points[LAB_PING]->addr), addr_port(&l->o.points[LAB_STAMP]->addr)}, .port_count = 2};
    struct listener_conf h = {.senders = {.timeout = 10 * TICK_S, .max = SENDERS}, .workers = l->o.workers};
    TRY(reflect_new(&r, l->o.workers, &l->reflect));
    return listener_new(&h, &l->heartbeat);
}

static void make_echo(struct lab *l)
{
    for (int udp = 0; udp < 2; udp++) {
        l->echo_points[udp] = *l->o.points[udp ? LAB_ECHO_UDP : LAB_ECHO];
        l->echo[udp] = (struct echo_server){.points = &l->echo_points[udp],
                                            .count = 1,
                                            .udp = udp,
                                            .max_connections = ECHO_CLIENTS,
                                            .idle_ms = ECHO_IDLE_MS};
    }
}

err_t lab_new(const struct lab_options *o, struct lab **out)
{
    struct lab *l = calloc(1, sizeof *l);
    if (!l)
        return E_NO_MEMORY;
    l->o = *o;
    make_echo(l);
    err_t e = make_web(l);
    if (!e)
        e = make_datagrams(l);
    if (e)
        lab_free(l);
    else
        *out = l;
    return e;
}

void lab_free(struct lab *l)
{
    if (!l)
        return;
    if (l->page_server)
        server_free(l->page_server);
    if (l->site_server)
        server_free(l->site_server);
    if (l->reflect)
        reflect_free(l->reflect);
    listener_free(l->heartbeat);
    buf_free(&l->front);
    free(l);
}

/* ---- Running ---- */

err_t lab_start(struct lab *l, int index)
{
    const struct listen_point *const *p = l->o.points;
    struct reflect_socket sockets[] = {{listen_fd(p[LAB_PING], index), p[LAB_PING]->addr, false},
                                       {listen_fd(p[LAB_STAMP], index), p[LAB_STAMP]->addr, true}};
    TRY(server_listen(l->page_server, p[LAB_PAGE]));
    TRY(server_listen(l->site_server, p[LAB_SITE]));
    TRY(reflect_start(l->reflect, index, sockets, 2));
    TRY(listener_start(l->heartbeat, &p[LAB_HEARTBEAT], 1, index));
    TRY(echo_server_start(&l->echo[0], index));
    return echo_server_start(&l->echo[1], index);
}

void lab_drain(struct lab *l, int index)
{
    server_drain(l->page_server);
    server_drain(l->site_server);
    reflect_drain(l->reflect, index);
    listener_drain(l->heartbeat, index);
    echo_server_drain(&l->echo[0], index);
    echo_server_drain(&l->echo[1], index);
}
