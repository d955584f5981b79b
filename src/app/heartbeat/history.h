/* SPDX-License-Identifier: MIT */
/* history.h -- --history FILE: every change of state as a row in SQLite, newest kept. Blocking: called on a helper
   thread, one at a time. A batch is one transaction of a write-ahead log, so what was added survives a kill. */
#pragma once

#include "app/heartbeat/events.h"

struct history;
MUST err_t history_open(const char *path, uint64_t max, struct history **); /* E_IO, E_CONFIG */
MUST err_t history_add(struct history *, const struct event *first);        /* the whole chain */
void history_close(struct history *);                                       /* NULL is accepted */
