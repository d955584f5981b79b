/* SPDX-License-Identifier: MIT */
/*
 * report.h -- what ping prints: a line an event, summaries, histogram, files. Text in the layout of ping(8), or one
 * JSON object a line (keys in docs/ping.md).
 */
#pragma once

#include "app/ping/ping.h"
#include "net/udp.h"

void report_start(const struct ping_host *);
void report_reply(const struct ping_host *, const struct ping_reply *);
void report_timeout(const struct ping_host *, const struct probe *);
void report_icmp(const struct ping_host *, const struct udp_event *, const struct probe *); /* probe may be NULL */
void report_failed(const struct ping_host *, const struct probe *, err_t);                  /* could not be sent */
void report_interim(const struct ping_host *); /* SIGQUIT: one line on stderr */
void report_summary(const struct ping_host *);
/* The files that were asked for: --svg (all hosts in one drawing), --hgrm (all hosts together). */
MUST err_t report_files(const struct ping_host *, size_t n);
/* All hosts in a drawing for --live and --svg; lost probes as ticks. */
MUST err_t report_plot(const struct ping_host *, size_t n, int columns, int rows, struct buf *); /* rows 0: as SVG */
