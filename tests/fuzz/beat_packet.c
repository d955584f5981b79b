/* SPDX-License-Identifier: MIT */
/* Heartbeat datagrams: what is read can be written again, byte by byte, and no id holds a control character. */
#include "dgram/beat_packet.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void beat(struct slice s)
{
    struct beat b;
    uint8_t out[BEAT_MAX];
    if (beat_parse(s, &b))
        return;
    CHECK(beat_id_valid(b.id));
    size_t n = beat_format(&b, out);
    CHECK(n + (b.seal.sealed ? BEAT_TAG : 0) == s.n && memcmp(out, s.p, n) == 0);
}

static void text(struct slice s)
{
    struct beat b, again;
    char out[64];
    if (beat_parse_text(s, &b))
        return;
    size_t n = beat_format_text(&b, out, sizeof out);
    CHECK(!beat_parse_text(slice_of(out, n), &again));
    CHECK(again.sequence == b.sequence && again.sent_ns / 1000 == b.sent_ns / 1000);
}

static void answer(struct slice s)
{
    struct beat_answer a;
    struct cursor c;
    struct beat_row row;
    if (beat_answer_parse(s, &a, &c))
        return;
    for (int i = 0; i < a.rows && !beat_answer_next(&c, &row); i++)
        CHECK(beat_id_valid(row.id) && row.state < BEAT_STATES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice s = slice_of(data, size);
    struct beat_ask ask;
    (void)beat_kind(s);
    beat(s);
    text(s);
    answer(s);
    if (!beat_ask_parse(s, &ask))
        CHECK(size >= BEAT_ASK_MIN);
    return 0;
}
