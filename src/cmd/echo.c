/* SPDX-License-Identifier: MIT */
#include "app/echo/echo.h"

#include "cmd/daemon.h"
#include "cmd/oneshot.h"
#include "cmd/verb.h"
#include "rt/io.h"

#define USUAL_ADDRESS "127.0.0.1:12000"

/* ---- echo listen ---- */

struct listen_conf {
    struct daemon_conf daemon;
    bool udp, once;
    uint64_t max_connections;
    int64_t idle; /* ns */
    uint64_t rate_limit;
    const char *trace;
    struct listen_point points[DAEMON_POINTS_MAX];
    struct echo_server server;
};

static err_t listen_start(void *arg, int index)
{
    return echo_server_start(&((struct listen_conf *)arg)->server, index);
}

static void listen_drain(void *arg, int index)
{
    (void)arg, (void)index;
    echo_server_drain();
}

static err_t listen_serve(struct listen_conf *c)
{
    if (c->once && !c->udp)
        return fault(E_USAGE, "--once goes with --udp");
    if (c->rate_limit && !c->udp)
        return fault(E_USAGE, "--rate-limit goes with --udp");
    if (c->idle <= 0)
        return fault(E_USAGE, "--idle-timeout must be longer than nothing");
    TRY(daemon_bind(&c->daemon, &echo_listen_role, USUAL_ADDRESS, c->udp ? LISTEN_UDP : 0));
    struct trace_sink *sink = NULL;
    if (c->trace)
        TRY(trace_open(c->trace, false, &sink));
    for (int i = 0; i < c->daemon.point_count; i++)
        c->points[i] = c->daemon.points[i].at;
    c->server = (struct echo_server){.points = c->points,
                                     .count = c->daemon.point_count,
                                     .udp = c->udp,
                                     .once = c->once,
                                     .max_connections = c->max_connections ? c->max_connections : UINT64_MAX,
                                     .idle_ms = c->idle / TICK_MS,
                                     .rate_limit = c->rate_limit,
                                     .ended = worker_stop,
                                     .trace = sink};
    err_t e = daemon_run(&c->daemon, &(struct worker_hooks){.start = listen_start, .drain = listen_drain, .arg = c});
    trace_close(sink);
    return e;
}

static int listen_run(void *conf, int argc, char **argv)
{
    (void)argc, (void)argv;
    struct listen_conf *c = conf;
    c->daemon.role = &echo_listen_role;
    return daemon_end(&c->daemon, listen_serve(c));
}

#define TRACE_OPT                                                                                                      \
    {                                                                                                                  \
        .name = "trace", .type = OPT_OPTIONAL, .offset = AT(trace), .arg = "FILE",                                     \
        .help = "show the dialogue as it happens (on stderr without FILE)"                                             \
    }

#define AT(field) offsetof(struct listen_conf, field)
static const struct opt listen_opts[] = {
    {.name = "udp", .letter = 'u', .type = OPT_FLAG, .offset = AT(udp), .help = "datagrams instead of connections"},
    {.name = "once", .type = OPT_FLAG, .offset = AT(once), .help = "with --udp: end after the first bye"},
    {.name = "max-connections",
     .type = OPT_SIZE,
     .offset = AT(max_connections),
     .arg = "N",
     .help = "clients at a time; more are closed at once; 0: as many as descriptors",
     .init = "1000"},
    {.name = "idle-timeout",
     .type = OPT_DURATION,
     .offset = AT(idle),
     .arg = "TIME",
     .help = "drop a client that is silent for so long",
     .init = "10m"},
    {.name = "rate-limit",
     .type = OPT_SIZE,
     .offset = AT(rate_limit),
     .arg = "N",
     .help = "with --udp: datagrams a second and client; 0: any number",
     .init = "0"},
    TRACE_OPT,
    {NULL}};
#undef AT
static const struct opt *const listen_tables[] = {listen_opts, daemon_opts, NULL};

const struct opt_role echo_listen_role = {
    .tool = "echo",
    .role = "listen",
    .summary = "answer in upper case, over TCP or UDP",
    .tables = listen_tables,
    .conf_size = sizeof(struct listen_conf),
    .run = listen_run,
    .notes = "A TCP client is greeted with Welcome and served until it says bye; a UDP bye is answered I see u.",
};

/* ---- echo HOST [PORT] ---- */

struct client_conf {
    bool udp, no_newline;
    int64_t timeout; /* ns */
    const char *trace;
    struct echo_client client;
};

static err_t client_fiber(void *arg)
{
    struct echo_client *c = arg;
    TRY(oneshot_stdin(&c->input));
    err_t e = echo_client(c);
    io_close(c->input);
    return e;
}

static int client_run(void *conf, int argc, char **argv)
{
    struct client_conf *c = conf;
    uint64_t port = 12000;
    if (argc > 1 && (!slice_u64(slice_z(argv[1]), &port) || port == 0 || port > 65535))
        return verb_fail(&echo_role, fault(E_USAGE, "'%s' is not a port", argv[1]));
    c->client = (struct echo_client){.host = slice_z(argv[0]),
                                     .port = (uint16_t)port,
                                     .udp = c->udp,
                                     .no_newline = c->no_newline,
                                     .timeout_ms = c->timeout / TICK_MS};
    err_t e = c->timeout <= 0 ? fault(E_USAGE, "--timeout must be longer than nothing") : NULL;
    if (!e && c->trace)
        e = trace_open(c->trace, false, &c->client.trace);
    if (!e)
        e = oneshot(client_fiber, &c->client, NULL);
    trace_close(c->client.trace);
    return e && e != E_CANCELED ? verb_fail(&echo_role, e) : 0;
}

#define AT(field) offsetof(struct client_conf, field)
static const struct opt client_opts[] = {
    {.name = "udp", .letter = 'u', .type = OPT_FLAG, .offset = AT(udp), .help = "one datagram a line"},
    {.name = "no-newline",
     .letter = 'n',
     .type = OPT_FLAG,
     .offset = AT(no_newline),
     .help = "send lines without their end and wait for each answer, as the labs' servers expect"},
    {.name = "timeout",
     .type = OPT_DURATION,
     .offset = AT(timeout),
     .arg = "TIME",
     .help = "to connect, and for an answer over UDP or with --no-newline",
     .init = "5s"},
    TRACE_OPT,
    {NULL}};
static const struct opt *const client_tables[] = {client_opts, NULL};

const struct opt_role echo_role = {
    .tool = "echo",
    .usage = "HOST [PORT]",
    .summary = "talk to an echo server, line by line",
    .tables = client_tables,
    .conf_size = sizeof(struct client_conf),
    .args_min = 1,
    .args_max = 2,
    .run = client_run,
    .notes = "  l7 echo 127.0.0.1          then type; bye or Ctrl-D ends\n"
             "  echo hello | l7 echo 127.0.0.1 12000",
};
