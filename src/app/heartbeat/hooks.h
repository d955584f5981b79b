/* SPDX-License-Identifier: MIT */
/*
 * hooks.h -- commands (--on-change) and POSTs (--webhook) for events.
 *
 * A command is run by /bin/sh with what happened in environment variables: nothing that a sender chose becomes part
 * of the command. There are as many lanes as commands may run at a time; a sender always has the same lane, so its
 * events are handled in order. A command that takes too long is killed with its whole process group.
 */
#pragma once

#include "app/heartbeat/events.h"

enum { HOOKS_QUEUE_MAX = 10000 };

struct hooks;
MUST err_t hooks_new(const struct events_conf *, struct hooks **); /* E_USAGE for a bad URL */
MUST err_t hooks_start(struct hooks *);                            /* in a fiber on the loop that will run them */
void hooks_add(struct hooks *, struct event *);                    /* takes a reference; same loop */
void hooks_stop(struct hooks *);                                   /* finish what is queued, then end */
void hooks_free(struct hooks *);
