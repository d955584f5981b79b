/* SPDX-License-Identifier: MIT */
#include "app/mail/sink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "app/mail/maildir.h"
#include "base/json.h"
#include "base/stat.h"
#include "base/text.h"
#include "net/tls.h"
#include "rt/io.h"
#include "rt/loop.h"
#include "smtp/header_format.h"

struct mail_user {
    struct mail_user *next;
    char *name, *password;
};

static _Thread_local uint64_t open_here; /* connections of this worker */
static _Thread_local struct scope here;  /* every sink fiber of this worker, */
static _Thread_local bool here_open;     /* from the first start on */

/* ---- users ---- */

static const char *password_of(void *arg, const char *user)
{
    const struct mail_sink *k = arg;
    for (const struct mail_user *u = k->user_list; u; u = u->next)
        if (strcmp(u->name, user) == 0)
            return u->password;
    return NULL;
}

/* "user:password" a line; '#' begins a comment. */
static err_t add_user(struct mail_sink *k, char *line, unsigned number)
{
    line[strcspn(line, "\r\n")] = 0;
    char *colon = strchr(line, ':');
    if (!*line || *line == '#')
        return NULL;
    if (!colon || colon == line)
        return fault(E_CONFIG, "%s:%u: a line is user:password", k->users, number);
    struct mail_user *u = calloc(1, sizeof *u);
    if (!u)
        return E_NO_MEMORY;
    u->name = strndup(line, (size_t)(colon - line));
    u->password = strdup(colon + 1);
    u->next = k->user_list;
    k->user_list = u;
    return u->name && u->password ? NULL : E_NO_MEMORY;
}

static err_t read_users(struct mail_sink *k)
{
    FILE *f = fopen(k->users, "re");
    if (!f)
        return fault(err_errno(errno), "--users %s", k->users);
    char *line = NULL;
    size_t cap = 0;
    err_t e = NULL;
    for (unsigned number = 1; !e && getline(&line, &cap, f) > 0; number++)
        e = add_user(k, line, number);
    free(line);
    fclose(f);
    k->server.password = password_of;
    k->server.password_arg = k;
    return e;
}

/* ---- delivery ---- */

/* What the final delivery adds (RFC 5321 section 4.4), and who it was for. */
static err_t add_trace_fields(struct maildir_message *m, const struct smtp_server *s)
{
    AUTO(buf_free) struct buf b = {0};
    char date[80];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    TRY(buf_format(&b, "Return-Path: <%.*s>\n", SLICE_ARG(s->env.from)));
    for (size_t i = 0; i < s->env.count; i++)
        TRY(buf_format(&b, "Delivered-To: %.*s\n", SLICE_ARG(s->env.rcpts[i])));
    const char *with = s->env.mail.smtputf8 ? "UTF8SMTP" : s->esmtp ? "ESMTP" : "SMTP"; /* RFC 3848, RFC 6531 */
    TRY(buf_format(&b, "Received: from %s (%s)\n\tby %s with %s%s%s;\n\t%s\n", s->hello, s->peer, s->conf->name, with,
                   s->esmtp && s->secure ? "S" : "", s->esmtp && *s->user ? "A" : "",
                   header_date_text(now.tv_sec, 0, date)));
    return maildir_add(m, buf_slice(&b));
}

static err_t begin(void *arg, const struct smtp_server *s, void **delivery)
{
    struct mail_sink *k = arg;
    struct maildir_message *m;
    TRY(maildir_begin(k->box, &m));
    err_t e = add_trace_fields(m, s);
    if (e)
        maildir_discard(m);
    else
        *delivery = m;
    return e;
}

static err_t add(void *delivery, struct slice s)
{
    return maildir_add(delivery, s);
}

static err_t commit(void *delivery, char id[64], tick until)
{
    return maildir_commit(delivery, id, until);
}

static void discard(void *delivery)
{
    maildir_discard(delivery);
}

/* ---- a line a message ---- */

static err_t text_line(struct buf *b, const struct smtp_server *s, uint64_t size, const char *id)
{
    TRY(buf_format(b, "<"));
    TRY(text_safe_add(b, s->env.from));
    TRY(buf_format(b, ">"));
    for (size_t i = 0; i < s->env.count; i++) {
        TRY(buf_format(b, i ? " <" : " -> <"));
        TRY(text_safe_add(b, s->env.rcpts[i]));
        TRY(buf_format(b, ">"));
    }
    TRY(buf_format(b, " %llu bytes%s", (unsigned long long)size, s->secure ? ", TLS" : ""));
    if (*s->user) {
        TRY(buf_format(b, ", user "));
        TRY(text_safe_add(b, slice_z(s->user)));
    }
    return buf_format(b, "%s%s\n", *id ? ", " : "", id);
}

static err_t json_line(struct buf *b, const struct smtp_server *s, uint64_t size, const char *id)
{
    struct json j = json_start(b);
    json_open(&j, '{');
    json_key(&j, "peer"), json_string(&j, slice_z(s->peer));
    json_key(&j, "from"), json_string(&j, s->env.from);
    json_key(&j, "to"), json_open(&j, '[');
    for (size_t i = 0; i < s->env.count; i++)
        json_string(&j, s->env.rcpts[i]);
    json_close(&j, ']');
    json_key(&j, "bytes"), json_uint(&j, size);
    json_key(&j, "tls"), json_bool(&j, s->secure);
    json_key(&j, "user"), json_string(&j, slice_z(s->user));
    json_key(&j, "smtputf8"), json_bool(&j, s->env.mail.smtputf8);
    json_key(&j, "body"), json_string(&j, s->env.mail.body == SMTP_BODY_8BITMIME ? S("8BITMIME") : S("7BIT"));
    json_key(&j, "envid"), json_string(&j, s->env.mail.envid);
    json_key(&j, "id"), json_string(&j, slice_z(id));
    json_close(&j, '}');
    return json_end_line(&j);
}

static void done(void *arg, const struct smtp_server *s, uint64_t size, const char *id)
{
    const struct mail_sink *k = arg;
    AUTO(buf_free) struct buf b = {0};
    stat_add(STAT_MAIL_RECEIVED, 1);
    if (k->quiet || (k->json ? json_line : text_line)(&b, s, size, id))
        return;
    fwrite(b.p, 1, b.n, stdout); /* one call a line: threads do not mix */
    fflush(stdout);
}

/* ---- connections ---- */

struct visit {
    struct mail_sink *sink;
    int fd;
    struct addr peer;
};

static void serve(void *arg)
{
    struct visit *v = arg;
    struct mail_sink *k = v->sink;
    char peer[ADDR_TEXT];
    struct stream *stream;
    addr_text(&v->peer, peer);
    err_t e = stream_tcp(v->fd, &stream);
    if (!e && k->tls_first)
        e = stream_tls_server(stream, k->tls, &stream, after(k->server.idle_ms));
    if (!e)
        smtp_serve(&k->server, stream, peer, k->tls_first);
    free(v);
    open_here--;
    stat_add(STAT_CONNECTIONS_OPEN, -1);
}

static void welcome(struct mail_sink *k, int fd, const struct addr *peer)
{
    bool room = k->max_connections == 0 || open_here < k->max_connections;
    struct visit *v = room ? malloc(sizeof *v) : NULL;
    stat_add(STAT_CONNECTIONS_ACCEPTED, 1);
    if (v) {
        *v = (struct visit){k, fd, *peer};
        if (!scope_spawn(&here, "sink", serve, v)) {
            open_here++;
            stat_add(STAT_CONNECTIONS_OPEN, 1);
            return;
        }
    }
    free(v);
    stat_add(STAT_CONNECTIONS_REFUSED, 1);
    io_close(fd);
}

struct door {
    struct mail_sink *sink;
    int fd;
};

static void accept_fiber(void *arg)
{
    struct door d = *(struct door *)arg;
    free(arg);
    for (;;) {
        struct addr peer;
        int fd;
        err_t e = io_accept(d.fd, &fd, &peer, TICK_NEVER);
        if (e == E_CANCELED)
            return;
        if (!e)
            welcome(d.sink, fd, &peer);
        else if (fiber_sleep(after(50))) /* out of descriptors: some client will leave */
            return;
    }
}

err_t mail_sink_start(struct mail_sink *k, int worker)
{
    if (!here_open)
        scope_open(&here);
    here_open = true;
    for (int i = 0; i < k->count; i++) {
        struct door *d = malloc(sizeof *d);
        if (!d)
            return E_NO_MEMORY;
        *d = (struct door){k, listen_fd(&k->points[i], worker)};
        err_t e = scope_spawn(&here, "sink accept", accept_fiber, d);
        if (e) {
            free(d);
            return e;
        }
    }
    return NULL;
}

void mail_sink_drain(void)
{
    if (here_open)
        scope_cancel(&here);
}

/* ---- set up ---- */

err_t mail_sink_open(struct mail_sink *k)
{
    if (k->users)
        TRY(read_users(k));
    k->server.tls = k->tls_first ? NULL : k->tls;
    k->server.hooks = (struct smtp_hooks){.done = done, .arg = k};
    if (!k->maildir)
        return NULL;
    TRY(maildir_open(k->maildir, &k->box));
    k->server.hooks = (struct smtp_hooks){begin, add, commit, discard, done, k};
    return NULL;
}

void mail_sink_close(struct mail_sink *k)
{
    while (k->user_list) {
        struct mail_user *u = k->user_list;
        k->user_list = u->next;
        free(u->name);
        free(u->password);
        free(u);
    }
    maildir_close(k->box);
    k->box = NULL;
}
