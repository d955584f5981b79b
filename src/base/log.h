/* SPDX-License-Identifier: MIT */
/*
 * log.h -- lines for people (stderr) and access logs (files), without ever blocking a loop.
 *
 * Each thread formats into a ring of its own; one writer thread drains all rings. A full ring drops lines and
 * counts them; the count is logged when there is room again. Before log_start, and in one-shot tools, lines are
 * written directly.
 */
#pragma once

#include "base/err.h"

enum log_level { LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_file; /* an access log: a path that is opened again on log_reopen */

MUST err_t log_start(void); /* start the writer thread; once a process */
void log_stop(void);        /* drain everything and join the thread */
void log_reopen(void);      /* SIGHUP: open all log files anew, for logrotate */
bool log_journal(void);     /* does stderr go to systemd's journal (JOURNAL_STREAM)? then "<4>" prefixes */

/* One line for people on stderr, with time when daemonised: log_line(LOG_WARN, "%s: %s", ...). */
void log_line(enum log_level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

MUST err_t log_file_open(const char *path, struct log_file **); /* "-" is stderr */
void log_file_write(struct log_file *, struct slice line);      /* `line` ends in \n and is copied */
void log_file_close(struct log_file *);
