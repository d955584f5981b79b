/* SPDX-License-Identifier: MIT */
#include "smtp/idn.h"

#include <idn2.h>

#include "smtp/address.h"

err_t smtp_idn_domain(struct arena *a, struct slice domain, struct slice *out)
{
    if (smtp_is_ascii(domain)) {
        *out = domain;
        return NULL;
    }
    struct slice z = arena_copy(a, domain);
    char *ascii = NULL;
    if (!z.p)
        return E_NO_MEMORY;
    int rc = idn2_to_ascii_8z(z.p, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (rc != IDN2_OK)
        return fault(E_DATA, "the domain '%s' has no ASCII form (%s)", z.p, idn2_strerror(rc));
    *out = arena_copy(a, slice_z(ascii));
    idn2_free(ascii);
    return out->p ? NULL : E_NO_MEMORY;
}

err_t smtp_idn_address(struct arena *a, struct slice address, size_t local_len, struct slice *out)
{
    struct slice domain = slice_from(address, local_len + 1), ascii;
    TRY(smtp_idn_domain(a, domain, &ascii));
    if (ascii.p == domain.p) {
        *out = address;
        return NULL;
    }
    *out = arena_format(a, "%.*s@%.*s", (int)local_len, address.p, SLICE_ARG(ascii));
    return out->p ? NULL : E_NO_MEMORY;
}
