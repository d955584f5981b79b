/* SPDX-License-Identifier: MIT */
#include "http/cond.h"

#include "http/fields.h"
#include "unit.h"

enum { T = 784111777 }; /* Sun, 06 Nov 1994 08:49:37 GMT */
#define AT     "Sun, 06 Nov 1994 08:49:37 GMT"
#define LATER  "Sun, 06 Nov 1994 08:49:38 GMT"
#define SOONER "Sun, 06 Nov 1994 08:49:36 GMT"

static const struct cond_resource strong = {true, {"\"a,b\"", 5}, true, T}, weak = {true, {"W/\"x\"", 5}, true, T},
                                  none = {false, {NULL, 0}, false, 0};

/* Fields as name, value pairs, ended by NULL. */
#define FIELDS(...) fields_of((const char *const[]){__VA_ARGS__, NULL})
static const struct http_fields *fields_of(const char *const *z)
{
    static struct http_field v[8];
    static struct http_fields f;
    f = (struct http_fields){.v = v, .cap = 8};
    for (; *z; z += 2)
        assert_true(fields_push(&f, slice_z(z[0]), slice_z(z[1])));
    return &f;
}

static enum cond_result check(const struct http_fields *f, enum http_method m, const struct cond_resource *r)
{
    return cond_check(f, m, r, T + 1000);
}

static void if_none_match(void **state)
{
    (void)state;
    assert_int_equal(check(FIELDS("If-None-Match", "\"a,b\""), M_GET, &strong), COND_NOT_MODIFIED);
    assert_int_equal(check(FIELDS("If-None-Match", "\"z\", W/\"a,b\""), M_HEAD, &strong), COND_NOT_MODIFIED);
    assert_int_equal(check(FIELDS("If-None-Match", "\"z\"", "If-None-Match", "\"x\""), M_GET, &weak),
                     COND_NOT_MODIFIED);
    assert_int_equal(check(FIELDS("If-None-Match", "\"a,b\""), M_PUT, &strong), COND_FAILED);
    assert_int_equal(check(FIELDS("If-None-Match", "*"), M_GET, &strong), COND_NOT_MODIFIED);
    assert_int_equal(check(FIELDS("If-None-Match", "*"), M_GET, &none), COND_GO_ON);
    assert_int_equal(check(FIELDS("If-None-Match", "\"a\""), M_GET, &strong), COND_GO_ON);
    assert_int_equal(check(FIELDS("If-None-Match", "a,b"), M_GET, &strong), COND_GO_ON);
    assert_int_equal(check(FIELDS("If-None-Match", "\"a,b"), M_GET, &strong), COND_GO_ON);
}

static void if_match(void **state)
{
    (void)state;
    assert_int_equal(check(FIELDS("If-Match", "\"x\", \"a,b\""), M_GET, &strong), COND_GO_ON);
    assert_int_equal(check(FIELDS("If-Match", "W/\"a,b\""), M_GET, &strong), COND_FAILED);
    assert_int_equal(check(FIELDS("If-Match", "W/\"x\""), M_GET, &weak), COND_FAILED);
    assert_int_equal(check(FIELDS("If-Match", "*"), M_GET, &strong), COND_GO_ON);
    assert_int_equal(check(FIELDS("If-Match", "*"), M_GET, &none), COND_FAILED);
}

static void dates(void **state)
{
    (void)state;
    assert_int_equal(check(FIELDS("If-Modified-Since", AT), M_GET, &strong), COND_NOT_MODIFIED);
    assert_int_equal(check(FIELDS("If-Modified-Since", LATER), M_GET, &strong), COND_NOT_MODIFIED);
    assert_int_equal(check(FIELDS("If-Modified-Since", SOONER), M_GET, &strong), COND_GO_ON);
    assert_int_equal(check(FIELDS("If-Modified-Since", AT), M_POST, &strong), COND_GO_ON);
    assert_int_equal(check(FIELDS("If-Modified-Since", "yesterday"), M_GET, &strong), COND_GO_ON);
    assert_int_equal(check(FIELDS("If-Modified-Since", AT, "If-Modified-Since", AT), M_GET, &strong), COND_GO_ON);
    assert_int_equal(check(FIELDS("If-Unmodified-Since", AT), M_GET, &strong), COND_GO_ON);
    assert_int_equal(check(FIELDS("If-Unmodified-Since", SOONER), M_GET, &strong), COND_FAILED);
    assert_int_equal(check(FIELDS("If-Unmodified-Since", "Sunday, 06-Nov-94 08:49:36 GMT"), M_GET, &strong),
                     COND_FAILED);
}

static void precedence(void **state)
{
    (void)state;
    /* Tags go before dates on both sides (section 13.2.2). */
    assert_int_equal(check(FIELDS("If-None-Match", "\"z\"", "If-Modified-Since", LATER), M_GET, &strong), COND_GO_ON);
    assert_int_equal(check(FIELDS("If-Match", "\"a,b\"", "If-Unmodified-Since", SOONER), M_GET, &strong), COND_GO_ON);
    assert_int_equal(check(FIELDS("If-None-Match", "\"a,b\"", "If-Match", "\"z\""), M_GET, &strong), COND_FAILED);
    assert_int_equal(check(FIELDS("If-Match", "\"a,b\"", "If-None-Match", "\"a,b\""), M_GET, &strong),
                     COND_NOT_MODIFIED);
}

static bool range_allowed(const char *value, const struct cond_resource *r, int64_t now_s)
{
    return cond_range_allowed(FIELDS("If-Range", value), r, now_s);
}

static void if_range(void **state)
{
    (void)state;
    assert_true(cond_range_allowed(FIELDS("Host", "h"), &strong, T + 10));
    assert_true(range_allowed("\"a,b\"", &strong, T + 10));
    assert_false(range_allowed("W/\"a,b\"", &strong, T + 10));
    assert_false(range_allowed("W/\"x\"", &weak, T + 10));
    assert_false(range_allowed("\"z\"", &strong, T + 10));
    assert_true(range_allowed(AT, &strong, T + 10));
    assert_false(range_allowed(LATER, &strong, T + 10));
    assert_false(range_allowed(AT, &strong, T)); /* changed just now: no strong validator */
    assert_false(range_allowed("nonsense", &strong, T + 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(if_none_match), cmocka_unit_test(if_match), cmocka_unit_test(dates),
        cmocka_unit_test(precedence),    cmocka_unit_test(if_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
