/* SPDX-License-Identifier: MIT */
#include "http/byteranges.h"

#include <stdio.h>

#include "unit.h"

/* The ranges as text: "0-9 20-29", or "whole", or "416". */
static const char *ranges(const char *value, uint64_t size)
{
    static char out[512];
    struct range v[RANGE_MAX];
    int n;
    size_t at = 0;
    switch (range_parse(slice_z(value), size, v, &n)) {
    case RANGE_IGNORE:
        return "whole";
    case RANGE_UNSATISFIABLE:
        return "416";
    default:
        break;
    }
    for (int i = 0; i < n; i++)
        at += (size_t)snprintf(out + at, sizeof out - at, "%s%llu-%llu", i ? " " : "", (unsigned long long)v[i].first,
                               (unsigned long long)v[i].last);
    return out;
}

static void single_ones(void **state)
{
    (void)state;
    assert_string_equal(ranges("bytes=0-499", 10000), "0-499");
    assert_string_equal(ranges("BYTES=0-499", 10000), "0-499");
    assert_string_equal(ranges("bytes=9500-", 10000), "9500-9999");
    assert_string_equal(ranges("bytes=-500", 10000), "9500-9999");
    assert_string_equal(ranges("bytes=-99999", 10000), "0-9999");
    assert_string_equal(ranges("bytes=0-99999", 10000), "0-9999");
    assert_string_equal(ranges("bytes=0-99999999999999999999999", 10000), "0-9999");
    assert_string_equal(ranges("bytes=0-0", 1), "0-0");
    assert_string_equal(ranges("bytes= 1-2 ,\t4-5,", 10), "1-2 4-5");
}

static void not_satisfiable(void **state)
{
    (void)state;
    assert_string_equal(ranges("bytes=10000-", 10000), "416");
    assert_string_equal(ranges("bytes=-0", 10000), "416");
    assert_string_equal(ranges("bytes=0-", 0), "416");
    assert_string_equal(ranges("bytes=-5", 0), "416");
    assert_string_equal(ranges("bytes=20-30,-0", 10), "416");
    assert_string_equal(ranges("bytes=99999999999999999999999-", 10), "416");
    assert_string_equal(ranges("bytes=20-30,1-2", 10), "1-2");
}

static void ignored(void **state)
{
    (void)state;
    static const char *const bad[] = {"",           "bytes",      "bytes=",    "bytes=,",     "lines=1-2",
                                      "bytes=a-b",  "bytes=5-4",  "bytes=1",   "bytes=--1",   "bytes=1-2-3",
                                      "bytes=1 -2", "bytes=+1-2", "bytes:1-2", "bytes=1-2,x", "bytes = 1-2"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_string_equal(ranges(bad[i], 100), "whole");
}

static void several_and_abuse(void **state)
{
    (void)state;
    assert_string_equal(ranges("bytes=0-0,2-2,4-4", 10), "0-0 2-2 4-4");
    assert_string_equal(ranges("bytes=0-3,2-6", 10), "0-6");
    assert_string_equal(ranges("bytes=0-3,4-6", 10), "0-6");
    assert_string_equal(ranges("bytes=4-6,0-3", 10), "4-6 0-3");
    assert_string_equal(ranges("bytes=0-,0-,0-", 10), "0-9");
    assert_string_equal(ranges("bytes=0-,0-,0-,0-", 10), "whole");
    char many[1024] = "bytes=";
    for (int i = 0; i < RANGE_MAX + 1; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "%d-%d,", i * 10, i * 10);
    assert_string_equal(ranges(many, 10000), "whole");
}

static void content_ranges(void **state)
{
    (void)state;
    struct content_range r;
    assert_true(range_content_parse(S("bytes 5-9/10"), &r));
    assert_true(r.first == 5 && r.last == 9 && r.total == 10);
    assert_true(range_content_parse(S("bytes 5-9/*"), &r) && r.total == UINT64_MAX);
    assert_true(range_content_parse(S("bytes */10"), &r) && r.first > r.last && r.total == 10);
    assert_false(range_content_parse(S("bytes 5-10/10"), &r));
    assert_false(range_content_parse(S("bytes 9-5/10"), &r));
    assert_false(range_content_parse(S("bytes */*"), &r));
    assert_false(range_content_parse(S("items 0-1/2"), &r));
    assert_false(range_content_parse(S(""), &r));
    assert_false(range_content_parse(S("bytes 5-9"), &r));
    assert_false(range_content_parse(S("bytes=5-9/10"), &r));
    assert_false(range_content_parse(S("bytes 5-/10"), &r) || range_content_parse(S("bytes -9/10"), &r));
    assert_false(range_content_parse(S("bytes 5-9/18446744073709551616"), &r));
    assert_true(r.first > r.last && r.total == 10); /* untouched */
}

static void parts(void **state)
{
    (void)state;
    static const struct range v[] = {{0, 1}, {7, 9}};
    struct arena a = {0};
    struct byteranges b;
    assert_ok(byteranges_make(&a, slice_z("text/plain"), 10, v, 2, 0xabc, &b));
    assert_slice(b.type, "multipart/byteranges; boundary=0000000000000abc");
    assert_slice(b.heads[0], "--0000000000000abc\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n");
    assert_slice(b.heads[1],
                 "\r\n--0000000000000abc\r\nContent-Type: text/plain\r\nContent-Range: bytes 7-9/10\r\n\r\n");
    assert_slice(b.heads[2], "\r\n--0000000000000abc--\r\n");
    assert_int_equal(b.length, b.heads[0].n + 2 + b.heads[1].n + 3 + b.heads[2].n);
    assert_ok(byteranges_make(&a, SLICE_NONE, 10, v, 1, 0xabc, &b));
    assert_slice(b.heads[0], "--0000000000000abc\r\nContent-Range: bytes 0-1/10\r\n\r\n");
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_ones),       cmocka_unit_test(not_satisfiable), cmocka_unit_test(ignored),
        cmocka_unit_test(several_and_abuse), cmocka_unit_test(content_ranges),  cmocka_unit_test(parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
