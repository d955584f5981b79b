/* SPDX-License-Identifier: MIT */
/*
 * webhook.h -- --webhook URL: every event as a POST of one JSON object, in order, on one kept-alive connection.
 *
 * A server that cannot be reached, or answers 408, 429 or 5xx, is asked again after 1, 2, 4 and 8 seconds; another
 * status of 400 or more is its last word. Redirects are not followed.
 */
#pragma once

#include "app/heartbeat/events.h"

enum { WEBHOOK_TRIES = 5 };

struct webhook;
MUST err_t webhook_new(const char *url, const char *ca_file, struct webhook **); /* E_USAGE */
MUST err_t webhook_post(struct webhook *, const struct event *);                 /* with all its tries; in a fiber */
void webhook_done(struct webhook *); /* close what is open, on the loop that posted */
void webhook_free(struct webhook *); /* NULL is accepted */
