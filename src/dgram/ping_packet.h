/* SPDX-License-Identifier: MIT */
/*
 * ping_packet.h -- the text that a probe carries, and finding it again in whatever the echo made of it.
 *
 * A probe is "Ping SEQ TIME ", filled to its size with letters: SEQ decimal, TIME in seconds since 1970 with six
 * decimals. It is what the textbook's pinger sends, so any echo server will do: one that upper-cases, one that puts
 * words in front, one that cuts the end off. A reply counts as carrying the number only when the number is whole
 * (a blank follows it); a whole TIME besides tells a reply to this run from a stray one.
 */
#pragma once

#include "base/slice.h"

enum { PING_PACKET_TEXT = 64 }; /* bytes that the numbers can take at most */

/* Write the probe into out[0..size): as much of the text as fits, then `fill` over and over (the lower-case letters
   of PING_PACKET_FILL when it is empty). */
void ping_packet_format(uint64_t seq, int64_t wall_ns, struct slice fill, char *out, size_t size);
#define PING_PACKET_FILL S("abcdefghijklmnopqrstuvwabcdefghi")

struct ping_echo {
    bool has_seq, has_time;
    uint64_t seq;
    int64_t wall_us; /* TIME as it was sent: microseconds since 1970 */
};

/* What the reply shows of the probe, wherever in it that stands and whatever its case. */
struct ping_echo ping_packet_parse(struct slice reply);
