/* SPDX-License-Identifier: MIT */
/* A reply of any bytes: what is found must lie in it, and its upper-case form must say the same. */
#include <stdlib.h>

#include "base/check.h"
#include "dgram/impair.h"
#include "dgram/ping_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *upper = malloc(size + 1);
    CHECK(upper);
    if (size)
        memcpy(upper, data, size);
    impair_uppercase(upper, size);
    struct ping_echo a = ping_packet_parse(slice_of(data, size)), b = ping_packet_parse(slice_of(upper, size));
    CHECK(a.has_seq == b.has_seq && a.has_time == b.has_time);
    CHECK(!a.has_seq || (a.seq == b.seq && size >= 7));
    CHECK(!a.has_time || (a.has_seq && a.wall_us == b.wall_us));
    free(upper);
    return 0;
}
