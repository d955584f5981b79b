/* SPDX-License-Identifier: MIT */
/* disk_file.h -- one file of the disk tier: how an object is written and read back. Blocking; for offload threads. */
#pragma once

#include "cache/object.h"

/* Write to a new file at `path` below the folder `dir`. */
MUST err_t disk_file_write(int dir, const char *path, const struct cache_object *);
/* Read and verify everything, or head and key alone. E_DATA when damaged. */
MUST err_t disk_file_read(int dir, const char *path, struct cache_object **);
MUST err_t disk_file_key(int dir, const char *path, struct buf *key);
uint64_t disk_file_size(const struct cache_object *); /* bytes of the file */
