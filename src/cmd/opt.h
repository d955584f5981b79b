/* SPDX-License-Identifier: MIT */
/*
 * opt.h -- one table a role: it parses the command line and l7.conf, prints --help, and feeds the man page
 * and the shell completions.
 *
 * A row names an option, how its value is read and where it lands in the role's config struct (by offset).
 * Rows end with a row whose `name` is NULL. GNU style: --name VALUE, --name=VALUE, -x VALUE, -xVALUE, bundled
 * flags, "--" ends the options, options and arguments may mix. A long option may be cut to an unambiguous prefix.
 *
 *     static const struct opt opts[] = {
 *         {"listen", 'l', OPT_LIST, offsetof(struct conf, listen), "[ADDR]:PORT", "where to listen", "127.0.0.1:8005"},
 *         {"serial", 0, OPT_FLAG, offsetof(struct conf, serial), NULL, "one connection at a time"},
 *         {NULL}};
 *
 * Values come in three layers, each replacing the one below: the table's default, l7.conf, the command line. A list
 * collects within its layer. Every role also knows --help, --version and --config (opt_common).
 */
#pragma once

#include <stdio.h>

#include "base/err.h"

enum opt_type {
    OPT_FLAG,     /* bool; --no-NAME is accepted too */
    OPT_STRING,   /* const char * */
    OPT_LIST,     /* struct opt_list, repeatable */
    OPT_INT,      /* int64_t, any sign */
    OPT_SIZE,     /* uint64_t, text_size */
    OPT_DURATION, /* int64_t ns, text_duration */
    OPT_RATIO,    /* double, text_ratio */
    OPT_CHOICE,   /* int: index into `arg` "a|b|c" */
    OPT_OPTIONAL, /* const char *: --name or --name=VALUE; "" without a value */
    OPT_CALL,     /* `parse` is called for each use; it takes a value when the row has `arg`, else value is NULL */
    OPT_HEADING,  /* a line between groups in --help; `help` is its text, `name` anything but NULL */
};

struct opt_list {
    const char **v;
    size_t n;
};

struct opt {
    const char *name;
    char letter; /* 0: none */
    enum opt_type type;
    size_t offset;
    const char *arg;                               /* "FILE", or the choices */
    const char *help;                              /* one line */
    const char *init;                              /* default, as it would be typed; NULL: zero */
    err_t (*parse)(void *conf, const char *value); /* OPT_CALL */
    bool hidden;                                   /* works, but is not in --help (aliases) */
};

/* A role's own rows are shown one a line in --help; the tables after the first (which many roles share) are shown
   as one flowing paragraph under their heading, so that the whole fits one screen. A row of an earlier table hides
   rows of the same name or letter in later ones: that is how a tool gives a shared option its own default. */
struct opt_role {
    const char *tool, *role;         /* "ping", "listen"; role NULL for the tool's main form */
    const char *usage;               /* "HOST [PORT]" */
    const char *summary;             /* one line */
    const struct opt *const *tables; /* NULL-terminated list of tables (own rows, then shared ones) */
    size_t conf_size;
    int args_min, args_max;                        /* args_max -1: any number */
    int (*run)(void *conf, int argc, char **argv); /* arguments only; returns the process status */
    const char *notes;                             /* a few lines under the options in --help: examples */
};

enum { OPT_ROWS_MAX = 192 };

/* Fill `conf` (zeroed, of role->conf_size) from defaults, then l7.conf, then argv; `*argc`, `argv` keep the
   arguments (argv[0] is the first one, both before and after). E_USAGE with the message in the fault note ("did you
   mean --listen?"). */
MUST err_t opt_parse(const struct opt_role *, void *conf, int *argc, char **argv);
/* The defaults alone, then single keys: for callers with their own source of options (mail's --batch). `value` must
   outlive `conf`; for flags it is yes or no. E_CONFIG for a key that the role does not have, E_USAGE for a bad value.
 */
MUST err_t opt_defaults(const struct opt_role *, void *conf);
MUST err_t opt_set(const struct opt_role *, void *conf, const char *key, const char *value);
void opt_free(const struct opt_role *, void *conf); /* the arrays of lists */

/* Did --help, or --version, come among the options? Then opt_parse stopped there and returned NULL. */
enum opt_wish { OPT_RUN, OPT_WANT_HELP, OPT_WANT_VERSION };
enum opt_wish opt_wish(void);

void opt_help(const struct opt_role *);           /* to stdout, fits one screen, wraps at the terminal's width */
void opt_man(const struct opt_role *, FILE *out); /* the role's part of the man page, in scdoc */
/* The candidate nearest to `typed`, or NULL when none is near enough to suggest. */
const char *opt_nearest(const char *typed, const char *const *candidates);

/* -- shared by opt.c, opt_help.c and conf.c -- */

/* The rows of all tables that no earlier row hides, headings included; `table_of[i]` (may be NULL) gets the number
   of the table of row i. Returns how many. */
size_t opt_rows(const struct opt_role *, const struct opt **rows, uint8_t *table_of);
const struct opt *opt_row(const struct opt_role *, const char *name); /* by exact name, NULL */
bool opt_takes_value(const struct opt *);
extern const struct opt opt_common[];
