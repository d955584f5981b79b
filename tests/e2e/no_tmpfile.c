/* SPDX-License-Identifier: MIT */
/*
 * no_tmpfile.c -- a library to preload: files without a name are refused, as overlayfs does before Linux 6.3 and NFS.
 * test_mail_queue.py builds it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>

static int opened(const char *symbol, const char *path, int flags, int mode)
{
    int (*real)(const char *, int, ...);
    if ((flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    *(void **)&real = dlsym(RTLD_NEXT, symbol);
    return real(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    int mode = flags & O_CREAT ? va_arg(ap, int) : 0;
    va_end(ap);
    return opened("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    int mode = flags & O_CREAT ? va_arg(ap, int) : 0;
    va_end(ap);
    return opened("open64", path, flags, mode);
}
