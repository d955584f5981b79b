/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "smtp/reply_parse.h"

static void one_line(void **state)
{
    (void)state;
    struct smtp_reply r;
    size_t took = 9;
    assert_ok(smtp_reply_parse(S("250 2.1.5 Ok\r\n354 go"), &r, &took));
    assert_int_equal(took, 14);
    assert_int_equal(r.code, 250);
    assert_int_equal(r.enhanced.class, 2);
    assert_int_equal(r.enhanced.subject, 1);
    assert_int_equal(r.enhanced.detail, 5);
    char text[64];
    assert_string_equal(smtp_reply_text(&r, text, sizeof text), "250 2.1.5 Ok");
}

static void many_lines_and_bare_codes(void **state)
{
    (void)state;
    struct smtp_reply r;
    size_t took;
    assert_ok(smtp_reply_parse(S("250-a\r\n250-\r\n250-SIZE 5\n250\r\n"), &r, &took));
    assert_int_equal(took, 29);
    struct slice rest = r.raw, text;
    assert_true(smtp_reply_line(&rest, &text));
    assert_slice(text, "a");
    assert_true(smtp_reply_line(&rest, &text));
    assert_int_equal(text.n, 0);
    assert_true(smtp_reply_line(&rest, &text));
    assert_slice(text, "SIZE 5");
    assert_true(smtp_reply_line(&rest, &text));
    assert_false(smtp_reply_line(&rest, &text));
}

static void unfinished_replies_wait(void **state)
{
    (void)state;
    struct smtp_reply r;
    static const char whole[] = "250-one\r\n250-two\r\n250 three\r\n";
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        size_t took = 7;
        assert_ok(smtp_reply_parse(slice_of(whole, n), &r, &took));
        assert_int_equal(took, 0);
    }
}

static void what_is_no_reply(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "HTTP/1.1 200 OK\r\n", "2 50 x\r\n",       "150 x\r\n",          "650 x\r\n", "25\r\n", "\r\n", "250x\r\n",
        "250-a\r\n550 b\r\n",  "250-a\r\nfoo\r\n", "SSH-2.0-OpenSSH\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct smtp_reply r;
        size_t took;
        assert_err(smtp_reply_parse(slice_z(bad[i]), &r, &took), E_PROTO);
    }
}

static void limits(void **state)
{
    (void)state;
    struct smtp_reply r;
    size_t took, n = SMTP_REPLY_MAX + 8;
    char *p = malloc(n);
    memset(p, 'a', n);
    memcpy(p, "250 ", 4);
    assert_err(smtp_reply_parse(slice_of(p, n), &r, &took), E_TOO_LARGE);
    p[SMTP_REPLY_LINE_MAX + 1] = '\n';
    assert_err(smtp_reply_parse(slice_of(p, n), &r, &took), E_TOO_LARGE);
    p[SMTP_REPLY_LINE_MAX] = '\n';
    assert_ok(smtp_reply_parse(slice_of(p, n), &r, &took));
    for (size_t i = 0; i + 8 <= n; i += 8)
        memcpy(p + i, "250-aa\r\n", 8);
    assert_err(smtp_reply_parse(slice_of(p, n), &r, &took), E_TOO_LARGE);
    free(p);
}

static void enhanced_codes_are_strict(void **state)
{
    (void)state;
    struct smtp_enhanced e;
    assert_true(smtp_enhanced_parse(S("5.7.133 no"), &e));
    assert_true(smtp_enhanced_parse(S("4.0.0"), &e));
    assert_false(smtp_enhanced_parse(S("3.0.0 x"), &e));
    assert_false(smtp_enhanced_parse(S("5.01.1 x"), &e));
    assert_false(smtp_enhanced_parse(S("5.1.1234 x"), &e));
    assert_false(smtp_enhanced_parse(S("5.1 x"), &e));
    assert_false(smtp_enhanced_parse(S("5.1.1x"), &e));
    struct smtp_reply r;
    size_t took;
    assert_ok(smtp_reply_parse(S("550 4.1.1 classes differ\r\n"), &r, &took));
    assert_int_equal(r.enhanced.class, 0);
}

static void text_is_safe_for_terminals(void **state)
{
    (void)state;
    struct smtp_reply r;
    size_t took;
    char text[40];
    assert_ok(smtp_reply_parse(S("550-\x1b[2J\r\n550 bye\r\n"), &r, &took));
    assert_string_equal(smtp_reply_text(&r, text, sizeof text), "550 \\x1b[2J / bye");
    assert_int_equal(strlen(smtp_reply_text(&r, text, 12)), 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_line),
        cmocka_unit_test(many_lines_and_bare_codes),
        cmocka_unit_test(limits),
        cmocka_unit_test(unfinished_replies_wait),
        cmocka_unit_test(what_is_no_reply),
        cmocka_unit_test(enhanced_codes_are_strict),
        cmocka_unit_test(text_is_safe_for_terminals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
