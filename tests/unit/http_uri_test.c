/* SPDX-License-Identifier: MIT */
#include "http/uri.h"

#include "unit.h"

static struct slice written(const struct uri *u, struct buf *b)
{
    b->n = 0;
    assert_ok(uri_add(b, u));
    return buf_slice(b);
}

static void parts(void **state)
{
    (void)state;
    struct uri u;
    assert_ok(uri_parse(S("http://me:x@Example.org:8005/a%20b;p?q=1?2#frag"), &u));
    assert_slice(u.scheme, "http");
    assert_slice(u.userinfo, "me:x");
    assert_slice(u.host, "Example.org");
    assert_int_equal(u.port, 8005);
    assert_slice(u.path, "/a%20b;p");
    assert_slice(u.query, "q=1?2");
    assert_slice(u.fragment, "frag");
    assert_ok(uri_parse(S("https://[2001:db8::1]"), &u));
    assert_true(u.ipv6);
    assert_slice(u.host, "2001:db8::1");
    assert_int_equal(uri_port(&u), 443);
    assert_ok(uri_parse(S("http://h:/"), &u));
    assert_int_equal(u.port, 0);
    assert_ok(uri_parse(S("?"), &u));
    assert_true(u.has_query && u.query.n == 0 && u.path.n == 0);
    assert_ok(uri_parse(S("mailto:a@b"), &u));
    assert_slice(u.path, "a@b");
}

static void what_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "http://h:0/",       "http://h:65536/", "http://h:8x/", "http://[::1", "http://[::1]x/", "http://[v1.x]/",
        "http://[12]/",      "http://h/ a",     "http://h/%zz", "http://h/%4", "http://a b/",    "http://h/\x01",
        "http://h/\xc3\xa4", "http://h/<",      "http://h\\x/", "1a:b",        "http://h/?\"",
    };
    struct uri u = {.port = 7};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_err(uri_parse(slice_z(bad[i]), &u), E_DATA);
    assert_err(uri_parse_origin(S("a"), &u), E_DATA);
    assert_err(uri_parse_origin(S("/a#b"), &u), E_DATA);
    assert_int_equal(u.port, 7);
}

/* RFC 3986 section 5.4: every example of the normal and the abnormal kind. */
static void resolving_as_in_the_rfc(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"g:h", "g:h"},
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q#s"},
        {"g#s", "http://a/b/c/g#s"},
        {"g?y#s", "http://a/b/c/g?y#s"},
        {";x", "http://a/b/c/;x"},
        {"g;x", "http://a/b/c/g;x"},
        {"g;x?y#s", "http://a/b/c/g;x?y#s"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../g", "http://a/g"},
        {"../../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {".g", "http://a/b/c/.g"},
        {"g..", "http://a/b/c/g.."},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"./g/.", "http://a/b/c/g/"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/./x", "http://a/b/c/g?y/./x"},
        {"g#s/../x", "http://a/b/c/g#s/../x"},
    };
    struct uri base, r, u;
    struct arena a = {0};
    struct buf b = {0};
    assert_ok(uri_parse(S("http://a/b/c/d;p?q"), &base));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_ok(uri_parse(slice_z(rows[i][0]), &r));
        assert_ok(uri_resolve(&a, &base, &r, &u));
        struct slice got = written(&u, &b);
        if (!slice_eq(got, slice_z(rows[i][1])))
            fail_msg("%s gave %.*s", rows[i][0], SLICE_ARG(got));
    }
    arena_reset(&a);
    buf_free(&b);
}

static void normal_forms(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"HTTP://EXAMPLE.org:80", "http://example.org/"},
        {"https://e:443/%7euser/%c3%a4%2F/../b?%41", "https://e/~user/b?A"},
        {"http://e:8080/a/./b/../c", "http://e:8080/a/c"},
        {"http://[::AB]/x", "http://[::ab]/x"},
    };
    struct arena a = {0};
    struct buf b = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct uri u;
        assert_ok(uri_parse(slice_z(rows[i][0]), &u));
        assert_ok(uri_normalise(&a, &u, &u));
        struct slice got = written(&u, &b);
        if (!slice_eq(got, slice_z(rows[i][1])))
            fail_msg("%s gave %.*s", rows[i][0], SLICE_ARG(got));
    }
    arena_reset(&a);
    buf_free(&b);
}

static void paths_as_file_names(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"/", ""},          {"/a", "a"},       {"/a/", "a/"},        {"/a//b", "a/b"},
        {"/a/./b", "a/b"},  {"/a/../b", "b"},  {"/a/b/..", "a/"},    {"/a/b/../", "a/"},
        {"/a/..", ""},      {"/%61%20", "a "}, {"/a/%2e%2e/b", "b"}, {"/.../x", ".../x"},
        {"/a/b/.", "a/b/"},
    };
    static const char *const bad[] = {"/..", "/a/../..", "/%2e%2e/x", "/a%2fb", "/a%00", "/%", "/%4"};
    char out[64];
    size_t n;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(uri_path_decode(slice_z(rows[i][0]), out, &n));
        if (!slice_eq(slice_of(out, n), slice_z(rows[i][1])))
            fail_msg("%s gave %.*s", rows[i][0], (int)n, out);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(uri_path_decode(slice_z(bad[i]), out, &n));
}

/* Every byte at every place of a short path and of one that is looked at sixteen at a time. */
static void where_a_plain_path_ends(void **state)
{
    (void)state;
    char text[41];
    for (int byte = 0; byte < 256; byte++) {
        struct uri u;
        char one[2] = {'/', (char)byte};
        bool plain = !uri_parse_origin(slice_of(one, 2), &u) && u.path.n == 2;
        for (size_t at = 1; at < sizeof text; at++) {
            memset(text, 'a', sizeof text);
            text[0] = '/';
            text[at] = (char)byte;
            assert_ptr_equal(uri_plain_end(text, text + sizeof text), text + (plain ? sizeof text : at));
            assert_ptr_equal(uri_plain_end(text, text + at), text + at);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(resolving_as_in_the_rfc),
        cmocka_unit_test(normal_forms),
        cmocka_unit_test(paths_as_file_names),
        cmocka_unit_test(where_a_plain_path_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
