/* SPDX-License-Identifier: MIT */
/* site.h -- the lab's site as files: what is embedded in the program is written to a folder of its own, so that it is
   served like any other folder. Private to app/lab. */
#pragma once

#include "base/err.h"

MUST err_t site_write(char *folder, size_t cap); /* `folder` gets its path */
void site_remove(const char *folder);            /* "" is accepted */
