/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <string.h>

#include "smtp/header_format.h"

static struct buf b;
static struct arena arena;

static struct slice text(struct slice value)
{
    b.n = 0;
    assert_ok(header_text(&b, "Subject", value, false));
    return buf_slice(&b);
}

static void plain_text_stays(void **state)
{
    (void)state;
    assert_slice(text(S("Hello, world")), "Subject: Hello, world\r\n");
    assert_slice(text(S("")), "Subject:\r\n");
}

static void words_are_encoded(void **state)
{
    (void)state;
    assert_slice(text(S("Caf\xc3\xa9 at noon")), "Subject: =?UTF-8?Q?Caf=C3=A9?= at noon\r\n");
    assert_slice(text(S("\xe4\xbd\xa0\xe5\xa5\xbd")), "Subject: =?UTF-8?B?5L2g5aW9?=\r\n");
    assert_slice(text(S("two  spaces")), "Subject: =?UTF-8?Q?two__spaces?=\r\n");
    assert_slice(text(S(" x")), "Subject: =?UTF-8?Q?_x?=\r\n");
    assert_slice(text(S("x ")), "Subject: =?UTF-8?Q?x_?=\r\n");
    assert_slice(text(S("=?x?=")), "Subject: =?UTF-8?B?PT94Pz0=?=\r\n");
    assert_slice(text(S("a\tb")), "Subject: =?UTF-8?Q?a=09b?=\r\n");
    b.n = 0;
    assert_ok(header_text(&b, "Subject", S("Caf\xc3\xa9"), true));
    assert_slice(buf_slice(&b), "Subject: Caf\xc3\xa9\r\n");
}

static void no_line_is_long_and_no_character_split(void **state)
{
    (void)state;
    char v[3000];
    for (size_t i = 0; i < sizeof v; i += 3)
        memcpy(v + i, i % 4 ? "\xe2\x82\xac" : "ab ", 3);
    struct slice rest = text(slice_of(v, sizeof v)), line;
    size_t lines = 0;
    while (slice_cut(&rest, '\n', &line)) {
        assert_true(line.n <= 77);
        lines++;
        size_t q = slice_find_slice(line, S("=?UTF-8?Q?"));
        if (q != SIZE_MAX) /* a continuation byte right after the start would be a split character */
            assert_false(slice_starts(slice_from(line, q + 10), S("=8")) ||
                         slice_starts(slice_from(line, q + 10), S("=A")));
    }
    assert_true(lines > 40);
}

static void injection_is_refused(void **state)
{
    (void)state;
    static const struct slice bad[] = {{"a\r\nBcc: x", 9}, {"a\nb", 3},  {"a\rb", 3},
                                       {"a\0b", 3},        {"a\x1b", 2}, {"\xff", 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        b.n = 0;
        assert_err(header_text(&b, "Subject", bad[i], false), E_DATA);
        assert_non_null(strstr(fault_detail(), "Subject"));
        assert_err(header_param(&b, "filename", bad[i], "--attach"), E_DATA);
        struct smtp_mailbox m = {SMTP_MAILBOX, bad[i], S("a@b"), 1};
        assert_err(header_mailboxes(&b, "To", &m, 1, false), E_DATA);
    }
}

static void addresses(void **state)
{
    (void)state;
    struct smtp_mailboxes l = {0};
    assert_ok(smtp_mailboxes_parse(&arena, S("\"Smith, J.\" <j@x>, Zo\xc3\xab <z@x>, Bob B <b@x>, F: c@d, e@f; , g@h"),
                                   "To", &l));
    b.n = 0;
    assert_ok(header_mailboxes(&b, "To", l.v, l.n, false));
    assert_slice(buf_slice(&b),
                 "To: \"Smith, J.\" <j@x>, =?UTF-8?Q?Zo=C3=AB?= <z@x>, Bob B <b@x>, F: c@d, e@f;,\r\n g@h\r\n");
    arena_reset(&arena);
}

static void parameters(void **state)
{
    (void)state;
    b.n = 0;
    assert_ok(header_param(&b, "filename", S("a \"b\".png"), "--attach"));
    assert_slice(buf_slice(&b), ";\r\n filename=\"a \\\"b\\\".png\"");
    b.n = 0;
    assert_ok(header_param(&b, "filename", S("\xe5\x9b\xbe.png"), "--attach"));
    assert_slice(buf_slice(&b), ";\r\n filename*=UTF-8''%E5%9B%BE.png;\r\n filename=\"_.png\"");
    char v[240];
    memset(v, 'x', sizeof v);
    memcpy(v + 236, ".pdf", 4);
    b.n = 0;
    assert_ok(header_param(&b, "filename", slice_of(v, sizeof v), "--attach"));
    struct slice rest = buf_slice(&b), line;
    while (slice_cut(&rest, '\n', &line))
        assert_true(line.n <= 77);
    assert_true(slice_ends(buf_slice(&b), S("xxx.pdf\"")));
}

static void dates(void **state)
{
    (void)state;
    char t[80];
    assert_string_equal(header_date_text(1700000000, 0, t), "Tue, 14 Nov 2023 22:13:20 +0000");
    assert_string_equal(header_date_text(1700000000, 330, t), "Wed, 15 Nov 2023 03:43:20 +0530");
    assert_string_equal(header_date_text(0, -480, t), "Wed, 31 Dec 1969 16:00:00 -0800");
    buf_free(&b);
    arena_thread_done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_stays),
        cmocka_unit_test(words_are_encoded),
        cmocka_unit_test(injection_is_refused),
        cmocka_unit_test(no_line_is_long_and_no_character_split),
        cmocka_unit_test(addresses),
        cmocka_unit_test(parameters),
        cmocka_unit_test(dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
