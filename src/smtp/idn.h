/* SPDX-License-Identifier: MIT */
/* idn.h -- addresses whose domain is written outside of ASCII (net/idn.h). */
#pragma once

#include "base/arena.h"

/* "local@bücher.example" becomes "local@xn--bcher-kva.example"; ASCII domains and literals stay. The local part is
   not touched. `local_len` as in address.h. E_DATA when the domain cannot be spelled that way. */
MUST err_t smtp_idn_address(struct arena *, struct slice address, size_t local_len, struct slice *out);
