/* SPDX-License-Identifier: MIT */
/*
 * plot.h -- small charts: in a terminal with braille dots (2 by 4 a character), and as SVG.
 *
 * The caller owns the numbers. Axes start at the least and end at the greatest value unless said otherwise; a point
 * whose y is NaN breaks the line. Points outside the axes are left out.
 */
#pragma once

#include "base/buf.h"

enum plot_mark { PLOT_LINE, PLOT_DOTS, PLOT_TICKS }; /* TICKS: short strokes up from the bottom; y is not looked at */

struct plot_series {
    const char *name;
    const double *x, *y;
    size_t n;
    enum plot_mark mark;
};
struct plot {
    const char *title, *x_label, *y_label; /* labels name the units: "load", "ms" */
    const struct plot_series *series;
    size_t count;                      /* of series, at most 6 (one colour each) */
    double x_min, x_max, y_min, y_max; /* min == max: from the values */
};

/* `columns` by `rows` characters with axes and legend; colours by ANSI sequences when asked for. */
MUST err_t plot_text(const struct plot *, int columns, int rows, bool color, struct buf *);
MUST err_t plot_svg(const struct plot *, struct buf *);
