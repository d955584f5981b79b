/* SPDX-License-Identifier: MIT */
/* Every special-purpose network at its edges, as itself and inside of IPv6, and what the rules make of it. */
#include "app/proxy/access.h"

#include <stdio.h>

#include "unit.h"

static struct addr parse(const char *text)
{
    struct addr a;
    if (addr_parse(slice_z(text), 80, &a))
        fail_msg("%s is no address", text);
    return a;
}

static void expect_special(const char *text, enum special want)
{
    struct addr a = parse(text);
    if (access_special(&a) != want)
        fail_msg("%s: %d, not %d", text, access_special(&a), want);
}

/* First and last address of each, and their neighbours with what those are. */
static const struct {
    enum special kind;
    const char *before, *first, *last, *after;
    enum special before_kind, after_kind;
} networks[] = {
    {SPECIAL_RESERVED, NULL, "0.0.0.0", "0.255.255.255", "1.0.0.0", 0, 0},
    {SPECIAL_LOCAL, "9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0", 0, 0},
    {SPECIAL_LOCAL, "100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0", 0, 0},
    {SPECIAL_LOCAL, "126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0", 0, 0},
    {SPECIAL_RESERVED, "169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0", 0, 0},
    {SPECIAL_LOCAL, "172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0", 0, 0},
    {SPECIAL_RESERVED, "191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0", 0, 0},
    {SPECIAL_RESERVED, "192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0", 0, 0},
    {SPECIAL_LOCAL, "192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0", 0, 0},
    {SPECIAL_RESERVED, "198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0", 0, 0},
    {SPECIAL_RESERVED, "198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0", 0, 0},
    {SPECIAL_RESERVED, "203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0", 0, 0},
    {SPECIAL_RESERVED, "223.255.255.255", "224.0.0.0", "239.255.255.255", "240.0.0.0", 0, SPECIAL_RESERVED},
    {SPECIAL_RESERVED, "239.255.255.255", "240.0.0.0", "255.255.255.255", NULL, SPECIAL_RESERVED, 0},
    {SPECIAL_RESERVED, NULL, "::", "::", "::1", 0, SPECIAL_LOCAL},
    {SPECIAL_LOCAL, "::", "::1", "::1", "::2", SPECIAL_RESERVED, 0},
    {SPECIAL_RESERVED, "64:ff9b:0:ffff:ffff:ffff:ffff:ffff", "64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
     "64:ff9b:2::", 0, 0},
    {SPECIAL_RESERVED, "ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "100::", "100::ffff:ffff:ffff:ffff", "100:0:0:1::", 0,
     0},
    {SPECIAL_RESERVED, "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
     "2001:200::", 0, 0},
    {SPECIAL_RESERVED, "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
     "2001:db9::", 0, 0},
    {SPECIAL_RESERVED, "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
     "2003::", 0, 0},
    {SPECIAL_LOCAL, "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
     "fe00::", 0, 0},
    {SPECIAL_RESERVED, "fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
     "fec0::", 0, 0},
    {SPECIAL_RESERVED, "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
     NULL, 0, 0},
};

/* An IPv4 address also inside of ::ffff:0:0/96 and 64:ff9b::/96. */
static void expect_everywhere(const char *text, enum special want)
{
    static const char *const within[] = {"", "::ffff:", "64:ff9b::"};
    if (!text)
        return;
    for (size_t i = 0; i < (strchr(text, ':') ? 1 : 3); i++) {
        char whole[80];
        snprintf(whole, sizeof whole, "%s%s", within[i], text);
        expect_special(whole, want);
    }
}

static void the_edges_of_every_network(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        expect_everywhere(networks[i].before, networks[i].before_kind);
        expect_everywhere(networks[i].first, networks[i].kind);
        expect_everywhere(networks[i].last, networks[i].kind);
        expect_everywhere(networks[i].after, networks[i].after_kind);
    }
    struct addr local;
    assert_ok(addr_unix(S("/run/x"), &local));
    assert_int_equal(access_special(&local), SPECIAL_RESERVED);
}

static void the_defaults(void **state)
{
    (void)state;
    struct access closed = {.loopback_only = true}, open = {0};
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        struct addr a = parse(networks[i].first);
        assert_int_equal(access_addr(&closed, &a, SLICE_NONE), networks[i].kind == SPECIAL_LOCAL);
        assert_false(access_addr(&open, &a, SLICE_NONE));
    }
    struct addr world = parse("8.8.8.8");
    assert_true(access_addr(&closed, &world, SLICE_NONE));
    assert_true(access_addr(&open, &world, SLICE_NONE));
    assert_true(access_connect_port(&closed, 25));
    assert_false(access_connect_port(&closed, 0));
    assert_true(access_connect_port(&open, 443));
    assert_false(access_connect_port(&open, 25));
    open.connect_any = true;
    assert_true(access_connect_port(&open, 25));
    closed.connect_ports[closed.connect_port_count++] = 8443;
    assert_true(access_connect_port(&closed, 8443));
    assert_false(access_connect_port(&closed, 443));
}

static void clients(void **state)
{
    (void)state;
    static const char *const nets[] = {"10.0.0.0/8", "2001:db8::/32"};
    static const struct {
        const char *peer;
        bool open, listed;
    } rows[] = {{"127.0.0.1", true, false},   {"::ffff:127.9.9.9", true, false}, {"::1", true, false},
                {"10.1.2.3", false, true},    {"::ffff:10.1.2.3", false, true},  {"11.0.0.0", false, false},
                {"2001:db8::5", false, true}, {"2001:db9::", false, false}};
    struct access closed = {.loopback_only = true}, open = {0}, listed = {0};
    assert_ok(access_parse(nets, 2, &listed.clients));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct addr a = parse(rows[i].peer);
        assert_true(access_client(&closed, &a));
        assert_int_equal(access_client(&open, &a), rows[i].open);
        assert_int_equal(access_client(&listed, &a), rows[i].listed);
        assert_int_equal(access_listed(&listed.clients, &a), rows[i].listed);
    }
    access_free(&listed.clients);
}

/* A denial goes before a permission, and both before the defaults; by name and by address. */
static void rules(void **state)
{
    (void)state;
    static const char *const allow[] = {"10.1.0.0/16", "inside.test"}, *const deny[] = {"10.1.2.0/24", ".bad.test",
                                                                                        "8.8.4.4"};
    static const struct {
        const char *host, *addr;
        bool by_name, by_addr;
    } rows[] = {
        {"x.test", "10.1.0.1", true, true},
        {"x.test", "::ffff:10.1.0.1", true, true},
        {"x.test", "64:ff9b::a01:1", true, true},
        {"x.test", "10.1.2.3", true, false},
        {"x.test", "::ffff:10.1.2.3", true, false},
        {"x.test", "64:ff9b::a01:203", true, false},
        {"x.test", "10.2.0.1", true, false},
        {"inside.test", "10.2.0.1", true, true},
        {"A.Inside.TEST.", "169.254.1.1", true, true},
        {"outinside.test", "10.2.0.1", true, false},
        {"inside.test", "10.1.2.3", true, false},
        {"bad.test", "8.8.8.8", false, false},
        {"very.bad.test.", "8.8.8.8", false, false},
        {"notbad.test", "8.8.8.8", true, true},
        {"8.8.4.4", "8.8.4.4", false, false},
        {"::ffff:8.8.4.4", "::ffff:8.8.4.4", false, false},
        {"127.0.0.1", "127.0.0.1", false, false},
        {"8.8.8.8", "8.8.8.8", true, true},
    };
    struct access a = {0};
    assert_ok(access_parse(allow, 2, &a.allow_to));
    assert_ok(access_parse(deny, 3, &a.deny_to));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct addr to = parse(rows[i].addr);
        if (access_host(&a, slice_z(rows[i].host)) != rows[i].by_name ||
            access_addr(&a, &to, slice_z(rows[i].host)) != rows[i].by_addr)
            fail_msg("%s at %s", rows[i].host, rows[i].addr);
    }
    access_free(&a.allow_to);
    access_free(&a.deny_to);
}

static void what_is_no_rule(void **state)
{
    (void)state;
    static const char *const bad[] = {"",          "10.0.0.0/33",    "10.0.0.0/", "a b",
                                      "http://x/", "2001:db8::/129", "*.",        "x/8"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct access_rules r = {0};
        if (access_parse(&bad[i], 1, &r) != E_USAGE)
            fail_msg("'%s' was accepted", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_edges_of_every_network),
        cmocka_unit_test(the_defaults),
        cmocka_unit_test(clients),
        cmocka_unit_test(rules),
        cmocka_unit_test(what_is_no_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
