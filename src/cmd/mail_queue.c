/* SPDX-License-Identifier: MIT */
/* mail_queue.c -- l7 mail queue, l7 mail flush, and --queue of send and sendmail. */
#include <inttypes.h>
#include <stdlib.h>

#include "app/mail/queue.h"
#include "base/json.h"
#include "base/text.h"
#include "cmd/mail.h"
#include "cmd/oneshot.h"
#include "cmd/verb.h"

struct queue_conf {
    struct mail_conf mail; /* first: the shared option rows count from here */
    bool all;
};

static err_t flush(const struct mail_conf *c, bool all, const char *only, struct mail_report *report)
{
    struct mail_account account;
    struct mail_link link = {0};
    TRY(mail_account_of(c, &account));
    err_t e = mail_link_init(&link, &account);
    if (!e)
        e = queue_flush(c->queue, &link, all, only, report);
    mail_link_done(&link);
    mail_account_done(&account);
    return e;
}

/* It is safe on disk, so what can be tried again is no failure. */
err_t mail_enqueue(const struct mail_conf *c, struct mail_draft *d)
{
    char id[QUEUE_ID];
    struct mail_report report = {.out = stdout, .json = c->json, .quiet = c->quiet};
    TRY(queue_add(c->queue, d, id));
    err_t e = flush(c, false, id, &report);
    if (!e)
        e = mail_report_sum(&report);
    if (!e || e == E_PARTLY || !e->retry)
        return e;
    if (!c->quiet)
        fprintf(stderr, "l7 mail: kept as %s in %s: %s\n", id, c->queue, *fault_detail() ? fault_detail() : e->text);
    return NULL;
}

/* ---- flush ---- */

static err_t flush_fiber(void *arg)
{
    const struct queue_conf *c = arg;
    struct mail_report report = {.out = stdout, .json = c->mail.json, .quiet = c->mail.quiet, .numbered = true};
    TRY(flush(&c->mail, c->all, NULL, &report));
    return mail_report_sum(&report);
}

static int flush_run(void *conf, int argc, char **argv)
{
    (void)argc, (void)argv;
    struct queue_conf *c = conf;
    err_t e = c->mail.queue ? oneshot(flush_fiber, c, NULL) : fault(E_USAGE, "--queue DIR is missing");
    if (e == E_PARTLY)
        return e->sysexit;
    return e ? verb_fail(&mail_flush_role, e) : 0;
}

/* ---- queue ---- */

static void json_entry(const struct queue_entry *q, int64_t now)
{
    AUTO(buf_free) struct buf b = {0};
    struct json j = json_start(&b);
    json_open(&j, '{');
    json_key(&j, "id"), json_string(&j, slice_z(q->id));
    json_key(&j, "from"), json_string(&j, q->from);
    json_key(&j, "to"), json_open(&j, '[');
    for (size_t i = 0; i < q->count; i++)
        if (q->rcpts[i].pending)
            json_string(&j, q->rcpts[i].address);
    json_close(&j, ']');
    json_key(&j, "age"), json_int(&j, now - q->added);
    json_key(&j, "attempts"), json_uint(&j, q->attempts);
    json_key(&j, "next"), json_int(&j, q->next);
    json_key(&j, "last"), json_string(&j, q->last);
    json_close(&j, '}');
    if (!json_end_line(&j))
        fwrite(b.p, 1, b.n, stdout);
}

static void text_entry(const struct queue_entry *q, int64_t now)
{
    char from[200], to[200], last[300], age[32], next[32];
    text_safe(q->from, from, sizeof from);
    text_safe(q->last, last, sizeof last);
    text_duration_human((now - q->added) * TICK_S, age);
    text_duration_human((q->next > now ? q->next - now : 0) * TICK_S, next);
    printf("%s  <%s>  %s old, %u attempt%s, next in %s%s%s\n", q->id, from, age, q->attempts,
           q->attempts == 1 ? "" : "s", next, *last ? ": " : "", last);
    for (size_t i = 0; i < q->count; i++)
        if (q->rcpts[i].pending) {
            text_safe(q->rcpts[i].address, to, sizeof to);
            printf("    %s\n", to);
        }
}

static err_t list(const struct queue_conf *c)
{
    struct arena a = {.cap = 1 << 30};
    struct queue_entry *entries;
    size_t n;
    int64_t now = clock_wall() / TICK_S;
    if (!c->mail.queue)
        return fault(E_USAGE, "--queue DIR is missing");
    err_t e = queue_list(c->mail.queue, &a, &entries, &n);
    for (size_t i = 0; !e && i < n; i++)
        (c->mail.json ? json_entry : text_entry)(&entries[i], now);
    arena_reset(&a);
    return e;
}

static int list_run(void *conf, int argc, char **argv)
{
    (void)argc, (void)argv;
    err_t e = list(conf);
    return e ? verb_fail(&mail_queue_role, e) : 0;
}

#define AT(field) offsetof(struct queue_conf, field)
static const struct opt flush_opts[] = {
    {.name = "queue", .type = OPT_STRING, .offset = AT(mail.queue), .arg = "DIR", .help = "the queue's folder"},
    {.name = "all", .letter = 'a', .type = OPT_FLAG, .offset = AT(all), .help = "also those whose time has not come"},
    {.name = "json", .type = OPT_FLAG, .offset = AT(mail.json), .help = "a JSON object for each recipient"},
    {.name = "quiet",
     .letter = 'q',
     .type = OPT_FLAG,
     .offset = AT(mail.quiet),
     .help = "print only what was not accepted"},
    {NULL}};
static const struct opt list_opts[] = {
    {.name = "queue", .type = OPT_STRING, .offset = AT(mail.queue), .arg = "DIR", .help = "the queue's folder"},
    {.name = "json", .type = OPT_FLAG, .offset = AT(mail.json), .help = "a JSON object for each message"},
    {NULL}};
static const struct opt *const flush_tables[] = {flush_opts, mail_server_opts, NULL};
static const struct opt *const list_tables[] = {list_opts, NULL};

const struct opt_role mail_flush_role = {
    .tool = "mail",
    .role = "flush",
    .summary = "try to send what is in a queue and due",
    .tables = flush_tables,
    .conf_size = sizeof(struct queue_conf),
    .run = flush_run,
};
const struct opt_role mail_queue_role = {
    .tool = "mail",
    .role = "queue",
    .summary = "list a queue",
    .tables = list_tables,
    .conf_size = sizeof(struct queue_conf),
    .run = list_run,
};
