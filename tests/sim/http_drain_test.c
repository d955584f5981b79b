/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "http/server.h"
#include "rt/io.h"
#include "rt/loop.h"
#include "rt/park.h"
#include "rt/sim.h"
#include "rt/sys.h"

/* A client that takes its answer slowly still gets all of it, also when the server is told to stop meanwhile: the
   answer counted as written, and its connection as idle or over. */

static struct server *server;
static struct listen_point point;

static err_t answer(struct exchange *x, const void *conf, tick until)
{
    (void)conf;
    return reply_text(x, 200, S("text/plain"), S("the whole answer"), until);
}

static int ask(struct slice request)
{
    struct addr at;
    int fd = sys_socket(AF_INET, SOCK_STREAM);
    assert_ok(addr_parse(S("127.0.0.1"), 80, &at));
    assert_ok(io_connect(fd, &at, after(1000)));
    assert_ok(io_write(fd, request.p, request.n, after(1000)));
    return fd;
}

static size_t read_to_the_end(int fd, char *out, size_t cap)
{
    size_t n = 0, got = 1;
    for (; got && n < cap; n += got) {
        assert_ok(fiber_sleep(after(10)));
        assert_ok(io_read(fd, out + n, cap - n, &got, after(5000)));
    }
    return n;
}

static void start(void)
{
    static struct site site = {.handler = answer};
    const struct server_options o = {.body_timeout = 20 * TICK_S};
    assert_ok(server_new(&o, 1, &site, &server));
    assert_ok(addr_parse_listen(S(":80"), 80, &point.addr));
    assert_ok(listen_open(&point, 1));
    assert_ok(server_listen(server, &point));
    sim_window(20);
}

static void drain(void)
{
    server_drain(server);
    park_wake_all(PARK_SHUTDOWN);
    assert_ok(fiber_yield()); /* nobody accepts any more */
}

static void takes_the_whole_answer(int fd)
{
    char got[1000] = "";
    size_t n = read_to_the_end(fd, got, sizeof got - 1);
    assert_true(n > 100);
    assert_string_equal(got + n - strlen("the whole answer"), "the whole answer");
    io_close(fd);
}

static void in_world(fiber_fn *body)
{
    struct loop *l;
    sim_reset();
    assert_ok(loop_open(&l));
    assert_ok(loop_run(l, "test", body, NULL));
    server_free(server);
    loop_close(l);
    assert_int_equal(sim_open_count(), 0);
}

static void keep_alive_body(void *arg)
{
    (void)arg;
    start();
    int fd = ask(S("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_ok(fiber_sleep(after(100))); /* the window is full, the rest waits */
    drain();
    takes_the_whole_answer(fd);
    listen_close(&point);
}
static void an_answer_is_taken_to_its_end(void **state)
{
    (void)state;
    in_world(keep_alive_body);
}

/* Its connection is over for the server, but for what the client has not taken yet. */
static void last_body(void *arg)
{
    (void)arg;
    start();
    takes_the_whole_answer(ask(S("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")));
    drain();
    listen_close(&point);
}
static void the_last_answer_is_taken_to_its_end(void **state)
{
    (void)state;
    in_world(last_body);
}

static void never_body(void *arg)
{
    (void)arg;
    start();
    int fd = ask(S("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    size_t open = sim_open_count();
    assert_ok(fiber_sleep(after(19900)));
    assert_int_equal(sim_open_count(), open); /* counted as open, too, as long as it is */
    assert_ok(fiber_sleep(after(200)));
    assert_int_equal(sim_open_count(), open - 1);
    drain();
    io_close(fd);
    listen_close(&point);
}
static void who_never_takes_it_is_hung_up_on(void **state)
{
    (void)state;
    in_world(never_body);
}

static void drain_now(struct note *n)
{
    (void)n;
    server_drain(server);
    park_wake_all(PARK_SHUTDOWN);
}

/* Who has come in the very turn in which the server is told to stop: the poller has not told of it yet. */
static void in_line_body(void *arg)
{
    (void)arg;
    struct note stop = {.run = drain_now};
    start();
    sim_window(1000);
    int first = ask(S("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_ok(io_wait(first, IO_READ, after(1000))); /* an event: what is posted now is done in this turn */
    int fd = ask(S("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    loop_post(loop_self(), &stop);
    takes_the_whole_answer(fd);
    io_close(first);
    listen_close(&point);
}
static void who_stands_in_line_is_served(void **state)
{
    (void)state;
    in_world(in_line_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_taken_to_its_end),
        cmocka_unit_test(the_last_answer_is_taken_to_its_end),
        cmocka_unit_test(who_never_takes_it_is_hung_up_on),
        cmocka_unit_test(who_stands_in_line_is_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
