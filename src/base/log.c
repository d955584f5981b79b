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
    bool failing; /* the last write did; under `draining` */
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

/* ---- Lines for people ---- */

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

/* One line as it leaves, of at most LINE_MAX_SAFE + 1 bytes. */
static size_t compose(enum log_level level, char *out, const char *fmt, va_list ap)
{
    char raw[LINE_MAX_RAW];
    int got = vsnprintf(raw, sizeof raw, fmt, ap);
    size_t len = got < 0 ? 0 : (size_t)got < sizeof raw ? (size_t)got : sizeof raw - 1;
    size_t n = prefix(level, out, LINE_MAX_SAFE);
    n += text_safe(slice_of(raw, len), out + n, LINE_MAX_SAFE - n);
    out[n++] = '\n';
    return n;
}

/* ---- Writing out ---- */

/* 0 or an errno value. */
static int write_all(int fd, const char *p, size_t n)
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
            return got ? errno : EIO;
        p += got;
        n -= (size_t)got;
    }
    return 0;
}

static int fd_of(const struct log_file *f)
{
    return f ? f->fd : STDERR_FILENO;
}

/* From the writer itself: straight to stderr. */
static void say(enum log_level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(enum log_level level, const char *fmt, ...)
{
    char line[LINE_MAX_SAFE + 1];
    va_list ap;
    va_start(ap, fmt);
    size_t n = compose(level, line, fmt, ap);
    va_end(ap);
    (void)write_all(STDERR_FILENO, line, n); /* there is nobody else to tell */
}

/* That a disk is full is said once, until it is not full any more. */
static void put(struct log_file *to, const char *p, size_t n)
{
    int error = write_all(fd_of(to), p, n);
    if (!to)
        return;
    if (error && !to->failing)
        say(LOG_ERROR, "log file %s: lines are lost: %s", to->path, strerror(error));
    to->failing = error != 0;
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
            put(to, batch, n);
            n = 0;
        }
        to = rec.to;
        copy_out(r, tail + sizeof rec, batch + n, rec.n);
        n += rec.n;
        tail += sizeof rec + rec.n;
        atomic_store_explicit(&r->tail, tail, memory_order_release);
    }
    if (n)
        put(to, batch, n);
    uint64_t dropped = atomic_exchange_explicit(&r->dropped, 0, memory_order_relaxed);
    if (dropped)
        say(LOG_WARN, "%llu log lines dropped", (unsigned long long)dropped);
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
        put(to, line.p, line.n);
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

void log_line(enum log_level level, const char *fmt, ...)
{
    char line[LINE_MAX_SAFE + 1];
    va_list ap;
    va_start(ap, fmt);
    size_t n = compose(level, line, fmt, ap);
    va_end(ap);
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
    f->failing = false;
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
        if (fd < 0) /* the old file is better than none */
            say(LOG_ERROR, "log file %s stays as it was: %s", f->path, strerror(errno));
        if (fd < 0 || fd == f->fd)
            continue;
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
