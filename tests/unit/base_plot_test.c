/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <math.h>

#include "base/plot.h"

static const double x[] = {0, 1, 2, 3}, y[] = {0, 1, NAN, 3};
static const struct plot_series series[] = {{"a<b", x, y, 4, PLOT_LINE}, {"lost", x, y, 4, PLOT_TICKS}};
static const struct plot plot = {"t & u", "s", "ms", series, 2, 0, 0, 0, 0};

static void text_fills_the_size_asked_for(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_ok(plot_text(&plot, 60, 12, false, &b));
    size_t lines = 0;
    for (size_t i = 0; i < b.n; i++)
        lines += b.p[i] == '\n';
    assert_int_equal(lines, 12);
    assert_int_equal(slice_find(buf_slice(&b), '\x1b', 0), SIZE_MAX);
    assert_true(slice_find_slice(buf_slice(&b), S("\xe2\xa0\xa0")) != SIZE_MAX ||
                slice_find_slice(buf_slice(&b), S("\xe2\xa2")) != SIZE_MAX);
    buf_free(&b);
    assert_ok(plot_text(&plot, 1, 1, true, &b));
    assert_true(slice_has(buf_slice(&b), '\x1b'));
    buf_free(&b);
}

static void svg_escapes_names_and_breaks_lines_at_gaps(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_ok(plot_svg(&plot, &b));
    assert_true(slice_find_slice(buf_slice(&b), S("a&lt;b")) != SIZE_MAX);
    assert_true(slice_find_slice(buf_slice(&b), S("t &amp; u")) != SIZE_MAX);
    assert_true(slice_find_slice(buf_slice(&b), S("nan")) == SIZE_MAX);
    size_t paths = 0, at = 0;
    while ((at = slice_find_slice(slice_from(buf_slice(&b), at), S("stroke=\"#0b7285\""))) != SIZE_MAX && ++paths < 10)
        buf_eat(&b, at + 1), at = 0;
    assert_int_equal(paths, 2);
    buf_free(&b);
}

static void nothing_to_draw_is_no_error(void **state)
{
    (void)state;
    struct plot empty = {"none", "x", "y", NULL, 0, 0, 0, 0, 0};
    struct buf b = {0};
    assert_ok(plot_text(&empty, 40, 10, false, &b));
    assert_ok(plot_svg(&empty, &b));
    static const double one[] = {5};
    struct plot_series s = {"s", one, one, 1, PLOT_DOTS};
    empty.series = &s, empty.count = 1;
    assert_ok(plot_svg(&empty, &b));
    assert_true(slice_find_slice(buf_slice(&b), S("inf")) == SIZE_MAX);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_fills_the_size_asked_for),
        cmocka_unit_test(svg_escapes_names_and_breaks_lines_at_gaps),
        cmocka_unit_test(nothing_to_draw_is_no_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
