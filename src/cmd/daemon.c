/* SPDX-License-Identifier: MIT */
#include "cmd/daemon.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/metrics.h"
#include "cmd/notify.h"
#include "cmd/verb.h"

#define AT(field) offsetof(struct daemon_conf, field)
const struct opt daemon_opts[] = {
    {"daemon", 0, OPT_HEADING, 0, NULL, "Listening", NULL, NULL, false},
    {"listen", 'l', OPT_LIST, AT(listen), "[ADDR]:PORT", "where to listen; repeatable, IPv4 and IPv6", NULL, NULL,
     false},
    {"workers", 0, OPT_INT, AT(workers), "N", "threads; 0 is one a core", "0", NULL, false},
    {"user", 0, OPT_STRING, AT(user), "NAME", "become this user once the ports are bound", NULL, NULL, false},
    {"drain", 0, OPT_DURATION, AT(drain), "TIME", "how long SIGTERM leaves to work in progress", "30s", NULL, false},
    {"metrics", 0, OPT_STRING, AT(metrics), "ADDR:PORT", "serve OpenMetrics there, at /metrics", NULL, NULL, false},
    {NULL, 0, OPT_FLAG, 0, NULL, NULL, NULL, NULL, false}};

enum { WORKERS_MAX = 1024 };

/* ---- Binding ---- */

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        log_line(LOG_WARN, "l7: the descriptor limit stays low: %s", err_errno(errno)->text);
}

int daemon_workers(const struct daemon_conf *c)
{
    int64_t n = c->workers > 0 ? c->workers : worker_cores();
    return n > WORKERS_MAX ? WORKERS_MAX : (int)n;
}

static err_t add_point(struct daemon_conf *c, const struct addr *a, enum listen_flags flags, const char *label)
{
    if (c->point_count == DAEMON_POINTS_MAX)
        return fault(E_LIMIT, "more than %d addresses to listen on", DAEMON_POINTS_MAX);
    struct daemon_point *p = &c->points[c->point_count];
    *p = (struct daemon_point){.at = {.addr = *a, .flags = flags}, .label = label};
    TRY(listen_open(&p->at, daemon_workers(c)));
    c->point_count++;
    return NULL;
}

err_t daemon_bind_more(struct daemon_conf *c, const char *address, uint16_t default_port, enum listen_flags flags,
                       const char *label, struct listen_point **out)
{
    struct addr a;
    TRY(addr_parse_listen(slice_z(address), default_port, &a));
    TRY(add_point(c, &a, flags, label));
    if (out)
        *out = &c->points[c->point_count - 1].at;
    return NULL;
}

/* Without --listen, whatever systemd bound for us is where we listen; `*count` says how many sockets that were. */
static err_t bind_passed(struct daemon_conf *c, enum listen_flags flags, int *count)
{
    uint64_t passed = listen_passed();
    for (int i = 0; (uint64_t)i < passed && i < DAEMON_POINTS_MAX; i++) {
        int fd = LISTEN_PASSED_FIRST + i;
        struct addr a = {.len = sizeof a.un};
        int kind = 0;
        socklen_t len = sizeof kind;
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &len) < 0 || getsockname(fd, &a.sa, &a.len) < 0)
            return fault(E_CONFIG, "systemd passed descriptor %d, which is no socket", fd);
        if (kind != (flags & LISTEN_UDP ? SOCK_DGRAM : SOCK_STREAM))
            return fault(E_CONFIG, "systemd passed descriptor %d, which is of the wrong kind: %s= is wanted", fd,
                         flags & LISTEN_UDP ? "ListenDatagram" : "ListenStream");
        TRY(add_point(c, &a, flags, NULL));
        ++*count;
    }
    return NULL;
}

err_t daemon_prepare(struct daemon_conf *c, const struct opt_role *role)
{
    c->role = role;
    if (c->workers < 0)
        return fault(E_USAGE, "--workers: '%lld' is negative", (long long)c->workers);
    raise_descriptor_limit();
    return NULL;
}

err_t daemon_bind(struct daemon_conf *c, const struct opt_role *role, const char *usual, enum listen_flags flags)
{
    struct addr a;
    int passed = 0;
    TRY(daemon_prepare(c, role));
    TRY(addr_parse_listen(slice_z(usual), 0, &a));
    uint16_t port = addr_port(&a);
    for (size_t i = 0; i < c->listen.n; i++)
        TRY(daemon_bind_more(c, c->listen.v[i], port, flags, NULL, NULL));
    if (!c->listen.n)
        TRY(bind_passed(c, flags, &passed));
    return c->listen.n || passed ? NULL : add_point(c, &a, flags, NULL);
}

/* ---- Privileges ---- */

static err_t become(const char *name)
{
    errno = 0;
    const struct passwd *pw = getpwnam(name);
    if (!pw)
        return fault(E_USAGE, "--user: there is no user '%s'", name);
    if (initgroups(name, pw->pw_gid) < 0 || setgid(pw->pw_gid) < 0 || setuid(pw->pw_uid) < 0)
        return fault(err_errno(errno), "becoming user '%s'", name);
    if (pw->pw_uid != 0 && setuid(0) == 0)
        return fault(E_INTERNAL, "privileges came back after becoming '%s'", name);
    return NULL;
}

/* ---- Running ---- */

struct running {
    struct daemon_conf *conf;
    const struct worker_hooks *hooks;
    struct metrics metrics;
    pthread_mutex_t lock;
    char why[256]; /* the first failed start's detail, which would die with its fiber */
};

static void tell(const struct daemon_conf *c, enum log_level level, const char *what)
{
    log_line(level, "l7 %s%s%s: %s", c->role->tool, c->role->role ? " " : "", c->role->role ? c->role->role : "", what);
}

static err_t on_start(void *arg, int index)
{
    struct running *r = arg;
    fault_clear();
    err_t e = metrics_start(&r->metrics, index);
    if (!e)
        e = r->hooks->start(r->hooks->arg, index);
    pthread_mutex_lock(&r->lock);
    if (e && !*r->why)
        snprintf(r->why, sizeof r->why, "%s", fault_detail());
    pthread_mutex_unlock(&r->lock);
    return e;
}

static void on_drain(void *arg, int index)
{
    struct running *r = arg;
    if (index == 0)
        notify("STOPPING=1");
    metrics_drain(&r->metrics);
    if (r->hooks->drain)
        r->hooks->drain(r->hooks->arg, index);
}

static err_t on_reload(void *arg)
{
    struct running *r = arg;
    char why[300], line[360];
    notify_reloading();
    log_reopen();
    fault_clear();
    err_t e = r->hooks->reload ? r->hooks->reload(r->hooks->arg) : NULL;
    if (e) {
        snprintf(line, sizeof line, "reload failed, the old state stays: %s", fault_text(e, why, sizeof why));
        tell(r->conf, LOG_ERROR, line);
    } else {
        tell(r->conf, LOG_INFO, "reloaded");
    }
    notify("READY=1");
    return e;
}

static void tell_address(const struct daemon_conf *c, const struct addr *a, const char *label)
{
    char address[ADDR_TEXT], line[ADDR_TEXT + 64];
    snprintf(line, sizeof line, "listening on %s%s%s%s", addr_text(a, address), label ? " (" : "", label ? label : "",
             label ? ")" : "");
    tell(c, LOG_INFO, line);
}

static void on_ready(void *arg)
{
    struct running *r = arg;
    struct daemon_conf *c = r->conf;
    for (int i = 0; i < c->point_count; i++)
        tell_address(c, &c->points[i].at.addr, c->points[i].label);
    if (r->metrics.server)
        tell_address(c, &r->metrics.point.addr, "metrics");
    if (r->hooks->ready)
        r->hooks->ready(r->hooks->arg);
    notify("READY=1");
}

static err_t run_workers(struct running *r)
{
    struct daemon_conf *c = r->conf;
    struct worker_hooks mine = {.count = daemon_workers(c),
                                .start = on_start,
                                .drain = on_drain,
                                .reload = on_reload,
                                .ready = on_ready,
                                .arg = r,
                                .drain_ms = c->drain / TICK_MS};
    if (c->user)
        TRY(become(c->user));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fault(err_errno(errno), "giving up new privileges");
    TRY(log_start());
    err_t e = worker_run(&mine);
    return e ? fault(e, "%s", r->why) : NULL;
}

err_t daemon_run(struct daemon_conf *c, const struct worker_hooks *hooks)
{
    struct running r = {.conf = c, .hooks = hooks, .lock = PTHREAD_MUTEX_INITIALIZER};
    err_t e = metrics_open(&r.metrics, c->metrics, daemon_workers(c));
    if (!e)
        e = run_workers(&r);
    metrics_close(&r.metrics);
    return e;
}

int daemon_end(struct daemon_conf *c, err_t e)
{
    for (int i = 0; i < c->point_count; i++)
        listen_close(&c->points[i].at);
    log_stop();
    return e ? verb_fail(c->role, e) : 0;
}
