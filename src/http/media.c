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

bool media_compressible(struct slice type)
{
    static const struct slice kinds[] = {{"text/", 5},
                                         {"application/json", 16},
                                         {"application/xml", 15},
                                         {"application/ld+json", 19},
                                         {"application/manifest+json", 25},
                                         {"application/atom+xml", 20},
                                         {"application/rss+xml", 19},
                                         {"application/xhtml+xml", 21},
                                         {"image/svg+xml", 13},
                                         {"application/wasm", 16},
                                         {"application/yaml", 16},
                                         {"application/toml", 16},
                                         {"application/sql", 15},
                                         {"application/rtf", 15},
                                         {"font/ttf", 8},
                                         {"font/otf", 8},
                                         {"image/bmp", 9},
                                         {"image/vnd.microsoft.icon", 24}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (slice_starts_case(type, kinds[i]))
            return true;
    return false;
}
