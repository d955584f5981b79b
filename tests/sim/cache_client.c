/* SPDX-License-Identifier: MIT */
/* cache_client.c -- the client: sends a request, takes all that comes, and checks it. */
#include "tests/sim/cache_play.h"

#include <stdio.h>

#include "net/dial.h"
#include "rt/io.h"
#include "rt/loop.h"

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

void ask_run(void *arg)
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

void check_answer(const struct line *l, struct slice all, bool head_only)
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
