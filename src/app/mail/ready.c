/* SPDX-License-Identifier: MIT */
/* ready.c -- a message that is sent as it is: from a file (--message), or as sendmail's input. */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/mail/draft.h"
#include "base/clock.h"
#include "base/text.h"
#include "smtp/fields_parse.h"
#include "smtp/message.h"

enum { HEADER_MAX = 1 << 20 };

struct header {
    struct slice text;           /* the header section, as it came, and what follows as far as it was read */
    struct slice rest;           /* of it: the body */
    bool from, date, id, resent; /* which fields it has */
    struct slice utf8;           /* the name of the first field beyond ASCII */
};

/* What cannot be mended without changing what it says. */
static err_t check_scan(const struct mime_scan *s)
{
    if (s->cr > s->crlf)
        return fault(E_DATA, "the message holds a CR without LF, which servers would take for different things");
    if (s->nul) /* RFC 5322 section 4 */
        return fault(E_DATA, "the message holds a NUL byte");
    if (s->longest > MIME_LINE_MAX)
        return fault(E_DATA, "line %" PRIu64 " of the message is longer than %d bytes", s->bad_line, MIME_LINE_MAX);
    return NULL;
}

/* The beginning of the content, long enough to hold any header, in memory. */
static err_t read_head(struct mail_draft *d, const struct mime_content *c, struct slice *head)
{
    size_t n = c->size < HEADER_MAX ? (size_t)c->size : HEADER_MAX;
    if (c->fd < 0) {
        *head = slice_first(c->bytes, n);
        return NULL;
    }
    char *p = arena_new(&d->arena, n + 1, 1);
    if (!p)
        return E_NO_MEMORY;
    if (pread(c->fd, p, n, 0) != (ssize_t)n)
        return fault(E_IO, "reading the message");
    *head = slice_of(p, n);
    return NULL;
}

/* A field that would be refused as an option is refused here too, by its name. */
static err_t check_field(const struct smtp_field *f)
{
    char name[100];
    struct slice raw = f->raw, line;
    text_safe(f->name, name, sizeof name);
    if (slice_ends(raw, S("\n")))
        raw.n--;
    while (slice_cut(&raw, '\n', &line)) {
        if (slice_ends(line, S("\r")))
            line.n--;
        TRY(header_value_check(line, name));
        if (line.n > MIME_LINE_MAX)
            return fault(E_DATA, "%s: a line is longer than %d bytes", name, MIME_LINE_MAX);
    }
    return NULL;
}

static err_t look(struct header *h)
{
    struct smtp_field f;
    struct slice rest = h->text;
    while (smtp_field_next(&rest, &f)) {
        TRY(check_field(&f));
        if (!h->utf8.n && !smtp_is_ascii(f.raw))
            h->utf8 = f.name;
        h->from |= slice_eq_case(f.name, S("From"));
        h->date |= slice_eq_case(f.name, S("Date"));
        h->id |= slice_eq_case(f.name, S("Message-ID"));
        h->resent |= slice_eq_case(f.name, S("Resent-To")) || slice_eq_case(f.name, S("Resent-Cc")) ||
                     slice_eq_case(f.name, S("Resent-Bcc"));
    }
    h->rest = rest;
    return NULL;
}

static bool is_bcc(struct slice name)
{
    return slice_eq_case(name, S("Bcc")) || slice_eq_case(name, S("Resent-Bcc"));
}

/* Does this field name recipients? Where there are Resent fields, they alone do (RFC 5322 section 3.6.6). */
static bool names_rcpts(struct slice name, bool resent)
{
    if (resent && !slice_starts_case(name, S("Resent-")))
        return false;
    struct slice plain = resent ? slice_from(name, 7) : name;
    return slice_eq_case(plain, S("To")) || slice_eq_case(plain, S("Cc")) || slice_eq_case(plain, S("Bcc"));
}

static err_t take_addresses(struct mail_draft *d, const struct smtp_field *f, struct smtp_mailboxes *list)
{
    char name[64];
    struct slice value = smtp_field_unfold(&d->arena, f->value);
    if (!value.p)
        return E_NO_MEMORY;
    if (!slice_to_z(f->name, name, sizeof name))
        return E_DATA;
    return smtp_mailboxes_parse(&d->arena, value, name, list);
}

static err_t check_rcpts(const struct smtp_mailboxes *list, const char *field)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->v[i].kind == SMTP_MAILBOX)
            TRY(smtp_address_check(list->v[i].address, field));
    return NULL;
}

static err_t header_rcpts(struct mail_draft *d, const struct header *h)
{
    struct smtp_mailboxes list = {0};
    struct smtp_field f;
    struct slice rest = h->text;
    while (smtp_field_next(&rest, &f))
        if (names_rcpts(f.name, h->resent))
            TRY(take_addresses(d, &f, &list));
    TRY(check_rcpts(&list, "the header"));
    return mail_draft_add_rcpts(d, list.v, list.n);
}

/* --envelope-from, --from, or the message's own Sender or From. */
static err_t find_sender(const struct mail_options *o, struct mail_draft *d, const struct header *h)
{
    const char *given = o->envelope_from ? o->envelope_from : o->from;
    if (given && (!*given || strcmp(given, "<>") == 0))
        return NULL;
    if (given) {
        TRY(smtp_clean_check(slice_z(given), "the sender"));
        TRY(smtp_mailbox_parse(&d->arena, slice_z(given), "the sender", &d->sender));
        return smtp_address_check(d->sender.address, "the sender");
    }
    struct smtp_mailboxes list = {0};
    struct smtp_field f;
    struct slice rest = h->text;
    while (smtp_field_next(&rest, &f)) {
        bool sender = slice_eq_case(f.name, S("Sender"));
        if (sender)
            list.n = 0;
        if (sender || (slice_eq_case(f.name, S("From")) && list.n == 0))
            TRY(take_addresses(d, &f, &list));
        if (sender)
            break;
    }
    for (size_t i = 0; i < list.n; i++)
        if (list.v[i].kind == SMTP_MAILBOX) {
            d->sender = list.v[i];
            return smtp_address_check(d->sender.address, "From");
        }
    return fault(E_USAGE, "the message has no From, and --envelope-from is missing");
}

/* ---- the header as it goes out ---- */

/* Lines as they came, but for their ends, which become CRLF. */
static err_t add_crlf(struct buf *b, struct slice raw)
{
    struct slice line;
    if (slice_ends(raw, S("\n")))
        raw.n--;
    while (slice_cut(&raw, '\n', &line)) {
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        TRY(buf_add(b, line));
        TRY(buf_add(b, S("\r\n")));
    }
    return NULL;
}

/* What a message must have (RFC 5322 section 3.6) and sendmail adds. */
static err_t add_missing(struct buf *b, const struct mail_options *o, struct mail_draft *d, const struct header *h)
{
    int64_t now = clock_wall() / TICK_S;
    struct slice id;
    if (!h->date)
        TRY(header_date(b, "Date", now, mail_date_offset(now)));
    if (!h->from) {
        struct smtp_mailbox m = d->sender;
        m.display = slice_z(o->full_name);
        TRY(header_mailboxes(b, "From", &m, 1, false));
    }
    if (!h->id) {
        TRY(mail_message_id(d, NULL, &id));
        TRY(buf_format(b, "Message-ID: <%.*s>\r\n", SLICE_ARG(id)));
    }
    return NULL;
}

/* sendmail's callers write what their locale has into a header: it is encoded (RFC 2047), so that any server takes
   it. A field with a grammar of its own stays, and needs SMTPUTF8. */
static err_t add_encoded(struct buf *b, struct mail_draft *d, const struct smtp_field *f)
{
    char name[100];
    struct slice value = smtp_field_unfold(&d->arena, f->value);
    struct smtp_mailboxes list = {0};
    if (!value.p)
        return E_NO_MEMORY;
    if (!slice_to_z(f->name, name, sizeof name) || slice_starts_case(f->name, S("Content-")))
        return add_crlf(b, f->raw);
    if (!mime_is_address_field(f->name))
        return header_text(b, name, value, false);
    TRY(smtp_mailboxes_parse(&d->arena, value, name, &list));
    return header_mailboxes(b, name, list.v, list.n, false);
}

static err_t write_header(struct buf *b, const struct mail_options *o, struct mail_draft *d, const struct header *h)
{
    struct smtp_field f;
    struct slice rest = h->text;
    if (o->complete)
        TRY(add_missing(b, o, d, h));
    while (smtp_field_next(&rest, &f))
        if (!is_bcc(f.name))
            TRY(o->complete && !smtp_is_ascii(f.raw) ? add_encoded(b, d, &f) : add_crlf(b, f.raw));
    return buf_add(b, S("\r\n"));
}

static err_t add_header(struct mail_draft *d, const struct mail_options *o, const struct header *h)
{
    AUTO(buf_free) struct buf b = {0};
    TRY(write_header(&b, o, d, h));
    d->ready.utf8 = !smtp_is_ascii(buf_slice(&b));
    d->utf8_field = h->utf8;
    struct slice s = arena_copy(&d->arena, buf_slice(&b));
    struct mime_piece p = {.content = {s, -1, s.n, 0}, .literal = true, .size = s.n};
    return s.p ? mime_add(&d->arena, &d->ready, &p) : E_NO_MEMORY;
}

static err_t add_body(struct mail_draft *d, const struct mime_content *c, const struct header *h)
{
    struct mime_content body = *c;
    struct mime_scan scan;
    uint64_t skip = (uint64_t)(h->rest.p - h->text.p);
    body.from = c->from + skip;
    body.size = c->size - skip;
    if (c->fd < 0)
        body.bytes = slice_from(c->bytes, (size_t)skip);
    TRY(content_scan(&body, &scan));
    d->ready.eightbit = scan.eightbit > 0;
    struct mime_encoder e = {.how = MIME_8BIT, .lf = scan.lf > scan.crlf, .mixed = true};
    struct mime_piece p = {.content = body, .encoder = e};
    mime_encoded_size(&e, &scan, &p.size);
    TRY(mime_add(&d->arena, &d->ready, &p));
    if (mime_scan_final_break(&scan))
        return NULL;
    struct mime_piece end = {.content = {S("\r\n"), -1, 2, 0}, .literal = true, .size = 2};
    return mime_add(&d->arena, &d->ready, &end);
}

/* A mailbox file's "From " line is no field. */
static void skip_from_line(struct mime_content *c, struct slice *head)
{
    size_t lf = slice_find(*head, '\n', 0);
    if (!slice_starts(*head, S("From ")) || lf == SIZE_MAX)
        return;
    *head = slice_from(*head, lf + 1);
    c->size -= lf + 1;
    if (c->fd < 0)
        c->bytes = slice_from(c->bytes, lf + 1);
    else
        c->from = lf + 1;
}

static err_t envelope(const struct mail_options *o, struct mail_draft *d, const struct header *h)
{
    const struct mail_list *const lists[] = {&o->to, &o->cc, &o->bcc, &o->rcpts};
    TRY(find_sender(o, d, h));
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (size_t k = 0; k < lists[i]->n; k++) {
            struct smtp_mailboxes list = {0};
            TRY(smtp_clean_check(slice_z(lists[i]->v[k]), "a recipient"));
            TRY(smtp_mailboxes_parse(&d->arena, slice_z(lists[i]->v[k]), "a recipient", &list));
            TRY(check_rcpts(&list, "a recipient"));
            TRY(mail_draft_add_rcpts(d, list.v, list.n));
        }
    return o->from_headers ? header_rcpts(d, h) : NULL;
}

err_t mail_ready_open(const struct mail_options *o, struct mail_draft *d)
{
    struct mime_content c;
    struct mime_scan scan;
    struct header h = {0};
    TRY(content_open(o->message, &d->arena, &d->files, &c));
    TRY(read_head(d, &c, &h.text));
    skip_from_line(&c, &h.text);
    TRY(look(&h));
    TRY(content_scan(&c, &scan));
    TRY(check_scan(&scan));
    if (h.rest.n == 0 && c.size > HEADER_MAX)
        return fault(E_DATA, "the message's header is longer than %d bytes", HEADER_MAX);
    TRY(envelope(o, d, &h));
    TRY(add_header(d, o, &h));
    TRY(add_body(d, &c, &h));
    d->ready.eightbit |= d->ready.utf8;
    return NULL;
}
