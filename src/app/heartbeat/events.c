/* SPDX-License-Identifier: MIT */
#include "app/heartbeat/events.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "app/heartbeat/history.h"
#include "app/heartbeat/hooks.h"
#include "base/json.h"
#include "base/log.h"
#include "base/stat.h"
#include "base/text.h"
#include "rt/loop.h"
#include "rt/offload.h"
#include "rt/waitq.h"

struct events {
    struct events_conf conf;
    pthread_mutex_t lock; /* of the queue */
    struct event *first, **last;
    uint32_t queued;
    uint64_t dropped;
    bool posted, stopping;
    struct loop *loop;
    struct note note;
    struct waitq come;
    struct history *history;
    struct hooks *hooks;
};

/* ---- One event ---- */

const char *event_what(const struct event *e)
{
    return e->restarted && e->to == BEAT_UP ? "restarted" : beat_state_names[e->to];
}

void event_unref(struct event *e)
{
    if (atomic_fetch_sub(&e->refs, 1) == 1)
        free(e);
}

static void time_text(int64_t wall, char out[40])
{
    time_t s = (time_t)(wall / TICK_S);
    struct tm tm;
    char date[32];
    gmtime_r(&s, &tm);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, 40, "%s.%03dZ", date, (int)(wall % TICK_S / TICK_MS));
}

err_t event_json(const struct event *e, struct buf *out)
{
    char when[40], peer[ADDR_TEXT];
    time_text(e->wall, when);
    struct json j = json_start(out);
    json_open(&j, '{');
    json_key(&j, "time"), json_string(&j, slice_z(when));
    json_key(&j, "event"), json_string(&j, slice_z(event_what(e)));
    json_key(&j, "id"), json_string(&j, event_id(e));
    json_key(&j, "from"), json_string(&j, slice_z(beat_state_names[e->from]));
    json_key(&j, "to"), json_string(&j, slice_z(beat_state_names[e->to]));
    json_key(&j, "peer"), json_string(&j, slice_z(addr_text(&e->peer, peer)));
    json_key(&j, "incarnation"), json_uint(&j, e->incarnation);
    json_key(&j, "sequence"), json_uint(&j, e->sequence);
    json_key(&j, "received"), json_uint(&j, e->received);
    json_key(&j, "lost"), json_uint(&j, e->lost);
    json_key(&j, "silent_ms"), json_int(&j, e->silent_ms);
    json_close(&j, '}');
    return json_end_line(&j);
}

err_t event_line(const struct event *e, struct buf *out)
{
    char when[40], peer[ADDR_TEXT];
    time_text(e->wall, when);
    TRY(buf_format(out, "%s  %-9s ", when, event_what(e)));
    TRY(text_safe_add(out, event_id(e)));
    if (!e->text)
        TRY(buf_format(out, " from %s", addr_text(&e->peer, peer)));
    if (e->to == BEAT_DOWN)
        TRY(buf_format(out, ", silent for %lld.%03lld s", (long long)(e->silent_ms / 1000),
                       (long long)(e->silent_ms % 1000)));
    return buf_format(out, ", beat %llu, %llu lost\n", (unsigned long long)e->sequence, (unsigned long long)e->lost);
}

/* ---- Queue ---- */

static void wake(struct note *n)
{
    struct events *ev = LIST_ENTRY(n, struct events, note);
    pthread_mutex_lock(&ev->lock);
    ev->posted = false;
    pthread_mutex_unlock(&ev->lock);
    waitq_wake(&ev->come, -1);
}

static struct event *event_of(const struct senders_change *c)
{
    struct event *e = malloc(sizeof *e);
    if (!e)
        return NULL;
    *e = (struct event){.refs = 1,
                        .wall = clock_wall() - (clock_now() - c->at),
                        .from = c->from,
                        .to = c->to,
                        .restarted = c->restarted,
                        .text = c->text,
                        .silent_ms = c->silent / TICK_MS,
                        .incarnation = c->incarnation,
                        .sequence = c->sequence,
                        .received = c->received,
                        .lost = c->lost,
                        .lane = slice_hash(c->id, 1),
                        .peer = c->peer,
                        .id_size = (uint8_t)c->id.n};
    memcpy(e->id, c->id.p, c->id.n);
    return e;
}

void events_add(struct events *ev, const struct senders_change *c)
{
    struct event *e = event_of(c);
    bool post = false;
    pthread_mutex_lock(&ev->lock);
    if (e && ev->queued < EVENTS_MAX) {
        *ev->last = e;
        ev->last = &e->next;
        ev->queued++;
        post = ev->loop && !ev->posted;
        ev->posted = ev->posted || post;
    } else {
        ev->dropped++;
        free(e);
    }
    pthread_mutex_unlock(&ev->lock);
    if (post)
        loop_post(ev->loop, &ev->note);
}

static struct event *take_all(struct events *ev, uint64_t *dropped)
{
    pthread_mutex_lock(&ev->lock);
    struct event *first = ev->first;
    ev->first = NULL;
    ev->last = &ev->first;
    ev->queued = 0;
    *dropped = ev->dropped;
    ev->dropped = 0;
    pthread_mutex_unlock(&ev->lock);
    return first;
}

/* ---- Handling ---- */

struct batch {
    struct events *ev;
    struct event *first;
};

static void print_lines(const struct events *ev, const struct event *e)
{
    AUTO(buf_free) struct buf out = {0};
    for (; e; e = e->next) {
        if (ev->conf.json ? event_json(e, &out) : event_line(e, &out))
            break;
        if (out.n > 60000 || !e->next) {
            fwrite(out.p, 1, out.n, stdout);
            buf_eat(&out, out.n);
        }
    }
    fflush(stdout);
}

static err_t write_batch(void *arg) /* on a helper thread */
{
    const struct batch *b = arg;
    if (!b->ev->conf.quiet)
        print_lines(b->ev, b->first);
    if (b->ev->history)
        return history_add(b->ev->history, b->first);
    return NULL;
}

static void handle(struct events *ev, struct event *first)
{
    for (struct event *e = first; ev->hooks && e; e = e->next)
        hooks_add(ev->hooks, e);
    err_t failed = offload(write_batch, &(struct batch){ev, first}, TICK_NEVER);
    char why[320];
    if (failed && failed != E_CANCELED)
        log_line(LOG_ERROR, "l7 heartbeat listen: history: %s", fault_text(failed, why, sizeof why));
    for (struct event *next; first; first = next) {
        next = first->next;
        event_unref(first);
    }
}

static void run(void *arg)
{
    struct events *ev = arg;
    for (;;) {
        uint64_t dropped;
        struct event *first = take_all(ev, &dropped);
        if (dropped)
            log_line(LOG_WARN, "l7 heartbeat listen: %llu events dropped, the queue was full",
                     (unsigned long long)dropped);
        if (first)
            handle(ev, first);
        else if (ev->stopping || waitq_wait(&ev->come, TICK_NEVER) == E_CANCELED)
            break;
    }
    if (ev->hooks)
        hooks_stop(ev->hooks);
    pthread_mutex_lock(&ev->lock);
    ev->loop = NULL; /* the loop is about to end: nobody may post to it any more */
    pthread_mutex_unlock(&ev->lock);
}

err_t events_new(const struct events_conf *conf, struct events **out)
{
    struct events *ev = calloc(1, sizeof *ev);
    if (!ev)
        return E_NO_MEMORY;
    ev->conf = *conf;
    ev->last = &ev->first;
    ev->note.run = wake;
    pthread_mutex_init(&ev->lock, NULL);
    waitq_init(&ev->come);
    err_t e = conf->history ? history_open(conf->history, conf->history_max, &ev->history) : NULL;
    if (!e && (conf->on_change || conf->webhook))
        e = hooks_new(conf, &ev->hooks);
    if (e)
        events_free(ev);
    else
        *out = ev;
    return e;
}

err_t events_start(struct events *ev)
{
    if (ev->hooks)
        TRY(hooks_start(ev->hooks));
    pthread_mutex_lock(&ev->lock);
    ev->loop = loop_self();
    pthread_mutex_unlock(&ev->lock);
    return scope_spawn(loop_scope(loop_self()), "heartbeat events", run, ev);
}

void events_stop(struct events *ev)
{
    ev->stopping = true;
    waitq_wake(&ev->come, -1);
}

void events_free(struct events *ev)
{
    if (!ev)
        return;
    for (struct event *e = ev->first, *next; e; e = next) {
        next = e->next;
        event_unref(e);
    }
    hooks_free(ev->hooks);
    history_close(ev->history);
    pthread_mutex_destroy(&ev->lock);
    free(ev);
}
