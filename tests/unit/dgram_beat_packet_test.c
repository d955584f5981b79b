/* SPDX-License-Identifier: MIT */
#include "base/random.h"
#include "dgram/beat_packet.h"
#include "unit.h"

static struct beat sample(bool sealed)
{
    return (struct beat){.id = S("node-1"),
                         .incarnation = 0x0102030405060708,
                         .sequence = 9,
                         .sent_ns = 1700000000123456789,
                         .interval_ns = 1000000000,
                         .goodbye = true,
                         .seal = {.sealed = sealed, .key = 7}};
}

static void a_beat_byte_by_byte(void **state)
{
    (void)state;
    uint8_t out[BEAT_MAX];
    struct beat b = sample(true);
    size_t n = beat_format(&b, out);
    static const uint8_t want[] = {'L',  '7',  'H',  'B',  1,    1,    3,   6, 1, 2, 3,    4,    5,
                                   6,    7,    8,    0,    0,    0,    0,   0, 0, 0, 9,    0x17, 0x97,
                                   0x9c, 0xfe, 0x3d, 0x85, 0xcd, 0x15, 0,   0, 0, 0, 0x3b, 0x9a, 0xca,
                                   0,    'n',  'o',  'd',  'e',  '-',  '1', 0, 0, 0, 7};
    assert_int_equal(n, sizeof want);
    assert_memory_equal(out, want, sizeof want);
}

static void a_beat_comes_back(void **state)
{
    (void)state;
    uint8_t out[BEAT_MAX] = {0};
    for (int sealed = 0; sealed < 2; sealed++) {
        struct beat b = sample(sealed), got;
        size_t n = beat_format(&b, out) + (sealed ? BEAT_TAG : 0);
        assert_int_equal(beat_kind(slice_of(out, n)), BEAT_BEAT);
        assert_ok(beat_parse(slice_of(out, n), &got));
        assert_slice(got.id, "node-1");
        assert_true(got.incarnation == b.incarnation && got.sequence == 9 && got.sent_ns == b.sent_ns && got.goodbye);
        assert_int_equal(got.seal.sealed, sealed);
        if (sealed) {
            assert_int_equal(got.seal.key, 7);
            assert_int_equal(got.seal.covered.n, n - BEAT_TAG);
            assert_ptr_equal(got.seal.tag.p, out + n - BEAT_TAG);
        }
        for (size_t cut = 0; cut < n; cut++)
            assert_err(beat_parse(slice_of(out, cut), &got), E_DATA);
        uint8_t longer[BEAT_MAX + 1];
        memcpy(longer, out, n);
        assert_err(beat_parse(slice_of(longer, n + 1), &got), E_DATA);
    }
}

static void what_no_beat_may_be(void **state)
{
    (void)state;
    uint8_t out[BEAT_MAX];
    struct beat b = sample(false), got;
    size_t n = beat_format(&b, out);
    static const struct {
        size_t at;
        uint8_t value;
    } bad[] = {{0, 'X'},   {4, 2},     {5, 9},     {6, 0x80},  {7, 0},     {7, 65},
               {24, 0xff}, {32, 0x80}, {32, 0x01}, {40, '\n'}, {40, 0xff}, {40, 0x7f}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t copy[BEAT_MAX];
        memcpy(copy, out, n);
        copy[bad[i].at] = bad[i].value;
        assert_err(beat_parse(slice_of(copy, n), &got), E_DATA);
    }
    b.sequence = 0;
    n = beat_format(&b, out);
    assert_err(beat_parse(slice_of(out, n), &got), E_DATA);
    assert_false(beat_id_valid(S("")));
    assert_false(beat_id_valid(S("a\xc2\x85")));
    assert_true(beat_id_valid(S("knoten-\xc3\xa4 $(x)")));
}

static void text_beats_of_the_labs(void **state)
{
    (void)state;
    struct beat b;
    assert_ok(beat_parse_text(S("17 1700000000.25"), &b));
    assert_true(b.text && b.sequence == 17 && b.sent_ns == 1700000000250000000);
    assert_ok(beat_parse_text(S("0 1700000000\n"), &b));
    assert_true(b.sequence == 0 && b.sent_ns == 1700000000000000000);
    assert_ok(beat_parse_text(S("3  1700000000.1234567891234\r\n"), &b));
    assert_true(b.sent_ns == 1700000000123456789);
    static const char *const bad[] = {"",
                                      "17",
                                      "17 ",
                                      "x 1",
                                      "1 x",
                                      "-1 5",
                                      "1 5.",
                                      "1 5.x",
                                      "1 5.1234567890x",
                                      "1 99999999999",
                                      "1 1 1",
                                      "18446744073709551616 1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_err(beat_parse_text(slice_z(bad[i]), &b), E_DATA);
    char out[64];
    b = (struct beat){.sequence = 5, .sent_ns = 1700000000250000999};
    assert_int_equal(beat_format_text(&b, out, sizeof out), strlen("5 1700000000.250000"));
    assert_string_equal(out, "5 1700000000.250000");
}

static void kinds(void **state)
{
    (void)state;
    assert_int_equal(beat_kind(S("online")), BEAT_ONLINE);
    assert_int_equal(beat_kind(S("Online \r\n\0\0")), BEAT_ONLINE);
    assert_int_equal(beat_kind(S("online now")), BEAT_NONE);
    assert_int_equal(beat_kind(S("1 2")), BEAT_TEXT);
    assert_int_equal(beat_kind(S("")), BEAT_NONE);
    assert_int_equal(beat_kind(S("L7HB\1\4\0\0")), BEAT_NONE);
}

static void questions_and_answers(void **state)
{
    (void)state;
    uint8_t q[BEAT_DATAGRAM], a[BEAT_DATAGRAM] = {0};
    for (int sealed = 0; sealed < 2; sealed++) {
        struct beat_ask ask = {.nonce = 77, .from = 5, .seal = {.sealed = sealed, .key = 3}}, asked;
        size_t n = beat_ask_format(&ask, q, sizeof q) + (sealed ? BEAT_TAG : 0);
        assert_int_equal(n, sizeof q);
        assert_ok(beat_ask_parse(slice_of(q, n), &asked));
        assert_true(asked.nonce == 77 && asked.from == 5 && asked.seal.sealed == sealed);
        struct beat_writer w;
        beat_answer_start(&w,
                          &(struct beat_answer){.nonce = 77,
                                                .instance = 8,
                                                .from = 5,
                                                .slots = 100,
                                                .senders = 50,
                                                .wall_ns = 9,
                                                .seal = {.sealed = sealed}},
                          a, sizeof a);
        struct beat_row row = {.id = S("alpha"),
                               .state = BEAT_LATE,
                               .flapping = true,
                               .sequence = 4,
                               .received = 3,
                               .lost = 1,
                               .left_ms = -5,
                               .delay_us = -6,
                               .restarts = 2};
        assert_ok(addr_parse(S("2001:db8::1"), 99, &row.peer));
        uint16_t rows = 0;
        while (beat_answer_row(&w, &row))
            rows++;
        assert_true(rows >= 9);
        n = beat_answer_end(&w, 44, 3) + (sealed ? BEAT_TAG : 0);
        assert_true(n <= sizeof a);
        struct beat_answer got;
        struct cursor c;
        assert_ok(beat_answer_parse(slice_of(a, n), &got, &c));
        assert_true(got.nonce == 77 && got.instance == 8 && got.next == 44 && got.rows == rows && got.slots == 100 &&
                    got.wall_ns == 9);
        for (int i = 0; i < rows; i++) {
            struct beat_row r;
            assert_ok(beat_answer_next(&c, &r));
            assert_slice(r.id, "alpha");
            assert_true(r.state == BEAT_LATE && r.flapping && r.left_ms == -5 && r.delay_us == -6 && r.restarts == 2 &&
                        r.lost == 1);
            assert_true(addr_eq(&r.peer, &row.peer));
        }
        struct beat_row r;
        assert_err(beat_answer_next(&c, &r), E_DATA);
    }
}

/* Random bytes behind a right head: no parser may read past the end (the sanitizers look) or accept nonsense. */
static void noise(void **state)
{
    (void)state;
    struct prng r;
    prng_seed(&r, 1);
    for (int i = 0; i < 300000; i++) {
        size_t n = prng_below(&r, 160);
        uint8_t *p = test_malloc(n + 1);
        for (size_t k = 0; k < n; k++)
            p[k] = (uint8_t)prng_u64(&r);
        if (n > 8)
            memcpy(
                p,
                (uint8_t[]){'L', '7', 'H', 'B', 1, (uint8_t)prng_below(&r, 5), (uint8_t)prng_below(&r, 4), (uint8_t)n},
                8);
        struct beat b;
        struct beat_ask ask;
        struct beat_answer a;
        struct beat_row row;
        struct cursor c;
        struct slice s = slice_of(p, n);
        if (!beat_parse(s, &b))
            assert_true(beat_id_valid(b.id));
        (void)!beat_parse_text(s, &b);
        (void)!beat_ask_parse(s, &ask);
        if (!beat_answer_parse(s, &a, &c))
            for (int k = 0; k < a.rows && !beat_answer_next(&c, &row); k++)
                assert_true(beat_id_valid(row.id));
        test_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_beat_byte_by_byte),
        cmocka_unit_test(a_beat_comes_back),
        cmocka_unit_test(what_no_beat_may_be),
        cmocka_unit_test(text_beats_of_the_labs),
        cmocka_unit_test(kinds),
        cmocka_unit_test(questions_and_answers),
        cmocka_unit_test(noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
