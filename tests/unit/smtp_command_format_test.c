/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <string.h>

#include "smtp/command_format.h"

static struct buf b;

static void mail_with_everything(void **state)
{
    (void)state;
    b.n = 0;
    struct smtp_mail_params m = {.from = S("a@b.example"),
                                 .size = 12,
                                 .body = SMTP_BODY_8BITMIME,
                                 .smtputf8 = true,
                                 .ret = SMTP_RET_HDRS,
                                 .envid = S("x+y z")};
    assert_ok(smtp_format_mail(&b, &m));
    assert_slice(buf_slice(&b), "MAIL FROM:<a@b.example> SIZE=12 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x+2By+20z\r\n");
    b.n = 0;
    assert_ok(smtp_format_mail(&b, &(struct smtp_mail_params){0}));
    assert_slice(buf_slice(&b), "MAIL FROM:<>\r\n");
}

static void recipients(void **state)
{
    (void)state;
    b.n = 0;
    assert_ok(smtp_format_rcpt(&b, S("\"a b\"@[127.0.0.1]"), 0));
    assert_slice(buf_slice(&b), "RCPT TO:<\"a b\"@[127.0.0.1]>\r\n");
    b.n = 0;
    assert_ok(smtp_format_rcpt(&b, S("a+c@b"), SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY));
    assert_slice(buf_slice(&b), "RCPT TO:<a+c@b> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bc@b\r\n");
    b.n = 0; /* RFC 6533 section 3: a space would end the parameter, and what follows begin another */
    assert_ok(smtp_format_rcpt(&b, S("\"a+\\= SIZE\"@\xc3\xa4.example"), SMTP_NOTIFY_NEVER));
    assert_slice(buf_slice(&b), "RCPT TO:<\"a+\\= SIZE\"@\xc3\xa4.example> NOTIFY=NEVER "
                                "ORCPT=utf-8;\"a\\x{2B}\\x{5C}\\x{3D}\\x{20}SIZE\"@\xc3\xa4.example\r\n");
}

static void nothing_ends_a_line(void **state)
{
    (void)state;
    b.n = 0;
    static const struct slice bad[] = {{"a@b\r\nDATA", 9}, {"a@b\nX", 5}, {"a\0@b", 4},  {"a@b>\x20SIZE=1", 11},
                                       {"a>@b", 4},        {"@b", 2},     {"a@", 2},     {"", 0},
                                       {"a b@c", 5},       {"a@b c", 5},  {"a@b\t", 4},  {"\"a@b", 4},
                                       {"a@[1.2.3.4", 10}, {"a@-b", 4},   {"a\xff@b", 4}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_err(smtp_format_rcpt(&b, bad[i], 0), E_DATA);
        assert_int_equal(b.n, 0);
        if (bad[i].n)
            assert_err(smtp_format_mail(&b, &(struct smtp_mail_params){.from = bad[i]}), E_DATA);
    }
    assert_err(smtp_format_hello(&b, "EHLO", S("a\r\nb")), E_DATA);
    assert_err(smtp_format_hello(&b, "EHLO", S("")), E_DATA);
    assert_err(smtp_format_line(&b, S("YQ==\r\nQUIT")), E_DATA);
    assert_err(smtp_format_auth(&b, "PLAIN", "a\nb"), E_DATA);
    assert_err(smtp_format_mail(&b, &(struct smtp_mail_params){.from = S("a@b"), .envid = S("a\rb")}), E_DATA);
    assert_int_equal(b.n, 0);
}

static void lengths(void **state)
{
    (void)state;
    b.n = 0;
    char a[400];
    memset(a, 'x', sizeof a);
    a[64] = '@';
    assert_ok(smtp_format_rcpt(&b, slice_of(a, 100), 0));
    assert_ok(smtp_format_rcpt(&b, slice_of(a, 254), 0));
    assert_err(smtp_format_rcpt(&b, slice_of(a, 255), 0), E_DATA);
    a[64] = 'x', a[65] = '@';
    assert_err(smtp_format_rcpt(&b, slice_of(a, 100), 0), E_DATA);
}

static void auth_and_bdat(void **state)
{
    (void)state;
    b.n = 0;
    assert_ok(smtp_format_auth(&b, "PLAIN", ""));
    assert_ok(smtp_format_auth(&b, "LOGIN", NULL));
    assert_ok(smtp_format_bdat(&b, 1234567890123, false));
    assert_ok(smtp_format_bdat(&b, 0, true));
    assert_slice(buf_slice(&b), "AUTH PLAIN =\r\nAUTH LOGIN\r\nBDAT 1234567890123\r\nBDAT 0 LAST\r\n");
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_with_everything), cmocka_unit_test(recipients),
        cmocka_unit_test(nothing_ends_a_line),  cmocka_unit_test(lengths),
        cmocka_unit_test(auth_and_bdat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
