/* SPDX-License-Identifier: MIT */
#include "app/serve/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rt/offload.h"

/* ---- With openat2 ---- */

static int open_by_kernel(int root, const char *name, int flags, uint64_t more)
{
    int fd;
    struct open_how how = {.flags = (unsigned)flags, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | more};
    do
        fd = (int)syscall(SYS_openat2, root, *name ? name : ".", &how, sizeof how);
    while (fd < 0 && errno == EINTR);
    return fd;
}

struct beneath beneath_of(int root)
{
    int fd = open_by_kernel(root, ".", O_PATH | O_CLOEXEC, 0);
    bool walk = fd < 0 && (errno == ENOSYS || errno == EPERM);
    if (fd >= 0)
        close(fd);
    return (struct beneath){root, walk};
}

/* ---- Without ---- */

enum { LINKS_MAX = 40 }; /* as the kernel's */

struct walk {
    int root, dir;       /* `dir` is what path[0..at) leads to, without a link on the way */
    char path[PATH_MAX]; /* where a link was met, what it says stands in its place */
    char text[PATH_MAX]; /* of the link in hand */
    size_t at;
    int links;
};

static void walk_into(struct walk *w, int dir)
{
    if (w->dir != w->root)
        close(w->dir);
    w->dir = dir;
}

/* path[from..to) becomes `text`, and the walk begins again at the root. */
static int walk_again(struct walk *w, size_t from, size_t to, const char *text, size_t n)
{
    size_t rest = strlen(w->path + to) + 1;
    if (from + n + rest > sizeof w->path)
        return ENAMETOOLONG;
    memmove(w->path + from + n, w->path + to, rest);
    memcpy(w->path + from, text, n);
    walk_into(w, w->root);
    w->at = 0;
    return 0;
}

/* The ".." at path[at..end) and the component before it go. */
static int walk_up(struct walk *w, size_t end)
{
    size_t from = w->at;
    while (from && w->path[from - 1] == '/')
        from--;
    if (from == 0)
        return EXDEV;
    while (from && w->path[from - 1] != '/')
        from--;
    return walk_again(w, from, end, "", 0);
}

static int walk_link(struct walk *w, int link, size_t end)
{
    ssize_t n = readlinkat(link, "", w->text, sizeof w->text);
    if (n < 0)
        return errno;
    if (n == 0 || w->text[0] == '/')
        return n ? EXDEV : ENOENT;
    return ++w->links > LINKS_MAX ? ELOOP : walk_again(w, w->at, end, w->text, (size_t)n);
}

/* Past the folder or link path[at..end). 0 or an errno value. */
static int walk_component(struct walk *w, const char *name, size_t end)
{
    struct stat st;
    int fd = openat(w->dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), error = 0;
    if (fd < 0 || fstat(fd, &st) < 0) {
        error = errno;
    } else if (S_ISLNK(st.st_mode)) {
        error = walk_link(w, fd, end);
    } else {
        walk_into(w, fd); /* if it is no folder, the next step says so */
        w->at = end;
        return 0;
    }
    if (fd >= 0)
        close(fd);
    return error;
}

static bool is_link(int dir, const char *name)
{
    struct stat st;
    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

/* One step. 0 to go on; otherwise `*fd` is open, or -1 and the errno value is returned. */
static int walk_step(struct walk *w, int flags, int *fd)
{
    char name[NAME_MAX + 1];
    w->at += strspn(w->path + w->at, "/");
    size_t n = strcspn(w->path + w->at, "/"), end = w->at + n;
    if (n > NAME_MAX)
        return ENAMETOOLONG;
    memcpy(name, w->path + w->at, n);
    name[n] = 0;
    if (strcmp(name, "..") == 0)
        return walk_up(w, end);
    if (strcmp(name, ".") == 0) {
        w->path[w->at] = '/'; /* so that ".." does not take it for a folder */
        return 0;
    }
    if (n && (w->path[end] || is_link(w->dir, name)))
        return walk_component(w, name, end);
    *fd = openat(w->dir, n ? name : ".", flags | O_NOFOLLOW);
    return *fd < 0 ? errno : 0;
}

static int open_by_walk(int root, const char *name, int flags)
{
    struct walk *w = strlen(name) < PATH_MAX ? malloc(sizeof *w) : NULL;
    if (!w) {
        errno = strlen(name) < PATH_MAX ? ENOMEM : ENAMETOOLONG;
        return -1;
    }
    w->root = w->dir = root;
    w->at = 0;
    w->links = 0;
    memcpy(w->path, name, strlen(name) + 1);
    int fd = -1, error = 0;
    while (fd < 0 && !error)
        error = walk_step(w, flags, &fd);
    walk_into(w, root);
    free(w);
    errno = error;
    return fd;
}

/* ---- Either ---- */

/* openat2 refuses flags that mean nothing to O_PATH. */
static int always(int flags)
{
    return flags & O_PATH ? flags | O_CLOEXEC : flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
}

struct opening {
    const struct beneath *beneath;
    const char *name;
    int flags, fd, error;
};

int beneath_open_here(const struct beneath *b, const char *name, int flags)
{
    return b->walk ? open_by_walk(b->root, name, always(flags)) : open_by_kernel(b->root, name, always(flags), 0);
}

static err_t open_waiting(void *arg)
{
    struct opening *o = arg;
    o->fd = beneath_open_here(o->beneath, o->name, o->flags);
    o->error = o->fd < 0 ? errno : 0;
    return NULL;
}

/* Walking cannot be told to stay in memory; looking a name up again, which is what this is for, mostly does. */
int beneath_open_now(const struct beneath *b, const char *name, int flags)
{
    return b->walk ? open_by_walk(b->root, name, always(flags))
                   : open_by_kernel(b->root, name, always(flags), RESOLVE_CACHED);
}

/* First what the kernel can answer from memory; what needs the disk goes to another thread. EAGAIN is also what a
   rename during the walk gives, and EINVAL what kernels say that do not know RESOLVE_CACHED. */
err_t beneath_open(const struct beneath *b, const char *name, int flags, int *fd)
{
    struct opening o = {.beneath = b, .name = name, .flags = flags, .fd = -1, .error = EAGAIN};
    if (!b->walk) {
        o.fd = beneath_open_now(b, name, flags);
        o.error = o.fd >= 0 ? 0 : errno == EINVAL ? EAGAIN : errno;
    }
    for (int i = 0; o.error == EAGAIN && i < 10; i++)
        TRY(offload(open_waiting, &o, TICK_NEVER));
    *fd = o.fd;
    switch (o.error) {
    case 0:
        return NULL;
    case EXDEV: /* it would leave the root */
    case ELOOP:
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ENXIO: /* a socket or a device */
    case ENODEV:
        return E_NOT_FOUND;
    default:
        return err_errno(o.error);
    }
}
