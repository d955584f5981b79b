/* SPDX-License-Identifier: MIT */
/* lab.c -- l7 lab: bind one point a service on loopback, then run app/lab. */
#include "app/lab/lab.h"

#include <stdio.h>

#include "cmd/daemon.h"
#include "cmd/verb.h"

struct conf {
    struct daemon_conf daemon;
    bool random_ports;
    struct lab_options options;
    struct lab *lab;
};

#define AT(field) offsetof(struct conf, field)
static const struct opt opts[] = {
    {"random-ports", 0, OPT_FLAG, AT(random_ports), NULL, "take free ports instead of the usual ones", NULL, NULL,
     false},
    {"workers", 0, OPT_INT, AT(daemon.workers), "N", "threads; 0 is one a core", "0", NULL, false},
    {"drain", 0, OPT_DURATION, AT(daemon.drain), "TIME", "how long the first Ctrl-C leaves to work in progress", "2s",
     NULL, false},
    {"metrics", 0, OPT_STRING, AT(daemon.metrics), "ADDR:PORT", "serve OpenMetrics there, at /metrics", NULL, NULL,
     false},
    {NULL, 0, OPT_FLAG, 0, NULL, NULL, NULL, NULL, false}};

static err_t bind_service(struct conf *c, int i)
{
    char address[32], why[200];
    struct listen_point *p;
    snprintf(address, sizeof address, "127.0.0.1:%u", c->random_ports ? 0 : lab_rows[i].port);
    err_t e = daemon_bind_more(&c->daemon, address, 0, lab_rows[i].flags, lab_rows[i].name, &p);
    if (e == E_BUSY) {
        snprintf(why, sizeof why, "%s", fault_detail());
        return fault(e, "%s (%s) is taken; free it, or use --random-ports", why, lab_rows[i].name);
    }
    if (!e)
        c->options.points[i] = p;
    return e;
}

static err_t start(void *arg, int index)
{
    return lab_start(((struct conf *)arg)->lab, index);
}

static void drain(void *arg, int index)
{
    lab_drain(((struct conf *)arg)->lab, index);
}

/* For the person who started it; the log has said the same in its own way. */
static void ready(void *arg)
{
    struct conf *c = arg;
    struct buf text = {0};
    if (!lab_describe(&c->options, &text))
        printf("\n%.*s\nCtrl-C ends it all.\n", (int)text.n, text.p);
    fflush(stdout);
    buf_free(&text);
}

static err_t run_lab(struct conf *c)
{
    TRY(daemon_prepare(&c->daemon, &lab_role));
    for (int i = 0; i < LAB_SERVICES; i++)
        TRY(bind_service(c, i));
    c->options.workers = daemon_workers(&c->daemon);
    TRY(lab_new(&c->options, &c->lab));
    return daemon_run(&c->daemon, &(struct worker_hooks){.start = start, .drain = drain, .ready = ready, .arg = c});
}

static int run(void *conf, int argc, char **argv)
{
    (void)argc, (void)argv;
    struct conf *c = conf;
    err_t e = run_lab(c);
    lab_free(c->lab);
    return daemon_end(&c->daemon, e);
}

static const struct opt *const tables[] = {opts, NULL};
const struct opt_role lab_role = {
    .tool = "lab",
    .summary = "everything at once on loopback, with a page that shows what runs where",
    .tables = tables,
    .conf_size = sizeof(struct conf),
    .run = run,
    .notes = "  l7 lab                  then open http://127.0.0.1:8007/\n"
             "  l7 lab --random-ports   beside another one\n",
};
