/* SPDX-License-Identifier: MIT */
#include "http/fields.h"

#include "http/status.h"
#include "unit.h"

static void every_known_name_is_found_in_any_case(void **state)
{
    (void)state;
    for (unsigned id = 1; id < F_COUNT; id++) {
        struct slice name = fields_name(id);
        char upper[64];
        assert_int_equal(fields_id(name), id);
        for (size_t i = 0; i < name.n; i++)
            upper[i] = ascii_upper(name.p[i]);
        assert_int_equal(fields_id(slice_of(upper, name.n)), id);
        upper[0] = '_';
        assert_int_equal(fields_id(slice_of(upper, name.n)), F_OTHER);
    }
    assert_int_equal(fields_id(S("X-Something")), F_OTHER);
    assert_int_equal(fields_id(S("")), F_OTHER);
}

static void elements_of_several_lines(void **state)
{
    (void)state;
    struct http_field v[4];
    struct http_fields f = {.v = v, .cap = 4};
    assert_true(fields_push(&f, S("Accept"), S("a, , \"x, y\\\",z\" ;q=1,")));
    assert_true(fields_push(&f, S("Host"), S("h")));
    assert_true(fields_push(&f, S("accept"), S("")));
    assert_true(fields_push(&f, S("ACCEPT"), S("b")));
    assert_false(fields_push(&f, S("accept"), S("c")));
    struct fields_list l = {.fields = &f, .id = F_ACCEPT};
    struct slice e;
    assert_true(fields_element(&l, &e));
    assert_slice(e, "a");
    assert_true(fields_element(&l, &e));
    assert_slice(e, "\"x, y\\\",z\" ;q=1");
    assert_true(fields_element(&l, &e));
    assert_slice(e, "b");
    assert_false(fields_element(&l, &e));
    assert_int_equal(fields_count(&f, F_ACCEPT), 3);
    assert_true(fields_has_token(&f, F_ACCEPT, S("B")));
    assert_false(fields_has_token(&f, F_ACCEPT, S("c")));
    assert_null(fields_get(&f, F_AGE).p);
}

static void adding_and_removing(void **state)
{
    (void)state;
    struct arena a = {0};
    struct http_fields f = {0};
    for (int i = 0; i < 40; i++)
        assert_true(fields_add(&a, &f, i % 2 ? S("X-A") : S("Via"), S("1")));
    assert_true(fields_add_id(&a, &f, F_AGE, S("7")));
    assert_int_equal(f.n, 41);
    assert_slice(fields_find(&f, S("x-a")), "1");
    fields_remove(&f, F_VIA);
    assert_false(fields_has(&f, F_VIA));
    struct http_fields g = {0}, none = {0};
    assert_true(fields_add_all(&a, &g, &none));
    assert_int_equal(g.n, 0);
    assert_true(fields_add_id(&a, &g, F_ETAG, S("\"e\"")));
    assert_true(fields_add_all(&a, &g, &f));
    assert_int_equal(g.n, 22);
    assert_slice(fields_get(&g, F_ETAG), "\"e\"");
    assert_slice(fields_get(&g, F_AGE), "7");
    fields_remove_name(&f, S("x-A"));
    assert_int_equal(f.n, 1);
    assert_slice(fields_find(&f, S("age")), "7");
    arena_reset(&a);
}

static void names_and_values_that_may_be_sent(void **state)
{
    (void)state;
    assert_true(fields_name_ok(S("X-a_b!")));
    assert_false(fields_name_ok(S("a b")));
    assert_false(fields_name_ok(S("a:")));
    assert_false(fields_name_ok(S("")));
    assert_false(fields_name_ok(slice_of("a\0", 2)));
    assert_true(fields_value_ok(S("a\tb \xc3\xa4")));
    assert_false(fields_value_ok(S("a\r\nSet-Cookie: x")));
    assert_false(fields_value_ok(slice_of("a\0", 2)));
}

/* Values are looked at eight bytes at a time: every byte at every place among every kind of neighbour. */
static void every_byte_at_every_place(void **state)
{
    (void)state;
    static const char fill[] = {'a', '\t', (char)0x80, (char)0xff, ' '};
    char text[20];
    for (size_t k = 0; k < sizeof fill; k++)
        for (size_t n = 1; n <= sizeof text; n++)
            for (size_t at = 0; at < n; at++)
                for (int c = 0; c < 256; c++) {
                    memset(text, fill[k], n);
                    text[at] = (char)c;
                    bool ok = (c >= 0x20 && c != 0x7f) || c == '\t';
                    assert_int_equal(fields_value_ok(slice_of(text, n)), ok);
                }
    for (int c = 1; c < 256; c++) {
        text[0] = (char)c;
        bool ok = ascii_alpha(text[0]) || ascii_digit(text[0]) || strchr("!#$%&'*+-.^_`|~", c) != NULL;
        assert_int_equal(fields_name_ok(slice_of(text, 1)), ok);
    }
}

static void phrases(void **state)
{
    (void)state;
    assert_slice(status_phrase(404), "Not Found");
    assert_slice(status_line(200), "HTTP/1.1 200 OK\r\n");
    assert_int_equal(status_line(299).n, 0);
    assert_false(status_has_body(304));
    assert_false(status_has_body(100));
    assert_true(status_heuristic(410));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_known_name_is_found_in_any_case),
        cmocka_unit_test(elements_of_several_lines),
        cmocka_unit_test(adding_and_removing),
        cmocka_unit_test(names_and_values_that_may_be_sent),
        cmocka_unit_test(every_byte_at_every_place),
        cmocka_unit_test(phrases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
