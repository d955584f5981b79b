/* SPDX-License-Identifier: MIT */
#include "cache/disk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "http/fields.h"

/* The checksums find damage, not malice: who can write the folder needs no collision. */
#define SUM_SEED   UINT64_C(0x6c372d6361636865)
#define FILE_MAGIC UINT64_C(0x3130636b7369646c) /* changes with the layout: older files are then damaged ones */
enum { META_MAX = 1 << 20, FIELDS_MAX = 512 };

/* The file: this, then key, vary and head as text, then the body. Host byte order: a cache does not travel. */
struct file_head {
    uint64_t magic, meta_sum, body_sum, body_length;
    uint32_t key_n, vary_n, head_n, flags;
    int64_t lifetime, born, stale_while_revalidate, stale_if_error, date;
    uint32_t status, spare;
};

uint64_t disk_file_size(const struct cache_object *o)
{
    return sizeof(struct file_head) + o->key.n + o->vary.n + o->head.n + (o->body ? o->body->length : 0);
}

static err_t write_all(int fd, struct slice s)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0)
            return err_errno(errno);
        s = slice_from(s, (size_t)n);
    }
    return NULL;
}

static uint64_t body_sum(const struct cache_body *b)
{
    uint64_t sum = SUM_SEED;
    for (uint64_t at = 0; b && at < b->length;) {
        struct slice s = cache_body_at(b, at);
        /* In pieces of fixed size, so that the sum does not depend on how the blocks were cut. */
        size_t n = CACHE_BLOCK_MIN - (size_t)(at % CACHE_BLOCK_MIN);
        s = slice_first(s, n);
        for (size_t i = 0; i < s.n; i++)
            sum = (sum ^ (unsigned char)s.p[i]) * UINT64_C(0x100000001b3);
        at += s.n;
    }
    return sum;
}

static uint64_t meta_sum(struct file_head h, struct slice key, struct slice vary, struct slice head)
{
    h.meta_sum = 0;
    uint64_t sum = slice_hash(slice_of(&h, sizeof h), SUM_SEED);
    return slice_hash(key, slice_hash(vary, slice_hash(head, sum)));
}

static err_t write_object(int fd, const struct cache_object *o)
{
    struct file_head h = {.magic = FILE_MAGIC,
                          .body_sum = body_sum(o->body),
                          .body_length = o->body ? o->body->length : 0,
                          .key_n = (uint32_t)o->key.n,
                          .vary_n = (uint32_t)o->vary.n,
                          .head_n = (uint32_t)o->head.n,
                          .flags = o->info.flags,
                          .lifetime = o->info.lifetime,
                          .born = o->info.born,
                          .stale_while_revalidate = o->info.stale_while_revalidate,
                          .stale_if_error = o->info.stale_if_error,
                          .date = o->info.date,
                          .status = o->info.status};
    h.meta_sum = meta_sum(h, o->key, o->vary, o->head);
    TRY(write_all(fd, slice_of(&h, sizeof h)));
    TRY(write_all(fd, o->key));
    TRY(write_all(fd, o->vary));
    TRY(write_all(fd, o->head));
    for (uint64_t at = 0; at < h.body_length;) {
        struct slice s = cache_body_at(o->body, at);
        TRY(write_all(fd, s));
        at += s.n;
    }
    return NULL;
}

err_t disk_file_write(int dir, const char *path, const struct cache_object *o)
{
    int fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(errno);
    err_t e = write_object(fd, o);
    if (close(fd) && !e)
        e = err_errno(errno);
    return e;
}

static err_t read_all(int fd, char *p, size_t n)
{
    while (n) {
        ssize_t got = read(fd, p, n);
        if (got < 0)
            return err_errno(errno);
        if (got == 0)
            return E_DATA;
        p += got, n -= (size_t)got;
    }
    return NULL;
}

/* Head and texts, verified; the file's position is at the body then. */
static err_t read_meta(int fd, struct file_head *h, struct buf *text)
{
    struct stat st;
    char *at;
    TRY(read_all(fd, (char *)h, sizeof *h));
    uint64_t n = (uint64_t)h->key_n + h->vary_n + h->head_n;
    if (h->magic != FILE_MAGIC || n > META_MAX || fstat(fd, &st) ||
        (uint64_t)st.st_size != sizeof *h + n + h->body_length)
        return E_DATA;
    TRY(buf_room(text, (size_t)n, &at));
    TRY(read_all(fd, at, (size_t)n));
    text->n = (size_t)n;
    struct slice all = buf_slice(text), key = slice_first(all, h->key_n);
    struct slice vary = slice_first(slice_from(all, h->key_n), h->vary_n);
    return h->meta_sum == meta_sum(*h, key, vary, slice_from(all, h->key_n + h->vary_n)) ? NULL : E_DATA;
}

static err_t read_body(int fd, const struct file_head *h, struct cache_body *b)
{
    for (uint64_t at = 0; at < h->body_length;) {
        char *room;
        size_t cap;
        TRY(cache_body_room(b, at, h->body_length - at, &room, &cap));
        cap = cap < h->body_length - at ? cap : (size_t)(h->body_length - at);
        TRY(read_all(fd, room, cap));
        cache_body_grow(b, cap);
        at += cap;
    }
    return body_sum(b) == h->body_sum ? NULL : E_DATA;
}

static bool parse_fields(struct slice head, struct http_fields *out)
{
    struct slice line;
    while (slice_cut(&head, '\n', &line)) {
        if (!line.n && !head.n)
            break; /* behind the last line end */
        size_t colon = slice_find(line, ':', 0);
        if (colon == SIZE_MAX || !slice_ends(line, S("\r")))
            return false;
        line.n--;
        if (!fields_push(out, slice_first(line, colon), slice_trim(slice_from(line, colon + 1))))
            return false;
    }
    return true;
}

static err_t read_object(int fd, struct buf *text, struct cache_object **out)
{
    struct file_head h;
    TRY(read_meta(fd, &h, text));
    struct slice all = buf_slice(text);
    struct http_fields fields = {.v = calloc(FIELDS_MAX, sizeof(struct http_field)), .cap = FIELDS_MAX};
    struct cache_body *body = cache_body_new(h.body_length);
    err_t e = fields.v && body ? read_body(fd, &h, body) : E_NO_MEMORY;
    if (!e && !parse_fields(slice_from(all, h.key_n + h.vary_n), &fields))
        e = E_DATA;
    if (!e) {
        struct cache_object_make m = {.info = {.status = (uint16_t)h.status,
                                               .flags = (uint16_t)h.flags,
                                               .lifetime = h.lifetime,
                                               .born = h.born,
                                               .stale_while_revalidate = h.stale_while_revalidate,
                                               .stale_if_error = h.stale_if_error,
                                               .date = h.date},
                                      .vary = slice_first(slice_from(all, h.key_n), h.vary_n),
                                      .fields = &fields,
                                      .body = body};
        cache_key_of_text(&m.key, slice_first(all, h.key_n));
        *out = cache_object_new(&m);
        e = *out ? NULL : E_NO_MEMORY;
    }
    cache_body_unref(body);
    free(fields.v);
    return e;
}

err_t disk_file_read(int dir, const char *path, struct cache_object **out)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_errno(errno);
    struct buf text = {.max = META_MAX};
    err_t e = read_object(fd, &text, out);
    buf_free(&text);
    close(fd);
    return e;
}

err_t disk_file_key(int dir, const char *path, struct buf *key)
{
    struct file_head h;
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_errno(errno);
    key->n = 0;
    err_t e = read_meta(fd, &h, key);
    if (!e)
        key->n = h.key_n;
    close(fd);
    return e;
}
