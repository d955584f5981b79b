/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "unit.h"

static char path[] = "/tmp/l7-log-XXXXXX";

static size_t count_lines(const char *file)
{
    FILE *f = fopen(file, "r");
    assert_non_null(f);
    size_t n = 0;
    for (int c; (c = fgetc(f)) != EOF;)
        n += c == '\n';
    fclose(f);
    return n;
}

enum { THREADS = 4, LINES = 500 }; /* fits every thread's ring, so nothing may be dropped */

static void *many_lines(void *file)
{
    char line[100];
    for (int i = 0; i < LINES; i++) {
        int n = snprintf(line, sizeof line, "line %04d %060d\n", i, i);
        log_file_write(file, slice_of(line, (size_t)n));
    }
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    (void)state;
    struct log_file *f;
    pthread_t threads[THREADS];
    assert_ok(log_file_open(path, &f));
    assert_ok(log_start());
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, many_lines, f), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    log_file_close(f); /* writes out what is left */
    assert_int_equal(count_lines(path), THREADS * LINES);
    log_stop();
    assert_int_equal(truncate(path, 0), 0);
}

static void direct_before_start(void **state)
{
    (void)state;
    struct log_file *f;
    assert_ok(log_file_open(path, &f));
    log_file_write(f, S("one\n"));
    assert_int_equal(count_lines(path), 1);
    log_file_close(f);
    assert_int_equal(truncate(path, 0), 0);
}

static void reopen_makes_a_new_file(void **state)
{
    (void)state;
    char moved[64];
    struct log_file *f;
    snprintf(moved, sizeof moved, "%s.1", path);
    assert_ok(log_file_open(path, &f));
    assert_ok(log_start());
    log_file_write(f, S("old\n"));
    assert_int_equal(rename(path, moved), 0);
    log_file_write(f, S("old too\n"));
    log_reopen();
    log_file_write(f, S("new\n"));
    log_file_close(f);
    log_stop();
    assert_int_equal(count_lines(moved), 2);
    assert_int_equal(count_lines(path), 1);
    unlink(moved);
}

/* stderr goes to a file for these. */
static int stderr_to(const char *file)
{
    int old = dup(STDERR_FILENO);
    assert_non_null(freopen(file, "w", stderr));
    return old;
}
static void stderr_back(int old)
{
    dup2(old, STDERR_FILENO);
    close(old);
}

static void network_bytes_are_escaped(void **state)
{
    (void)state;
    char text[64] = {0};
    int old = stderr_to(path);
    log_line(LOG_WARN, "bad\x1b[31m%s", "\r\n");
    stderr_back(old);
    FILE *f = fopen(path, "r");
    assert_non_null(fgets(text, sizeof text, f));
    fclose(f);
    assert_string_equal(text, "bad\\x1b[31m\\x0d\\x0a\n");
}

static void full_ring_drops_and_counts(void **state)
{
    (void)state;
    /* A pipe that nobody reads stops the writer; the loop's thread must not stop with it. */
    int ends[2];
    char fd_path[32], line[1000];
    memset(line, 'x', sizeof line), line[sizeof line - 1] = '\n';
    assert_int_equal(pipe(ends), 0);
    snprintf(fd_path, sizeof fd_path, "/dev/fd/%d", ends[1]);
    struct log_file *f;
    assert_ok(log_file_open(fd_path, &f));
    int old = stderr_to(path);
    assert_ok(log_start());
    for (int i = 0; i < 1000; i++) /* 1 MB, beyond pipe and ring */
        log_file_write(f, slice_of(line, sizeof line));
    char sink[4096];
    size_t got = 0;
    while (got < 100 * sizeof line) {
        ssize_t n = read(ends[0], sink, sizeof sink);
        assert_true(n > 0);
        got += (size_t)n;
    }
    close(ends[0]); /* the rest fails with EPIPE, which is told once */
    log_file_close(f);
    log_stop();
    stderr_back(old);
    close(ends[1]);
    assert_int_equal(count_lines(path), 2); /* "lines are lost: Broken pipe", "N log lines dropped" */
}

static void missing_folder(void **state)
{
    (void)state;
    struct log_file *f;
    assert_err(log_file_open("/proc/no-such-folder/log", &f), E_NOT_FOUND);
}

int main(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    close(mkstemp(path));
    unsetenv("JOURNAL_STREAM");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(direct_before_start),        cmocka_unit_test(threads_lose_nothing),
        cmocka_unit_test(reopen_makes_a_new_file),    cmocka_unit_test(network_bytes_are_escaped),
        cmocka_unit_test(full_ring_drops_and_counts), cmocka_unit_test(missing_folder),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
