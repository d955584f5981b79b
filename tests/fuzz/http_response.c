/* SPDX-License-Identifier: MIT */
/* Response heads, strict and lenient, and the chunked body behind them: everything stays inside of the input, and
   bytes that come one by one mean the same. */
#include "base/check.h"
#include "http/body.h"
#include "http/h1_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct slice part, struct slice in)
{
    CHECK(!part.n || (part.p >= in.p && part.p + part.n <= in.p + in.n));
}

static void body(struct slice in)
{
    struct chunked c = {0};
    uint64_t total = 0;
    bool done = false;
    while (in.n && !done) {
        size_t used;
        struct slice content;
        if (chunked_decode(&c, in, &used, &content, &done))
            return;
        CHECK(used > 0 && used <= in.n);
        inside(content, in);
        total += content.n;
        in = slice_from(in, used);
    }
    CHECK(total <= SIZE_MAX);
}

static void head(struct slice in, bool lenient)
{
    struct arena arena = {0};
    struct h1_parse parse = {.lenient = lenient};
    struct http_response r = {0};
    struct body_framing framing;
    size_t used = 0;
    bool headless = false;
    if (h1_parse_response(&parse, in, &arena, &r, &used, &headless) == NULL && used) {
        CHECK(used <= in.n && r.status >= 100 && r.status <= 999);
        inside(r.reason, in);
        if (body_of_response(&r, M_GET, false, &framing) == NULL && framing.kind == BODY_CHUNKED)
            body(slice_from(in, used));
    }
    arena_reset(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of(data, size);
    head(in, false);
    head(in, true);
    return 0;
}
