/* SPDX-License-Identifier: MIT */
/* mail.h -- what the roles of `l7 mail` share: options of a message and of an account, and what becomes of them. */
#pragma once

#include "app/mail/report.h"
#include "cmd/opt.h"

struct mail_conf {
    /* the server */
    const char *server, *ca, *ehlo, *user, *password_file, *password_command, *auth, *account;
    int tls; /* enum mail_tls */
    bool insecure;
    int64_t timeout; /* ns */
    const char *trace, *keylog;
    bool trace_secrets;
    /* the message */
    const char *from, *envelope_from, *subject, *body, *text, *html, *message, *date, *message_id, *boundary,
        *dsn_notify, *dsn_envid;
    struct opt_list to, cc, bcc, attach, inlines, headers;
    int dsn_ret;
    /* what to do with it */
    bool dry_run, json, quiet;
    const char *batch, *queue;
};

extern const struct opt mail_server_opts[], mail_message_opts[];

struct mail_options mail_options_of(const struct mail_conf *);
MUST err_t mail_account_of(const struct mail_conf *, struct mail_account *); /* opens the trace */
void mail_account_done(struct mail_account *);

/* Several messages from a file of JSON objects, one a line. */
MUST err_t mail_batch(const struct mail_conf *);
/* Send one, print what became of each recipient. */
MUST err_t mail_send_draft(const struct mail_conf *, struct mail_draft *);
/* Keep it in the queue of the configuration and try at once; NULL also when it has to wait there. */
MUST err_t mail_enqueue(const struct mail_conf *, struct mail_draft *);
