/* SPDX-License-Identifier: MIT */
/* The trace: whatever both sides say, in whatever pieces, gives the same lines, and no control character among them. */
#include "base/check.h"
#include "wire/dialogue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hash(void *arg, char who, const char *text)
{
    uint64_t *h = arg;
    CHECK(who == 'C' || who == 'S');
    for (const char *p = text; *p; p++)
        CHECK((unsigned char)*p >= 0x20 && *p != 0x7f);
    *h = slice_hash(slice_z(text), *h ^ (uint64_t)who);
}

/* The input: a byte for the kind, then pieces, each a byte for who speaks (and whether by sendfile), one for the
   length, and the bytes. */
static uint64_t play(struct slice in, size_t bite)
{
    struct dialogue d;
    uint64_t h = 0;
    dialogue_init(&d, (enum dialogue_kind)((unsigned char)in.p[0] % 3), in.p[0] & 0x40, hash, &h);
    for (in = slice_from(in, 1); in.n > 2;) {
        char who = in.p[0] & 1 ? 'S' : 'C';
        size_t n = (unsigned char)in.p[1];
        bool skip = (in.p[0] & 6) == 6;
        struct slice piece = slice_first(slice_from(in, 2), n);
        d.masked = in.p[0] & 8 ? who : 0;
        if (skip)
            dialogue_skip(&d, who, n);
        else
            for (in = slice_from(in, 2 + piece.n); piece.n; piece = slice_from(piece, bite))
                dialogue_feed(&d, who, slice_first(piece, bite));
        if (skip)
            in = slice_from(in, 2);
    }
    dialogue_end(&d);
    return h;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of(data, size);
    if (size < 1)
        return 0;
    uint64_t whole = play(in, 256);
    CHECK(play(in, 1) == whole);
    CHECK(play(in, 7) == whole);
    return 0;
}
