/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "smtp/address.h"
#include "smtp/idn.h"

static struct arena arena;

/* "display|address" of each, kinds as "{" and "}". */
static const char *parsed(const char *text)
{
    static char out[512];
    struct smtp_mailboxes list = {0};
    size_t at = 0;
    out[0] = 0;
    if (smtp_mailboxes_parse(&arena, slice_z(text), "To", &list))
        return "error";
    for (size_t i = 0; i < list.n; i++) {
        const struct smtp_mailbox *m = &list.v[i];
        static const char marks[] = " {}";
        at += (size_t)snprintf(out + at, sizeof out - at, "%s%c%.*s|%.*s", i ? "," : "", marks[m->kind],
                               SLICE_ARG(m->display), SLICE_ARG(m->address));
    }
    return out;
}

static void as_people_write_them(void **state)
{
    (void)state;
    assert_string_equal(parsed("bob@example.org"), " |bob@example.org");
    assert_string_equal(parsed("Bob <bob@example.org>, b@c"), " Bob|bob@example.org, |b@c");
    assert_string_equal(parsed("\"Smith, Bob\" <bob@x>"), " Smith, Bob|bob@x");
    assert_string_equal(parsed("John Q. Public <j@x>"), " John Q. Public|j@x");
    assert_string_equal(parsed("Zo\xc3\xab (sales (north)) <zoe@x>"), " Zo\xc3\xab|zoe@x");
    assert_string_equal(parsed("<a@b>"), " |a@b");
    assert_string_equal(parsed("root"), " |root");
    assert_string_equal(parsed("a@b,\r\n c@d"), " |a@b, |c@d");
    assert_string_equal(parsed(",a@b,,c@d,"), " |a@b, |c@d");
}

static void odd_but_right(void **state)
{
    (void)state;
    assert_string_equal(parsed("\"a b\"@x"), " |\"a b\"@x");
    assert_string_equal(parsed("\"ab\"@x"), " |ab@x");
    assert_string_equal(parsed("\"a\\\"b\"@x"), " |\"a\\\"b\"@x");
    assert_string_equal(parsed("a (c) @ (d) x . y (e)"), " |a@x.y");
    assert_string_equal(parsed("<@r1,@r2:a@b>"), " |a@b");
    assert_string_equal(parsed("a@[192.0.2.1]"), " |a@[192.0.2.1]");
    assert_string_equal(parsed("Friends: a@b, C <c@d>; , e@f"), "{Friends|, |a@b, C|c@d,}|, |e@f");
    assert_string_equal(parsed("undisclosed-recipients:;"), "{undisclosed-recipients|,}|");
    assert_string_equal(parsed("\xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b.example"),
                        " |\xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b.example");
}

static void refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"a b@c",         "a@",     "@b",     "a@b c@d", "Bob <a@b", "a@b>",       "\"a@b",
                                      "(a@b",          "a..b@c", ".a@b",   "a@b..c",  "a@.b",     "G: a@b",     "a@b;",
                                      "Bob a@b <c@d>", "a@[1.2", "\xff@b", "<a@b> x", "a@b@c",    "G: H: a@b;;"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_string_equal(parsed(bad[i]), "error");
    struct smtp_mailbox m;
    assert_err(smtp_mailbox_parse(&arena, S("a@b, c@d"), "--from", &m), E_DATA);
    assert_err(smtp_mailbox_parse(&arena, S(""), "--from", &m), E_DATA);
    assert_non_null(strstr(fault_detail(), "--from"));
}

static void domains_in_ascii(void **state)
{
    (void)state;
    struct slice out;
    assert_ok(smtp_idn_address(&arena,
                               S("a@B\xc3\xbc"
                                 "cher.example"),
                               1, &out));
    assert_slice(out, "a@xn--bcher-kva.example");
    assert_ok(smtp_idn_address(&arena, S("\xc3\xa9@[::1]"), 2, &out));
    assert_slice(out, "\xc3\xa9@[::1]");
    arena_reset(&arena);
    arena_thread_done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_people_write_them),
        cmocka_unit_test(odd_but_right),
        cmocka_unit_test(refused),
        cmocka_unit_test(domains_in_ascii),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
