/* SPDX-License-Identifier: MIT */
#include "base/plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { COLORS = 6, LABEL = 10, SVG_WIDTH = 800, SVG_HEIGHT = 400, SVG_LEFT = 70, SVG_TOP = 40, SVG_BOTTOM = 60 };

static const char *const ansi[COLORS] = {"36", "33", "31", "32", "35", "34"};
static const char *const svg_color[COLORS] = {"#0b7285", "#e67700", "#c92a2a", "#2b8a3e", "#862e9c", "#1864ab"};

struct axes {
    double x0, x1, y0, y1;
};

static void stretch(double v, double *low, double *high)
{
    if (!isfinite(v))
        return;
    *low = v < *low ? v : *low;
    *high = v > *high ? v : *high;
}

static struct axes axes_of(const struct plot *p)
{
    struct axes a = {INFINITY, -INFINITY, INFINITY, -INFINITY};
    for (size_t s = 0; s < p->count; s++)
        for (size_t i = 0; i < p->series[s].n; i++) {
            stretch(p->series[s].x[i], &a.x0, &a.x1);
            if (p->series[s].mark != PLOT_TICKS)
                stretch(p->series[s].y[i], &a.y0, &a.y1);
        }
    if (p->x_min < p->x_max)
        a.x0 = p->x_min, a.x1 = p->x_max;
    if (p->y_min < p->y_max)
        a.y0 = p->y_min, a.y1 = p->y_max;
    if (!(a.x0 < a.x1))
        a.x0 = isfinite(a.x0) ? a.x0 - 0.5 : 0, a.x1 = a.x0 + 1;
    if (!(a.y0 < a.y1))
        a.y0 = isfinite(a.y0) ? a.y0 - 0.5 : 0, a.y1 = a.y0 + 1;
    return a;
}

/* --- terminal ------------------------------------------------------------------------------------------------ */

struct canvas {
    int columns, rows;
    uint8_t *dots;  /* braille bits of each cell */
    uint8_t *color; /* last series drawn there */
};

static void dot(struct canvas *c, int x, int y, uint8_t color)
{
    static const uint8_t bit[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    if (x < 0 || y < 0 || x >= c->columns * 2 || y >= c->rows * 4)
        return;
    size_t cell = (size_t)(y / 4) * (size_t)c->columns + (size_t)(x / 2);
    c->dots[cell] |= bit[y % 4][x % 2];
    c->color[cell] = color;
}

static void line(struct canvas *c, int x0, int y0, int x1, int y1, uint8_t color)
{
    int dx = abs(x1 - x0), dy = abs(y1 - y0), steps = dx > dy ? dx : dy;
    for (int i = 0; i <= steps; i++)
        dot(c, steps ? x0 + (x1 - x0) * i / steps : x0, steps ? y0 + (y1 - y0) * i / steps : y0, color);
}

static void draw(struct canvas *c, const struct plot_series *s, const struct axes *a, uint8_t color)
{
    bool joined = false;
    int last_x = 0, last_y = 0, bottom = c->rows * 4 - 1;
    for (size_t i = 0; i < s->n; i++) {
        bool inside = s->x[i] >= a->x0 && s->x[i] <= a->x1;
        int x = inside ? (int)lround((s->x[i] - a->x0) / (a->x1 - a->x0) * (c->columns * 2 - 1)) : 0;
        if (inside && s->mark == PLOT_TICKS)
            line(c, x, bottom, x, bottom - 2, color);
        inside = inside && s->mark != PLOT_TICKS && s->y[i] >= a->y0 && s->y[i] <= a->y1;
        if (!inside) { /* NaN compares false */
            joined = false;
            continue;
        }
        int y = bottom - (int)lround((s->y[i] - a->y0) / (a->y1 - a->y0) * bottom);
        if (joined && s->mark == PLOT_LINE)
            line(c, last_x, last_y, x, y, color);
        else
            dot(c, x, y, color);
        joined = true, last_x = x, last_y = y;
    }
}

static err_t put_cell(struct buf *out, uint8_t dots, const char *color)
{
    /* U+2800 + dots in UTF-8 */
    char utf8[4] = {(char)0xe2, (char)(0xa0 | dots >> 6), (char)(0x80 | (dots & 0x3f)), 0};
    if (color)
        return buf_format(out, "\x1b[%sm%s\x1b[0m", color, utf8);
    return buf_add(out, slice_z(utf8));
}

static err_t put_row(const struct canvas *c, int row, bool color, struct buf *out)
{
    for (int i = 0; i < c->columns; i++) {
        size_t cell = (size_t)row * (size_t)c->columns + (size_t)i;
        TRY(c->dots[cell] ? put_cell(out, c->dots[cell], color ? ansi[c->color[cell]] : NULL) : buf_add_char(out, ' '));
    }
    return buf_add_char(out, '\n');
}

static err_t put_canvas(const struct plot *p, const struct axes *a, const struct canvas *c, bool color, struct buf *out)
{
    TRY(buf_format(out, "%*s  %s (%s)\n", LABEL, "", p->title, p->y_label));
    for (int row = 0; row < c->rows; row++) {
        bool labelled = row == 0 || row == c->rows - 1 || row == c->rows / 2;
        double y = a->y1 - (a->y1 - a->y0) * row / (c->rows > 1 ? c->rows - 1 : 1);
        if (labelled)
            TRY(buf_format(out, "%*.4g |", LABEL, y));
        else
            TRY(buf_format(out, "%*s |", LABEL, ""));
        TRY(put_row(c, row, color, out));
    }
    TRY(buf_format(out, "%*s +", LABEL, ""));
    for (int i = 0; i < c->columns; i++)
        TRY(buf_add_char(out, '-'));
    TRY(buf_format(out, "\n%*s  %-*.4g%*.4g  %s\n", LABEL, "", c->columns / 2, a->x0, c->columns - c->columns / 2,
                   a->x1, p->x_label));
    for (size_t s = 0; s < p->count; s++) {
        TRY(buf_format(out, s ? "   " : "%*s  ", LABEL, ""));
        TRY(put_cell(out, 0x36, color ? ansi[s % COLORS] : NULL));
        TRY(buf_format(out, " %s", p->series[s].name));
    }
    return p->count ? buf_add_char(out, '\n') : NULL;
}

err_t plot_text(const struct plot *p, int columns, int rows, bool color, struct buf *out)
{
    struct canvas c = {.columns = columns > LABEL + 12 ? columns - LABEL - 2 : 10, .rows = rows > 6 ? rows - 4 : 2};
    struct axes a = axes_of(p);
    size_t cells = (size_t)c.columns * (size_t)c.rows;
    c.dots = calloc(cells, 2);
    if (!c.dots)
        return E_NO_MEMORY;
    c.color = c.dots + cells;
    for (size_t s = 0; s < p->count; s++)
        draw(&c, &p->series[s], &a, (uint8_t)(s % COLORS));
    err_t e = put_canvas(p, &a, &c, color, out);
    free(c.dots);
    return e;
}

/* --- SVG ----------------------------------------------------------------------------------------------------- */

static double svg_x(const struct axes *a, double x)
{
    return SVG_LEFT + (x - a->x0) / (a->x1 - a->x0) * (SVG_WIDTH - SVG_LEFT - 20);
}

static double svg_y(const struct axes *a, double y)
{
    return SVG_HEIGHT - SVG_BOTTOM - (y - a->y0) / (a->y1 - a->y0) * (SVG_HEIGHT - SVG_BOTTOM - SVG_TOP);
}

static err_t svg_text(struct buf *out, const char *text)
{
    for (; *text; text++)
        TRY(*text == '<'   ? buf_add(out, S("&lt;"))
            : *text == '&' ? buf_add(out, S("&amp;"))
                           : buf_add_char(out, *text));
    return NULL;
}

static err_t svg_label(struct buf *out, double x, double y, const char *anchor, const char *text)
{
    TRY(buf_format(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor));
    TRY(svg_text(out, text));
    return buf_add(out, S("</text>\n"));
}

static err_t svg_grid(const struct plot *p, const struct axes *a, struct buf *out)
{
    char number[32];
    for (int i = 0; i <= 5; i++) {
        double x = a->x0 + (a->x1 - a->x0) * i / 5, y = a->y0 + (a->y1 - a->y0) * i / 5;
        TRY(buf_format(out, "<path d=\"M%d %.1fH%d\" stroke=\"#ddd\"/>\n", SVG_LEFT, svg_y(a, y), SVG_WIDTH - 20));
        snprintf(number, sizeof number, "%.4g", y);
        TRY(svg_label(out, SVG_LEFT - 6, svg_y(a, y) + 4, "end", number));
        snprintf(number, sizeof number, "%.4g", x);
        TRY(svg_label(out, svg_x(a, x), SVG_HEIGHT - SVG_BOTTOM + 16, "middle", number));
    }
    TRY(svg_label(out, SVG_WIDTH / 2.0, 20, "middle", p->title));
    TRY(svg_label(out, SVG_WIDTH / 2.0, SVG_HEIGHT - SVG_BOTTOM + 34, "middle", p->x_label));
    return svg_label(out, 10, 20, "start", p->y_label);
}

static err_t svg_series(const struct plot_series *s, const struct axes *a, const char *color, struct buf *out)
{
    bool open = false;
    for (size_t i = 0; i < s->n; i++) {
        bool x_in = s->x[i] >= a->x0 && s->x[i] <= a->x1, in = x_in && s->y[i] >= a->y0 && s->y[i] <= a->y1;
        if (s->mark == PLOT_TICKS && x_in)
            TRY(buf_format(out, "<path d=\"M%.1f %.1fv-12\" stroke=\"%s\"/>\n", svg_x(a, s->x[i]), svg_y(a, a->y0),
                           color));
        else if (s->mark == PLOT_DOTS && in)
            TRY(buf_format(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", svg_x(a, s->x[i]),
                           svg_y(a, s->y[i]), color));
        if (s->mark != PLOT_LINE)
            continue;
        if (!in && open)
            TRY(buf_format(out, "\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\"/>\n", color));
        if (in)
            TRY(buf_format(out, "%s%.1f %.1f", open ? "L" : "<path d=\"M", svg_x(a, s->x[i]), svg_y(a, s->y[i])));
        open = in;
    }
    return open ? buf_format(out, "\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\"/>\n", color) : NULL;
}

err_t plot_svg(const struct plot *p, struct buf *out)
{
    struct axes a = axes_of(p);
    TRY(buf_format(out,
                   "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
                   "font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
                   SVG_WIDTH, SVG_HEIGHT));
    TRY(svg_grid(p, &a, out));
    for (size_t s = 0; s < p->count; s++) {
        double x = SVG_LEFT + (double)s * 150;
        TRY(svg_series(&p->series[s], &a, svg_color[s % COLORS], out));
        TRY(buf_format(out, "<rect x=\"%.1f\" y=\"%d\" width=\"10\" height=\"10\" fill=\"%s\"/>\n", x, SVG_HEIGHT - 16,
                       svg_color[s % COLORS]));
        TRY(svg_label(out, x + 14, SVG_HEIGHT - 7, "start", p->series[s].name));
    }
    return buf_add(out, S("</svg>\n"));
}
