/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rt/io.h"
#include "rt/loop.h"
#include "rt/sys.h"

enum { PAIRS = 70 }; /* more than one entry into the kernel takes */

static int near_end[PAIRS], far_end[PAIRS];
static bool forbidden; /* the ring, which is a descriptor */

static void open_batches(void)
{
    struct rlimit usual, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    none = (struct rlimit){forbidden ? 0 : usual.rlim_cur, usual.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    io_expect_many();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
}

static void open_pairs(void)
{
    for (int i = 0; i < PAIRS; i++) {
        int ends[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
        near_end[i] = ends[0];
        far_end[i] = ends[1];
    }
}

static void close_pairs(void)
{
    for (int i = 0; i < PAIRS; i++) {
        close(near_end[i]);
        close(far_end[i]);
    }
}

/* Does this kernel give a ring of the kind that is wanted, and may it? */
static bool rings_to_be_had(void)
{
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    long fd = syscall(SYS_io_uring_setup, 2, &p);
    if (fd >= 0)
        close((int)fd);
    return fd >= 0 && !forbidden;
}

static void each_send_has_its_own_result(void **state)
{
    (void)state;
    char text[PAIRS][8] = {{0}}, got[8];
    struct sys_send sends[PAIRS];
    open_batches();
    open_pairs();
    close(far_end[3]);
    while (send(near_end[5], text, sizeof text, 0) > 0)
        continue;
    assert_int_equal(errno, EAGAIN);
    for (int i = 0; i < PAIRS; i++) {
        int n = snprintf(text[i], sizeof text[i], "no %d", i);
        sends[i] = (struct sys_send){.fd = near_end[i], .p = text[i], .n = (size_t)n};
    }
    sends[7].fd = -1;
    sys_send_all(sends, PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        ssize_t want = !rings_to_be_had() || i == 5 ? -EAGAIN : i == 3 ? -EPIPE : i == 7 ? -EBADF : (ssize_t)sends[i].n;
        assert_int_equal(sends[i].result, want);
        if (want > 0) {
            assert_int_equal(recv(far_end[i], got, sizeof got, 0), want);
            assert_memory_equal(got, text[i], sends[i].n);
        }
    }
    sys_batch_done();
    close_pairs();
}

static void each_receive_has_its_own_result(void **state)
{
    (void)state;
    char got[PAIRS][8], text[8];
    struct sys_receive calls[PAIRS];
    open_batches();
    open_pairs();
    for (int i = 0; i < PAIRS; i++) {
        int n = snprintf(text, sizeof text, "no %d", i);
        assert_true(i == 5 || send(far_end[i], text, (size_t)n, 0) == n);
        calls[i] = (struct sys_receive){.fd = near_end[i], .p = got[i], .n = sizeof got[i]};
    }
    assert_int_equal(recv(near_end[3], got[3], sizeof got[3], 0), 4);
    close(far_end[3]);
    calls[7].fd = -1;
    calls[9].n = 2;
    sys_receive_all(calls, PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        ssize_t n = snprintf(text, sizeof text, "no %d", i);
        ssize_t want = i == 3 ? 0 : i == 5 ? -EAGAIN : i == 7 ? -EBADF : i == 9 ? 2 : n;
        assert_int_equal(calls[i].result, want);
        if (want > 0)
            assert_memory_equal(got[i], text, (size_t)want);
    }
    sys_batch_done();
    close_pairs();
}

static void all_are_closed(void **state)
{
    (void)state;
    char byte;
    int fds[PAIRS];
    open_batches();
    open_pairs();
    memcpy(fds, near_end, sizeof fds);
    sys_close_all(fds, PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        assert_int_equal(fcntl(near_end[i], F_GETFD), -1);
        assert_int_equal(recv(far_end[i], &byte, 1, 0), 0);
        close(far_end[i]);
    }
    sys_batch_done();
}

static void a_fiber_writes_to_all(void *arg)
{
    char text[8], got[8];
    size_t n;
    (void)arg;
    open_batches();
    for (int i = 0; i < PAIRS; i++) {
        assert_err(io_read(near_end[i], got, 1, &n, after(0)), E_TIMEOUT); /* from now on the loop knows it */
        struct iovec v = {text, (size_t)snprintf(text, sizeof text, "to %d", i)};
        assert_ok(io_writev_soon(near_end[i], &v, 1, after(1000)));
    }
    for (int i = 0; i < PAIRS; i++) {
        int want = snprintf(text, sizeof text, "to %d", i);
        assert_ok(io_read(far_end[i], got, sizeof got, &n, after(10000)));
        assert_int_equal(n, want);
        assert_memory_equal(got, text, n);
    }
}

static void small_writes_leave_in_a_batch(void **state)
{
    (void)state;
    struct loop *l;
    open_pairs();
    assert_ok(loop_open(&l));
    assert_ok(loop_run(l, "test", a_fiber_writes_to_all, NULL));
    loop_close(l);
    close_pairs();
}

/* As in containers, whose usual profile refuses them, and on old kernels. */
static void they_leave_where_rings_cannot_be_had(void **state)
{
    forbidden = true;
    each_send_has_its_own_result(state);
    each_receive_has_its_own_result(state);
    all_are_closed(state);
    small_writes_leave_in_a_batch(state);
    forbidden = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_send_has_its_own_result),
        cmocka_unit_test(each_receive_has_its_own_result),
        cmocka_unit_test(all_are_closed),
        cmocka_unit_test(small_writes_leave_in_a_batch),
        cmocka_unit_test(they_leave_where_rings_cannot_be_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
