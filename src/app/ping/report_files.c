/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/ping/report.h"
#include "base/plot.h"

enum { HOSTS_DRAWN = 3 }; /* a line and a row of ticks each, of the six colours */

/* The last points of one host, oldest first: one series of round trips and one of losses. */
static void collect(const struct ping_host *h, double *x, double *y, double *x_lost, struct plot_series *out)
{
    size_t n = h->point_count < PING_POINTS ? h->point_count : PING_POINTS, lost = 0;
    for (size_t i = 0; i < n; i++) {
        const struct ping_point *p = &h->points[(h->point_count - n + i) % PING_POINTS];
        x[i] = p->at, y[i] = p->ms;
        if (isnan(p->ms))
            x_lost[lost++] = p->at;
    }
    out[0] = (struct plot_series){h->name, x, y, n, PLOT_LINE};
    out[1] = (struct plot_series){"lost", x_lost, x_lost, lost, PLOT_TICKS};
}

err_t report_plot(const struct ping_host *hosts, size_t n, int columns, int rows, struct buf *out)
{
    struct plot_series series[2 * HOSTS_DRAWN];
    struct plot plot = {.title = "round trip", .x_label = "s", .y_label = "ms", .series = series};
    size_t drawn = n < HOSTS_DRAWN ? n : HOSTS_DRAWN;
    double *room = calloc(drawn * 3 * PING_POINTS, sizeof *room);
    if (!room)
        return E_NO_MEMORY;
    for (size_t i = 0; i < drawn; i++) {
        double *at = room + i * 3 * PING_POINTS;
        collect(&hosts[i], at, at + PING_POINTS, at + 2 * PING_POINTS, &series[plot.count]);
        plot.count += 2;
    }
    err_t e = rows ? plot_text(&plot, columns, rows, getenv("NO_COLOR") == NULL, out) : plot_svg(&plot, out);
    free(room);
    return e;
}

static err_t write_hgrm(const struct ping_host *hosts, size_t n)
{
    AUTO(buf_free) struct buf out = {0};
    for (size_t i = 0; i < n; i++) {
        if (n > 1)
            TRY(buf_format(&out, "%s#[Host    = %s, ms]\n", i ? "\n" : "", hosts[i].text));
        TRY(histogram_hgrm(&hosts[i].rtt, (double)TICK_MS, &out));
    }
    return buf_write_file(&out, hosts->conf->hgrm);
}

err_t report_files(const struct ping_host *hosts, size_t n)
{
    AUTO(buf_free) struct buf svg = {0};
    if (hosts->conf->svg) {
        TRY(report_plot(hosts, n, 0, 0, &svg));
        TRY(buf_write_file(&svg, hosts->conf->svg));
    }
    return hosts->conf->hgrm ? write_hgrm(hosts, n) : NULL;
}
