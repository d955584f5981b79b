/* SPDX-License-Identifier: MIT */
#include "net/idn.h"

#include "unit.h"

static struct arena arena;

static void names_in_ascii(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"www.Example.org", "www.Example.org"},
        {"b\xc3\xbc"
         "cher.example",
         "xn--bcher-kva.example"},
        {"B\xc3\x9c"
         "CHER.example",
         "xn--bcher-kva.example"},
        {"bu\xcc\x88"
         "cher.example",
         "xn--bcher-kva.example"},          /* u and a combining diaeresis */
        {"fa\xc3\x9f.de", "xn--fa-hia.de"}, /* IDNA 2003 and transitional mapping: fass.de */
        {"\xe4\xbe\x8b\xe5\xad\x90\xe3\x80\x82\xe6\xb5\x8b\xe8\xaf\x95",
         "xn--fsqu00a.xn--0zwm56d"},                            /* U+3002 divides */
        {"\xef\xbd\x81.\xc3\xa9.example", "a.xn--9ca.example"}, /* full width */
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct slice out;
        assert_ok(idn_to_ascii(&arena, slice_z(pairs[i][0]), &out));
        assert_true(slice_eq(out, slice_z(pairs[i][1])));
    }
    arena_reset(&arena);
}

static void what_is_no_name(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\xcc\x88x.example",     /* begins with a combining mark */
        "a\xe2\x84\x80.example", /* U+2100 maps to a/c: a slash */
        "\xc3\xa9/x.example",    /* no letter, digit or hyphen */
        "\xff\xfe.example",      /* no UTF-8 */
        "a\xe2\x80\x8d"
        "b.example", /* a joiner where nothing joins */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct slice out = S("untouched");
        assert_err(idn_to_ascii(&arena, slice_z(bad[i]), &out), E_DATA);
        assert_slice(out, "untouched");
    }
    arena_reset(&arena);
    arena_thread_done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_in_ascii), cmocka_unit_test(what_is_no_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
