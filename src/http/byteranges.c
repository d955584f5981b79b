/* SPDX-License-Identifier: MIT */
#include "http/byteranges.h"

err_t byteranges_make(struct arena *a, struct slice type, uint64_t size, const struct range *v, int n, uint64_t mark,
                      struct byteranges *out)
{
    struct byteranges b = {.heads = ARENA_ARRAY(a, struct slice, (size_t)n + 1)};
    if (!b.heads)
        return E_NO_MEMORY;
    struct slice line = type.n ? arena_format(a, "Content-Type: %.*s\r\n", SLICE_ARG(type)) : S("");
    for (int i = 0; i < n; i++) {
        b.heads[i] = arena_format(a, "%s--%016llx\r\n%.*sContent-Range: bytes %llu-%llu/%llu\r\n\r\n", i ? "\r\n" : "",
                                  (unsigned long long)mark, SLICE_ARG(line), (unsigned long long)v[i].first,
                                  (unsigned long long)v[i].last, (unsigned long long)size);
        if (!b.heads[i].p)
            return E_NO_MEMORY;
        b.length += b.heads[i].n + (v[i].last - v[i].first + 1);
    }
    b.heads[n] = arena_format(a, "\r\n--%016llx--\r\n", (unsigned long long)mark);
    b.length += b.heads[n].n;
    b.type = arena_format(a, "multipart/byteranges; boundary=%016llx", (unsigned long long)mark);
    if (!line.p || !b.heads[n].p || !b.type.p)
        return E_NO_MEMORY;
    *out = b;
    return NULL;
}
