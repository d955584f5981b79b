/* SPDX-License-Identifier: MIT */
#include "http/encode.h"

#include <brotli/decode.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "base/check.h"

/* RFC 9659: a zstd content coding needs no window above 8 MiB, so nobody may make us hold more. */
enum { ZSTD_WINDOW_LOG = 23, ZLIB_GZIP = 15 + 16, ZLIB_ZLIB = 15, ZLIB_RAW = -15 };

struct decoder {
    enum coding coding;
    bool started, done;
    z_stream z;
    BrotliDecoderState *brotli;
    ZSTD_DStream *zstd;
};

enum coding coding_id(struct slice name)
{
    static const struct {
        struct slice name;
        enum coding id;
    } known[] = {
        {{"gzip", 4}, CODING_GZIP}, {{"x-gzip", 6}, CODING_GZIP}, {{"deflate", 7}, CODING_DEFLATE},
        {{"br", 2}, CODING_BR},     {{"zstd", 4}, CODING_ZSTD},   {{"identity", 8}, CODING_IDENTITY},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (slice_eq_case(name, known[i].name))
            return known[i].id;
    return CODING_UNKNOWN;
}

err_t decoder_new(enum coding coding, struct decoder **out)
{
    if (coding == CODING_UNKNOWN)
        return E_UNSUPPORTED;
    struct decoder *d = calloc(1, sizeof *d);
    if (!d)
        return E_NO_MEMORY;
    d->coding = coding;
    if (coding == CODING_BR)
        d->brotli = BrotliDecoderCreateInstance(NULL, NULL, NULL);
    if (coding == CODING_ZSTD && (d->zstd = ZSTD_createDStream()))
        ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
    if ((coding == CODING_BR && !d->brotli) || (coding == CODING_ZSTD && !d->zstd)) {
        decoder_free(d);
        return E_NO_MEMORY;
    }
    *out = d;
    return NULL;
}

void decoder_free(struct decoder *d)
{
    if (!d)
        return;
    if (d->started && (d->coding == CODING_GZIP || d->coding == CODING_DEFLATE))
        inflateEnd(&d->z);
    if (d->brotli)
        BrotliDecoderDestroyInstance(d->brotli);
    ZSTD_freeDStream(d->zstd);
    free(d);
}

bool decoder_done(const struct decoder *d)
{
    return d->coding == CODING_IDENTITY || d->done;
}

/* "deflate" should be zlib's format (RFC 9110 section 8.4.1.2), but some servers send bare deflate. A first byte of
   zlib's says method 8 and a window of at most 2^15; a bare stream cannot begin so but for odd padding. */
static err_t inflate_start(struct decoder *d, struct slice in)
{
    bool zlib = ((unsigned char)in.p[0] & 0x8f) == 0x08;
    int bits = d->coding == CODING_GZIP ? ZLIB_GZIP : zlib ? ZLIB_ZLIB : ZLIB_RAW;
    if (inflateInit2(&d->z, bits) != Z_OK)
        return E_NO_MEMORY;
    d->started = true;
    return NULL;
}

static err_t feed_zlib(struct decoder *d, struct slice *in, void *out, size_t cap, size_t *got)
{
    if (!d->started)
        TRY(inflate_start(d, *in));
    /* A gzip file may have several members, one behind the other (RFC 1952 section 2.2). */
    if (d->done && (d->coding != CODING_GZIP || inflateReset(&d->z) != Z_OK))
        return fault(E_DATA, "bytes after the end of the compressed body");
    d->done = false;
    uInt room = cap > UINT32_MAX ? UINT32_MAX : (uInt)cap, have = in->n > UINT32_MAX ? UINT32_MAX : (uInt)in->n;
    d->z.next_in = (Bytef *)(uintptr_t)in->p, d->z.avail_in = have;
    d->z.next_out = out, d->z.avail_out = room;
    int r = inflate(&d->z, Z_NO_FLUSH);
    if (r == Z_MEM_ERROR)
        return E_NO_MEMORY;
    if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
        return fault(E_DATA, "compressed body: %s", d->z.msg ? d->z.msg : "not in its coding");
    *got = room - d->z.avail_out;
    *in = slice_from(*in, have - d->z.avail_in);
    d->done = r == Z_STREAM_END;
    return NULL;
}

static err_t feed_brotli(struct decoder *d, struct slice *in, void *out, size_t cap, size_t *got)
{
    if (d->done)
        return fault(E_DATA, "bytes after the end of the compressed body");
    const uint8_t *next = (const uint8_t *)in->p;
    uint8_t *to = out;
    size_t have = in->n, room = cap;
    BrotliDecoderResult r = BrotliDecoderDecompressStream(d->brotli, &have, &next, &room, &to, NULL);
    if (r == BROTLI_DECODER_RESULT_ERROR)
        return fault(E_DATA, "compressed body: %s", BrotliDecoderErrorString(BrotliDecoderGetErrorCode(d->brotli)));
    *got = cap - room;
    *in = slice_from(*in, in->n - have);
    d->done = r == BROTLI_DECODER_RESULT_SUCCESS;
    return NULL;
}

static err_t feed_zstd(struct decoder *d, struct slice *in, void *out, size_t cap, size_t *got)
{
    ZSTD_inBuffer from = {in->p, in->n, 0};
    ZSTD_outBuffer to = {out, cap, 0};
    size_t r = ZSTD_decompressStream(d->zstd, &to, &from);
    if (ZSTD_isError(r))
        return fault(E_DATA, "compressed body: %s", ZSTD_getErrorName(r));
    d->started = true;
    *got = to.pos;
    *in = slice_from(*in, from.pos);
    d->done = r == 0; /* at the end of a frame; another may follow */
    return NULL;
}

static err_t feed_identity(struct slice *in, void *out, size_t cap, size_t *got)
{
    *got = in->n < cap ? in->n : cap;
    if (*got)
        memcpy(out, in->p, *got);
    *in = slice_from(*in, *got);
    return NULL;
}

err_t decoder_feed(struct decoder *d, struct slice *in, void *out, size_t cap, size_t *got)
{
    *got = 0;
    if (in->n == 0 && (d->done || (!d->started && !d->brotli)))
        return NULL; /* nothing held back, nothing new */
    switch (d->coding) {
    case CODING_GZIP:
    case CODING_DEFLATE:
        return feed_zlib(d, in, out, cap, got);
    case CODING_BR:
        return feed_brotli(d, in, out, cap, got);
    case CODING_ZSTD:
        return feed_zstd(d, in, out, cap, got);
    case CODING_IDENTITY:
        return feed_identity(in, out, cap, got);
    case CODING_UNKNOWN:
        break;
    }
    UNREACHABLE();
}
