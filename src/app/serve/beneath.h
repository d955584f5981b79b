/* SPDX-License-Identifier: MIT */
/*
 * beneath.h -- opening names beneath a root, and never anything outside. Private to app/serve.
 *
 * The kernel does it in one call (openat2(2) with RESOLVE_BENEATH). Where that call does not exist or is refused (old
 * container profiles, valgrind) the path is walked one component at a time, which gives the same answers: symbolic
 * links that stay beneath the root are followed, those that are absolute or climb out of it are not.
 */
#pragma once

#include "rt/fiber.h"

struct beneath {
    int root;  /* borrowed */
    bool walk; /* openat2 is not to be had */
};
struct beneath beneath_of(int root);

/* Open `name` (relative, NUL-terminated; "" is the root itself) with open(2)'s `flags`. May wait for the disk on
   another thread. E_NOT_FOUND also for what lies outside and for sockets; E_PERMISSION and others as open(2). */
MUST err_t beneath_open(const struct beneath *, const char *name, int flags, int *fd);
/* The same on this thread, which may have to wait for the disk: a descriptor or -1. */
int beneath_open_here(const struct beneath *, const char *name, int flags);
/* The same at once, from what the kernel has in memory: a descriptor or -1. */
int beneath_open_now(const struct beneath *, const char *name, int flags);
