/* SPDX-License-Identifier: MIT */
/*
 * stamp_packet.h -- the packets of the Simple Two-way Active Measurement Protocol: RFC 8762, with the session
 * identifier and the TLV flags of RFC 8972.
 *
 * Layout in octets. Unauthenticated, 44:
 *   test   sequence 4, T1 8, error estimate 2, session id 2, zero 28
 *   reply  sequence 4, T3 8, error estimate 2, session id 2, T2 8, sender's sequence 4, T1 8, sender's error
 *          estimate 2, zero 2, sender's TTL 1, zero 3
 * Authenticated, 112: the same fields with zeros between them, and in the last 16 octets HMAC-SHA-256 over the first
 * 96, truncated. The digest itself is the caller's business (STAMP_COVERED, STAMP_TAG): this file knows no key.
 * Fields that must be zero are not looked at on receipt.
 *
 * What follows the base packet are TLVs (RFC 8972 section 4): flags 1, type 1, length 2, value.
 */
#pragma once

#include "base/cursor.h"
#include "base/err.h"

enum {
    STAMP_PLAIN = 44, /* octets of the base packet */
    STAMP_AUTH = 112,
    STAMP_COVERED = 96, /* that the HMAC covers */
    STAMP_TAG = 16,     /* of the HMAC that are sent, from octet 96 on */
    STAMP_TTL = 255,    /* sent with (RFC 8762 section 4.2) */
    STAMP_PORT = 862,
};

/* Timestamps as they travel: 32.32 fixed-point seconds since 1900 (NTP), or seconds and nanoseconds since 1970
   (PTPv2 truncated). Which one is told by the Z bit of the error estimate beside it. NTP seconds wrap in 2036; values
   with the first bit clear are taken to lie after that (RFC 4330 section 3). */
uint64_t stamp_time(int64_t wall_ns, bool ptp);
int64_t stamp_wall(uint64_t time, bool ptp);

/* Error estimate: S synchronised, Z format, scale 6 bits, multiplier 8 bits: multiplier * 2^scale * 2^-32 s. The
   multiplier is never 0 (RFC 4656 section 4.1.2); an error below 2^-32 s becomes the smallest one. */
enum { STAMP_SYNCHRONISED = 0x8000, STAMP_PTP = 0x4000 };
uint16_t stamp_error_estimate(int64_t error_ns, bool synchronised, bool ptp);
int64_t stamp_error_ns(uint16_t estimate);

struct stamp_test {
    uint32_t seq;
    uint64_t t1;
    uint16_t error, ssid;
};
struct stamp_reply {
    uint32_t seq;
    uint64_t t3, t2;
    uint16_t error, ssid;
    struct stamp_test test; /* as the reflector saw it */
    uint8_t sender_ttl;
};

/* Write the packet into out[0..size), size >= stamp_size(auth); the tag stays zero for the caller to fill in. In a
   test the rest becomes one Extra Padding TLV (4 octets or more) or zeros. */
void stamp_test_format(const struct stamp_test *, bool auth, void *out, size_t size);
void stamp_reply_format(const struct stamp_reply *, bool auth, void *out, size_t size);
/* E_TRUNCATED when shorter than the base packet. */
MUST err_t stamp_test_parse(struct slice, bool auth, struct stamp_test *);
MUST err_t stamp_reply_parse(struct slice, bool auth, struct stamp_reply *);

/* Answer the TLVs of a test in place (RFC 8972 section 4): flags of what is known are cleared, U is set on the
   unknown, M from the first malformed one on. `tlvs` starts behind the base packet. */
void stamp_tlvs_reflect(uint8_t *tlvs, size_t n);
enum { STAMP_TLV_UNKNOWN = 0x80, STAMP_TLV_MALFORMED = 0x40, STAMP_TLV_PADDING = 1 };

static inline size_t stamp_size(bool auth)
{
    return auth ? STAMP_AUTH : STAMP_PLAIN;
}
