/* SPDX-License-Identifier: MIT */
/* queue_flush.c -- an attempt at what is due, and the record of what became of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "app/mail/queue.h"

struct flush {
    const char *path;
    int dir;
    struct queue_entry *entries;
    size_t n, at;
    bool all;
    const char *only;
    int64_t now;
    struct mail_draft draft;
    struct queue_entry *current;
    struct mail_report *report;
    uint64_t number;
    err_t err; /* of the queue itself: stop */
};

/* ---- recording ---- */

static err_t record_rest(struct flush *f, struct queue_entry *q, const char *why, bool hopeless)
{
    q->attempts++;
    q->next = f->now + queue_wait(q->attempts);
    q->last = slice_z(why);
    TRY(queue_save(f->dir, q));
    if (hopeless || f->now - q->added > QUEUE_GIVE_UP)
        queue_drop(f->dir, q->id, true);
    return NULL;
}

/* Which recipients are settled: accepted, or refused for good. */
static err_t record(struct flush *f, struct mail_draft *d, const struct mail_result *r)
{
    struct queue_entry *q = f->current;
    const char *words, *why = "";
    size_t k = 0;
    bool refused = false;
    for (size_t i = 0; i < q->count; i++) {
        if (!q->rcpts[i].pending)
            continue;
        enum mail_fate fate = mail_fate_of(d, k++, r, &words);
        /* Trouble before the envelope (no connection, no login) says nothing about the recipient. */
        bool settled = fate == MAIL_ACCEPTED || (fate == MAIL_REFUSED && d->transaction.from.code);
        q->rcpts[i].pending = !settled;
        q->pending -= settled;
        refused |= settled && fate == MAIL_REFUSED;
        if (fate != MAIL_ACCEPTED)
            why = words;
    }
    if (q->pending)
        return record_rest(f, q, why, false);
    if (refused)
        return record_rest(f, q, why, true);
    queue_drop(f->dir, q->id, false);
    return NULL;
}

static void done(void *arg, struct mail_draft *d, const struct mail_result *r)
{
    struct flush *f = arg;
    if (!f->err)
        f->err = record(f, d, r);
    mail_report_add(f->report, f->number, d, r);
    mail_draft_close(d);
}

/* ---- as a source ---- */

static err_t open_entry(struct flush *f, struct queue_entry *q)
{
    char path[1400], from[400];
    const char **to = calloc(q->count ? q->count : 1, sizeof *to);
    size_t n = 0;
    if (!to)
        return E_NO_MEMORY;
    for (size_t i = 0; i < q->count; i++)
        if (q->rcpts[i].pending) /* lines of the file: each ends where its LF was */
            to[n++] = strndup(q->rcpts[i].address.p, q->rcpts[i].address.n);
    int len = snprintf(path, sizeof path, "%s/%s.eml", f->path, q->id);
    snprintf(from, sizeof from, "%.*s", SLICE_ARG(q->from));
    struct mail_options o = {.message = path, .envelope_from = from, .rcpts = {to, n}};
    bool fits = len > 0 && (size_t)len < sizeof path;
    err_t e = fits ? mail_draft_open(&o, &f->draft) : fault(E_USAGE, "--queue: the path is too long");
    if (!e && f->draft.rcpts.n != n) /* their fates are told by their places */
        e = fault(E_DATA, "%s.env names a recipient twice, or more than one in a line", q->id);
    f->draft.notify = q->notify;
    f->draft.ret = (enum smtp_ret)q->ret;
    f->draft.envid = q->envid;
    for (size_t i = 0; i < n; i++)
        free((char *)(uintptr_t)to[i]);
    free(to);
    return e;
}

static bool is_wanted(const struct flush *f, const struct queue_entry *q)
{
    if (f->only)
        return strcmp(q->id, f->only) == 0;
    return f->all || q->next <= f->now;
}

static struct mail_draft *next(void *arg)
{
    struct flush *f = arg;
    while (f->at < f->n && !f->err) {
        struct queue_entry *q = &f->entries[f->at++];
        if (!is_wanted(f, q) || q->pending == 0)
            continue;
        f->current = q;
        f->number++;
        f->draft = (struct mail_draft){0};
        err_t e = open_entry(f, q);
        if (!e)
            return &f->draft;
        mail_report_add(f->report, f->number, NULL, &(struct mail_result){.err = e, .why = fault_detail()});
        mail_draft_close(&f->draft);
    }
    return NULL;
}

/* ---- */

static err_t lock(int dir, int *fd)
{
    *fd = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        return fault(err_errno(errno), "the queue's lock");
    if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
        return NULL;
    close(*fd);
    return fault(E_LOCKED, "another flush is at work on this queue");
}

static err_t flush_locked(struct flush *f, struct mail_link *link, struct arena *a)
{
    TRY(queue_list(f->path, a, &f->entries, &f->n));
    err_t e = mail_send(link, &(struct mail_source){next, done, f, 1}, TICK_NEVER);
    return f->err ? f->err : e;
}

err_t queue_flush(const char *path, struct mail_link *link, bool all, const char *only, struct mail_report *report)
{
    struct flush *f = calloc(1, sizeof *f);
    struct arena a = {.cap = 1 << 30};
    int locked;
    if (!f)
        return E_NO_MEMORY;
    *f = (struct flush){.path = path, .all = all, .only = only, .now = clock_wall() / TICK_S, .report = report};
    err_t e = queue_open(path, false, &f->dir);
    if (!e) {
        e = lock(f->dir, &locked);
        if (!e) {
            e = flush_locked(f, link, &a);
            close(locked);
        }
        close(f->dir);
    }
    arena_reset(&a);
    free(f);
    return e;
}
