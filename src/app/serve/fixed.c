/* SPDX-License-Identifier: MIT */
#include "app/serve/fixed.h"

#include <stdlib.h>

#include "app/serve/answer.h"

struct route {
    struct slice path, value;
    bool redirect;
};
struct page {
    uint16_t from, to; /* statuses, both inclusive */
    const char *file;
};
struct fixed {
    struct route *routes;
    size_t route_count;
    struct page *pages;
    size_t page_count;
};

static err_t add_route(struct fixed *f, const char *text, bool redirect)
{
    const char *option = redirect ? "--redirect" : "--respond";
    struct slice s = slice_z(text);
    size_t equals = slice_find(s, '=', 0);
    struct route r = {slice_first(s, equals), slice_from(s, equals == SIZE_MAX ? s.n : equals + 1), redirect};
    if (equals == SIZE_MAX || r.path.n == 0 || r.path.p[0] != '/')
        return fault(E_USAGE, "%s '%s' is not of the form /path=%s", option, text, redirect ? "target" : "text");
    if (redirect && (r.value.n == 0 || !fields_value_ok(r.value)))
        return fault(E_USAGE, "%s '%s' leads nowhere", option, text);
    f->routes[f->route_count++] = r;
    return NULL;
}

/* "404=/lost.html", "5xx=/sorry.html" */
static err_t add_page(struct fixed *f, const char *text)
{
    struct slice s = slice_z(text), code = slice_first(s, 3), file = slice_from(s, 4);
    struct page p = {0};
    uint64_t status;
    if (slice_eq(code, S("4xx")) || slice_eq(code, S("5xx"))) {
        p.from = (uint16_t)((code.p[0] - '0') * 100);
        p.to = (uint16_t)(p.from + 99);
    } else if (slice_u64(code, &status) && status >= 400 && status <= 599) {
        p.from = p.to = (uint16_t)status;
    }
    if (!p.from || s.n < 6 || s.p[3] != '=' || file.p[0] != '/')
        return fault(E_USAGE, "--error-page '%s' is not of the form 404=/file or 5xx=/file", text);
    p.file = file.p + 1;
    f->pages[f->page_count++] = p;
    return NULL;
}

err_t fixed_new(const struct serve_list *respond, const struct serve_list *redirect,
                const struct serve_list *error_pages, struct fixed **out)
{
    struct fixed *f = calloc(1, sizeof *f);
    err_t e = f ? NULL : E_NO_MEMORY;
    if (!e && (!(f->routes = calloc(respond->n + redirect->n + 1, sizeof *f->routes)) ||
               !(f->pages = calloc(error_pages->n + 1, sizeof *f->pages))))
        e = E_NO_MEMORY;
    for (size_t i = 0; i < respond->n && !e; i++)
        e = add_route(f, respond->v[i], false);
    for (size_t i = 0; i < redirect->n && !e; i++)
        e = add_route(f, redirect->v[i], true);
    for (size_t i = 0; i < error_pages->n && !e; i++)
        e = add_page(f, error_pages->v[i]);
    if (e)
        fixed_free(f);
    else
        *out = f;
    return e;
}

void fixed_free(struct fixed *f)
{
    if (!f)
        return;
    free(f->routes);
    free(f->pages);
    free(f);
}

/* HTML when it looks like it, so that the textbook's answers show as they should. */
static struct slice type_of(struct slice body)
{
    return slice_starts(slice_trim(body), S("<")) ? S("text/html; charset=utf-8") : S("text/plain; charset=utf-8");
}

err_t fixed_answer(const struct fixed *f, struct exchange *x, bool *sent, tick until)
{
    for (size_t i = 0; i < f->route_count; i++) {
        const struct route *r = &f->routes[i];
        if (!slice_eq(r->path, x->request.target.path))
            continue;
        if (!r->redirect)
            TRY(answer_precondition(x, SLICE_NONE, sent, until));
        if (*sent)
            return NULL;
        *sent = true;
        return r->redirect ? answer_redirect(x, 301, r->value, until)
                           : reply_text(x, 200, type_of(r->value), r->value, until);
    }
    return NULL;
}

const char *fixed_error_page(const struct fixed *f, uint16_t status)
{
    for (size_t i = 0; i < f->page_count; i++)
        if (f->pages[i].from == status && f->pages[i].to == status)
            return f->pages[i].file;
    for (size_t i = 0; i < f->page_count; i++)
        if (f->pages[i].from <= status && status <= f->pages[i].to)
            return f->pages[i].file;
    return NULL;
}
