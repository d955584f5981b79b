/* SPDX-License-Identifier: MIT */
/*
 * mail_sendmail.c -- l7 mail sendmail, also when the program is called "sendmail": what cron, mail(1) and scripts call.
 * The server and the account come from l7.conf.
 */
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/mail/content.h"
#include "cmd/mail.h"
#include "cmd/oneshot.h"
#include "cmd/verb.h"

struct sendmail_conf {
    struct mail_conf mail; /* first: the shared option rows count from here */
    bool from_headers, keep_dots, verbose;
    const char *sender, *full_name;
    char **args;
    int arg_count;
};

/* ---- sendmail's own options ---- */

/* -oi and -o i are -i; everything else about how sendmail works inside is of no meaning here. */
static err_t set_o(void *conf, const char *value)
{
    if (strcmp(value, "i") == 0)
        ((struct sendmail_conf *)conf)->keep_dots = true;
    return NULL;
}

static err_t set_long_o(void *conf, const char *value)
{
    if (strncasecmp(value, "IgnoreDots=t", 12) == 0)
        ((struct sendmail_conf *)conf)->keep_dots = true;
    return NULL;
}

static err_t set_mode(void *conf, const char *value)
{
    (void)conf;
    return strcmp(value, "m") == 0 ? NULL : fault(E_USAGE, "-b%s: only -bm, reading a message, is done here", value);
}

static err_t ignore(void *conf, const char *value)
{
    (void)conf, (void)value;
    return NULL;
}

/* ---- the input ---- */

/* Copy the standard input up to its end, or to a line of a single dot, into a file without a name. */
static err_t read_input(bool keep_dots, int *out)
{
    int fd;
    TRY(content_nameless("the message", &fd));
    FILE *f = fdopen(fd, "w");
    if (!f) {
        close(fd);
        return fault(E_NO_MEMORY, "keeping the message");
    }
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, stdin)) > 0) {
        struct slice s = slice_of(line, (size_t)n);
        if (!keep_dots && (slice_eq(s, S(".\n")) || slice_eq(s, S(".\r\n")) || slice_eq(s, S("."))))
            break;
        if (fwrite(line, 1, (size_t)n, f) != (size_t)n)
            break;
    }
    free(line);
    bool bad = ferror(stdin) || fflush(f) || ferror(f);
    *out = bad ? -1 : dup(fd);
    fclose(f);
    return *out < 0 ? fault(E_IO, "keeping the message") : NULL;
}

/* user@host of whoever runs this. */
static void default_sender(char *out, size_t cap)
{
    char host[256] = "localhost";
    const struct passwd *pw = getpwuid(geteuid());
    gethostname(host, sizeof host - 1);
    snprintf(out, cap, "%s@%s", pw ? pw->pw_name : "nobody", host);
}

static err_t submit(const struct sendmail_conf *c, int input)
{
    char path[40], sender[400];
    snprintf(path, sizeof path, "/proc/self/fd/%d", input);
    default_sender(sender, sizeof sender);
    struct mail_options o = {.message = path,
                             .envelope_from = c->sender ? c->sender : sender,
                             .complete = true,
                             .from_headers = c->from_headers,
                             .full_name = c->full_name,
                             .dsn_notify = c->mail.dsn_notify,
                             .dsn_envid = c->mail.dsn_envid};
    o.rcpts = (struct mail_list){(const char **)c->args, (size_t)c->arg_count};
    struct mail_draft *d = calloc(1, sizeof *d);
    if (!d)
        return E_NO_MEMORY;
    err_t e = mail_draft_open(&o, d);
    if (!e)
        e = c->mail.queue ? mail_enqueue(&c->mail, d) : mail_send_draft(&c->mail, d);
    mail_draft_close(d);
    free(d);
    return e;
}

static err_t fiber(void *arg)
{
    const struct sendmail_conf *c = arg;
    int input = -1;
    TRY(read_input(c->keep_dots, &input));
    err_t e = submit(c, input);
    close(input);
    return e;
}

static int run(void *conf, int argc, char **argv)
{
    struct sendmail_conf *c = conf;
    c->args = argv, c->arg_count = argc;
    c->mail.quiet = !c->verbose;
    err_t e = oneshot(fiber, c, NULL);
    if (e == E_PARTLY)
        return e->sysexit;
    return e ? verb_fail(&mail_sendmail_role, e) : 0;
}

#define AT(field) offsetof(struct sendmail_conf, field)
static const struct opt opts[] = {
    {.name = "from-headers",
     .letter = 't',
     .type = OPT_FLAG,
     .offset = AT(from_headers),
     .help = "recipients from To, Cc and Bcc too"},
    {.name = "ignore-dots",
     .letter = 'i',
     .type = OPT_FLAG,
     .offset = AT(keep_dots),
     .help = "a line of a single dot does not end the message (also -oi)"},
    {.name = "sender",
     .letter = 'f',
     .type = OPT_STRING,
     .offset = AT(sender),
     .arg = "ADDRESS",
     .help = "where bounces go (also -r)"},
    {.name = "sender-r",
     .letter = 'r',
     .type = OPT_STRING,
     .offset = AT(sender),
     .arg = "ADDRESS",
     .help = "the same",
     .hidden = true},
    {.name = "full-name",
     .letter = 'F',
     .type = OPT_STRING,
     .offset = AT(full_name),
     .arg = "NAME",
     .help = "of the sender, for a message without From"},
    {.name = "option",
     .letter = 'O',
     .type = OPT_CALL,
     .parse = set_long_o,
     .arg = "NAME=VALUE",
     .help = "sendmail's; only IgnoreDots matters"},
    {.name = "o",
     .letter = 'o',
     .type = OPT_CALL,
     .parse = set_o,
     .arg = "X",
     .help = "sendmail's short options",
     .hidden = true},
    {.name = "mode",
     .letter = 'b',
     .type = OPT_CALL,
     .parse = set_mode,
     .arg = "MODE",
     .help = "only m",
     .hidden = true},
    {.name = "body-type",
     .letter = 'B',
     .type = OPT_CALL,
     .parse = ignore,
     .arg = "TYPE",
     .help = "found out by looking",
     .hidden = true},
    {.name = "notify",
     .letter = 'N',
     .type = OPT_STRING,
     .offset = AT(mail.dsn_notify),
     .arg = "LIST",
     .help = "ask for reports: success,failure,delay or never"},
    {.name = "envid",
     .letter = 'V',
     .type = OPT_STRING,
     .offset = AT(mail.dsn_envid),
     .arg = "ID",
     .help = "name of the message in reports",
     .hidden = true},
    {.name = "verbose", .letter = 'v', .type = OPT_FLAG, .offset = AT(verbose), .help = "print each recipient's fate"},
    {.name = "queue",
     .type = OPT_STRING,
     .offset = AT(mail.queue),
     .arg = "DIR",
     .help = "keep the message there until the server took it"},
    {NULL}};
static const struct opt *const tables[] = {opts, mail_server_opts, NULL};

const struct opt_role mail_sendmail_role = {
    .tool = "mail",
    .role = "sendmail",
    .usage = "[ADDRESS...]",
    .summary = "as sendmail(8): a message from the standard input",
    .tables = tables,
    .conf_size = sizeof(struct sendmail_conf),
    .args_max = -1,
    .run = run,
    .notes =
        "Also when the program is called sendmail. The server comes from l7.conf: [mail] server = mail.example.org",
};
