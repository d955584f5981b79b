/* SPDX-License-Identifier: MIT */
#include "dgram/stamp_packet.h"

#include "base/check.h"

/* Seconds from 1900 to 1970, and the length of an NTP era. */
#define NTP_EPOCH INT64_C(2208988800)
#define NTP_ERA   (INT64_C(1) << 32)
#define SECOND_NS INT64_C(1000000000)

uint64_t stamp_time(int64_t wall_ns, bool ptp)
{
    int64_t seconds = wall_ns / SECOND_NS;
    uint64_t ns = (uint64_t)(wall_ns % SECOND_NS);
    if (ptp)
        return (uint64_t)(uint32_t)seconds << 32 | ns;
    /* Rounded up, so that reading it back (rounded down) gives the same nanosecond. */
    uint64_t fraction = ((ns << 32) + (uint64_t)SECOND_NS - 1) / (uint64_t)SECOND_NS;
    return (uint64_t)(uint32_t)(seconds + NTP_EPOCH) << 32 | fraction;
}

int64_t stamp_wall(uint64_t time, bool ptp)
{
    int64_t seconds = (int64_t)(time >> 32);
    uint64_t fraction = time & UINT32_MAX;
    if (ptp)
        return seconds * SECOND_NS + (int64_t)(fraction % (uint64_t)SECOND_NS);
    if (seconds < NTP_ERA / 2)
        seconds += NTP_ERA;
    return (seconds - NTP_EPOCH) * SECOND_NS + (int64_t)(fraction * (uint64_t)SECOND_NS >> 32);
}

uint16_t stamp_error_estimate(int64_t error_ns, bool synchronised, bool ptp)
{
    const int64_t most = 3600 * SECOND_NS;
    uint64_t units = (uint64_t)(error_ns < 0 ? 0 : error_ns > most ? most : error_ns);
    units = units / (uint64_t)SECOND_NS << 32 | (units % (uint64_t)SECOND_NS << 32) / (uint64_t)SECOND_NS;
    unsigned scale = 0;
    while (units >> scale > 255)
        scale++;
    /* Rounded up: an estimate may be too large, never too small. */
    uint64_t multiplier = (units + (UINT64_C(1) << scale) - 1) >> scale;
    if (multiplier > 255)
        multiplier = 128, scale++;
    if (multiplier == 0)
        multiplier = 1;
    return (uint16_t)((synchronised ? STAMP_SYNCHRONISED : 0) | (ptp ? STAMP_PTP : 0) | scale << 8 | multiplier);
}

int64_t stamp_error_ns(uint16_t estimate)
{
    unsigned scale = estimate >> 8 & 0x3f;
    uint64_t multiplier = estimate & 0xff;
    if (scale > 54) /* 48 days a unit: more than anybody's clock error, and the result would overflow */
        scale = 54;
    return (int64_t)((unsigned __int128)(multiplier << scale) * (uint64_t)SECOND_NS >> 32);
}

static void skip(struct cursor *c, size_t n)
{
    (void)cursor_take(c, n);
}

void stamp_test_format(const struct stamp_test *t, bool auth, void *out, size_t size)
{
    CHECK(size >= stamp_size(auth));
    memset(out, 0, size);
    struct cursor c = cursor_writer(out, size);
    cursor_put(&c, t->seq, 4);
    skip(&c, auth ? 12 : 0);
    cursor_put(&c, t->t1, 8);
    cursor_put(&c, t->error, 2);
    cursor_put(&c, t->ssid, 2);
    skip(&c, auth ? 68 + STAMP_TAG : 28);
    size_t rest = cursor_left(&c);
    if (rest >= 4 && rest - 4 <= UINT16_MAX) { /* RFC 8972 section 4.1: Extra Padding */
        cursor_put(&c, STAMP_TLV_UNKNOWN, 1);
        cursor_put(&c, STAMP_TLV_PADDING, 1);
        cursor_put(&c, rest - 4, 2);
    }
}

void stamp_reply_format(const struct stamp_reply *r, bool auth, void *out, size_t size)
{
    CHECK(size >= stamp_size(auth));
    memset(out, 0, size);
    struct cursor c = cursor_writer(out, size);
    cursor_put(&c, r->seq, 4);
    skip(&c, auth ? 12 : 0);
    cursor_put(&c, r->t3, 8);
    cursor_put(&c, r->error, 2);
    cursor_put(&c, r->ssid, 2);
    skip(&c, auth ? 4 : 0);
    cursor_put(&c, r->t2, 8);
    skip(&c, auth ? 8 : 0);
    cursor_put(&c, r->test.seq, 4);
    skip(&c, auth ? 12 : 0);
    cursor_put(&c, r->test.t1, 8);
    cursor_put(&c, r->test.error, 2);
    skip(&c, auth ? 6 : 2);
    cursor_put(&c, r->sender_ttl, 1);
    skip(&c, auth ? 15 + STAMP_TAG : 3);
}

err_t stamp_test_parse(struct slice s, bool auth, struct stamp_test *out)
{
    if (s.n < stamp_size(auth))
        return E_TRUNCATED;
    struct cursor c = cursor_reader(s);
    struct stamp_test t = {0};
    t.seq = cursor_get_u32(&c);
    skip(&c, auth ? 12 : 0);
    t.t1 = cursor_get_u64(&c);
    t.error = cursor_get_u16(&c);
    t.ssid = cursor_get_u16(&c);
    CHECK(!c.bad);
    *out = t;
    return NULL;
}

err_t stamp_reply_parse(struct slice s, bool auth, struct stamp_reply *out)
{
    if (s.n < stamp_size(auth))
        return E_TRUNCATED;
    struct cursor c = cursor_reader(s);
    struct stamp_reply r = {0};
    r.seq = cursor_get_u32(&c);
    skip(&c, auth ? 12 : 0);
    r.t3 = cursor_get_u64(&c);
    r.error = cursor_get_u16(&c);
    r.ssid = cursor_get_u16(&c);
    skip(&c, auth ? 4 : 0);
    r.t2 = cursor_get_u64(&c);
    skip(&c, auth ? 8 : 0);
    r.test.seq = cursor_get_u32(&c);
    skip(&c, auth ? 12 : 0);
    r.test.t1 = cursor_get_u64(&c);
    r.test.error = cursor_get_u16(&c);
    skip(&c, auth ? 6 : 2);
    r.sender_ttl = cursor_get_u8(&c);
    r.test.ssid = r.ssid;
    CHECK(!c.bad);
    *out = r;
    return NULL;
}

void stamp_tlvs_reflect(uint8_t *tlvs, size_t n)
{
    for (size_t at = 0; at < n;) {
        if (n - at < 4)
            return; /* octets too few for a header: plain padding of RFC 8762 */
        size_t length = (size_t)tlvs[at + 2] << 8 | tlvs[at + 3];
        uint8_t flags = tlvs[at + 1] == STAMP_TLV_PADDING ? 0 : STAMP_TLV_UNKNOWN;
        if (length > n - at - 4) {
            tlvs[at] = flags | STAMP_TLV_MALFORMED;
            return;
        }
        if (tlvs[at + 1] == 0) /* type 0 is reserved: zeros of a sender that knows no TLVs, sent back as they came */
            return;
        tlvs[at] = flags;
        at += 4 + length;
    }
}
