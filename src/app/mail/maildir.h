/* SPDX-License-Identifier: MIT */
/*
 * maildir.h -- one file a message, whole or not there (the Maildir convention).
 *
 * A message is written to tmp/, synced, renamed into new/, and the folder is synced: only then is it safe to tell the
 * client that it was accepted. Names are unique across threads, processes and restarts. CRLF becomes LF.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"

struct maildir; /* an open folder; used by all threads */
struct maildir_message;

MUST err_t maildir_open(const char *path, struct maildir **); /* makes it and its three folders */
void maildir_close(struct maildir *);

MUST err_t maildir_begin(struct maildir *, struct maildir_message **);
MUST err_t maildir_add(struct maildir_message *, struct slice);
/* On success the message is gone from memory; `id` is its file's name. Syncing happens off the loop. */
MUST err_t maildir_commit(struct maildir_message *, char id[64], tick until);
void maildir_discard(struct maildir_message *);
