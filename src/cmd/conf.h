/* SPDX-License-Identifier: MIT */
/*
 * conf.h -- l7.conf: an INI file, one section a tool; long options are its keys.
 *
 *     [serve]
 *     listen = 127.0.0.1:8080
 *     serial = yes
 *
 *     [ping listen]
 *     loss = 40%
 *
 * [mail account NAME] speaks to every role of its tool, but only when --account NAME chooses it; standing behind
 * [mail], it has the last word of the two.
 *
 * A section [ping] speaks to every role of the tool that has the key, [ping listen] to that role alone. A section or
 * key that nothing has is an error with file and line, in whichever section it stands; values are checked when their
 * tool runs. Read from --config FILE, else from $XDG_CONFIG_HOME/l7.conf (~/.config/l7.conf), else /etc/l7.conf.
 */
#pragma once

#include "cmd/opt.h"

struct conf_key {
    const struct opt *row;
    char *value;
    int line;
};
struct conf_keys {
    struct conf_key *v;
    size_t n;
    char path[512]; /* the file that was read, "" when there is none */
};

/* The keys that concern `role`, and `account` unless that is NULL, in the order of the file.
   Values live as long as the process, since the role's config struct points at them. E_CONFIG. */
MUST err_t conf_read(const struct opt_role *role, const char *path, const char *account, struct conf_keys *);
void conf_keys_free(struct conf_keys *); /* the array; the values stay */
