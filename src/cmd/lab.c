/* SPDX-License-Identifier: MIT */
/* lab.c -- `l7 lab`: binds a loopback port for each part and runs them all. */
#include <stdio.h>

#include "app/lab/lab.h"
#include "cmd/daemon.h"
#include "cmd/verb.h"

struct lab_conf {
    struct daemon_conf daemon;
    bool random_ports;
    struct lab lab;
};

#define AT(field) offsetof(struct lab_conf, field)
static const struct opt own[] = {{.name = "random-ports",
                                  .type = OPT_FLAG,
                                  .offset = AT(random_ports),
                                  .help = "any free ports instead of the usual ones"},
                                 {.name = "workers",
                                  .type = OPT_INT,
                                  .offset = AT(daemon.workers),
                                  .arg = "N",
                                  .help = "threads; 0 is one a core",
                                  .init = "0"},
                                 {.name = "drain",
                                  .type = OPT_DURATION,
                                  .offset = AT(daemon.drain),
                                  .arg = "TIME",
                                  .help = "how long SIGTERM leaves to work in progress",
                                  .init = "2s"},
                                 {NULL}};

static err_t bind_all(struct lab_conf *c)
{
    for (int i = 0; lab_parts[i].label; i++) {
        char address[32];
        struct listen_point *point;
        snprintf(address, sizeof address, "127.0.0.1:%u", c->random_ports ? 0u : lab_parts[i].port);
        err_t e = daemon_bind_more(&c->daemon, address, 0, lab_parts[i].flags, lab_parts[i].label, &point);
        if (e == E_BUSY)
            return fault(e, "%s for %s (--random-ports avoids the clash)", address, lab_parts[i].label);
        TRY(e);
        c->lab.points[i] = point;
    }
    return NULL;
}

static err_t start(void *arg, int index)
{
    return lab_start(&((struct lab_conf *)arg)->lab, index);
}

static void drain(void *arg, int index)
{
    lab_drain(&((struct lab_conf *)arg)->lab, index);
}

static void print_filled(const char *text, const char *mark, const char *value)
{
    const char *at = strstr(text, mark);
    while (at) {
        printf("%.*s%s", (int)(at - text), text, value);
        text = at + strlen(mark);
        at = strstr(text, mark);
    }
    puts(text);
}

static void print_try(const char *text, const struct addr *mine, const struct addr *web)
{
    char addr[ADDR_TEXT], host[ADDR_TEXT], pair[ADDR_TEXT + 16], half[256];
    const char *at = strstr(text, "WEB");
    snprintf(pair, sizeof pair, "%s %u", addr_text_host(mine, host), addr_port(mine));
    if (at)
        snprintf(half, sizeof half, "%.*s%s%s", (int)(at - text), text, addr_text(web, addr), at + 3);
    else
        snprintf(half, sizeof half, "%s", text);
    if (strstr(half, "HOST PORT"))
        print_filled(half, "HOST PORT", pair);
    else
        print_filled(half, "ADDR", addr_text(mine, addr));
}

/* What to do now, on standard output; the addresses themselves go to stderr like every daemon's. */
static void greet(void *arg)
{
    struct lab_conf *c = arg;
    for (int i = 0; lab_parts[i].label; i++) {
        printf("%-10s ", lab_parts[i].label);
        print_try(lab_parts[i].try, &c->lab.points[i]->addr, &c->lab.points[0]->addr);
    }
    puts("Ctrl-C ends the lab.");
    fflush(stdout);
}

static int run(void *conf, int argc, char **argv)
{
    (void)argc, (void)argv;
    struct lab_conf *c = conf;
    err_t e = daemon_prepare(&c->daemon, &lab_role);
    c->lab.workers = daemon_workers(&c->daemon);
    if (!e)
        e = bind_all(c);
    if (!e)
        e = lab_open(&c->lab);
    if (!e)
        e = daemon_run(&c->daemon, &(struct worker_hooks){.start = start, .drain = drain, .ready = greet, .arg = c});
    int status = daemon_end(&c->daemon, e);
    lab_close(&c->lab);
    return status;
}

const struct opt_role lab_role = {
    .tool = "lab",
    .usage = "",
    .summary = "every server at once on loopback, with a small site",
    .tables = (const struct opt *const[]){own, NULL},
    .conf_size = sizeof(struct lab_conf),
    .run = run,
    .notes = "Its servers listen on 127.0.0.1 only. A port in use is named; --random-ports avoids it.",
};
