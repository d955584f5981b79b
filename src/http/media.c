/* SPDX-License-Identifier: MIT */
#include "http/media.h"

#include <stdlib.h>

static const struct row {
    struct slice extension, type;
} rows[] = {
#define MEDIA_ROW(extension, type) {{extension, sizeof(extension) - 1}, {type, sizeof(type) - 1}},
#include "http/media.def"
#undef MEDIA_ROW
};

enum { EXTENSION_MAX = 15 };

static int compare(const void *key, const void *row)
{
    return slice_cmp(*(const struct slice *)key, ((const struct row *)row)->extension);
}

struct slice media_type(struct slice name)
{
    size_t dot = name.n;
    while (dot && name.p[dot - 1] != '.' && name.p[dot - 1] != '/')
        dot--;
    char lower[EXTENSION_MAX];
    struct slice e = slice_from(name, dot);
    const struct row *r = NULL;
    if (dot > 1 && name.p[dot - 1] == '.' && name.p[dot - 2] != '/' && e.n <= EXTENSION_MAX) {
        for (size_t i = 0; i < e.n; i++)
            lower[i] = ascii_lower(e.p[i]);
        e.p = lower;
        r = bsearch(&e, rows, sizeof rows / sizeof *rows, sizeof *rows, compare);
    }
    return r ? r->type : S("application/octet-stream");
}
