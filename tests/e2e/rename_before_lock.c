/* SPDX-License-Identifier: MIT */
/*
 * rename_before_lock.c -- a library to preload: just before the process locks a file for the first time, the file that
 * L7_RENAME_FROM names gets the name L7_RENAME_TO, as a download does that ends at that very moment. test_get_pairs.py
 * builds it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>

int flock(int fd, int operation)
{
    static int done;
    int (*real)(int, int);
    *(void **)&real = dlsym(RTLD_NEXT, "flock");
    if (!done++ && rename(getenv("L7_RENAME_FROM"), getenv("L7_RENAME_TO")) != 0)
        perror("rename_before_lock");
    return real(fd, operation);
}
