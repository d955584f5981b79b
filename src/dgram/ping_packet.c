/* SPDX-License-Identifier: MIT */
#include "dgram/ping_packet.h"

#include <inttypes.h>
#include <stdio.h>

void ping_packet_format(uint64_t seq, int64_t wall_ns, struct slice fill, char *out, size_t size)
{
    char text[PING_PACKET_TEXT];
    int64_t us = wall_ns / 1000;
    int n = snprintf(text, sizeof text, "Ping %" PRIu64 " %" PRId64 ".%06d ", seq, us / 1000000, (int)(us % 1000000));
    size_t head = (size_t)n < size ? (size_t)n : size;
    memcpy(out, text, head);
    if (!fill.n)
        fill = PING_PACKET_FILL;
    for (size_t i = head; i < size; i++)
        out[i] = fill.p[(i - head) % fill.n];
}

/* Digits up to `end`, which is cut off too; false when the number is not whole. */
static bool number_until(struct slice *rest, char end, uint64_t *value)
{
    size_t n = 0;
    while (n < rest->n && ascii_digit(rest->p[n]))
        n++;
    if (n == rest->n || rest->p[n] != end || !slice_u64(slice_first(*rest, n), value))
        return false;
    *rest = slice_from(*rest, n + 1);
    return true;
}

static bool parse_time(struct slice rest, int64_t *wall_us)
{
    uint64_t seconds, micros;
    const uint64_t limit = INT64_MAX / 1000000 - 1;
    if (!number_until(&rest, '.', &seconds) || seconds > limit)
        return false;
    const char *decimals = rest.p;
    if (!number_until(&rest, ' ', &micros) || rest.p - decimals != 7)
        return false;
    *wall_us = (int64_t)(seconds * 1000000 + micros);
    return true;
}

struct ping_echo ping_packet_parse(struct slice reply)
{
    struct ping_echo echo = {0};
    for (size_t at = 0; at + 5 < reply.n; at++) {
        struct slice rest = slice_from(reply, at);
        if (!slice_starts_case(rest, S("ping ")))
            continue;
        rest = slice_from(rest, 5);
        if (number_until(&rest, ' ', &echo.seq)) {
            echo.has_seq = true;
            echo.has_time = parse_time(rest, &echo.wall_us);
            return echo;
        }
    }
    return echo;
}
