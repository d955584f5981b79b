/* SPDX-License-Identifier: MIT */
/* What a state file that is not what a listener left does to the next one. */
#include "app/heartbeat/store.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/heartbeat/sender_record.h"
#include "unit.h"

static struct senders t;
static const tick origin = 1000 * TICK_S;
static const struct senders_conf conf = {.timeout = 10 * TICK_S, .rate = 1 / 3600e9, .max = 100000};
static const char only[] = "the only one";

/* Writes `n` bytes into the only record of the file. */
static void damage(const char *path, size_t field, const void *bytes, size_t n)
{
    static char whole[1 << 20];
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t got = read(fd, whole, sizeof whole);
    const char *id = got > 0 ? memmem(whole, (size_t)got, only, strlen(only)) : NULL;
    assert_non_null(id);
    off_t record = id - whole - (off_t)offsetof(struct sender, id);
    assert_int_equal(pwrite(fd, bytes, n, record + (off_t)field), n);
    close(fd);
}

static uint32_t adopted_with(size_t field, const void *bytes, size_t n)
{
    char path[] = "/tmp/l7-senders-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct beat b = {.id = slice_z(only), .incarnation = 1, .sequence = 1, .interval_ns = TICK_S};
    struct addr peer;
    assert_ok(addr_parse(S("192.0.2.1"), 4000, &peer));
    assert_ok(senders_open(&t, &conf, path, origin, origin));
    assert_int_equal(senders_beat(&t, &b, &peer, origin, origin), SENDERS_FRESH);
    senders_close(&t);
    damage(path, field, bytes, n);
    assert_ok(senders_open(&t, &conf, path, origin + TICK_S, origin + TICK_S));
    for (int i = 0; i < SENDERS_SHARDS; i++)
        (void)senders_turn(&t, i, origin + 20 * TICK_S);
    uint32_t count = senders_count(&t, NULL);
    senders_close(&t);
    unlink(path);
    return count;
}

#define ADOPTED(type, field, value) adopted_with(offsetof(struct sender, field), &(type){value}, sizeof(type))

/* A thousand periods must still be a tick, so a record with a longer one than a beat can state is damage. */
static void a_damaged_record_is_dropped(void **state)
{
    (void)state;
    const double most = (double)BEAT_INTERVAL_MAX;
    assert_int_equal(ADOPTED(double, d.period, most), 1);
    assert_int_equal(ADOPTED(float, interval, (float)most), 1);
    assert_int_equal(ADOPTED(tick, changed, -400 * 86400 * TICK_S), 1); /* the machine was off for a year */
    assert_int_equal(ADOPTED(double, d.period, most * 1.001), 0);
    assert_int_equal(ADOPTED(double, d.period, -1.0), 0);
    assert_int_equal(ADOPTED(double, d.period, (double)NAN), 0);
    assert_int_equal(ADOPTED(float, interval, (float)(most * 1.001)), 0);
    assert_int_equal(ADOPTED(tick, d.base, INT64_MAX), 0);
    assert_int_equal(ADOPTED(tick, last, INT64_MIN), 0);
    assert_int_equal(ADOPTED(tick, changed, INT64_MIN), 0);
    assert_int_equal(ADOPTED(int8_t, d.unit, 100), 0);
    assert_int_equal(ADOPTED(uint8_t, state, BEAT_STATES), 0);
}

/* A mark that no clock can have made says nothing. */
static void how_long_nobody_listened(void **state)
{
    (void)state;
    const struct {
        int64_t marked, pause;
    } rows[] = {{origin, 5 * TICK_S}, {origin + 6 * TICK_S, 0}, {0, 0}, {INT64_MIN, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char path[] = "/tmp/l7-store-test-XXXXXX";
        struct store s;
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        close(fd);
        assert_ok(store_open(&s, path, 64, origin));
        store_mark(&s, rows[i].marked);
        store_close(&s);
        assert_ok(store_open(&s, path, 64, origin + 5 * TICK_S));
        assert_true(s.found);
        assert_int_equal(s.pause, rows[i].pause);
        store_close(&s);
        unlink(path);
    }
}

static void a_foreign_file_is_refused(void **state)
{
    (void)state;
    char path[] = "/tmp/l7-senders-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && ftruncate(fd, 8192) == 0);
    close(fd);
    assert_err(senders_open(&t, &conf, path, origin, origin), E_CONFIG);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_damaged_record_is_dropped),
        cmocka_unit_test(how_long_nobody_listened),
        cmocka_unit_test(a_foreign_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
