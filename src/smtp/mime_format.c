/* SPDX-License-Identifier: MIT */
#include "smtp/mime_format.h"

#include <stdio.h>

#include "base/check.h"

enum { PIECES_FIRST = 8, TOP = 0, MIXED = 1, RELATED = 2, ALTERNATIVE = 3 };

struct writer {
    const struct mime_letter *letter;
    struct arena *arena;
    struct mime_message *out;
    struct buf text; /* header lines and boundaries since the last content */
};

err_t mime_add(struct arena *a, struct mime_message *m, const struct mime_piece *piece)
{
    if (m->n == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : PIECES_FIRST;
        struct mime_piece *v = ARENA_ARRAY(a, struct mime_piece, cap);
        if (!v)
            return E_NO_MEMORY;
        if (m->n)
            memcpy(v, m->v, m->n * sizeof *v);
        m->v = v, m->cap = cap;
    }
    m->v[m->n++] = *piece;
    m->size = piece->size == UINT64_MAX || m->size == UINT64_MAX ? UINT64_MAX : m->size + piece->size;
    return NULL;
}

/* What was written so far becomes a literal piece. */
static err_t flush_text(struct writer *w)
{
    struct slice s = arena_copy(w->arena, buf_slice(&w->text));
    if (!s.p)
        return E_NO_MEMORY;
    struct mime_piece p = {.content = {s, -1, s.n, 0}, .literal = true, .size = s.n};
    w->text.n = 0;
    return mime_add(w->arena, w->out, &p);
}

static err_t add_content(struct writer *w, const struct mime_content *c, struct mime_encoder e,
                         const struct mime_scan *scan)
{
    struct mime_piece p = {
        .content = *c, .encoder = e, .no_dots = e.how == MIME_BASE64 || e.how == MIME_QP, .size = UINT64_MAX};
    struct mime_scan plain = {.bytes = c->size};
    uint64_t size;
    if (mime_encoded_size(&e, scan ? scan : &plain, &size))
        p.size = size;
    TRY(flush_text(w));
    w->out->eightbit |= e.how == MIME_8BIT;
    return mime_add(w->arena, w->out, &p);
}

/* ---- multiparts ---- */

/* The letter's boundary and one letter for each level, so that none is the beginning of another. */
static err_t open_multipart(struct writer *w, const char *kind, int level, const char *root_type)
{
    TRY(buf_format(&w->text, "Content-Type: multipart/%s;\r\n boundary=\"%.*s%c\"", kind,
                   SLICE_ARG(w->letter->boundary), 'a' + level));
    if (root_type)
        TRY(buf_format(&w->text, ";\r\n type=\"%s\"", root_type));
    return buf_add(&w->text, S("\r\n\r\n"));
}

/* The CRLF in front belongs to the boundary; after a base64 content it is there already. */
static err_t boundary(struct writer *w, int level, bool last, bool need_break)
{
    return buf_format(&w->text, "%s--%.*s%c%s\r\n", need_break ? "\r\n" : "", SLICE_ARG(w->letter->boundary),
                      'a' + level, last ? "--" : "");
}

static err_t next_part(struct writer *w, int level, bool last)
{
    const struct mime_message *m = w->out;
    bool after_content = w->text.n == 0 && m->n && !m->v[m->n - 1].literal;
    bool breaks_itself = after_content && m->v[m->n - 1].encoder.how == MIME_BASE64;
    return boundary(w, level, last, after_content && !breaks_itself);
}

/* ---- texts and files ---- */

static err_t text_part(struct writer *w, const struct mime_text *t, const char *subtype, bool alone)
{
    struct mime_encoder e = {.how = mime_choose(&t->scan, w->letter->allow_8bit, alone), .text = true};
    e.lf = !mime_scan_crlf(&t->scan);
    e.soft_end = alone;
    const char *charset = !t->scan.eightbit ? "us-ascii" : t->scan.not_utf8 ? "unknown-8bit" : "utf-8";
    TRY(buf_format(&w->text, "Content-Type: text/%s; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n", subtype,
                   charset, mime_encoding_name(e.how)));
    return add_content(w, &t->content, e, &t->scan);
}

static bool type_valid(struct slice t)
{
    int slashes = 0;
    for (size_t i = 0; i < t.n; i++) {
        slashes += t.p[i] == '/';
        if (t.p[i] <= ' ' || t.p[i] > '~' || strchr("()<>@,;:\\\"[]?=", t.p[i]))
            return false;
    }
    return slashes == 1 && t.n > 2 && t.n < 128;
}

bool mime_is_message(const struct mime_file *f)
{
    return slice_starts_case(f->type, S("message/"));
}

static struct mime_encoder file_encoder(const struct writer *w, const struct mime_file *f)
{
    struct mime_encoder e = {.how = MIME_BASE64};
    if (mime_is_message(f))
        e.how = mime_choose(&f->scan, w->letter->allow_8bit, false);
    if (e.how == MIME_7BIT || e.how == MIME_8BIT)
        e.text = true, e.lf = !mime_scan_crlf(&f->scan);
    else
        e.how = MIME_BASE64;
    return e;
}

static err_t file_part(struct writer *w, const struct mime_file *f)
{
    if (!type_valid(f->type))
        return fault(E_DATA, "'%.*s' is not a media type", (int)(f->type.n < 100 ? f->type.n : 100), f->type.p);
    struct mime_encoder e = file_encoder(w, f);
    bool hidden = mime_is_message(f) && e.how == MIME_BASE64;
    TRY(buf_format(&w->text, "Content-Type: %.*s", SLICE_ARG(hidden ? S("application/octet-stream") : f->type)));
    if (f->charset.n)
        TRY(buf_format(&w->text, "; charset=%.*s", SLICE_ARG(f->charset)));
    if (f->name.n)
        TRY(header_param(&w->text, "name", f->name, "the name of an attachment"));
    TRY(buf_format(&w->text, "\r\nContent-Transfer-Encoding: %s\r\nContent-Disposition: %s", mime_encoding_name(e.how),
                   f->cid.n ? "inline" : "attachment"));
    if (f->name.n)
        TRY(header_param(&w->text, "filename", f->name, "the name of an attachment"));
    TRY(buf_add(&w->text, S("\r\n")));
    if (f->cid.n)
        TRY(buf_format(&w->text, "Content-ID: <%.*s>\r\n", SLICE_ARG(f->cid)));
    TRY(buf_add(&w->text, S("\r\n")));
    return add_content(w, &f->content, e, mime_is_message(f) ? &f->scan : NULL);
}

/* ---- the tree, innermost last ---- */

static err_t texts(struct writer *w, bool alone)
{
    const struct mime_letter *l = w->letter;
    if (!l->text || !l->html)
        return l->html ? text_part(w, l->html, "html", alone) : text_part(w, l->text, "plain", alone);
    TRY(open_multipart(w, "alternative", ALTERNATIVE, NULL));
    TRY(next_part(w, ALTERNATIVE, false));
    TRY(text_part(w, l->text, "plain", false));
    TRY(next_part(w, ALTERNATIVE, false));
    TRY(text_part(w, l->html, "html", false));
    return next_part(w, ALTERNATIVE, true);
}

static err_t files(struct writer *w, int level, bool inlined)
{
    for (size_t i = 0; i < w->letter->file_count; i++)
        if ((w->letter->files[i].cid.n > 0) == inlined) {
            TRY(next_part(w, level, false));
            TRY(file_part(w, &w->letter->files[i]));
        }
    return next_part(w, level, true);
}

static err_t related(struct writer *w, bool inlines, bool alone)
{
    const struct mime_letter *l = w->letter;
    if (!inlines)
        return texts(w, alone);
    const char *root = l->text && l->html ? "multipart/alternative" : l->html ? "text/html" : "text/plain";
    TRY(open_multipart(w, "related", RELATED, root));
    TRY(next_part(w, RELATED, false));
    TRY(texts(w, false));
    return files(w, RELATED, true);
}

static err_t body(struct writer *w)
{
    const struct mime_letter *l = w->letter;
    size_t inlines = 0;
    for (size_t i = 0; i < l->file_count; i++)
        inlines += l->files[i].cid.n > 0;
    bool mixed = l->file_count > inlines;
    if (!l->text && !l->html && l->file_count == 0) {
        TRY(buf_add(&w->text, S("Content-Type: text/plain; charset=us-ascii\r\n\r\n")));
        return flush_text(w);
    }
    if (!mixed) {
        TRY(related(w, inlines > 0, l->file_count == 0));
        return flush_text(w);
    }
    TRY(open_multipart(w, "mixed", MIXED, NULL));
    if (l->text || l->html) {
        TRY(next_part(w, MIXED, false));
        TRY(related(w, inlines > 0, false));
    }
    TRY(files(w, MIXED, false));
    return flush_text(w);
}

/* ---- the header ---- */

bool mime_is_address_field(struct slice name)
{
    static const char *const names[] = {"from",
                                        "to",
                                        "cc",
                                        "bcc",
                                        "reply-to",
                                        "sender",
                                        "resent-from",
                                        "resent-to",
                                        "resent-cc",
                                        "resent-sender",
                                        "errors-to",
                                        "return-receipt-to",
                                        "disposition-notification-to",
                                        "mail-followup-to"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_eq_case(name, slice_z(names[i])))
            return true;
    return false;
}

/* Fields that are made from other options, or that would take the structure apart. */
static bool is_owned_field(struct slice name)
{
    static const char *const names[] = {"from", "to", "cc", "bcc", "resent-bcc", "subject", "mime-version"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_eq_case(name, slice_z(names[i])))
            return true;
    return slice_starts_case(name, S("content-"));
}

static const struct mime_field *own_field(const struct mime_letter *l, struct slice name)
{
    for (size_t i = 0; i < l->field_count; i++)
        if (slice_eq_case(l->fields[i].name, name))
            return &l->fields[i];
    return NULL;
}

static err_t extra_field(struct writer *w, const struct mime_field *f)
{
    char name[200];
    if (!header_name_valid(f->name) || !slice_to_z(f->name, name, sizeof name))
        return fault(E_DATA, "--header: '%.*s' is not a field name", (int)(f->name.n < 80 ? f->name.n : 80), f->name.p);
    if (is_owned_field(f->name))
        return fault(E_DATA, "--header: %s is made from the other options", name);
    TRY(header_value_check(f->value, name));
    if (!mime_is_address_field(f->name))
        return header_text(&w->text, name, f->value, w->letter->utf8);
    struct smtp_mailboxes list = {0};
    TRY(smtp_mailboxes_parse(w->arena, f->value, name, &list));
    return header_mailboxes(&w->text, name, list.v, list.n, w->letter->utf8);
}

static err_t header(struct writer *w)
{
    const struct mime_letter *l = w->letter;
    struct buf *b = &w->text;
    if (!own_field(l, S("Date")))
        TRY(header_date(b, "Date", l->date, l->date_offset));
    TRY(header_mailboxes(b, "From", &l->from, 1, l->utf8));
    if (l->to.n)
        TRY(header_mailboxes(b, "To", l->to.v, l->to.n, l->utf8));
    if (l->cc.n)
        TRY(header_mailboxes(b, "Cc", l->cc.v, l->cc.n, l->utf8));
    if (!l->to.n && !l->cc.n) /* only hidden recipients (RFC 5322 section 3.4: an empty group) */
        TRY(buf_add(b, S("To: undisclosed-recipients:;\r\n")));
    if (l->has_subject)
        TRY(header_text(b, "Subject", l->subject, l->utf8));
    if (!own_field(l, S("Message-ID")))
        TRY(buf_format(b, "Message-ID: <%.*s>\r\n", SLICE_ARG(l->message_id)));
    for (size_t i = 0; i < l->field_count; i++)
        TRY(extra_field(w, &l->fields[i]));
    return buf_add(b, S("MIME-Version: 1.0\r\n"));
}

static err_t check_letter(const struct mime_letter *l)
{
    CHECK(l->boundary.n && l->boundary.n <= 60);
    TRY(header_value_check(l->message_id, "--message-id"));
    if (!smtp_is_ascii(l->message_id) || slice_has(l->message_id, ' ') || slice_has(l->message_id, '>'))
        return fault(E_DATA, "--message-id: '%.*s' is not a message id", (int)(l->message_id.n & 127), l->message_id.p);
    for (size_t i = 0; i < l->file_count; i++) {
        struct slice cid = l->files[i].cid;
        TRY(header_value_check(cid, "--inline"));
        if (!smtp_is_ascii(cid) || slice_has(cid, ' ') || slice_has(cid, '<') || slice_has(cid, '>') || cid.n > 200)
            return fault(E_DATA, "--inline: '%.*s' cannot be a content id", (int)(cid.n < 100 ? cid.n : 100), cid.p);
    }
    return NULL;
}

err_t mime_format(const struct mime_letter *l, struct arena *a, struct mime_message *out)
{
    struct mime_message m = {.utf8 = l->utf8, .eightbit = l->utf8};
    struct writer w = {.letter = l, .arena = a, .out = &m};
    err_t e = check_letter(l);
    if (!e)
        e = header(&w);
    if (!e)
        e = body(&w);
    buf_free(&w.text);
    if (!e)
        *out = m;
    return e;
}
