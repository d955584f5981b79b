/* SPDX-License-Identifier: MIT */
/* Happy Eyeballs in virtual time: who is dialled when, and who wins. */
#include "tests/sim/world.h"

#include <stdio.h>

#include "net/dial.h"
#include "rt/io.h"
#include "rt/loop.h"
#include "rt/sim.h"
#include "rt/sys.h"

static struct addr address(const char *text)
{
    struct addr a;
    assert_ok(addr_parse(slice_z(text), 80, &a));
    return a;
}

static int listen_on(const char *text)
{
    struct addr a = address(text);
    int fd = sys_socket(a.sa.sa_family, SOCK_STREAM);
    assert_int_equal(sys_bind(fd, &a.sa, a.len), 0);
    assert_int_equal(sys_listen(fd, 8), 0);
    return fd;
}

static void pin(const char *host, const char *text)
{
    struct addr a = address(text);
    assert_ok(resolve_pin(slice_z(host), 0, &a));
}

static void dark(const char *text)
{
    struct addr a = address(text);
    sim_blackhole_host(&a);
}

/* What was dialled, in order, with the milliseconds since the start. */
struct log {
    tick start;
    char text[512];
    const char *forbid;
    const char *name; /* that every address is asked for, or NULL */
    int strangers;    /* how often it was another */
    err_t e;          /* what came of it, where another fiber dials */
};
static bool allowed(const struct addr *a, struct slice name, void *arg)
{
    struct log *log = arg;
    char host[ADDR_TEXT];
    size_t n = strlen(log->text);
    log->strangers += log->name && !slice_eq(name, slice_z(log->name));
    addr_text_host(a, host);
    snprintf(log->text + n, sizeof log->text - n, "%s%s@%d", n ? " " : "", host, (int)((now() - log->start) / TICK_MS));
    return !log->forbid || strcmp(host, log->forbid) != 0;
}

static err_t try_dial(const char *host, struct log *log, int *fd, struct addr *peer, int64_t ms)
{
    struct dial_options options = {.allowed = allowed, .arg = log};
    log->start = now();
    log->text[0] = 0;
    log->name = host;
    return dial(slice_z(host), 80, &options, fd, peer, NULL, after(ms));
}

static void steps_body(void *arg)
{
    (void)arg;
    struct log log = {0};
    struct addr peer;
    int fd, l = listen_on("192.0.2.3");
    const char *all[] = {"192.0.2.1", "2001:db8::1", "2001:db8::2", "192.0.2.2", "2001:db8::3", "192.0.2.3"};
    for (int i = 0; i < 6; i++) {
        pin("steps", all[i]);
        if (i < 5)
            dark(all[i]);
    }
    assert_ok(try_dial("steps", &log, &fd, &peer, 10000));
    assert_string_equal(log.text, "2001:db8::1@0 192.0.2.1@250 2001:db8::2@500 192.0.2.2@750 2001:db8::3@1000 "
                                  "192.0.2.3@1250");
    char text[ADDR_TEXT];
    assert_string_equal(addr_text(&peer, text), "192.0.2.3:80");
    io_close(fd);
    io_close(l);
}
static void families_alternate_in_steps_of_250_ms(void **state)
{
    (void)state;
    in_world(steps_body);
}

static void refusal_body(void *arg)
{
    (void)arg;
    struct log log = {0};
    int fd, l = listen_on("192.0.2.9");
    pin("refused", "2001:db8::8"), pin("refused", "2001:db8::9"), pin("refused", "192.0.2.8"),
        pin("refused", "192.0.2.9");
    assert_ok(try_dial("refused", &log, &fd, NULL, 1000));
    assert_string_equal(log.text, "2001:db8::8@0 192.0.2.8@0 2001:db8::9@0 192.0.2.9@0");
    io_close(fd);
    io_close(l);
    assert_err(try_dial("refused", &log, &fd, NULL, 1000), E_REFUSED);
    assert_string_equal(fault_detail(), "refused:80");
}
static void a_refusal_moves_on_at_once(void **state)
{
    (void)state;
    in_world(refusal_body);
}

static void rules_body(void *arg)
{
    (void)arg;
    struct log log = {.forbid = "192.0.2.20"};
    int fd, l = listen_on("192.0.2.20");
    pin("rules", "192.0.2.20");
    assert_err(try_dial("rules", &log, &fd, NULL, 1000), E_FORBIDDEN);
    pin("rules", "192.0.2.21");
    assert_err(try_dial("rules", &log, &fd, NULL, 1000), E_REFUSED);
    assert_string_equal(log.text, "192.0.2.20@0 192.0.2.21@0");
    log.forbid = NULL;
    assert_ok(try_dial("rules", &log, &fd, NULL, 1000));
    io_close(fd);
    io_close(l);
}
static void access_rules_see_every_address(void **state)
{
    (void)state;
    in_world(rules_body);
}

static void other_dial(void *arg)
{
    struct log *log = arg;
    int fd;
    log->e = fiber_sleep(after(100));
    if (!log->e)
        log->e = try_dial("other", log, &fd, NULL, 100);
}
static void judged_body(void *arg)
{
    (void)arg;
    struct log log = {0}, other = {0};
    struct scope scope;
    int fd;
    pin("mine", "192.0.2.40"), pin("mine", "192.0.2.41"), pin("other", "192.0.2.42");
    dark("192.0.2.40"), dark("192.0.2.41"), dark("192.0.2.42");
    scope_open(&scope);
    assert_ok(scope_spawn(&scope, "other", other_dial, &other));
    assert_err(try_dial("mine", &log, &fd, NULL, 1000), E_TIMEOUT);
    scope_close(&scope);
    assert_err(other.e, E_TIMEOUT);
    assert_string_equal(log.text, "192.0.2.40@0 192.0.2.41@250");
    assert_string_equal(other.text, "192.0.2.42@0");
    assert_int_equal(log.strangers + other.strangers, 0);
}
static void each_dial_is_judged_by_its_own_name(void **state)
{
    (void)state;
    in_world(judged_body);
}

static void deadline_body(void *arg)
{
    (void)arg;
    struct log log = {0};
    int fd;
    pin("dark", "192.0.2.30"), pin("dark", "192.0.2.31");
    dark("192.0.2.30"), dark("192.0.2.31");
    assert_err(try_dial("dark", &log, &fd, NULL, 2000), E_TIMEOUT);
    assert_int_equal((now() - log.start) / TICK_MS, 2000);
    assert_string_equal(log.text, "192.0.2.30@0 192.0.2.31@250");
    assert_string_equal(fault_detail(), "connecting to dark:80");
    struct dial_options six = {.family = AF_INET6};
    assert_err(dial(S("dark"), 80, &six, &fd, NULL, NULL, after(1000)), E_NO_HOST);
}
static void the_deadline_holds_for_the_whole_race(void **state)
{
    (void)state;
    in_world(deadline_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_alternate_in_steps_of_250_ms), cmocka_unit_test(a_refusal_moves_on_at_once),
        cmocka_unit_test(access_rules_see_every_address),        cmocka_unit_test(each_dial_is_judged_by_its_own_name),
        cmocka_unit_test(the_deadline_holds_for_the_whole_race),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
