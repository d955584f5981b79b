/* SPDX-License-Identifier: MIT */
#include "base/addr.h"

#include "unit.h"

static struct addr parse(const char *host, uint16_t port)
{
    struct addr a;
    assert_ok(addr_parse(slice_z(host), port, &a));
    return a;
}

static void both_ways(void **state)
{
    (void)state;
    static const struct {
        const char *in, *text, *host;
    } rows[] = {{"127.0.0.1", "127.0.0.1:80", "127.0.0.1"},
                {"::1", "[::1]:80", "::1"},
                {"[2001:DB8::1]", "[2001:db8::1]:80", "2001:db8::1"},
                {"::ffff:10.0.0.1", "10.0.0.1:80", "10.0.0.1"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[ADDR_TEXT];
        struct addr a = parse(rows[i].in, 80);
        assert_string_equal(addr_text(&a, text), rows[i].text);
        assert_string_equal(addr_text_host(&a, text), rows[i].host);
        assert_int_equal(addr_port(&a), 80);
    }
}

static void refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    "127.0.0", "127.0.0.1.2", "256.0.0.1", "01.2.3.4",
                                      "::g", "[::1",    "host",        "1.2.3.4 "};
    struct addr a;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_err(addr_parse(slice_z(bad[i]), 1, &a), E_USAGE);
}

static void listen_forms(void **state)
{
    (void)state;
    static const struct {
        const char *in, *text;
    } rows[] = {
        {"127.0.0.1:81", "127.0.0.1:81"}, {"[::1]:81", "[::1]:81"},       {":81", "[::]:81"}, {"81", "127.0.0.1:81"},
        {"10.1.2.3", "10.1.2.3:9"},       {"localhost:0", "127.0.0.1:0"}, {"*:81", "[::]:81"}};
    static const char *const bad[] = {
        "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:x", "nowhere:80", "99999", ""};
    struct addr a;
    char text[ADDR_TEXT];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_ok(addr_parse_listen(slice_z(rows[i].in), 9, &a));
        assert_string_equal(addr_text(&a, text), rows[i].text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_err(addr_parse_listen(slice_z(bad[i]), 9, &a), E_USAGE);
}

static void equality(void **state)
{
    (void)state;
    struct addr a = parse("10.0.0.1", 1), b = parse("::ffff:10.0.0.1", 1), c = parse("10.0.0.1", 2),
                d = parse("10.0.0.2", 1);
    assert_true(addr_eq(&a, &b));
    assert_false(addr_eq(&a, &c));
    assert_true(addr_eq_host(&a, &c));
    assert_false(addr_eq_host(&a, &d));
    assert_true(addr_hash_host(&a, 5) == addr_hash_host(&b, 5));
    assert_true(addr_hash_host(&a, 5) != addr_hash_host(&a, 6));
}

static void kinds(void **state)
{
    (void)state;
    struct addr a = parse("127.9.9.9", 0), b = parse("::1", 0), c = parse("10.0.0.1", 0), d = parse("224.0.0.1", 0),
                e = parse("255.255.255.255", 0), f = parse("ff02::1", 0), u;
    assert_ok(addr_unix(S("/run/x"), &u));
    assert_true(addr_is_loopback(&a) && addr_is_loopback(&b) && addr_is_loopback(&u));
    assert_false(addr_is_loopback(&c));
    assert_true(addr_is_multicast(&d) && addr_is_multicast(&e) && addr_is_multicast(&f));
    assert_false(addr_is_multicast(&c));
    char text[ADDR_TEXT], path[200];
    assert_string_equal(addr_text(&u, text), "unix:/run/x");
    memset(path, 'x', sizeof path);
    assert_err(addr_unix(slice_of(path, sizeof path), &u), E_USAGE);
}

static void has(const char *net, const char *host, bool want)
{
    struct network n;
    struct addr a = parse(host, 7);
    assert_ok(network_parse(slice_z(net), &n));
    assert_int_equal(network_has(&n, &a), want);
}

static void networks(void **state)
{
    (void)state;
    has("10.0.0.0/8", "10.255.0.1", true);
    has("10.0.0.0/8", "11.0.0.1", false);
    has("10.0.0.0/8", "::ffff:10.1.1.1", true);
    has("192.168.4.0/22", "192.168.7.255", true);
    has("192.168.4.0/22", "192.168.8.0", false);
    has("1.2.3.4", "1.2.3.4", true);
    has("1.2.3.4", "1.2.3.5", false);
    has("0.0.0.0/0", "8.8.8.8", true);
    has("0.0.0.0/0", "2001:db8::1", false);
    has("fe80::/10", "febf::1", true);
    has("fe80::/10", "fec0::1", false);
    has("::/0", "2001:db8::1", true);
    struct network n;
    static const char *const bad[] = {"10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/x", "x/8"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_err(network_parse(slice_z(bad[i]), &n), E_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_ways),    cmocka_unit_test(refused),
                                       cmocka_unit_test(listen_forms), cmocka_unit_test(equality),
                                       cmocka_unit_test(kinds),        cmocka_unit_test(networks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
