/* SPDX-License-Identifier: MIT */
#include "app/heartbeat/watch_view.h"
#include <stdio.h>

#include "unit.h"

static struct view v;

static void know(int listener, const char *id, enum beat_state state, int64_t since_ms, uint64_t lost)
{
    struct beat_row row = {.id = slice_z(id), .state = state, .since_ms = since_ms, .received = 100, .lost = lost};
    assert_ok(view_add(&v.from[listener], &row));
    if (listener >= v.listeners)
        v.listeners = listener + 1;
}

static void start(void)
{
    v = (struct view){.listeners = 1};
}

static void assert_names(const char *want)
{
    char got[256] = "";
    size_t n = 0;
    assert_ok(view_merge(&v));
    for (size_t i = 0; i < v.all.n; i++)
        n += (size_t)snprintf(got + n, sizeof got - n, "%s%.*s", i ? " " : "", (int)v.all.v[i].row.id.n, v.all.v[i].id);
    assert_string_equal(got, want);
}

static void trouble_comes_first(void **state)
{
    (void)state;
    start();
    know(0, "b", BEAT_UP, 10, 0);
    know(0, "c", BEAT_DOWN, 9000, 50);
    know(0, "a", BEAT_UP, 20, 9);
    know(0, "d", BEAT_STOPPED, 5, 0);
    know(0, "e", BEAT_LATE, 300, 1);
    assert_names("c e a b d");
    v.sort = VIEW_BY_NAME;
    assert_names("a b c d e");
    v.reverse = true;
    assert_names("e d c b a");
    v.reverse = false;
    v.sort = VIEW_BY_LOSS;
    assert_names("c a e b d");
    v.sort = VIEW_BY_SEEN;
    assert_names("c e a b d");
    v.dead_only = true;
    assert_names("c e");
    view_done(&v);
}

static void a_filter_ignores_case(void **state)
{
    (void)state;
    start();
    know(0, "Router-1", BEAT_UP, 1, 0);
    know(0, "switch-1", BEAT_UP, 1, 0);
    snprintf(v.filter, sizeof v.filter, "ROUTER");
    assert_names("Router-1");
    view_done(&v);
}

/* Three listeners; the majority is two. A sender that one of them does not see is late, not down. */
static void the_majority_decides(void **state)
{
    (void)state;
    start();
    know(0, "x", BEAT_DOWN, 9000, 0);
    know(1, "x", BEAT_UP, 10, 0);
    know(2, "x", BEAT_UP, 11, 0);
    know(0, "y", BEAT_DOWN, 9000, 0);
    know(1, "y", BEAT_DOWN, 8000, 0);
    know(2, "y", BEAT_UP, 5, 0);
    know(0, "z", BEAT_DOWN, 9000, 0); /* the others cannot be reached */
    v.sort = VIEW_BY_NAME;
    assert_names("x y z");
    assert_int_equal(v.all.v[0].row.state, BEAT_UP);
    assert_int_equal(v.all.v[1].row.state, BEAT_DOWN);
    assert_int_equal(v.all.v[1].dead, 2);
    assert_int_equal(v.all.v[2].row.state, BEAT_LATE);
    v.quorum = 1;
    assert_ok(view_merge(&v));
    assert_int_equal(v.all.v[0].row.state, BEAT_DOWN);
    view_done(&v);
}

static void frames(void **state)
{
    (void)state;
    start();
    char id[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(id, sizeof id, "n%03d", i);
        know(0, id, BEAT_UP, 1, 0);
    }
    know(0,
         "\xe2\x80\xae"
         "evil",
         BEAT_DOWN, 1, 0); /* a mark that would turn the line round */
    v.answered[0] = true;
    assert_ok(view_merge(&v));
    AUTO(buf_free) struct buf out = {0};
    assert_ok(view_frame(&v, "here", 24, 100, true, false, &out));
    int lines = 0;
    for (size_t i = 0; i + 1 < out.n; i++)
        lines += out.p[i] == '\r' && out.p[i + 1] == '\n';
    assert_int_equal(lines, 22); /* two of head, nineteen of rows, the caveat; the keys' line has no end */
    assert_true(slice_find_slice(buf_slice(&out), S("\\xE2\\x80\\xAEevil")) != SIZE_MAX ||
                slice_find_slice(buf_slice(&out), S("\\xe2\\x80\\xaeevil")) != SIZE_MAX);
    assert_true(slice_find_slice(buf_slice(&out), S("n000 ")) != SIZE_MAX);
    assert_int_equal(view_key(&v, ' ', 24), VIEW_GO_ON);
    out.n = 0;
    assert_ok(view_frame(&v, "here", 24, 100, true, false, &out));
    assert_true(slice_find_slice(buf_slice(&out), S("n000 ")) == SIZE_MAX);
    v.top = 100000; /* never past the end */
    assert_ok(view_frame(&v, "here", 24, 100, true, false, &out));
    assert_int_equal(v.top, 1001 - 19);
    assert_int_equal(view_key(&v, 'q', 24), VIEW_QUIT);
    view_done(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trouble_comes_first),
        cmocka_unit_test(a_filter_ignores_case),
        cmocka_unit_test(the_majority_decides),
        cmocka_unit_test(frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
