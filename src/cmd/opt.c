/* SPDX-License-Identifier: MIT */
#include "cmd/opt.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "cmd/conf.h"

/* --help, --version and --config are met while scanning; their rows only need to exist. */
static err_t nothing(void *conf, const char *value)
{
    (void)conf, (void)value;
    return NULL;
}

const struct opt opt_common[] = {
    {"common", 0, OPT_HEADING, 0, NULL, "Common", NULL, NULL, false},
    {"config", 0, OPT_CALL, 0, "FILE", "read options from FILE instead of l7.conf", NULL, nothing, false},
    {"help", 'h', OPT_CALL, 0, NULL, "this text", NULL, nothing, false},
    {"version", 'V', OPT_CALL, 0, NULL, "the version", NULL, nothing, false},
    {NULL, 0, OPT_FLAG, 0, NULL, NULL, NULL, NULL, false},
};

static enum opt_wish wish;

enum opt_wish opt_wish(void)
{
    return wish;
}

/* ---- The rows of a role ---- */

static bool has_row(const struct opt **rows, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i]->type != OPT_HEADING && strcmp(rows[i]->name, name) == 0)
            return true;
    return false;
}

size_t opt_rows(const struct opt_role *role, const struct opt **rows, uint8_t *table_of)
{
    size_t n = 0;
    bool common = false;
    for (uint8_t t = 0; !common; t++) {
        const struct opt *row = role->tables ? role->tables[t] : NULL;
        common = row == NULL;
        for (row = common ? opt_common : row; row->name; row++) {
            if (row->type != OPT_HEADING && has_row(rows, n, row->name))
                continue;
            CHECK(n < OPT_ROWS_MAX);
            if (table_of)
                table_of[n] = common && t == 0 ? 1 : t;
            rows[n++] = row;
        }
    }
    return n;
}

const struct opt *opt_row(const struct opt_role *role, const char *name)
{
    const struct opt *rows[OPT_ROWS_MAX];
    size_t n = opt_rows(role, rows, NULL);
    for (size_t i = 0; i < n; i++)
        if (rows[i]->type != OPT_HEADING && strcmp(rows[i]->name, name) == 0)
            return rows[i];
    return NULL;
}

bool opt_takes_value(const struct opt *row)
{
    return row->type != OPT_FLAG && row->type != OPT_OPTIONAL && !(row->type == OPT_CALL && !row->arg);
}

/* ---- Values ---- */

static err_t set_int(int64_t *out, const char *value)
{
    char *end;
    errno = 0;
    long long v = strtoll(value, &end, 10);
    if (errno || end == value || *end)
        return fault(E_USAGE, "'%s' is not a whole number", value);
    *out = v;
    return NULL;
}

static err_t set_choice(int *out, const char *choices, const char *value)
{
    struct slice rest = slice_z(choices), one;
    for (int i = 0; slice_cut(&rest, '|', &one); i++)
        if (slice_eq(one, slice_z(value))) {
            *out = i;
            return NULL;
        }
    return fault(E_USAGE, "'%s' is none of %s", value, choices);
}

static err_t set_flag(bool *out, const char *value)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(value, words[i]) == 0) {
            *out = i % 2;
            return NULL;
        }
    return fault(E_USAGE, "'%s' is neither yes nor no", value);
}

static err_t list_add(struct opt_list *list, const char *value)
{
    const char **v = realloc(list->v, (list->n + 1) * sizeof *v);
    if (!v)
        return E_NO_MEMORY;
    v[list->n++] = value;
    list->v = v;
    return NULL;
}

static err_t set_value(const struct opt *row, void *conf, const char *value)
{
    void *at = (char *)conf + row->offset;
    switch (row->type) {
    case OPT_FLAG:
        return set_flag(at, value);
    case OPT_STRING:
    case OPT_OPTIONAL:
        *(const char **)at = value;
        return NULL;
    case OPT_LIST:
        return list_add(at, value);
    case OPT_INT:
        return set_int(at, value);
    case OPT_SIZE:
        return text_size(slice_z(value), at);
    case OPT_DURATION:
        return text_duration(slice_z(value), at);
    case OPT_RATIO:
        return text_ratio(slice_z(value), at);
    case OPT_CHOICE:
        return set_choice(at, row->arg, value);
    case OPT_CALL:
        return row->parse(conf, value);
    case OPT_HEADING:
        break;
    }
    UNREACHABLE();
}

/* The same with the option's name in the message; a message of a `parse` function stays readable in it. */
static err_t set_named(const struct opt *row, void *conf, const char *value)
{
    err_t e = set_value(row, conf, value);
    if (!e)
        return NULL;
    char why[200];
    snprintf(why, sizeof why, "%s", fault_detail());
    return fault(e, "--%s: %s", row->name, *why ? why : e->text);
}

err_t opt_set(const struct opt_role *role, void *conf, const char *key, const char *value)
{
    const struct opt *row = opt_row(role, key);
    if (!row)
        return fault(E_CONFIG, "there is no option '%s'", key);
    return set_named(row, conf, row->type == OPT_CALL && !row->arg ? NULL : value);
}

err_t opt_defaults(const struct opt_role *role, void *conf)
{
    const struct opt *rows[OPT_ROWS_MAX];
    size_t n = opt_rows(role, rows, NULL);
    for (size_t i = 0; i < n; i++)
        if (rows[i]->init && rows[i]->type != OPT_HEADING)
            TRY(set_named(rows[i], conf, rows[i]->init));
    return NULL;
}

void opt_free(const struct opt_role *role, void *conf)
{
    const struct opt *rows[OPT_ROWS_MAX];
    size_t n = opt_rows(role, rows, NULL);
    for (size_t i = 0; i < n; i++)
        if (rows[i]->type == OPT_LIST) {
            struct opt_list *list = (struct opt_list *)(void *)((char *)conf + rows[i]->offset);
            free(list->v);
            *list = (struct opt_list){NULL, 0};
        }
}

/* ---- Finding the row for what was typed ---- */

const char *opt_nearest(const char *typed, const char *const *candidates)
{
    const char *best = NULL;
    int least = 99;
    for (; *candidates; candidates++) {
        int d = text_distance(slice_z(typed), slice_z(*candidates));
        if (d < least)
            least = d, best = *candidates;
    }
    int allowed = strlen(typed) <= 3 ? 1 : strlen(typed) <= 6 ? 2 : 3;
    return least <= allowed ? best : NULL;
}

static err_t unknown_option(const struct opt **rows, size_t n, const char *typed)
{
    const char *names[OPT_ROWS_MAX + 1];
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (rows[i]->type != OPT_HEADING && !rows[i]->hidden)
            names[count++] = rows[i]->name;
    names[count] = NULL;
    const char *near = opt_nearest(typed, names);
    if (near)
        return fault(E_USAGE, "there is no option --%s (did you mean --%s?)", typed, near);
    return fault(E_USAGE, "there is no option --%s", typed);
}

/* By exact name, else by a prefix that only one name has. */
static err_t find_long(const struct opt **rows, size_t n, const char *typed, const struct opt **out)
{
    const struct opt *found = NULL;
    for (size_t i = 0; i < n; i++)
        if (rows[i]->type != OPT_HEADING && strcmp(rows[i]->name, typed) == 0) {
            *out = rows[i];
            return NULL;
        }
    for (size_t i = 0; i < n; i++) {
        if (rows[i]->type == OPT_HEADING || rows[i]->hidden || strncmp(rows[i]->name, typed, strlen(typed)) != 0)
            continue;
        if (found)
            return fault(E_USAGE, "--%s could be --%s or --%s", typed, found->name, rows[i]->name);
        found = rows[i];
    }
    if (!found || !*typed)
        return unknown_option(rows, n, typed);
    *out = found;
    return NULL;
}

static const struct opt *find_letter(const struct opt **rows, size_t n, char letter)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i]->type != OPT_HEADING && rows[i]->letter == letter)
            return rows[i];
    return NULL;
}

/* ---- The command line ---- */

/* What argv holds, before any of it is applied: l7.conf goes in between and may be named by an option. */
struct use {
    const struct opt *row;
    const char *value; /* NULL for a flag or a call without one */
    bool off;          /* --no-NAME */
};
struct scan {
    const struct opt *rows[OPT_ROWS_MAX];
    size_t n;
    struct use *uses;
    size_t used;
    char **argv;
    int argc, at, kept;
    const char *config, *account;
};

static void use_add(struct scan *s, const struct opt *row, const char *value, bool off)
{
    if (row->parse == nothing && strcmp(row->name, "config") == 0)
        s->config = value;
    else if (row->parse == nothing && wish == OPT_RUN)
        wish = row->letter == 'h' ? OPT_WANT_HELP : OPT_WANT_VERSION;
    if (strcmp(row->name, "account") == 0)
        s->account = value;
    s->uses[s->used++] = (struct use){row, value, off};
}

static err_t scan_long(struct scan *s, char *typed)
{
    char name[64];
    const char *equals = strchr(typed, '=');
    size_t len = equals ? (size_t)(equals - typed) : strlen(typed);
    const struct opt *row;
    if (!slice_to_z(slice_of(typed, len), name, sizeof name))
        return fault(E_USAGE, "there is no option --%.20s...", typed);
    if (!equals && strncmp(name, "no-", 3) == 0 && !has_row(s->rows, s->n, name)) {
        err_t e = find_long(s->rows, s->n, name + 3, &row);
        if (!e && row->type == OPT_FLAG) {
            use_add(s, row, NULL, true);
            return NULL;
        }
    }
    TRY(find_long(s->rows, s->n, name, &row));
    const char *value = equals ? equals + 1 : NULL;
    if (value && !opt_takes_value(row) && row->type != OPT_OPTIONAL)
        return fault(E_USAGE, "--%s takes no value", row->name);
    if (!value && opt_takes_value(row)) {
        if (s->at >= s->argc)
            return fault(E_USAGE, "--%s wants a value: %s", row->name, row->arg ? row->arg : "VALUE");
        value = s->argv[s->at++];
    }
    use_add(s, row, value, false);
    return NULL;
}

/* "-abc": flags a and b, then c with what follows, be it the rest of the word or the next one. */
static err_t scan_letters(struct scan *s, const char *p)
{
    for (; *p; p++) {
        const struct opt *row = find_letter(s->rows, s->n, *p);
        if (!row)
            return fault(E_USAGE, "there is no option -%c", *p);
        if (row->type == OPT_OPTIONAL || !opt_takes_value(row)) {
            use_add(s, row, NULL, false);
            continue;
        }
        if (!p[1] && s->at >= s->argc)
            return fault(E_USAGE, "-%c wants a value: %s", *p, row->arg ? row->arg : "VALUE");
        use_add(s, row, p[1] ? p + 1 : s->argv[s->at++], false);
        return NULL;
    }
    return NULL;
}

static err_t scan(struct scan *s)
{
    while (s->at < s->argc && wish == OPT_RUN) {
        char *word = s->argv[s->at++];
        if (strcmp(word, "--") == 0)
            break;
        if (strncmp(word, "--", 2) == 0)
            TRY(scan_long(s, word + 2));
        else if (word[0] == '-' && word[1])
            TRY(scan_letters(s, word + 1));
        else
            s->argv[s->kept++] = word;
    }
    while (s->at < s->argc)
        s->argv[s->kept++] = s->argv[s->at++];
    return NULL;
}

/* A list that a higher layer begins to fill forgets what lower layers put there. */
static void new_layer(const struct opt *row, void *conf, bool *begun)
{
    if (row->type == OPT_LIST && !*begun)
        ((struct opt_list *)(void *)((char *)conf + row->offset))->n = 0;
    *begun = true;
}

static err_t apply(struct scan *s, void *conf)
{
    bool begun[OPT_ROWS_MAX] = {false};
    for (size_t u = 0; u < s->used; u++) {
        const struct use *use = &s->uses[u];
        size_t i = 0;
        while (s->rows[i] != use->row)
            i++;
        new_layer(use->row, conf, &begun[i]);
        const char *value = use->value;
        if (!value && use->row->type == OPT_FLAG)
            value = use->off ? "no" : "yes";
        else if (!value && use->row->type == OPT_OPTIONAL)
            value = "";
        TRY(set_named(use->row, conf, value));
    }
    return NULL;
}

static err_t from_file(const struct opt_role *role, struct scan *s, void *conf)
{
    struct conf_keys keys = {0};
    bool begun[OPT_ROWS_MAX] = {false};
    err_t e = conf_read(role, s->config, s->account, &keys);
    for (size_t k = 0; !e && k < keys.n; k++) {
        size_t i = 0;
        while (s->rows[i] != keys.v[k].row)
            i++;
        new_layer(s->rows[i], conf, &begun[i]);
        e = set_named(s->rows[i], conf, keys.v[k].value);
        if (e) {
            char why[160];
            snprintf(why, sizeof why, "%s", fault_detail());
            e = fault(E_CONFIG, "%s:%d: %s", keys.path, keys.v[k].line, why);
        }
    }
    conf_keys_free(&keys);
    return e;
}

static err_t count_arguments(const struct opt_role *role, int count)
{
    if (count < role->args_min)
        return fault(E_USAGE, "too few arguments (usage: l7 %s%s%s %s)", role->tool, role->role ? " " : "",
                     role->role ? role->role : "", role->usage ? role->usage : "");
    if (role->args_max >= 0 && count > role->args_max)
        return fault(E_USAGE, "too many arguments (usage: l7 %s%s%s %s)", role->tool, role->role ? " " : "",
                     role->role ? role->role : "", role->usage ? role->usage : "");
    return NULL;
}

err_t opt_parse(const struct opt_role *role, void *conf, int *argc, char **argv)
{
    struct scan s = {.argv = argv, .argc = *argc};
    s.n = opt_rows(role, s.rows, NULL);
    size_t letters = 1;
    for (int i = 0; i < *argc; i++)
        letters += strlen(argv[i]) + 1;
    s.uses = calloc(letters, sizeof *s.uses); /* a word holds at most as many options as letters */
    if (!s.uses)
        return E_NO_MEMORY;
    wish = OPT_RUN;
    err_t e = scan(&s);
    *argc = s.kept;
    if (!e && wish == OPT_RUN) {
        e = opt_defaults(role, conf);
        e = e ? e : from_file(role, &s, conf);
        e = e ? e : apply(&s, conf);
        e = e ? e : count_arguments(role, s.kept);
    }
    free(s.uses);
    return e;
}
