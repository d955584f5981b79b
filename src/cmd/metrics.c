/* SPDX-License-Identifier: MIT */
#include "cmd/metrics.h"

#include "base/stat.h"

enum { METRICS_CONNECTIONS = 64 };

static err_t answer(struct exchange *x, const void *conf, tick until)
{
    (void)conf;
    enum http_method m = x->request.method;
    if (!slice_eq(x->request.target.path, S("/metrics")))
        return reply_error(x, 404, S("the counters are at /metrics"), until);
    if (m != M_GET && m != M_HEAD) {
        struct http_fields allow = {0};
        if (!fields_add_id(x->arena, &allow, F_ALLOW, S("GET, HEAD")))
            return E_NO_MEMORY;
        return reply_error_fields(x, 405, SLICE_NONE, &allow, until);
    }
    AUTO(buf_free) struct buf text = {0};
    TRY(stat_openmetrics(&text, true));
    return reply_text(x, 200, S("application/openmetrics-text; version=1.0.0; charset=utf-8"), buf_slice(&text), until);
}

static struct site site = {.handler = answer};

err_t metrics_open(struct metrics *m, const char *address, int workers)
{
    if (!address)
        return NULL;
    TRY(addr_parse_listen(slice_z(address), 0, &m->point.addr));
    TRY(listen_open(&m->point, 1));
    return server_new(&(struct server_options){.max_connections = METRICS_CONNECTIONS}, workers, &site, &m->server);
}

err_t metrics_start(struct metrics *m, int index)
{
    return m->server && index == 0 ? server_listen(m->server, &m->point) : NULL;
}

void metrics_drain(struct metrics *m)
{
    if (m->server)
        server_drain(m->server);
}

void metrics_close(struct metrics *m)
{
    if (m->server)
        server_free(m->server);
    if (m->point.fds)
        listen_close(&m->point);
    *m = (struct metrics){0};
}
