/* SPDX-License-Identifier: MIT */
#include "app/heartbeat/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/heartbeat/webhook.h"
#include "base/log.h"
#include "base/stat.h"
#include "base/text.h"
#include "rt/io.h"
#include "rt/loop.h"
#include "rt/waitq.h"

struct job {
    struct job *next;
    struct event *event;
};
struct lane {
    struct hooks *h;
    struct job *first, **last;
    unsigned queued;
    struct waitq come;
    err_t (*work)(struct hooks *, const struct event *);
};
struct hooks {
    struct events_conf conf;
    bool stopping;
    struct webhook *webhook;
    int lanes; /* the commands' lanes; the last lane of all is the webhook's */
    struct lane lane[EVENT_JOBS_MAX + 1];
};

/* ---- Commands ---- */

extern char **environ;

enum { OWN_VARIABLES = 12, ENV_TEXT = 2048 };

/* The environment with our variables in front; they live in `text`. NULL when memory is short. */
static char **environment(const struct event *e, char text[ENV_TEXT])
{
    char id[4 * BEAT_ID_MAX + 1], peer[ADDR_TEXT];
    memcpy(id, e->id, e->id_size); /* as it was sent: beat_id_valid has kept control characters out */
    id[e->id_size] = 0;
    size_t have = 0, n = 0, at = 0;
    while (environ[have])
        have++;
    char **env = calloc(have + OWN_VARIABLES + 1, sizeof *env);
    if (!env)
        return NULL;
    addr_text(&e->peer, peer);
#define PUT(...)                                                                                                       \
    do {                                                                                                               \
        env[n++] = text + at;                                                                                          \
        at += (size_t)snprintf(text + at, ENV_TEXT - at, __VA_ARGS__) + 1;                                             \
    } while (0)
    PUT("L7_ID=%s", id);
    PUT("L7_EVENT=%s", event_what(e));
    PUT("L7_FROM=%s", beat_state_names[e->from]);
    PUT("L7_TO=%s", beat_state_names[e->to]);
    PUT("L7_PEER=%s", peer);
    PUT("L7_INCARNATION=%llu", (unsigned long long)e->incarnation);
    PUT("L7_SEQUENCE=%llu", (unsigned long long)e->sequence);
    PUT("L7_RECEIVED=%llu", (unsigned long long)e->received);
    PUT("L7_LOST=%llu", (unsigned long long)e->lost);
    PUT("L7_SILENT=%lld.%03lld", (long long)(e->silent_ms / 1000), (long long)(e->silent_ms % 1000));
    PUT("L7_TIME=%lld.%03lld", (long long)(e->wall / TICK_S), (long long)(e->wall % TICK_S / TICK_MS));
#undef PUT
    for (size_t i = 0; i < have; i++)
        if (strncmp(environ[i], "L7_", 3) != 0)
            env[n++] = environ[i];
    return env;
}

static err_t start_command(const char *command, char **env, pid_t *pid)
{
    posix_spawnattr_t attr;
    posix_spawn_file_actions_t files;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO); /* stdout is for our own lines */
    char shell[] = "sh", flag[] = "-c", *argv[] = {shell, flag, (char *)(uintptr_t)command, NULL};
    int failed = posix_spawn(pid, "/bin/sh", &files, &attr, argv, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    return failed ? fault(err_errno(failed), "/bin/sh") : NULL;
}

/* Wait for the end, or bring it about. */
static err_t finish_command(pid_t pid, tick until, int *status)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, O_NONBLOCK);
    err_t e = fd < 0 ? err_errno(errno) : io_wait(fd, IO_READ, until);
    if (e)
        kill(-pid, SIGKILL);
    if (fd >= 0)
        io_close(fd);
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        ;
    return e;
}

static err_t run_command(struct hooks *h, const struct event *e)
{
    char text[ENV_TEXT];
    char **env = environment(e, text);
    pid_t pid;
    int status = 0;
    if (!env)
        return E_NO_MEMORY;
    err_t err = start_command(h->conf.on_change, env, &pid);
    free(env);
    TRY(err);
    TRY(finish_command(pid, now() + h->conf.job_limit, &status));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return NULL;
    return WIFEXITED(status) ? fault(E_IO, "exit status %d", WEXITSTATUS(status))
                             : fault(E_IO, "signal %d", WTERMSIG(status));
}

/* ---- Lanes ---- */

static void push(struct lane *lane, struct event *e)
{
    struct job *job = lane->queued < HOOKS_QUEUE_MAX ? malloc(sizeof *job) : NULL;
    if (!job) {
        stat_add(STAT_HOOKS_FAILED, 1);
        return;
    }
    atomic_fetch_add(&e->refs, 1);
    *job = (struct job){NULL, e};
    *lane->last = job;
    lane->last = &job->next;
    lane->queued++;
    waitq_wake(&lane->come, 1);
}

static struct event *pop(struct lane *lane)
{
    struct job *job = lane->first;
    if (!job)
        return NULL;
    struct event *e = job->event;
    lane->first = job->next;
    lane->queued--;
    if (!lane->first)
        lane->last = &lane->first;
    free(job);
    return e;
}

static void handle_all(struct lane *lane)
{
    char why[320], id[4 * BEAT_ID_MAX + 1];
    for (;;) {
        struct event *e = pop(lane);
        if (!e) {
            if (lane->h->stopping || waitq_wait(&lane->come, TICK_NEVER) == E_CANCELED)
                return;
            continue;
        }
        fault_clear();
        err_t failed = lane->work(lane->h, e);
        if (failed) {
            stat_add(STAT_HOOKS_FAILED, 1);
            text_safe(event_id(e), id, sizeof id);
            log_line(LOG_WARN, "l7 heartbeat listen: hook for '%s' (%s): %s", id, event_what(e),
                     fault_text(failed, why, sizeof why));
        }
        event_unref(e);
        if (fiber_canceled())
            return;
    }
}

static void run_lane(void *arg)
{
    struct lane *lane = arg;
    handle_all(lane);
    if (lane == &lane->h->lane[lane->h->lanes])
        webhook_done(lane->h->webhook);
}

static err_t post(struct hooks *h, const struct event *e)
{
    return webhook_post(h->webhook, e);
}

void hooks_add(struct hooks *h, struct event *e)
{
    if (h->conf.on_change)
        push(&h->lane[e->lane % (unsigned)h->lanes], e);
    if (h->webhook)
        push(&h->lane[h->lanes], e);
}

err_t hooks_new(const struct events_conf *conf, struct hooks **out)
{
    struct hooks *h = calloc(1, sizeof *h);
    if (!h)
        return E_NO_MEMORY;
    h->conf = *conf;
    h->lanes = conf->jobs < 1 ? 1 : conf->jobs > EVENT_JOBS_MAX ? EVENT_JOBS_MAX : (int)conf->jobs;
    for (int i = 0; i <= h->lanes; i++) {
        h->lane[i] = (struct lane){.h = h, .work = run_command};
        h->lane[i].last = &h->lane[i].first;
        waitq_init(&h->lane[i].come);
    }
    h->lane[h->lanes].work = post;
    err_t e = conf->webhook ? webhook_new(conf->webhook, conf->ca_file, &h->webhook) : NULL;
    if (e)
        hooks_free(h);
    else
        *out = h;
    return e;
}

err_t hooks_start(struct hooks *h)
{
    for (int i = 0; i <= h->lanes; i++)
        TRY(scope_spawn(loop_scope(loop_self()), "heartbeat hook", run_lane, &h->lane[i]));
    return NULL;
}

void hooks_stop(struct hooks *h)
{
    h->stopping = true;
    for (int i = 0; i <= h->lanes; i++)
        waitq_wake(&h->lane[i].come, -1);
}

void hooks_free(struct hooks *h)
{
    if (!h)
        return;
    for (int i = 0; i <= h->lanes; i++)
        for (struct event *e; (e = pop(&h->lane[i]));)
            event_unref(e);
    webhook_free(h->webhook);
    free(h);
}
