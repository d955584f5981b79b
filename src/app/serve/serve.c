/* SPDX-License-Identifier: MIT */
#include "app/serve/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/serve/answer.h"
#include "app/serve/beneath.h"
#include "app/serve/fixed.h"
#include "app/serve/listing.h"
#include "http/uri.h"
#include "rt/worker.h"

struct serve {
    struct serve_options o;
    int root;
    struct fixed *fixed;
    struct files **files; /* by worker */
};

enum { BODY_DROPPED_MAX = 64 << 10 };

static const char *const usual_index[] = {"index.html", "index.htm"};

static err_t open_root(const char *path, int *out)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return fault(E_USAGE, "%s: %s", path, errno == ENOENT ? "there is no such folder" : "this is not a folder");
    if (fd < 0)
        return fault(err_errno(errno), "%s", path);
    *out = fd;
    return NULL;
}

/* Without it every route would be a 404 that nobody can explain. */
static err_t check_spa(const struct serve *s)
{
    struct beneath b = beneath_of(s->root);
    int fd = beneath_open_here(&b, s->o.spa, O_PATH);
    if (fd < 0)
        return fault(E_USAGE, "--spa: there is no file '%s' in %s", s->o.spa, s->o.root);
    close(fd);
    return NULL;
}

err_t serve_new(const struct serve_options *o, struct serve **out)
{
    if (o->cache_control && !fields_value_ok(slice_z(o->cache_control)))
        return fault(E_USAGE, "--cache-control '%s' cannot stand in a header", o->cache_control);
    struct serve *s = calloc(1, sizeof *s);
    if (!s)
        return E_NO_MEMORY;
    s->o = *o;
    if (!s->o.index.n)
        s->o.index = (struct serve_list){usual_index, 2};
    while (s->o.spa && s->o.spa[0] == '/') /* of the site, as with --error-page */
        s->o.spa++;
    s->root = -1;
    err_t e = open_root(o->root, &s->root);
    if (!e && s->o.spa)
        e = check_spa(s);
    if (!e)
        e = fixed_new(&o->respond, &o->redirect, &o->error_pages, &s->fixed);
    if (!e && !(s->files = calloc((size_t)o->workers, sizeof *s->files)))
        e = E_NO_MEMORY;
    for (int i = 0; i < o->workers && !e; i++)
        e = files_new(s->root, o->cache_control, &s->files[i]);
    if (e)
        serve_free(s);
    else
        *out = s;
    return e;
}

void serve_free(struct serve *s)
{
    if (!s)
        return;
    for (int i = 0; s->files && i < s->o.workers; i++)
        files_free(s->files[i]);
    free(s->files);
    fixed_free(s->fixed);
    if (s->root >= 0)
        close(s->root);
    free(s);
}

static struct files *files_here(const struct serve *s)
{
    return s->files[worker_index()];
}

/* ---- Finding the file ---- */

/* "a/.b" has a name that begins with a dot. ".well-known" (RFC 8615) is meant to be served. */
static bool has_dotfile(const char *name)
{
    for (const char *p = name; *p; p++)
        if (*p == '.' && (p == name || p[-1] == '/') && strncmp(p, ".well-known/", 12) != 0)
            return true;
    return false;
}

/* A folder must be asked for with its slash, or relative links would lead astray. */
static err_t add_slash(struct exchange *x, tick until)
{
    const struct uri *t = &x->request.target;
    struct slice path = t->path;
    while (path.n > 1 && path.p[1] == '/')
        path = slice_from(path, 1); /* "//x/" would be another host */
    struct slice to =
        arena_format(x->arena, "%.*s/%s%.*s", SLICE_ARG(path), t->has_query ? "?" : "", SLICE_ARG(t->query));
    return answer_redirect(x, 301, to, until);
}

static err_t index_of(const struct serve *s, struct exchange *x, const char *folder, struct file **out)
{
    for (size_t i = 0; i < s->o.index.n; i++) {
        struct slice name = arena_format(x->arena, "%s%s", folder, s->o.index.v[i]);
        if (!name.p)
            return E_URI_TOO_LONG;
        err_t e = file_open(files_here(s), name.p, x->request.target.path, out);
        if (e != E_NOT_FOUND && e != E_EXISTS)
            return e;
    }
    return E_NOT_FOUND;
}

static err_t serve_folder(const struct serve *s, struct exchange *x, const char *name, tick until)
{
    struct file *f;
    err_t e = index_of(s, x, name, &f);
    if (!e) {
        e = answer_file(x, f, until);
        file_unref(f);
        return e;
    }
    if (e != E_NOT_FOUND || !s->o.listing)
        return e;
    int fd;
    TRY(file_open_folder(files_here(s), name, &fd));
    e = listing_send(x, fd, s->o.dotfiles, until); /* takes the descriptor over */
    return e;
}

static err_t serve_name(const struct serve *s, struct exchange *x, const char *name, size_t n, tick until)
{
    struct file *f;
    if (!s->o.dotfiles && has_dotfile(name))
        return E_NOT_FOUND;
    if (n == 0 || name[n - 1] == '/')
        return serve_folder(s, x, name, until);
    err_t e = file_open(files_here(s), name, x->request.target.path, &f);
    if (e == E_EXISTS)
        return add_slash(x, until);
    TRY(e);
    e = answer_file(x, f, until);
    file_unref(f);
    return e;
}

/* A name with a dot is one of a file that should be there; what has none is the application's own. */
static bool is_route(struct slice path)
{
    size_t from = path.n;
    while (from && path.p[from - 1] != '/')
        from--;
    return !slice_has(slice_from(path, from), '.');
}

static err_t serve_spa(const struct serve *s, struct exchange *x, tick until)
{
    struct file *f;
    TRY(file_open(files_here(s), s->o.spa, SLICE_NONE, &f));
    err_t e = answer_file(x, f, until);
    file_unref(f);
    return e;
}

static err_t serve_path(const struct serve *s, struct exchange *x, tick until)
{
    struct slice path = x->request.target.path;
    char *name = arena_new(x->arena, path.n + 1, 1);
    size_t n;
    if (!name)
        return E_URI_TOO_LONG;
    if (!uri_path_decode(path, name, &n))
        return fault(E_BAD_REQUEST, "this path cannot name a file");
    name[n] = 0;
    err_t e = serve_name(s, x, name, n, until);
    if (e == E_NOT_FOUND && x->status == 0 && s->o.spa && is_route(path))
        return serve_spa(s, x, until);
    return e;
}

/* ---- The handler ---- */

/* The absolute form names a scheme; https over an open connection must be refused (RFC 9110 section 7.4). */
static err_t check_scheme(const struct exchange *x)
{
    struct slice scheme = x->request.target.scheme;
    if (slice_eq_case(scheme, S("https")))
        return x->secure ? NULL : fault(E_MISDIRECTED, "https is not to be had over this connection");
    return slice_eq_case(scheme, S("http")) ? NULL : fault(E_BAD_REQUEST, "only http and https URLs are served here");
}

/* A body means nothing here. A short one is read before the answer all the same: one that is framed wrongly gets the
   400 that it must get (RFC 9112 section 6.3). Who waits for 100 (Continue) gets the answer instead. */
static err_t drop_body(struct exchange *x, tick until)
{
    bool waits = x->request.version >= 11 && fields_has(&x->request.fields, F_EXPECT);
    if (waits || (x->body_length > BODY_DROPPED_MAX && x->body_length != UINT64_MAX))
        return NULL;
    return request_skip_body(x, BODY_DROPPED_MAX, until);
}

static err_t refuse_method(struct exchange *x, tick until)
{
    struct http_fields extra = {0};
    if (x->request.method == M_OTHER)
        return fault(E_METHOD_UNKNOWN, "this method is not known here");
    if (!fields_add_id(x->arena, &extra, F_ALLOW, S("GET, HEAD, OPTIONS")))
        return E_NO_MEMORY;
    return reply_error_fields(x, 405, S("files can be read here, not changed"), &extra, until);
}

static err_t options(struct exchange *x, tick until)
{
    struct http_response r = {.status = 204};
    if (!fields_add_id(x->arena, &r.fields, F_ALLOW, S("GET, HEAD, OPTIONS")))
        return E_NO_MEMORY;
    return reply_whole(x, &r, SLICE_NONE, until);
}

err_t serve_handler(struct exchange *x, const void *conf, tick until)
{
    const struct serve *s = conf;
    if (!x->body_done)
        TRY(drop_body(x, until));
    if (x->request.form == TARGET_ABSOLUTE)
        TRY(check_scheme(x));
    if (x->request.method == M_OPTIONS)
        return options(x, until);
    if (x->request.method != M_GET && x->request.method != M_HEAD)
        return refuse_method(x, until);
    struct file *f = file_cached(files_here(s), x->request.target.path);
    if (f) {
        err_t e = answer_file(x, f, until);
        file_unref(f);
        return e;
    }
    bool sent = false;
    TRY(fixed_answer(s->fixed, x, &sent, until));
    return sent ? NULL : serve_path(s, x, until);
}

err_t serve_error_page(struct exchange *x, uint16_t status, const struct http_fields *extra, const void *conf,
                       bool *sent, tick until)
{
    const struct serve *s = conf;
    const char *name = fixed_error_page(s->fixed, status);
    struct file *f;
    if (!name || file_open(files_here(s), name, SLICE_NONE, &f))
        return NULL; /* the built-in page */
    *sent = true;
    err_t e = answer_error_page(x, status, f, extra, until);
    file_unref(f);
    return e;
}
