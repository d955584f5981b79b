/* SPDX-License-Identifier: MIT */
/* idn.h -- host names in their two spellings: IDNA 2008 with the non-transitional mapping of UTS 46, by libidn2. */
#pragma once

#include "base/arena.h"

/* "bücher.example" in UTF-8 becomes "xn--bcher-kva.example", also from capitals or decomposed letters; what is ASCII
   stays as it is. E_DATA when the name has no such form; E_NO_MEMORY. */
MUST err_t idn_to_ascii(struct arena *, struct slice host, struct slice *out);
