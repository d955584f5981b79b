/* SPDX-License-Identifier: MIT */
/* heartbeat.c -- l7 heartbeat listen, send, watch and simulate. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/heartbeat/listener.h"
#include "app/heartbeat/sender.h"
#include "app/heartbeat/simulate.h"
#include "app/heartbeat/watch.h"
#include "base/log.h"
#include "base/text.h"
#include "cmd/daemon.h"
#include "cmd/oneshot.h"
#include "cmd/verb.h"
#include "net/resolve.h"
#include "rt/io.h"

#define USUAL_HOST "127.0.0.1"
enum { USUAL_PORT = 12002 };

/* "1/day", "0.5/1h", "2/hour": false alarms a time, into a rate a nanosecond. */
static err_t parse_rate(const char *text, double *rate)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"second", 1},    {"minute", 60},     {"hour", 3600},    {"day", 86400},
                 {"week", 604800}, {"month", 2629746}, {"year", 31556952}};
    struct slice s = slice_z(text);
    size_t cut = slice_find(s, '/', 0);
    char *end, number[32];
    int64_t ns = 0;
    struct slice per = slice_from(s, cut == SIZE_MAX ? s.n : cut + 1);
    if (cut != SIZE_MAX && slice_to_z(slice_first(s, cut), number, sizeof number)) {
        double n = strtod(number, &end), seconds = 0;
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            if (slice_eq(per, slice_z(units[i].name)))
                seconds = units[i].seconds;
        if (seconds <= 0 && !text_duration(per, &ns))
            seconds = (double)ns / 1e9;
        if (!*end && end != number && n > 0 && seconds > 0 && n / seconds < 1) {
            *rate = n / seconds / 1e9;
            return NULL;
        }
    }
    return fault(E_USAGE, "--false-alarms: '%s' is no rate such as 1/day or 2/hour", text);
}

/* ---- listen ---- */

struct listen_conf {
    struct daemon_conf daemon;
    struct listener_conf l;
    struct opt_list trust;
    const char *rate;
    uint64_t max;
    struct listener *listener;
};

#define AT(field) offsetof(struct listen_conf, field)
static const struct opt listen_opts[] = {
    {"listen", 'l', OPT_LIST, AT(daemon.listen), "[ADDR]:PORT", "where to listen, repeatable (127.0.0.1:12002)", NULL,
     NULL, false},
    {"timeout", 0, OPT_DURATION, AT(l.senders.timeout), "TIME", "down after so long a silence", "10s", NULL, false},
    {"false-alarms", 0, OPT_STRING, AT(rate), "RATE",
     "choose each deadline: at most 1/day, 2/hour ... false alarms a sender", NULL, NULL, false},
    {"key-file", 0, OPT_STRING, AT(l.key_file), "FILE", "take beats signed with one of these keys only", NULL, NULL,
     false},
    {"accept-unsigned", 0, OPT_FLAG, AT(l.accept_unsigned), NULL, "with keys: take unsigned and text beats as well",
     NULL, NULL, false},
    {"max-age", 0, OPT_DURATION, AT(l.senders.max_age), "TIME",
     "refuse older first beats of signed senders; 0: take any", "1d", NULL, false},
    {"trust", 0, OPT_LIST, AT(trust), "NET", "who may have the whole list by a bare 'online', besides loopback", NULL,
     NULL, false},
    {"on-change", 0, OPT_STRING, AT(l.events.on_change), "CMD", "run it at every change, with L7_ID, L7_EVENT ... set",
     NULL, NULL, false},
    {"webhook", 0, OPT_STRING, AT(l.events.webhook), "URL", "POST every change there as JSON", NULL, NULL, false},
    {"ca", 0, OPT_STRING, AT(l.events.ca_file), "FILE", "trust these certificates for it", NULL, NULL, false},
    {"jobs", 0, OPT_INT, AT(l.events.jobs), "N", "commands at a time", "8", NULL, false},
    {"job-limit", 0, OPT_DURATION, AT(l.events.job_limit), "TIME", "kill a command that takes longer", "30s", NULL,
     false},
    {"history", 0, OPT_STRING, AT(l.events.history), "FILE", "keep every change in this SQLite file", NULL, NULL,
     false},
    {"history-max", 0, OPT_SIZE, AT(l.events.history_max), "N", "rows to keep in it", "1000000", NULL, false},
    {"state", 0, OPT_STRING, AT(l.state), "FILE", "keep the table there: it survives a restart", NULL, NULL, false},
    {"record", 0, OPT_STRING, AT(l.record), "FILE", "append every beat, for l7 heartbeat simulate", NULL, NULL, false},
    {"damp", 0, OPT_DURATION, AT(l.senders.damp), "TIME", "half-life of the flap penalty; 0: report every change",
     "10m", NULL, false},
    {"forget", 0, OPT_DURATION, AT(l.senders.forget), "TIME", "drop who has been down so long; 0: never", "7d", NULL,
     false},
    {"max-senders", 0, OPT_SIZE, AT(max), "N", "refuse more", "1000000", NULL, false},
    {"rate-limit", 0, OPT_SIZE, AT(l.rate_limit), "N", "datagrams a second and client; 0: any number", "0", NULL,
     false},
    {"report-late", 0, OPT_FLAG, AT(l.senders.report_late), NULL, "report late senders too, not only down ones", NULL,
     NULL, false},
    {"json", 0, OPT_FLAG, AT(l.events.json), NULL, "changes as JSON, one a line", NULL, NULL, false},
    {"quiet", 'q', OPT_FLAG, AT(l.events.quiet), NULL, "print no changes", NULL, NULL, false},
    {NULL, 0, OPT_FLAG, 0, NULL, NULL, NULL, NULL, false}};
#undef AT

static err_t listen_start(void *arg, int index)
{
    struct listen_conf *c = arg;
    const struct listen_point *points[DAEMON_POINTS_MAX];
    for (int i = 0; i < c->daemon.point_count; i++)
        points[i] = &c->daemon.points[i].at;
    return listener_start(c->listener, points, c->daemon.point_count, index);
}

static void listen_drain(void *arg, int index)
{
    struct listen_conf *c = arg;
    listener_drain(c->listener, index);
}

static err_t listen_prepare(struct listen_conf *c)
{
    if (c->rate)
        TRY(parse_rate(c->rate, &c->l.senders.rate));
    if (c->trust.n > LISTENER_TRUST_MAX)
        return fault(E_USAGE, "--trust: more than %d networks", LISTENER_TRUST_MAX);
    for (size_t i = 0; i < c->trust.n; i++)
        TRY(network_parse(slice_z(c->trust.v[i]), &c->l.trust[c->l.trust_n++]));
    c->l.senders.max = c->max < STORE_CHUNK * STORE_CHUNKS_MAX ? (uint32_t)c->max : STORE_CHUNK * STORE_CHUNKS_MAX;
    TRY(daemon_bind(&c->daemon, &heartbeat_listen_role, USUAL_HOST ":12002", LISTEN_UDP));
    c->l.workers = daemon_workers(&c->daemon);
    return listener_new(&c->l, &c->listener);
}

static int listen_run(void *conf, int argc, char **argv)
{
    (void)argc, (void)argv;
    struct listen_conf *c = conf;
    c->daemon.role = &heartbeat_listen_role;
    err_t e = listen_prepare(c);
    if (!e)
        e = daemon_run(&c->daemon, &(struct worker_hooks){.start = listen_start, .drain = listen_drain, .arg = c});
    int status = daemon_end(&c->daemon, e);
    listener_free(c->listener);
    return status;
}

static const struct opt *const listen_tables[] = {listen_opts, daemon_opts, NULL};
const struct opt_role heartbeat_listen_role = {
    .tool = "heartbeat",
    .role = "listen",
    .summary = "the collector: who is up, late or down, and how much was lost",
    .tables = listen_tables,
    .conf_size = sizeof(struct listen_conf),
    .run = listen_run,
    .notes = "  l7 heartbeat listen --false-alarms 1/day --on-change 'logger \"$L7_ID is $L7_EVENT\"'\n"
             "  l7 heartbeat listen --listen :12002 --key-file keys --state /run/l7-beats --history changes.db\n",
};

/* ---- send ---- */

struct send_conf {
    struct sender_options o;
    const char *host;
    uint16_t port;
    struct sender_totals totals;
};

#define AT(field) offsetof(struct send_conf, field)
static const struct opt send_opts[] = {
    {"id", 0, OPT_STRING, AT(o.id), "NAME", "the sender's name (the host's name)", NULL, NULL, false},
    {"interval", 'i', OPT_DURATION, AT(o.interval), "TIME", "from beat to beat", "1s", NULL, false},
    {"count", 'c', OPT_INT, AT(o.count), "N", "end after so many beats; 0: go on", "0", NULL, false},
    {"key-file", 0, OPT_STRING, AT(o.key_file), "FILE", "sign with the first key in it", NULL, NULL, false},
    {"state", 0, OPT_STRING, AT(o.state), "FILE", "keep the number of the last start there: the clock may be set back",
     NULL, NULL, false},
    {"text", 0, OPT_FLAG, AT(o.text), NULL, "send SEQ UNIXTIME as text", NULL, NULL, false},
    {"verbose", 'v', OPT_FLAG, AT(o.verbose), NULL, "a line a beat", NULL, NULL, false},
    {NULL, 0, OPT_FLAG, 0, NULL, NULL, NULL, NULL, false}};
#undef AT

static err_t target(int argc, char **argv, const char **host, uint16_t *port)
{
    uint64_t n = USUAL_PORT;
    if (argc > 1 && (!slice_u64(slice_z(argv[1]), &n) || n < 1 || n > UINT16_MAX))
        return fault(E_USAGE, "'%s' is no port", argv[1]);
    *host = argc ? argv[0] : USUAL_HOST;
    *port = (uint16_t)n;
    return NULL;
}

static err_t send_fiber(void *arg)
{
    struct send_conf *c = arg;
    struct resolved to;
    TRY(resolve(slice_z(c->host), c->port, 0, &to, after(10000)));
    return sender_run(&c->o, &to.v[0], &c->totals);
}

static int send_run(void *conf, int argc, char **argv)
{
    struct send_conf *c = conf;
    char name[65] = "";
    if (!c->o.id && gethostname(name, sizeof name - 1) == 0)
        c->o.id = name;
    err_t e = target(argc, argv, &c->host, &c->port);
    if (!e)
        e = oneshot(send_fiber, c, NULL);
    if (!e && c->totals.failed && !c->totals.sent)
        e = fault(E_REFUSED, "%s:%u: no beat could be sent", c->host, c->port);
    return e ? verb_fail(&heartbeat_send_role, e) : 0;
}

static const struct opt *const send_tables[] = {send_opts, NULL};
const struct opt_role heartbeat_send_role = {
    .tool = "heartbeat",
    .role = "send",
    .usage = "HOST [PORT]",
    .summary = "a beat every interval, and goodbye when it is stopped",
    .tables = send_tables,
    .conf_size = sizeof(struct send_conf),
    .args_min = 1,
    .args_max = 2,
    .run = send_run,
    .notes = "  l7 heartbeat send monitor.example.org --id db-1 --interval 200ms --key-file key\n"
             "  l7 heartbeat send 127.0.0.1 --text --count 1\n",
};

/* ---- watch ---- */

struct watch_conf {
    struct watch_options o;
    int sort;
    int64_t quorum;
    const char *filter;
    char **targets;
    int target_n;
    char title[128];
};

#define AT(field) offsetof(struct watch_conf, field)
static const struct opt watch_opts[] = {
    {"interval", 'i', OPT_DURATION, AT(o.interval), "TIME", "from one look to the next", "1s", NULL, false},
    {"count", 'c', OPT_INT, AT(o.count), "N", "end after so many looks; 0: go on", "0", NULL, false},
    {"sort", 0, OPT_CHOICE, AT(sort), "state|name|seen|loss|jitter", "order of the rows", "state", NULL, false},
    {"filter", 0, OPT_STRING, AT(filter), "TEXT", "only names with this in them", NULL, NULL, false},
    {"quorum", 0, OPT_INT, AT(quorum), "N", "down when so many listeners say so; 0: the majority", "0", NULL, false},
    {"key-file", 0, OPT_STRING, AT(o.key_file), "FILE", "sign questions, believe signed answers only", NULL, NULL,
     false},
    {"json", 0, OPT_FLAG, AT(o.json), NULL, "a JSON object a sender and look", NULL, NULL, false},
    {NULL, 0, OPT_FLAG, 0, NULL, NULL, NULL, NULL, false}};
#undef AT

/* "HOST", "HOST:PORT", "[::1]:PORT", or the old pair "HOST PORT". */
static err_t watch_target(struct watch_conf *c, int i, struct addr *out)
{
    struct slice host = slice_z(c->targets[i]), port = SLICE_NONE;
    uint64_t n = USUAL_PORT;
    size_t colon = slice_find(host, ':', 0);
    bool literal = slice_starts(host, S("["));
    if (literal) {
        size_t end = slice_find(host, ']', 0);
        if (end == SIZE_MAX || (end + 1 < host.n && host.p[end + 1] != ':'))
            return fault(E_USAGE, "'%s' is no address", c->targets[i]);
        port = slice_from(host, end + 2);
        host = slice_first(slice_from(host, 1), end - 1);
    } else if (colon != SIZE_MAX && slice_find(host, ':', colon + 1) == SIZE_MAX) {
        port = slice_from(host, colon + 1);
        host = slice_first(host, colon);
    }
    if (port.n && (!slice_u64(port, &n) || n < 1 || n > UINT16_MAX))
        return fault(E_USAGE, "'%s' has no right port", c->targets[i]);
    struct resolved found;
    TRY(resolve(host, (uint16_t)n, 0, &found, after(10000)));
    *out = found.v[0];
    return NULL;
}

static err_t watch_fiber(void *arg)
{
    struct watch_conf *c = arg;
    struct addr to[VIEW_LISTENERS_MAX];
    uint64_t port;
    if (c->target_n == 2 && slice_u64(slice_z(c->targets[1]), &port)) {
        const char *host;
        uint16_t n;
        struct resolved found;
        TRY(target(2, c->targets, &host, &n));
        TRY(resolve(slice_z(host), n, 0, &found, after(10000)));
        to[0] = found.v[0];
        c->target_n = 1;
    } else {
        for (int i = 0; i < c->target_n; i++)
            TRY(watch_target(c, i, &to[i]));
    }
    char text[ADDR_TEXT];
    snprintf(c->title, sizeof c->title, "%s%s", addr_text(&to[0], text), c->target_n > 1 ? " and others" : "");
    c->o.title = c->title;
    err_t e = watch_run(&c->o, to, c->target_n);
    return e && e->kind != ERR_USAGE && !*fault_detail() ? fault(e, "%s", c->title) : e;
}

static int watch_run_role(void *conf, int argc, char **argv)
{
    struct watch_conf *c = conf;
    static char usual[] = USUAL_HOST, *usual_target[] = {usual};
    c->targets = argc ? argv : usual_target;
    c->target_n = argc ? argc : 1;
    c->o.view.sort = (enum view_sort)c->sort;
    c->o.view.quorum = (int)c->quorum;
    c->o.keys = -1;
    if (c->filter)
        (void)slice_to_z(slice_first(slice_z(c->filter), sizeof c->o.view.filter - 1), c->o.view.filter,
                         sizeof c->o.view.filter);
    err_t e = c->quorum < 0 || c->quorum > c->target_n ? fault(E_USAGE, "--quorum: there are %d listeners", c->target_n)
                                                       : NULL;
    if (!e && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
        e = oneshot_stdin(&c->o.keys);
    if (!e)
        e = oneshot(watch_fiber, c, NULL);
    return e ? verb_fail(&heartbeat_watch_role, e) : 0;
}

static const struct opt *const watch_tables[] = {watch_opts, NULL};
const struct opt_role heartbeat_watch_role = {
    .tool = "heartbeat",
    .role = "watch",
    .usage = "[HOST [PORT] | HOST:PORT...]",
    .summary = "the live table of one or several listeners",
    .tables = watch_tables,
    .conf_size = sizeof(struct watch_conf),
    .args_max = VIEW_LISTENERS_MAX,
    .run = watch_run_role,
    .notes = "  l7 heartbeat watch monitor.example.org\n"
             "  l7 heartbeat watch a.example.org:12002 b.example.org:12002 c.example.org:12002 --quorum 2\n"
             "Keys: q quit, s sort, r reverse, d down and late only, / filter, space and b page\n",
};

/* ---- simulate ---- */

struct simulate_conf {
    struct opt_list timeouts, rates;
    bool json;
};

#define AT(field) offsetof(struct simulate_conf, field)
static const struct opt simulate_opts[] = {
    {"timeout", 0, OPT_LIST, AT(timeouts), "TIME", "a fixed deadline to try, repeatable", NULL, NULL, false},
    {"false-alarms", 0, OPT_LIST, AT(rates), "RATE", "a rate to try, repeatable", NULL, NULL, false},
    {"json", 0, OPT_FLAG, AT(json), NULL, "a JSON object a setting", NULL, NULL, false},
    {NULL, 0, OPT_FLAG, 0, NULL, NULL, NULL, NULL, false}};
#undef AT

static err_t add_settings(const struct opt_list *list, bool rates, struct simulate_setting *out, int *n)
{
    for (size_t i = 0; i < list->n; i++) {
        if (*n == SIMULATE_SETTINGS_MAX)
            return fault(E_USAGE, "more than %d settings", SIMULATE_SETTINGS_MAX);
        out[*n] = (struct simulate_setting){.name = list->v[i]};
        if (rates)
            TRY(parse_rate(list->v[i], &out[*n].rate));
        else
            TRY(text_duration(slice_z(list->v[i]), &out[*n].timeout));
        ++*n;
    }
    return NULL;
}

static err_t read_record(const char *path, struct simulation *s)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (!f)
        return fault(err_errno(errno), "%s", path);
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    err_t e = NULL;
    for (unsigned number = 1; !e && (n = getline(&line, &cap, f)) > 0; number++) {
        if (line[n - 1] != '\n')
            break; /* the listener was killed while it wrote */
        e = simulation_line(s, slice_of(line, (size_t)n - 1));
        e = e ? fault(e, "%s, line %u: not written by --record", path, number) : NULL;
    }
    free(line);
    if (f != stdin)
        fclose(f);
    return e;
}

static err_t simulate(struct simulate_conf *c, const char *path)
{
    static const char *usual_times[] = {"500ms", "1s", "2s", "3s", "5s", "10s", "30s"},
                      *usual_rates[] = {"1/hour", "1/day", "1/week"};
    struct simulate_setting settings[SIMULATE_SETTINGS_MAX];
    int n = 0;
    if (!c->timeouts.n && !c->rates.n) {
        TRY(add_settings(&(struct opt_list){usual_times, 7}, false, settings, &n));
        TRY(add_settings(&(struct opt_list){usual_rates, 3}, true, settings, &n));
    }
    TRY(add_settings(&c->timeouts, false, settings, &n));
    TRY(add_settings(&c->rates, true, settings, &n));
    struct simulation *s;
    AUTO(buf_free) struct buf out = {0};
    TRY(simulation_new(settings, n, &s));
    err_t e = read_record(path, s);
    if (!e)
        e = simulation_report(s, c->json, &out);
    simulation_free(s);
    if (!e)
        fwrite(out.p, 1, out.n, stdout);
    return e;
}

static int simulate_run(void *conf, int argc, char **argv)
{
    (void)argc;
    err_t e = simulate(conf, argv[0]);
    return e ? verb_fail(&heartbeat_simulate_role, e) : 0;
}

static const struct opt *const simulate_tables[] = {simulate_opts, NULL};
const struct opt_role heartbeat_simulate_role = {
    .tool = "heartbeat",
    .role = "simulate",
    .usage = "FILE",
    .summary = "try deadlines on beats that a listener recorded",
    .tables = simulate_tables,
    .conf_size = sizeof(struct simulate_conf),
    .args_min = 1,
    .args_max = 1,
    .run = simulate_run,
    .notes = "  l7 heartbeat listen --record beats.txt\n"
             "  l7 heartbeat simulate beats.txt --timeout 2s --timeout 5s --false-alarms 1/day\n",
};
