/* SPDX-License-Identifier: MIT */
/*
 * address.h -- lists of mail addresses as people and header fields write them (RFC 5322 section 3.4, RFC 6532).
 *
 *     "Zoë (sales)" <zoe@example.org>, bob@example.org, Friends: a@b.example, c@d.example;
 *
 * Comments and folding white space are understood anywhere; obsolete routes are dropped; a dot in an unquoted
 * display name is allowed, since everybody writes one. Addresses come out in their plain form: no comments, and
 * quotes around the local part only where it needs them.
 */
#pragma once

#include "base/arena.h"

enum smtp_mailbox_kind { SMTP_MAILBOX, SMTP_GROUP_START, SMTP_GROUP_END };

struct smtp_mailbox {
    enum smtp_mailbox_kind kind;
    struct slice display; /* of the mailbox or the group, without quotes; empty when there is none */
    struct slice address; /* "local@domain", or a bare local part; empty for group marks */
    size_t local_len;     /* of the part before '@' */
};
struct smtp_mailboxes {
    struct smtp_mailbox *v;
    size_t n, cap;
};

enum { SMTP_MAILBOXES_MAX = 100000, SMTP_COMMENT_DEPTH = 16 };

/* Add all addresses of `text` to the list; memory comes from the arena. `field` ("--to", "Cc") goes into the fault
   note. E_DATA. */
MUST err_t smtp_mailboxes_parse(struct arena *, struct slice text, const char *field, struct smtp_mailboxes *);
/* The same for a place that takes exactly one mailbox. */
MUST err_t smtp_mailbox_parse(struct arena *, struct slice text, const char *field, struct smtp_mailbox *);

static inline struct slice smtp_local(struct slice address, size_t local_len)
{
    return slice_first(address, local_len);
}
static inline struct slice smtp_domain(const struct smtp_mailbox *m)
{
    return slice_from(m->address, m->local_len + 1);
}

bool smtp_is_atext(char c); /* RFC 5322 section 3.2.3 with RFC 6532: letters of atoms, and every byte above 127 */
bool smtp_is_ascii(struct slice);
