/* SPDX-License-Identifier: MIT */
#include "cmd/conf.h"

#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/verb.h"

/* Values that were handed out; reachable for ever, so that a leak checker stays quiet. */
struct kept {
    struct kept *next;
    char text[];
};
static struct kept *kept;

static char *keep(const char *text)
{
    size_t n = strlen(text) + 1;
    struct kept *k = malloc(sizeof *k + n);
    if (!k)
        return NULL;
    memcpy(k->text, text, n);
    k->next = kept;
    kept = k;
    return k->text;
}

struct reading {
    const struct opt_role *role;
    struct conf_keys *keys;
    FILE *file;
    int line;
    bool midline; /* the last piece read did not end its line */
    const char *account;
    bool account_found;
    err_t err;
};

/* The NAME of "[mail account NAME]" for a role of mail, else NULL. */
static const char *account_of(const struct opt_role *role, const char *section)
{
    static const char middle[] = " account ";
    size_t n = strlen(role->tool);
    bool account = strncmp(section, role->tool, n) == 0 && strncmp(section + n, middle, sizeof middle - 1) == 0;
    return account && opt_row(role, "account") ? section + n + sizeof middle - 1 : NULL;
}

/* "[ping]" concerns each role of ping, "[ping listen]" one. */
static bool section_is(const struct opt_role *role, const char *section)
{
    size_t n = strlen(role->tool);
    if (strncmp(section, role->tool, n) != 0)
        return false;
    if (account_of(role, section))
        return true;
    return section[n] == 0 || (section[n] == ' ' && role->role && strcmp(section + n + 1, role->role) == 0);
}

/* The row for a key of the file; --config, --help and --version make no sense there. */
static const struct opt *key_row(const struct opt_role *role, const char *key)
{
    const struct opt *row = opt_row(role, key);
    for (const struct opt *common = opt_common; common->name; common++)
        if (row == common)
            return NULL;
    return row;
}

static bool key_exists(const char *section, const char *key, bool *section_exists)
{
    *section_exists = false;
    for (size_t i = 0; verb_roles[i]; i++) {
        if (!section_is(verb_roles[i], section))
            continue;
        *section_exists = true;
        if (key_row(verb_roles[i], key))
            return true;
    }
    return false;
}

/* The nearest key of any role that the section concerns, or NULL. */
static const char *near_key(const char *section, const char *key)
{
    const struct opt *rows[OPT_ROWS_MAX];
    const char *names[OPT_ROWS_MAX + 1];
    for (size_t i = 0; verb_roles[i]; i++) {
        if (!section_is(verb_roles[i], section))
            continue;
        size_t n = opt_rows(verb_roles[i], rows, NULL), count = 0;
        for (size_t k = 0; k < n; k++)
            if (rows[k]->type != OPT_HEADING)
                names[count++] = rows[k]->name;
        names[count] = NULL;
        const char *near = opt_nearest(key, names);
        if (near)
            return near;
    }
    return NULL;
}

static err_t wrong_key(struct reading *r, const char *section, const char *key, bool section_exists)
{
    if (!*section)
        return fault(E_CONFIG, "%s:%d: '%s' stands before the first [section]", r->keys->path, r->line, key);
    if (!section_exists)
        return fault(E_CONFIG, "%s:%d: there is no tool for section [%s]", r->keys->path, r->line, section);
    const char *near = near_key(section, key);
    if (near)
        return fault(E_CONFIG, "%s:%d: there is no key '%s' in [%s] (did you mean '%s'?)", r->keys->path, r->line, key,
                     section, near);
    return fault(E_CONFIG, "%s:%d: there is no key '%s' in [%s]", r->keys->path, r->line, key, section);
}

/* libinih's callback, once a key; 0 stops the reading. */
static int on_key(void *user, const char *section, const char *key, const char *value)
{
    struct reading *r = user;
    bool section_exists;
    if (!key_exists(section, key, &section_exists)) {
        r->err = wrong_key(r, section, key, section_exists);
        return 0;
    }
    const struct opt *row = section_is(r->role, section) ? key_row(r->role, key) : NULL;
    const char *account = account_of(r->role, section);
    bool chosen = account && r->account && strcmp(account, r->account) == 0;
    r->account_found |= chosen;
    if (!row || (account && !chosen))
        return 1;
    struct conf_key *v = realloc(r->keys->v, (r->keys->n + 1) * sizeof *v);
    char *text = keep(value);
    if (v)
        r->keys->v = v;
    if (!v || !text) {
        r->err = E_NO_MEMORY;
        return 0;
    }
    v[r->keys->n++] = (struct conf_key){row, text, r->line};
    return 1;
}

/* libinih's reader: a line, or a piece of a long one; lines are counted so that messages can name them. */
static char *read_line(char *out, int cap, void *user)
{
    struct reading *r = user;
    char *got = fgets(out, cap, r->file);
    if (!got)
        return NULL;
    r->line += !r->midline;
    r->midline = strchr(out, '\n') == NULL;
    return got;
}

static bool default_path(char *out, size_t cap)
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (xdg && *xdg)
        snprintf(out, cap, "%s/l7.conf", xdg);
    else if (home && *home)
        snprintf(out, cap, "%s/.config/l7.conf", home);
    if (((xdg && *xdg) || (home && *home)) && access(out, F_OK) == 0)
        return true;
    snprintf(out, cap, "/etc/l7.conf");
    return access(out, F_OK) == 0;
}

err_t conf_read(const struct opt_role *role, const char *path, const char *account, struct conf_keys *keys)
{
    if (path)
        snprintf(keys->path, sizeof keys->path, "%s", path);
    else if (!default_path(keys->path, sizeof keys->path))
        return account ? fault(E_CONFIG, "--account %s: there is no l7.conf", account) : NULL;
    struct reading r = {.role = role, .keys = keys, .account = account, .file = fopen(keys->path, "re")};
    if (!r.file)
        return fault(E_CONFIG, "%s: %s", keys->path, err_errno(errno)->text);
    ini_use_stack = false; /* lines of any length up to ini_max_line, on the heap */
    ini_max_line = 64 << 10;
    ini_allow_realloc = true;
    ini_stop_on_first_error = true;
    int bad = ini_parse_stream(read_line, &r, on_key, &r);
    err_t unread = ferror(r.file) ? err_errno(errno) : NULL; /* a folder, for instance */
    fclose(r.file);
    if (unread)
        return fault(E_CONFIG, "%s: %s", keys->path, unread->text);
    if (r.err)
        return r.err;
    if (bad == -2)
        return E_NO_MEMORY;
    if (bad)
        return fault(E_CONFIG, "%s:%d: neither '[section]' nor 'key = value'", keys->path, bad);
    if (account && !r.account_found)
        return fault(E_CONFIG, "%s: there is no [%s account %s]", keys->path, role->tool, account);
    return NULL;
}

void conf_keys_free(struct conf_keys *keys)
{
    free(keys->v);
    *keys = (struct conf_keys){0};
}
