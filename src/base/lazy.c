/* SPDX-License-Identifier: MIT */
#include "base/lazy.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden"))); /* from the linker: this program's head */

_Noreturn static void fail(const char *what)
{
    fprintf(stderr, "l7: %s (the library is needed for this; is its package installed?)\n", what);
    _exit(127);
}

/* Undo and redo what the dynamic loader does to PT_GNU_RELRO at the start, with its own rounding: both ends down. */
static void relro_protect(int protection)
{
    uintptr_t base = (uintptr_t)&__ehdr_start, page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const ElfW(Phdr) *ph = (const ElfW(Phdr) *)(base + __ehdr_start.e_phoff);
    for (const ElfW(Phdr) *end = ph + __ehdr_start.e_phnum; ph < end; ph++) {
        if (ph->p_type != PT_GNU_RELRO)
            continue;
        uintptr_t first = (base + ph->p_vaddr) & -page, past = (base + ph->p_vaddr + ph->p_memsz) & -page;
        if (past > first && mprotect((void *)first, past - first, protection) != 0)
            fail("mprotect of read-only data");
    }
}

static void fill(const struct lazy_library *library)
{
    void *handle = dlopen(library->soname, RTLD_LAZY | RTLD_LOCAL);
    if (!handle)
        fail(dlerror());
    const char *name = library->names;
    for (size_t i = 0; i < library->count; i++, name += strlen(name) + 1) {
        void *function = dlsym(handle, name);
        if (!function)
            fail(dlerror());
        __atomic_store_n(&library->slots[i], function, __ATOMIC_RELEASE); /* others may be jumping through it */
    }
}

void lazy_load(void **slot)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    const struct lazy_library *library = lazy_libraries;
    while (slot < library->slots || slot >= library->slots + library->count)
        library++;
    /* Whoever comes second fills the slots with what they hold. */
    pthread_mutex_lock(&lock);
    relro_protect(PROT_READ | PROT_WRITE);
    fill(library);
    relro_protect(PROT_READ);
    pthread_mutex_unlock(&lock);
}
