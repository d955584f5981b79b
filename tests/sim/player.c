/* SPDX-License-Identifier: MIT */
#include "tests/sim/player.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "http/server.h"
#include "net/listen.h"
#include "rt/io.h"
#include "rt/loop.h"
#include "rt/park.h"
#include "rt/sim.h"
#include "rt/sys.h"

enum { CONNS = 64, LISTENS = 8, PATIENCE_MS = 10000 };

struct conn {
    char name[16];
    int fd;
    struct buf in;
};

static struct {
    const struct player_sut *sut;
    const char *file;
    struct slice script; /* the lines of the current case */
    int line, bad_line;
    char problem[512];
    struct conn conn[CONNS];
    int conns, listen_fd[LISTENS], listen_port[LISTENS], listens;
    bool stopping;
} play;

/* ---- Failing allocations (linked with --wrap) ---- */

static unsigned long alloc_fail_in, alloc_calls;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static bool alloc_fails(void)
{
    alloc_calls++;
    return alloc_fail_in && --alloc_fail_in == 0;
}
void *__wrap_malloc(size_t n)
{
    return alloc_fails() ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size)
{
    return alloc_fails() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n)
{
    return alloc_fails() ? NULL : __real_realloc(p, n);
}

/* ---- Words ---- */

static struct slice word(struct slice *line)
{
    struct slice w = SLICE_NONE;
    *line = slice_trim(*line);
    if (line->n && !slice_cut(line, ' ', &w))
        w = SLICE_NONE;
    return w;
}

static err_t unescape(struct slice s, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        uint64_t hex;
        if (c == '\\' && ++i < s.n) {
            c = s.p[i];
            if (c == 'x' && slice_hex_u64(slice_first(slice_from(s, i + 1), 2), &hex)) {
                c = (char)hex;
                i += 2;
            } else {
                c = c == 'r' ? '\r' : c == 'n' ? '\n' : c == 't' ? '\t' : c;
            }
        }
        TRY(buf_add_char(out, c));
    }
    return NULL;
}

/* "text"*COUNT at the start of `line`. */
static err_t string(struct slice line, struct buf *out)
{
    struct buf once = {0};
    uint64_t count = 1;
    line = slice_trim(line);
    size_t end = 1;
    while (end < line.n && line.p[end] != '"')
        end += line.p[end] == '\\' ? 2 : 1;
    if (line.n < 2 || line.p[0] != '"' || end >= line.n)
        return fault(E_DATA, "a quoted string is missing");
    struct slice star = slice_from(line, end + 1);
    if (star.n && (star.p[0] != '*' || !slice_u64(slice_from(star, 1), &count)))
        return fault(E_DATA, "only *COUNT may follow a string");
    err_t e = unescape(slice_of(line.p + 1, end - 1), &once);
    for (; !e && count; count--)
        e = buf_add(out, buf_slice(&once));
    buf_free(&once);
    return e;
}

static err_t duration_ms(struct slice w, int64_t *ms)
{
    int64_t ns;
    TRY(text_duration(w, &ns));
    *ms = ns / TICK_MS;
    return NULL;
}

/* ---- Actions of one connection ---- */

static struct conn *conn_named(struct slice name, bool make)
{
    for (int i = 0; i < play.conns; i++)
        if (slice_eq(slice_z(play.conn[i].name), name))
            return &play.conn[i];
    if (!make || play.conns == CONNS || name.n >= sizeof play.conn[0].name)
        return NULL;
    struct conn *c = &play.conn[play.conns++];
    *c = (struct conn){.fd = -1};
    memcpy(c->name, name.p, name.n);
    return c;
}

static void drop(struct conn *c)
{
    if (c->fd >= 0)
        io_close(c->fd);
    c->fd = -1;
    buf_free(&c->in);
}

static err_t do_connect(struct conn *c, struct slice port)
{
    uint64_t n;
    struct addr to;
    if (!slice_u64(port, &n))
        return fault(E_DATA, "a port is missing");
    TRY(addr_parse(S("127.0.0.1"), (uint16_t)n, &to));
    drop(c);
    c->fd = sys_socket(AF_INET, SOCK_STREAM);
    return c->fd < 0 ? err_errno(errno) : io_connect(c->fd, &to, after(PATIENCE_MS));
}

static err_t do_accept(struct conn *c, struct slice port)
{
    uint64_t n;
    struct addr peer;
    for (int i = 0; slice_u64(port, &n) && i < play.listens; i++)
        if (play.listen_port[i] == (int)n) {
            drop(c);
            return io_accept(play.listen_fd[i], &c->fd, &peer, after(PATIENCE_MS));
        }
    return fault(E_DATA, "nobody listens there: `listen PORT` first");
}

static err_t more(struct conn *c, int64_t ms, size_t *got)
{
    char *at;
    TRY(buf_room(&c->in, 16384, &at));
    TRY(io_read(c->fd, at, 16384, got, after(ms)));
    c->in.n += *got;
    return NULL;
}

static err_t unlike(const struct conn *c, const char *what, struct slice want)
{
    char have[200], shown[200];
    text_safe(slice_first(buf_slice(&c->in), 150), have, sizeof have);
    text_safe(slice_first(want, 150), shown, sizeof shown);
    snprintf(play.problem, sizeof play.problem, "%s \"%s\", received \"%s\"%s", what, shown, have,
             c->in.n > 150 ? "..." : "");
    return E_DATA;
}

static err_t do_expect(struct conn *c, struct slice want, bool skip)
{
    for (;;) {
        size_t at = skip ? slice_find_slice(buf_slice(&c->in), want) : c->in.n >= want.n ? 0 : SIZE_MAX, got = 0;
        if (at != SIZE_MAX && !skip && !slice_starts(buf_slice(&c->in), want))
            return unlike(c, "expected", want);
        if (at != SIZE_MAX) {
            buf_eat(&c->in, at + want.n);
            return NULL;
        }
        if (more(c, PATIENCE_MS, &got) || got == 0)
            return unlike(c, got ? "timed out waiting for" : "waited in vain for", want);
    }
}

static err_t do_closed(struct conn *c, bool by_reset)
{
    size_t got = 1;
    err_t e = c->in.n ? NULL : more(c, PATIENCE_MS, &got);
    if (c->in.n)
        return unlike(c, "expected the end after", S(""));
    if (by_reset ? e == E_RESET : !e && got == 0)
        return NULL;
    return fault(E_DATA, "expected %s, but %s", by_reset ? "a reset" : "the end", e ? e->text : "more came");
}

static err_t do_silent(struct conn *c, struct slice w)
{
    int64_t ms;
    size_t got = 0;
    TRY(duration_ms(w, &ms));
    err_t e = c->in.n ? NULL : more(c, ms, &got);
    if (e == E_TIMEOUT)
        return NULL;
    return c->in.n ? unlike(c, "expected silence after", S("")) : fault(E_DATA, "the other side closed");
}

static err_t do_drip(struct conn *c, struct slice line)
{
    int64_t ms;
    AUTO(buf_free) struct buf text = {0};
    TRY(duration_ms(word(&line), &ms));
    TRY(string(line, &text));
    for (size_t i = 0; i < text.n; i++) {
        if (io_write(c->fd, text.p + i, 1, after(PATIENCE_MS)))
            return NULL;
        TRY(fiber_sleep(after(ms)));
    }
    return NULL;
}

static err_t conn_action(struct slice name, struct slice line)
{
    struct slice verb = word(&line);
    struct conn *c = conn_named(name, slice_eq(verb, S("connect")) || slice_eq(verb, S("accept")));
    if (!c)
        return fault(E_DATA, "'%.*s' is neither a command nor a connection", SLICE_ARG(name));
    if (slice_eq(verb, S("connect")))
        return do_connect(c, line);
    if (slice_eq(verb, S("accept")))
        return do_accept(c, line);
    if (slice_eq(verb, S("closed")) || slice_eq(verb, S("reset")))
        return do_closed(c, verb.p[0] == 'r');
    if (slice_eq(verb, S("silent")))
        return do_silent(c, line);
    if (slice_eq(verb, S("drip")))
        return do_drip(c, line);
    if (slice_eq(verb, S("finish")))
        return io_finish(c->fd), NULL;
    if (slice_eq(verb, S("abort")))
        return sim_abort_connection(c->fd), NULL;
    if (slice_eq(verb, S("close")))
        return drop(c), NULL;
    if (slice_eq(verb, S("drop"))) /* forget what was received so far */
        return buf_eat(&c->in, c->in.n), NULL;
    AUTO(buf_free) struct buf text = {0};
    TRY(string(line, &text));
    if (slice_eq(verb, S("send")))
        return io_write(c->fd, text.p, text.n, after(PATIENCE_MS));
    if (slice_eq(verb, S("expect")) || slice_eq(verb, S("until")))
        return do_expect(c, buf_slice(&text), verb.p[0] == 'u');
    return fault(E_DATA, "'%.*s' is no action", SLICE_ARG(verb));
}

/* ---- Commands ---- */

static err_t do_listen(struct slice port)
{
    uint64_t n;
    struct addr at;
    if (!slice_u64(port, &n) || play.listens == LISTENS)
        return fault(E_DATA, "a port is missing, or there are too many");
    TRY(addr_parse(S("127.0.0.1"), (uint16_t)n, &at));
    int fd = sys_socket(AF_INET, SOCK_STREAM);
    if (fd < 0)
        return err_errno(errno);
    play.listen_fd[play.listens] = fd;
    play.listen_port[play.listens++] = (int)n;
    return sys_bind(fd, &at.sa, at.len) || sys_listen(fd, 8) ? err_errno(errno) : NULL;
}

static err_t do_number(struct slice verb, struct slice line)
{
    int64_t ms = 0;
    uint64_t n = 0, error;
    struct slice first = word(&line);
    if (slice_eq(verb, S("pass"))) {
        TRY(duration_ms(first, &ms));
        return fiber_sleep(after(ms));
    }
    if (slice_eq(verb, S("latency"))) {
        TRY(duration_ms(first, &ms));
        return sim_latency(ms * TICK_MS), NULL;
    }
    TRY(text_size(first, &n));
    if (slice_eq(verb, S("window")))
        sim_window(n);
    else if (slice_eq(verb, S("chunk")))
        sim_chunk(n);
    else if (slice_u64(line, &error))
        sim_fail(n, (int)error);
    return NULL;
}

static err_t command(struct slice line)
{
    static const char *const numbers[] = {"pass", "latency", "window", "chunk", "fail"};
    struct slice verb = word(&line);
    if (verb.n == 0 || verb.p[0] == '#' || slice_eq(verb, S("config")))
        return NULL; /* the configuration was read before the start */
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (slice_eq(verb, slice_z(numbers[i])))
            return do_number(verb, line);
    return slice_eq(verb, S("listen")) ? do_listen(line) : conn_action(verb, line);
}

static struct slice config_of(struct slice script)
{
    struct slice line;
    while (slice_cut(&script, '\n', &line)) {
        line = slice_trim(line);
        if (slice_starts(line, S("config ")))
            return slice_from(line, 7);
    }
    return S("");
}

static void play_lines(void)
{
    struct slice rest = play.script, line;
    char text[300];
    for (int n = play.line; slice_cut(&rest, '\n', &line); n++) {
        fault_clear();
        err_t e = command(slice_trim(line));
        if (!e)
            continue;
        if (!play.problem[0])
            snprintf(play.problem, sizeof play.problem, "%s", fault_text(e, text, sizeof text));
        play.bad_line = n;
        return;
    }
}

static void case_fiber(void *arg)
{
    (void)arg;
    err_t e = play.sut->start(config_of(play.script));
    if (e) {
        snprintf(play.problem, sizeof play.problem, "the server does not start: %s: %s", e->text, fault_detail());
        play.bad_line = play.line;
    } else {
        play_lines();
    }
    sim_fail(0, 0);
    for (int i = 0; i < play.conns; i++)
        drop(&play.conn[i]);
    for (int i = 0; i < play.listens; i++)
        io_close(play.listen_fd[i]);
    play.sut->stop();
    park_wake_all(PARK_SHUTDOWN);
    scope_cancel(loop_scope(loop_self()));
}

/* ---- Cases ---- */

static void run_case(unsigned long fail_call, unsigned long fail_alloc)
{
    struct loop *l;
    play.conns = play.listens = play.bad_line = 0;
    play.problem[0] = 0;
    sim_reset();
    sim_fail(fail_call, ECONNRESET);
    if (loop_open(&l))
        abort();
    alloc_calls = 0;
    alloc_fail_in = fail_alloc;
    err_t e = loop_run(l, "case", case_fiber, NULL);
    alloc_fail_in = 0;
    if (e && !fail_alloc)
        abort();
    park_wake_all(PARK_SHUTDOWN);
    loop_close(l);
    if (!play.bad_line && sim_open_count()) {
        snprintf(play.problem, sizeof play.problem, "%zu descriptors were left open", sim_open_count());
        play.bad_line = play.line;
    }
}

static bool torture_case(void)
{
    for (unsigned long n = 1; n == 1 || sim_calls() >= n - 1; n++) {
        run_case(n, 0);
        if (sim_open_count())
            return false;
    }
    for (unsigned long n = 1; n == 1 || alloc_calls >= n - 1; n++) {
        run_case(0, n);
        if (sim_open_count())
            return false;
    }
    return true;
}

static int play_file(const char *path, bool torture, int *count)
{
    static char text[1 << 20];
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text, f) : 0;
    int failed = 0, line = 1;
    if (!f || n == 0 || n == sizeof text) {
        printf("not ok %d - %s: cannot be read\n", ++*count, path);
        return 1;
    }
    fclose(f);
    struct slice rest = slice_of(text, n), one, name = SLICE_NONE;
    const char *begin = NULL;
    for (bool going = true; going; line++) {
        going = slice_cut(&rest, '\n', &one);
        if (going && !slice_starts(one, S("case ")))
            continue;
        if (begin) {
            play.script = slice_of(begin, (size_t)((going ? one.p : text + n) - begin));
            bool good = torture ? torture_case() : (run_case(0, 0), !play.bad_line);
            failed += !good;
            printf("%s %d - %s: %.*s\n", good ? "ok" : "not ok", ++*count,
                   strrchr(path, '/') ? strrchr(path, '/') + 1 : path, SLICE_ARG(name));
            if (!good)
                printf("# %s:%d: %s\n", path, play.bad_line, play.problem);
            fflush(stdout);
        }
        if (going) {
            name = slice_trim(slice_from(one, 5));
            begin = one.p + one.n + 1 > text + n ? text + n : one.p + one.n + 1;
            play.line = line + 1;
        }
    }
    return failed;
}

void player_drain(struct server *server, struct listen_point *point)
{
    if (server)
        server_drain(server);
    for (int i = 0; i < 4; i++)
        if (fiber_yield())
            break;
    listen_close(point);
}

int player_main(int argc, char **argv, const struct player_sut *sut)
{
    int failed = 0, count = 0, first = 1;
    bool torture = argc > 1 && slice_eq(slice_z(argv[1]), S("--torture"));
    play.sut = sut;
    first += torture;
    for (int i = first; i < argc; i++)
        failed += play_file(argv[i], torture, &count);
    printf("1..%d\n", count);
    return failed != 0;
}
