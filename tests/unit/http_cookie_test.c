/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <stdio.h>

#include "http/cookie.h"

enum { NOW = 1700000000 };

static const char *header_at(struct cookie_jar *jar, const char *host, const char *path, bool secure, int64_t now)
{
    static char out[512];
    struct buf b = {0};
    struct cookie_origin to = {slice_z(host), slice_z(path), secure};
    assert_ok(cookie_jar_header(jar, &to, now, &b));
    assert_true(slice_to_z(buf_slice(&b), out, sizeof out));
    buf_free(&b);
    return out;
}
static const char *header(struct cookie_jar *jar, const char *host, const char *path, bool secure)
{
    return header_at(jar, host, path, secure, NOW);
}
static err_t set(struct cookie_jar *jar, const char *host, const char *path, bool secure, const char *line)
{
    struct cookie_origin from = {slice_z(host), slice_z(path), secure};
    return cookie_jar_set(jar, &from, slice_z(line), NOW);
}

static void dates_are_read_loosely(void **state)
{
    (void)state;
    int64_t t = 0;
    assert_true(cookie_date(S("Wed, 09 Jun 2021 10:18:14 GMT"), &t));
    assert_int_equal(t, 1623233894);
    assert_true(cookie_date(S("Wednesday, 09-Jun-21 10:18:14 GMT"), &t));
    assert_int_equal(t, 1623233894);
    assert_true(cookie_date(S("Wed Jun  9 10:18:14 2021"), &t));
    assert_int_equal(t, 1623233894);
    assert_true(cookie_date(S("1 jan 70 0:0:1"), &t));
    assert_int_equal(t, 1);
    assert_false(cookie_date(S("Wed, 32 Jun 2021 10:18:14 GMT"), &t));
    assert_false(cookie_date(S("Wed, 09 Jun 2021 25:18:14 GMT"), &t));
    assert_false(cookie_date(S("Wed, 09 Jun 1500 10:18:14 GMT"), &t));
    assert_false(cookie_date(S("tomorrow"), &t));
}

static void lines_keep_what_matters(void **state)
{
    (void)state;
    struct cookie_line c;
    assert_true(
        cookie_parse(S(" a = b=c ; Path=/x; Domain=.Example.org; Secure; HttpOnly; Max-Age=10; Expires=x"), NOW, &c));
    assert_slice(c.name, "a");
    assert_slice(c.value, "b=c");
    assert_slice(c.path, "/x");
    assert_slice(c.domain, "Example.org");
    assert_true(c.secure && c.http_only);
    assert_int_equal(c.expires, NOW + 10);
    assert_true(cookie_parse(S("a=\"q\"; Max-Age=-1"), NOW, &c));
    assert_slice(c.value, "\"q\"");
    assert_int_equal(c.expires, 0);
    assert_true(cookie_parse(S("a=; Max-Age=99999999999999999999"), NOW, &c));
    assert_int_equal(c.expires, NOW + COOKIE_AGE_MAX);
    assert_true(cookie_parse(S("a=b; Max-Age=1x; path=relative"), NOW, &c));
    assert_true(c.expires == COOKIE_SESSION && c.path.n == 0);
    assert_false(cookie_parse(S("=b"), NOW, &c));
    assert_false(cookie_parse(S("b"), NOW, &c));
    assert_false(cookie_parse(S("a=b\nc"), NOW, &c));
}

static void sent_only_where_they_belong(void **state)
{
    (void)state;
    struct cookie_jar jar;
    cookie_jar_init(&jar);
    assert_ok(set(&jar, "www.example.org", "/dir/page", false, "a=1"));
    assert_ok(set(&jar, "www.example.org", "/", false, "b=2; Domain=example.org"));
    assert_ok(set(&jar, "www.example.org", "/", true, "s=3; Secure"));
    assert_string_equal(header(&jar, "www.example.org", "/dir/other", false), "a=1; b=2");
    assert_string_equal(header(&jar, "www.example.org", "/dirty", false), "b=2");
    assert_string_equal(header(&jar, "www.example.org", "/dir", true), "a=1; b=2; s=3");
    assert_string_equal(header(&jar, "mail.example.org", "/", true), "b=2");
    assert_string_equal(header(&jar, "badexample.org", "/", true), "");
    assert_string_equal(header(&jar, "example.org.evil.net", "/", true), "");
    cookie_jar_done(&jar);
}

static void others_domains_are_refused(void **state)
{
    (void)state;
    struct cookie_jar jar;
    cookie_jar_init(&jar);
    assert_err(set(&jar, "www.example.org", "/", true, "a=1; Domain=example.net"), E_FORBIDDEN);
    assert_err(set(&jar, "www.example.co.uk", "/", true, "a=1; Domain=co.uk"), E_FORBIDDEN);
    assert_err(set(&jar, "example.org", "/", true, "a=1; Domain=sub.example.org"), E_FORBIDDEN);
    assert_err(set(&jar, "10.0.0.1", "/", true, "a=1; Domain=0.0.1"), E_FORBIDDEN);
    assert_err(set(&jar, "example.org", "/", true, "__Host-a=1; Secure; Path=/; Domain=example.org"), E_FORBIDDEN);
    assert_err(set(&jar, "example.org", "/", true, "__Host-a=1; Secure"), E_FORBIDDEN);
    assert_err(set(&jar, "example.org", "/", false, "__secure-a=1; Secure"), E_FORBIDDEN);
    assert_err(set(&jar, "example.org", "/", false, "a=1; Secure"), E_FORBIDDEN);
    assert_int_equal(jar.count, 0);
    assert_ok(set(&jar, "example.org", "/", true, "__Host-a=1; Secure; Path=/"));
    assert_ok(set(&jar, "10.0.0.1", "/", true, "a=1; Domain=10.0.0.1"));
    assert_ok(set(&jar, "co.uk", "/", true, "a=1; Domain=co.uk"));
    assert_string_equal(header(&jar, "www.co.uk", "/", true), "");
    cookie_jar_done(&jar);
}

static void insecure_origins_cannot_shadow_secure_cookies(void **state)
{
    (void)state;
    struct cookie_jar jar;
    cookie_jar_init(&jar);
    assert_ok(set(&jar, "www.example.org", "/", true, "sid=good; Secure; Domain=example.org"));
    assert_err(set(&jar, "www.example.org", "/", false, "sid=evil"), E_FORBIDDEN);
    assert_err(set(&jar, "www.example.org", "/", false, "sid=evil; Domain=example.org"), E_FORBIDDEN);
    assert_string_equal(header(&jar, "www.example.org", "/", true), "sid=good");
    cookie_jar_done(&jar);
}

static void replacing_expiring_deleting(void **state)
{
    (void)state;
    struct cookie_jar jar;
    cookie_jar_init(&jar);
    assert_ok(set(&jar, "h.org", "/", false, "a=1; Max-Age=5"));
    assert_ok(set(&jar, "h.org", "/", false, "b=2"));
    assert_ok(set(&jar, "h.org", "/", false, "a=3; Max-Age=5"));
    assert_string_equal(header(&jar, "h.org", "/", false), "a=3; b=2");
    assert_string_equal(header_at(&jar, "h.org", "/", false, NOW + 5), "b=2");
    assert_ok(set(&jar, "h.org", "/", false, "b=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"));
    assert_string_equal(header(&jar, "h.org", "/", false), "");
    assert_int_equal(jar.count, 0);
    cookie_jar_done(&jar);
}

static void a_jar_is_bounded(void **state)
{
    (void)state;
    struct cookie_jar jar;
    cookie_jar_init(&jar);
    for (int i = 0; i < COOKIE_DOMAIN_MAX + 20; i++) {
        char line[32];
        snprintf(line, sizeof line, "c%d=1", i);
        assert_ok(set(&jar, "h.org", "/", false, line));
    }
    assert_int_equal(jar.count, COOKIE_DOMAIN_MAX);
    cookie_jar_done(&jar);
}

static void files_come_back_as_they_were(void **state)
{
    (void)state;
    struct cookie_jar jar, again;
    struct buf b = {0};
    cookie_jar_init(&jar), cookie_jar_init(&again);
    assert_ok(cookie_jar_load(&jar,
                              S("# Netscape HTTP Cookie File\n\n"
                                ".example.org\tTRUE\t/\tFALSE\t4000000000\ta\t1\r\n"
                                "#HttpOnly_www.example.org\tFALSE\t/x\tTRUE\t0\tb\t\n"
                                "old.example.org\tFALSE\t/\tFALSE\t1000\tc\tgone\n"),
                              NOW));
    assert_int_equal(jar.count, 2);
    assert_ok(cookie_jar_save(&jar, &b, NOW));
    assert_true(slice_find_slice(buf_slice(&b), S("\n.example.org\tTRUE\t/\tFALSE\t4000000000\ta\t1\n")) != SIZE_MAX);
    assert_true(slice_find_slice(buf_slice(&b), S("\n#HttpOnly_www.example.org\tFALSE\t/x\tTRUE\t0\tb\t\n")) !=
                SIZE_MAX);
    assert_ok(cookie_jar_load(&again, buf_slice(&b), NOW));
    assert_string_equal(header(&again, "www.example.org", "/x", true), "b=; a=1");
    cookie_jar_end_session(&again);
    assert_string_equal(header(&again, "www.example.org", "/x", true), "a=1");
    assert_err(cookie_jar_load(&again, S("# ok\nnot a cookie\n"), NOW), E_DATA);
    assert_non_null(strstr(fault_detail(), "line 2"));
    buf_free(&b), cookie_jar_done(&jar), cookie_jar_done(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_read_loosely),
        cmocka_unit_test(lines_keep_what_matters),
        cmocka_unit_test(sent_only_where_they_belong),
        cmocka_unit_test(others_domains_are_refused),
        cmocka_unit_test(insecure_origins_cannot_shadow_secure_cookies),
        cmocka_unit_test(replacing_expiring_deleting),
        cmocka_unit_test(a_jar_is_bounded),
        cmocka_unit_test(files_come_back_as_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
