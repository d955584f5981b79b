/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/pages.h"
#include "rt/io.h"
#include "rt/loop.h"
#include "rt/sys.h"

enum { SIZE = 8192 };

/* The linker takes this for the C library's mmap (--wrap). */
static bool out_of_memory;
void *__real_mmap64(void *at, size_t n, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t n, int protection, int flags, int fd, off_t offset);

void *__wrap_mmap64(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    errno = ENOMEM;
    return out_of_memory ? MAP_FAILED : __real_mmap64(at, n, protection, flags, fd, offset);
}

static void large_body(void *arg)
{
    int *end = arg;
    char *p = pages_new(SIZE), got[SIZE];
    memset(p, 'p', SIZE);
    out_of_memory = true;
    assert_null(pages_new(SIZE));
    err_t e = io_send_pages(end[0], NULL, 0, p, SIZE, after(1000));
    out_of_memory = false;
    assert_ok(e);
    assert_int_equal(read(end[1], got, sizeof got), SIZE);
    assert_memory_equal(got, p, SIZE);
    pages_free(p, SIZE);
}

/* What is ahead of pages has to be copied; where nothing is, no memory is needed. */
static void pages_leave_without_memory(void **state)
{
    (void)state;
    int end[2];
    struct loop *l;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, end), 0);
    assert_ok(loop_open(&l));
    assert_ok(loop_run(l, "pages", large_body, end));
    loop_close(l);
    close(end[0]);
    close(end[1]);
}

static int listener(const struct sockaddr *a, socklen_t *len, struct sockaddr *bound)
{
    int fd = sys_socket(a->sa_family, SOCK_STREAM);
    assert_int_equal(bind(fd, a, *len) | listen(fd, 8), 0);
    *len = sizeof(struct sockaddr_storage);
    assert_int_equal(getsockname(fd, bound, len), 0);
    return fd;
}

/* The kernel says how many nobody has accepted yet; of what is no TCP listener it says nothing. */
static void line_is_counted(void **state)
{
    (void)state;
    const struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct sockaddr local = {.sa_family = AF_UNIX};
    struct sockaddr_storage at;
    socklen_t len = sizeof tcp;
    int fd = listener((const struct sockaddr *)&tcp, &len, (struct sockaddr *)&at), client[3];
    assert_int_equal(sys_in_line(fd), 0);
    for (int i = 0; i < 3; i++) {
        client[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(client[i], (struct sockaddr *)&at, len), 0);
        assert_int_equal(sys_in_line(fd), i + 1);
    }
    int conn = sys_accept(fd, (struct sockaddr *)&at, &len);
    assert_int_equal(sys_in_line(fd), 2);
    assert_int_equal(sys_in_line(conn), -1);
    len = sizeof local.sa_family; /* the kernel chooses a name */
    int other = listener(&local, &len, (struct sockaddr *)&at), one = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(one, (struct sockaddr *)&at, len), 0);
    assert_int_equal(sys_in_line(other), -1);
    for (int i = 0; i < 3; i++)
        close(client[i]);
    close(conn);
    close(fd);
    close(other);
    close(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_leave_without_memory),
        cmocka_unit_test(line_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
