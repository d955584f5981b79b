/* SPDX-License-Identifier: MIT */
#include "smtp/idn.h"

#include "net/idn.h"

err_t smtp_idn_address(struct arena *a, struct slice address, size_t local_len, struct slice *out)
{
    struct slice domain = slice_from(address, local_len + 1), ascii;
    TRY(idn_to_ascii(a, domain, &ascii));
    if (ascii.p == domain.p) {
        *out = address;
        return NULL;
    }
    *out = arena_format(a, "%.*s@%.*s", (int)local_len, address.p, SLICE_ARG(ascii));
    return out->p ? NULL : E_NO_MEMORY;
}
