/* SPDX-License-Identifier: MIT */
/*
 * cache_player.c -- plays client and origin around the caching proxy, in virtual time. A script is a text of cases:
 *
 *     case a fresh response is reused
 *     rfc 9111 4.2 "A fresh response is one whose age has not yet exceeded its freshness lifetime."
 *     origin GET /a -> 200 "Cache-Control: max-age=60" : "one"
 *     client GET /a -> 200 : "one"
 *     pass 10s
 *     client GET /a -> 200 hit Age=10 : "one"
 *
 * Lines:
 *     config forward | origins=2 | object-max=N | memory=N          before anything else
 *     origin METHOD PATH [has "Name: value" | lacks NAME]... -> REPLY
 *         queued; the origin must be asked for them in this order, and for nothing else
 *         REPLY: [after TIME] [interim STATUS ["Name: value"]...]... STATUS ["Name: value"]... [FLAGS] [: "body" [pause
 * TIME "more"]...] | reset | close | silent FLAGS: nodate chunked eof (the body ends with the connection) short (fewer
 * bytes than announced) client METHOD PATH ["Name: value"]... [: "body"] -> CHECKS CHECKS: STATUS [hit | fwd=WHY |
 * stored | ...any part of Cache-Status] ["Name: value" | lacks NAME]... [Age=N] [interim STATUS] [: "body" | empty] |
 * broken ask NAME METHOD PATH ...        the same without waiting; later: answer NAME -> CHECKS pass TIME In strings
 * $date, $date+N and $date-N become HTTP dates; the wall clock starts at Thu, 01 Jan 2026 00:00:00 GMT. Strings may be
 * repeated: "ab"*100.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/proxy/proxy.h"
#include "base/check.h"
#include "base/text.h"
#include "http/date.h"
#include "http/server.h"
#include "net/dial.h"
#include "net/listen.h"
#include "rt/io.h"
#include "rt/loop.h"
#include "rt/park.h"
#include "rt/sim.h"

enum { WORDS = 64, QUEUE = 64, ASKS = 2048, PROXY_PORT = 80, ORIGIN_PORT = 8080, PATIENCE_MS = 120000 };
#define START_S INT64_C(1767225600) /* Thu, 01 Jan 2026 00:00:00 GMT */

struct word {
    struct slice text;
    bool quoted;
};
struct line {
    struct word v[WORDS];
    int n, number;
};
struct ask {
    char name[24];
    struct line line;
    int from; /* first word of the request */
    struct buf answer;
    bool done;
};
static struct {
    const char *file;
    struct arena text; /* words, for the length of a case */
    struct line queue[QUEUE];
    int queued, taken;
    struct ask *asks[ASKS];
    int ask_count, number, bad_line;
    char problem[600], title[200];
    struct proxy *proxy;
    struct server *server;
    struct site site;
    struct listen_point front, back[2];
    struct scope people; /* origin and clients */
    bool forward;
    int origins;
} play;

static void fail(int line, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void fail(int line, const char *fmt, ...)
{
    if (play.bad_line)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(play.problem, sizeof play.problem, fmt, ap);
    va_end(ap);
    play.bad_line = line ? line : play.number;
}

/* ---- Words ---- */

static void put_date(struct buf *out, struct slice *rest)
{
    int64_t delta = 0, sign = 1;
    char text[DATE_LENGTH + 1];
    *rest = slice_from(*rest, 5);
    if (rest->n > 1 && (rest->p[0] == '+' || rest->p[0] == '-') && ascii_digit(rest->p[1])) {
        sign = rest->p[0] == '-' ? -1 : 1;
        for (*rest = slice_from(*rest, 1); rest->n && ascii_digit(rest->p[0]); *rest = slice_from(*rest, 1))
            delta = delta * 10 + (rest->p[0] - '0');
    }
    date_format(wall_now() / TICK_S + sign * delta, text);
    CHECK(!buf_add(out, slice_of(text, DATE_LENGTH)));
}

static struct slice expand(struct slice s)
{
    struct buf b = {0};
    while (s.n) {
        if (slice_starts(s, S("$date"))) {
            put_date(&b, &s);
            continue;
        }
        CHECK(!buf_add_char(&b, s.p[0]));
        s = slice_from(s, 1);
    }
    struct slice out = arena_copy(&play.text, buf_slice(&b));
    buf_free(&b);
    return out;
}

static struct slice quoted(struct slice *rest)
{
    struct buf b = {0};
    *rest = slice_from(*rest, 1);
    while (rest->n && rest->p[0] != '"') {
        char c = rest->p[0];
        if (c == '\\' && rest->n > 1) {
            *rest = slice_from(*rest, 1);
            c = rest->p[0] == 'n' ? '\n' : rest->p[0] == 'r' ? '\r' : rest->p[0] == 't' ? '\t' : rest->p[0];
        }
        CHECK(!buf_add_char(&b, c));
        *rest = slice_from(*rest, 1);
    }
    *rest = slice_from(*rest, 1);
    size_t once = b.n, times = 1;
    if (rest->n && rest->p[0] == '*')
        for (times = 0, *rest = slice_from(*rest, 1); rest->n && ascii_digit(rest->p[0]); *rest = slice_from(*rest, 1))
            times = times * 10 + (size_t)(rest->p[0] - '0');
    for (size_t i = 1; i < times; i++) {
        char *at;
        CHECK(!buf_room(&b, once, &at)); /* may move: the source is read after it */
        memcpy(at, b.p, once);
        b.n += once;
    }
    struct slice out = expand(buf_slice(&b));
    buf_free(&b);
    return out;
}

static void split(struct slice text, struct line *l)
{
    l->n = 0;
    l->number = play.number;
    for (;;) {
        text = slice_trim(text);
        if (!text.n || text.p[0] == '#')
            return;
        CHECK(l->n < WORDS);
        struct word *w = &l->v[l->n++];
        w->quoted = text.p[0] == '"';
        if (w->quoted) {
            w->text = quoted(&text);
        } else {
            w->text = arena_copy(&play.text, slice_first(text, slice_find(text, ' ', 0)));
            text = slice_from(text, w->text.n);
        }
    }
}

static bool is(const struct line *l, int i, const char *word)
{
    return i < l->n && !l->v[i].quoted && slice_eq(l->v[i].text, slice_z(word));
}

static int find(const struct line *l, const char *word)
{
    for (int i = 0; i < l->n; i++)
        if (is(l, i, word))
            return i;
    fail(l->number, "no %s in the line", word);
    return l->n;
}

static int64_t number(struct slice s)
{
    uint64_t v = 0;
    if (!slice_u64(s, &v))
        fail(0, "not a number: %.*s", SLICE_ARG(s));
    return (int64_t)v;
}

static int64_t duration(struct slice s)
{
    int64_t ns = 0;
    if (text_duration(s, &ns))
        fail(0, "not a time: %.*s", SLICE_ARG(s));
    return ns;
}

/* ---- Messages as text ---- */

/* Does the head have this "Name: value" line (or, without a colon, any line of that name)? */
static bool head_has(struct slice head, struct slice wanted)
{
    struct slice line;
    size_t colon = slice_find(wanted, ':', 0);
    slice_cut(&head, '\n', &line);
    while (slice_cut(&head, '\n', &line)) {
        if (slice_ends(line, S("\r")))
            line.n--;
        size_t at = slice_find(line, ':', 0);
        if (at == SIZE_MAX || !slice_eq_case(slice_first(line, at), slice_first(wanted, colon)))
            continue;
        if (colon == SIZE_MAX ||
            slice_eq(slice_trim(slice_from(line, at + 1)), slice_trim(slice_from(wanted, colon + 1))))
            return true;
    }
    return false;
}

static struct slice head_value(struct slice head, struct slice name)
{
    struct slice line, last = SLICE_NONE;
    while (slice_cut(&head, '\n', &line)) {
        size_t at = slice_find(line, ':', 0);
        if (at != SIZE_MAX && slice_eq_case(slice_first(line, at), name)) {
            last = slice_trim(slice_from(line, at + 1));
            if (slice_ends(last, S("\r")))
                last.n--;
        }
    }
    return last;
}

static bool read_head(int fd, struct buf *in, struct slice *head)
{
    for (;;) {
        size_t end = slice_find_slice(buf_slice(in), S("\r\n\r\n")), got;
        if (end != SIZE_MAX) {
            *head = slice_first(buf_slice(in), end + 4);
            return true;
        }
        char *at;
        CHECK(!buf_room(in, 4096, &at));
        if (io_read(fd, at, 4096, &got, after(PATIENCE_MS)) || !got)
            return false;
        in->n += got;
    }
}

/* ---- The origin ---- */

static bool send_text(int fd, struct slice s)
{
    return !io_write(fd, s.p, s.n, after(PATIENCE_MS));
}

static void add_head(struct buf *out, uint64_t status, const struct line *l, int *i)
{
    bool date = status < 200, length = false;
    CHECK(!buf_format(out, "HTTP/1.1 %llu Status\r\n", (unsigned long long)status));
    for (; *i < l->n && (l->v[*i].quoted); ++*i) {
        CHECK(!buf_format(out, "%.*s\r\n", SLICE_ARG(l->v[*i].text)));
        date |= slice_starts_case(l->v[*i].text, S("Date:"));
        length |= slice_starts_case(l->v[*i].text, S("Content-Length:"));
    }
    if (!date && !is(l, *i, "nodate")) {
        char text[DATE_LENGTH + 1];
        date_format(wall_now() / TICK_S, text);
        CHECK(!buf_format(out, "Date: %s\r\n", text));
    }
    *i += is(l, *i, "nodate");
    (void)length;
}

static size_t body_size(const struct line *l, int i)
{
    size_t n = 0;
    for (; i < l->n; i++)
        n += l->v[i].quoted ? l->v[i].text.n : 0;
    return n;
}

static bool send_piece(int fd, struct slice s, bool chunked)
{
    char head[32];
    if (!chunked)
        return send_text(fd, s);
    snprintf(head, sizeof head, "%zx\r\n", s.n);
    return send_text(fd, slice_z(head)) && send_text(fd, s) && send_text(fd, S("\r\n"));
}

/* The words after "->". False: the connection is over. */
static bool reply(int fd, const struct line *l, int i, bool bodiless)
{
    struct buf out = {0};
    bool chunked = false, to_eof = false, shorter = false, has_length;
    if (is(l, i, "after")) {
        if (fiber_sleep(now() + duration(l->v[i + 1].text)))
            return false;
        i += 2;
    }
    if (is(l, i, "reset")) {
        sim_abort_connection(fd);
        return false;
    }
    if (is(l, i, "close"))
        return false;
    if (is(l, i, "silent")) {
        if (fiber_sleep(after(1000000)))
            return false;
        return false;
    }
    while (is(l, i, "interim")) {
        uint64_t status = (uint64_t)number(l->v[i + 1].text);
        i += 2;
        add_head(&out, status, l, &i);
        CHECK(!buf_add(&out, S("\r\n")));
    }
    uint64_t status = (uint64_t)number(l->v[i++].text);
    add_head(&out, status, l, &i);
    for (; i < l->n && !is(l, i, ":"); i++) {
        chunked |= is(l, i, "chunked");
        to_eof |= is(l, i, "eof");
        shorter |= is(l, i, "short");
    }
    has_length = head_has(buf_slice(&out), S("Content-Length"));
    if (chunked)
        CHECK(!buf_add(&out, S("Transfer-Encoding: chunked\r\n")));
    else if (!to_eof && !has_length && status != 204 && status != 304)
        CHECK(!buf_format(&out, "Content-Length: %zu\r\n", body_size(l, i) + shorter * 10u));
    CHECK(!buf_add(&out, S("\r\n")));
    bool ok = send_text(fd, buf_slice(&out));
    buf_free(&out);
    for (i++; ok && i < l->n && !bodiless; i++) {
        if (is(l, i, "pause")) {
            ok = !fiber_sleep(now() + duration(l->v[++i].text));
        } else if (l->v[i].quoted) {
            ok = send_piece(fd, l->v[i].text, chunked);
        }
    }
    if (ok && chunked && !shorter)
        ok = send_text(fd, S("0\r\n\r\n"));
    return ok && !to_eof && !shorter;
}

static bool request_fits(const struct line *l, struct slice head)
{
    char first[600];
    snprintf(first, sizeof first, "%.*s %.*s HTTP/1.1\r\n", SLICE_ARG(l->v[1].text), SLICE_ARG(l->v[2].text));
    if (!slice_starts(head, slice_z(first))) {
        fail(l->number, "the origin was asked \"%.*s\"", (int)slice_find(head, '\r', 0), head.p);
        return false;
    }
    for (int i = 3; i < l->n && !is(l, i, "->"); i += 2) {
        bool wanted = is(l, i, "has"), there = i + 1 < l->n && head_has(head, l->v[i + 1].text);
        if (wanted != there) {
            fail(l->number, "the origin's request %s \"%.*s\":\n%.*s", wanted ? "has no" : "has",
                 SLICE_ARG(l->v[i + 1].text), SLICE_ARG(head));
            return false;
        }
    }
    return true;
}

static bool skip_request_body(int fd, struct buf *in, struct slice head)
{
    struct slice length = head_value(head, S("Content-Length"));
    uint64_t n = 0;
    bool chunked = head_has(head, S("Transfer-Encoding")), done = !chunked;
    slice_u64(length, &n);
    buf_eat(in, head.n);
    while (!done || in->n < n) {
        char *at;
        size_t got;
        size_t end = slice_find_slice(buf_slice(in), S("0\r\n\r\n"));
        if (chunked && end != SIZE_MAX) {
            buf_eat(in, end + 5);
            return true;
        }
        CHECK(!buf_room(in, 65536, &at));
        if (io_read(fd, at, 65536, &got, after(PATIENCE_MS)) || !got)
            return false;
        in->n += got;
    }
    buf_eat(in, (size_t)n);
    return true;
}

/* On a connection that was used before, a break is no answer: the proxy may try again on a new one (RFC 9112 section
   9.3.1), and then meets the same break. */
static bool breaks(const struct line *l)
{
    int i = find(l, "->") + 1;
    i += is(l, i, "after") ? 2 : 0;
    return is(l, i, "reset") || is(l, i, "close");
}

static void origin_connection(void *arg)
{
    int fd = (int)(intptr_t)arg, served = 0;
    struct buf in = {0};
    struct slice head;
    while (read_head(fd, &in, &head)) {
        if (play.taken == play.queued) {
            fail(0, "the origin was asked once too often: \"%.*s\"", (int)slice_find(head, '\r', 0), head.p);
            send_text(fd, S("HTTP/1.1 500 Unexpected\r\nContent-Length: 0\r\n\r\n"));
            break;
        }
        const struct line *l = &play.queue[play.taken];
        play.taken += !(served++ && breaks(l));
        bool bodiless = slice_starts(head, S("HEAD "));
        if (!request_fits(l, head) || !skip_request_body(fd, &in, head) || !reply(fd, l, find(l, "->") + 1, bodiless))
            break;
    }
    fault_clear();
    buf_free(&in);
    io_close(fd);
}

static void origin_run(void *arg)
{
    struct listen_point *p = arg;
    int fd;
    struct addr peer;
    while (!io_accept(listen_fd(p, 0), &fd, &peer, TICK_NEVER))
        if (scope_spawn(&play.people, "origin connection", origin_connection, (void *)(intptr_t)fd))
            io_close(fd);
    fault_clear();
}

/* ---- The client ---- */

static struct slice request_text(const struct line *l, int i)
{
    struct buf b = {0};
    bool host = false, connection = false;
    int end = l->n;
    for (int k = i; k < l->n; k++)
        if (is(l, k, "->"))
            end = k;
    struct slice path = l->v[i + 1].text;
    bool whole = slice_find_slice(path, S("://")) != SIZE_MAX;
    CHECK(!buf_format(&b, "%.*s %s%.*s HTTP/1.1\r\n", SLICE_ARG(l->v[i].text),
                      play.forward && !whole ? "http://127.0.0.1:8080" : "", SLICE_ARG(path)));
    struct slice body = SLICE_NONE;
    bool has_body = false;
    for (i += 2; i < end; i++) {
        if (is(l, i, ":")) {
            body = l->v[++i].text;
            has_body = true;
        } else {
            host |= slice_starts_case(l->v[i].text, S("Host:"));
            connection |= slice_starts_case(l->v[i].text, S("Connection:"));
            CHECK(!buf_format(&b, "%.*s\r\n", SLICE_ARG(l->v[i].text)));
        }
    }
    if (!host)
        CHECK(!buf_add(&b, play.forward ? S("Host: 127.0.0.1:8080\r\n") : S("Host: example.test\r\n")));
    if (!connection)
        CHECK(!buf_add(&b, S("Connection: close\r\n")));
    if (has_body)
        CHECK(!buf_format(&b, "Content-Length: %zu\r\n", body.n));
    CHECK(!buf_add(&b, S("\r\n")));
    CHECK(!buf_add(&b, body));
    struct slice out = arena_copy(&play.text, buf_slice(&b));
    buf_free(&b);
    return out;
}

/* One request on a connection of its own; everything that comes back, to the end of the connection. */
static void exchange_all(struct slice request, struct buf *answer)
{
    struct addr a;
    int fd = -1;
    CHECK(!addr_parse(S("127.0.0.1"), PROXY_PORT, &a));
    if (dial_addr(&a, NULL, &fd, after(PATIENCE_MS))) {
        fail(0, "cannot connect to the proxy");
        return;
    }
    size_t got = 1;
    if (send_text(fd, request))
        while (got) {
            char *at;
            CHECK(!buf_room(answer, 65536, &at));
            if (io_read(fd, at, 65536, &got, after(PATIENCE_MS)))
                break;
            answer->n += got;
        }
    fault_clear();
    io_close(fd);
}

static void ask_run(void *arg)
{
    struct ask *a = arg;
    exchange_all(request_text(&a->line, a->from), &a->answer);
    a->done = true;
}

struct message {
    struct slice head, body;
    uint64_t status;
    bool broken;
};

static struct slice unchunk(struct slice in, bool *broken)
{
    struct buf out = {0};
    *broken = true;
    while (in.n) {
        size_t end = slice_find_slice(in, S("\r\n"));
        uint64_t n = 0;
        if (end == SIZE_MAX || !slice_hex_u64(slice_first(in, end), &n))
            break;
        in = slice_from(in, end + 2);
        if (!n) {
            *broken = in.n < 2;
            break;
        }
        if (in.n < n + 2)
            break;
        CHECK(!buf_add(&out, slice_first(in, (size_t)n)));
        in = slice_from(in, (size_t)n + 2);
    }
    struct slice text = arena_copy(&play.text, buf_slice(&out));
    buf_free(&out);
    return text;
}

static bool message_next(struct slice *in, bool head_only, struct message *m)
{
    size_t end = slice_find_slice(*in, S("\r\n\r\n"));
    *m = (struct message){0};
    if (end == SIZE_MAX || in->n < 12 || !slice_u64(slice_of(in->p + 9, 3), &m->status))
        return false;
    m->head = slice_first(*in, end + 4);
    *in = slice_from(*in, end + 4);
    if (m->status < 200)
        return true;
    uint64_t length = 0;
    bool none = head_only || m->status == 204 || m->status == 304;
    if (none) {
        m->body = *in;
    } else if (head_has(m->head, S("Transfer-Encoding: chunked"))) {
        m->body = unchunk(*in, &m->broken);
    } else if (slice_u64(head_value(m->head, S("Content-Length")), &length)) {
        m->broken = in->n != length;
        m->body = slice_first(*in, (size_t)length);
    } else {
        m->body = *in;
    }
    return true;
}

static void check_word(const struct line *l, int *i, const struct message *m, struct slice interims)
{
    struct slice w = l->v[*i].text, status = head_value(m->head, S("Cache-Status"));
    if (l->v[*i].quoted) {
        if (!head_has(m->head, w))
            fail(l->number, "no \"%.*s\" in\n%.*s", SLICE_ARG(w), SLICE_ARG(m->head));
    } else if (is(l, *i, "lacks")) {
        w = l->v[++*i].text;
        if (head_has(m->head, w))
            fail(l->number, "\"%.*s\" is in\n%.*s", SLICE_ARG(w), SLICE_ARG(m->head));
    } else if (is(l, *i, "interim")) {
        char text[32];
        w = l->v[++*i].text;
        snprintf(text, sizeof text, "HTTP/1.1 %.*s ", SLICE_ARG(w));
        if (slice_find_slice(interims, slice_z(text)) == SIZE_MAX)
            fail(l->number, "no interim %.*s", SLICE_ARG(w));
    } else if (slice_starts(w, S("Age="))) {
        if (!slice_eq(head_value(m->head, S("Age")), slice_from(w, 4)))
            fail(l->number, "Age is %.*s", SLICE_ARG(head_value(m->head, S("Age"))));
    } else if (is(l, *i, "empty")) {
        if (m->body.n)
            fail(l->number, "a body of %zu bytes", m->body.n);
    } else if (slice_find_slice(status, w) == SIZE_MAX) {
        fail(l->number, "no %.*s in Cache-Status \"%.*s\"", SLICE_ARG(w), SLICE_ARG(status));
    }
}

static void check_answer(const struct line *l, struct slice all, bool head_only)
{
    struct message m = {0};
    struct slice rest = all;
    int i = find(l, "->") + 1;
    bool some = message_next(&rest, head_only, &m);
    while (some && m.status < 200)
        some = message_next(&rest, head_only, &m);
    struct slice interims = slice_first(all, some ? (size_t)(m.head.p - all.p) : 0);
    if (is(l, i, "broken")) {
        if (some && !m.broken)
            fail(l->number, "the answer is whole:\n%.*s", SLICE_ARG(m.head));
        return;
    }
    if (!some || m.broken) {
        fail(l->number, "the answer is broken (%zu bytes)", all.n);
        return;
    }
    if (m.status != (uint64_t)number(l->v[i].text))
        fail(l->number, "status %llu:\n%.*s", (unsigned long long)m.status, (int)(all.n > 500 ? 500 : all.n), all.p);
    for (i++; i < l->n && !play.bad_line; i++) {
        if (!is(l, i, ":")) {
            check_word(l, &i, &m, interims);
        } else if (!slice_eq(m.body, l->v[++i].text)) {
            fail(l->number, "the body is \"%.*s\"", (int)(m.body.n > 200 ? 200 : m.body.n), m.body.p);
        }
    }
}

/* ---- Lines ---- */

static struct ask *ask_new(const struct line *l, int from)
{
    CHECK(play.ask_count < ASKS);
    struct ask *a = calloc(1, sizeof *a);
    CHECK(a);
    a->line = *l;
    a->from = from;
    play.asks[play.ask_count++] = a;
    return a;
}

static bool is_head(const struct ask *a)
{
    return slice_eq(a->line.v[a->from].text, S("HEAD"));
}

static void line_client(const struct line *l)
{
    struct ask *a = ask_new(l, 1);
    ask_run(a);
    if (!play.bad_line)
        check_answer(l, buf_slice(&a->answer), is_head(a));
}

static void line_ask(const struct line *l)
{
    struct ask *a = ask_new(l, 2);
    CHECK(slice_to_z(l->v[1].text, a->name, sizeof a->name));
    CHECK(!scope_spawn(&play.people, "client", ask_run, a));
}

static void line_answer(const struct line *l)
{
    struct ask *a = NULL;
    for (int i = 0; i < play.ask_count; i++)
        if (slice_eq(slice_z(play.asks[i]->name), l->v[1].text))
            a = play.asks[i];
    if (!a) {
        fail(l->number, "nobody of that name has asked");
        return;
    }
    for (tick by = after(PATIENCE_MS); !a->done && now() < by;)
        CHECK(!fiber_sleep(now() + TICK_MS));
    if (!a->done)
        fail(l->number, "no answer came");
    else
        check_answer(l, buf_slice(&a->answer), is_head(a));
}

static void line_run(struct slice text)
{
    struct line l;
    split(text, &l);
    if (!l.n || is(&l, 0, "rfc") || is(&l, 0, "config") || is(&l, 0, "case"))
        return;
    if (is(&l, 0, "origin")) {
        CHECK(play.queued < QUEUE);
        play.queue[play.queued++] = l;
    } else if (is(&l, 0, "client")) {
        line_client(&l);
    } else if (is(&l, 0, "ask")) {
        line_ask(&l);
    } else if (is(&l, 0, "answer")) {
        line_answer(&l);
    } else if (is(&l, 0, "pass")) {
        CHECK(!fiber_sleep(now() + duration(l.v[1].text)));
    } else {
        fail(l.number, "unknown word: %.*s", SLICE_ARG(l.v[0].text));
    }
}

/* ---- A case ---- */

static void configure(struct slice script, struct proxy_options *o)
{
    struct slice line;
    struct line l;
    while (slice_cut(&script, '\n', &line)) {
        if (!slice_starts(line, S("config ")))
            continue;
        split(line, &l);
        for (int i = 1; i < l.n; i++) {
            struct slice w = l.v[i].text, value = slice_from(w, slice_find(w, '=', 0) + 1);
            if (slice_eq(w, S("forward")))
                play.forward = true;
            else if (slice_starts(w, S("origins=")))
                play.origins = (int)number(value);
            else if (slice_starts(w, S("object-max=")))
                o->object_max = (uint64_t)number(value);
            else if (slice_starts(w, S("memory=")))
                o->cache_memory = (uint64_t)number(value);
            else
                fail(l.number, "unknown setting %.*s", SLICE_ARG(w));
        }
    }
}

static void set_up(struct slice script)
{
    static const char *const urls[] = {"http://127.0.0.1:8080", "http://127.0.0.1:8081"};
    static const struct slice targets[] = {S("L7-Cache-Control"), S("CDN-Cache-Control")};
    struct proxy_options o = {.access = {.loopback_only = true},
                              .cache_memory = 32 << 20,
                              .object_max = 1 << 20,
                              .targets = targets,
                              .target_count = 2,
                              .origin_timeout = 30 * TICK_S};
    play.forward = false;
    play.origins = 1;
    configure(script, &o);
    if (!play.forward) {
        o.origins = urls;
        o.origin_count = (size_t)play.origins;
    }
    struct server_options so = {0};
    CHECK(!proxy_new(&o, 1, &play.proxy));
    CHECK(!proxy_start(play.proxy, 0));
    play.site = (struct site){.handler = proxy_handle, .conf = play.proxy};
    CHECK(!server_new(&so, 1, &play.site, &play.server));
    play.front = (struct listen_point){0};
    CHECK(!addr_parse(S("127.0.0.1"), PROXY_PORT, &play.front.addr));
    CHECK(!listen_open(&play.front, 1));
    CHECK(!server_listen(play.server, &play.front));
    scope_open(&play.people);
    play.back[0] = (struct listen_point){0};
    CHECK(!addr_parse(S("127.0.0.1"), (uint16_t)(ORIGIN_PORT + (play.origins - 1)), &play.back[0].addr));
    CHECK(!listen_open(&play.back[0], 1));
    CHECK(!scope_spawn(&play.people, "origin", origin_run, &play.back[0]));
}

static void tear_down(void)
{
    scope_close(&play.people);
    listen_close(&play.back[0]);
    server_drain(play.server);
    park_wake_all(PARK_SHUTDOWN);
    proxy_drain(play.proxy, 0);
    scope_cancel(loop_scope(loop_self()));
}

static void case_fiber(void *arg)
{
    struct slice script = *(struct slice *)arg, rest = script, line;
    int first = play.number;
    set_up(script);
    while (!play.bad_line && slice_cut(&rest, '\n', &line)) {
        line_run(line);
        play.number++;
    }
    if (!play.bad_line && play.taken < play.queued)
        fail(play.queue[play.taken].number, "the origin was never asked for this");
    (void)first;
    tear_down();
}

static bool case_run(struct slice script, int line)
{
    struct loop *l;
    play.number = line;
    play.bad_line = play.queued = play.taken = play.ask_count = 0;
    sim_reset();
    sim_wall(START_S * TICK_S);
    CHECK(!loop_open(&l));
    if (loop_run(l, "case", case_fiber, &script))
        fail(line, "the loop failed");
    park_wake_all(PARK_SHUTDOWN);
    listen_close(&play.front);
    server_free(play.server);
    loop_close(l);
    proxy_free(play.proxy);
    for (int i = 0; i < play.ask_count; i++) {
        buf_free(&play.asks[i]->answer);
        free(play.asks[i]);
    }
    if (!play.bad_line && sim_open_count())
        fail(line, "%zu descriptors were left open", sim_open_count());
    arena_reset(&play.text);
    return !play.bad_line;
}

static struct slice read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    static struct buf b;
    b.n = 0;
    char *at;
    CHECK(f);
    for (size_t n = 1; n;) {
        CHECK(!buf_room(&b, 65536, &at));
        b.n += n = fread(at, 1, 65536, f);
    }
    fclose(f);
    return buf_slice(&b);
}

static int failed, count;

static void report(struct slice title, bool ok)
{
    count++;
    printf("%sok %d - %.*s\n", ok ? "" : "not ", count, SLICE_ARG(title));
    if (!ok)
        printf("# %s:%d: %s\n", play.file, play.bad_line, play.problem);
    failed += !ok;
    fflush(stdout);
}

/* With a second argument only the cases whose title has it in them. */
static void file_run(const char *path, const char *only)
{
    struct slice text = read_file(path), rest = text, line, script = SLICE_NONE, title = SLICE_NONE;
    int number_ = 0, first = 0;
    play.file = path;
    for (bool more = true; more;) {
        more = slice_cut(&rest, '\n', &line);
        number_++;
        if (more && !slice_starts(line, S("case "))) {
            if (title.n)
                script.n = (size_t)(line.p + line.n - script.p);
            continue;
        }
        if (title.n && (!only || slice_find_slice(title, slice_z(only)) != SIZE_MAX))
            report(title, case_run(script, first));
        title = more ? slice_from(line, 5) : SLICE_NONE;
        script = line;
        first = number_;
    }
}

int main(int argc, char **argv)
{
    play.text.cap = 64 << 20;
    const char *only = getenv("CASE");
    for (int i = 1; i < argc; i++)
        file_run(argv[i], only);
    printf("1..%d\n", count);
    return failed ? 1 : 0;
}
