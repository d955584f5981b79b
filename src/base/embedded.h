/* SPDX-License-Identifier: MIT */
/* embedded.h -- files that are part of the program. tools/embed makes the tables at build time; each ends with a row
   whose `name` is NULL. The bytes are followed by a NUL that is not counted. */
#pragma once

#include <stddef.h>

struct embedded {
    const char *name;
    const unsigned char *bytes;
    size_t size;
};

extern const struct embedded embedded_site[]; /* the lab's small site */
