/* SPDX-License-Identifier: MIT */
/* record.c -- --record FILE: a line a beat, "ARRIVAL SENDER INCARNATION SEQUENCE SENT INTERVAL", times in nanoseconds
   (arrival on the monotonic clock, sent on the sender's wall clock). `l7 heartbeat simulate` reads it. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/heartbeat/listener_port.h"
#include "base/log.h"
#include "base/text.h"

struct record {
    pthread_mutex_t lock;
    FILE *file;
};

err_t record_open(const char *path, struct record **out)
{
    struct record *r = calloc(1, sizeof *r);
    if (!r)
        return E_NO_MEMORY;
    r->file = fopen(path, "ae");
    if (!r->file) {
        err_t e = fault(err_errno(errno), "%s", path);
        free(r);
        return e;
    }
    pthread_mutex_init(&r->lock, NULL);
    *out = r;
    return NULL;
}

void record_beat(struct record *r, const struct beat *b, const struct addr *peer, tick at)
{
    char name[ADDR_TEXT > 4 * BEAT_ID_MAX ? ADDR_TEXT : 4 * BEAT_ID_MAX + 1];
    if (b->text)
        addr_text(peer, name);
    else
        text_safe(b->id, name, sizeof name);
    for (char *c = name; *c; c++)
        *c = *c == ' ' ? '_' : *c;
    pthread_mutex_lock(&r->lock);
    fprintf(r->file, "%lld %s %llu %llu %lld %lld\n", (long long)at, name, (unsigned long long)b->incarnation,
            (unsigned long long)b->sequence, (long long)b->sent_ns, (long long)b->interval_ns);
    pthread_mutex_unlock(&r->lock);
}

void record_close(struct record *r)
{
    if (!r)
        return;
    bool whole = !ferror(r->file);
    if (fclose(r->file) || !whole)
        log_line(LOG_WARN, "l7 heartbeat listen: --record: not every beat could be written");
    pthread_mutex_destroy(&r->lock);
    free(r);
}
