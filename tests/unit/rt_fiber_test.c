/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "rt/io.h"
#include "rt/loop.h"
#include "rt/offload.h"
#include "rt/park.h"
#include "rt/waitq.h"

/* Each test is the first fiber of a loop of its own. */
static void in_loop(fiber_fn *fn)
{
    struct loop *l;
    assert_ok(loop_open(&l));
    assert_ok(loop_run(l, "test", fn, NULL));
    loop_close(l);
}

static char trail[64];
static void leave(const char *mark)
{
    strncat(trail, mark, sizeof trail - strlen(trail) - 1);
}

static void sleeper(void *arg)
{
    assert_ok(fiber_sleep(after(*(int *)arg)));
    leave(*(int *)arg == 20 ? "b" : "a");
}

static void sleeps_in_order_body(void *arg)
{
    (void)arg;
    int long_ms = 20, short_ms = 5;
    struct scope s;
    trail[0] = 0;
    scope_open(&s);
    assert_ok(scope_spawn(&s, "long", sleeper, &long_ms));
    assert_ok(scope_spawn(&s, "short", sleeper, &short_ms));
    assert_string_equal(trail, ""); /* nobody starts before the opener waits */
    assert_ok(scope_join(&s, TICK_NEVER));
    assert_string_equal(trail, "ab");
    scope_close(&s);
}
static void sleeps_in_order(void **state)
{
    (void)state;
    in_loop(sleeps_in_order_body);
}

static struct scope both;
static void ends_at_once(void *arg)
{
    leave(arg);
}
static void runs_another(void *arg)
{
    leave("1");
    assert_ok(scope_run(&both, "inner", ends_at_once, "2"));
    leave("3");
    assert_ok(fiber_yield());
    leave(arg);
}
static void run_goes_first_body(void *arg)
{
    (void)arg;
    trail[0] = 0;
    scope_open(&both);
    assert_ok(scope_spawn(&both, "spawned", ends_at_once, "6"));
    assert_ok(scope_run(&both, "run", runs_another, "7"));
    leave("4"); /* they ran until one waited, and nobody else did */
    assert_ok(scope_run(&both, "again", ends_at_once, "5"));
    assert_ok(scope_join(&both, TICK_NEVER));
    assert_string_equal(trail, "1234567");
    scope_close(&both);
    assert_err(scope_run(&both, "late", ends_at_once, "8"), E_CANCELED);
}
static void run_goes_first(void **state)
{
    (void)state;
    in_loop(run_goes_first_body);
}

static void waits_for_ever(void *arg)
{
    assert_err(fiber_sleep(TICK_NEVER), E_CANCELED);
    assert_err(fiber_sleep(after(1000)), E_CANCELED); /* every later wait says so too */
    *(bool *)arg = true;
}
static void close_cancels_body(void *arg)
{
    (void)arg;
    bool unwound[3] = {false};
    struct scope s;
    scope_open(&s);
    for (int i = 0; i < 3; i++)
        assert_ok(scope_spawn(&s, "waits", waits_for_ever, &unwound[i]));
    assert_err(scope_join(&s, after(5)), E_TIMEOUT);
    scope_close(&s);
    assert_true(unwound[0] && unwound[1] && unwound[2]);
    assert_err(scope_spawn(&s, "late", waits_for_ever, &unwound[0]), E_CANCELED);
}
static void close_cancels(void **state)
{
    (void)state;
    in_loop(close_cancels_body);
}

static int pair[2];
static void make_pair(void)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
}

static void echoes(void *arg)
{
    char b[100];
    size_t n;
    (void)arg;
    while (!io_read(pair[1], b, sizeof b, &n, TICK_NEVER) && n)
        assert_ok(io_write(pair[1], b, n, TICK_NEVER));
    io_finish(pair[1]);
}
static void reads_and_writes_body(void *arg)
{
    (void)arg;
    static char big[300000], back[300000];
    size_t n, have = 0;
    struct scope s;
    make_pair();
    scope_open(&s);
    assert_err(io_read(pair[0], back, 1, &n, after(5)), E_TIMEOUT);
    assert_err(io_read_now(pair[0], back, 1, &n), E_TIMEOUT);
    assert_ok(scope_spawn(&s, "echo", echoes, NULL));
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)(i * 31 >> 3);
    for (size_t at = 0; at < sizeof big; at += 1000) { /* far more than a socket buffer, in step with the echo */
        assert_ok(io_write(pair[0], big + at, 1000, after(5000)));
        while (have < at + 1000) {
            assert_ok(io_read(pair[0], back + have, sizeof back - have, &n, after(5000)));
            have += n;
        }
    }
    io_finish(pair[0]);
    assert_ok(io_read(pair[0], back, 1, &n, after(5000)));
    assert_int_equal(n, 0);
    assert_ok(scope_join(&s, after(5000)));
    assert_memory_equal(big + 1, back + 1, sizeof big - 1);
    scope_close(&s);
    io_close(pair[0]);
    io_close(pair[1]);
}
static void reads_and_writes(void **state)
{
    (void)state;
    in_loop(reads_and_writes_body);
}

/* The kernel honours SO_RCVLOWAT on TCP only. */
static void make_tcp_pair(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int l = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(l, (void *)&a, n) | listen(l, 1) | getsockname(l, (void *)&a, &n), 0);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(pair[0], (void *)&a, n), 0);
    pair[1] = accept(l, NULL, NULL);
    close(l);
    for (int i = 0; i < 2; i++)
        assert_int_equal(fcntl(pair[i], F_SETFL, O_NONBLOCK), 0);
}

enum { BULK = 32 << 10 };
static char pieces[2 * BULK];
static int low_water(int fd)
{
    int n = 0;
    socklen_t len = sizeof n;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &n, &len), 0);
    return n;
}
static void reads_in_bulk_body(void *arg)
{
    (void)arg;
    char *b = malloc(BULK);
    size_t n;
    make_tcp_pair();
    assert_err(io_read_bulk(pair[0], b, BULK, &n, after(5)), E_TIMEOUT);
    assert_ok(io_write(pair[1], pieces, 10, after(5000)));
    assert_ok(io_read_bulk(pair[0], b, BULK, &n, after(5000)));
    assert_int_equal(n, 10);
    assert_int_equal(low_water(pair[0]), 1); /* a trickle: as it comes */
    assert_ok(io_write(pair[1], pieces, BULK, after(5000)));
    size_t last = BULK;
    for (size_t left = BULK; left; last = left, left -= n)
        assert_ok(io_read_bulk(pair[0], b, left, &n, after(5000)));
    assert_int_equal(low_water(pair[0]), last); /* a read was filled */
    assert_ok(io_write(pair[1], pieces, 10, after(5000)));
    assert_ok(io_read_bulk(pair[0], b, BULK, &n, TICK_NEVER)); /* too little to be woken for, but not left lying */
    assert_int_equal(n, 10);
    assert_err(io_read_bulk(pair[0], b, BULK, &n, after(20)), E_TIMEOUT);
    assert_int_equal(low_water(pair[0]), 1); /* the flow paused */
    free(b);
    io_close(pair[0]);
    io_close(pair[1]);
}
static void reads_in_bulk(void **state)
{
    (void)state;
    in_loop(reads_in_bulk_body);
}

/* The last bytes of a message, and the end of the stream, come through after bulk. */
static void bulk_ends_body(void *arg)
{
    (void)arg;
    char b[100];
    size_t n;
    make_tcp_pair();
    assert_err(io_read(pair[0], b, sizeof b, &n, after(1)), E_TIMEOUT); /* now the loop knows the descriptor */
    for (int ending = 0; ending < 2; ending++) {
        assert_ok(io_write(pair[1], pieces, sizeof b, after(5000)));
        assert_ok(io_read_bulk(pair[0], b, sizeof b, &n, after(5000)));
        assert_int_equal(low_water(pair[0]), sizeof b);
        if (ending)
            io_finish(pair[1]);
        else
            assert_ok(io_write(pair[1], pieces, 1, after(5000)));
        assert_ok(io_read(pair[0], b, sizeof b, &n, TICK_NEVER));
        assert_int_equal(n, !ending);
    }
    io_close(pair[0]);
    io_close(pair[1]);
}
static void bulk_ends(void **state)
{
    (void)state;
    in_loop(bulk_ends_body);
}

static struct parked lot;
static enum park_why why_woken;
static int wakes;
static void unparked(struct parked *p, enum park_why why)
{
    assert_ptr_equal(p, &lot);
    why_woken = why;
    wakes++;
}
static void parks_body(void *arg)
{
    (void)arg;
    char b[8];
    size_t n;
    make_pair();
    lot = (struct parked){.fd = pair[0], .until = after(10), .wake = unparked};
    wakes = 0;
    park_enter(&lot);
    assert_ok(fiber_sleep(after(30)));
    assert_int_equal(wakes, 1);
    assert_int_equal(why_woken, PARK_TIMEOUT);
    lot.until = after(10000);
    park_enter(&lot);
    assert_ok(io_write(pair[1], "abc", 3, after(1000)));
    assert_ok(fiber_sleep(after(5)));
    assert_int_equal(wakes, 2);
    assert_int_equal(why_woken, PARK_READY);
    park_enter(&lot); /* the bytes are still there, remembered, not reported again */
    assert_int_equal(wakes, 2);
    assert_ok(fiber_sleep(after(5)));
    assert_int_equal(wakes, 3);
    assert_ok(io_read(pair[0], b, sizeof b, &n, after(1000)));
    assert_int_equal(n, 3);
    lot.until = after(10000);
    park_enter(&lot);
    assert_ok(fiber_sleep(after(5)));
    assert_int_equal(wakes, 3); /* read empty: nothing to wake for */
    park_wake_all(PARK_SHUTDOWN);
    assert_int_equal(why_woken, PARK_SHUTDOWN);
    park_forget(&lot);
    io_close(pair[0]);
    io_close(pair[1]);
}
static void parks(void **state)
{
    (void)state;
    in_loop(parks_body);
}

static err_t works(void *arg)
{
    *(pid_t *)arg = gettid();
    return fault(E_NOT_FOUND, "from the other thread");
}
static void offloads_body(void *arg)
{
    (void)arg;
    pid_t where = 0;
    assert_err(offload(works, &where, TICK_NEVER), E_NOT_FOUND);
    assert_int_not_equal(where, gettid());
    assert_string_equal(fault_detail(), "from the other thread");
}
static void offloads(void **state)
{
    (void)state;
    in_loop(offloads_body);
}

/* Two jobs at once while one helper is idle: the first only ends when the second has run, so it may not have to wait
   for that helper. */
static sem_t second_ran;
static err_t waits_for_second(void *arg)
{
    (void)arg;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 5;
    return sem_timedwait(&second_ran, &until) == 0 ? NULL : E_TIMEOUT;
}
static err_t runs_second(void *arg)
{
    (void)arg;
    return sem_post(&second_ran) == 0 ? NULL : E_INTERNAL;
}
static void first_job(void *arg)
{
    *(err_t *)arg = offload(waits_for_second, NULL, TICK_NEVER);
}
static void offloads_two_body(void *arg)
{
    (void)arg;
    struct scope s;
    err_t first = E_INTERNAL;
    scope_open(&s);
    assert_int_equal(sem_init(&second_ran, 0, 0), 0);
    assert_ok(scope_spawn(&s, "first", first_job, &first));
    assert_ok(fiber_yield()); /* it has handed its job in */
    assert_ok(offload(runs_second, NULL, TICK_NEVER));
    assert_ok(scope_join(&s, TICK_NEVER));
    assert_ok(first);
    scope_close(&s);
    sem_destroy(&second_ran);
}
static void offloads_two_at_once(void **state)
{
    (void)state;
    in_loop(offloads_two_body);
}

static struct waitq q;
static void waits_in_line(void *arg)
{
    assert_ok(waitq_wait(&q, TICK_NEVER));
    leave(arg);
}
static void queue_is_fair_body(void *arg)
{
    (void)arg;
    struct scope s;
    trail[0] = 0;
    waitq_init(&q);
    scope_open(&s);
    assert_ok(scope_spawn(&s, "1", waits_in_line, (void *)(uintptr_t) "1"));
    assert_ok(scope_spawn(&s, "2", waits_in_line, (void *)(uintptr_t) "2"));
    assert_ok(scope_spawn(&s, "3", waits_in_line, (void *)(uintptr_t) "3"));
    assert_ok(fiber_yield());
    waitq_wake(&q, 1);
    assert_ok(fiber_yield());
    assert_string_equal(trail, "1");
    assert_err(waitq_wait(&q, after(2)), E_TIMEOUT); /* we leave the line by ourselves */
    waitq_wake(&q, -1);
    assert_ok(scope_join(&s, after(1000)));
    assert_string_equal(trail, "123");
    assert_true(waitq_empty(&q));
    scope_close(&s);
}
static void gives_up(void *arg)
{
    assert_err(waitq_wait(&q, *(tick *)arg), E_TIMEOUT);
    leave("late");
}
static void wake_reaches_who_waits_body(void *arg)
{
    (void)arg;
    struct scope s;
    tick same = after(5);
    trail[0] = 0;
    waitq_init(&q);
    scope_open(&s);
    assert_ok(scope_spawn(&s, "first in line", gives_up, &same));
    assert_ok(scope_spawn(&s, "second", waits_in_line, (void *)(uintptr_t) "2"));
    assert_ok(fiber_sleep(same)); /* our timer was set first: the first in line is awake by now, but has not run */
    waitq_wake(&q, 1);
    assert_ok(scope_join(&s, after(1000)));
    assert_string_equal(trail, "late2");
    scope_close(&s);
}
static void a_wake_reaches_one_who_waits(void **state)
{
    (void)state;
    in_loop(wake_reaches_who_waits_body);
}
static void queue_is_fair(void **state)
{
    (void)state;
    in_loop(queue_is_fair_body);
}

static size_t ended;
static void one_of_many(void *arg)
{
    volatile char use[1024];
    (void)arg;
    for (size_t i = 0; i < sizeof use; i += 64)
        use[i] = 1;
    assert_ok(fiber_yield());
    ended += use[0] == 1;
}
static void many_body(void *arg)
{
    (void)arg;
    struct scope s;
    ended = 0;
    for (int round = 0; round < 3; round++) {
        scope_open(&s);
        for (int i = 0; i < 2000; i++)
            assert_ok(scope_spawn(&s, "one of many", one_of_many, NULL));
        assert_ok(scope_join(&s, TICK_NEVER));
        scope_close(&s);
    }
    assert_int_equal(ended, 6000);
    loop_fiber_max(loop_self(), 1);
    scope_open(&s);
    assert_err(scope_spawn(&s, "one too many", one_of_many, NULL), E_LIMIT);
    scope_close(&s);
}
static void many(void **state)
{
    (void)state;
    in_loop(many_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sleeps_in_order),
        cmocka_unit_test(run_goes_first),
        cmocka_unit_test(close_cancels),
        cmocka_unit_test(reads_and_writes),
        cmocka_unit_test(reads_in_bulk),
        cmocka_unit_test(bulk_ends),
        cmocka_unit_test(parks),
        cmocka_unit_test(offloads),
        cmocka_unit_test(offloads_two_at_once),
        cmocka_unit_test(queue_is_fair),
        cmocka_unit_test(a_wake_reaches_one_who_waits),
        cmocka_unit_test(many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
