/* SPDX-License-Identifier: MIT */
/* draft_parts.c -- texts, attachments and inline files of a letter that is composed from options. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/mail/draft.h"
#include "http/media.h"
#include "smtp/message.h"

enum { CHARSET_LOOK = 64 * 1024 };

static err_t open_text(struct mail_draft *d, const char *path, const char *field, struct mime_text *t)
{
    err_t e = content_open(path, &d->arena, &d->files, &t->content);
    if (e) {
        char why[200];
        snprintf(why, sizeof why, "%s", fault_detail());
        return fault(e, "%s: %s", field, why);
    }
    return content_scan(&t->content, &t->scan);
}

/* "FILE:NAME" where FILE:NAME is no file itself. */
static err_t split_file(struct mail_draft *d, const char *arg, const char **path, struct slice *name)
{
    const char *colon = strrchr(arg, ':'), *slash = strrchr(arg, '/');
    *path = arg;
    *name = SLICE_NONE;
    if (!colon || (slash && slash > colon) || colon == arg || access(arg, F_OK) == 0)
        return NULL;
    struct slice copy = arena_copy(&d->arena, slice_of(arg, (size_t)(colon - arg)));
    if (!copy.p)
        return E_NO_MEMORY;
    *path = copy.p;
    *name = slice_z(colon + 1);
    return NULL;
}

static struct slice base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slice_z(strcmp(path, "-") == 0 ? "stdin" : slash ? slash + 1 : path);
}

/* The character set of a text file, from its beginning, when there is anything to say. */
static err_t look_at_text(struct mime_file *f)
{
    if (!slice_starts(f->type, S("text/")))
        return NULL;
    struct mime_content head = f->content;
    struct mime_scan scan;
    head.size = head.size < CHARSET_LOOK ? head.size : CHARSET_LOOK;
    head.bytes = slice_first(head.bytes, head.size);
    TRY(content_scan(&head, &scan));
    bool cut = head.size < f->content.size; /* perhaps within a character */
    if (scan.eightbit && (!scan.not_utf8 || cut))
        f->charset = S("utf-8");
    return NULL;
}

static err_t open_file(struct mail_draft *d, const char *arg, const char *field, bool inlined, struct mime_file *f)
{
    const char *path;
    struct slice given;
    TRY(split_file(d, arg, &path, &given));
    err_t e = content_open(path, &d->arena, &d->files, &f->content);
    if (e) {
        char why[200];
        snprintf(why, sizeof why, "%s", fault_detail());
        return fault(e, "%s: %s", field, why);
    }
    f->name = !inlined && given.n ? given : base_name(path);
    if (inlined)
        f->cid = given.n ? given : f->name;
    TRY(header_value_check(f->name, field));
    struct slice type = media_type(f->name);
    f->type = slice_trim(slice_first(type, slice_find(type, ';', 0)));
    return mime_is_message(f) ? content_scan(&f->content, &f->scan) : look_at_text(f);
}

static err_t open_files(const struct mail_options *o, struct mail_draft *d)
{
    size_t n = o->attach.n + o->inlines.n;
    struct mime_file *v = ARENA_ARRAY(&d->arena, struct mime_file, n ? n : 1);
    if (!v)
        return E_NO_MEMORY;
    memset(v, 0, (n ? n : 1) * sizeof *v);
    for (size_t i = 0; i < o->inlines.n; i++)
        TRY(open_file(d, o->inlines.v[i], "--inline", true, &v[i]));
    for (size_t i = 0; i < o->attach.n; i++)
        TRY(open_file(d, o->attach.v[i], "--attach", false, &v[o->inlines.n + i]));
    d->letter.files = v;
    d->letter.file_count = n;
    return NULL;
}

err_t mail_parts_open(const struct mail_options *o, struct mail_draft *d)
{
    if (o->inlines.n && !o->html)
        return fault(E_USAGE, "--inline wants --html, which refers to the file by cid:");
    if (o->body && o->text)
        return fault(E_USAGE, "--body and --text: one of them");
    if (o->text) {
        d->text.content = (struct mime_content){.bytes = slice_z(o->text), .fd = -1, .size = strlen(o->text)};
        TRY(content_scan(&d->text.content, &d->text.scan));
        d->letter.text = &d->text;
    }
    if (o->body) {
        TRY(open_text(d, o->body, "--body", &d->text));
        d->letter.text = &d->text;
    }
    if (o->html) {
        TRY(open_text(d, o->html, "--html", &d->html));
        d->letter.html = &d->html;
    }
    return open_files(o, d);
}
