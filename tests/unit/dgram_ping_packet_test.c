/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "dgram/impair.h"
#include "dgram/ping_packet.h"

static const int64_t wall = INT64_C(1700000000123456789);

static void probe_is_the_textbooks_text(void **state)
{
    (void)state;
    char out[64];
    ping_packet_format(7, wall, SLICE_NONE, out, 32);
    assert_slice(slice_of(out, 32), "Ping 7 1700000000.123456 abcdefg");
    ping_packet_format(7, wall, S("xy"), out, 29);
    assert_slice(slice_of(out, 29), "Ping 7 1700000000.123456 xyxy");
    memset(out, '#', sizeof out);
    ping_packet_format(7, wall, SLICE_NONE, out, 6);
    assert_slice(slice_of(out, 7), "Ping 7#");
}

static void number_survives_what_echoes_do(void **state)
{
    (void)state;
    char out[64];
    ping_packet_format(1234, wall, SLICE_NONE, out, 48);
    struct ping_echo e = ping_packet_parse(slice_of(out, 48));
    assert_true(e.has_seq && e.has_time);
    assert_int_equal(e.seq, 1234);
    assert_int_equal(e.wall_us, wall / 1000);
    impair_uppercase(out, 48);
    assert_memory_equal(out, "PING 1234 ", 10);
    assert_true(ping_packet_parse(slice_of(out, 48)).has_seq);
    e = ping_packet_parse(S("pong: Ping 9 1700000000.123456 abc"));
    assert_true(e.has_seq && e.has_time && e.seq == 9);
    e = ping_packet_parse(S("ping ping ping 12 "));
    assert_true(e.has_seq && e.seq == 12 && !e.has_time);
}

static void half_a_number_is_none(void **state)
{
    (void)state;
    assert_false(ping_packet_parse(S("Ping 12")).has_seq);
    assert_false(ping_packet_parse(S("Ping ")).has_seq);
    assert_false(ping_packet_parse(S("Ping -1 ")).has_seq);
    assert_false(ping_packet_parse(S("Ping 99999999999999999999 ")).has_seq);
    assert_false(ping_packet_parse(S("")).has_seq);
    struct ping_echo e = ping_packet_parse(S("Ping 12 1700000000.1234"));
    assert_true(e.has_seq && !e.has_time);
    e = ping_packet_parse(S("Ping 12 99999999999999999.123456 "));
    assert_true(e.has_seq && !e.has_time);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probe_is_the_textbooks_text),
        cmocka_unit_test(number_survives_what_echoes_do),
        cmocka_unit_test(half_a_number_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
