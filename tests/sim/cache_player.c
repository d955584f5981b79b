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
 *
 *     config forward | origins=2 | object-max=N | memory=N
 *                      before anything else
 *     origin METHOD PATH [has "Name: value" | lacks NAME]... -> REPLY
 *                      queued; the origin must be asked for them in this order, and for nothing else
 *     client METHOD PATH ["Name: value"]... [: "body"] -> CHECKS
 *     ask NAME METHOD PATH ...
 *                      the same without waiting; later: answer NAME -> CHECKS
 *     pass TIME
 *
 *     REPLY   [after TIME] [interim STATUS ["Name: value"]...]... STATUS ["Name: value"]... [FLAGS]
 *             [: "body" [pause TIME "more"]...] | reset | close | silent
 *     FLAGS   nodate, chunked, eof (the body ends with the connection), short (fewer bytes than announced)
 *     CHECKS  STATUS [hit | fwd=WHY | stored | any part of Cache-Status] ["Name: value" | lacks NAME]... [Age=N]
 *             [interim STATUS] [: "body" | empty] | broken
 *
 * In strings $date, $date+N and $date-N become HTTP dates; the wall clock starts at Thu, 01 Jan 2026 00:00:00 GMT.
 * Strings may be repeated: "ab"*100.
 */
#include "tests/sim/cache_play.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "rt/loop.h"
#include "rt/park.h"
#include "rt/sim.h"

struct play play;

void fail(int line, const char *fmt, ...)
{
    if (play.bad_line)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(play.problem, sizeof play.problem, fmt, ap);
    va_end(ap);
    play.bad_line = line ? line : play.number;
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
