/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/mail/sink.h"
#include "cmd/daemon.h"
#include "cmd/verb.h"
#include "net/tls.h"
#include "net/tls_auto.h"

struct sink_conf {
    struct daemon_conf daemon;
    const char *maildir, *users, *name, *tls_cert, *tls_key, *auth;
    bool tls_auto, tls_first, require_auth, require_tls, lenient, quiet, json;
    uint64_t max_size, max_rcpts, max_connections;
    int64_t idle;
    struct opt_list faults, without;
    struct smtp_fault *fault_list;
    struct listen_point points[DAEMON_POINTS_MAX];
    struct mail_sink sink;
};

static err_t parse_faults(struct sink_conf *c)
{
    struct smtp_server_conf *s = &c->sink.server;
    c->fault_list = calloc(c->faults.n ? c->faults.n : 1, sizeof *c->fault_list);
    if (!c->fault_list)
        return E_NO_MEMORY;
    for (size_t i = 0; i < c->faults.n; i++)
        TRY(smtp_fault_parse(c->faults.v[i], &c->fault_list[i]));
    s->faults = c->fault_list;
    s->fault_count = c->faults.n;
    return NULL;
}

static err_t hide_extensions(struct sink_conf *c)
{
    static const char *const names[] = {"PIPELINING", "SIZE",     "8BITMIME", "SMTPUTF8", "CHUNKING",
                                        "DSN",        "STARTTLS", "AUTH",     "EHLO"};
    for (size_t i = 0; i < c->without.n; i++) {
        unsigned bit = 0;
        for (unsigned k = 0; k < sizeof names / sizeof *names; k++)
            bit |= slice_eq_case(slice_z(c->without.v[i]), slice_z(names[k])) ? 1u << k : 0;
        if (!bit)
            return fault(E_USAGE,
                         "--without: '%s' is not an extension (PIPELINING, SIZE, 8BITMIME, SMTPUTF8, CHUNKING, DSN, "
                         "STARTTLS, AUTH, EHLO)",
                         c->without.v[i]);
        c->sink.server.hide |= bit;
    }
    return NULL;
}

static err_t make_tls(struct sink_conf *c)
{
    struct tls_auto made;
    struct tls_pair pair = {c->tls_cert, c->tls_key ? c->tls_key : c->tls_cert};
    if (c->tls_auto) {
        TRY(tls_auto(&made));
        pair = (struct tls_pair){made.cert, made.key};
        fprintf(stderr, "l7 mail sink: clients verify it with --ca %s\n", made.ca);
    }
    if (!pair.cert)
        return c->tls_first ? fault(E_USAGE, "--tls wants --tls-cert and --tls-key, or --tls-auto") : NULL;
    return tls_server_new(&(struct tls_server_options){.pairs = &pair, .count = 1}, &c->sink.tls);
}

static err_t start(void *arg, int index)
{
    return mail_sink_start(&((struct sink_conf *)arg)->sink, index);
}

static void drain(void *arg, int index)
{
    (void)arg, (void)index;
    mail_sink_drain();
}

static err_t serve(struct sink_conf *c)
{
    static char host[256];
    struct mail_sink *k = &c->sink;
    if (!c->name && gethostname(host, sizeof host - 1) == 0)
        c->name = host;
    k->server = (struct smtp_server_conf){.name = c->name,
                                          .max_size = c->max_size,
                                          .max_rcpts = (size_t)c->max_rcpts,
                                          .idle_ms = c->idle / TICK_MS,
                                          .mechanisms = c->auth,
                                          .require_auth = c->require_auth,
                                          .require_tls = c->require_tls,
                                          .lenient = c->lenient};
    k->tls_first = c->tls_first, k->max_connections = c->max_connections;
    k->maildir = c->maildir, k->users = c->users, k->quiet = c->quiet, k->json = c->json;
    TRY(parse_faults(c));
    TRY(hide_extensions(c));
    TRY(make_tls(c));
    TRY(mail_sink_open(k));
    if (c->require_auth && !c->users)
        return fault(E_USAGE, "--require-auth wants --users");
    TRY(daemon_bind(&c->daemon, &mail_sink_role, "127.0.0.1:2525", 0));
    for (int i = 0; i < c->daemon.point_count; i++)
        c->points[i] = c->daemon.points[i].at;
    k->points = c->points, k->count = c->daemon.point_count;
    return daemon_run(&c->daemon, &(struct worker_hooks){.start = start, .drain = drain, .arg = c});
}

static int run(void *conf, int argc, char **argv)
{
    (void)argc, (void)argv;
    struct sink_conf *c = conf;
    c->daemon.role = &mail_sink_role;
    int status = daemon_end(&c->daemon, serve(c));
    mail_sink_close(&c->sink);
    tls_unref(c->sink.tls);
    free(c->fault_list);
    return status;
}

#define AT(field) offsetof(struct sink_conf, field)
static const struct opt opts[] = {
    {.name = "maildir",
     .type = OPT_STRING,
     .offset = AT(maildir),
     .arg = "DIR",
     .help = "keep messages there (without: counted and dropped)"},
    {.name = "fault",
     .type = OPT_LIST,
     .offset = AT(faults),
     .arg = "STEP:ACTION",
     .help = "misbehave, for example rcpt=bob:550 or body@65536:552+reset"},
    {.name = "without",
     .type = OPT_LIST,
     .offset = AT(without),
     .arg = "EXTENSION",
     .help = "do not offer it (PIPELINING, CHUNKING, EHLO, ...), repeatable"},
    {.name = "users",
     .type = OPT_STRING,
     .offset = AT(users),
     .arg = "FILE",
     .help = "offer AUTH to these: user:password a line"},
    {.name = "auth", .type = OPT_STRING, .offset = AT(auth), .arg = "'MECH MECH'", .help = "mechanisms to offer (all)"},
    {.name = "require-auth", .type = OPT_FLAG, .offset = AT(require_auth), .help = "no mail without login"},
    {.name = "tls-auto",
     .type = OPT_FLAG,
     .offset = AT(tls_auto),
     .help = "offer STARTTLS with a certificate of a local authority"},
    {.name = "tls-cert",
     .type = OPT_STRING,
     .offset = AT(tls_cert),
     .arg = "FILE",
     .help = "offer STARTTLS with this chain (PEM); --tls-key FILE"},
    {.name = "tls-key", .type = OPT_STRING, .offset = AT(tls_key), .arg = "FILE", .help = "its key", .hidden = true},
    {.name = "tls", .type = OPT_FLAG, .offset = AT(tls_first), .help = "TLS from the first byte instead"},
    {.name = "require-tls", .type = OPT_FLAG, .offset = AT(require_tls), .help = "no mail without TLS"},
    {.name = "lenient",
     .type = OPT_FLAG,
     .offset = AT(lenient),
     .help = "take bare LF, long lines, bytes beyond ASCII from anybody"},
    {.name = "max-size",
     .type = OPT_SIZE,
     .offset = AT(max_size),
     .arg = "SIZE",
     .help = "of a message; 0: no limit",
     .init = "0"},
    {.name = "max-recipients",
     .type = OPT_SIZE,
     .offset = AT(max_rcpts),
     .arg = "N",
     .help = "of a message",
     .init = "1000"},
    {.name = "max-connections",
     .type = OPT_SIZE,
     .offset = AT(max_connections),
     .arg = "N",
     .help = "of a worker",
     .init = "1000"},
    {.name = "idle-timeout",
     .type = OPT_DURATION,
     .offset = AT(idle),
     .arg = "TIME",
     .help = "patience with a silent client",
     .init = "5m"},
    {.name = "name",
     .type = OPT_STRING,
     .offset = AT(name),
     .arg = "HOST",
     .help = "what it calls itself (the host name)"},
    {.name = "quiet", .letter = 'q', .type = OPT_FLAG, .offset = AT(quiet), .help = "no line a message"},
    {.name = "json", .type = OPT_FLAG, .offset = AT(json), .help = "lines as JSON"},
    {NULL}};
static const struct opt *const tables[] = {opts, daemon_opts, NULL};

const struct opt_role mail_sink_role = {
    .tool = "mail",
    .role = "sink",
    .summary = "receive mail for tests, strictly, and misbehave on demand",
    .tables = tables,
    .conf_size = sizeof(struct sink_conf),
    .run = run,
    .notes =
        "Steps of --fault: connect ehlo helo starttls auth mail rcpt data bdat body end rset noop quit; STEP=TEXT only "
        "for\n"
        "commands that hold TEXT, STEP@N only the Nth time (body: after N bytes). Actions: a reply, a reply+close or\n"
        "+reset, close, reset, silent, garbage, endless, huge, drip, inject.",
};
