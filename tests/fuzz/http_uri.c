/* SPDX-License-Identifier: MIT */
/* URIs: what is accepted survives being written, normalised twice and resolved; no path leaves its root. */
#include "base/check.h"
#include "http/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void path(struct slice in)
{
    char out[4096];
    size_t n;
    if (in.n > sizeof out || !uri_path_decode(in, out, &n))
        return;
    CHECK(n <= in.n && (n == 0 || out[0] != '/'));
    struct slice rest = slice_of(out, n), segment;
    while (slice_cut(&rest, '/', &segment))
        CHECK(!slice_eq(segment, S("..")) && !slice_has(segment, 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of(data, size);
    struct uri u, base, v;
    struct arena a = {0};
    struct buf one = {0}, two = {0};
    path(in);
    if (!uri_parse(in, &u)) {
        CHECK(!uri_add(&one, &u) && one.n <= in.n + 8);
        if (!uri_parse(S("http://a/b/c/d;p?q"), &base) && !uri_resolve(&a, &base, &u, &v))
            CHECK(v.scheme.n > 0);
        one.n = 0;
        if (!uri_normalise(&a, &u, &v) && !uri_add(&one, &v) && !uri_normalise(&a, &v, &v) && !uri_add(&two, &v))
            CHECK(slice_eq(buf_slice(&one), buf_slice(&two)));
    }
    buf_free(&one);
    buf_free(&two);
    arena_reset(&a);
    return 0;
}
