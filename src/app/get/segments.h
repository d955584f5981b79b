/* SPDX-License-Identifier: MIT */
/* segments.h -- --segments N: one file over N connections, each writing its own part of it. */
#pragma once

#include "app/get/get_impl.h"

enum { SEGMENTS_MAX = 16, SEGMENT_MIN = 1 << 20 };

/* Can the body of the open call come in parts? Its length and a validator must be known, and ranges allowed. */
bool segments_wanted(const struct transfer *);
/* The first part is read from the open call, the others are fetched meanwhile, each only if it is still of the same
   thing (If-Range). All or nothing: what is left after a failure has holes. */
MUST err_t segments_fetch(struct transfer *);
