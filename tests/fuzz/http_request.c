/* SPDX-License-Identifier: MIT */
/* Request and response heads, framing and chunked bodies: whatever comes, whole or in two pieces, is read the same. */
#include "base/check.h"
#include "http/body.h"
#include "http/fields.h"
#include "http/h1_parse.h"
#include "http/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void body(struct slice in, size_t step)
{
    struct chunked c = {0};
    bool done = false;
    while (in.n && !done) {
        size_t used;
        struct slice run;
        if (chunked_decode(&c, slice_first(in, step), &used, &run, &done))
            return;
        CHECK(used > 0 && used <= in.n && run.n <= used);
        in = slice_from(in, used);
    }
}

/* The same bytes in two pieces come to the same end. */
static void in_two(struct slice in, size_t used, bool accept_lf)
{
    struct h1_parse p = {.accept_lf = accept_lf};
    struct arena a = {0};
    struct http_request q;
    size_t got;
    err_t e = h1_parse_request(&p, slice_first(in, in.n / 2), &a, &q, &got);
    if (!e && got == 0)
        e = h1_parse_request(&p, in, &a, &q, &got);
    CHECK(e || got == used || used == 0);
    arena_reset(&a);
}

/* A short cut through a plain target, and a Host that is known from before, come to the same as the whole way. */
static void by_short_cuts(struct slice in, const struct http_request *long_way, bool accept_lf)
{
    struct h1_host known = {0};
    struct arena a = {0};
    struct http_request q;
    struct uri u;
    size_t used;
    if (long_way->form == TARGET_ORIGIN)
        CHECK(!uri_parse_origin(long_way->target_text, &u) && slice_eq(u.path, long_way->target.path) &&
              slice_eq(u.query, long_way->target.query) && u.has_query == long_way->target.has_query);
    for (int i = 0; i < 2; i++) {
        struct h1_parse p = {.accept_lf = accept_lf, .host = &known};
        CHECK(!h1_parse_request(&p, in, &a, &q, &used) && used);
        CHECK(q.target.host.p == long_way->target.host.p && q.target.host.n == long_way->target.host.n &&
              q.target.port == long_way->target.port && q.target.ipv6 == long_way->target.ipv6);
    }
    arena_reset(&a);
}

static void request(struct slice in, bool accept_lf)
{
    struct h1_parse p = {.accept_lf = accept_lf};
    struct arena a = {0};
    struct http_request q;
    struct body_framing f;
    size_t used;
    err_t e = h1_parse_request(&p, in, &a, &q, &used);
    if (!e && used) {
        CHECK(used <= in.n && q.version >= 10 && q.method_text.n && q.target_text.n);
        for (uint16_t i = 0; i < q.fields.n; i++)
            CHECK(fields_name_ok(q.fields.v[i].name) && fields_value_ok(q.fields.v[i].value));
        if (!body_of_request(&q, &f) && f.kind == BODY_CHUNKED)
            body(slice_from(in, used), 7);
        (void)h1_keep_alive(q.version, &q.fields);
        in_two(in, used, accept_lf);
        by_short_cuts(in, &q, accept_lf);
    }
    arena_reset(&a);
}

static void response(struct slice in, bool lenient)
{
    struct h1_parse p = {.lenient = lenient};
    struct arena a = {0};
    struct http_response s;
    struct body_framing f;
    size_t used;
    bool headless;
    if (!h1_parse_response(&p, in, &a, &s, &used, &headless) && (used || headless)) {
        err_t e = body_of_response(&s, M_GET, lenient, &f);
        CHECK(e || f.kind <= BODY_CLOSE);
    }
    arena_reset(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of(data, size);
    request(in, false);
    request(in, true);
    response(in, false);
    response(in, true);
    body(in, 1);
    body(in, 4096);
    return 0;
}
