/* SPDX-License-Identifier: MIT */
/* Range values: what is satisfied lies within the size and never adds up to much more than it. Content-Range values: no
   byte at or past the end. */
#include "base/check.h"
#include "http/range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void content(struct slice value)
{
    struct content_range c;
    if (range_content_parse(value, &c))
        CHECK(c.first > c.last ? c.total != UINT64_MAX : c.total == UINT64_MAX || c.last < c.total);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    content(slice_of(data, size));
    static const uint64_t sizes[] = {0, 1, 10, 1000, UINT64_C(1) << 62};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct range v[RANGE_MAX];
        int n = 0;
        uint64_t total = 0;
        if (range_parse(slice_of(data, size), sizes[i], v, &n) != RANGE_SOME)
            continue;
        CHECK(n >= 1 && n <= RANGE_MAX);
        for (int k = 0; k < n; k++) {
            CHECK(v[k].first <= v[k].last && v[k].last < sizes[i]);
            total += (v[k].last - v[k].first + 1) / 4;
        }
        CHECK(total <= sizes[i]); /* at most two overlaps: three times the size, far below four */
    }
    return 0;
}
