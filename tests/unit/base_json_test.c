/* SPDX-License-Identifier: MIT */
#include "base/json.h"

/* jansson makes values by three of the names that our writer has. */
#define json_string other_json_string
#define json_real   other_json_real
#define json_null   other_json_null
#include <jansson.h>
#undef json_string
#undef json_real
#undef json_null
#include <math.h>

#include "unit.h"

static void a_line(void **state)
{
    (void)state;
    struct buf b = {0};
    struct json j = json_start(&b);
    json_open(&j, '{');
    json_key(&j, "seq"), json_int(&j, -7);
    json_key(&j, "big"), json_uint(&j, UINT64_MAX);
    json_key(&j, "list"), json_open(&j, '[');
    json_bool(&j, true), json_null(&j), json_real(&j, 1.25, 3), json_real(&j, NAN, 3), json_digits(&j, 1.5e-12, 6);
    json_open(&j, '['), json_close(&j, ']');
    json_close(&j, ']');
    json_key_slice(&j, S("a\"b")), json_string(&j, S("x"));
    json_close(&j, '}');
    assert_ok(json_end_line(&j));
    assert_slice(buf_slice(&b), "{\"seq\":-7,\"big\":18446744073709551615,\"list\":[true,null,1.250,null,1.5e-12,[]],"
                                "\"a\\\"b\":\"x\"}\n");
    buf_free(&b);
}

/* Whatever the bytes, another parser must read them back: bad UTF-8 as U+FFFD, everything else as it was. */
static void strings_survive(void **state)
{
    (void)state;
    static const struct {
        struct slice in, out;
    } rows[] = {{{"plain", 5}, {"plain", 5}},
                {{"\0\x01\x1f\x7f\"\\/\n\r\t\b\f", 12}, {"\0\x01\x1f\x7f\"\\/\n\r\t\b\f", 12}},
                {{"\xe4\xb8\xad\xf0\x9f\x98\x80", 7}, {"\xe4\xb8\xad\xf0\x9f\x98\x80", 7}},
                {{"a\xff"
                  "b",
                  3},
                 {"a\xef\xbf\xbd"
                  "b",
                  5}},
                {{"\xed\xa0\x80", 3}, {"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", 9}},
                {{"\xc3", 1}, {"\xef\xbf\xbd", 3}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf b = {0};
        struct json j = json_start(&b);
        json_open(&j, '['), json_string(&j, rows[i].in), json_close(&j, ']');
        assert_ok(json_end_line(&j));
        json_t *read = json_loadb(b.p, b.n, JSON_ALLOW_NUL, NULL);
        assert_non_null(read);
        const json_t *s = json_array_get(read, 0);
        assert_int_equal(json_string_length(s), rows[i].out.n);
        assert_memory_equal(json_string_value(s), rows[i].out.p, rows[i].out.n);
        json_decref(read);
        buf_free(&b);
    }
}

static void the_first_error_sticks(void **state)
{
    (void)state;
    struct buf b = {.max = 8};
    struct json j = json_start(&b);
    json_open(&j, '['), json_string(&j, S("longer than eight")), json_close(&j, ']');
    assert_err(json_end_line(&j), E_TOO_LARGE);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_line), cmocka_unit_test(strings_survive),
                                       cmocka_unit_test(the_first_error_sticks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
