/* SPDX-License-Identifier: MIT */
#include "app/ping/describe.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "dgram/stamp_packet.h"

enum { SHOWN = 64 }; /* bytes of a text */

static const char *time_text(uint64_t time, uint16_t error, char out[48])
{
    int64_t wall = stamp_wall(time, error & STAMP_PTP);
    snprintf(out, 48, "%" PRId64 ".%09d", wall / TICK_S, (int)(wall % TICK_S));
    return out;
}

static void describe_test(const struct stamp_test *t, size_t n, const char *kind, char out[DESCRIBE_TEXT])
{
    char t1[48];
    snprintf(out, DESCRIBE_TEXT, "STAMP test%s, %zu bytes: seq=%u T1=%s error=%" PRId64 "ns ssid=%u", kind, n, t->seq,
             time_text(t->t1, t->error, t1), stamp_error_ns(t->error), t->ssid);
}

static void describe_reply(const struct stamp_reply *r, size_t n, const char *kind, char out[DESCRIBE_TEXT])
{
    char t2[48], t3[48];
    snprintf(out, DESCRIBE_TEXT, "STAMP reply%s, %zu bytes: seq=%u T2=%s T3=%s ssid=%u to test seq=%u ttl=%u", kind, n,
             r->seq, time_text(r->t2, r->error, t2), time_text(r->t3, r->error, t3), r->ssid, r->test.seq,
             r->sender_ttl);
}

char *describe(struct slice payload, enum describe_kind kind, bool auth, char out[DESCRIBE_TEXT])
{
    struct stamp_test t;
    struct stamp_reply r;
    char text[4 * SHOWN + 1];
    const char *with = auth ? " (authenticated)" : "";
    if (kind == DESCRIBE_TEST && !stamp_test_parse(payload, auth, &t)) {
        describe_test(&t, payload.n, with, out);
    } else if (kind == DESCRIBE_REPLY && !stamp_reply_parse(payload, auth, &r)) {
        describe_reply(&r, payload.n, with, out);
    } else {
        text_safe(slice_first(payload, SHOWN), text, sizeof text);
        snprintf(out, DESCRIBE_TEXT, "%zu bytes: %s%s", payload.n, text, payload.n > SHOWN ? "..." : "");
    }
    return out;
}
