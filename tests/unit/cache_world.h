/* SPDX-License-Identifier: MIT */
/* cache_world.h -- what the tests of the disk tier share: a folder of a test's own, objects to put there, and a loop.
 */
#pragma once

#include "tests/unit/unit.h"

#include "cache/disk.h"

extern char folder[64];
int folder_make(void **state); /* before a test that has it, and after */
int folder_remove(void **state);

/* http://x/ID with the tag "e", fresh for a minute; its bytes tell objects and places apart. `vary`: as in an object.
 */
struct cache_object *make(unsigned id, size_t size, const char *vary);

/* The tier in that folder after a start, in place of `before` (NULL: the first one). */
struct cache_disk *disk_open(struct cache_disk *before, uint64_t limit);

void on_a_loop(void (*fn)(void *)); /* runs it in a fiber, until it ends */
