/* SPDX-License-Identifier: MIT */
/*
 * send.h -- messages over one connection, each with its own outcome.
 *
 * The caller hands out drafts one after another and hears what became of each, in order. A few are on their way at
 * once where the server takes pipelined commands; a connection that breaks is opened again for those that were not
 * begun. What is not known to have arrived is reported as failed: a message is never sent twice here.
 */
#pragma once

#include "app/mail/account.h"
#include "app/mail/draft.h"

enum mail_fate { MAIL_ACCEPTED, MAIL_REFUSED, MAIL_DEFERRED };

struct mail_result {   /* of one message */
    err_t err;         /* NULL: everybody was accepted; E_PARTLY; E_REJECTED, E_DEFERRED; or what broke */
    const char *why;   /* with err: the fault note */
    const char *words; /* with err: the note and what it means, for people */
    const char *reply; /* the server's last word when it took the message: "250 2.0.0 Ok: queued as 4711" */
};

struct mail_source {
    /* The next draft, opened, or NULL at the end. */
    struct mail_draft *(*next)(void *arg);
    void (*done)(void *arg, struct mail_draft *, const struct mail_result *);
    void *arg;
    size_t window; /* how many may be on their way at once, at least 1, at most MAIL_WINDOW */
};
enum { MAIL_WINDOW = 16 };

/* The first error that was not a message's own (connecting, logging in), else NULL. Every draft was reported. */
MUST err_t mail_send(struct mail_link *, const struct mail_source *, tick until);

/* What became of recipient `i`, and the words for it. */
enum mail_fate mail_fate_of(const struct mail_draft *, size_t i, const struct mail_result *, const char **words);
