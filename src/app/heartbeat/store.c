/* SPDX-License-Identifier: MIT */
#include "app/heartbeat/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"

enum { HEAD_SIZE = 4096, STORE_VERSION = 3 };
static const char store_magic[8] = {'l', '7', 'b', 'e', 'a', 't', 's', '\n'};

struct store_head {
    char magic[8];
    uint32_t version, record;
    int64_t wall;
    uint64_t seed;
    char boot[40];
};

static size_t chunk_bytes(const struct store *s)
{
    return (size_t)STORE_CHUNK * s->record;
}

/* A new value with every start of the machine; monotonic time is comparable only within one. */
static void boot_id(char out[40])
{
    memset(out, 0, 40);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t got = read(fd, out, 36);
    if (got < 0)
        out[0] = 0;
    close(fd);
}

static err_t map_chunk(struct store *s)
{
    size_t n = chunk_bytes(s);
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, s->fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, s->fd,
                   s->fd < 0 ? 0 : (off_t)(HEAD_SIZE + n * s->chunks));
    if (p == MAP_FAILED)
        return err_errno(errno);
    s->chunk[s->chunks++] = p;
    return NULL;
}

err_t store_grow(struct store *s)
{
    if (s->chunks == STORE_CHUNKS_MAX)
        return E_LIMIT;
    off_t size = (off_t)(HEAD_SIZE + chunk_bytes(s) * (s->chunks + 1));
    if (s->fd >= 0) { /* allocated, not only sized: a full disk must not become a SIGBUS later */
        int failed = posix_fallocate(s->fd, 0, size);
        if (failed)
            return err_errno(failed);
    }
    return map_chunk(s);
}

static err_t take_over(struct store *s, const char *path, off_t size, int64_t wall)
{
    char boot[40];
    boot_id(boot);
    if (memcmp(s->head->magic, store_magic, sizeof store_magic) != 0 || s->head->version != STORE_VERSION)
        return fault(E_CONFIG, "%s: not a state file of this version (remove it to begin anew)", path);
    if (s->head->record != s->record)
        return fault(E_CONFIG, "%s: written by another version (remove it to begin anew)", path);
    s->found = true;
    s->seed = s->head->seed;
    s->rebooted = memcmp(boot, s->head->boot, sizeof boot) != 0;
    int64_t marked = s->head->wall;
    s->pause = marked > 0 && wall > marked ? wall - marked : 0;
    while (s->chunks < STORE_CHUNKS_MAX && (size_t)size >= HEAD_SIZE + chunk_bytes(s) * (s->chunks + 1))
        TRY(map_chunk(s));
    return NULL;
}

static err_t open_file(struct store *s, const char *path, int64_t wall)
{
    struct stat st;
    s->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->fd < 0)
        return fault(err_errno(errno), "%s", path);
    if (flock(s->fd, LOCK_EX | LOCK_NB) < 0)
        return fault(E_LOCKED, "%s: another listener has this state file", path);
    if (fstat(s->fd, &st) < 0)
        return fault(err_errno(errno), "%s", path);
    bool fresh = st.st_size < HEAD_SIZE;
    int failed = fresh ? posix_fallocate(s->fd, 0, HEAD_SIZE) : 0;
    if (failed)
        return fault(err_errno(failed), "%s", path);
    void *p = mmap(NULL, HEAD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    if (p == MAP_FAILED)
        return fault(err_errno(errno), "%s", path);
    s->head = p;
    if (!fresh)
        TRY(take_over(s, path, st.st_size, wall));
    *s->head = (struct store_head){.version = STORE_VERSION, .record = s->record, .wall = wall, .seed = s->seed};
    memcpy(s->head->magic, store_magic, sizeof store_magic);
    boot_id(s->head->boot);
    return NULL;
}

err_t store_open(struct store *s, const char *path, uint32_t record, int64_t wall)
{
    *s = (struct store){.fd = -1, .record = record, .seed = random_u64()};
    err_t e = path ? open_file(s, path, wall) : NULL;
    if (e)
        store_close(s);
    return e;
}

void store_mark(struct store *s, int64_t wall)
{
    if (s->head)
        s->head->wall = wall;
}

void store_close(struct store *s)
{
    for (uint32_t i = 0; i < s->chunks; i++)
        munmap(s->chunk[i], chunk_bytes(s));
    if (s->head)
        munmap(s->head, HEAD_SIZE);
    if (s->fd >= 0)
        close(s->fd);
    *s = (struct store){.fd = -1};
}
