/* SPDX-License-Identifier: MIT */
#include "cmd/mail.h"

#include <stdlib.h>
#include <unistd.h>

#include "cmd/oneshot.h"
#include "cmd/verb.h"
#include "smtp/message.h"
#include "wire/trace.h"

/* ---- options ---- */

static err_t set_starttls(void *conf, const char *value)
{
    (void)value;
    ((struct mail_conf *)conf)->tls = MAIL_TLS_STARTTLS;
    return NULL;
}

static err_t set_tls(void *conf, const char *value)
{
    (void)value;
    ((struct mail_conf *)conf)->tls = MAIL_TLS_IMPLICIT;
    return NULL;
}

static err_t set_no_tls(void *conf, const char *value)
{
    (void)value;
    ((struct mail_conf *)conf)->tls = MAIL_TLS_NONE;
    return NULL;
}

/* Mechanisms are written in capitals; "auto" is the absence of a wish. */
static err_t set_auth(void *conf, const char *value)
{
    static char name[32];
    size_t n = strlen(value);
    if (n >= sizeof name)
        return fault(E_USAGE, "'%s' is no mechanism", value);
    for (size_t i = 0; i <= n; i++)
        name[i] = ascii_upper(value[i]);
    ((struct mail_conf *)conf)->auth = strcmp(name, "AUTO") == 0 ? NULL : name;
    return NULL;
}

#define AT(field) offsetof(struct mail_conf, field)
#define TEXT(NAME, FIELD, ARG, HELP)                                                                                   \
    {                                                                                                                  \
        .name = NAME, .type = OPT_STRING, .offset = AT(FIELD), .arg = ARG, .help = HELP                                \
    }
#define LIST(NAME, FIELD, ARG, HELP)                                                                                   \
    {                                                                                                                  \
        .name = NAME, .type = OPT_LIST, .offset = AT(FIELD), .arg = ARG, .help = HELP                                  \
    }
#define FLAG(NAME, FIELD, HELP)                                                                                        \
    {                                                                                                                  \
        .name = NAME, .type = OPT_FLAG, .offset = AT(FIELD), .help = HELP                                              \
    }
#define CALL(NAME, FN, ARG, HELP)                                                                                      \
    {                                                                                                                  \
        .name = NAME, .type = OPT_CALL, .parse = FN, .arg = ARG, .help = HELP                                          \
    }

const struct opt mail_server_opts[] = {
    {.name = "the server", .type = OPT_HEADING, .help = "The server"},
    TEXT("account", account, "NAME", "the server of [mail account NAME] in l7.conf"),
    TEXT("server", server, "HOST[:PORT]", "submission server; port 587, 465 with --tls"),
    CALL("starttls", set_starttls, NULL, "TLS by STARTTLS or not at all"),
    CALL("tls", set_tls, NULL, "TLS from the first byte"),
    CALL("no-tls", set_no_tls, NULL,
         "no TLS; passwords then only go to this machine, or by a mechanism that hides them"),
    TEXT("ca", ca, "FILE", "trust these certificates (PEM) instead of the system's"),
    FLAG("insecure", insecure, "accept any certificate"),
    TEXT("user", user, "NAME", "log in"),
    TEXT("password-file", password_file, "FILE", "its first line is the password, or the OAuth token"),
    TEXT("password-command", password_command, "CMD", "what it prints is the password"),
    CALL("auth", set_auth, "MECH",
         "auto, PLAIN, LOGIN, CRAM-MD5, SCRAM-SHA-1, SCRAM-SHA-256 (-PLUS), XOAUTH2, OAUTHBEARER"),
    TEXT("ehlo", ehlo, "NAME", "say hello with this name"),
    {.name = "timeout",
     .type = OPT_DURATION,
     .offset = AT(timeout),
     .arg = "TIME",
     .help = "for each answer and each write (5m, 10m after a message)"},
    {.name = "trace",
     .type = OPT_OPTIONAL,
     .offset = AT(trace),
     .arg = "FILE",
     .help = "show the dialogue, secrets masked"},
    FLAG("trace-secrets", trace_secrets, "show them too"),
    TEXT("keylog", keylog, "FILE", "append TLS secrets, for Wireshark"),
    {NULL}};

const struct opt mail_message_opts[] = {
    {.name = "from",
     .letter = 'f',
     .type = OPT_STRING,
     .offset = AT(from),
     .arg = "ADDRESS",
     .help = "author: 'Ann <ann@example.org>'"},
    {.name = "to",
     .letter = 't',
     .type = OPT_LIST,
     .offset = AT(to),
     .arg = "ADDRESS",
     .help = "recipient, repeatable; also --cc, --bcc"},
    {.name = "cc", .type = OPT_LIST, .offset = AT(cc), .arg = "ADDRESS", .help = "copy", .hidden = true},
    {.name = "bcc", .type = OPT_LIST, .offset = AT(bcc), .arg = "ADDRESS", .help = "hidden copy", .hidden = true},
    {.name = "subject", .letter = 's', .type = OPT_STRING, .offset = AT(subject), .arg = "TEXT", .help = "subject"},
    {.name = "body",
     .letter = 'b',
     .type = OPT_STRING,
     .offset = AT(body),
     .arg = "FILE",
     .help = "text; - is the standard input"},
    TEXT("text", text, "TEXT", "text, itself"),
    TEXT("html", html, "FILE", "HTML, beside the text or alone"),
    {.name = "attach",
     .letter = 'a',
     .type = OPT_LIST,
     .offset = AT(attach),
     .arg = "FILE[:NAME]",
     .help = "attachment, repeatable"},
    LIST("inline", inlines, "FILE[:CID]", "picture that the HTML shows by cid:, repeatable"),
    {.name = "header",
     .letter = 'H',
     .type = OPT_LIST,
     .offset = AT(headers),
     .arg = "'NAME: TEXT'",
     .help = "one more header field, repeatable"},
    {.name = "message",
     .letter = 'm',
     .type = OPT_STRING,
     .offset = AT(message),
     .arg = "FILE",
     .help = "send a ready message (RFC 5322) instead"},
    TEXT("envelope-from", envelope_from, "ADDRESS", "where bounces go; '' for nowhere"),
    TEXT("dsn-notify", dsn_notify, "LIST", "ask for reports: success,failure,delay or never; --dsn-ret, --dsn-envid"),
    {.name = "dsn-ret",
     .type = OPT_CHOICE,
     .offset = AT(dsn_ret),
     .arg = "server|hdrs|full",
     .help = "what comes back",
     .hidden = true},
    {.name = "dsn-envid",
     .type = OPT_STRING,
     .offset = AT(dsn_envid),
     .arg = "ID",
     .help = "name of the message in reports",
     .hidden = true},
    TEXT("date", date, "@SECONDS", "instead of now; likewise --message-id, --boundary"),
    {.name = "message-id",
     .type = OPT_STRING,
     .offset = AT(message_id),
     .arg = "ID",
     .help = "Message-ID",
     .hidden = true},
    {.name = "boundary",
     .type = OPT_STRING,
     .offset = AT(boundary),
     .arg = "TEXT",
     .help = "between parts",
     .hidden = true},
    {.name = "dry-run",
     .letter = 'n',
     .type = OPT_FLAG,
     .offset = AT(dry_run),
     .help = "print the message, send nothing"},
    TEXT("batch", batch, "FILE", "many messages over one connection: a JSON object a line, keys = option names"),
    TEXT("queue", queue, "DIR", "keep the message there until the server took it"),
    FLAG("json", json, "a JSON object for each recipient"),
    {.name = "quiet", .letter = 'q', .type = OPT_FLAG, .offset = AT(quiet), .help = "print only what was not accepted"},
    {NULL}};

static struct mail_list list_of(const struct opt_list *l)
{
    return (struct mail_list){l->v, l->n};
}

struct mail_options mail_options_of(const struct mail_conf *c)
{
    return (struct mail_options){.from = c->from,
                                 .envelope_from = c->envelope_from,
                                 .subject = c->subject,
                                 .body = c->body,
                                 .text = c->text,
                                 .html = c->html,
                                 .message = c->message,
                                 .to = list_of(&c->to),
                                 .cc = list_of(&c->cc),
                                 .bcc = list_of(&c->bcc),
                                 .attach = list_of(&c->attach),
                                 .inlines = list_of(&c->inlines),
                                 .headers = list_of(&c->headers),
                                 .date = c->date,
                                 .message_id = c->message_id,
                                 .boundary = c->boundary,
                                 .dsn_notify = c->dsn_notify,
                                 .dsn_envid = c->dsn_envid,
                                 .dsn_ret = c->dsn_ret};
}

err_t mail_account_of(const struct mail_conf *c, struct mail_account *a)
{
    *a = (struct mail_account){.server = c->server,
                               .tls = (enum mail_tls)c->tls,
                               .ca = c->ca,
                               .ehlo = c->ehlo,
                               .user = c->user,
                               .password_file = c->password_file,
                               .password_command = c->password_command,
                               .auth = c->auth,
                               .keylog = c->keylog,
                               .insecure = c->insecure,
                               .timeout = c->timeout};
    if (c->insecure)
        fputs("l7 mail: warning: --insecure: whoever answers is believed\n", stderr);
    return c->trace ? trace_open(c->trace, c->trace_secrets, &a->trace) : NULL;
}

void mail_account_done(struct mail_account *a)
{
    if (a->trace)
        trace_close(a->trace);
}

/* ---- send ---- */

struct one { /* a single message, as a source */
    struct mail_draft *draft;
    bool given;
    struct mail_report *report;
    char why[400];
};

static struct mail_draft *one_next(void *arg)
{
    struct one *o = arg;
    if (o->given)
        return NULL;
    o->given = true;
    return o->draft;
}

static void one_done(void *arg, struct mail_draft *d, const struct mail_result *r)
{
    struct one *o = arg;
    mail_report_add(o->report, 1, d, r);
    snprintf(o->why, sizeof o->why, "%s", r->why ? r->why : "");
}

static err_t print_message(struct mail_draft *d)
{
    struct message_reader r;
    struct slice chunk;
    bool no_dots;
    err_t e;
    message_reader_start(&r, &d->message);
    while (!(e = message_reader_next(&r, &chunk, &no_dots)) && chunk.n)
        if (fwrite(chunk.p, 1, chunk.n, stdout) != chunk.n) {
            e = fault(E_IO, "writing to the standard output");
            break;
        }
    message_reader_done(&r);
    return e;
}

err_t mail_send_draft(const struct mail_conf *c, struct mail_draft *d)
{
    struct mail_account account;
    struct mail_link link = {0};
    struct mail_report report = {.out = stdout, .json = c->json, .quiet = c->quiet};
    struct one one = {.draft = d, .report = &report};
    TRY(mail_account_of(c, &account));
    err_t e = mail_link_init(&link, &account);
    if (!e)
        e = mail_send(&link, &(struct mail_source){one_next, one_done, &one, 1}, TICK_NEVER);
    mail_link_done(&link);
    mail_account_done(&account);
    if (e)
        return e;
    err_t sum = mail_report_sum(&report);
    return sum && sum != E_PARTLY ? fault(sum, "%s", one.why) : sum;
}

static err_t send_composed(const struct mail_conf *c)
{
    struct mail_options o = mail_options_of(c);
    struct mail_draft *d = calloc(1, sizeof *d);
    if (!d)
        return E_NO_MEMORY;
    err_t e = mail_draft_open(&o, d);
    if (!e) /* what cannot be formatted is found before anybody is called */
        e = mail_draft_fit(d, NULL, NULL);
    if (!e)
        e = c->dry_run ? print_message(d) : c->queue ? mail_enqueue(c, d) : mail_send_draft(c, d);
    mail_draft_close(d);
    free(d);
    return e;
}

static err_t send_fiber(void *arg)
{
    const struct mail_conf *c = arg;
    return c->batch ? mail_batch(c) : send_composed(c);
}

static int send_run(void *conf, int argc, char **argv)
{
    (void)argc, (void)argv;
    err_t e = oneshot(send_fiber, conf, NULL);
    if (e == E_PARTLY) /* each refusal has been printed */
        return e->sysexit;
    return e ? verb_fail(&mail_send_role, e) : 0;
}

static const struct opt *const send_tables[] = {mail_message_opts, mail_server_opts, NULL};

const struct opt_role mail_send_role = {
    .tool = "mail",
    .role = "send",
    .summary = "send a message to a submission server",
    .tables = send_tables,
    .conf_size = sizeof(struct mail_conf),
    .run = send_run,
    .notes = "echo Hello | l7 mail send --server 127.0.0.1:2525 -f ann@example.org -t bob@example.org -s Hi -b -\n"
             "Status: 0 all accepted, 3 some, 75 try again later, 77 login or certificate, 64 usage (sysexits.h).",
};
