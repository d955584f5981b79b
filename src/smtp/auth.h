/* SPDX-License-Identifier: MIT */
/*
 * auth.h -- SMTP AUTH (RFC 4954) through GNU SASL, both sides; XOAUTH2 and OAUTHBEARER (RFC 7628) by hand, since
 * they are one message.
 *
 * Nothing of GNU SASL is touched before the first login. A mechanism that shows the password to the server (PLAIN,
 * LOGIN, the OAuth ones) is used only under TLS, or where the caller says that the wire is safe.
 */
#pragma once

#include "smtp/session.h"

struct smtp_login {
    const char *user, *authzid; /* authzid NULL: none */
    const char *secret;         /* password, or token */
    const char *mechanism;      /* upper case, or NULL: the best of what is offered */
    bool clear_ok;              /* PLAIN and LOGIN may go over a connection without TLS */
    uint16_t port;              /* for OAUTHBEARER */
};
/* E_AUTH: wrong credentials, nothing acceptable offered. `*used` names the mechanism that worked. */
MUST err_t smtp_login(struct smtp_session *, const struct smtp_login *, const char **used, tick until);

/* Mechanisms by name: is it known, does it show the secret? */
bool smtp_mechanism_known(const char *name);

/* ---- the server's side, for the sink ---- */
struct smtp_auth_users { /* asks for the password of a user; NULL: unknown */
    const char *(*password)(void *arg, const char *user);
    void *arg;
    const char *host;
    const char *binding_type; /* "tls-exporter", "tls-unique" or NULL */
    const char *binding_base64;
};
struct smtp_auth_server;
/* E_UNSUPPORTED: no such mechanism. */
MUST err_t smtp_auth_server_new(const struct smtp_auth_users *, const char *mechanism, struct smtp_auth_server **);
/* One step: `input` as it came (base64, "" for none); `output` gets the base64 challenge. `*done` when the client is
   who it says it is. E_AUTH: it is not. E_DATA: not base64. */
MUST err_t smtp_auth_server_step(struct smtp_auth_server *, const char *input, struct buf *output, bool *done);
const char *smtp_auth_server_user(const struct smtp_auth_server *);
void smtp_auth_server_free(struct smtp_auth_server *);
