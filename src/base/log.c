/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/stat.h"
#include "base/text.h"
#include "base/thread.h"

enum {
    RING = 256 << 10, /* bytes a thread: some 1,500 access lines, 20 ms at 75,000 requests a second */
    LINE_MAX_RAW = 1400,
    LINE_MAX_SAFE = 1900,
    BATCH = 64 << 10,
    PAUSE_MS = 20, /* between two rounds of the writer while there is work, so that lines gather */
};

struct log_file {
    int fd;
    struct log_file *next;
    char path[];
};

/* A record in a ring: where it goes (NULL: stderr), its length, its bytes. Single producer, single consumer. */
struct record {
    struct log_file *to;
    size_t n;
};
struct ring {
    struct ring *next;
    _Atomic size_t head, tail; /* counts of bytes ever written and read; head - tail <= RING */
    _Atomic uint64_t dropped;
    char bytes[RING];
};

static struct ring *_Atomic rings;
static _Thread_local struct ring *my_ring;
static struct log_file *files;                               /* under `draining` */
static pthread_mutex_t draining = PTHREAD_MUTEX_INITIALIZER; /* there is one consumer at a time */
static pthread_t writer;
static sem_t wake;
static atomic_bool running, stopping, asleep;

/* ---- Writing out ---- */

static void write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t got = write(fd, p, n);
        if (got < 0 && errno == EAGAIN) {
            struct pollfd ready = {.fd = fd, .events = POLLOUT};
            poll(&ready, 1, -1);
            continue;
        }
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return; /* a full disk or a closed pipe: there is nobody to tell */
        p += got;
        n -= (size_t)got;
    }
}

static int fd_of(const struct log_file *f)
{
    return f ? f->fd : STDERR_FILENO;
}

static void copy_out(const struct ring *r, size_t at, void *out, size_t n)
{
    size_t from = at % RING, first = n < RING - from ? n : RING - from;
    memcpy(out, r->bytes + from, first);
    memcpy((char *)out + first, r->bytes, n - first);
}

static void copy_in(struct ring *r, size_t at, const void *p, size_t n)
{
    size_t from = at % RING, first = n < RING - from ? n : RING - from;
    memcpy(r->bytes + from, p, first);
    memcpy(r->bytes, (const char *)p + first, n - first);
}

/* Lines for one file gather in `batch` until another file's line comes or it is full. */
static bool drain_ring(struct ring *r, char *batch)
{
    size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed), n = 0, start = tail;
    size_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    struct log_file *to = NULL;
    while (tail != head) {
        struct record rec;
        copy_out(r, tail, &rec, sizeof rec);
        if (n && (rec.to != to || n + rec.n > BATCH)) {
            write_all(fd_of(to), batch, n);
            n = 0;
        }
        to = rec.to;
        copy_out(r, tail + sizeof rec, batch + n, rec.n);
        n += rec.n;
        tail += sizeof rec + rec.n;
        atomic_store_explicit(&r->tail, tail, memory_order_release);
    }
    if (n)
        write_all(fd_of(to), batch, n);
    uint64_t dropped = atomic_exchange_explicit(&r->dropped, 0, memory_order_relaxed);
    if (dropped) {
        n = (size_t)snprintf(batch, BATCH, "l7: %llu log lines dropped\n", (unsigned long long)dropped);
        write_all(STDERR_FILENO, batch, n);
    }
    return tail != start;
}

static bool drain_all(void)
{
    static char batch[BATCH];
    bool any = false;
    pthread_mutex_lock(&draining);
    for (struct ring *r = atomic_load(&rings); r; r = r->next)
        any = drain_ring(r, batch) || any;
    pthread_mutex_unlock(&draining);
    return any;
}

static void *writer_main(void *arg)
{
    (void)arg;
    while (!atomic_load(&stopping)) {
        if (drain_all()) {
            struct timespec until;
            clock_gettime(CLOCK_MONOTONIC, &until);
            int64_t ns = until.tv_nsec + PAUSE_MS * TICK_MS;
            until.tv_sec += ns / TICK_S, until.tv_nsec = ns % TICK_S;
            sem_clockwait(&wake, CLOCK_MONOTONIC, &until);
            continue;
        }
        atomic_store(&asleep, true);
        if (!drain_all()) /* a line may have come between the round and the flag */
            sem_wait(&wake);
        atomic_store(&asleep, false);
    }
    return NULL;
}

/* ---- Producing ---- */

static struct ring *ring_here(void)
{
    if (my_ring)
        return my_ring;
    struct ring *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->next = atomic_load(&rings);
    while (!atomic_compare_exchange_weak(&rings, &r->next, r))
        ;
    return my_ring = r;
}

static void emit(struct log_file *to, struct slice line, bool urgent)
{
    struct ring *r = atomic_load_explicit(&running, memory_order_acquire) ? ring_here() : NULL;
    if (!r) {
        write_all(fd_of(to), line.p, line.n);
        return;
    }
    struct record rec = {to, line.n};
    size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    size_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
    if (line.n > BATCH || head - tail + sizeof rec + line.n > RING) {
        atomic_fetch_add_explicit(&r->dropped, 1, memory_order_relaxed);
        stat_add(STAT_LOG_DROPPED, 1);
        return;
    }
    copy_in(r, head, &rec, sizeof rec);
    copy_in(r, head + sizeof rec, line.p, line.n);
    atomic_store(&r->head, head + sizeof rec + line.n);
    if (atomic_exchange(&asleep, false) || urgent)
        sem_post(&wake);
}

bool log_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM"); /* "device:inode" of what stderr was when systemd started us */
    struct stat st;
    char here[64];
    if (!stream || fstat(STDERR_FILENO, &st) < 0)
        return false;
    snprintf(here, sizeof here, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    return strcmp(here, stream) == 0;
}

/* The journal and a person at a terminal have no use for the time; a file has. */
static size_t prefix(enum log_level level, char *out, size_t cap)
{
    static const char *const journal[] = {"<6>", "<4>", "<3>"};
    if (!atomic_load(&running) || isatty(STDERR_FILENO))
        return 0;
    if (log_journal())
        return (size_t)snprintf(out, cap, "%s", journal[level]);
    int64_t wall = clock_wall();
    time_t s = (time_t)(wall / TICK_S);
    struct tm tm;
    gmtime_r(&s, &tm);
    size_t n = strftime(out, cap, "%FT%T", &tm);
    return n + (size_t)snprintf(out + n, cap - n, ".%03dZ ", (int)(wall % TICK_S / TICK_MS));
}

void log_line(enum log_level level, const char *fmt, ...)
{
    char raw[LINE_MAX_RAW], line[LINE_MAX_SAFE + 1];
    va_list ap;
    va_start(ap, fmt);
    int got = vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    size_t len = got < 0 ? 0 : (size_t)got < sizeof raw ? (size_t)got : sizeof raw - 1;
    size_t n = prefix(level, line, sizeof line);
    n += text_safe(slice_of(raw, len), line + n, LINE_MAX_SAFE - n);
    line[n++] = '\n';
    emit(NULL, slice_of(line, n), true);
}

/* ---- Starting and stopping ---- */

err_t log_start(void)
{
    CHECK(!atomic_load(&running));
    if (sem_init(&wake, 0, 0) != 0)
        return err_errno(errno);
    atomic_store(&stopping, false);
    TRY(thread_start(&writer, writer_main, NULL));
    atomic_store(&running, true);
    return NULL;
}

void log_stop(void)
{
    if (!atomic_exchange(&running, false))
        return;
    atomic_store(&stopping, true);
    sem_post(&wake);
    pthread_join(writer, NULL);
    drain_all();
}

/* ---- Files ---- */

static int open_file(const char *path)
{
    if (strcmp(path, "-") == 0)
        return STDERR_FILENO;
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
}

err_t log_file_open(const char *path, struct log_file **out)
{
    size_t n = strlen(path) + 1;
    struct log_file *f = malloc(sizeof *f + n);
    if (!f)
        return E_NO_MEMORY;
    memcpy(f->path, path, n);
    f->fd = open_file(path);
    if (f->fd < 0) {
        free(f);
        return fault(err_errno(errno), "log file %s", path);
    }
    pthread_mutex_lock(&draining);
    f->next = files;
    files = f;
    pthread_mutex_unlock(&draining);
    *out = f;
    return NULL;
}

void log_file_write(struct log_file *f, struct slice line)
{
    emit(f, line, false);
}

void log_reopen(void)
{
    drain_all(); /* what was said before goes to the old file */
    pthread_mutex_lock(&draining);
    for (struct log_file *f = files; f; f = f->next) {
        int fd = open_file(f->path);
        if (fd < 0 || fd == f->fd)
            continue; /* the old file is better than none */
        close(f->fd);
        f->fd = fd;
    }
    pthread_mutex_unlock(&draining);
}

void log_file_close(struct log_file *f)
{
    if (!f)
        return;
    drain_all();
    pthread_mutex_lock(&draining);
    struct log_file **at = &files;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    pthread_mutex_unlock(&draining);
    if (f->fd != STDERR_FILENO)
        close(f->fd);
    free(f);
}
