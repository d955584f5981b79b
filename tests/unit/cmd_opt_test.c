/* SPDX-License-Identifier: MIT */
#include "cmd/opt.h"

#include <stdlib.h>

#include "base/clock.h"
#include "unit.h"

struct conf {
    struct opt_list listen, tags;
    bool serial, quiet;
    const char *user, *trace;
    int64_t count, wait;
    uint64_t size;
    double loss;
    int format, calls;
};

static err_t count_call(void *conf, const char *value)
{
    ((struct conf *)conf)->calls += value ? atol(value) > 0 : 100;
    return value && *value == '-' ? fault(E_USAGE, "must be positive") : NULL;
}

static const struct opt own[] = {
    {"listen", 'l', OPT_LIST, offsetof(struct conf, listen), "[ADDR]:PORT", "where", "127.0.0.1:80", NULL, false},
    {"tag", 't', OPT_LIST, offsetof(struct conf, tags), "TAG", "a tag", NULL, NULL, false},
    {"serial", 's', OPT_FLAG, offsetof(struct conf, serial), NULL, "one at a time", NULL, NULL, false},
    {"quiet", 'q', OPT_FLAG, offsetof(struct conf, quiet), NULL, "say less", "yes", NULL, false},
    {"count", 'c', OPT_INT, offsetof(struct conf, count), "N", "how many", "10", NULL, false},
    {"wait", 'W', OPT_DURATION, offsetof(struct conf, wait), "TIME", "how long", "1s", NULL, false},
    {"size", 0, OPT_SIZE, offsetof(struct conf, size), "SIZE", "how big", NULL, NULL, false},
    {"loss", 0, OPT_RATIO, offsetof(struct conf, loss), "SHARE", "how lossy", NULL, NULL, false},
    {"log-format", 0, OPT_CHOICE, offsetof(struct conf, format), "combined|json", "of the log", NULL, NULL, false},
    {"trace", 0, OPT_OPTIONAL, offsetof(struct conf, trace), "FILE", "show it", NULL, NULL, false},
    {"call", 'x', OPT_CALL, 0, "N", "call with a value", NULL, count_call, false},
    {"bare", 'b', OPT_CALL, 0, NULL, "call without one", NULL, count_call, false},
    {NULL, 0, OPT_FLAG, 0, NULL, NULL, NULL, NULL, false}};
static const struct opt shared[] = {
    {"shared", 0, OPT_HEADING, 0, NULL, "Shared", NULL, NULL, false},
    {"user", 0, OPT_STRING, offsetof(struct conf, user), "NAME", "become NAME", NULL, NULL, false},
    {"count", 0, OPT_INT, offsetof(struct conf, size), "N", "hidden by the row above", "77", NULL, false},
    {NULL, 0, OPT_FLAG, 0, NULL, NULL, NULL, NULL, false}};
static const struct opt *const tables[] = {own, shared, NULL};
static const struct opt_role role = {.tool = "try",
                                     .usage = "WHAT",
                                     .summary = "Try.",
                                     .tables = tables,
                                     .conf_size = sizeof(struct conf),
                                     .args_max = 3};

enum { WORDS = 20 };
struct
try {
    struct conf conf;
    int argc;
    char *argv[WORDS];
    err_t err;
};

/* Parse the words of `line` (split at blanks, cut up in place). */
static struct try try_line(char *line)
{
    struct try t = {0};
    char *save;
    for (char *w = strtok_r(line, " ", &save); w && t.argc < WORDS; w = strtok_r(NULL, " ", &save))
        t.argv[t.argc++] = w;
    fault_clear();
    t.err = opt_parse(&role, &t.conf, &t.argc, t.argv);
    return t;
}
#define TRY_LINE(text)                                                                                                 \
    char line_[] = text;                                                                                               \
    struct try t = try_line(line_)
#define DONE() opt_free(&role, &t.conf)

static void defaults(void **state)
{
    (void)state;
    TRY_LINE("");
    assert_ok(t.err);
    assert_int_equal(t.conf.listen.n, 1);
    assert_string_equal(t.conf.listen.v[0], "127.0.0.1:80");
    assert_int_equal(t.conf.tags.n, 0);
    assert_true(t.conf.quiet);
    assert_false(t.conf.serial);
    assert_int_equal(t.conf.count, 10);
    assert_int_equal(t.conf.size, 0); /* the shared row "count" is hidden by the own one */
    assert_int_equal(t.conf.wait, TICK_S);
    DONE();
}

static void long_forms(void **state)
{
    (void)state;
    TRY_LINE("a --listen :1 --listen=[::1]:2 --serial --no-quiet --count=-3 --wait 250ms --size 2K --loss 4/11 b");
    assert_ok(t.err);
    assert_int_equal(t.conf.listen.n, 2); /* the default is gone */
    assert_string_equal(t.conf.listen.v[1], "[::1]:2");
    assert_true(t.conf.serial);
    assert_false(t.conf.quiet);
    assert_int_equal(t.conf.count, -3);
    assert_int_equal(t.conf.wait, 250 * TICK_MS);
    assert_int_equal(t.conf.size, 2048);
    assert_true(t.conf.loss > 0.36 && t.conf.loss < 0.37);
    assert_int_equal(t.argc, 2);
    assert_string_equal(t.argv[0], "a");
    assert_string_equal(t.argv[1], "b");
    DONE();
}

static void letters(void **state)
{
    (void)state;
    TRY_LINE("-sc5 -W 2 -tx -t y -b -x3 -");
    assert_ok(t.err);
    assert_true(t.conf.serial);
    assert_int_equal(t.conf.count, 5);
    assert_int_equal(t.conf.wait, 2 * TICK_S);
    assert_int_equal(t.conf.tags.n, 2);
    assert_string_equal(t.conf.tags.v[0], "x");
    assert_int_equal(t.conf.calls, 101);
    assert_int_equal(t.argc, 1); /* a lone "-" is an argument */
    DONE();
}

static void prefixes_and_choices(void **state)
{
    (void)state;
    TRY_LINE("--ser --log json --trace --us joe -- --serial");
    assert_ok(t.err);
    assert_true(t.conf.serial);
    assert_int_equal(t.conf.format, 1);
    assert_string_equal(t.conf.trace, "");
    assert_string_equal(t.conf.user, "joe");
    assert_string_equal(t.argv[0], "--serial");
    DONE();
}

static void optional_value(void **state)
{
    (void)state;
    TRY_LINE("--trace=out.txt --trace x");
    assert_ok(t.err);
    assert_string_equal(t.conf.trace, ""); /* the last one counts; "x" is an argument */
    assert_int_equal(t.argc, 1);
    DONE();
}

#define REFUSES(name, words, message)                                                                                  \
    static void name(void **state)                                                                                     \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        TRY_LINE(words);                                                                                               \
        assert_err(t.err, E_USAGE);                                                                                    \
        assert_string_equal(fault_detail(), message);                                                                  \
        DONE();                                                                                                        \
    }
REFUSES(misspelt, "--lisen :1", "there is no option --lisen (did you mean --listen?)")
REFUSES(nowhere_near, "--frobnicate", "there is no option --frobnicate")
REFUSES(ambiguous, "--s", "--s could be --serial or --size")
REFUSES(no_value, "--size", "--size wants a value: SIZE")
REFUSES(too_much_value, "--serial=1", "--serial takes no value")
REFUSES(bad_letter, "-sZ", "there is no option -Z")
REFUSES(bad_letter_value, "-c", "-c wants a value: N")
REFUSES(bad_number, "-c 1x", "--count: '1x' is not a whole number")
REFUSES(bad_duration, "-W soon", "--wait: 'soon' is not a duration (250ms, 10s, 5m, 1h, 1d)")
REFUSES(bad_choice, "--log-format xml", "--log-format: 'xml' is none of combined|json")
REFUSES(bad_call, "-x -1", "--call: must be positive")
REFUSES(bad_no, "--no-size", "there is no option --no-size (did you mean --size?)")
REFUSES(too_many, "1 2 3 4", "too many arguments (usage: l7 try WHAT)")

static void help_wins(void **state)
{
    (void)state;
    TRY_LINE("--count 3 --help --nonsense");
    assert_ok(t.err);
    assert_int_equal(opt_wish(), OPT_WANT_HELP);
    DONE();
}

static void single_keys(void **state)
{
    (void)state;
    struct conf c = {0};
    assert_ok(opt_defaults(&role, &c));
    assert_ok(opt_set(&role, &c, "serial", "yes"));
    assert_ok(opt_set(&role, &c, "tag", "a"));
    assert_ok(opt_set(&role, &c, "tag", "b"));
    assert_int_equal(c.tags.n, 2);
    assert_true(c.serial);
    assert_err(opt_set(&role, &c, "tags", "b"), E_CONFIG);
    assert_err(opt_set(&role, &c, "serial", "perhaps"), E_USAGE);
    opt_free(&role, &c);
    assert_int_equal(c.tags.n, 0);
}

static void nearest(void **state)
{
    (void)state;
    const char *const names[] = {"serve", "proxy", "ping", NULL};
    assert_string_equal(opt_nearest("sevre", names), "serve");
    assert_string_equal(opt_nearest("pign", names), "ping");
    assert_null(opt_nearest("heartbeat", names));
}

int main(void)
{
    setenv("XDG_CONFIG_HOME", "/dev/null", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),       cmocka_unit_test(long_forms),   cmocka_unit_test(letters),
        cmocka_unit_test(optional_value), cmocka_unit_test(misspelt),     cmocka_unit_test(prefixes_and_choices),
        cmocka_unit_test(nowhere_near),   cmocka_unit_test(ambiguous),    cmocka_unit_test(no_value),
        cmocka_unit_test(too_much_value), cmocka_unit_test(bad_letter),   cmocka_unit_test(bad_letter_value),
        cmocka_unit_test(bad_number),     cmocka_unit_test(bad_duration), cmocka_unit_test(bad_choice),
        cmocka_unit_test(bad_call),       cmocka_unit_test(bad_no),       cmocka_unit_test(too_many),
        cmocka_unit_test(help_wins),      cmocka_unit_test(single_keys),  cmocka_unit_test(nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
