/* SPDX-License-Identifier: MIT */
/* checksum.c -- --checksum ALGORITHM:HEX: the body is hashed as it is written, and keeps its temporary name when the
   digest is another one. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/get/get_impl.h"
#include "base/text.h"

enum { PIECE = 64 << 10 };

static err_t add_file(struct digest *d, int fd, const char *path, uint64_t n)
{
    AUTO(buf_free) struct buf b = {0};
    char *at;
    TRY(buf_room(&b, PIECE, &at));
    for (uint64_t off = 0; off < n;) {
        ssize_t got = pread(fd, at, PIECE, (off_t)off);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return fault(got ? err_errno(errno) : E_CHANGED, "%s", path);
        digest_add(d, slice_of(at, (size_t)got));
        off += (uint64_t)got;
    }
    return NULL;
}

err_t checksum_begin(struct transfer *t)
{
    const char *spec = t->run->conf->checksum;
    if (!spec)
        return NULL;
    struct slice s = slice_z(spec), name;
    digest_free(t->digest);
    t->digest = NULL;
    if (!slice_has(s, ':') || !slice_cut(&s, ':', &name))
        return fault(E_USAGE, "--checksum %s: ALGORITHM:HEX is wanted", spec);
    TRY(digest_new(name, &t->digest));
    return t->resuming ? add_file(t->digest, t->output.fd, t->output.part, t->start) : NULL;
}

err_t checksum_file(struct transfer *t)
{
    return t->digest ? add_file(t->digest, t->output.fd, t->output.part, t->output.at) : NULL;
}

err_t checksum_check(struct transfer *t)
{
    if (!t->digest)
        return NULL;
    AUTO(buf_free) struct buf got = {0};
    uint8_t digest[DIGEST_MAX];
    struct slice want = slice_z(t->run->conf->checksum);
    want = slice_from(want, slice_find(want, ':', 0) + 1);
    TRY(text_hex_add(&got, slice_of(digest, digest_end(t->digest, digest))));
    if (slice_eq_case(buf_slice(&got), want))
        return NULL;
    t->output.spoiled = true;
    return fault(E_CHECKSUM, "wanted %.*s, got %.*s", SLICE_ARG(want), SLICE_ARG(buf_slice(&got)));
}
