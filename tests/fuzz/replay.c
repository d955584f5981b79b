/* SPDX-License-Identifier: MIT */
/*
 * replay.c -- runs a fuzz driver over the files of its corpus, with no fuzzer present, so that each is a unit test.
 *
 *     NAME_fuzz FOLDER...      every file below; besides, every prefix of the smaller ones
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_MAX = 1 << 20, PREFIXES_MAX = 2048 };

/* A copy that ends where the input ends, so that a sanitizer sees any byte read past it. */
static void one(const char *bytes, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy)
        abort();
    memcpy(copy, bytes, n);
    (void)LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static int file(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *p = malloc(FILE_MAX);
    if (!f || !p)
        return 1;
    size_t n = fread(p, 1, FILE_MAX, f);
    fclose(f);
    for (size_t i = 0; i < n && i < PREFIXES_MAX; i++)
        one(p, i);
    one(p, n);
    free(p);
    return 0;
}

int main(int argc, char **argv)
{
    int files = 0;
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        for (const struct dirent *e; d && (e = readdir(d));) {
            char path[4096];
            if (e->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
            if (file(path))
                return 1;
            files++;
        }
        if (d)
            closedir(d);
    }
    printf("%d files\n", files);
    return files ? 0 : 1;
}
