/* SPDX-License-Identifier: MIT */
#include "app/mail/draft.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/random.h"
#include "base/table.h"
#include "base/text.h"
#include "net/idn.h"
#include "smtp/idn.h"
#include "smtp/message.h"

enum { ARENA_CAP = 256 << 20 };

/* ---- envelope ---- */

static err_t check_mailboxes(const struct smtp_mailboxes *l, const char *field)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].kind == SMTP_MAILBOX)
            TRY(smtp_address_check(l->v[i].address, field));
    return NULL;
}

static err_t add_list(struct mail_draft *d, const struct mail_list *list, const char *field, struct smtp_mailboxes *out)
{
    for (size_t i = 0; i < list->n; i++) {
        struct slice text = slice_z(list->v[i]);
        TRY(smtp_clean_check(text, field));
        TRY(smtp_mailboxes_parse(&d->arena, text, field, out));
    }
    return check_mailboxes(out, field);
}

/* Bits that no other message has; they need not be hard to guess, so one seed a thread is enough. */
static uint64_t unique(void)
{
    static _Thread_local struct prng prng;
    static _Thread_local bool seeded;
    if (!seeded)
        prng_seed(&prng, random_u64());
    seeded = true;
    return prng_u64(&prng);
}

struct seen {
    struct table_link link;
    struct slice address;
};

static bool is_seen(struct table *t, struct slice address, uint64_t hash)
{
    for (struct table_link *l = table_first(t, hash); l; l = table_next(l, hash))
        if (slice_eq(LIST_ENTRY(l, struct seen, link)->address, address))
            return true;
    return false;
}

/* Each address once, whichever fields name it, in order. */
static err_t drop_doubles(struct mail_draft *d)
{
    struct table t;
    size_t kept = 0;
    if (d->rcpts.n < 2)
        return NULL;
    TRY(table_init(&t, d->rcpts.n));
    err_t e = NULL;
    for (size_t i = 0; i < d->rcpts.n && !e; i++) {
        struct smtp_mailbox m = d->rcpts.v[i];
        uint64_t hash = slice_hash(m.address, t.seed);
        if (is_seen(&t, m.address, hash))
            continue;
        struct seen *s = ARENA_NEW(&d->arena, struct seen);
        if (!s) {
            e = E_NO_MEMORY;
            break;
        }
        s->address = m.address;
        table_add(&t, &s->link, hash);
        d->rcpts.v[kept++] = m;
    }
    d->rcpts.n = kept;
    table_done(&t);
    return e;
}

err_t mail_draft_add_rcpts(struct mail_draft *d, const struct smtp_mailbox *v, size_t n)
{
    size_t cap = d->rcpts.n + n;
    struct smtp_mailbox *all = ARENA_ARRAY(&d->arena, struct smtp_mailbox, cap ? cap : 1);
    if (!all)
        return E_NO_MEMORY;
    for (size_t i = 0; i < d->rcpts.n; i++)
        all[i] = d->rcpts.v[i];
    for (size_t i = 0; i < n; i++)
        if (v[i].kind == SMTP_MAILBOX)
            all[d->rcpts.n++] = v[i];
    d->rcpts.v = all, d->rcpts.cap = cap;
    return NULL;
}

static err_t notify_mask(const char *words, unsigned *mask)
{
    static const char *const names[] = {"never", "success", "failure", "delay"};
    struct slice rest = slice_z(words), word;
    while (slice_cut(&rest, ',', &word)) {
        unsigned bit = 0;
        for (unsigned i = 0; i < 4; i++)
            bit |= slice_eq_case(word, slice_z(names[i])) ? 1u << i : 0;
        if (!bit)
            return fault(E_USAGE, "--dsn-notify: '%.*s' is none of success, failure, delay, never", SLICE_ARG(word));
        *mask |= bit;
    }
    if (*mask & SMTP_NOTIFY_NEVER && *mask != SMTP_NOTIFY_NEVER)
        return fault(E_USAGE, "--dsn-notify: never stands alone");
    return NULL;
}

/* ---- what is made here unless it is given ---- */

err_t mail_message_id(struct mail_draft *d, const char *given, struct slice *out)
{
    if (given) {
        struct slice s = slice_z(given);
        bool bracketed = s.n > 2 && s.p[0] == '<' && s.p[s.n - 1] == '>';
        *out = bracketed ? slice_of(s.p + 1, s.n - 2) : s;
        return s.n ? NULL : fault(E_USAGE, "--message-id: empty");
    }
    struct slice domain = smtp_domain(&d->sender), ascii = S("localhost");
    if (d->sender.address.n > d->sender.local_len + 1 && domain.p[0] != '[')
        TRY(idn_to_ascii(&d->arena, domain, &ascii));
    *out = arena_format(&d->arena, "%" PRIx64 ".%016" PRIx64 "@%.*s", (uint64_t)(clock_wall() / TICK_MS), unique(),
                        SLICE_ARG(ascii));
    return out->p ? NULL : E_NO_MEMORY;
}

int mail_date_offset(int64_t unix_seconds)
{
    time_t t = (time_t)unix_seconds;
    struct tm tm;
    return localtime_r(&t, &tm) ? (int)(tm.tm_gmtoff / 60) : 0;
}

static err_t set_date(const struct mail_options *o, struct mime_letter *l)
{
    uint64_t seconds = 0;
    if (o->date && (o->date[0] != '@' || !slice_u64(slice_z(o->date + 1), &seconds) || seconds > 253402300799))
        return fault(E_USAGE, "--date: '%s' is not @SECONDS since 1970", o->date);
    l->date = o->date ? (int64_t)seconds : clock_wall() / TICK_S;
    l->date_offset = o->date ? 0 : mail_date_offset(l->date);
    return NULL;
}

static err_t set_boundary(const struct mail_options *o, struct mail_draft *d)
{
    struct slice s = slice_z(o->boundary);
    for (size_t i = 0; i < s.n; i++)
        if (!ascii_alpha(s.p[i]) && !ascii_digit(s.p[i]) && !strchr("'()+_,-./:=", s.p[i]))
            return fault(E_USAGE, "--boundary: '%s' holds more than letters, digits and '()+_,-./:=", o->boundary);
    if (s.n > 60)
        return fault(E_USAGE, "--boundary: longer than 60");
    /* "=_" cannot stand in quoted-printable or base64 (RFC 2045 section 6.7). */
    d->letter.boundary = s.n ? s : arena_format(&d->arena, "=_%016" PRIx64, unique());
    return d->letter.boundary.p ? NULL : E_NO_MEMORY;
}

static err_t set_fields(const struct mail_options *o, struct mail_draft *d)
{
    struct mime_field *v = ARENA_ARRAY(&d->arena, struct mime_field, o->headers.n ? o->headers.n : 1);
    if (!v)
        return E_NO_MEMORY;
    for (size_t i = 0; i < o->headers.n; i++) {
        struct slice text = slice_z(o->headers.v[i]);
        size_t colon = slice_find(text, ':', 0);
        char shown[80];
        text_safe(text, shown, sizeof shown);
        if (colon == SIZE_MAX)
            return fault(E_USAGE, "--header: '%s' is not 'Name: value'", shown);
        v[i] = (struct mime_field){slice_first(text, colon), slice_trim(slice_from(text, colon + 1))};
    }
    d->letter.fields = v;
    d->letter.field_count = o->headers.n;
    return NULL;
}

/* ---- opening ---- */

static err_t set_sender(const struct mail_options *o, struct mail_draft *d)
{
    d->sender = d->letter.from;
    if (o->envelope_from && (!*o->envelope_from || strcmp(o->envelope_from, "<>") == 0)) {
        d->sender = (struct smtp_mailbox){0};
        return NULL;
    }
    if (o->envelope_from) {
        TRY(smtp_clean_check(slice_z(o->envelope_from), "--envelope-from"));
        TRY(smtp_mailbox_parse(&d->arena, slice_z(o->envelope_from), "--envelope-from", &d->sender));
    }
    return smtp_address_check(d->sender.address, o->envelope_from ? "--envelope-from" : "--from");
}

static err_t compose(const struct mail_options *o, struct mail_draft *d)
{
    struct mime_letter *l = &d->letter;
    struct smtp_mailboxes hidden = {0};
    if (!o->from)
        return fault(E_USAGE, "--from is missing");
    TRY(smtp_clean_check(slice_z(o->from), "--from"));
    TRY(smtp_mailbox_parse(&d->arena, slice_z(o->from), "--from", &l->from));
    TRY(smtp_address_check(l->from.address, "--from"));
    TRY(add_list(d, &o->to, "--to", &l->to));
    TRY(add_list(d, &o->cc, "--cc", &l->cc));
    TRY(add_list(d, &o->bcc, "--bcc", &hidden));
    TRY(mail_draft_add_rcpts(d, l->to.v, l->to.n));
    TRY(mail_draft_add_rcpts(d, l->cc.v, l->cc.n));
    TRY(mail_draft_add_rcpts(d, hidden.v, hidden.n));
    TRY(set_sender(o, d));
    l->subject = slice_z(o->subject);
    l->has_subject = o->subject != NULL;
    TRY(set_fields(o, d));
    TRY(set_date(o, l));
    TRY(set_boundary(o, d));
    TRY(mail_message_id(d, o->message_id, &l->message_id));
    return mail_parts_open(o, d);
}

err_t mail_draft_open(const struct mail_options *o, struct mail_draft *d)
{
    *d = (struct mail_draft){.arena.cap = ARENA_CAP, .wire.cap = ARENA_CAP};
    d->is_ready = o->message != NULL;
    TRY(d->is_ready ? mail_ready_open(o, d) : compose(o, d));
    TRY(drop_doubles(d));
    if (d->rcpts.n == 0)
        return fault(E_USAGE, "there is no recipient (--to, --cc, --bcc)");
    if (o->dsn_notify)
        TRY(notify_mask(o->dsn_notify, &d->notify));
    d->ret = (enum smtp_ret)o->dsn_ret;
    d->envid = slice_z(o->dsn_envid);
    return smtp_clean_check(d->envid, "--dsn-envid");
}

void mail_draft_close(struct mail_draft *d)
{
    content_files_close(&d->files);
    arena_reset(&d->wire);
    arena_reset(&d->arena);
}

/* ---- fitting ---- */

static bool needs_utf8(const struct smtp_mailbox *m)
{
    return !smtp_is_ascii(smtp_local(m->address, m->local_len));
}

/* The first address whose local part is beyond ASCII, or NULL. */
static const struct smtp_mailbox *utf8_mailbox(const struct mail_draft *d)
{
    if (needs_utf8(&d->sender))
        return &d->sender;
    if (!d->is_ready && needs_utf8(&d->letter.from))
        return &d->letter.from;
    for (size_t i = 0; i < d->rcpts.n; i++)
        if (needs_utf8(&d->rcpts.v[i]))
            return &d->rcpts.v[i];
    return NULL;
}

/* Domains of all addresses in their ASCII form. */
static err_t ascii_domains(struct mail_draft *d, struct smtp_mailbox *v, size_t n, struct smtp_mailbox **out)
{
    struct smtp_mailbox *copy = ARENA_ARRAY(&d->wire, struct smtp_mailbox, n ? n : 1);
    if (!copy)
        return E_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        copy[i] = v[i];
        if (v[i].kind == SMTP_MAILBOX && v[i].address.n)
            TRY(smtp_idn_address(&d->wire, v[i].address, v[i].local_len, &copy[i].address));
    }
    *out = copy;
    return NULL;
}

static err_t fit_message(struct mail_draft *d, const struct smtp_caps *caps, bool utf8)
{
    if (d->is_ready) {
        d->message = d->ready;
        return NULL;
    }
    struct mime_letter l = d->letter;
    struct smtp_mailbox *one;
    l.utf8 = utf8;
    l.allow_8bit = caps && (caps->eightbit || utf8);
    if (!utf8) {
        TRY(ascii_domains(d, &l.from, 1, &one));
        l.from = *one;
        TRY(ascii_domains(d, l.to.v, l.to.n, &l.to.v));
        TRY(ascii_domains(d, l.cc.v, l.cc.n, &l.cc.v));
    }
    TRY(mime_format(&l, &d->wire, &d->message));
    return message_measure(&d->message);
}

static err_t fit_envelope(struct mail_draft *d, const struct smtp_caps *caps, bool utf8)
{
    struct smtp_transaction *t = &d->transaction;
    struct smtp_mailbox *sender, *rcpts;
    bool dsn = caps && caps->dsn;
    *t = (struct smtp_transaction){.message = &d->message, .arena = &d->wire, .rcpt_count = d->rcpts.n};
    TRY(ascii_domains(d, &d->sender, 1, &sender));
    TRY(ascii_domains(d, d->rcpts.v, d->rcpts.n, &rcpts));
    t->mail.from = utf8 ? d->sender.address : sender->address;
    t->mail.smtputf8 = utf8;
    if (caps && caps->size)
        t->mail.size = d->message.size;
    if (caps && caps->eightbit && d->message.eightbit)
        t->mail.body = SMTP_BODY_8BITMIME;
    if (dsn) {
        t->mail.ret = d->ret;
        t->mail.envid = d->envid;
    }
    t->rcpts = ARENA_ARRAY(&d->wire, struct smtp_rcpt, d->rcpts.n);
    if (!t->rcpts)
        return E_NO_MEMORY;
    for (size_t i = 0; i < d->rcpts.n; i++)
        t->rcpts[i] = (struct smtp_rcpt){.address = utf8 ? d->rcpts.v[i].address : rcpts[i].address,
                                         .notify = dsn ? d->notify : 0};
    return NULL;
}

static err_t check_fit(const struct mail_draft *d, const struct smtp_caps *caps, const char *host)
{
    char a[32], b[32];
    if (caps->max_size && d->message.size > caps->max_size)
        return fault(E_TOO_LARGE, "%s takes messages of up to %s, and this one has %s", host,
                     text_size_human(caps->max_size, a), text_size_human(d->message.size, b));
    if (d->is_ready && d->message.eightbit && !caps->eightbit)
        return fault(E_UNSUPPORTED, "%s does not offer 8BITMIME, and the message holds bytes beyond ASCII", host);
    return NULL;
}

err_t mail_draft_fit(struct mail_draft *d, const struct smtp_caps *caps, const char *host)
{
    const struct smtp_mailbox *odd = utf8_mailbox(d);
    if (odd && caps && !caps->smtputf8)
        return fault(E_UNSUPPORTED, "%s does not offer SMTPUTF8, which the address '%.*s' needs", host,
                     SLICE_ARG(odd->address));
    if (d->ready.utf8 && caps && !caps->smtputf8)
        return fault(E_UNSUPPORTED, "%s does not offer SMTPUTF8, which the message's field %.*s needs", host,
                     SLICE_ARG(d->utf8_field));
    bool utf8 = odd || d->ready.utf8;
    arena_reset(&d->wire);
    TRY(fit_message(d, caps, utf8));
    TRY(fit_envelope(d, caps, utf8));
    return caps ? check_fit(d, caps, host) : NULL;
}
