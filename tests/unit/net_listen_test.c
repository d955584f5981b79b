/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/listen.h"

static struct listen_point point(const char *at, enum listen_flags flags)
{
    struct listen_point p = {.flags = flags};
    assert_ok(addr_parse_listen(slice_z(at), 0, &p.addr));
    return p;
}

static void connect_ok(const struct addr *to)
{
    int fd = socket(to->sa.sa_family, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, &to->sa, to->len), 0);
    close(fd);
}

static void each_worker_gets_a_socket_of_the_same_port(void **state)
{
    (void)state;
    enum listen_flags kinds[] = {0, LISTEN_DEFER, LISTEN_UDP};
    for (size_t i = 0; i < 3; i++) {
        struct listen_point p = point("127.0.0.1:0", kinds[i]);
        assert_ok(listen_open(&p, 3));
        assert_int_equal(p.fd_count, 3);
        assert_int_not_equal(addr_port(&p.addr), 0);
        assert_int_not_equal(listen_fd(&p, 0), listen_fd(&p, 1));
        for (int w = 0; w < 3; w++) {
            struct addr a = {.len = sizeof a.v6};
            assert_int_equal(getsockname(listen_fd(&p, w), &a.sa, &a.len), 0);
            assert_true(addr_eq(&a, &p.addr));
        }
        if (!(kinds[i] & LISTEN_UDP))
            connect_ok(&p.addr);
        listen_close(&p);
    }
}

/* Whatever the system's congestion control is: a connection over loopback does not send by timers, and of others the
   point knows whether they do. */
static void loopback_is_not_paced(void **state)
{
    static const char *const where[] = {"127.0.0.1:0", "0.0.0.0:0"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        char name[16] = "";
        socklen_t n = sizeof name - 1;
        struct listen_point p = point(where[i], 0);
        struct addr to;
        assert_ok(listen_open(&p, 1));
        assert_ok(addr_parse(S("127.0.0.1"), addr_port(&p.addr), &to));
        int fd = socket(AF_INET, SOCK_STREAM, 0), accepted;
        assert_int_equal(connect(fd, &to.sa, to.len), 0);
        assert_true((accepted = accept(listen_fd(&p, 0), NULL, NULL)) >= 0);
        assert_int_equal(getsockopt(accepted, IPPROTO_TCP, TCP_CONGESTION, name, &n), 0);
        assert_int_equal(strncmp(name, "bbr", 3) == 0, p.paced);
        assert_true(i || !p.paced);
        close(fd);
        close(accepted);
        listen_close(&p);
    }
}

static void a_held_port_is_an_error_also_against_ourselves(void **state)
{
    (void)state;
    enum listen_flags kinds[] = {0, LISTEN_UDP};
    for (size_t i = 0; i < 2; i++)
        for (int workers = 1; workers < 3; workers++) {
            struct listen_point p = point("127.0.0.1:0", kinds[i]), again;
            assert_ok(listen_open(&p, workers));
            again = p;
            assert_err(listen_open(&again, 1), E_BUSY);
            assert_err(listen_open(&again, 2), E_BUSY);
            char text[ADDR_TEXT];
            assert_string_equal(fault_detail(), addr_text(&p.addr, text));
            listen_close(&p);
            assert_ok(listen_open(&again, 2));
            listen_close(&again);
        }
}

static void both_families_by_the_empty_address(void **state)
{
    (void)state;
    struct listen_point p = point(":0", 0);
    struct addr v4;
    assert_ok(listen_open(&p, 2));
    assert_ok(addr_parse(S("127.0.0.1"), addr_port(&p.addr), &v4));
    connect_ok(&v4);
    listen_close(&p);
}

static void foreign_addresses_are_refused_in_words(void **state)
{
    (void)state;
    struct listen_point p = point("192.0.2.1:0", 0);
    assert_err(listen_open(&p, 1), E_USAGE);
    assert_string_equal(fault_detail(), "192.0.2.1:0 is no address of this machine");
}

static void unix_sockets_outlive_a_kill(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "/tmp/l7-listen-test-%d", (int)getpid());
    struct listen_point p = {0}, again = {0};
    assert_ok(addr_unix(slice_z(path), &p.addr));
    again.addr = p.addr;
    assert_ok(listen_open(&p, 2));
    assert_int_equal(p.fd_count, 1);
    connect_ok(&p.addr);
    assert_err(listen_open(&again, 1), E_BUSY);
    close(p.fds[0]); /* as a killed process leaves it: the file stays */
    free(p.fds);
    assert_int_equal(access(path, F_OK), 0);
    assert_ok(listen_open(&again, 1));
    listen_close(&again);
    assert_int_equal(access(path, F_OK), -1);
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
    (void)state;
    char path[] = "/tmp/l7-listen-test-XXXXXX", got[8] = "";
    int fd = mkstemp(path);
    struct listen_point p = {0};
    assert_int_equal(write(fd, "mine", 4), 4);
    assert_ok(addr_unix(slice_z(path), &p.addr));
    assert_err(listen_open(&p, 1), E_BUSY);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(pread(fd, got, sizeof got, 0), 4);
    close(fd);
    unlink(path);
}

/* systemd passes descriptors from 3 on, which only a process of its own can arrange. */
static void sockets_passed_by_systemd_are_taken_over(void **state)
{
    (void)state;
    struct listen_point p = point("127.0.0.1:0", 0);
    assert_ok(listen_open(&p, 1));
    pid_t child = fork();
    if (child == 0) {
        char pid[16];
        snprintf(pid, sizeof pid, "%d", (int)getpid());
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "1", 1);
        dup2(p.fds[0], 3);
        struct listen_point q = {.addr = p.addr};
        _exit(listen_open(&q, 4) == NULL && q.fd_count == 1 && listen_fd(&q, 3) == 3 ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    listen_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_worker_gets_a_socket_of_the_same_port),
        cmocka_unit_test(loopback_is_not_paced),
        cmocka_unit_test(a_held_port_is_an_error_also_against_ourselves),
        cmocka_unit_test(both_families_by_the_empty_address),
        cmocka_unit_test(foreign_addresses_are_refused_in_words),
        cmocka_unit_test(unix_sockets_outlive_a_kill),
        cmocka_unit_test(a_file_that_is_no_socket_is_left_alone),
        cmocka_unit_test(sockets_passed_by_systemd_are_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
