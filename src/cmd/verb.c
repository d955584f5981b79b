/* SPDX-License-Identifier: MIT */
#include "cmd/verb.h"

#include <stdlib.h>

const struct opt_role *const verb_roles[] = {
#define ROLE_ROW(name) &name,
#include "cmd/roles.def"
#undef ROLE_ROW
    NULL};

/* ---- Finding the role ---- */

static bool tool_is(size_t i, const char *tool)
{
    return strcmp(verb_roles[i]->tool, tool) == 0;
}

static void unknown_tool(const char *typed)
{
    const char *names[64];
    size_t n = 0;
    for (size_t i = 0; verb_roles[i] && n < 62; i++)
        if (!n || strcmp(names[n - 1], verb_roles[i]->tool) != 0)
            names[n++] = verb_roles[i]->tool;
    names[n++] = "help";
    names[n] = NULL;
    const char *near = opt_nearest(typed, names);
    if (near)
        (void)fault(E_USAGE, "there is no tool '%s' (did you mean %s?)", typed, near);
    else
        (void)fault(E_USAGE, "there is no tool '%s' (l7 help lists them)", typed);
}

static void unknown_role(const char *tool, const char *typed)
{
    const char *names[32];
    char list[160] = "";
    size_t n = 0, len = 0;
    for (size_t i = 0; verb_roles[i] && n < 31; i++)
        if (tool_is(i, tool) && verb_roles[i]->role) {
            names[n++] = verb_roles[i]->role;
            int got = snprintf(list + len, sizeof list - len, "%s%s", len ? ", " : "", verb_roles[i]->role);
            len = got > 0 && len + (size_t)got < sizeof list ? len + (size_t)got : len;
        }
    names[n] = NULL;
    const char *near = typed ? opt_nearest(typed, names) : NULL;
    if (!n)
        (void)fault(E_USAGE, "%s has no roles: l7 help %s", tool, tool);
    else if (near)
        (void)fault(E_USAGE, "%s has no '%s' (did you mean %s?)", tool, typed, near);
    else
        (void)fault(E_USAGE, "%s wants one of: %s", tool, list);
}

const struct opt_role *verb_find(int *argc, char ***argv)
{
    const struct opt_role *plain = NULL;
    bool known = false;
    const char *tool = **argv, *role = *argc > 1 ? (*argv)[1] : NULL;
    for (size_t i = 0; verb_roles[i]; i++) {
        if (!tool_is(i, tool))
            continue;
        known = true;
        if (!verb_roles[i]->role)
            plain = verb_roles[i];
        else if (role && strcmp(verb_roles[i]->role, role) == 0) {
            *argc -= 2, *argv += 2;
            return verb_roles[i];
        }
    }
    if (!known)
        unknown_tool(tool);
    else if (!plain)
        unknown_role(tool, role);
    if (plain)
        *argc -= 1, *argv += 1;
    return plain;
}

/* ---- Help ---- */

static void list_tools(void)
{
    puts("l7 " L7_VERSION ": the application layer in one binary\n\nUsage: l7 TOOL [ROLE] [OPTIONS] [ARGUMENTS]\n");
    for (size_t i = 0; verb_roles[i]; i++) {
        const struct opt_role *r = verb_roles[i];
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", r->tool, r->role ? " " : "", r->role ? r->role : "");
        printf("  %-19s %s\n", left, r->summary);
    }
    puts("\nl7 help TOOL [ROLE] tells more; l7 --version prints the version.");
}

static void list_roles(const char *tool)
{
    printf("Usage: l7 %s ROLE [OPTIONS] [ARGUMENTS]\n\n", tool);
    for (size_t i = 0; verb_roles[i]; i++)
        if (tool_is(i, tool))
            printf("  %s %-14s %s\n", tool, verb_roles[i]->role ? verb_roles[i]->role : "", verb_roles[i]->summary);
    printf("\nl7 help %s ROLE tells more.\n", tool);
}

static bool tool_exists(const char *tool, bool *plain)
{
    bool found = false;
    *plain = false;
    for (size_t i = 0; verb_roles[i]; i++)
        if (tool_is(i, tool)) {
            found = true;
            *plain = *plain || !verb_roles[i]->role;
        }
    return found;
}

/* "See also: l7 ping listen" under the help of a tool's main role. */
static void other_roles(const struct opt_role *shown)
{
    for (size_t i = 0; verb_roles[i] && !shown->role; i++)
        if (tool_is(i, shown->tool) && verb_roles[i]->role)
            printf("See also: l7 %s %s: %s\n", shown->tool, verb_roles[i]->role, verb_roles[i]->summary);
}

static int fail_usage(void)
{
    fprintf(stderr, "l7: %s\n", fault_detail());
    return E_USAGE->exit;
}

static const char man_end[] =
    "# EXIT STATUS\n\n"
    "0 done; 1 the network or the other side failed; 2 wrong usage; 3 partly done. *l7 ping* follows ping(8): 1 when "
    "no\n"
    "answer came, 2 for other errors. *l7 mail* follows sysexits.h.\n\n"
    "# FILES\n\n"
    "_$XDG\\_CONFIG\\_HOME/l7.conf_ or _/etc/l7.conf_: long options as keys, one section a tool, for example:\n\n"
    "```\n[serve]\nlisten = 127.0.0.1:8080\n\n[ping listen]\nloss = 40%\n```\n\n"
    "# SEE ALSO\n\n";

/* l7 help --man: the option tables as scdoc, for the build of the man pages; without a tool the page l7(1). */
static int man(const char *tool)
{
    bool plain;
    if (tool && !tool_exists(tool, &plain)) {
        unknown_tool(tool);
        return fail_usage();
    }
    const char *what = "the application layer in one binary";
    for (size_t i = 0; tool && verb_roles[i]; i++)
        what =
            tool_is(i, tool) && (!verb_roles[i]->role || !i || !tool_is(i - 1, tool)) ? verb_roles[i]->summary : what;
    printf("l7%s%s(1) \"\" \"l7 " L7_VERSION "\"\n\n# NAME\n\nl7%s%s - %s\n\n", tool ? "-" : "", tool ? tool : "",
           tool ? "-" : "", tool ? tool : "", what);
    if (!tool)
        puts("# SYNOPSIS\n\n*l7* TOOL \\[ROLE\\] \\[OPTIONS\\] \\[ARGUMENTS\\]++\n*l7 help* \\[TOOL \\[ROLE\\]\\]\n\n# "
             "TOOLS\n");
    for (size_t i = 0; verb_roles[i]; i++)
        if (!tool)
            printf("*l7 %s%s%s*\n\t%s\n\n", verb_roles[i]->tool, verb_roles[i]->role ? " " : "",
                   verb_roles[i]->role ? verb_roles[i]->role : "", verb_roles[i]->summary);
        else if (tool_is(i, tool))
            opt_man(verb_roles[i], stdout);
    fputs(man_end, stdout);
    puts(tool ? "*l7*(1)" : "*l7-serve*(1), *l7-get*(1), *l7-ping*(1) and so on, one page a tool");
    return 0;
}

/* l7 help --words [TOOL [ROLE]]: what may stand there, one a line, for the shell completions. */
static int words(int argc, char **argv)
{
    const struct opt *rows[OPT_ROWS_MAX];
    for (size_t i = 0; verb_roles[i]; i++) {
        const struct opt_role *r = verb_roles[i];
        if (!argc && (!i || strcmp(verb_roles[i - 1]->tool, r->tool) != 0))
            puts(r->tool);
        if (!argc || !tool_is(i, argv[0]))
            continue;
        if (argc == 1 && r->role)
            puts(r->role);
        bool match = argc > 1 ? r->role && strcmp(r->role, argv[1]) == 0 : !r->role;
        size_t n = match ? opt_rows(r, rows, NULL) : 0;
        for (size_t k = 0; k < n; k++)
            if (rows[k]->type != OPT_HEADING && !rows[k]->hidden)
                printf("--%s%s\n", rows[k]->name, opt_takes_value(rows[k]) ? "=" : "");
    }
    if (!argc)
        puts("help");
    return 0;
}

static int help(int argc, char **argv)
{
    bool plain;
    if (!argc || strcmp(argv[0], "help") == 0) {
        list_tools();
        return 0;
    }
    if (strcmp(argv[0], "--words") == 0)
        return words(argc - 1, argv + 1);
    if (strcmp(argv[0], "--man") == 0)
        return man(argc > 1 ? argv[1] : NULL);
    if (argc == 1 && verb_topic(argv[0])) {
        fputs(verb_topic(argv[0]), stdout);
        return 0;
    }
    if (argc == 1 && tool_exists(argv[0], &plain) && !plain) {
        list_roles(argv[0]);
        return 0;
    }
    const struct opt_role *role = verb_find(&argc, &argv);
    if (!role)
        return fail_usage();
    if (argc) {
        unknown_role(role->tool, argv[0]);
        return fail_usage();
    }
    opt_help(role);
    other_roles(role);
    return 0;
}

/* ---- Running ---- */

int verb_fail(const struct opt_role *role, err_t e)
{
    char text[400];
    if (e->kind == ERR_USAGE && *fault_detail())
        snprintf(text, sizeof text, "%s", fault_detail());
    else
        fault_text(e, text, sizeof text);
    fprintf(stderr, "l7 %s%s%s: %s%s\n", role->tool, role->role ? " " : "", role->role ? role->role : "", text,
            err_advice(e));
    if (strcmp(role->tool, "mail") == 0)
        return e->sysexit;
    /* ping(8): 1 is "no answer came", 2 every other error. */
    return strcmp(role->tool, "ping") == 0 && !role->role ? 2 : e->exit;
}

static int run_role(const struct opt_role *role, int argc, char **argv)
{
    void *conf = calloc(1, role->conf_size ? role->conf_size : 1);
    if (!conf)
        return verb_fail(role, E_NO_MEMORY);
    int status = 0;
    err_t e = opt_parse(role, conf, &argc, argv);
    if (e)
        status = verb_fail(role, e);
    else if (opt_wish() == OPT_WANT_VERSION)
        puts("l7 " L7_VERSION);
    else if (opt_wish() == OPT_WANT_HELP)
        opt_help(role), other_roles(role);
    else
        status = role->run(conf, argc, argv);
    opt_free(role, conf);
    free(conf);
    return status;
}

int verb_main(int argc, char **argv)
{
    const char *first = argc > 1 ? argv[1] : "help";
    if (strcmp(first, "--version") == 0 || strcmp(first, "-V") == 0) {
        puts("l7 " L7_VERSION);
        return 0;
    }
    if (strcmp(first, "help") == 0 || strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0)
        return help(argc > 2 ? argc - 2 : 0, argv + 2);
    bool plain;
    if (argc == 3 && strcmp(argv[2], "--help") == 0 && tool_exists(first, &plain) && !plain)
        return help(1, argv + 1);
    argc--, argv++;
    const struct opt_role *role = verb_find(&argc, &argv);
    return role ? run_role(role, argc, argv) : fail_usage();
}
