/* SPDX-License-Identifier: MIT */
#include "tests/sim/world.h"

#include <errno.h>

#include "rt/io.h"
#include "rt/loop.h"
#include "rt/park.h"
#include "rt/sim.h"
#include "rt/sys.h"

static struct addr server_addr;

static int listener(void)
{
    int fd = sys_socket(AF_INET, SOCK_STREAM);
    assert_ok(addr_parse(S("127.0.0.1"), 80, &server_addr));
    assert_int_equal(sys_bind(fd, &server_addr.sa, server_addr.len), 0);
    assert_int_equal(sys_listen(fd, 8), 0);
    return fd;
}

static int dialled(void)
{
    int fd = sys_socket(AF_INET, SOCK_STREAM);
    assert_ok(io_connect(fd, &server_addr, after(1000)));
    return fd;
}

static void time_jumps_body(void *arg)
{
    (void)arg;
    tick start = now();
    assert_ok(fiber_sleep(after(3600 * 1000)));
    assert_int_equal(now() - start, 3600 * TICK_S);
    assert_int_equal(wall_now() / TICK_S - 1767225600, 3600);
}
static void time_jumps(void **state)
{
    (void)state;
    in_world(time_jumps_body);
}

static void latency_and_windows_body(void *arg)
{
    (void)arg;
    char b[2000] = {0};
    size_t n;
    int l = listener(), conn;
    struct addr peer;
    sim_window(1000);
    sim_latency(50 * TICK_MS);
    int c = dialled();
    assert_ok(io_accept(l, &conn, &peer, after(1000)));
    tick start = now();
    assert_err(io_write(c, b, 2000, after(2000)), E_TIMEOUT); /* nobody reads: the window is full */
    assert_int_equal(now() - start, 2 * TICK_S);
    assert_ok(io_read(conn, b, sizeof b, &n, after(1000)));
    assert_int_equal(n, 1000);
    start = now();
    assert_ok(io_write(c, b, 5, after(1000)));
    io_finish(c);
    assert_ok(io_read(conn, b, sizeof b, &n, after(1000)));
    assert_int_equal(n, 5);
    assert_int_equal(now() - start, 50 * TICK_MS);
    assert_ok(io_read(conn, b, sizeof b, &n, after(1000)));
    assert_int_equal(n, 0);
    io_close(c);
    io_close(conn);
    io_close(l);
}
static void latency_and_windows(void **state)
{
    (void)state;
    in_world(latency_and_windows_body);
}

static void failures_body(void *arg)
{
    (void)arg;
    char b[8];
    size_t n;
    int l = listener(), conn;
    struct addr peer;
    int c = sys_socket(AF_INET, SOCK_STREAM);
    addr_set_port(&server_addr, 81);
    assert_err(io_connect(c, &server_addr, after(1000)), E_REFUSED);
    sim_blackhole(81, true);
    assert_err(io_connect(c, &server_addr, after(1000)), E_TIMEOUT);
    io_close(c);
    addr_set_port(&server_addr, 80);
    c = dialled();
    assert_ok(io_accept(l, &conn, &peer, after(1000)));
    sim_abort_connection(c);
    assert_err(io_read(conn, b, sizeof b, &n, after(1000)), E_RESET);
    io_close(c);
    io_close(conn);
    sim_fail(1, EMFILE);
    assert_err(io_accept(l, &conn, &peer, after(1000)), E_NO_FDS);
    io_close(l);
}
static void failures(void **state)
{
    (void)state;
    in_world(failures_body);
}

/* Who is in line is counted, so nothing is asked of the kernel behind the last of them; who comes later is told of. */
static void line_is_counted_body(void *arg)
{
    (void)arg;
    int l = listener(), conn[3], c[3];
    struct addr peer;
    assert_err(io_accept(l, &conn[0], &peer, after(1000)), E_TIMEOUT);
    for (int i = 0; i < 2; i++)
        c[i] = dialled();
    assert_ok(io_accept(l, &conn[0], &peer, after(1000)));
    assert_ok(io_accept_now(l, &conn[1], &peer));
    sim_fail(1, ENFILE);
    assert_err(io_accept_now(l, &conn[2], &peer), E_TIMEOUT);
    assert_int_equal(sys_socket(AF_INET, SOCK_STREAM), -1); /* so the call that was to fail is this one */
    c[2] = dialled();
    sim_fail(2, ENFILE); /* the first call counts */
    assert_err(io_accept(l, &conn[2], &peer, after(1000)), E_NO_FDS);
    sim_fail(1, ENFILE); /* it could not be counted: tried all the same */
    assert_ok(io_accept(l, &conn[2], &peer, after(1000)));
    assert_err(io_accept(l, &conn[2], &peer, after(1000)), E_TIMEOUT);
    for (int i = 0; i < 3; i++) {
        io_close(c[i]);
        io_close(conn[i]);
    }
    io_close(l);
}
static void line_is_counted(void **state)
{
    (void)state;
    in_world(line_is_counted_body);
}

/* Who comes while some of those counted are still to be let in is told of once, and not forgotten. */
static void line_grows_body(void *arg)
{
    (void)arg;
    int l = listener(), conn[4], c[4];
    struct addr peer;
    assert_err(io_accept(l, &conn[0], &peer, after(1000)), E_TIMEOUT);
    for (int i = 0; i < 2; i++)
        c[i] = dialled();
    assert_ok(io_accept(l, &conn[0], &peer, after(1000)));
    for (int i = 2; i < 4; i++)
        c[i] = dialled();
    assert_ok(fiber_sleep(after(1000)));
    for (int i = 1; i < 4; i++)
        assert_ok(io_accept(l, &conn[i], &peer, after(1000)));
    assert_err(io_accept_now(l, &conn[0], &peer), E_TIMEOUT);
    for (int i = 0; i < 4; i++) {
        io_close(c[i]);
        io_close(conn[i]);
    }
    io_close(l);
}
static void line_grows(void **state)
{
    (void)state;
    in_world(line_grows_body);
}

static int woken;
static void wake(struct parked *p, enum park_why why)
{
    (void)p;
    woken = why == PARK_READY ? 1 : 2;
}
static void parked_wakes_on_hangup_body(void *arg)
{
    (void)arg;
    int l = listener(), conn, c = dialled();
    struct addr peer;
    assert_ok(io_accept(l, &conn, &peer, after(1000)));
    struct parked p = {.fd = conn, .until = after(60000), .wake = wake};
    woken = 0;
    park_enter(&p);
    assert_ok(fiber_sleep(after(1000)));
    assert_int_equal(woken, 0);
    io_close(c);
    assert_ok(fiber_sleep(after(1000)));
    assert_int_equal(woken, 1);
    park_forget(&p);
    io_close(conn);
    io_close(l);
}
static void parked_wakes_on_hangup(void **state)
{
    (void)state;
    in_world(parked_wakes_on_hangup_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_jumps), cmocka_unit_test(latency_and_windows),
        cmocka_unit_test(failures),   cmocka_unit_test(line_is_counted),
        cmocka_unit_test(line_grows), cmocka_unit_test(parked_wakes_on_hangup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
