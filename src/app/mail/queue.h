/* SPDX-License-Identifier: MIT */
/*
 * queue.h -- messages on disk until the server has taken them.
 *
 * Two files a message in one folder: ID.eml, the message as it goes out, and ID.env, its envelope and what became of
 * each recipient so far. A message is in the queue from the moment when ID.env gets its name (both files are synced
 * before), and out of it when ID.env is gone. Every change writes a new ID.env beside the old one and renames it, so
 * a kill or a power cut at any moment leaves the state before or after. What nobody can avoid (RFC 1047): killed
 * between the server's last 250 and the record of it, a message is sent again.
 *
 * One flush at a time works on a folder (a lock on the file "lock"); adding needs no lock. Waits between attempts
 * double from one minute to four hours; after five days a message is given up, and stays as ID.failed.
 */
#pragma once

#include "app/mail/report.h"

enum { QUEUE_WAIT_FIRST = 60, QUEUE_WAIT_MOST = 4 * 3600, QUEUE_GIVE_UP = 5 * 86400, QUEUE_ID = 40 };

struct queue_rcpt {
    struct slice address;
    bool pending;
};
struct queue_entry { /* an ID.env; memory is the arena's */
    char id[QUEUE_ID];
    struct slice from, envid, last; /* last: why it is still here */
    struct queue_rcpt *rcpts;
    size_t count, pending;
    int64_t added, next; /* seconds since the epoch */
    unsigned attempts, notify, ret;
};

/* Put a draft (opened, not fitted) into the folder, which is made when missing. `id` names it. */
MUST err_t queue_add(const char *dir, struct mail_draft *, char id[QUEUE_ID]);

/* Try what is due; `all`: everything; `only`: this one (NULL: any). Outcomes go to the report. E_LOCKED: another flush
   is at work. Messages that stay are no error: see the report. */
MUST err_t queue_flush(const char *dir, struct mail_link *, bool all, const char *only, struct mail_report *);

/* The entries, oldest first. */
MUST err_t queue_list(const char *dir, struct arena *, struct queue_entry **, size_t *n);

/* -- between queue.c and queue_flush.c -- */
MUST err_t queue_open(const char *dir, bool make, int *fd);
MUST err_t queue_save(int dir, const struct queue_entry *); /* replaces ID.env */
void queue_drop(int dir, const char *id, bool failed);      /* out of the queue; failed: kept as ID.failed */
int64_t queue_wait(unsigned attempts);                      /* seconds until the next one */
