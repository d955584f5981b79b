/* SPDX-License-Identifier: MIT */
#include "http/body.h"

#include <stdio.h>

#include "http/fields.h"
#include "http/h1_parse.h"
#include "unit.h"

static struct arena arena;

static err_t request(const char *fields, struct body_framing *out)
{
    char text[512];
    struct h1_parse p = {0};
    static struct http_request q;
    size_t used;
    int n = snprintf(text, sizeof text, "POST / HTTP/1.%d\r\nHost: h\r\n%s\r\n", fields[0] == '0' ? 0 : 1,
                     fields[0] == '0' ? fields + 1 : fields);
    assert_ok(h1_parse_request(&p, slice_of(text, (size_t)n), &arena, &q, &used));
    return body_of_request(&q, out);
}

static void requests(void **state)
{
    (void)state;
    struct body_framing f;
    assert_ok(request("", &f));
    assert_int_equal(f.kind, BODY_NONE);
    assert_ok(request("Content-Length: 0\r\n", &f));
    assert_int_equal(f.kind, BODY_NONE);
    assert_ok(request("Content-Length: 42\r\n", &f));
    assert_int_equal(f.kind, BODY_LENGTH);
    assert_int_equal(f.length, 42);
    assert_ok(request("Transfer-Encoding: Chunked\r\n", &f));
    assert_int_equal(f.kind, BODY_CHUNKED);
    assert_err(request("Transfer-Encoding: gzip, chunked\r\n", &f), E_UNSUPPORTED);
}

static void ambiguous_requests(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length:\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: 9223372036854775808\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked;x=y\r\n",
        "0Transfer-Encoding: chunked\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct body_framing f;
        if (request(bad[i], &f) != E_BAD_REQUEST)
            fail_msg("accepted or another error: %s", bad[i]);
    }
}

static err_t response(const char *text, enum http_method m, bool lenient, struct body_framing *out)
{
    struct h1_parse p = {0};
    struct http_response s;
    size_t used;
    bool headless;
    assert_ok(h1_parse_response(&p, slice_z(text), &arena, &s, &used, &headless));
    return body_of_response(&s, m, lenient, out);
}

static void answers(void **state)
{
    (void)state;
    struct body_framing f;
    assert_ok(response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", M_HEAD, false, &f));
    assert_int_equal(f.kind, BODY_NONE);
    assert_ok(response("HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", M_GET, false, &f));
    assert_int_equal(f.kind, BODY_NONE);
    assert_ok(response("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", M_GET, false, &f));
    assert_int_equal(f.length, 5);
    assert_ok(response("HTTP/1.1 200 OK\r\n\r\n", M_GET, false, &f));
    assert_int_equal(f.kind, BODY_CLOSE);
    assert_ok(response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", M_GET, false, &f));
    assert_int_equal(f.kind, BODY_CHUNKED);
    assert_ok(response("HTTP/1.1 200 OK\r\n\r\n", M_CONNECT, false, &f));
    assert_int_equal(f.kind, BODY_NONE);
    const char *both = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_err(response(both, M_GET, false, &f), E_PROTO);
    assert_ok(response(both, M_GET, true, &f));
    assert_int_equal(f.kind, BODY_CHUNKED);
    assert_ok(response("HTTP/1.1 200 OK\r\nTransfer-Encoding: binary\r\n\r\n", M_GET, false, &f));
    assert_int_equal(f.kind, BODY_CLOSE);
    static const char *const applied[] = {"gzip",     "X-Gzip",    "deflate",      "compress",
                                          "xchunked", "chunked;a", "binary, gzip", "\"b\""};
    for (size_t i = 0; i < sizeof applied / sizeof applied[0]; i++) {
        char text[100];
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n", applied[i]);
        assert_err(response(text, M_GET, false, &f), E_UNSUPPORTED);
    }
    const char *differ = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n";
    assert_err(response(differ, M_GET, false, &f), E_PROTO);
    assert_ok(response(differ, M_GET, true, &f));
    assert_int_equal(f.kind, BODY_CLOSE);
    assert_err(response("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", M_GET, false, &f), E_PROTO);
}

/* What is left of Content-Length: its lines joined by "|". */
static void lengths_that_are_passed_on(void **state)
{
    static const struct {
        const char *fields;
        uint16_t status;
        enum http_method method;
        const char *left;
    } rows[] = {
        {"Content-Length: 5\r\n", 200, M_GET, "5"},
        {"Content-Length: 5, 5\r\n", 200, M_GET, "5"},
        {"Content-Length: 5\r\nA: b\r\nContent-Length: 5\r\n", 200, M_GET, "5"},
        {"Content-Length: 5\r\n", 304, M_GET, "5"},
        {"Content-Length: x\r\n", 304, M_GET, ""},
        {"Content-Length: 5, 6\r\n", 200, M_HEAD, ""},
        {"Content-Length: 5\r\n", 204, M_GET, ""},
        {"Content-Length: 0\r\n", 103, M_GET, ""},
        {"Content-Length: 5\r\n", 200, M_CONNECT, ""},
        {"Content-Length: 5\r\n", 403, M_CONNECT, "5"},
        {"A: b\r\n", 200, M_GET, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[200];
        struct h1_parse p = {0};
        struct http_response s;
        size_t used;
        bool headless;
        int n = snprintf(text, sizeof text, "HTTP/1.1 %u x\r\n%s\r\n", rows[i].status, rows[i].fields);
        assert_ok(h1_parse_response(&p, slice_of(text, (size_t)n), &arena, &s, &used, &headless));
        body_settle_length(&s, rows[i].method);
        assert_true(slice_eq(fields_get(&s.fields, F_CONTENT_LENGTH), slice_z(rows[i].left)));
        assert_int_equal(fields_count(&s.fields, F_CONTENT_LENGTH), rows[i].left[0] != 0);
        assert_int_equal(fields_has(&s.fields, F_CONTENT_LENGTH), rows[i].left[0] != 0);
    }
}

/* Decode with pieces of `step` bytes; the length left over after the end goes to *rest. */
static err_t decode(const char *z, size_t step, struct buf *out, struct buf *trailers, size_t *rest)
{
    struct chunked c = {.trailers = trailers};
    struct slice in = slice_z(z);
    bool over = false;
    while (in.n && !over) {
        struct slice piece = slice_first(in, step);
        while (piece.n && !over) {
            size_t used;
            struct slice data;
            TRY(chunked_decode(&c, piece, &used, &data, &over));
            TRY(buf_add(out, data));
            piece = slice_from(piece, used);
            in = slice_from(in, used);
        }
    }
    *rest = in.n;
    return over ? NULL : E_TRUNCATED;
}

static void chunks_in_any_pieces(void **state)
{
    (void)state;
    const char *z = "5\r\nhello\r\n0006;name=\"v\";x\r\n world\r\n1 \t; y\r\n!\r\n0\r\nA: b\r\nC:\r\n\r\nNEXT";
    for (size_t step = 1; step < strlen(z); step++) {
        struct buf out = {0}, trailers = {0};
        size_t rest;
        assert_ok(decode(z, step, &out, &trailers, &rest));
        assert_slice(buf_slice(&out), "hello world!");
        assert_slice(buf_slice(&trailers), "A: b\r\nC:\r\n\r\n");
        assert_int_equal(rest, 4);
        buf_free(&out);
        buf_free(&trailers);
    }
}

static void bad_chunks(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloo\r\n0\r\n\r\n",
        "5\r\nhell\r\n0\r\n\r\n",
        "\r\n",
        "g\r\n",
        "-1\r\n",
        "+1\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n",
        "5 5\r\n",
        "5;\x01\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "1000000000000000\r\n",
        "00000000000000000000000000000000000000000000000000000000000000005\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffffffff\r\n",
        "0\r\nA b\r\n\r\n",
        "0\r\n A: b\r\n\r\n",
        "0\r\nA: b\n\r\n",
        "0\r\nA : b\r\n\r\n",
        "0\r\n\rX",
        "5\rhello",
        ";a\r\n",
        "0\r\n\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf out = {0};
        size_t rest;
        if (decode(bad[i], 100, &out, NULL, &rest) != E_DATA)
            fail_msg("row %zu accepted", i);
        buf_free(&out);
    }
}

static void long_extensions(void **state)
{
    (void)state;
    static char z[CHUNKED_LINE_MAX + 64];
    size_t rest;
    struct buf out = {0};
    memset(z, 'a', sizeof z - 1);
    memcpy(z, "1;", 2);
    assert_err(decode(z, 100, &out, NULL, &rest), E_HEADER_TOO_LARGE);
    buf_free(&out);
}

static void heads(void **state)
{
    (void)state;
    char out[CHUNKED_HEAD_MAX];
    assert_int_equal(chunked_head(0x1a, out), 4);
    assert_memory_equal(out, "1a\r\n", 4);
    assert_int_equal(chunked_head(0, out), 3);
    assert_int_equal(chunked_head(UINT64_MAX, out), 18);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(ambiguous_requests),
        cmocka_unit_test(answers),
        cmocka_unit_test(lengths_that_are_passed_on),
        cmocka_unit_test(chunks_in_any_pieces),
        cmocka_unit_test(bad_chunks),
        cmocka_unit_test(long_extensions),
        cmocka_unit_test(heads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
