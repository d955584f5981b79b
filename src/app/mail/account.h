/* SPDX-License-Identifier: MIT */
/*
 * account.h -- how to reach the submission server, and a connection to it that is ready for mail.
 *
 * The TLS policy is here and nowhere else: port 465 means TLS from the first byte; elsewhere STARTTLS is used when it
 * is offered, and required as soon as a password or a server that is not on loopback is involved. Options say
 * otherwise. The password is fetched when the server has been reached and its certificate believed, not before.
 */
#pragma once

#include "smtp/session.h"

struct trace_sink;

enum mail_tls { MAIL_TLS_AUTO, MAIL_TLS_STARTTLS, MAIL_TLS_IMPLICIT, MAIL_TLS_NONE };
enum { MAIL_STEP_MS = 300 * 1000, MAIL_END_MS = 600 * 1000 /* RFC 5321 section 4.5.3.2 */ };

struct mail_account {
    const char *server; /* HOST[:PORT], [IPV6]:PORT */
    enum mail_tls tls;
    const char *ca, *ehlo, *user, *password_file, *password_command, *auth, *keylog;
    bool insecure;
    int64_t timeout; /* ns for each step; 0: the times above */
    struct trace_sink *trace;
};
struct mail_link {
    const struct mail_account *account;
    struct smtp_session session;
    struct tls *tls; /* kept for the next connection */
    char host[256], ehlo[256];
    uint16_t port;
    bool open, loopback;
    const char *mechanism; /* of the login, or NULL */
    char *secret;          /* kept for the next connection; wiped */
};

/* Fill in host and port. E_USAGE. */
MUST err_t mail_link_init(struct mail_link *, const struct mail_account *);
/* Connect, greet, TLS, log in. */
MUST err_t mail_link_open(struct mail_link *, tick until);
void mail_link_close(struct mail_link *, tick until); /* QUIT where that still makes sense */
void mail_link_done(struct mail_link *);

/* The first line of --password-file, of what --password-command prints, or what is typed on the terminal; to be
   freed. E_USAGE, E_NOT_FOUND, E_AUTH. */
MUST err_t mail_password(const struct mail_account *, const char *host, char **out);
