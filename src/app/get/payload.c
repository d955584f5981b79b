/* SPDX-License-Identifier: MIT */
#include "app/get/payload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/get/form.h"
#include "base/random.h"
#include "base/text.h"
#include "rt/io.h"

enum { READ_STEP = 64 << 10 };

static err_t open_file(const struct get_conf *c, struct slice path, int *fd, uint64_t *size)
{
    char z[1024];
    struct stat st;
    if (slice_eq(path, S("-"))) {
        *size = CLIENT_UNKNOWN;
        return c->open_stdin(fd);
    }
    if (!slice_to_z(path, z, sizeof z))
        return fault(E_USAGE, "file name too long");
    int f = open(z, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (f < 0 || fstat(f, &st) < 0)
        return fault(err_errno(errno), "%s", z);
    if (S_ISDIR(st.st_mode)) {
        close(f);
        return fault(E_USAGE, "%s is a folder", z);
    }
    *fd = f;
    *size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : CLIENT_UNKNOWN;
    return NULL;
}

/* The whole file behind `out`; for -d also without its line ends and NULs, as curl does. */
static err_t read_into(const struct get_conf *c, struct slice path, bool lines_only, struct buf *out)
{
    int fd;
    uint64_t size;
    size_t got, start = out->n;
    TRY(open_file(c, path, &fd, &size));
    err_t e = NULL;
    for (char *at; !e; out->n += got) {
        got = 0;
        e = buf_room(out, READ_STEP, &at);
        if (!e)
            e = io_read(fd, at, READ_STEP, &got, TICK_NEVER);
        if (got == 0)
            break;
    }
    io_close(fd);
    size_t to = start;
    for (size_t i = start; lines_only && i < out->n; i++)
        if (out->p[i] != '\r' && out->p[i] != '\n' && out->p[i])
            out->p[to++] = out->p[i];
    if (lines_only)
        out->n = to;
    return e;
}

/* "content", "=content", "name=content", "@file", "name@file" (curl's --data-urlencode). */
static err_t add_urlencoded(const struct get_conf *c, struct slice v, struct buf *out)
{
    size_t eq = slice_find(v, '=', 0), at = slice_find(v, '@', 0);
    AUTO(buf_free) struct buf content = {0};
    if (at < eq) {
        TRY(read_into(c, slice_from(v, at + 1), false, &content));
        TRY(buf_add(out, slice_first(v, at)));
        if (at)
            TRY(buf_add_char(out, '='));
    } else {
        if (eq != SIZE_MAX && eq > 0)
            TRY(buf_add(out, slice_first(v, eq + 1)));
        TRY(buf_add(&content, eq == SIZE_MAX ? v : slice_from(v, eq + 1)));
    }
    for (size_t i = 0, end; i < content.n; i = end + 1) { /* a space as forms write it */
        end = slice_find(buf_slice(&content), ' ', i);
        end = end == SIZE_MAX ? content.n : end;
        TRY(text_percent_add(out, slice_of(content.p + i, end - i), ""));
        if (end < content.n)
            TRY(buf_add_char(out, '+'));
    }
    return NULL;
}

static err_t add_data(const struct get_conf *c, const struct get_data *d, bool first, struct buf *out)
{
    struct slice v = slice_z(d->value);
    bool file = v.n && v.p[0] == '@' && d->kind != DATA_RAW;
    if (!first && d->kind != DATA_JSON)
        TRY(buf_add_char(out, '&'));
    if (d->kind == DATA_URLENCODE)
        return add_urlencoded(c, v, out);
    if (file)
        return read_into(c, slice_from(v, 1), d->kind == DATA_PLAIN, out);
    return buf_add(out, v);
}

static err_t add_piece(struct payload *p, int fd, uint64_t from, uint64_t size)
{
    struct payload_piece *more = realloc(p->pieces, (p->count + 1) * sizeof *more);
    if (!more)
        return E_NO_MEMORY;
    p->pieces = more;
    p->pieces[p->count++] = (struct payload_piece){fd, from, size};
    p->once = p->once || size == CLIENT_UNKNOWN;
    return NULL;
}

static err_t add_part(const struct get_conf *c, struct payload *p, const struct form_part *part)
{
    int fd;
    uint64_t size;
    if (part->source == FORM_TEXT)
        return buf_add(&p->text, part->value);
    if (part->source == FORM_CONTENT)
        return read_into(c, part->value, false, &p->text);
    TRY(open_file(c, part->value, &fd, &size));
    return add_piece(p, fd, 0, size);
}

/* What was added to `text` since `*from` becomes a piece. */
static err_t flush_text(struct payload *p, size_t *from)
{
    if (p->text.n > *from)
        TRY(add_piece(p, -1, *from, p->text.n - *from));
    *from = p->text.n;
    return NULL;
}

static err_t make_form(const struct get_conf *c, struct payload *p)
{
    uint8_t random[12];
    char boundary[FORM_BOUNDARY + 1];
    size_t from = 0;
    random_bytes(random, sizeof random);
    form_boundary(random, boundary);
    for (size_t i = 0; i < c->data_count; i++) {
        struct form_part part;
        if (c->data[i].kind < DATA_FORM)
            return fault(E_USAGE, "-d and -F in one request");
        TRY(form_parse(&p->arena, slice_z(c->data[i].value), c->data[i].kind == DATA_FORM_STRING, &part));
        TRY(form_head(&part, boundary, i == 0, &p->text));
        if (part.source == FORM_UPLOAD)
            TRY(flush_text(p, &from));
        TRY(add_part(c, p, &part));
    }
    TRY(form_end(boundary, &p->text));
    TRY(flush_text(p, &from));
    return buf_format(&p->type, "multipart/form-data; boundary=%s", boundary);
}

static err_t make_data(const struct get_conf *c, struct payload *p)
{
    size_t from = 0;
    for (size_t i = 0; i < c->data_count; i++)
        TRY(add_data(c, &c->data[i], i == 0, &p->text));
    bool json = c->data[0].kind == DATA_JSON;
    TRY(buf_format(&p->type, "application/%s", json ? "json" : "x-www-form-urlencoded"));
    return flush_text(p, &from);
}

/* -C OFFSET with -T: the server has that much of the file already. */
static err_t skip(struct payload *p, struct slice offset)
{
    struct payload_piece *piece = &p->pieces[0];
    if (!slice_u64(offset, &piece->from))
        return fault(E_USAGE, "-C '%.*s': a number of bytes or - is wanted", SLICE_ARG(offset));
    if (piece->size == CLIENT_UNKNOWN || piece->from >= piece->size)
        return fault(E_USAGE, "-C '%.*s': the upload has no such byte", SLICE_ARG(offset));
    piece->size -= piece->from;
    p->skipped = piece->from;
    return NULL;
}

err_t payload_make(const struct get_conf *c, struct payload *p)
{
    int fd;
    uint64_t size;
    if (c->upload && c->data_count)
        return fault(E_USAGE, "-T and -d or -F in one request");
    if (c->upload) {
        p->method = "PUT";
        TRY(open_file(c, slice_z(c->upload), &fd, &size));
        TRY(add_piece(p, fd, 0, size));
        return c->resume && strcmp(c->resume, "-") != 0 ? skip(p, slice_z(c->resume)) : NULL;
    }
    if (!c->data_count)
        return NULL;
    p->method = "POST";
    return c->data[0].kind >= DATA_FORM ? make_form(c, p) : make_data(c, p);
}

void payload_free(struct payload *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->pieces[i].fd >= 0)
            io_close(p->pieces[i].fd);
    free(p->pieces);
    buf_free(&p->text);
    buf_free(&p->type);
    arena_reset(&p->arena);
    *p = (struct payload){0};
}

/* ---- As a client_body ---- */

static err_t read_file(struct payload *p, const struct payload_piece *piece, void *to, size_t cap, size_t *got,
                       tick until)
{
    if (piece->size == CLIENT_UNKNOWN)
        return io_read(piece->fd, to, cap, got, until);
    ssize_t n;
    do
        n = pread(piece->fd, to, cap, (off_t)(piece->from + p->offset));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return fault(err_errno(errno), "reading the file to send");
    if (n == 0)
        return fault(E_CHANGED, "the file to send became shorter");
    *got = (size_t)n;
    return NULL;
}

static err_t read_payload(void *arg, void *to, size_t cap, size_t *got, tick until)
{
    struct payload *p = arg;
    *got = 0;
    while (p->at < p->count && *got == 0) {
        const struct payload_piece *piece = &p->pieces[p->at];
        uint64_t left = piece->size - p->offset;
        size_t want = left < cap ? (size_t)left : cap;
        if (want && piece->fd >= 0) {
            TRY(read_file(p, piece, to, want, got, until));
        } else if (want) {
            memcpy(to, p->text.p + piece->from + p->offset, want);
            *got = want;
        }
        p->offset += *got;
        if (*got == 0 || p->offset == piece->size)
            p->at++, p->offset = 0;
    }
    return NULL;
}

static err_t rewind_payload(void *arg)
{
    struct payload *p = arg;
    if (p->once && (p->at || p->offset))
        return fault(E_UNSUPPORTED, "the body is wanted again, and it came from a pipe");
    p->at = 0, p->offset = 0;
    return NULL;
}

struct client_body payload_body(struct payload *p)
{
    if (!p->method)
        return (struct client_body){0};
    if (p->count <= 1 && (!p->count || p->pieces[0].fd < 0))
        return (struct client_body){.present = true, .bytes = buf_slice(&p->text)};
    uint64_t length = 0;
    for (size_t i = 0; i < p->count; i++)
        length = length == CLIENT_UNKNOWN || p->pieces[i].size == CLIENT_UNKNOWN ? CLIENT_UNKNOWN
                                                                                 : length + p->pieces[i].size;
    return (struct client_body){
        .present = true, .read = read_payload, .rewind = rewind_payload, .arg = p, .length = length};
}
