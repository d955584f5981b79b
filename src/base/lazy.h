/* SPDX-License-Identifier: MIT */
/*
 * lazy -- shared libraries that are loaded when a function of theirs is first called, so that `l7 ping` does not pay
 * for mapping TLS, SASL and SQLite.
 *
 * Nobody calls this. tools/lazy looks at the link: for each function that the program needs from a library it makes a
 * stub of the same name that jumps through a slot, and a table of what there is (lazy_libraries). Code above keeps
 * including the library's own header and calling it by name. All slots of a library are filled at once, by its first
 * call; from then on a call costs one jump, as through a PLT. Slots lie in the program's read-only data (RELRO), which
 * is writable only while they are filled.
 *
 * A library that cannot be loaded ends the program with one line and status 127, as the dynamic loader would have done
 * at the start. Each is named in the program's .note.dlopen, for packaging tools.
 */
#ifndef L7_BASE_LAZY_H
#define L7_BASE_LAZY_H

#include <stddef.h>

struct lazy_library {
    const char *soname;
    const char *names; /* one after the other, each with its NUL */
    void **slots;      /* one a name: first the stub's way into lazy_load, then the function */
    size_t count;
};

/* Ends with a row whose soname is NULL. Made by tools/lazy. */
extern const struct lazy_library lazy_libraries[];

/* Load the library that `slot` belongs to and fill its slots. Any thread, any fiber; it does not suspend. Called by the
   stubs only, which keep the argument registers of the call in progress. */
void lazy_load(void **slot);

#endif
