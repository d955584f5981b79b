/* SPDX-License-Identifier: MIT */
/* server_auth.c -- AUTH on the server's side (RFC 4954), for users of a file. */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "net/tls.h"
#include "smtp/auth.h"
#include "smtp/server.h"

static bool shows_password(const char *name)
{
    return strcmp(name, "PLAIN") == 0 || strcmp(name, "LOGIN") == 0 || strcmp(name, "XOAUTH2") == 0 ||
           strcmp(name, "OAUTHBEARER") == 0;
}

/* Where TLS can be had, a password in the clear is not taken without it. */
static bool acceptable(const struct smtp_server *s, const char *name)
{
    size_t n = strlen(name);
    if (shows_password(name) && s->conf->tls && !s->secure)
        return false;
    return s->secure || n < 5 || strcmp(name + n - 5, "-PLUS") != 0;
}

const char *smtp_server_mechanisms(const struct smtp_server *s, char *out, size_t cap)
{
    const char *all = s->conf->mechanisms
                          ? s->conf->mechanisms
                          : "SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 CRAM-MD5 PLAIN "
                            "LOGIN OAUTHBEARER XOAUTH2";
    struct slice rest = slice_z(all), word;
    size_t at = 0;
    out[0] = 0;
    if (!s->conf->password || s->conf->hide & SMTP_HIDE_AUTH)
        return out;
    while (slice_cut(&rest, ' ', &word)) {
        char name[40];
        if (slice_to_z(word, name, sizeof name) && *name && acceptable(s, name) && at + word.n + 2 < cap)
            at += (size_t)snprintf(out + at, cap - at, " %s", name);
    }
    return out;
}

/* The client's next line; "*" gives up. */
static err_t client_line(struct smtp_server *s, char *out, size_t cap, const char **no)
{
    struct slice line;
    TRY(smtp_server_line(s, &line, no));
    if (*no)
        return NULL;
    if (slice_eq(line, S("*")))
        *no = "501 5.7.0 Authentication given up";
    else if (!slice_to_z(line, out, cap))
        *no = "500 5.5.6 The answer is too long";
    return NULL;
}

/* "user=NAME^Aauth=Bearer TOKEN^A^A" and RFC 7628's "n,a=NAME,^A...auth=Bearer TOKEN^A^A". */
static bool token_fits(struct smtp_server *s, const char *coded)
{
    AUTO(buf_free) struct buf plain = {0};
    char user[256], token[512];
    if (text_base64_decode(slice_z(coded), &plain))
        return false;
    struct slice all = buf_slice(&plain), part, name = SLICE_NONE, bearer = SLICE_NONE;
    if (slice_starts(all, S("n,a=")))
        name = slice_first(slice_from(all, 4), slice_find(slice_from(all, 4), ',', 0));
    while (slice_cut(&all, 1, &part)) {
        if (slice_starts(part, S("user=")))
            name = slice_from(part, 5);
        if (slice_starts_case(part, S("auth=Bearer ")))
            bearer = slice_from(part, 12);
    }
    if (!slice_to_z(name, user, sizeof user) || !slice_to_z(bearer, token, sizeof token) || !*token)
        return false;
    const char *want = s->conf->password(s->conf->password_arg, user);
    if (!want || !slice_eq_secret(slice_z(want), bearer))
        return false;
    snprintf(s->user, sizeof s->user, "%s", user);
    return true;
}

static err_t token_auth(struct smtp_server *s, char *line, size_t cap, bool have)
{
    const char *no = NULL;
    if (!have) {
        TRY(smtp_server_reply(s, "334 "));
        TRY(client_line(s, line, cap, &no));
    }
    if (!no && token_fits(s, line))
        return smtp_server_reply(s, "235 2.7.0 Welcome, %s", s->user);
    if (no)
        return smtp_server_reply(s, "%s", no);
    TRY(smtp_server_reply(s, "334 eyJzdGF0dXMiOiI0MDEifQ==")); /* {"status":"401"}, RFC 7628 section 3.2.2 */
    TRY(client_line(s, line, cap, &no));
    return smtp_server_reply(s, "535 5.7.8 Wrong user or token");
}

static err_t steps(struct smtp_server *s, struct smtp_auth_server *a, char *line, size_t cap, bool have)
{
    AUTO(buf_free) struct buf challenge = {0};
    const char *no = NULL;
    bool done = false;
    for (bool first = true; !no; first = false) {
        const char *input = first && !have ? "" : line;
        challenge.n = 0;
        err_t e = smtp_auth_server_step(a, input, &challenge, &done);
        if (e == E_DATA)
            return smtp_server_reply(s, "501 5.5.2 Not base64");
        if (e == E_AUTH)
            return smtp_server_reply(s, "535 5.7.8 Wrong user or password");
        TRY(e);
        if (done && challenge.n == 0)
            break;
        TRY(smtp_server_reply(s, "334 %.*s", SLICE_ARG(buf_slice(&challenge))));
        TRY(client_line(s, line, cap, &no));
        if (done) /* the last word was the server's proof; the client's answer is empty */
            break;
    }
    if (no)
        return smtp_server_reply(s, "%s", no);
    snprintf(s->user, sizeof s->user, "%s", smtp_auth_server_user(a));
    return smtp_server_reply(s, "235 2.7.0 Welcome, %s", s->user);
}

static err_t sasl_auth(struct smtp_server *s, const char *name, char *line, size_t cap, bool have)
{
    AUTO(buf_free) struct buf binding = {0};
    struct smtp_auth_users users = {s->conf->password, s->conf->password_arg, s->conf->name, NULL, NULL};
    struct smtp_auth_server *a;
    uint8_t raw[128];
    size_t n;
    if (s->secure && !tls_channel_binding(s->stream, &users.binding_type, raw, sizeof raw, &n)) {
        TRY(text_base64_add(&binding, slice_of(raw, n)));
        TRY(buf_add_char(&binding, 0));
        users.binding_base64 = binding.p;
    }
    err_t e = smtp_auth_server_new(&users, name, &a);
    if (e == E_UNSUPPORTED)
        return smtp_server_reply(s, "504 5.5.4 Mechanism not known");
    TRY(e);
    if (have && strcmp(name, "LOGIN") == 0) { /* the user's name came unasked, as smtplib sends it */
        bool done;
        binding.n = 0;
        e = smtp_auth_server_step(a, "", &binding, &done);
    }
    e = e ? e : steps(s, a, line, cap, have);
    smtp_auth_server_free(a);
    return e;
}

static bool offered(const struct smtp_server *s, const char *name)
{
    char words[256];
    struct slice rest = slice_z(smtp_server_mechanisms(s, words, sizeof words)), word;
    while (slice_cut(&rest, ' ', &word))
        if (slice_eq(word, slice_z(name)))
            return true;
    return false;
}

err_t smtp_server_auth(struct smtp_server *s, const struct smtp_request *r)
{
    char name[24];
    if (!s->conf->password || s->conf->hide & SMTP_HIDE_AUTH)
        return smtp_server_reply(s, "502 5.5.1 AUTH is not offered");
    if (!s->greeted || !s->esmtp || s->in_mail || *s->user)
        return smtp_server_reply(s, *s->user ? "503 5.5.1 Authenticated already" : "503 5.5.1 Not now");
    if (!slice_to_z(r->mechanism, name, sizeof name))
        return smtp_server_reply(s, "504 5.5.4 Mechanism not known");
    for (char *p = name; *p; p++)
        *p = ascii_upper(*p);
    if (!acceptable(s, name))
        return smtp_server_reply(s, "538 5.7.11 Encryption is required for %s", name);
    if (!offered(s, name))
        return smtp_server_reply(s, "504 5.5.4 Mechanism not offered");
    char *line = calloc(1, SMTP_SERVER_LINE);
    if (!line)
        return E_NO_MEMORY;
    bool have = r->initial.p != NULL;
    if (have && !slice_eq(r->initial, S("=")))
        memcpy(line, r->initial.p, r->initial.n);
    bool token = strcmp(name, "XOAUTH2") == 0 || strcmp(name, "OAUTHBEARER") == 0;
    err_t e = token ? token_auth(s, line, SMTP_SERVER_LINE, have) : sasl_auth(s, name, line, SMTP_SERVER_LINE, have);
    explicit_bzero(line, SMTP_SERVER_LINE);
    free(line);
    return e;
}
