/* SPDX-License-Identifier: MIT */
/* Functions of a library that is loaded when the first of them is called: arguments of every kind survive that call. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lazy.h"

double lazy_mix(int a, long b, char c, short d, unsigned e, int f, double x, float y, int on_stack);
int lazy_sum(int n, ...);
int lazy_loaded(void);

static int mapped(void)
{
    char line[4096];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps))
        found |= strstr(line, "liblazytest") != NULL;
    if (maps)
        fclose(maps);
    return found;
}

#define HOLDS(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                                                 \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

int main(void)
{
    HOLDS(!mapped());
    HOLDS(lazy_mix(1, 2, 3, 4, 5, 6, 7.0, 8.0F, 9) == 987654321.0);
    HOLDS(mapped());
    HOLDS(lazy_sum(8, 1, 2, 3, 4, 5, 6, 7, 8) == 36);
    HOLDS(lazy_loaded() == 1);
    HOLDS(strcmp(lazy_libraries[0].soname, "liblazytest.so.1") == 0 && lazy_libraries[0].count == 3);
    HOLDS(lazy_libraries[1].soname == NULL);
    return 0;
}
