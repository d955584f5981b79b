/* SPDX-License-Identifier: MIT */
/*
 * output.c -- where a body goes: the standard output, a device, or a file that gets its name when it is whole.
 *
 * A download is written to NAME.part. Beside it, NAME.part.info remembers the validator and the length, so that a
 * later -C - can ask for the rest of the same thing and of nothing else. Both go when the download is whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/get/get_impl.h"
#include "app/get/rules.h"
#include "base/text.h"
#include "http/date.h"
#include "http/fields.h"
#include "http/range.h"
#include "rt/loop.h"

enum {
    NAME_MAX_LENGTH = 1024,
    NUMBERS = 100,       /* NAME.1 to NAME.100 */
    INFO_FROM = 1 << 20, /* smaller downloads are not worth a second file */
};

/* ---- Names ---- */

static char *joined(const char *a, const char *b, const char *c)
{
    size_t n = strlen(a) + strlen(b) + strlen(c) + 1;
    char *out = malloc(n);
    if (out)
        stpcpy(stpcpy(stpcpy(out, a), b), c);
    return out;
}

static void forget_path(struct output *o)
{
    free(o->path);
    free(o->part);
    free(o->info);
    o->path = o->part = o->info = NULL;
}

static err_t set_path(struct output *o, const char *folder, const char *name)
{
    bool under = folder && name[0] != '/';
    forget_path(o);
    o->path = joined(under ? folder : "", under ? "/" : "", name);
    o->part = o->path ? joined(o->path, ".part", "") : NULL;
    o->info = o->part ? joined(o->part, ".info", "") : NULL;
    return o->info ? NULL : E_NO_MEMORY;
}

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* NAME.1, NAME.2 and so on, as curl's --no-clobber. */
static err_t number(struct output *o)
{
    char z[NAME_MAX_LENGTH];
    for (int n = 1; n <= NUMBERS; n++) {
        if ((size_t)snprintf(z, sizeof z, "%s.%d", o->path, n) >= sizeof z)
            return fault(E_USAGE, "file name too long");
        if (!is_file(z))
            return set_path(o, NULL, z);
    }
    return fault(E_EXISTS, "%s and %d more of that name", o->path, NUMBERS);
}

/* What is there already may be replaced when the user named it, not when the server did. */
static err_t spare(const struct get_conf *c, struct output *o, bool servers_name)
{
    if ((!c->no_clobber && !servers_name) || c->resume || !is_file(o->path))
        return NULL;
    if (c->no_clobber)
        return number(o);
    return fault(E_EXISTS, "%s: the server's name for it replaces nothing (--no-clobber adds a number)", o->path);
}

static err_t make_folders(const char *path)
{
    char z[NAME_MAX_LENGTH];
    if (!slice_to_z(slice_z(path), z, sizeof z))
        return fault(E_USAGE, "file name too long");
    for (char *p = strchr(z + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = 0;
        if (mkdir(z, 0777) < 0 && errno != EEXIST)
            return fault(err_errno(errno), "%s", z);
        *p = '/';
    }
    return NULL;
}

static bool name_from_response(const struct get_conf *c, const struct http_response *r, char *out, size_t cap)
{
    struct slice v = r && c->remote_header_name ? fields_get(&r->fields, F_CONTENT_DISPOSITION) : SLICE_NONE;
    return v.p && rules_disposition_name(v, out, cap);
}

err_t output_name(struct transfer *t, const struct http_response *r)
{
    const struct get_conf *c = t->run->conf;
    struct output *o = &t->output;
    char name[256];
    if (o->path || o->is_stdout)
        return NULL;
    if (!t->out_name && !c->remote_name) {
        o->is_stdout = true;
        return NULL;
    }
    if (t->out_name && strcmp(t->out_name, "-") == 0) {
        o->is_stdout = true;
        return NULL;
    }
    if (!t->out_name && c->remote_header_name && !r)
        return NULL; /* the response will say */
    bool servers_name = !t->out_name && name_from_response(c, r, name, sizeof name);
    if (!t->out_name && !servers_name && !rules_url_name(t->first_url.path, name, sizeof name))
        return fault(E_USAGE, "the URL has no file name to use: give one with -o");
    TRY(set_path(o, c->output_dir, t->out_name ? t->out_name : name));
    TRY(spare(c, o, servers_name));
    return c->create_dirs ? make_folders(o->path) : NULL;
}

/* ---- What is there already ---- */

static err_t read_info(struct transfer *t)
{
    struct output *o = &t->output;
    char text[2048];
    int fd = open(o->info, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return E_NOT_FOUND;
    struct slice rest = slice_of(text, (size_t)n), validator, total;
    if (!slice_cut(&rest, '\n', &validator) || !slice_cut(&rest, '\n', &total) || !slice_u64(total, &o->total))
        return E_NOT_FOUND;
    o->validator = arena_copy(&t->arena, validator);
    return o->validator.n ? NULL : E_NOT_FOUND;
}

/* -C OFFSET: what is at hand is trusted, as in curl: it is continued in place. */
static err_t resume_at(struct transfer *t, struct slice offset)
{
    struct output *o = &t->output;
    if (!slice_u64(offset, &t->start))
        return fault(E_USAGE, "-C '%.*s': a number of bytes or - is wanted", SLICE_ARG(offset));
    o->in_place = true;
    o->total = CLIENT_UNKNOWN;
    t->resuming = t->start > 0;
    return NULL;
}

err_t output_resume_point(struct transfer *t)
{
    struct output *o = &t->output;
    const char *resume = t->run->conf->resume;
    struct stat st;
    if (!resume || t->run->conf->upload)
        return NULL;
    if (!o->path && strcmp(resume, "-") == 0)
        return fault(E_USAGE, "-C - wants a file (-o or -O)");
    if (strcmp(resume, "-") != 0)
        return resume_at(t, slice_z(resume));
    if (stat(o->part, &st) == 0 && st.st_size > 0 && read_info(t) == NULL) {
        t->start = (uint64_t)st.st_size;
        t->resuming = true;
    } else if (stat(o->part, &st) < 0 && stat(o->path, &st) == 0 && S_ISREG(st.st_mode)) {
        t->output.done_already = true; /* only whole files have their final name */
    }
    return NULL;
}

static void write_info(struct output *o)
{
    char text[2048];
    int n = snprintf(text, sizeof text, "%.*s\n%llu\n", SLICE_ARG(o->validator), (unsigned long long)o->total);
    o->info_written = true;
    if (!o->validator.n || n < 0 || (size_t)n >= sizeof text)
        return;
    int fd = open(o->info, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return; /* then it cannot be resumed, and that is all */
    bool whole = write(fd, text, (size_t)n) == n;
    close(fd);
    if (!whole)
        unlink(o->info);
}

/* ---- Opening ---- */

/* What If-Range may carry: a strong entity tag, or a date (RFC 9110 section 13.1.5). */
static struct slice validator_of(const struct http_response *r)
{
    struct slice tag = fields_get(&r->fields, F_ETAG);
    if (tag.n && tag.p[0] == '"')
        return tag;
    return tag.n ? SLICE_NONE : fields_get(&r->fields, F_LAST_MODIFIED);
}

static err_t changed(const struct transfer *t, struct slice now)
{
    return fault(E_CHANGED, "%s was begun from another version (%.*s, now %.*s); start anew without -C", t->output.part,
                 SLICE_ARG(t->output.validator), SLICE_ARG(now));
}

/* May these bytes go behind those we have? */
static err_t check_partial(struct transfer *t, const struct http_response *r)
{
    struct content_range range;
    struct slice now = validator_of(r);
    if (!range_content_parse(fields_get(&r->fields, F_CONTENT_RANGE), &range) || range.first != t->start)
        return fault(E_PROTO, "asked for bytes from %llu on, got '%.*s'", (unsigned long long)t->start,
                     SLICE_ARG(fields_get(&r->fields, F_CONTENT_RANGE)));
    if (t->output.validator.n && now.n && !slice_eq(now, t->output.validator))
        return changed(t, now);
    if (t->output.total != CLIENT_UNKNOWN && range.total != UINT64_MAX && range.total != t->output.total)
        return changed(t, fields_get(&r->fields, F_CONTENT_RANGE));
    return NULL;
}

/* The whole thing came although we asked for the rest: start over, unless it became something else and the user
   wanted the old one continued. */
static err_t check_whole(struct transfer *t, const struct http_response *r)
{
    struct slice now = validator_of(r);
    bool asked = t->run->conf->resume && t->retries == 0;
    if (asked && t->output.validator.n && !slice_eq(now, t->output.validator))
        return changed(t, now);
    t->resuming = false;
    t->start = 0;
    return NULL;
}

/* A small body that is here already, whole, needs no temporary name for a file that is new. That it is new is asked by
   making it, so that a thousand small files cost no further question each. */
static bool open_direct(const struct transfer *t, const struct call *call, struct output *o)
{
    const struct get_conf *c = t->run->conf;
    if (o->in_place || t->resuming || o->fd >= 0 || c->checksum || c->compressed || !call_in_hand(call))
        return false;
    o->fd = open(o->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    o->direct = o->fd >= 0;
    return o->direct;
}

/* A device is written as it is. */
static err_t look_at_path(struct output *o)
{
    struct stat st;
    if (stat(o->path, &st) < 0)
        return NULL;
    if (S_ISDIR(st.st_mode))
        return fault(E_USAGE, "%s is a folder", o->path);
    o->in_place = o->in_place || !S_ISREG(st.st_mode);
    return NULL;
}

/* Does the name still lead to what was opened? A download that ended in between has given that its final name. */
static bool still_named(const struct output *o)
{
    struct stat ours, there;
    return fstat(o->fd, &ours) == 0 && stat(o->part, &there) == 0 && ours.st_ino == there.st_ino &&
           ours.st_dev == there.st_dev;
}

/* Two downloads into one file, in this run or by another, would mix their bytes. Where there are no locks, nobody is
   kept out. */
static err_t own_part(struct output *o, bool keep)
{
    bool locked = flock(o->fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
    if (!locked || !still_named(o)) {
        close(o->fd); /* not ours to clean up */
        o->fd = -1;
        return fault(E_LOCKED, "%s: another download is writing it", o->part);
    }
    return keep || ftruncate(o->fd, 0) == 0 ? NULL : fault(err_errno(errno), "%s", o->part);
}

static err_t open_fd(struct transfer *t)
{
    struct output *o = &t->output;
    if (o->fd < 0)
        TRY(look_at_path(o));
    bool fresh = o->fd < 0;
    const char *path = o->in_place ? o->path : o->part;
    int cut = t->resuming || !o->in_place ? 0 : O_TRUNC;
    if (fresh)
        o->fd = open(path, (t->run->conf->checksum ? O_RDWR : O_WRONLY) | O_CREAT | O_CLOEXEC | cut, 0666);
    if (o->fd < 0)
        return fault(err_errno(errno), "%s", path);
    if (!o->in_place)
        TRY(own_part(o, t->resuming));
    o->at = t->resuming ? t->start : 0;
    if ((!fresh || o->at) && lseek(o->fd, (off_t)o->at, SEEK_SET) < 0)
        return fault(err_errno(errno), "%s", path);
    return NULL;
}

err_t output_open(struct transfer *t, const struct call *call)
{
    struct output *o = &t->output;
    const struct http_response *r = &call->response;
    TRY(output_name(t, r));
    if (t->resuming && r->status == 206)
        TRY(check_partial(t, r));
    else if (t->resuming && r->status == 200)
        TRY(check_whole(t, r));
    else if (t->resuming)
        return fault(E_PROTO, "the server answered %u to a request for the rest", r->status);
    if (o->is_stdout) {
        o->fd = STDOUT_FILENO;
        o->is_terminal = isatty(STDOUT_FILENO);
        return NULL;
    }
    if (!t->resuming) {
        o->validator = arena_copy(&t->arena, validator_of(r));
        o->total = call->length;
    }
    return open_direct(t, call, o) ? NULL : open_fd(t);
}

/* ---- Writing ---- */

static err_t write_all(struct output *o, struct slice s)
{
    while (s.n) {
        ssize_t n = write(o->fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault(err_errno(errno), "writing %s", o->path ? o->path : "the standard output");
        s = slice_from(s, (size_t)n);
        o->at += (uint64_t)n;
    }
    return NULL;
}

/* A terminal gets text: what the network sends must not move its cursor or change its title. */
static err_t write_terminal(struct output *o, struct slice s)
{
    AUTO(buf_free) struct buf b = {0};
    struct slice line;
    while (s.n) {
        bool ended = slice_find(s, '\n', 0) != SIZE_MAX;
        (void)slice_cut(&s, '\n', &line);
        if (ended && line.n && line.p[line.n - 1] == '\r')
            line.n--;
        for (struct slice cell; slice_cut(&line, '\t', &cell);) {
            TRY(text_safe_add(&b, cell));
            if (line.n)
                TRY(buf_add_char(&b, '\t'));
        }
        if (ended)
            TRY(buf_add_char(&b, '\n'));
    }
    return write_all(o, buf_slice(&b));
}

err_t output_write(struct output *o, struct slice s)
{
    if (o->is_terminal)
        return write_terminal(o, s);
    TRY(write_all(o, s));
    if (o->info && !o->in_place && !o->info_written && o->at >= INFO_FROM)
        write_info(o);
    return NULL;
}

/* ---- The end ---- */

err_t output_is_whole(struct transfer *t, const struct http_response *r)
{
    struct content_range range;
    struct slice v = fields_get(&r->fields, F_CONTENT_RANGE), now = validator_of(r);
    if (!range_content_parse(v, &range) || range.first <= range.last || range.total != t->start)
        return fault(E_CHANGED, "%s holds %llu bytes, the server says '%.*s'", t->output.part,
                     (unsigned long long)t->start, SLICE_ARG(v));
    if (t->output.validator.n && now.n && !slice_eq(now, t->output.validator))
        return changed(t, now);
    if (t->output.in_place)
        return NULL;
    TRY(open_fd(t));
    TRY(checksum_begin(t));
    TRY(checksum_check(t));
    return output_commit(t, r);
}

static void set_time(const struct transfer *t, const struct http_response *r)
{
    int64_t when;
    struct slice v = fields_get(&r->fields, F_LAST_MODIFIED);
    if (!t->run->conf->remote_time || !date_parse(v, wall_now() / TICK_S, &when))
        return;
    struct timespec times[2] = {{.tv_sec = when}, {.tv_sec = when}};
    (void)futimens(t->output.fd, times);
}

err_t output_commit(struct transfer *t, const struct http_response *r)
{
    struct output *o = &t->output;
    if (o->is_stdout || o->fd < 0)
        return NULL;
    set_time(t, r);
    int fd = o->fd;
    o->fd = -1;
    if (close(fd) < 0)
        return fault(err_errno(errno), "%s", o->part);
    if (o->in_place || o->direct)
        return NULL;
    if (rename(o->part, o->path) < 0)
        return fault(err_errno(errno), "%s", o->path);
    if (o->info_written || t->resuming)
        unlink(o->info);
    return NULL;
}

void output_abandon(struct output *o)
{
    if (o->fd < 0 || o->is_stdout)
        return;
    if (!o->in_place && !o->direct && o->at && !o->info_written)
        write_info(o);
    close(o->fd);
    o->fd = -1;
    if (o->direct) {
        unlink(o->path); /* ours, and not whole after all: the disk is full */
        o->direct = false;
        return;
    }
    if (!o->in_place && (!o->at || !o->validator.n || o->spoiled || o->sparse)) {
        unlink(o->part); /* nothing that could be continued */
        unlink(o->info);
    }
}

void output_free(struct output *o)
{
    forget_path(o);
    *o = (struct output){.fd = -1};
}
