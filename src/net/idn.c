/* SPDX-License-Identifier: MIT */
#include "net/idn.h"

#include <idn2.h>

static bool is_ascii(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return true;
}

/* The mapping makes "a/c" of U+2100 and the library lets it pass: a host name must not become part of a path. */
static bool is_host(const char *z)
{
    for (; *z; z++)
        if (!ascii_alpha(*z) && !ascii_digit(*z) && *z != '-' && *z != '.' && *z != '_')
            return false;
    return true;
}

err_t idn_to_ascii(struct arena *a, struct slice host, struct slice *out)
{
    if (is_ascii(host)) {
        *out = host;
        return NULL;
    }
    struct slice z = arena_copy(a, host);
    char *ascii = NULL;
    if (!z.p)
        return E_NO_MEMORY;
    int rc = idn2_to_ascii_8z(z.p, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (rc != IDN2_OK)
        return fault(E_DATA, "the name '%s' has no ASCII form (%s)", z.p, idn2_strerror(rc));
    bool good = is_host(ascii);
    struct slice copy = arena_copy(a, slice_z(ascii));
    idn2_free(ascii);
    if (!good)
        return fault(E_DATA, "the name '%s' stands for '%.*s', which is no host name", z.p, SLICE_ARG(copy));
    if (!copy.p)
        return E_NO_MEMORY;
    *out = copy;
    return NULL;
}
