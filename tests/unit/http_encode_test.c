/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <brotli/encode.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buf.h"
#include "http/encode.h"

enum { PLAIN = 100000 };
static char plain[PLAIN];

static void fill(void)
{
    for (int i = 0; i < PLAIN; i++)
        plain[i] = (char)("the quick brown fox\n"[i % 20] + (i / 977) % 7);
}

static struct buf deflated(int bits)
{
    struct buf b = {0};
    char *at;
    z_stream z = {0};
    assert_ok(buf_room(&b, PLAIN, &at));
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)plain, z.avail_in = PLAIN, z.next_out = (Bytef *)at, z.avail_out = PLAIN;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    b.n = z.total_out;
    deflateEnd(&z);
    return b;
}

static struct buf compressed(enum coding coding)
{
    struct buf b = {0};
    char *at;
    size_t n = PLAIN;
    if (coding == CODING_GZIP || coding == CODING_DEFLATE)
        return deflated(coding == CODING_GZIP ? 31 : 15);
    assert_ok(buf_room(&b, PLAIN, &at));
    if (coding == CODING_BR)
        assert_true(BrotliEncoderCompress(5, 22, BROTLI_MODE_GENERIC, PLAIN, (uint8_t *)plain, &n, (uint8_t *)at));
    else
        n = ZSTD_compress(at, PLAIN, plain, PLAIN, 3);
    b.n = n;
    return b;
}

/* Decode in pieces of `step` bytes in and `room` out. */
static err_t decode(enum coding coding, struct slice in, size_t step, size_t room, struct buf *out, bool *done)
{
    struct decoder *d;
    assert_ok(decoder_new(coding, &d));
    err_t e = NULL;
    while (!e && in.n) {
        struct slice piece = slice_first(in, step);
        in = slice_from(in, piece.n);
        size_t got = 0;
        do {
            char *at;
            assert_ok(buf_room(out, room, &at));
            e = decoder_feed(d, &piece, at, room, &got);
            out->n += e ? 0 : got;
        } while (!e && (piece.n || got == room));
    }
    *done = decoder_done(d);
    decoder_free(d);
    return e;
}

static void every_coding_in_any_pieces(void **state)
{
    (void)state;
    static const size_t steps[][2] = {{1, 7}, {100, 1}, {4096, 4096}, {1 << 20, 1 << 20}};
    for (enum coding c = CODING_GZIP; c <= CODING_ZSTD; c++)
        for (size_t i = 0; i < 4; i++) {
            struct buf in = compressed(c), out = {0};
            bool done = false;
            assert_ok(decode(c, buf_slice(&in), steps[i][0], steps[i][1], &out, &done));
            assert_true(done);
            assert_int_equal(out.n, PLAIN);
            assert_memory_equal(out.p, plain, PLAIN);
            buf_free(&in), buf_free(&out);
        }
}

static void a_cut_body_is_not_done(void **state)
{
    (void)state;
    for (enum coding c = CODING_GZIP; c <= CODING_ZSTD; c++) {
        struct buf in = compressed(c), out = {0};
        bool done = true;
        assert_ok(decode(c, slice_first(buf_slice(&in), in.n - 1), 512, 4096, &out, &done));
        assert_false(done);
        buf_free(&in), buf_free(&out);
    }
}

static void damage_is_an_error(void **state)
{
    (void)state;
    for (enum coding c = CODING_GZIP; c <= CODING_ZSTD; c++) {
        struct buf out = {0};
        bool done;
        assert_err(decode(c, S("\xff\xff\xff this is not compressed at all, not at all"), 64, 64, &out, &done), E_DATA);
        buf_free(&out);
    }
}

static void bare_deflate_and_many_members(void **state)
{
    (void)state;
    bool done;
    struct buf raw = deflated(-15), two = deflated(31), one = deflated(31), out = {0};
    assert_ok(decode(CODING_DEFLATE, buf_slice(&raw), 100, 4096, &out, &done));
    assert_true(done && out.n == PLAIN);
    out.n = 0;
    assert_ok(buf_add(&two, buf_slice(&one)));
    assert_ok(decode(CODING_GZIP, buf_slice(&two), 100, 4096, &out, &done));
    assert_true(done && out.n == 2 * PLAIN);
    out.n = 0;
    assert_ok(buf_add(&one, S("garbage")));
    assert_err(decode(CODING_GZIP, buf_slice(&one), 100, 4096, &out, &done), E_DATA);
    buf_free(&raw), buf_free(&one), buf_free(&two), buf_free(&out);
}

static void names(void **state)
{
    (void)state;
    assert_int_equal(coding_id(S("X-GZip")), CODING_GZIP);
    assert_int_equal(coding_id(S("br")), CODING_BR);
    assert_int_equal(coding_id(S("compress")), CODING_UNKNOWN);
    struct decoder *d = NULL;
    assert_err(decoder_new(CODING_UNKNOWN, &d), E_UNSUPPORTED);
    decoder_free(d);
}

int main(void)
{
    fill();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_coding_in_any_pieces),
        cmocka_unit_test(a_cut_body_is_not_done),
        cmocka_unit_test(damage_is_an_error),
        cmocka_unit_test(bare_deflate_and_many_members),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
