/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <string.h>

#include "smtp/fault_parse.h"
#include "smtp/request_parse.h"

static struct smtp_request r;

/* The code of the refusal, 0 when there is none. */
static int refused(const char *line)
{
    const char *no = smtp_request_parse(slice_z(line), &r);
    return no ? (no[0] - '0') * 100 + (no[1] - '0') * 10 + (no[2] - '0') : 0;
}

static void envelopes(void **state)
{
    (void)state;
    assert_int_equal(refused("mail from:<a@b> SIZE=12 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x+2By"), 0);
    assert_slice(r.arg, "a@b");
    assert_int_equal(r.size, 12);
    assert_int_equal(r.body, SMTP_BODY_8BITMIME);
    assert_true(r.smtputf8 && r.extended);
    assert_int_equal(r.ret, SMTP_RET_HDRS);
    assert_int_equal(refused("MAIL FROM:<>"), 0);
    assert_int_equal(r.arg.n, 0);
    assert_false(r.extended);
    assert_int_equal(refused("RCPT TO:<@x,@y:\"a>b\"@c> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a"), 0);
    assert_slice(r.arg, "\"a>b\"@c");
    assert_int_equal(r.notify, SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY);
    assert_int_equal(refused("BDAT 17 LAST"), 0);
    assert_true(r.last && r.size == 17);
    assert_int_equal(refused("AUTH PLAIN ="), 0);
    assert_slice(r.initial, "=");
    assert_int_equal(refused("AUTH LOGIN"), 0);
    assert_null(r.initial.p);
}

static void what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int code;
    } bad[] = {{"", 500},
               {"FOO", 500},
               {"EHLO", 501},
               {"EHLO a b", 501},
               {"MAIL a@b", 501},
               {"MAIL FROM:a@b", 501},
               {"MAIL FROM:<a@b", 501},
               {"MAIL FROM:<a@b>x", 501},
               {"MAIL FROM:<a b@c>", 553},
               {"RCPT TO:<>", 553},
               {"MAIL FROM:<a@b> FOO", 555},
               {"MAIL FROM:<a@b> SIZE=x", 501},
               {"MAIL FROM:<a@b> SIZE=99999999999999999999999", 501},
               {"MAIL FROM:<a@b> BODY=BINARYMIME", 501},
               {"MAIL FROM:<a@b> SMTPUTF8=1", 501},
               {"MAIL FROM:<a@b> ENVID=a+", 501},
               {"RCPT TO:<a@b> NOTIFY=NEVER,DELAY", 501},
               {"RCPT TO:<a@b> NOTIFY=", 501},
               {"RCPT TO:<a@b> SIZE=1", 555},
               {"RCPT TO:<a@b> ORCPT=a", 501},
               {"BDAT", 501},
               {"BDAT x", 501},
               {"BDAT 1 FIRST", 501},
               {"DATA now", 501},
               {"AUTH", 501},
               {"NOOP \x01", 500},
               {"NOOP \xff", 500}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(refused(bad[i].line), bad[i].code);
}

static void faults(void **state)
{
    (void)state;
    struct smtp_fault f;
    assert_ok(smtp_fault_parse("rcpt=bob@x:550 5.1.1 No such user+close", &f));
    assert_int_equal(f.step, STEP_RCPT);
    assert_slice(f.text, "bob@x");
    assert_slice(f.reply, "550 5.1.1 No such user");
    assert_true(f.then_close && !f.then_reset);
    assert_ok(smtp_fault_parse("body@65536:552+reset", &f));
    assert_true(f.step == STEP_BODY && f.at == 65536 && f.then_reset);
    assert_ok(smtp_fault_parse("rcpt=a@3:silent", &f));
    assert_slice(f.text, "a");
    assert_int_equal(f.at, 3);
    assert_ok(smtp_fault_parse("starttls:inject", &f));
    static const char *const bad[] = {"",        "rcpt",      "rcpt:",       "foo:550",      "rcpt:650",
                                      "rcpt:55", "rcpt:550x", "mail:inject", "mail@x:close", "rcpt:550 a\nb"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_err(smtp_fault_parse(bad[i], &f), E_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(envelopes), cmocka_unit_test(what_is_wrong),
                                       cmocka_unit_test(faults)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
