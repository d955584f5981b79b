/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "dgram/stamp_packet.h"

static const struct stamp_reply reply = {
    .seq = 0x01020304,
    .t3 = 0x1112131415161718,
    .t2 = 0x2122232425262728,
    .error = 0x8101,
    .ssid = 0xabcd,
    .test = {.seq = 0x31323334, .t1 = 0x4142434445464748, .error = 0x0102, .ssid = 0xabcd},
    .sender_ttl = 250};

static void plain_reply_lies_where_the_standard_says(void **state)
{
    (void)state;
    static const uint8_t expect[44] = {1,    2,    3,    4,    0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
                                       0x18, 0x81, 0x01, 0xab, 0xcd, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26,
                                       0x27, 0x28, 0x31, 0x32, 0x33, 0x34, 0x41, 0x42, 0x43, 0x44, 0x45,
                                       0x46, 0x47, 0x48, 0x01, 0x02, 0,    0,    250};
    uint8_t out[44];
    memset(out, 0xff, sizeof out);
    stamp_reply_format(&reply, false, out, sizeof out);
    assert_memory_equal(out, expect, sizeof out);
    struct stamp_reply back;
    assert_ok(stamp_reply_parse(slice_of(out, 44), false, &back));
    assert_int_equal(back.test.t1, reply.test.t1);
    assert_int_equal(back.sender_ttl, 250);
    assert_err(stamp_reply_parse(slice_of(out, 43), false, &back), E_TRUNCATED);
}

static void authenticated_reply_lies_where_the_standard_says(void **state)
{
    (void)state;
    uint8_t out[112];
    memset(out, 0xff, sizeof out);
    stamp_reply_format(&reply, true, out, sizeof out);
    static const struct {
        int at, n;
        uint8_t first;
    } field[] = {{0, 4, 0x01},  {4, 12, 0},   {16, 8, 0x11}, {24, 2, 0x81}, {26, 2, 0xab}, {28, 4, 0},
                 {32, 8, 0x21}, {40, 8, 0},   {48, 4, 0x31}, {52, 12, 0},   {64, 8, 0x41}, {72, 2, 0x01},
                 {74, 6, 0},    {80, 1, 250}, {81, 15, 0},   {96, 16, 0}};
    for (size_t i = 0; i < sizeof field / sizeof field[0]; i++) {
        assert_int_equal(out[field[i].at], field[i].first);
        for (int k = 0; field[i].first == 0 && k < field[i].n; k++)
            assert_int_equal(out[field[i].at + k], 0);
    }
    struct stamp_reply back;
    assert_ok(stamp_reply_parse(slice_of(out, 112), true, &back));
    assert_int_equal(back.t2, reply.t2);
    assert_int_equal(back.test.seq, reply.test.seq);
    assert_int_equal(back.test.error, reply.test.error);
}

static void test_packet_both_ways_and_padded(void **state)
{
    (void)state;
    struct stamp_test t = {.seq = 5, .t1 = 6, .error = 0x4101, .ssid = 7}, back;
    uint8_t out[128];
    stamp_test_format(&t, false, out, 60);
    assert_ok(stamp_test_parse(slice_of(out, 60), false, &back));
    assert_int_equal(back.seq, 5);
    assert_int_equal(back.t1, 6);
    assert_int_equal(back.error, 0x4101);
    assert_int_equal(back.ssid, 7);
    static const uint8_t padding[] = {STAMP_TLV_UNKNOWN, STAMP_TLV_PADDING, 0, 12};
    assert_memory_equal(out + 44, padding, 4);
    stamp_test_format(&t, true, out, 114);
    assert_ok(stamp_test_parse(slice_of(out, 114), true, &back));
    assert_int_equal(back.t1, 6);
    assert_err(stamp_test_parse(slice_of(out, 111), true, &back), E_TRUNCATED);
}

static void times_survive_both_formats(void **state)
{
    (void)state;
    static const int64_t walls[] = {0,
                                    1,
                                    999999999,
                                    INT64_C(1700000000123456789),
                                    INT64_C(2085978495999999999),
                                    INT64_C(2085978496000000000),
                                    INT64_C(4000000000000000001)};
    for (size_t i = 0; i < sizeof walls / sizeof walls[0]; i++) {
        assert_int_equal(stamp_wall(stamp_time(walls[i], false), false), walls[i]);
        assert_int_equal(stamp_wall(stamp_time(walls[i], true), true), walls[i]);
    }
    /* 1970-01-01 is second 2208988800 of NTP's first era; half a second is the top bit of the fraction. */
    assert_true(stamp_time(500000000, false) == (UINT64_C(2208988800) << 32 | 0x80000000u));
    assert_true(stamp_time(1500000000, true) == (UINT64_C(1) << 32 | 500000000));
}

static void error_estimates_are_never_too_small(void **state)
{
    (void)state;
    assert_int_equal(stamp_error_estimate(0, true, false), 0x8001);
    assert_int_equal(stamp_error_estimate(-5, false, true) & 0xff, 1);
    for (int64_t ns = 1; ns < INT64_C(3600000000000); ns = ns * 3 + 1) {
        uint16_t e = stamp_error_estimate(ns, false, false);
        assert_int_not_equal(e & 0xff, 0);
        int64_t back = stamp_error_ns(e);
        assert_true(back >= ns - 1 && (double)back <= (double)ns * 1.02 + 2);
    }
    assert_true(stamp_error_ns(0xffff) > 0);
}

static void reflected_tlvs_tell_known_from_unknown(void **state)
{
    (void)state;
    uint8_t tlvs[] = {0x80, 1, 0, 2, 9, 9, 0x80, 77, 0, 1, 5, 0x80, 1, 0, 9, 1};
    stamp_tlvs_reflect(tlvs, sizeof tlvs);
    assert_int_equal(tlvs[0], 0);
    assert_int_equal(tlvs[6], STAMP_TLV_UNKNOWN);
    assert_int_equal(tlvs[11], STAMP_TLV_MALFORMED);
    uint8_t zeros[8] = {0}, none[8] = {0};
    stamp_tlvs_reflect(zeros, sizeof zeros);
    assert_memory_equal(zeros, none, sizeof none);
    stamp_tlvs_reflect(tlvs, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_reply_lies_where_the_standard_says),
        cmocka_unit_test(authenticated_reply_lies_where_the_standard_says),
        cmocka_unit_test(test_packet_both_ways_and_padded),
        cmocka_unit_test(times_survive_both_formats),
        cmocka_unit_test(error_estimates_are_never_too_small),
        cmocka_unit_test(reflected_tlvs_tell_known_from_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
