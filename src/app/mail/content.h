/* SPDX-License-Identifier: MIT */
/*
 * content.h -- files that become parts of a message.
 *
 * A regular file stays open and is read while it is sent; a short one is read at once. What comes from a pipe or the
 * standard input is kept in memory up to CONTENT_MEMORY bytes, and in a file without a name beyond that.
 */
#pragma once

#include "base/arena.h"
#include "smtp/mime_format.h"

enum { CONTENT_SHORT = 8 * 1024, CONTENT_MEMORY = 256 * 1024, CONTENT_FILES_MAX = 256 };

struct content_files { /* descriptors to close when the message is gone */
    int fd[CONTENT_FILES_MAX];
    size_t n;
};

/* `path` "-" is the standard input. E_NOT_FOUND, E_PERMISSION, E_IO, with the path in the fault note. */
MUST err_t content_open(const char *path, struct arena *, struct content_files *, struct mime_content *);
/* From a descriptor that is read to its end (and stays the caller's). */
MUST err_t content_read(int fd, const char *name, struct arena *, struct content_files *, struct mime_content *);
/* A file below $TMPDIR or /tmp, open for both, that no other program can open; `name` says in the fault note what was
   to be kept. The descriptor is the caller's. */
MUST err_t content_nameless(const char *name, int *out);
void content_files_close(struct content_files *);
