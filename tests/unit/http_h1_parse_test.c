/* SPDX-License-Identifier: MIT */
#include "http/h1_parse.h"

#include <stdio.h>
#include <stdlib.h>

#include "http/fields.h"
#include "unit.h"

static struct arena arena;
static struct http_request q;
static size_t used;

/* A copy that ends where the input ends, so that a sanitizer sees any byte read past it. */
static err_t parse_n(struct h1_parse *p, const char *z, size_t n)
{
    static char *copy;
    free(copy);
    copy = malloc(n ? n : 1);
    memcpy(copy, z, n);
    return h1_parse_request(p, slice_of(copy, n), &arena, &q, &used);
}

static err_t parse(const char *z)
{
    struct h1_parse p = {0};
    return parse_n(&p, z, strlen(z));
}

static void a_plain_request(void **state)
{
    (void)state;
    assert_ok(parse("GET /a?b=c HTTP/1.1\r\nHost: h:81\r\nAccept:  x \t\r\nX-Empty:\r\n\r\nrest"));
    assert_int_equal(used, 59);
    assert_int_equal(q.method, M_GET);
    assert_int_equal(q.version, 11);
    assert_slice(q.target.path, "/a");
    assert_slice(q.target.query, "b=c");
    assert_slice(q.target.host, "h");
    assert_int_equal(q.target.port, 81);
    assert_slice(fields_get(&q.fields, F_ACCEPT), "x");
    assert_slice(fields_find(&q.fields, S("x-empty")), "");
    assert_int_equal(q.fields.n, 3);
    assert_ok(parse("\r\nPURGE / HTTP/1.0\r\n\r\n"));
    assert_int_equal(q.method, M_PURGE);
    assert_int_equal(q.version, 10);
    assert_ok(parse("BREW / HTTP/1.9\r\nHost:\r\n\r\n"));
    assert_int_equal(q.method, M_OTHER);
    assert_int_equal(q.version, 11);
}

static void the_forms_of_the_target(void **state)
{
    (void)state;
    assert_ok(parse("GET http://a.example:82/x HTTP/1.1\r\nHost: other\r\n\r\n"));
    assert_int_equal(q.form, TARGET_ABSOLUTE);
    assert_slice(q.target.host, "a.example");
    assert_int_equal(q.target.port, 82);
    assert_ok(parse("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"));
    assert_int_equal(q.form, TARGET_AUTHORITY);
    assert_ok(parse("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_int_equal(q.form, TARGET_ASTERISK);
}

/* Each cut of a request into two is read the same, and nothing past the end is touched. */
static void any_cut_is_the_same(void **state)
{
    (void)state;
    static const char text[] =
        "\r\nPOST /some/path HTTP/1.1\r\nHost: h\r\nUser-Agent: a rather long value, over 16\r\n\r\n";
    const size_t n = sizeof text - 1;
    struct h1_parse slow = {0};
    for (size_t cut = 0; cut < n; cut++) {
        struct h1_parse p = {0};
        assert_ok(parse_n(&p, text, cut));
        assert_int_equal(used, 0);
        assert_ok(parse_n(&p, text, n));
        assert_int_equal(used, n);
        assert_ok(parse_n(&slow, text, cut));
        assert_int_equal(used, 0);
    }
    assert_ok(parse_n(&slow, text, n));
    assert_int_equal(used, n);
    assert_int_equal(q.fields.n, 2);
}

/* With what the last good Host came to at hand, the next one comes to what it would without. */
static void the_last_host_is_known(void **state)
{
    (void)state;
    static const struct {
        const char *value, *host; /* NULL: refused */
        uint16_t port;
        bool ipv6;
    } row[] = {
        {"h.example:81", "h.example", 81, false},
        {"h.example:81", "h.example", 81, false},
        {"h.example:82", "h.example", 82, false},
        {"H.example:82", "H.example", 82, false},
        {"h.example:8x", NULL, 0, false},
        {"u@h.example8", NULL, 0, false},
        {"H.example:82", "H.example", 82, false},
        {"H.example", "H.example", 0, false},
        {"[::1]:8080", "::1", 8080, true},
        {"[::1]:8080", "::1", 8080, true},
        {"h.example1", "h.example1", 0, false},
        {"", "", 0, false},
        {"", "", 0, false},
        {"a-name-that-is-too-long-to-be-kept.but-it-is-read.example.org:8", NULL, 8, false},
        {"h.example1", "h.example1", 0, false},
    };
    struct h1_host known = {0};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct h1_parse p = {.host = &known};
        char text[256];
        int n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", row[i].value);
        err_t e = parse_n(&p, text, (size_t)n);
        if (!row[i].host && !row[i].port) {
            assert_ptr_equal(e, E_BAD_REQUEST);
            continue;
        }
        assert_ok(e);
        if (row[i].host)
            assert_true(slice_eq(q.target.host, slice_z(row[i].host)));
        assert_int_equal(q.target.port, row[i].port);
        assert_int_equal(q.target.ipv6, row[i].ipv6);
        assert_true(q.target.host.p >= q.fields.v[0].value.p); /* in this request, not in an earlier one */
        assert_true(q.target.host.p + q.target.host.n <= q.fields.v[0].value.p + q.fields.v[0].value.n);
    }
}

static void what_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "GET / HTTP/1.1\nHost: h\n\n",
        "GET / HTTP/1.1\r\nHost: h\n\r\n",
        "GET / HTTP/1.1\r\n Host: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost\t: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: \x01\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nfoo\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nf(o: x\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a,b:c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: u@h\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /  HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
        "GET /\r\nHost: h\r\n\r\n",
        "GET /\r\n",
        "GET / http/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.\r\nHost: h\r\n\r\n",
        "GET / HTTP/11.1\r\nHost: h\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET a HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET http:///x HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /#f HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n",
        "CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n",
        "CONNECT h HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /\x7f HTTP/1.1\r\nHost: h\r\n\r\n",
        "G\x01T / HTTP/1.1\r\n\r\n",
        "GET /a%zz HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\r\n\r\n",
        "\x16\x03\x01",
        "GET /\xc3\xa4 HTTP/1.1\r\nHost: h\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "{\"a\":1}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err_t e = parse(bad[i]);
        if (e != E_BAD_REQUEST)
            fail_msg("row %zu gave %s (used %zu)", i, e ? e->name : "no error", used);
    }
    assert_err(parse("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), E_HTTP_VERSION);
    assert_err(parse("GET / HTTP/0.9\r\nHost: h\r\n\r\n"), E_HTTP_VERSION);
    assert_err(parse("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), E_HTTP_VERSION);
}

static void line_feeds_when_allowed(void **state)
{
    (void)state;
    struct h1_parse p = {.accept_lf = true};
    const char *z = "\nGET / HTTP/1.1\nHost: h\r\nA: b\n\nx";
    assert_ok(parse_n(&p, z, strlen(z)));
    assert_int_equal(used, strlen(z) - 1);
    assert_slice(fields_find(&q.fields, S("a")), "b");
    z = "GET / HTTP/1.1\nHost: h\rA: b\n\n";
    assert_err(parse_n(&p, z, strlen(z)), E_BAD_REQUEST);
}

static void limits(void **state)
{
    (void)state;
    static char big[40000];
    int n = snprintf(big, sizeof big, "GET /");
    memset(big + n, 'a', H1_MAX_TARGET);
    assert_err(parse(big), E_URI_TOO_LONG);
    struct h1_parse p = {0}; /* the same in pieces, and below a lower limit */
    assert_ok(parse_n(&p, big, 100));
    memset(big + n, 'a', sizeof big - (size_t)n - 1);
    assert_err(parse_n(&p, big, H1_MAX_HEAD), E_URI_TOO_LONG);
    p = (struct h1_parse){.max_head = 1000};
    assert_err(parse_n(&p, big, 1000), E_URI_TOO_LONG);
    n = snprintf(big, sizeof big, "GET / HTTP/1.1\r\nHost: h\r\nA: ");
    memset(big + n, 'a', sizeof big - (size_t)n - 1);
    p = (struct h1_parse){0};
    assert_ok(parse_n(&p, big, H1_MAX_HEAD - 1));
    assert_int_equal(used, 0);
    assert_err(parse_n(&p, big, H1_MAX_HEAD), E_HEADER_TOO_LARGE);
    p = (struct h1_parse){.max_head = 20};
    const char *z = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_err(parse_n(&p, z, strlen(z)), E_HEADER_TOO_LARGE);
    size_t at = (size_t)snprintf(big, sizeof big, "GET / HTTP/1.1\r\nHost: h\r\n");
    for (int i = 0; i < H1_MAX_FIELDS; i++)
        at += (size_t)snprintf(big + at, sizeof big - at, "A: b\r\n");
    snprintf(big + at, sizeof big - at, "\r\n");
    assert_err(parse(big), E_HEADER_TOO_LARGE);
    memset(big, 'A', 100);
    assert_err(parse(big), E_METHOD_UNKNOWN);
}

static void responses(void **state)
{
    (void)state;
    struct http_response s;
    bool headless;
    struct h1_parse p = {0};
    assert_ok(h1_parse_response(&p, S("HTTP/1.1 200 OK\r\nAge: 1\r\n\r\nx"), &arena, &s, &used, &headless));
    assert_int_equal(used, 27);
    assert_int_equal(s.status, 200);
    assert_slice(s.reason, "OK");
    assert_ok(h1_parse_response(&p, S("HTTP/1.0 404\r\n\r\n"), &arena, &s, &used, &headless));
    assert_int_equal(s.status, 404);
    assert_int_equal(s.version, 10);
    assert_ok(h1_parse_response(&p, S("HTTP/1.1 20"), &arena, &s, &used, &headless));
    assert_int_equal(used, 0);
    p.seen = 0;
    assert_err(h1_parse_response(&p, S("HTTP/1.1 200 OK\n\n"), &arena, &s, &used, &headless), E_PROTO);
    assert_err(h1_parse_response(&p, S("hello"), &arena, &s, &used, &headless), E_PROTO);
    assert_err(h1_parse_response(&p, S("HTTP/1.1 20x OK\r\n\r\n"), &arena, &s, &used, &headless), E_PROTO);
    assert_ok(h1_parse_response(&p, S("HTTP/1.1 200 OK\r\nA \t: b\r\n\r\n"), &arena, &s, &used, &headless));
    assert_slice(s.fields.v[0].name, "A");
    assert_slice(s.fields.v[0].value, "b");
    assert_err(h1_parse_response(&p, S("HTTP/1.1 200 OK\r\nA b: c\r\n\r\n"), &arena, &s, &used, &headless), E_PROTO);
    assert_err(h1_parse_response(&p, S("HTTP/1.1 200 OK\r\n : c\r\n\r\n"), &arena, &s, &used, &headless), E_PROTO);
}

static void textbook_responses(void **state)
{
    (void)state;
    struct http_response s;
    bool headless;
    struct h1_parse p = {.lenient = true};
    struct slice in = S("\nHTTP/1.1 200 OK\nfoo\nA : b\n c\n\nbody");
    assert_ok(h1_parse_response(&p, in, &arena, &s, &used, &headless));
    assert_int_equal(used, in.n - 4);
    assert_false(headless);
    assert_int_equal(s.fields.n, 1);
    assert_slice(fields_find(&s.fields, S("A")), "b c");
    assert_ok(
        h1_parse_response(&p, S("HTTP/1.1 200 OK\n x\nA:\n 5\nB: 1\n\t2\n  3\n\n"), &arena, &s, &used, &headless));
    assert_slice(fields_find(&s.fields, S("A")), "5");
    assert_slice(fields_find(&s.fields, S("B")), "1 2 3");
    assert_err(h1_parse_response(&p, slice_of("HTTP/1.1 200 OK\nA: \0\n\n", 22), &arena, &s, &used, &headless),
               E_PROTO);
    assert_ok(h1_parse_response(&p, S("<html>hello"), &arena, &s, &used, &headless));
    assert_true(headless);
    assert_int_equal(s.version, 9);
    assert_int_equal(used, 0);
}

static void trailers(void **state)
{
    (void)state;
    struct http_fields f;
    assert_ok(h1_parse_trailers(S("A: b\r\nETag: \"x\"\r\n\r\n"), &arena, &f));
    assert_int_equal(f.n, 2);
    assert_err(h1_parse_trailers(S("A: b\r\n"), &arena, &f), E_DATA);
    assert_err(h1_parse_trailers(S("\r\nA: b\r\n\r\n"), &arena, &f), E_DATA);
}

static bool keeps(const char *z)
{
    assert_ok(parse(z));
    return h1_keep_alive(q.version, &q.fields);
}

static void staying_open(void **state)
{
    (void)state;
    assert_true(keeps("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_false(keeps("GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n"));
    assert_false(keeps("GET / HTTP/1.0\r\n\r\n"));
    assert_true(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
    assert_false(keeps("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"));
}

static int done(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_plain_request, done),
        cmocka_unit_test_teardown(the_forms_of_the_target, done),
        cmocka_unit_test_teardown(any_cut_is_the_same, done),
        cmocka_unit_test_teardown(the_last_host_is_known, done),
        cmocka_unit_test_teardown(what_is_refused, done),
        cmocka_unit_test_teardown(line_feeds_when_allowed, done),
        cmocka_unit_test_teardown(limits, done),
        cmocka_unit_test_teardown(responses, done),
        cmocka_unit_test_teardown(textbook_responses, done),
        cmocka_unit_test_teardown(trailers, done),
        cmocka_unit_test_teardown(staying_open, done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
