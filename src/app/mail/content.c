/* SPDX-License-Identifier: MIT */
#include "app/mail/content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void content_files_close(struct content_files *files)
{
    for (size_t i = 0; i < files->n; i++)
        close(files->fd[i]);
    files->n = 0;
}

static err_t keep_open(struct content_files *files, int fd, const char *name)
{
    if (files->n == CONTENT_FILES_MAX) {
        close(fd);
        return fault(E_LIMIT, "%s: more than %d files in a message", name, CONTENT_FILES_MAX);
    }
    files->fd[files->n++] = fd;
    return NULL;
}

/* Until `n` bytes, or the end: `*got`. */
static err_t read_some(int fd, char *out, size_t n, size_t *got, const char *name)
{
    *got = 0;
    while (*got < n) {
        ssize_t r = read(fd, out + *got, n - *got);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return fault(err_errno(errno), "%s", name);
        if (r == 0)
            break;
        *got += (size_t)r;
    }
    return NULL;
}

static err_t write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return err_errno(errno);
        p += w, n -= (size_t)w;
    }
    return NULL;
}

err_t content_nameless(const char *name, int *out)
{
    const char *dir = getenv("TMPDIR");
    AUTO(buf_free) struct buf path = {0};
    dir = dir && *dir ? dir : "/tmp";
    *out = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*out < 0 && errno == EOPNOTSUPP) { /* overlayfs before Linux 6.3, NFS */
        TRY(buf_format(&path, "%s/l7.XXXXXX%c", dir, 0));
        *out = mkostemp(path.p, O_CLOEXEC);
        if (*out >= 0)
            unlink(path.p);
    }
    return *out < 0 ? fault(err_errno(errno), "%s: no room to keep it", name) : NULL;
}

/* The rest of a long input goes to a file that has no name. */
static err_t spool(int fd, char *buffer, size_t have, const char *name, struct content_files *files,
                   struct mime_content *out)
{
    int file;
    TRY(content_nameless(name, &file));
    TRY(keep_open(files, file, name));
    uint64_t size = 0;
    while (have) {
        err_t e = write_all(file, buffer, have);
        if (e)
            return fault(e, "%s: no room to keep it", name);
        size += have;
        TRY(read_some(fd, buffer, CONTENT_MEMORY, &have, name));
    }
    *out = (struct mime_content){.fd = file, .size = size};
    return NULL;
}

err_t content_read(int fd, const char *name, struct arena *a, struct content_files *files, struct mime_content *out)
{
    size_t have;
    char *buffer = malloc(CONTENT_MEMORY);
    if (!buffer)
        return E_NO_MEMORY;
    err_t e = read_some(fd, buffer, CONTENT_MEMORY, &have, name);
    if (!e && have == CONTENT_MEMORY) {
        e = spool(fd, buffer, have, name, files, out);
    } else if (!e) {
        struct slice copy = arena_copy(a, slice_of(buffer, have));
        *out = (struct mime_content){.bytes = copy, .fd = -1, .size = have};
        e = copy.p ? NULL : E_NO_MEMORY;
    }
    free(buffer);
    return e;
}

/* A short regular file, at once, so that its descriptor need not stay. */
static err_t read_short(int fd, size_t size, const char *name, struct arena *a, struct mime_content *out)
{
    char *p = arena_new(a, size + 1, 1);
    size_t got;
    if (!p)
        return E_NO_MEMORY;
    TRY(read_some(fd, p, size, &got, name));
    *out = (struct mime_content){.bytes = slice_of(p, got), .fd = -1, .size = got};
    return NULL;
}

err_t content_open(const char *path, struct arena *a, struct content_files *files, struct mime_content *out)
{
    struct stat st;
    if (strcmp(path, "-") == 0)
        return content_read(STDIN_FILENO, "the standard input", a, files, out);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return fault(err_errno(errno), "%s", path);
    if (fstat(fd, &st) || S_ISDIR(st.st_mode)) {
        close(fd);
        return fault(E_IO, "%s: not a file", path);
    }
    bool regular = S_ISREG(st.st_mode) && st.st_size > 0; /* files of /proc say 0 and hold more */
    if (regular && st.st_size > CONTENT_SHORT) {
        *out = (struct mime_content){.fd = fd, .size = (uint64_t)st.st_size};
        posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        return keep_open(files, fd, path);
    }
    err_t e = regular ? read_short(fd, (size_t)st.st_size, path, a, out) : content_read(fd, path, a, files, out);
    close(fd);
    return e;
}
