/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "cache/key.h"
#include "http/fields.h"
#include "http/uri.h"

static const char *key_of(struct arena *a, const char *text)
{
    struct uri u;
    struct cache_key key;
    if (uri_parse(slice_z(text), &u) || !cache_key_make(&key, &u, S("http"), a))
        return "refused";
    return arena_copy(a, key.text).p;
}

static void one_spelling(void **state)
{
    (void)state;
    struct arena a = {0};
    assert_string_equal(key_of(&a, "HTTP://Example.ORG:80"), "http://example.org/");
    assert_string_equal(key_of(&a, "http://example.org/A?b"), "http://example.org/A?b");
    assert_string_equal(key_of(&a, "http://example.org/?"), "http://example.org/?");
    assert_string_equal(key_of(&a, "https://example.org:443/"), "https://example.org/");
    assert_string_equal(key_of(&a, "https://example.org:80/"), "https://example.org:80/");
    assert_string_equal(key_of(&a, "http://[::1]:8080/x"), "http://[::1]:8080/x");
    arena_reset(&a);
}

static void no_part_speaks_for_another(void **state)
{
    (void)state;
    struct arena a = {0};
    struct cache_key key;
    struct uri u = {.host = S("a/b"), .path = S("/")};
    assert_false(cache_key_make(&key, &u, S("http"), &a));
    u = (struct uri){.host = S("a"), .path = S("/x?y")};
    assert_false(cache_key_make(&key, &u, S("http"), &a));
    u = (struct uri){.host = S("a"), .path = S("/\r\nx")};
    assert_false(cache_key_make(&key, &u, S("http"), &a));
    u = (struct uri){.host = S("a:80"), .path = S("/")};
    assert_false(cache_key_make(&key, &u, S("http"), &a));
    arena_reset(&a);
}

static struct http_fields fields(struct http_field *room, const char *text)
{
    struct http_fields f = {.v = room, .cap = 8};
    struct slice rest = slice_z(text), line;
    while (slice_cut(&rest, '\n', &line)) {
        size_t colon = slice_find(line, ':', 0);
        assert_true(fields_push(&f, slice_first(line, colon), slice_trim(slice_from(line, colon + 1))));
    }
    return f;
}

static bool same(const char *vary, const char *one, const char *other)
{
    struct http_field a[8], b[8], c[8];
    struct http_fields response = fields(a, vary), first = fields(b, one), second = fields(c, other);
    struct buf text = {0};
    assert_ok(cache_vary_make(&response, &first, &text));
    bool is = cache_vary_matches(buf_slice(&text), &second);
    buf_free(&text);
    return is;
}

static void vary(void **state)
{
    (void)state;
    assert_true(same("Vary: Foo", "Foo: 1", "foo: 1"));
    assert_false(same("Vary: Foo", "Foo: 1", "Foo: 2"));
    assert_false(same("Vary: Foo", "Foo: 1", ""));
    assert_false(same("Vary: Foo", "", "Foo: 1"));
    assert_false(same("Vary: Foo", "", "Foo:"));
    assert_true(same("Vary: Foo", "", "Bar: 1"));
    assert_true(same("Vary: Foo", "Foo: 1, 2", "Foo: 1\nFoo: 2"));
    assert_true(same("Vary: Foo", "Foo: 1,2", "Foo: 1 ,  2 "));
    assert_false(same("Vary: Foo", "Foo: 1,2", "Foo: 2,1"));
    assert_false(same("Vary: Foo", "Foo: \"a, b\"", "Foo: \"a,b\""));
    assert_false(same("Vary: Foo", "Foo: aB", "Foo: ab"));
    assert_true(same("Vary: Accept-Language", "Accept-Language: en, de;q=0.5", "Accept-Language: DE;Q=0.5 ,EN"));
    assert_true(same("Vary: Foo, Bar", "Foo: 1\nBar: 2", "Bar: 2\nFoo: 1"));
    assert_false(same("Vary: Foo\nVary: Bar", "Foo: 1\nBar: 2", "Bar: 3\nFoo: 1"));
    /* A value that spells another field's line is still a value. */
    assert_false(same("Vary: A, B", "A: 1", "A: 1\nB: "));
}

static void star_never_matches(void **state)
{
    (void)state;
    struct http_field a[8], b[8];
    struct http_fields response = fields(a, "Vary: , Foo\nVary: *"), request = fields(b, "Foo: 1");
    struct buf text = {0};
    assert_non_null(cache_vary_make(&response, &request, &text));
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_spelling), cmocka_unit_test(no_part_speaks_for_another),
                                       cmocka_unit_test(vary), cmocka_unit_test(star_never_matches)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
