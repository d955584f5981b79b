/* SPDX-License-Identifier: MIT */
/* A datagram of any bytes as test, as reply and as TLVs, with and without authentication. */
#include <stdlib.h>

#include "base/check.h"
#include "dgram/stamp_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void both(struct slice s, bool auth)
{
    struct stamp_test t, again;
    struct stamp_reply r, back;
    bool fits = s.n >= stamp_size(auth);
    CHECK((stamp_test_parse(s, auth, &t) == NULL) == fits);
    CHECK((stamp_reply_parse(s, auth, &r) == NULL) == fits);
    if (!fits)
        return;
    char *out = malloc(s.n);
    CHECK(out);
    stamp_test_format(&t, auth, out, s.n);
    CHECK(stamp_test_parse(slice_of(out, s.n), auth, &again) == NULL);
    CHECK(again.seq == t.seq && again.t1 == t.t1 && again.error == t.error && again.ssid == t.ssid);
    stamp_reply_format(&r, auth, out, s.n);
    CHECK(stamp_reply_parse(slice_of(out, s.n), auth, &back) == NULL);
    CHECK(back.seq == r.seq && back.t2 == r.t2 && back.t3 == r.t3 && back.sender_ttl == r.sender_ttl);
    CHECK(back.test.seq == r.test.seq && back.test.t1 == r.test.t1 && back.test.error == r.test.error);
    free(out);
    (void)stamp_wall(t.t1, false);
    (void)stamp_wall(t.t1, true);
    CHECK(stamp_error_ns(t.error) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);
    CHECK(copy);
    if (size)
        memcpy(copy, data, size);
    both(slice_of(data, size), false);
    both(slice_of(data, size), true);
    stamp_tlvs_reflect(copy, size);
    free(copy);
    return 0;
}
