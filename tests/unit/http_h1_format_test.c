/* SPDX-License-Identifier: MIT */
#include "http/h1_format.h"

#include "http/access_log.h"
#include "http/client.h"
#include "http/clients.h"
#include "http/exchange.h"
#include "http/fields.h"
#include "http/h1_parse.h"
#include "http/media.h"
#include "unit.h"

static void heads(void **state)
{
    (void)state;
    struct buf b = {0};
    struct client_request rq = {.method = S("GET"), .host = S("h"), .target = S("/a?b")};
    assert_ok(client_request_head(&rq, &b));
    assert_slice(buf_slice(&b), "GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n");
    b.n = 0;
    assert_ok(h1_format_status_line(&b, 404, SLICE_NONE));
    assert_ok(h1_format_status_line(&b, 299, SLICE_NONE));
    assert_ok(h1_format_status_line(&b, 200, S("Fine")));
    assert_slice(buf_slice(&b), "HTTP/1.1 404 Not Found\r\nHTTP/1.1 299 \r\nHTTP/1.1 200 Fine\r\n");
    buf_free(&b);
}

static void nothing_that_splits_a_line(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_err(h1_format_field(&b, S("A"), S("b\r\nSet-Cookie: c")), E_INTERNAL);
    assert_err(h1_format_field(&b, S("A\n"), S("b")), E_INTERNAL);
    static const struct slice targets[] = {S("/ HTTP/1.1\r\n"), S("/a b"), S("/a\tb"),
                                           S("/a\177"),         S("/a\n"), S("/\0")};
    struct client_request rq = {.method = S("G T"), .host = S("h"), .target = S("/")};
    assert_err(client_request_head(&rq, &b), E_USAGE);
    rq.method = S("GET");
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        rq.target = targets[i];
        assert_err(client_request_head(&rq, &b), E_USAGE);
    }
    assert_err(h1_format_status_line(&b, 200, S("a\nb")), E_INTERNAL);
    assert_int_equal(b.n, 0);
    buf_free(&b);
}

/* Lines go on as they came only where that is how they would be written; dropped and added ones part the runs. */
static void lines_that_came_in_one_piece(void **state)
{
    (void)state;
    static const char in[] = "HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nVia:x\r\nC : 3\r\nD:  4 \r\nE: \r\nF:\r\nG: 5\n"
                             "Age: 7\r\nH:\t8\r\nI: 9 9\r\n\r\n";
    struct h1_parse parse = {.accept_lf = true};
    struct http_response r = {0};
    struct arena a = {0};
    struct buf b = {0};
    size_t used;
    bool headless;
    assert_ok(h1_parse_response(&parse, slice_z(in), &a, &r, &used, &headless));
    fields_remove(&r.fields, F_AGE);
    assert_true(fields_add_id(&a, &r.fields, F_VIA, S("1.1 l7")));
    assert_ok(h1_format_fields(&b, &r.fields));
    assert_slice(buf_slice(&b), "A: 1\r\nB: 2\r\nVia: x\r\nC: 3\r\nD: 4\r\nE: \r\nF: \r\nG: 5\r\nH: 8\r\nI: 9 9\r\n"
                                "Via: 1.1 l7\r\n");
    buf_free(&b);
    arena_reset(&a);
}

static void html(void **state)
{
    (void)state;
    struct arena a = {0};
    assert_slice(html_escape(&a, S("<a href='x'>&\"\x1b")), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;\\x1b");
    assert_slice(html_escape(&a, S("")), "");
    arena_reset(&a);
}

static void media(void **state)
{
    (void)state;
    assert_slice(media_type(S("a/b.HTML")), "text/html; charset=utf-8");
    assert_slice(media_type(S("b.tar.gz")), "application/gzip");
    assert_slice(media_type(S("7.7z")), "application/x-7z-compressed");
    assert_slice(media_type(S("b.zst")), "application/zstd");
    static const char *const unknown[] = {"html", ".html", "a.html/b", "a.", "", "a.averyveryverylongextension"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        assert_slice(media_type(slice_z(unknown[i])), "application/octet-stream");
}

static struct addr address(const char *z)
{
    struct addr a;
    assert_ok(addr_parse(slice_z(z), 1, &a));
    return a;
}

static void clients_are_counted_by_address_or_network(void **state)
{
    (void)state;
    struct clients *c;
    struct addr a = address("192.0.2.1"), b = address("192.0.2.2"), mapped = address("::ffff:192.0.2.1");
    struct addr six = address("2001:db8::1"), same = address("2001:db8::ffff:1"), other = address("2001:db8:0:1::1");
    assert_ok(clients_new(&c));
    assert_true(clients_enter(c, &a, 2));
    assert_true(clients_enter(c, &mapped, 2));
    assert_false(clients_enter(c, &a, 2));
    assert_true(clients_enter(c, &b, 2));
    assert_true(clients_enter(c, &six, 1));
    assert_false(clients_enter(c, &same, 1));
    assert_true(clients_enter(c, &other, 1));
    clients_leave(c, &a);
    assert_true(clients_enter(c, &a, 2));
    assert_int_equal(clients_count(c), 4);
    clients_leave(c, &b);
    assert_int_equal(clients_count(c), 3);
    clients_free(c);
}

static void log_lines_cannot_be_forged(void **state)
{
    (void)state;
    struct http_field v[4];
    struct addr peer = address("::1");
    struct exchange x = {.peer = &peer, .status = 200, .sent = 12};
    struct buf b = {0};
    x.request = (struct http_request){
        .method_text = S("GET"), .target_text = S("/a"), .version = 11, .fields = {.v = v, .cap = 4}};
    assert_true(fields_push(&x.request.fields, S("User-Agent"), S("x\" 200\n[")));
    assert_ok(access_log_line(&b, ACCESS_COMBINED, &x, 0, 0));
    assert_slice(buf_slice(&b),
                 "::1 - - [01/Jan/1970:00:00:00 +0000] \"GET /a HTTP/1.1\" 200 12 \"-\" \"x\\\" 200\\x0a[\"\n");
    b.n = 0;
    assert_ok(access_log_line(&b, ACCESS_JSON, &x, 0, 1500000));
    assert_slice(buf_slice(&b),
                 "{\"time\":0,\"client\":\"::1\",\"method\":\"GET\",\"target\":\"/a\",\"version\":\"HTTP/1.1\","
                 "\"secure\":false,\"status\":200,\"bytes\":12,\"received\":0,\"seconds\":0.001500,"
                 "\"complete\":true,\"agent\":\"x\\\" 200\\n[\"}\n");
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads),
        cmocka_unit_test(nothing_that_splits_a_line),
        cmocka_unit_test(lines_that_came_in_one_piece),
        cmocka_unit_test(html),
        cmocka_unit_test(media),
        cmocka_unit_test(clients_are_counted_by_address_or_network),
        cmocka_unit_test(log_lines_cannot_be_forged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
