/* SPDX-License-Identifier: MIT */
#include "app/mail/account.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/dial.h"
#include "net/idn.h"
#include "net/tls.h"
#include "rt/io.h"
#include "rt/loop.h"
#include "smtp/auth.h"
#include "wire/trace.h"

/* ---- where to ---- */

/* "HOST", "HOST:PORT", "[V6]:PORT", a bare IPv6 address. */
static err_t split_server(const char *server, struct slice *host, uint64_t *port)
{
    struct slice s = slice_z(server), rest;
    size_t close = slice_find(s, ']', 0), colon;
    if (s.n && s.p[0] == '[' && close != SIZE_MAX) {
        *host = slice_of(s.p + 1, close - 1);
        rest = slice_from(s, close + 1);
    } else {
        colon = slice_find(s, ':', 0);
        bool many = colon != SIZE_MAX && slice_find(s, ':', colon + 1) != SIZE_MAX;
        *host = many ? s : slice_first(s, colon);
        rest = many || colon == SIZE_MAX ? SLICE_NONE : slice_from(s, colon);
    }
    bool good = rest.n == 0 || (rest.p[0] == ':' && slice_u64(slice_from(rest, 1), port) && *port > 0 && *port < 65536);
    return good && host->n ? NULL : fault(E_USAGE, "--server: '%s' is not HOST[:PORT]", server);
}

err_t mail_link_init(struct mail_link *l, const struct mail_account *a)
{
    struct slice host, ascii;
    uint64_t port = a->tls == MAIL_TLS_IMPLICIT ? 465 : 587;
    *l = (struct mail_link){.account = a};
    if (!a->server)
        return fault(E_USAGE, "--server is missing (or 'server =' in l7.conf)");
    TRY(split_server(a->server, &host, &port));
    struct arena names = {0};
    err_t e = idn_to_ascii(&names, host, &ascii);
    if (!e && !slice_to_z(ascii, l->host, sizeof l->host))
        e = fault(E_USAGE, "--server: the host name is too long");
    arena_reset(&names);
    TRY(e);
    l->port = (uint16_t)port;
    if (a->auth && !smtp_mechanism_known(a->auth))
        return fault(E_USAGE,
                     "--auth: '%s' is not known (auto, PLAIN, LOGIN, CRAM-MD5, SCRAM-SHA-1, SCRAM-SHA-256, "
                     "-PLUS, XOAUTH2, OAUTHBEARER)",
                     a->auth);
    return NULL;
}

/* The name to say hello with: ours when it is a full one, else the address that the server sees (RFC 5321 section
   4.1.3). */
static void choose_ehlo(struct mail_link *l, int fd)
{
    struct addr local = {.len = sizeof local.v6};
    char text[ADDR_TEXT];
    if (l->account->ehlo) {
        snprintf(l->ehlo, sizeof l->ehlo, "%s", l->account->ehlo);
        return;
    }
    bool named = gethostname(l->ehlo, sizeof l->ehlo) == 0 && strchr(l->ehlo, '.') &&
                 smtp_clean_check(slice_z(l->ehlo), "") == NULL;
    if (named)
        return;
    snprintf(l->ehlo, sizeof l->ehlo, "[127.0.0.1]");
    if (getsockname(fd, &local.sa, &local.len) == 0 &&
        (local.sa.sa_family == AF_INET || local.sa.sa_family == AF_INET6))
        snprintf(l->ehlo, sizeof l->ehlo, local.sa.sa_family == AF_INET ? "[%s]" : "[IPv6:%s]",
                 addr_text_host(&local, text));
}

/* ---- TLS ---- */

static err_t need_tls(struct mail_link *l)
{
    const struct mail_account *a = l->account;
    if (l->tls)
        return NULL;
    return tls_client_new(&(struct tls_client_options){.ca_file = a->ca, .insecure = a->insecure, .keylog = a->keylog},
                          &l->tls);
}

static enum mail_tls policy(const struct mail_link *l)
{
    return l->account->tls == MAIL_TLS_AUTO && l->port == 465 ? MAIL_TLS_IMPLICIT : l->account->tls;
}

/* Must the connection be encrypted before anything else is said? */
static bool must_encrypt(const struct mail_link *l)
{
    enum mail_tls p = policy(l);
    return p != MAIL_TLS_NONE && (p != MAIL_TLS_AUTO || l->account->user || !l->loopback);
}

static err_t not_offered(const struct mail_link *l)
{
    const char *why = policy(l) != MAIL_TLS_AUTO ? "which --starttls asks for"
                      : l->account->user         ? "and a password is not sent without encryption"
                                                 : "and the server is not on this machine";
    return fault(E_INSECURE, "%s: the server does not offer STARTTLS, %s (--no-tls to do without)", l->host, why);
}

static err_t secure(struct mail_link *l, tick until)
{
    struct smtp_session *s = &l->session;
    if (s->secure || policy(l) == MAIL_TLS_NONE)
        return NULL;
    if (!s->caps.starttls)
        return must_encrypt(l) ? not_offered(l) : NULL;
    TRY(need_tls(l));
    TRY(smtp_starttls(s, l->tls, until));
    return smtp_hello(s, l->ehlo, until);
}

/* ---- opening ---- */

/* Stream on stream: TCP, TLS when it comes first, the trace on top. */
static err_t build(struct mail_link *l, int fd, tick until)
{
    const struct mail_account *a = l->account;
    bool implicit = policy(l) == MAIL_TLS_IMPLICIT;
    int64_t step = a->timeout ? a->timeout / TICK_MS : MAIL_STEP_MS;
    struct stream *stream;
    err_t e = implicit ? need_tls(l) : NULL;
    if (e) {
        io_close(fd);
        return e;
    }
    TRY(stream_tcp(fd, &stream));
    if (implicit)
        TRY(stream_tls_client(stream, l->tls, slice_z(l->host), &stream, smtp_deadline(step, until)));
    stream = stream_trace(stream, a->trace, 'C', TRACE_LINES);
    smtp_session_open(&l->session, stream, l->host, step, a->timeout ? step : MAIL_END_MS);
    l->session.secure = implicit;
    l->open = true;
    return NULL;
}

static err_t login(struct mail_link *l, tick until)
{
    const struct mail_account *a = l->account;
    if (!a->user)
        return NULL;
    if (!l->session.caps.auth)
        return fault(E_AUTH, "%s: the server offers no AUTH%s", l->host, l->session.secure ? "" : " without TLS");
    if (!l->secret)
        TRY(mail_password(a, l->host, &l->secret));
    bool clear_ok = policy(l) == MAIL_TLS_NONE && l->loopback;
    struct smtp_login in = {a->user, NULL, l->secret, a->auth, clear_ok, l->port};
    return smtp_login(&l->session, &in, &l->mechanism, until);
}

static err_t open_steps(struct mail_link *l, tick until)
{
    struct smtp_session *s = &l->session;
    TRY(smtp_greeting(s, until));
    TRY(smtp_hello(s, l->ehlo, until));
    TRY(secure(l, until));
    return login(l, until);
}

err_t mail_link_open(struct mail_link *l, tick until)
{
    struct addr peer;
    int fd;
    int64_t step = l->account->timeout ? l->account->timeout / TICK_MS : MAIL_STEP_MS;
    tick connected = smtp_deadline(step, until);
    TRY(dial(slice_z(l->host), l->port, NULL, &fd, &peer, NULL, connected));
    l->loopback = addr_is_loopback(&peer);
    choose_ehlo(l, fd);
    TRY(build(l, fd, until));
    err_t e = open_steps(l, until);
    if (e) { /* the note must survive the goodbye */
        char why[256];
        snprintf(why, sizeof why, "%s", fault_detail());
        mail_link_close(l, until);
        return *why ? fault(e, "%s", why) : e;
    }
    return NULL;
}

void mail_link_close(struct mail_link *l, tick until)
{
    if (!l->open)
        return;
    smtp_quit(&l->session, until);
    smtp_session_close(&l->session);
    l->open = false;
}

void mail_link_done(struct mail_link *l)
{
    mail_link_close(l, 0);
    tls_unref(l->tls);
    l->tls = NULL;
    if (l->secret)
        explicit_bzero(l->secret, strlen(l->secret));
    free(l->secret);
    l->secret = NULL;
}
