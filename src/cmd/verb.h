/* SPDX-License-Identifier: MIT */
/*
 * verb.h -- the tools: one role a row. main.c walks this list; each cmd/<tool>.c defines its roles.
 */
#pragma once

#include "cmd/opt.h"

extern const struct opt_role *const verb_roles[]; /* NULL-terminated, in the order of `l7 help` */

/* The role for "l7 TOOL [ROLE] ...": skips the words used in argc and argv. NULL with a fault note when unknown. */
const struct opt_role *verb_find(int *argc, char ***argv);

/* "l7 TOOL: detail: text" to stderr; returns the err's exit status. */
int verb_fail(const struct opt_role *, err_t);
