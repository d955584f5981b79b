/* SPDX-License-Identifier: MIT */
/* cache_origin.c -- the origin: answers from the queue, in order, and says when it is asked for anything else. */
#include "tests/sim/cache_play.h"

#include <stdio.h>

#include "http/date.h"
#include "rt/io.h"
#include "rt/loop.h"
#include "rt/sim.h"

/* ---- The origin ---- */

bool send_text(int fd, struct slice s)
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

void origin_run(void *arg)
{
    struct listen_point *p = arg;
    int fd;
    struct addr peer;
    while (!io_accept(listen_fd(p, 0), &fd, &peer, TICK_NEVER))
        if (scope_spawn(&play.people, "origin connection", origin_connection, (void *)(intptr_t)fd))
            io_close(fd);
    fault_clear();
}
