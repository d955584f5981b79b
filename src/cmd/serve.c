/* SPDX-License-Identifier: MIT */
/* serve.c -- `l7 serve`: options to the server and what it serves. */
#include <stdlib.h>

#include "app/serve/serve.h"
#include "base/log.h"
#include "cmd/http_opts.h"
#include "cmd/verb.h"
#include "net/tls_auto.h"
#include "wire/trace.h"

struct serve_conf {
    struct daemon_conf daemon;
    struct http_conf http;
    struct opt_list index, respond, redirect, error_page;
    const char *spa, *cache_control;
    bool listing, dotfiles, serial;
    /* -- while it runs -- */
    const char *root;
    struct trace_sink *sink;
    struct server *server;
};

#define AT(field) offsetof(struct serve_conf, field)
static const struct opt own[] = {
    {"index", 0, OPT_LIST, AT(index), "NAME", "a folder's file (default index.html, index.htm)", NULL, NULL, false},
    {"listing", 0, OPT_FLAG, AT(listing), NULL, "list folders without an index (--no-listing)", "yes", NULL, false},
    {"dotfiles", 0, OPT_FLAG, AT(dotfiles), NULL, "serve names that begin with a dot", NULL, NULL, false},
    {"respond", 0, OPT_LIST, AT(respond), "/PATH=TEXT", "answer this path with this text", NULL, NULL, false},
    {"redirect", 0, OPT_LIST, AT(redirect), "/PATH=URL", "answer this path with 301", NULL, NULL, false},
    {"spa", 0, OPT_STRING, AT(spa), "FILE", "answers for paths that do not exist", NULL, NULL, false},
    {"error-page", 0, OPT_LIST, AT(error_page), "STATUS=/FILE", "for 404, 4xx, 5xx ...", NULL, NULL, false},
    {"cache-control", 0, OPT_STRING, AT(cache_control), "VALUE", "send this with every file", NULL, NULL, false},
    {"max-body", 0, OPT_SIZE, AT(http.max_body), "SIZE", "request body; 0: no limit", "1G", NULL, false},
    {"serial", 0, OPT_FLAG, AT(serial), NULL, "one connection at a time, to show why that blocks", NULL, NULL, false},
    {NULL, 0, OPT_FLAG, 0, NULL, NULL, NULL, NULL, false}};

static struct serve_list list(const struct opt_list *l)
{
    return (struct serve_list){l->v, l->n};
}

static void site_free(struct site *s)
{
    serve_free((struct serve *)(uintptr_t)s->conf);
    tls_unref(s->tls);
    free(s);
}

/* What is served, opened anew: at the start and on each reload. */
static err_t make_site(const struct serve_conf *c, struct site **out)
{
    struct serve_options o = {.root = c->root,
                              .index = list(&c->index),
                              .respond = list(&c->respond),
                              .redirect = list(&c->redirect),
                              .error_pages = list(&c->error_page),
                              .spa = c->spa,
                              .cache_control = c->cache_control,
                              .listing = c->listing,
                              .dotfiles = c->dotfiles,
                              .workers = daemon_workers(&c->daemon)};
    struct site *s = calloc(1, sizeof *s);
    struct serve *serve = NULL;
    err_t e = s ? serve_new(&o, &serve) : E_NO_MEMORY;
    if (e) {
        free(s);
        return e;
    }
    *s = (struct site){.handler = serve_handler, .error_page = serve_error_page, .conf = serve, .free = site_free};
    e = http_opts_tls(&c->http, TLS_ALPN_HTTP1, &s->tls);
    if (e)
        site_free(s);
    else
        *out = s;
    return e;
}

static err_t start(void *arg, int index)
{
    (void)index;
    struct serve_conf *c = arg;
    for (int i = 0; i < c->daemon.point_count; i++)
        TRY(server_listen(c->server, &c->daemon.points[i].at));
    return NULL;
}

static void drain(void *arg, int index)
{
    (void)index;
    server_drain(((struct serve_conf *)arg)->server);
}

static err_t reload(void *arg)
{
    struct serve_conf *c = arg;
    struct site *s;
    TRY(make_site(c, &s));
    server_swap(c->server, s);
    return NULL;
}

static err_t serve(struct serve_conf *c)
{
    struct server_options o = {.serial = c->serial};
    struct site *site;
    if (c->serial) {
        c->http.accept_lf = true; /* the exercises' own clients send it */
        c->daemon.workers = 1;
    }
    TRY(http_opts_apply(&c->http, &o));
    c->sink = o.trace;
    TRY(make_site(c, &site));
    TRY(server_new(&o, daemon_workers(&c->daemon), site, &c->server));
    TRY(daemon_bind(&c->daemon, &serve_role, "127.0.0.1:8005", LISTEN_DEFER));
    return daemon_run(&c->daemon, &(struct worker_hooks){.start = start, .drain = drain, .reload = reload, .arg = c});
}

static int run(void *conf, int argc, char **argv)
{
    struct serve_conf *c = conf;
    c->root = argc ? argv[0] : ".";
    c->daemon.role = &serve_role;
    err_t e = serve(c);
    server_free(c->server);
    trace_close(c->sink);
    return daemon_end(&c->daemon, e);
}

const struct opt_role serve_role = {
    .tool = "serve",
    .usage = "[DIR]",
    .summary = "web server for a folder",
    .tables = (const struct opt *const[]){own, http_opts, daemon_opts, NULL},
    .conf_size = sizeof(struct serve_conf),
    .args_max = 1,
    .run = run,
    .notes = "  l7 serve site --listen :8005 --tls-auto\n"
             "  l7 serve --respond '/home=hello, network.' --redirect '/index=/home'\n",
};
