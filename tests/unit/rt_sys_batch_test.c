/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rt/io.h"
#include "rt/loop.h"
#include "rt/sys.h"

enum { PAIRS = 70 }; /* more than one entry into the kernel takes */

static int near_end[PAIRS], far_end[PAIRS];

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

/* Does this kernel give a ring of the kind that is wanted? */
static bool kernel_has_rings(void)
{
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    long fd = syscall(SYS_io_uring_setup, 2, &p);
    if (fd >= 0)
        close((int)fd);
    return fd >= 0;
}

static void each_send_has_its_own_result(void **state)
{
    (void)state;
    char text[PAIRS][8], got[8];
    struct sys_send sends[PAIRS];
    sys_batch_open();
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
        ssize_t want = !kernel_has_rings() || i == 5 ? -EAGAIN
                       : i == 3                      ? -EPIPE
                       : i == 7                      ? -EBADF
                                                     : (ssize_t)sends[i].n;
        assert_int_equal(sends[i].result, want);
        if (want > 0) {
            assert_int_equal(recv(far_end[i], got, sizeof got, 0), want);
            assert_memory_equal(got, text[i], sends[i].n);
        }
    }
    sys_batch_done();
    close_pairs();
}

static void all_are_closed(void **state)
{
    (void)state;
    char byte;
    int fds[PAIRS];
    sys_batch_open();
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
    io_expect_many();
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

static void small_writes_arrive(void)
{
    struct loop *l;
    open_pairs();
    assert_ok(loop_open(&l));
    assert_ok(loop_run(l, "test", a_fiber_writes_to_all, NULL));
    loop_close(l);
    close_pairs();
}

static void small_writes_leave_in_a_batch(void **state)
{
    (void)state;
    small_writes_arrive();
}

/* As under the default profile of containers. */
static int forbid_rings(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

static void they_leave_where_rings_are_forbidden(void **state)
{
    (void)state;
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (forbid_rings() || kernel_has_rings())
            _exit(2);
        all_are_closed(NULL);
        small_writes_arrive(); /* a failed assertion ends the child with another status */
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_send_has_its_own_result),
        cmocka_unit_test(all_are_closed),
        cmocka_unit_test(small_writes_leave_in_a_batch),
        cmocka_unit_test(they_leave_where_rings_are_forbidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
