/* SPDX-License-Identifier: MIT */
/*
 * range.h -- the Range and Content-Range fields (RFC 9110 section 14): which bytes of how many. Pure.
 *
 * Ranges that cannot be satisfied are dropped, as section 14.1.2 says; overlapping or touching ones are joined when
 * they come in order. A request that wants too much work (more than RANGE_MAX ranges, more than two that overlap) is
 * answered with the whole, as section 14.2 allows.
 */
#pragma once

#include "base/slice.h"

enum { RANGE_MAX = 32 };

struct range {
    uint64_t first, last; /* both inclusive */
};

enum range_result {
    RANGE_IGNORE,        /* another unit, malformed or abusive: send the whole */
    RANGE_UNSATISFIABLE, /* 416 */
    RANGE_SOME,
};

/* `value` of a Range field for a representation of `size` bytes. */
enum range_result range_parse(struct slice value, uint64_t size, struct range out[RANGE_MAX], int *n);

struct content_range {
    uint64_t first, last; /* both inclusive; first > last: unsatisfied, as a 416 says it ("bytes * / total") */
    uint64_t total;       /* UINT64_MAX: "*" */
};
/* `value` of a Content-Range field (section 14.4). False when it cannot be read, or when its numbers contradict each
   other; the output is untouched then. */
bool range_content_parse(struct slice value, struct content_range *);
