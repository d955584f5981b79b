/* SPDX-License-Identifier: MIT */
/* metrics.h -- what every daemon serves on --metrics ADDR:PORT: /metrics in OpenMetrics text, on the first worker. */
#pragma once

#include "http/server.h"

struct metrics {
    struct listen_point point;
    struct server *server; /* NULL: there is none */
};

MUST err_t metrics_open(struct metrics *, const char *address, int workers); /* binds; NULL address: does nothing */
MUST err_t metrics_start(struct metrics *, int index);                       /* on each loop */
void metrics_drain(struct metrics *);                                        /* on each loop */
void metrics_close(struct metrics *);                                        /* after the workers have ended */
