/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/pages.h"
#include "rt/io.h"
#include "rt/loop.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pages_leave_without_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
