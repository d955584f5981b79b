/* SPDX-License-Identifier: MIT */
#include "app/get/decode.h"

#include <stdlib.h>

#include "http/fields.h"

enum { DECODE_ROOM = 32 << 10 };

err_t decode_start(struct decode *d, const struct http_fields *fields)
{
    struct fields_list list = {.fields = fields, .id = F_CONTENT_ENCODING};
    for (struct slice name; fields_element(&list, &name);) {
        enum coding coding = coding_id(name);
        if (coding == CODING_IDENTITY)
            continue;
        if (coding == CODING_UNKNOWN || d->depth == DECODE_DEPTH)
            return fault(E_UNSUPPORTED, "content coding '%.*s'", SLICE_ARG(name));
        TRY(decoder_new(coding, &d->v[d->depth]));
        d->room[d->depth] = malloc(DECODE_ROOM);
        if (!d->room[d->depth++])
            return E_NO_MEMORY;
    }
    return NULL;
}

/* Codings were applied in the order of their names, so the last one comes off first. */
static err_t feed(struct decode *d, int level, struct slice in)
{
    size_t got;
    if (level == 0)
        return in.n ? d->sink(d->arg, in) : NULL;
    do {
        TRY(decoder_feed(d->v[level - 1], &in, d->room[level - 1], DECODE_ROOM, &got));
        TRY(feed(d, level - 1, slice_of(d->room[level - 1], got)));
    } while (in.n || got == DECODE_ROOM);
    return NULL;
}

err_t decode_bytes(struct decode *d, struct slice in)
{
    return feed(d, d->depth, in);
}

err_t decode_end(struct decode *d)
{
    for (int i = 0; i < d->depth; i++)
        if (!decoder_done(d->v[i]))
            return fault(E_TRUNCATED, "the compressed body");
    return NULL;
}

void decode_free(struct decode *d)
{
    for (int i = 0; i < d->depth; i++) {
        decoder_free(d->v[i]);
        free(d->room[i]);
    }
    d->depth = 0;
}
