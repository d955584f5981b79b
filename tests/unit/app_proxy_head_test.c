/* SPDX-License-Identifier: MIT */
/* Forwarded and X-Forwarded-* (RFC 7239): who is believed, how addresses are written. */
#include "app/proxy/head.h"

#include "http/h1_format.h"
#include "http/h1_parse.h"
#include "unit.h"

static struct arena arena;

static struct http_fields forwarded(const char *fields, const char *peer, bool trusted, bool secure)
{
    static struct http_request q;
    struct http_fields out = {0};
    struct addr a;
    struct h1_parse p = {0};
    size_t used;
    struct slice text = arena_format(&arena, "GET / HTTP/1.1\r\nHost: h.test:8\r\n%s\r\n", fields);
    assert_ok(h1_parse_request(&p, text, &arena, &q, &used));
    assert_ok(peer[0] == '/' ? addr_unix(slice_z(peer), &a) : addr_parse(slice_z(peer), 9, &a));
    struct head_request h = {.in = &q, .host = S("h.test:8"), .forwarded = {true, trusted, &a, S("h.test:8"), secure}};
    assert_ok(head_to_origin(&h, &arena, &out));
    return out;
}

static void expect_line(const struct http_fields *f, enum http_field_id id, const char *want)
{
    assert_int_equal(fields_count(f, id), 1);
    struct slice got = fields_get(f, id);
    if (!slice_eq(got, slice_z(want)))
        fail_msg("'%.*s', not '%s'", SLICE_ARG(got), want);
}

static void a_stranger_is_not_believed(void **state)
{
    (void)state;
    struct http_fields f = forwarded("X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Forwarded-Host: evil\r\n"
                                     "X-Forwarded-Proto: https\r\nX-Forwarded-For: 7.7.7.7\r\n",
                                     "192.0.2.1", false, false);
    expect_line(&f, F_FORWARDED, "for=192.0.2.1;host=\"h.test:8\";proto=http");
    expect_line(&f, F_X_FORWARDED_FOR, "192.0.2.1");
    expect_line(&f, F_X_FORWARDED_HOST, "h.test:8");
    expect_line(&f, F_X_FORWARDED_PROTO, "http");
}

static void a_trusted_one_is_added_to(void **state)
{
    (void)state;
    struct http_fields f =
        forwarded("X-Forwarded-For: 6.6.6.6\r\nForwarded: for=\"[2001:db8::1]:5\"\r\nX-Forwarded-Host: outer.test\r\n"
                  "X-Forwarded-Proto: https\r\nX-Forwarded-For:\r\nX-Forwarded-For: 7.7.7.7\r\nForwarded: for=b\r\n",
                  "2001:db8::2", true, false);
    expect_line(&f, F_FORWARDED, "for=\"[2001:db8::1]:5\", for=b, for=\"[2001:db8::2]\";host=\"h.test:8\";proto=http");
    expect_line(&f, F_X_FORWARDED_FOR, "6.6.6.6, 7.7.7.7, 2001:db8::2");
    expect_line(&f, F_X_FORWARDED_HOST, "outer.test");
    expect_line(&f, F_X_FORWARDED_PROTO, "https");
    f = forwarded("", "2001:db8::2", true, true);
    expect_line(&f, F_X_FORWARDED_FOR, "2001:db8::2");
    expect_line(&f, F_X_FORWARDED_PROTO, "https");
}

static void how_addresses_are_written(void **state)
{
    (void)state;
    struct http_fields f = forwarded("", "::ffff:192.0.2.1", false, true);
    expect_line(&f, F_FORWARDED, "for=192.0.2.1;host=\"h.test:8\";proto=https");
    expect_line(&f, F_X_FORWARDED_FOR, "192.0.2.1");
    f = forwarded("", "/run/socket", false, false);
    expect_line(&f, F_FORWARDED, "for=unknown;host=\"h.test:8\";proto=http");
}

/* What is sent in one piece must be the lines as they are, whichever of ours stand among them. */
static void lines_of_our_own_are_whole(void **state)
{
    (void)state;
    char text[1024];
    struct http_fields f = forwarded("X-Forwarded-Host: outer.test\r\n", "192.0.2.1", true, false);
    char *end = h1_put_fields(text, f.v, f.n);
    struct slice want = S("Host: h.test:8\r\nX-Forwarded-Host: outer.test\r\nVia: 1.1 l7\r\n"
                          "Forwarded: for=192.0.2.1;host=\"h.test:8\";proto=http\r\n"
                          "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n");
    if (!slice_eq(slice_of(text, (size_t)(end - text)), want))
        fail_msg("'%.*s'", (int)(end - text), text);
}

static void what_is_owned_is_apart(void **state)
{
    (void)state;
    struct http_fields of_response = {0}, f;
    assert_true(fields_add_id(&arena, &of_response, F_TRAILER, S("A")));
    assert_true(fields_add_id(&arena, &of_response, F_SERVER, S("b")));
    f = of_response;
    assert_true(head_add_via(10, &arena, &f));
    assert_ok(head_own(&f, &arena));
    fields_remove(&f, F_TRAILER);
    expect_line(&f, F_SERVER, "b");
    expect_line(&f, F_VIA, "1.0 l7");
    assert_int_equal(of_response.n, 2);
    expect_line(&of_response, F_TRAILER, "A");
    expect_line(&of_response, F_SERVER, "b");
    assert_ptr_not_equal(fields_get(&f, F_SERVER).p, fields_get(&of_response, F_SERVER).p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stranger_is_not_believed), cmocka_unit_test(a_trusted_one_is_added_to),
        cmocka_unit_test(how_addresses_are_written), cmocka_unit_test(lines_of_our_own_are_whole),
        cmocka_unit_test(what_is_owned_is_apart)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_reset(&arena);
    return failed;
}
