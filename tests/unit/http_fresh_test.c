/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "base/clock.h"
#include "http/fields.h"
#include "http/fresh.h"

#define NOW INT64_C(1700000000) /* Tue, 14 Nov 2023 22:13:20 GMT */

static struct http_field room[16];

/* "Name: value\nName: value" */
static struct http_fields fields(const char *text)
{
    struct http_fields f = {.v = room, .cap = 16};
    struct slice rest = slice_z(text), line;
    while (slice_cut(&rest, '\n', &line)) {
        size_t colon = slice_find(line, ':', 0);
        assert_true(fields_push(&f, slice_first(line, colon), slice_trim(slice_from(line, colon + 1))));
    }
    return f;
}

static struct fresh_info compute(const char *text, int64_t delay_ns)
{
    struct http_fields f = fields(text);
    struct fresh_rules rules;
    struct fresh_info info;
    fresh_rules_of(&rules, &f, NULL, 0);
    fresh_compute(&info, 200, &f, &rules, NOW * TICK_S - delay_ns, NOW * TICK_S);
    return info;
}

static void lifetimes(void **state)
{
    (void)state;
#define DATE "Date: Tue, 14 Nov 2023 22:13:20 GMT\n"
    static const struct {
        const char *text;
        int64_t lifetime;
    } rows[] = {
        {"Cache-Control: max-age=60", 60},
        {"Cache-Control: max-age=60, s-maxage=5", 5},
        {"Cache-Control: max-age=60\nExpires: 0", 60},
        {DATE "Expires: Tue, 14 Nov 2023 22:14:20 GMT", 60},
        {DATE "Expires: tue, 14 nov 2023 22:14:20 gmt", 60},
        {DATE "Expires: Tue, 14 Nov 2023 22:14:20 UTC", 0},
        {DATE "Expires: 0", 0},
        {DATE "Expires: Tue, 14 Nov 2023 22:14:20 GMT\nExpires: 0", 0},
        {DATE "Expires: Tue, 14 Nov 2023 22:12:20 GMT", 0},
        {DATE "Last-Modified: Tue, 14 Nov 2023 22:13:10 GMT", 1},
        {DATE "Last-Modified: Tue, 14 Nov 2000 22:13:10 GMT", 86400},
        {DATE "Last-Modified: Tue, 14 Nov 2023 22:13:10 GMT\nSet-Cookie: a=b", 0},
        {DATE "ETag: \"a\"", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (compute(rows[i].text, 0).lifetime != rows[i].lifetime)
            fail_msg("%s: %lld", rows[i].text, (long long)compute(rows[i].text, 0).lifetime);
}

static void ages(void **state)
{
    (void)state;
    int64_t now = NOW * TICK_S;
    struct fresh_info i = compute(DATE "Age: 10", 0);
    assert_int_equal(fresh_age(&i, now), 10);
    assert_int_equal(fresh_age(&i, now + 1500 * TICK_MS), 11);
    i = compute(DATE "Age: 10", 2 * TICK_S); /* relative to when the request left */
    assert_int_equal(fresh_age(&i, now), 12);
    i = compute("Date: Tue, 14 Nov 2023 22:13:00 GMT\nAge: 10", 0); /* apparent age 20 */
    assert_int_equal(fresh_age(&i, now), 20);
    i = compute("Date: Tue, 14 Nov 2023 22:14:00 GMT", 0); /* a date in the future */
    assert_int_equal(fresh_age(&i, now), 0);
    i = compute(DATE "Age: 99999999999999999999", 0);
    assert_int_equal(fresh_age(&i, now), CC_SECONDS_MAX);
    assert_int_equal(fresh_age(&i, now + 100 * TICK_S), CC_SECONDS_MAX);
    i = compute(DATE "Age: 7200, 0", 0);
    assert_int_equal(fresh_age(&i, now), 7200);
    i = compute(DATE "Age: abc", 0);
    assert_int_equal(fresh_age(&i, now), 0);
    i = compute(DATE, 0);
    assert_int_equal(fresh_age(&i, now - 100 * TICK_S), 0); /* the clock was set back */
}

static enum fresh_use judge(const char *response, const char *request, int64_t seconds_later)
{
    struct fresh_info i = compute(response, 0);
    struct http_fields f = fields(request);
    struct fresh_request r;
    fresh_request_of(&r, M_GET, &f);
    return fresh_judge(&i, &r, (NOW + seconds_later) * TICK_S).use;
}

static void verdicts(void **state)
{
    (void)state;
    static const struct {
        const char *response, *request;
        int64_t later;
        enum fresh_use use;
    } rows[] = {
        {"Cache-Control: max-age=60", "", 59, FRESH_SERVE},
        {"Cache-Control: max-age=60", "", 60, FRESH_VALIDATE},
        {"Cache-Control: max-age=60, no-cache", "", 0, FRESH_VALIDATE},
        {"Cache-Control: max-age=60", "Cache-Control: no-cache", 0, FRESH_VALIDATE},
        {"Cache-Control: max-age=60", "Pragma: no-cache", 0, FRESH_VALIDATE},
        {"Cache-Control: max-age=60", "Pragma: no-cache\nCache-Control: max-age=9", 0, FRESH_SERVE},
        {"Cache-Control: max-age=60", "Cache-Control: max-age=0", 0, FRESH_VALIDATE},
        {"Cache-Control: max-age=60, immutable", "Cache-Control: max-age=0", 5, FRESH_SERVE},
        {"Cache-Control: max-age=60, immutable", "Cache-Control: no-cache", 5, FRESH_VALIDATE},
        {"Cache-Control: max-age=60, immutable", "Cache-Control: max-age=0", 60, FRESH_VALIDATE},
        {"Cache-Control: max-age=60", "Cache-Control: max-age=10", 10, FRESH_SERVE},
        {"Cache-Control: max-age=60", "Cache-Control: max-age=10", 11, FRESH_VALIDATE},
        {"Cache-Control: max-age=60", "Cache-Control: min-fresh=10", 50, FRESH_SERVE},
        {"Cache-Control: max-age=60", "Cache-Control: min-fresh=10", 51, FRESH_VALIDATE},
        {"Cache-Control: max-age=60", "Cache-Control: max-stale=10", 70, FRESH_SERVE},
        {"Cache-Control: max-age=60", "Cache-Control: max-stale=10", 71, FRESH_VALIDATE},
        {"Cache-Control: max-age=60", "Cache-Control: max-stale", 100000, FRESH_SERVE},
        {"Cache-Control: max-age=60, must-revalidate", "Cache-Control: max-stale", 61, FRESH_VALIDATE},
        {"Cache-Control: max-age=60, proxy-revalidate", "Cache-Control: max-stale", 61, FRESH_VALIDATE},
        {"Cache-Control: s-maxage=60", "Cache-Control: max-stale", 61, FRESH_VALIDATE},
        {"Cache-Control: max-age=60, stale-while-revalidate=10", "", 70, FRESH_SERVE_SWR},
        {"Cache-Control: max-age=60, stale-while-revalidate=10", "", 71, FRESH_VALIDATE},
        {"Cache-Control: max-age=60, stale-while-revalidate=10, must-revalidate", "", 61, FRESH_VALIDATE},
        {"Cache-Control: s-maxage=60, stale-while-revalidate=10", "", 61, FRESH_VALIDATE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (judge(rows[i].response, rows[i].request, rows[i].later) != rows[i].use)
            fail_msg("row %zu: %s | %s", i, rows[i].response, rows[i].request);
}

static bool on_error(const char *response, const char *request, uint16_t status, int64_t later)
{
    struct fresh_info i = compute(response, 0);
    struct http_fields f = fields(request);
    struct fresh_request r;
    fresh_request_of(&r, M_GET, &f);
    return fresh_stale_on_error(&i, &r, status, (NOW + later) * TICK_S);
}

static void stale_when_the_origin_fails(void **state)
{
    (void)state;
    assert_true(on_error("Cache-Control: max-age=1", "", 0, 100));
    assert_false(on_error("Cache-Control: max-age=1", "", 503, 100));
    assert_true(on_error("Cache-Control: max-age=1, stale-if-error=60", "", 503, 61));
    assert_false(on_error("Cache-Control: max-age=1, stale-if-error=60", "", 503, 62));
    assert_false(on_error("Cache-Control: max-age=1, stale-if-error=60", "", 0, 62));
    assert_false(on_error("Cache-Control: max-age=1, stale-if-error=60", "", 404, 2));
    assert_true(on_error("Cache-Control: max-age=1", "Cache-Control: stale-if-error=60", 500, 61));
    assert_false(on_error("Cache-Control: max-age=1, must-revalidate, stale-if-error=60", "", 0, 2));
    assert_false(on_error("Cache-Control: s-maxage=1, stale-if-error=60", "", 503, 2));
    assert_false(on_error("Cache-Control: no-cache, stale-if-error=60", "", 0, 0));
    assert_false(on_error("Cache-Control: max-age=1", "Cache-Control: no-cache", 0, 2));
}

static bool storable(uint16_t status, const char *response, const char *request, enum http_method method)
{
    struct http_fields f = fields(response);
    struct fresh_rules rules;
    struct fresh_info info;
    struct fresh_request r;
    fresh_rules_of(&rules, &f, NULL, 0);
    fresh_compute(&info, status, &f, &rules, NOW * TICK_S, NOW * TICK_S);
    struct http_field more[4];
    struct http_fields q = {.v = more, .cap = 4};
    struct slice all = slice_z(request);
    size_t colon = slice_find(all, ':', 0);
    if (all.n)
        assert_true(fields_push(&q, slice_first(all, colon), slice_trim(slice_from(all, colon + 1))));
    fresh_request_of(&r, method, &q);
    return !fresh_unstorable(&r, status, &f, &rules, &info);
}

static void storing(void **state)
{
    (void)state;
    assert_true(storable(200, "Cache-Control: max-age=60", "", M_GET));
    assert_true(storable(299, "Cache-Control: max-age=60", "", M_GET));
    assert_true(storable(599, "Cache-Control: max-age=60", "", M_GET));
    assert_false(storable(302, "Last-Modified: Tue, 14 Nov 2000 22:13:10 GMT", "", M_GET));
    assert_true(storable(404, "Last-Modified: Tue, 14 Nov 2000 22:13:10 GMT", "", M_GET));
    assert_true(storable(302, "Cache-Control: public\nETag: \"a\"", "", M_GET));
    assert_false(storable(200, "Content-Type: text/plain", "", M_GET));
    assert_true(storable(200, "ETag: \"a\"", "", M_GET));
    assert_true(storable(200, "Cache-Control: no-cache\nETag: \"a\"", "", M_GET));
    assert_false(storable(200, "Cache-Control: max-age=60, no-store", "", M_GET));
    assert_true(storable(200, "Cache-Control: max-age=60, no-store, must-understand", "", M_GET));
    assert_false(storable(299, "Cache-Control: max-age=60, must-understand", "", M_GET));
    assert_false(storable(200, "Cache-Control: max-age=60, private", "", M_GET));
    assert_true(storable(200, "Cache-Control: max-age=60, private=\"x\"", "", M_GET));
    assert_false(storable(200, "Cache-Control: max-age=60\nVary: *", "", M_GET));
    assert_false(storable(200, "Cache-Control: max-age=60", "Authorization: x", M_GET));
    assert_true(storable(200, "Cache-Control: max-age=60, public", "Authorization: x", M_GET));
    assert_true(storable(200, "Cache-Control: max-age=60, must-revalidate", "Authorization: x", M_GET));
    assert_true(storable(200, "Cache-Control: s-maxage=60", "Authorization: x", M_GET));
    assert_false(storable(200, "Cache-Control: max-age=60", "Cache-Control: no-store", M_GET));
    assert_false(storable(304, "Cache-Control: max-age=60", "", M_GET));
    assert_false(storable(206, "Cache-Control: max-age=60", "", M_GET));
    assert_true(storable(206, "Cache-Control: max-age=60", "Range: bytes=0-1", M_GET));
    assert_false(storable(416, "Cache-Control: max-age=60", "Range: bytes=9-", M_GET));
    assert_false(storable(200, "Cache-Control: max-age=60", "", M_PUT));
    assert_true(storable(200, "Cache-Control: max-age=60", "", M_POST));
    assert_false(storable(200, "ETag: \"a\"", "", M_POST));
    assert_false(storable(103, "Cache-Control: max-age=60", "", M_GET));
}

static void targets_come_first(void **state)
{
    (void)state;
    struct http_fields f = fields("Cache-Control: no-store\nCDN-Cache-Control: max-age=60\nExpires: 0");
    const struct slice targets[] = {S("L7-Cache-Control"), S("CDN-Cache-Control")};
    struct fresh_rules rules;
    fresh_rules_of(&rules, &f, targets, 2);
    assert_true(rules.targeted);
    assert_int_equal(rules.cc.max_age, 60);
    assert_int_equal(rules.cc.has & CC_NO_STORE, 0);
    f = fields("Cache-Control: no-store\nCDN-Cache-Control: max-age=60, &");
    fresh_rules_of(&rules, &f, targets, 2);
    assert_false(rules.targeted);
    assert_true(rules.cc.has & CC_NO_STORE);
    f = fields("CDN-Cache-Control: max-age=60\nCDN-Cache-Control: no-cache=\"x-zz\"");
    fresh_rules_of(&rules, &f, targets, 2);
    assert_slice(rules.cc.strip[0], "x-zz");
    assert_true(rules.cc.strip[0].p > f.v[1].value.p); /* borrowed from the field itself */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lifetimes), cmocka_unit_test(ages),
        cmocka_unit_test(verdicts),  cmocka_unit_test(stale_when_the_origin_fails),
        cmocka_unit_test(storing),   cmocka_unit_test(targets_come_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
