/* SPDX-License-Identifier: MIT */
/*
 * verb.h -- the tools: one role a row. main.c walks this list; each cmd/<tool>.c defines its roles as
 * `const struct opt_role NAME = {...};` and roles.def lists them.
 */
#pragma once

#include "cmd/opt.h"

#define ROLE_ROW(name) extern const struct opt_role name;
#include "cmd/roles.def"
#undef ROLE_ROW

extern const struct opt_role *const verb_roles[]; /* NULL-terminated, in the order of `l7 help` */

/* The role for "l7 TOOL [ROLE] ...": skips the words used in argc and argv. NULL with a fault note when unknown. */
const struct opt_role *verb_find(int *argc, char ***argv);

/* The whole program: argv as main gets it; returns the exit status. */
int verb_main(int argc, char **argv);

/* Texts of `l7 help TOPIC` that belong to no tool; each ends with a newline. NULL when there is none. */
const char *verb_topic(const char *name);

/* "l7 TOOL: detail: text" to stderr; returns the exit status that the tool gives this error. */
int verb_fail(const struct opt_role *, err_t);
