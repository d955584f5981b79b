/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/pages.h"
#include "net/stream.h"
#include "rt/io.h"
#include "rt/loop.h"

static void lines_end_in_lf_or_crlf(void **state)
{
    (void)state;
    for (size_t chunk = 0; chunk < 4; chunk++) {
        struct stream_mem m;
        struct buf b = {0};
        struct slice line = SLICE_NONE;
        size_t took = 0;
        stream_mem_init(&m, S("ab\r\n\nc\rd\n\r\n"), chunk);
        const char *want[] = {"ab", "", "c\rd", ""};
        for (int i = 0; i < 4; i++) {
            assert_ok(stream_line(&m.stream, &b, &line, &took, TICK_NEVER));
            assert_true(slice_eq(line, slice_z(want[i])));
            buf_eat(&b, took);
        }
        assert_err(stream_line(&m.stream, &b, &line, &took, TICK_NEVER), E_EOF);
        buf_free(&b);
    }
}

static void a_cut_or_endless_line_is_an_error(void **state)
{
    (void)state;
    struct stream_mem m;
    struct buf b = {.max = 8};
    struct slice line = SLICE_NONE;
    size_t took = 0;
    stream_mem_init(&m, S("ab"), 1);
    assert_err(stream_line(&m.stream, &b, &line, &took, TICK_NEVER), E_TRUNCATED);
    buf_free(&b);
    stream_mem_init(&m, S("123456789\n"), 3);
    assert_err(stream_line(&m.stream, &b, &line, &took, TICK_NEVER), E_TOO_LARGE);
    assert_int_equal(b.n, 8);
    buf_free(&b);
    stream_mem_init(&m, S("1234567\n"), 3);
    assert_ok(stream_line(&m.stream, &b, &line, &took, TICK_NEVER));
    assert_slice(line, "1234567");
    buf_free(&b);
}

static void files_go_through_memory_when_there_is_no_sendfile(void **state)
{
    (void)state;
    struct stream_mem m;
    char path[] = "/tmp/l7-stream-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    size_t n = 200000;
    char *data = malloc(n);
    for (size_t i = 0; i < n; i++)
        data[i] = (char)(i * 7);
    assert_int_equal(write(fd, data, n), n);
    stream_mem_init(&m, SLICE_NONE, 0);
    assert_ok(stream_send_file(&m.stream, fd, 10, n - 20, TICK_NEVER));
    assert_int_equal(m.output.n, n - 20);
    assert_memory_equal(m.output.p, data + 10, n - 20);
    assert_err(stream_send_file(&m.stream, fd, n - 5, 6, TICK_NEVER), E_TRUNCATED);
    buf_free(&m.output);
    free(data);
    close(fd);
}

struct paging {
    int pair[2];
    char *pages;
    size_t n, arrived;
};

static void pages_out(void *arg)
{
    struct paging *p = arg;
    struct stream_tcp s;
    stream_tcp_init(&s, p->pair[0]);
    struct iovec before[] = {{"\0\1", 2}, {NULL, 0}, {"\2\3\4", 3}};
    memset(p->pages, 'x', 5); /* the first bytes come from elsewhere */
    assert_ok(stream_send_pages(&s.stream, before, 3, slice_of(p->pages + 5, 100), after(5000)));
    for (size_t at = 105, n; at < p->n; at += n) { /* pieces that begin and end anywhere in a page */
        n = p->n - at < 3000001 ? p->n - at : 3000001;
        assert_ok(stream_send_pages(&s.stream, NULL, 0, slice_of(p->pages + at, n), after(5000)));
    }
    pages_free(p->pages, p->n); /* what is still on its way stays what it was */
    p->pages = pages_new(p->n);
    memset(p->pages, 'x', p->n);
    stream_close(&s.stream);
}

static void pages_in(void *arg)
{
    struct paging *p = arg;
    static char piece[70001];
    size_t got = 1, wrong = 0;
    for (assert_ok(fiber_sleep(after(20))); got; p->arrived += got) {
        assert_ok(io_read(p->pair[1], piece, sizeof piece, &got, after(5000)));
        for (size_t i = 0; i < got; i++)
            wrong += piece[i] != (char)((p->arrived + i) % 251);
    }
    assert_int_equal(wrong, 0);
    io_close(p->pair[1]);
}

static void pages_body(void *arg)
{
    struct paging *p = arg;
    struct scope scope;
    scope_open(&scope);
    assert_ok(scope_spawn(&scope, "out", pages_out, p));
    assert_ok(scope_spawn(&scope, "in", pages_in, p));
    assert_ok(scope_join(&scope, TICK_NEVER));
    scope_close(&scope);
}

static void make_tcp_pair(int pair[2])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int l = socket(AF_INET, SOCK_STREAM, 0);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(l, (struct sockaddr *)&a, n), 0);
    assert_int_equal(listen(l, 1), 0);
    assert_int_equal(getsockname(l, (struct sockaddr *)&a, &n), 0);
    assert_int_equal(connect(pair[0], (struct sockaddr *)&a, n), 0);
    pair[1] = accept(l, NULL, NULL);
    for (int i = 0; i < 2; i++)
        assert_int_equal(fcntl(pair[i], F_SETFL, O_NONBLOCK), 0);
    close(l);
}

/* More than any socket buffer; also when no pipe is to be had. */
static void send_pages_through(bool tcp, bool no_pipe)
{
    struct paging p = {.n = 9 << 20};
    struct rlimit before, none;
    struct loop *loop;
    p.pages = pages_new(p.n);
    for (size_t i = 0; i < p.n; i++)
        p.pages[i] = (char)(i % 251);
    if (tcp)
        make_tcp_pair(p.pair);
    else
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p.pair), 0);
    assert_ok(loop_open(&loop));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    if (no_pipe)
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_ok(loop_run(loop, "pages", pages_body, &p));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    loop_close(loop);
    assert_int_equal(p.arrived, p.n);
    pages_free(p.pages, p.n);
}

static void pages_arrive_as_they_were(void **state)
{
    (void)state;
    int first = dup(0), later;
    send_pages_through(true, false);
    send_pages_through(false, false);
    send_pages_through(true, true);
    later = dup(0);
    assert_int_equal(later, first + 1); /* nothing was left open */
    close(first);
    close(later);
}

static void copy_moves_all_through_memory(void **state)
{
    (void)state;
    struct stream_mem from, to;
    tick active = 0;
    struct stream_flow flow = {.idle_ms = -1, .active = &active};
    char *data = calloc(1, 100000);
    data[99999] = 'z';
    stream_mem_init(&from, slice_of(data, 100000), 7000);
    stream_mem_init(&to, SLICE_NONE, 0);
    assert_ok(stream_copy(&to.stream, &from.stream, &flow));
    assert_int_equal(flow.moved, 100000);
    assert_memory_equal(to.output.p, data, 100000);
    buf_free(&to.output);
    free(data);
}

/* A source, a tunnel of two sockets between, a sink: bulk data over real sockets takes the pipe. */
enum { BULK = 3000000 };
struct tunnel {
    int in[2], out[2];
    size_t arrived;
    struct stream_flow flow;
    tick active;
    bool right;
};

static void source(void *arg)
{
    struct tunnel *t = arg;
    struct stream_tcp s;
    stream_tcp_init(&s, t->in[0]);
    char piece[1000];
    for (size_t i = 0; i < sizeof piece; i++)
        piece[i] = (char)(i % 251);
    for (size_t sent = 0; sent < BULK; sent += sizeof piece)
        assert_ok(stream_write(&s.stream, slice_of(piece, sizeof piece), after(5000)));
    assert_ok(stream_finish(&s.stream, after(5000)));
}

static void middle(void *arg)
{
    struct tunnel *t = arg;
    struct stream *in, *out;
    assert_ok(stream_tcp(t->in[1], &in));
    assert_ok(stream_tcp(t->out[0], &out));
    t->active = now();
    t->flow = (struct stream_flow){.idle_ms = 5000, .active = &t->active};
    assert_ok(stream_copy(out, in, &t->flow));
    stream_close(in);
    stream_close(out);
}

static void sink(void *arg)
{
    struct tunnel *t = arg;
    struct stream_tcp s;
    stream_tcp_init(&s, t->out[1]);
    char piece[1500];
    size_t got = 1;
    t->right = true;
    for (; got; t->arrived += got) {
        assert_ok(stream_read(&s.stream, piece, sizeof piece, &got, after(5000)));
        for (size_t i = 0; i < got; i++)
            t->right = t->right && piece[i] == (char)((t->arrived + i) % 1000 % 251);
    }
    stream_close(&s.stream);
    io_close(t->in[0]);
}

static void run_tunnel(void *arg)
{
    struct scope scope;
    scope_open(&scope);
    assert_ok(scope_spawn(&scope, "source", source, arg));
    assert_ok(scope_spawn(&scope, "middle", middle, arg));
    assert_ok(scope_spawn(&scope, "sink", sink, arg));
    assert_ok(scope_join(&scope, TICK_NEVER));
    scope_close(&scope);
}

static void tunnels_between_sockets_lose_nothing(void **state)
{
    (void)state;
    struct tunnel t = {0};
    struct loop *loop;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, t.in), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, t.out), 0);
    assert_ok(loop_open(&loop));
    assert_ok(loop_run(loop, "tunnel", run_tunnel, &t));
    loop_close(loop);
    assert_int_equal(t.flow.moved, BULK);
    assert_int_equal(t.arrived, BULK);
    assert_true(t.right);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_end_in_lf_or_crlf),
        cmocka_unit_test(a_cut_or_endless_line_is_an_error),
        cmocka_unit_test(files_go_through_memory_when_there_is_no_sendfile),
        cmocka_unit_test(pages_arrive_as_they_were),
        cmocka_unit_test(copy_moves_all_through_memory),
        cmocka_unit_test(tunnels_between_sockets_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
