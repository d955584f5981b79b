/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/stream.h"
#include "wire/dialogue.h"
#include "wire/trace.h"

static char said[8192];

static void record(void *arg, char who, const char *text)
{
    (void)arg;
    size_t n = strlen(said);
    snprintf(said + n, sizeof said - n, "%c: %s\n", who, text);
}

/* Pieces "C..." and "S..." in turn, fed in bites of `bite` bytes. */
static void play(enum dialogue_kind kind, const char *const *pieces, size_t bite)
{
    struct dialogue d;
    said[0] = 0;
    dialogue_init(&d, kind, false, record, NULL);
    for (; *pieces; pieces++)
        for (struct slice rest = slice_z(*pieces + 1); rest.n; rest = slice_from(rest, bite))
            dialogue_feed(&d, **pieces, slice_first(rest, bite));
    dialogue_end(&d);
}

static void says(enum dialogue_kind kind, const char *const *pieces, const char *want)
{
    for (size_t bite = 1; bite < 4000; bite *= 3) {
        play(kind, pieces, bite);
        if (strcmp(said, want) != 0)
            fail_msg("in bites of %zu:\n%s\ninstead of:\n%s", bite, said, want);
    }
}
#define PIECES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void heads_are_shown_and_bodies_counted(void **state)
{
    (void)state;
    says(DIALOGUE_HTTP,
         PIECES("CGET /a HTTP/1.1\r\nHost: x\r\nAuthorization: Basic abc\r\ncookie:  a=b\r\n\r\n",
                "SHTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: s=t\r\n\r\nhelloHTTP/1.1 204 No Content\r\n\r\n"),
         "C: GET /a HTTP/1.1\nC: Host: x\nC: Authorization: <masked>\nC: cookie: <masked>\n"
         "S: HTTP/1.1 200 OK\nS: Content-Length: 5\nS: Set-Cookie: <masked>\nS: [5 bytes of body]\n"
         "S: HTTP/1.1 204 No Content\n");
    says(DIALOGUE_HTTP, PIECES("SHTTP/1.0 200 OK\n\nuntil the end"), "S: HTTP/1.0 200 OK\nS: [13 bytes of body]\n");
    says(DIALOGUE_HTTP, PIECES("SHTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort"),
         "S: HTTP/1.1 200 OK\nS: Content-Length: 50\nS: [5 of 50 bytes of body]\n");
}

static void answers_without_a_body_are_known(void **state)
{
    (void)state;
    says(DIALOGUE_HTTP,
         PIECES("CHEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                "SHTTP/1.1 103 Early Hints\r\nContent-Length: 4\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
                "SHTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
                "SHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"),
         "C: HEAD / HTTP/1.1\nC: GET / HTTP/1.1\nS: HTTP/1.1 103 Early Hints\nS: Content-Length: 4\n"
         "S: HTTP/1.1 200 OK\nS: Content-Length: 9\nS: HTTP/1.1 304 Not Modified\nS: Content-Length: 9\n"
         "S: HTTP/1.1 200 OK\nS: Content-Length: 1\nS: [1 byte of body]\n");
}

static void chunks_add_up(void **state)
{
    (void)state;
    says(DIALOGUE_HTTP,
         PIECES("CPOST / HTTP/1.1\r\nTransfer-Encoding: gzip, "
                "Chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: 1\r\n\r\n"
                "GET /2 HTTP/1.1\r\n\r\n"),
         "C: POST / HTTP/1.1\nC: Transfer-Encoding: gzip, Chunked\nC: [13 bytes of body]\nC: T: 1\nC: GET /2 "
         "HTTP/1.1\n");
}

static void tunnels_and_upgrades_are_counted(void **state)
{
    (void)state;
    says(DIALOGUE_HTTP,
         PIECES("CCONNECT a:443 HTTP/1.1\r\n\r\n", "SHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "C\x16\x03\x01",
                "S\x16", "Cx"),
         "C: CONNECT a:443 HTTP/1.1\nS: HTTP/1.1 200 OK\nS: Content-Length: 3\nC: [3 bytes]\nS: [1 byte]\nC: [1 "
         "byte]\n");
}

static void frames_of_http2_are_named(void **state)
{
    (void)state;
    struct dialogue d;
    static const char client[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                                 "\0\0\0\4\0\0\0\0\0"
                                 "\0\0\3\1\5\0\0\0\1abc"
                                 "\0\0\4\10\0\0\0\0\0\0\0\1\0"
                                 "\0\0\4\3\0\0\0\0\1\0\0\0\10";
    static const char server[] = "\0\0\0\4\1\0\0\0\0\0\0\13\7\0\0\0\0\0\0\0\0\1\0\0\0\0bye";
    for (size_t bite = 1; bite < 100; bite += 5) {
        said[0] = 0;
        dialogue_init(&d, DIALOGUE_HTTP, false, record, NULL);
        for (struct slice in = slice_of(client, sizeof client - 1); in.n; in = slice_from(in, bite))
            dialogue_feed(&d, 'C', slice_first(in, bite));
        for (struct slice in = slice_of(server, sizeof server - 1); in.n; in = slice_from(in, bite))
            dialogue_feed(&d, 'S', slice_first(in, bite));
        dialogue_end(&d);
        assert_string_equal(said,
                            "C: PRI * HTTP/2.0\nC: SETTINGS\nC: HEADERS stream 1, 3 bytes, END_STREAM, END_HEADERS\n"
                            "C: WINDOW_UPDATE, 256 bytes more\nC: RST_STREAM stream 1, CANCEL\n"
                            "S: SETTINGS, ACK\nS: GOAWAY, NO_ERROR, last stream 1\n");
    }
}

static void messages_of_mail_are_counted(void **state)
{
    (void)state;
    says(DIALOGUE_LINES,
         PIECES("S220 hi\r\n", "CDATA\r\n", "S354 go on\r\n", "CSubject: x\r\n\r\n..\r\n.\r\n", "S250 ok\r\n",
                "CBDAT 4 LAST\r\nabcdQUIT\r\n", "S221 bye\r\n"),
         "S: 220 hi\nC: DATA\nS: 354 go on\nC: [18 bytes of message]\nS: 250 ok\nC: BDAT 4 LAST\nC: [4 bytes of "
         "message]\n"
         "C: QUIT\nS: 221 bye\n");
}

static void lines_without_an_end_are_shown_when_the_other_speaks(void **state)
{
    (void)state;
    says(DIALOGUE_LINES, PIECES("SWelcome\r\n", "Chello", "SHELLO", "Cbye"),
         "S: Welcome\nC: hello\nS: HELLO\nC: bye\n");
}

static void controls_are_escaped_and_long_lines_cut(void **state)
{
    (void)state;
    char line[3002] = "C", want[1200];
    memset(line + 1, 'x', 2999);
    line[3000] = '\n';
    line[3001] = 0;
    says(DIALOGUE_LINES, PIECES("C\x1b[31m\x07\n"), "C: \\x1b[31m\\x07\n");
    snprintf(want, sizeof want, "C: %.1024s... [1975 more bytes]\n", line + 1);
    says(DIALOGUE_LINES, PIECES(line), want);
}

static void garbage_does_no_harm(void **state)
{
    (void)state;
    says(DIALOGUE_HTTP, PIECES("SHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nrest"),
         "S: HTTP/1.1 200 OK\nS: Transfer-Encoding: chunked\nS: [4 bytes]\n");
}

/* The stream: what passes is untouched, and the file says what was said. */
static void the_stream_writes_the_file(void **state)
{
    (void)state;
    char path[] = "/tmp/l7-trace-test-XXXXXX", text[2048] = "";
    close(mkstemp(path));
    struct trace_sink *sink;
    struct stream_mem m;
    char in[64];
    size_t got;
    assert_ok(trace_open(path, false, &sink));
    stream_mem_init(&m, S("235 welcome\r\n"), 0);
    struct stream *s = stream_trace(&m.stream, sink, 'C', TRACE_LINES);
    trace_secret(s, true);
    assert_ok(stream_write(s, S("AUTH PLAIN AGEAYg==\r\n"), TICK_NEVER));
    trace_secret(s, false);
    assert_ok(stream_read(s, in, sizeof in, &got, TICK_NEVER));
    assert_int_equal(got, 13);
    assert_ok(stream_read(s, in, sizeof in, &got, TICK_NEVER));
    assert_int_equal(got, 0);
    trace_note(sink, "a %s", "note\x1b");
    stream_close(s);
    trace_close(sink);
    assert_slice(buf_slice(&m.output), "AUTH PLAIN AGEAYg==\r\n");
    assert_true(m.closed);
    FILE *f = fopen(path, "r");
    char lines[512] = "";
    while (fgets(text, sizeof text, f)) {
        double at = -1;
        int skip = 0;
        assert_int_equal(sscanf(text, "%lf %n", &at, &skip), 1);
        assert_true(at >= 0 && at < 60);
        strncat(lines, text + skip, sizeof lines - strlen(lines) - 1);
    }
    fclose(f);
    unlink(path);
    assert_string_equal(
        lines, "C: AUTH PLAIN <masked>\nS: 235 welcome\n-- a note\\x1b\n-- S closed first; TIME_WAIT stays on S\n");
    buf_free(&m.output);
    assert_ptr_equal(stream_trace(&m.stream, NULL, 'C', TRACE_HTTP), &m.stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_are_shown_and_bodies_counted),
        cmocka_unit_test(answers_without_a_body_are_known),
        cmocka_unit_test(chunks_add_up),
        cmocka_unit_test(tunnels_and_upgrades_are_counted),
        cmocka_unit_test(frames_of_http2_are_named),
        cmocka_unit_test(messages_of_mail_are_counted),
        cmocka_unit_test(lines_without_an_end_are_shown_when_the_other_speaks),
        cmocka_unit_test(controls_are_escaped_and_long_lines_cut),
        cmocka_unit_test(garbage_does_no_harm),
        cmocka_unit_test(the_stream_writes_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
