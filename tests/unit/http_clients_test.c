/* SPDX-License-Identifier: MIT */
#include "http/clients.h"

#include "unit.h"

static struct addr address(const char *text)
{
    struct addr a;
    assert_ok(addr_parse(slice_z(text), 1234, &a));
    return a;
}

static bool enter(struct clients *c, const char *text)
{
    struct addr a = address(text);
    return clients_enter(c, &a, 2);
}

static void leave(struct clients *c, const char *text)
{
    struct addr a = address(text);
    clients_leave(c, &a);
}

static void each_address_has_its_limit(void **state)
{
    (void)state;
    struct clients *c;
    assert_ok(clients_new(&c));
    assert_true(enter(c, "192.0.2.1"));
    assert_true(enter(c, "192.0.2.1"));
    assert_false(enter(c, "192.0.2.1"));
    assert_true(enter(c, "192.0.2.2"));
    assert_int_equal(clients_count(c), 2);
    leave(c, "192.0.2.1");
    assert_true(enter(c, "192.0.2.1"));
    assert_false(enter(c, "192.0.2.1"));
    leave(c, "192.0.2.2");
    assert_int_equal(clients_count(c), 1);
    clients_free(c);
}

static void ipv6_counts_by_network(void **state)
{
    (void)state;
    struct clients *c;
    assert_ok(clients_new(&c));
    assert_true(enter(c, "2001:db8:0:1::1"));
    assert_true(enter(c, "2001:db8:0:1:ffff::2"));
    assert_false(enter(c, "2001:db8:0:1::3"));
    assert_true(enter(c, "2001:db8:0:2::1"));
    assert_int_equal(clients_count(c), 2);
    clients_free(c);
}

static void a_mapped_address_is_the_ipv4_one(void **state)
{
    (void)state;
    struct clients *c;
    assert_ok(clients_new(&c));
    assert_true(enter(c, "192.0.2.1"));
    assert_true(enter(c, "::ffff:192.0.2.1"));
    assert_false(enter(c, "::ffff:192.0.2.1"));
    assert_true(enter(c, "::ffff:192.0.2.2"));
    clients_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_address_has_its_limit),
        cmocka_unit_test(ipv6_counts_by_network),
        cmocka_unit_test(a_mapped_address_is_the_ipv4_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
