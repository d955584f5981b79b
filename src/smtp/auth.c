/* SPDX-License-Identifier: MIT */
#include "smtp/auth.h"

#include <gsasl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "net/tls.h"
#include "rt/fiber.h"
#include "rt/loop.h"
#include "wire/trace.h"

/* Best first: those that show nothing, bound to the TLS channel or not; then those that show all. */
static const struct mechanism {
    const char *name;
    bool shows, plus, token;
} mechanisms[] = {
    {"SCRAM-SHA-256-PLUS", false, true, false},
    {"SCRAM-SHA-1-PLUS", false, true, false},
    {"SCRAM-SHA-256", false, false, false},
    {"SCRAM-SHA-1", false, false, false},
    {"CRAM-MD5", false, false, false},
    {"PLAIN", true, false, false},
    {"LOGIN", true, false, false},
    {"OAUTHBEARER", true, false, true},
    {"XOAUTH2", true, false, true},
};
enum { MECHANISMS = sizeof mechanisms / sizeof *mechanisms, STEPS_MAX = 8 };

static _Thread_local Gsasl *context; /* made at the first use on a loop, gone with it */
static _Thread_local struct loop_end context_end;

static const struct mechanism *find(const char *name)
{
    for (size_t i = 0; i < MECHANISMS; i++)
        if (strcmp(mechanisms[i].name, name) == 0)
            return &mechanisms[i];
    return NULL;
}

bool smtp_mechanism_known(const char *name)
{
    return find(name) != NULL;
}

static void context_done(struct loop_end *end)
{
    (void)end;
    gsasl_done(context);
    context = NULL;
}

static int server_callback(Gsasl *, Gsasl_session *, Gsasl_property);

static err_t need_context(void)
{
    if (context)
        return NULL;
    if (FOREIGN(gsasl_init(&context)) != GSASL_OK) {
        context = NULL;
        return E_NO_MEMORY;
    }
    gsasl_callback_set(context, server_callback);
    context_end.run = context_done;
    loop_at_end(&context_end);
    return NULL;
}

/* ---- client ---- */

/* One AUTH command and what follows; the lines are masked in a trace. Wipes what it wrote. */
static err_t secret_exchange(struct smtp_session *s, struct smtp_reply *r, tick until)
{
    trace_secret(s->stream, true);
    size_t n = s->out.n;
    err_t e = smtp_exchange(s, "AUTH", r, until);
    trace_secret(s->stream, false);
    if (s->out.p && n <= s->out.cap)
        explicit_bzero(s->out.p, n);
    return e;
}

static err_t denied(struct smtp_session *s, const char *mechanism, const struct smtp_reply *r)
{
    char text[180];
    smtp_reply_text(r, text, sizeof text);
    /* 454: temporary authentication failure (RFC 4954 section 6). */
    return fault(r->code / 100 == 4 ? E_DEFERRED : E_AUTH, "%s: AUTH %s answered '%s'", s->host, mechanism, text);
}

/* The challenge of a 334 reply as a C string. */
static err_t challenge_of(const struct smtp_reply *r, struct buf *out)
{
    struct slice rest = r->raw, line = SLICE_NONE;
    out->n = 0;
    if (!smtp_reply_line(&rest, &line))
        return E_PROTO;
    TRY(buf_add(out, slice_trim(line)));
    return buf_add_char(out, 0);
}

/* RFC 7628 section 3.1, and what Google and Microsoft had before. */
static err_t token_login(struct smtp_session *s, const struct smtp_login *l, const struct mechanism *m,
                         struct smtp_reply *r, tick until)
{
    AUTO(buf_free) struct buf plain = {0}, coded = {0};
    TRY(smtp_clean_check(slice_z(l->user), "--user"));
    TRY(smtp_clean_check(slice_z(l->secret), "the token"));
    if (strcmp(m->name, "XOAUTH2") == 0)
        TRY(buf_format(&plain, "user=%s\001auth=Bearer %s\001\001", l->user, l->secret));
    else
        TRY(buf_format(&plain, "n,a=%s,\001host=%s\001port=%u\001auth=Bearer %s\001\001", l->user, s->host, l->port,
                       l->secret));
    err_t e = text_base64_add(&coded, buf_slice(&plain));
    if (!e)
        e = buf_add_char(&coded, 0);
    if (!e)
        e = smtp_format_auth(&s->out, m->name, coded.p);
    if (!e)
        e = secret_exchange(s, r, until);
    explicit_bzero(plain.p, plain.n);
    if (coded.p)
        explicit_bzero(coded.p, coded.n);
    if (!e && r->code == 334) { /* the reason is in the challenge; an empty answer ends it */
        TRY(smtp_format_line(&s->out, strcmp(m->name, "XOAUTH2") == 0 ? S("") : S("AQ==")));
        e = smtp_exchange(s, "AUTH", r, until);
    }
    return e;
}

static err_t bind_channel(struct smtp_session *s, Gsasl_session *g)
{
    uint8_t raw[128];
    const char *type;
    size_t n;
    AUTO(buf_free) struct buf coded = {0};
    TRY(tls_channel_binding(s->stream, &type, raw, sizeof raw, &n));
    TRY(text_base64_add(&coded, slice_of(raw, n)));
    TRY(buf_add_char(&coded, 0));
    bool exporter = strcmp(type, "tls-exporter") == 0;
    int rc = FOREIGN(gsasl_property_set(g, exporter ? GSASL_CB_TLS_EXPORTER : GSASL_CB_TLS_UNIQUE, coded.p));
    return rc == GSASL_OK ? NULL : E_NO_MEMORY;
}

static err_t sasl_failed(const struct smtp_session *s, const char *mechanism, int rc)
{
    return fault(E_AUTH, "%s: AUTH %s: %s", s->host, mechanism, gsasl_strerror(rc));
}

/* Step by step until the server says 235 and the mechanism is content with what it proved. */
static err_t sasl_dialogue(struct smtp_session *s, Gsasl_session *g, const char *name, struct smtp_reply *r, tick until)
{
    AUTO(buf_free) struct buf challenge = {0};
    /* LOGIN and CRAM-MD5 wait for a challenge; the others begin (RFC 4954 section 4, initial response). */
    bool begins = strcmp(name, "LOGIN") != 0 && strcmp(name, "CRAM-MD5") != 0;
    char *answer = NULL;
    int rc = GSASL_NEEDS_MORE;
    if (begins)
        rc = FOREIGN(gsasl_step64(g, "", &answer));
    if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE)
        return sasl_failed(s, name, rc);
    err_t e = smtp_format_auth(&s->out, name, begins ? answer : NULL);
    gsasl_free(answer);
    for (int step = 0; !e && step < STEPS_MAX; step++) {
        e = secret_exchange(s, r, until);
        if (e || r->code != 334)
            break;
        e = challenge_of(r, &challenge);
        answer = NULL;
        rc = e ? GSASL_OK : FOREIGN(gsasl_step64(g, challenge.p, &answer));
        bool bad = rc != GSASL_OK && rc != GSASL_NEEDS_MORE;
        if (!e) /* "*" cancels (RFC 4954 section 4) */
            e = smtp_format_line(&s->out, bad ? S("*") : slice_z(answer));
        gsasl_free(answer);
        if (bad && !e) {
            TRY(smtp_exchange(s, "AUTH", r, until));
            return sasl_failed(s, name, rc);
        }
    }
    if (!e && r->code == 235 && rc == GSASL_NEEDS_MORE && strncmp(name, "SCRAM", 5) == 0)
        return fault(E_AUTH, "%s: AUTH %s: the server did not prove that it knows the password", s->host, name);
    return e;
}

static err_t sasl_login(struct smtp_session *s, const struct smtp_login *l, const struct mechanism *m,
                        struct smtp_reply *r, tick until)
{
    Gsasl_session *g;
    TRY(need_context());
    int rc = FOREIGN(gsasl_client_start(context, m->name, &g));
    if (rc != GSASL_OK)
        return sasl_failed(s, m->name, rc);
    const struct {
        Gsasl_property what;
        const char *value;
    } given[] = {{GSASL_AUTHID, l->user},
                 {GSASL_PASSWORD, l->secret},
                 {GSASL_AUTHZID, l->authzid},
                 {GSASL_SERVICE, "smtp"},
                 {GSASL_HOSTNAME, s->host}};
    for (size_t i = 0; i < sizeof given / sizeof *given && rc == GSASL_OK; i++)
        if (given[i].value)
            rc = FOREIGN(gsasl_property_set(g, given[i].what, given[i].value));
    err_t e = rc == GSASL_OK ? NULL : E_NO_MEMORY;
    if (!e && m->plus)
        e = bind_channel(s, g);
    if (!e)
        e = sasl_dialogue(s, g, m->name, r, until);
    gsasl_finish(g);
    return e;
}

/* May this one be used here at all? */
static bool usable(const struct smtp_session *s, const struct smtp_login *l, const struct mechanism *m)
{
    if (!smtp_caps_mechanism(&s->caps, m->name) || (m->plus && !s->secure))
        return false;
    if (m->shows && !s->secure && !l->clear_ok)
        return false;
    return l->mechanism ? strcmp(l->mechanism, m->name) == 0 : !m->token;
}

static err_t nothing_usable(const struct smtp_session *s, const struct smtp_login *l)
{
    if (!s->caps.auth)
        return fault(E_AUTH, "%s: the server offers no AUTH%s", s->host,
                     s->secure ? "" : " on a connection without TLS");
    if (l->mechanism && !smtp_caps_mechanism(&s->caps, l->mechanism))
        return fault(E_AUTH, "%s: the server offers AUTH%sbut not %s", s->host, s->caps.mechanisms, l->mechanism);
    return fault(E_AUTH, "%s: of AUTH%snothing keeps the password safe without TLS", s->host, s->caps.mechanisms);
}

err_t smtp_login(struct smtp_session *s, const struct smtp_login *l, const char **used, tick until)
{
    struct smtp_reply r = {0};
    const char *tried = NULL;
    for (size_t i = 0; i < MECHANISMS; i++) {
        const struct mechanism *m = &mechanisms[i];
        if (!usable(s, l, m))
            continue;
        tried = m->name;
        TRY(m->token ? token_login(s, l, m, &r, until) : sasl_login(s, l, m, &r, until));
        if (r.code == 235) {
            *used = m->name;
            return NULL;
        }
        /* 504: not that mechanism after all (RFC 4954 section 4). Anything else is about the credentials, and trying
           on could lock an account. */
        if (r.code != 504 || s->closing)
            break;
    }
    return tried ? denied(s, tried, &r) : nothing_usable(s, l);
}

/* ---- server ---- */

struct smtp_auth_server {
    const struct smtp_auth_users *users;
    Gsasl_session *g;
    char user[256];
};

/* What a mechanism wants to know or have checked. */
static int server_callback(Gsasl *ctx, Gsasl_session *g, Gsasl_property what)
{
    (void)ctx;
    struct smtp_auth_server *a = gsasl_session_hook_get(g);
    if (!a)
        return GSASL_NO_CALLBACK;
    const char *user = gsasl_property_fast(g, GSASL_AUTHID);
    const char *password = user ? a->users->password(a->users->arg, user) : NULL;
    bool exporter = a->users->binding_type && strcmp(a->users->binding_type, "tls-exporter") == 0;
    if (user)
        snprintf(a->user, sizeof a->user, "%s", user);
    switch (what) {
    case GSASL_PASSWORD:
        return password ? gsasl_property_set(g, what, password) : GSASL_NO_PASSWORD;
    case GSASL_VALIDATE_SIMPLE: {
        const char *given = gsasl_property_fast(g, GSASL_PASSWORD);
        return password && given && slice_eq_secret(slice_z(password), slice_z(given)) ? GSASL_OK
                                                                                       : GSASL_AUTHENTICATION_ERROR;
    }
    case GSASL_SERVICE:
        return gsasl_property_set(g, what, "smtp");
    case GSASL_HOSTNAME:
        return gsasl_property_set(g, what, a->users->host);
    case GSASL_CB_TLS_EXPORTER:
        return exporter ? gsasl_property_set(g, what, a->users->binding_base64) : GSASL_NO_CALLBACK;
    case GSASL_CB_TLS_UNIQUE:
        return a->users->binding_type && !exporter ? gsasl_property_set(g, what, a->users->binding_base64)
                                                   : GSASL_NO_CALLBACK;
    default:
        return GSASL_NO_CALLBACK;
    }
}

err_t smtp_auth_server_new(const struct smtp_auth_users *users, const char *mechanism, struct smtp_auth_server **out)
{
    TRY(need_context());
    const struct mechanism *m = find(mechanism);
    if (!m || m->token)
        return E_UNSUPPORTED;
    struct smtp_auth_server *a = calloc(1, sizeof *a);
    if (!a)
        return E_NO_MEMORY;
    a->users = users;
    if (FOREIGN(gsasl_server_start(context, mechanism, &a->g)) != GSASL_OK) {
        free(a);
        return E_UNSUPPORTED;
    }
    gsasl_session_hook_set(a->g, a);
    *out = a;
    return NULL;
}

err_t smtp_auth_server_step(struct smtp_auth_server *a, const char *input, struct buf *output, bool *done)
{
    char *answer = NULL;
    int rc = FOREIGN(gsasl_step64(a->g, input, &answer));
    *done = rc == GSASL_OK;
    err_t e = rc == GSASL_BASE64_ERROR                   ? E_DATA
              : rc != GSASL_OK && rc != GSASL_NEEDS_MORE ? E_AUTH
              : answer                                   ? buf_add(output, slice_z(answer))
                                                         : NULL;
    gsasl_free(answer);
    return e;
}

const char *smtp_auth_server_user(const struct smtp_auth_server *a)
{
    return a->user;
}

void smtp_auth_server_free(struct smtp_auth_server *a)
{
    if (!a)
        return;
    gsasl_finish(a->g);
    free(a);
}
