/* SPDX-License-Identifier: MIT */
#include "app/serve/listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/serve/answer.h"
#include "base/buf.h"
#include "base/text.h"
#include "rt/offload.h"

struct name {
    char *text;
    uint64_t size;
    int64_t modified_s;
    bool folder;
};
struct listing {
    int fd;
    bool dotfiles, cut;
    struct name *v;
    size_t n, cap;
};

static int by_name(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    if (x->folder != y->folder)
        return x->folder ? -1 : 1;
    return strcmp(x->text, y->text);
}

/* Only what may be served: folders, regular files, and symbolic links, which are not followed here, since they may
   lead out of the root. */
static err_t add(struct listing *l, const char *text)
{
    struct stat st;
    if (text[0] == '.' && (!l->dotfiles || strcmp(text, ".") == 0 || strcmp(text, "..") == 0))
        return NULL;
    if (fstatat(l->fd, text, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode)))
        return NULL;
    if (l->n == LISTING_MAX) {
        l->cut = true;
        return NULL;
    }
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        struct name *v = realloc(l->v, cap * sizeof *v);
        if (!v)
            return E_NO_MEMORY;
        l->v = v;
        l->cap = cap;
    }
    struct name *last = &l->v[l->n];
    *last = (struct name){strdup(text), (uint64_t)st.st_size, st.st_mtim.tv_sec, S_ISDIR(st.st_mode)};
    if (!last->text)
        return E_NO_MEMORY;
    l->n++;
    return NULL;
}

/* On another thread: a folder may be large, and cold. */
static err_t read_folder(void *arg)
{
    struct listing *l = arg;
    int copy = dup(l->fd);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    err_t e = NULL;
    if (!d) {
        int error = errno;
        if (copy >= 0)
            close(copy);
        return err_errno(error);
    }
    for (const struct dirent *entry; !e && (entry = readdir(d));)
        e = add(l, entry->d_name);
    closedir(d);
    if (!e)
        qsort(l->v, l->n, sizeof *l->v, by_name);
    return e;
}

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width\"><title>%.*s</title>\n<style>"
    "body{font:1em/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color-scheme:light dark}"
    "table{border-collapse:collapse;width:100%%}td,th{padding:.1em .8em .1em 0;text-align:left}"
    "td+td,th+th{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}"
    "tr:hover{background:#8882}</style></head>\n<body><h1>%.*s</h1>\n<table>"
    "<thead><tr><th scope=\"col\">Name</th><th scope=\"col\">Size</th><th scope=\"col\">Changed (UTC)</th></tr></thead>"
    "<tbody>\n";

static err_t add_row(struct arena *scratch, struct buf *b, const struct name *f)
{
    char size[32] = "", when[32];
    struct tm tm;
    time_t t = (time_t)f->modified_s;
    const char *slash = f->folder ? "/" : "";
    struct slice shown = html_escape(scratch, slice_z(f->text));
    if (!f->folder)
        text_size_human(f->size, size);
    if (!gmtime_r(&t, &tm) || !strftime(when, sizeof when, "%Y-%m-%d %H:%M", &tm))
        when[0] = 0; /* further away than a calendar reaches */
    TRY(buf_add(b, S("<tr><td><a href=\"./")));
    TRY(text_percent_add(b, slice_z(f->text), ""));
    return buf_format(b, "%s\">%.*s%s</a></td><td>%s</td><td>%s</td></tr>\n", slash, SLICE_ARG(shown), slash, size,
                      when);
}

static err_t page(struct exchange *x, const struct listing *l, struct buf *b)
{
    struct slice path = x->request.target.path;
    char *decoded = arena_new(x->arena, path.n + 1, 1);
    struct buf plain = {0};
    err_t e = decoded ? text_percent_decode(path, &plain) : E_NO_MEMORY;
    struct slice title = e ? SLICE_NONE : html_escape(x->arena, buf_slice(&plain));
    buf_free(&plain);
    TRY(e);
    TRY(buf_format(b, head, SLICE_ARG(title), SLICE_ARG(title)));
    if (path.n > 1)
        TRY(buf_add(b, S("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n")));
    for (size_t i = 0; i < l->n; i++) {
        struct arena scratch = {0};
        e = add_row(&scratch, b, &l->v[i]);
        arena_reset(&scratch);
        TRY(e);
    }
    TRY(buf_add(b, S("</tbody></table>\n")));
    if (l->cut)
        TRY(buf_format(b, "<p>Only the first %d names are shown.</p>\n", LISTING_MAX));
    return buf_add(b, S("</body></html>\n"));
}

static err_t send_page(struct exchange *x, const struct listing *l, tick until)
{
    struct buf b = {0};
    struct http_response r = {.status = 200};
    err_t e = page(x, l, &b);
    if (!e && (!fields_add_id(x->arena, &r.fields, F_CONTENT_TYPE, S("text/html; charset=utf-8")) ||
               !fields_add_id(x->arena, &r.fields, F_CACHE_CONTROL, S("no-cache"))))
        e = E_NO_MEMORY;
    if (!e)
        e = reply_whole(x, &r, buf_slice(&b), until);
    buf_free(&b);
    return e;
}

err_t listing_send(struct exchange *x, int fd, bool dotfiles, tick until)
{
    struct listing l = {.fd = fd, .dotfiles = dotfiles};
    bool sent = false;
    err_t e = answer_precondition(x, S("no-cache"), &sent, until);
    if (!e && !sent)
        e = offload(read_folder, &l, until);
    if (!e && !sent)
        e = send_page(x, &l, until);
    for (size_t i = 0; i < l.n; i++)
        free(l.v[i].text);
    free(l.v);
    close(fd);
    return e;
}
