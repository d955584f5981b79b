/* SPDX-License-Identifier: MIT */
/*
 * draft.h -- from what the user asked for to a message with an envelope.
 *
 *     mail_draft_open   reads and checks everything; nothing has touched the network
 *     mail_draft_fit    formats it for what a server offers: 8BITMIME, SMTPUTF8, SIZE, DSN
 *     mail_draft_close
 *
 * A draft is opened once and can be fitted again for another connection.
 */
#pragma once

#include "app/mail/content.h"
#include "smtp/session.h"

struct mail_list {
    const char **v;
    size_t n;
};
struct mail_options {
    const char *from, *envelope_from, *subject, *body, *text, *html, *message; /* text: itself, not a file */
    struct mail_list to, cc, bcc, attach, inlines, headers;
    const char *date, *message_id, *boundary; /* NULL: now, and of this program's making */
    const char *dsn_notify, *dsn_envid;       /* "success,failure,delay" or "never" */
    int dsn_ret;                              /* enum smtp_ret */
    bool complete;                            /* add From, Date and Message-ID to a ready message that has none */
    bool from_headers;                        /* recipients from To, Cc and Bcc of a ready message */
    struct mail_list rcpts;                   /* addresses of the envelope alone (sendmail's arguments) */
    const char *full_name;                    /* of the sender, where the message has no From */
};

struct mail_draft {
    struct arena arena; /* of the draft */
    struct arena wire;  /* of what mail_draft_fit made; answers are kept here too */
    struct content_files files;
    struct mime_letter letter; /* not used for a ready message */
    struct mime_text text, html;
    struct mime_message ready; /* a ready message, checked */
    struct slice utf8_field;   /* of it: a field that is beyond ASCII, when ready.utf8 */
    bool is_ready;
    struct smtp_mailbox sender;  /* of the envelope; address empty: the null path */
    struct smtp_mailboxes rcpts; /* of the envelope, without doubles */
    unsigned notify;
    enum smtp_ret ret;
    struct slice envid;
    bool fitted;                 /* to the connection at hand */
    struct mime_message message; /* as fitted */
    struct smtp_transaction transaction;
};

/* E_USAGE, E_DATA and what content_open says. The draft must be closed also when this fails. */
MUST err_t mail_draft_open(const struct mail_options *, struct mail_draft *);
/* `caps` NULL: for nobody in particular (--dry-run). E_UNSUPPORTED: an address needs SMTPUTF8. E_TOO_LARGE: beyond
   the server's SIZE. */
MUST err_t mail_draft_fit(struct mail_draft *, const struct smtp_caps *, const char *host);
void mail_draft_close(struct mail_draft *);

/* -- between draft.c, draft_parts.c and ready.c -- */
MUST err_t mail_parts_open(const struct mail_options *, struct mail_draft *);
/* A ready message (RFC 5322): strip Bcc, take recipients and sender from its header where asked, check what
   cannot be sent as it is. */
MUST err_t mail_ready_open(const struct mail_options *, struct mail_draft *);
MUST err_t mail_draft_add_rcpts(struct mail_draft *, const struct smtp_mailbox *, size_t n);
/* `domain` of the sender, for Message-IDs. */
MUST err_t mail_message_id(struct mail_draft *, const char *given, struct slice *out);
int mail_date_offset(int64_t unix_seconds); /* minutes east of UTC */
