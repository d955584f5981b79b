/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "smtp/caps_parse.h"
#include "smtp/fields_parse.h"

static void fields_of_a_message(void **state)
{
    (void)state;
    struct arena a = {0};
    struct slice rest = S("A: 1\r\nB:\n two\n\tlines\nC : x\n\nbody: no");
    struct smtp_field f;
    assert_true(smtp_field_next(&rest, &f));
    assert_slice(f.name, "A");
    assert_true(smtp_field_next(&rest, &f));
    assert_slice(f.name, "B");
    assert_slice(smtp_field_unfold(&a, f.value), "two\tlines");
    assert_true(smtp_field_next(&rest, &f));
    assert_slice(f.name, "C");
    assert_false(smtp_field_next(&rest, &f));
    assert_slice(rest, "body: no");
    rest = S("A: 1\nno field\n\nx");
    assert_true(smtp_field_next(&rest, &f));
    assert_false(smtp_field_next(&rest, &f));
    assert_slice(rest, "no field\n\nx");
    rest = S(" A: 1\n");
    assert_false(smtp_field_next(&rest, &f));
    arena_reset(&a);
    arena_thread_done();
}

static void offers(void **state)
{
    (void)state;
    struct smtp_reply r;
    struct smtp_caps c;
    size_t took;
    assert_ok(smtp_reply_parse(
        S("250-PIPELINING is my name\r\n250-size 1000\r\n250-AUTH=LOGIN\r\n250-AUTH PLAIN scram-sha-1\r\n"
          "250-chunking\r\n250-8BITMIMEX\r\n250 STARTTLS\r\n"),
        &r, &took));
    smtp_caps_parse(&r, &c);
    assert_true(c.esmtp && c.chunking && c.starttls && c.size && c.auth);
    assert_false(c.pipelining || c.eightbit || c.dsn);
    assert_int_equal(c.max_size, 1000);
    assert_true(smtp_caps_mechanism(&c, "LOGIN") && smtp_caps_mechanism(&c, "SCRAM-SHA-1"));
    assert_false(smtp_caps_mechanism(&c, "SCRAM-SHA-1-PLUS") || smtp_caps_mechanism(&c, "SHA"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fields_of_a_message), cmocka_unit_test(offers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
