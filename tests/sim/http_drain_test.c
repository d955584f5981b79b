/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "http/server.h"
#include "rt/io.h"
#include "rt/loop.h"
#include "rt/park.h"
#include "rt/sim.h"
#include "rt/sys.h"

/* A client that takes its answer slowly still gets all of it when the server is told to stop meanwhile: the answer
   counted as written, and its connection as idle. */

static struct server *server;
static struct listen_point point;

static err_t answer(struct exchange *x, const void *conf, tick until)
{
    (void)conf;
    return reply_text(x, 200, S("text/plain"), S("the whole answer"), until);
}

static int ask(void)
{
    struct addr at;
    const struct slice request = S("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
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

static void body(void *arg)
{
    static struct site site = {.handler = answer};
    const struct server_options o = {.body_timeout = 20 * TICK_S};
    char got[1000] = "";
    (void)arg;
    assert_ok(server_new(&o, 1, &site, &server));
    assert_ok(addr_parse_listen(S(":80"), 80, &point.addr));
    assert_ok(listen_open(&point, 1));
    assert_ok(server_listen(server, &point));
    sim_window(20);
    int fd = ask();
    assert_ok(fiber_sleep(after(100))); /* the window is full, the rest waits */
    server_drain(server);
    park_wake_all(PARK_SHUTDOWN);
    size_t n = read_to_the_end(fd, got, sizeof got - 1);
    assert_true(n > 100);
    assert_string_equal(got + n - strlen("the whole answer"), "the whole answer");
    io_close(fd);
    listen_close(&point);
}

static void an_answer_is_taken_to_its_end(void **state)
{
    (void)state;
    struct loop *l;
    sim_reset();
    assert_ok(loop_open(&l));
    assert_ok(loop_run(l, "test", body, NULL));
    server_free(server);
    loop_close(l);
    assert_int_equal(sim_open_count(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_answer_is_taken_to_its_end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
