/* SPDX-License-Identifier: MIT */
/*
 * mail_batch.c -- many messages over one connection: --batch FILE, a JSON object a line whose keys are option names.
 *
 *     {"to": ["Bob <bob@example.org>"], "subject": "Hi", "text": "Hello", "attach": "report.pdf"}
 *
 * What a line does not say comes from the command line. Each message has its own outcome; a line that cannot be made
 * into a message is reported, and the others go on. The only file that knows jansson.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/mail.h"

struct item { /* a message on its way */
    struct mail_draft draft;
    struct mail_conf conf;
    json_t *json; /* holds the strings */
    uint64_t number;
    bool used;
};
struct batch {
    const struct mail_conf *base;
    FILE *file;
    char *line;
    size_t cap;
    uint64_t lines;
    struct item *items; /* MAIL_WINDOW */
    struct mail_report *report;
};

static const struct opt *const tables[] = {mail_message_opts, NULL};
static const struct opt_role batch_role = {
    .tool = "mail", .role = "batch", .tables = tables, .conf_size = sizeof(struct mail_conf)};

/* ---- one line ---- */

static struct opt_list *list_of(struct mail_conf *c, const char *key)
{
    const struct opt *row = opt_row(&batch_role, key);
    return row && row->type == OPT_LIST ? (struct opt_list *)(void *)((char *)c + row->offset) : NULL;
}

static err_t set_text(struct mail_conf *c, const char *key, const json_t *value)
{
    if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
        return fault(E_DATA, "%s: a string without NUL is expected", key);
    return opt_set(&batch_role, c, key, json_string_value(value));
}

static err_t set_key(struct mail_conf *c, const char *key, const json_t *value)
{
    static const char *const not_here[] = {"batch", "queue", "dry-run", "json", "quiet"};
    for (size_t i = 0; i < sizeof not_here / sizeof *not_here; i++)
        if (strcmp(key, not_here[i]) == 0)
            return fault(E_DATA, "'%s' is not about a message", key);
    struct opt_list *list = list_of(c, key);
    if (list)
        *list = (struct opt_list){0}; /* replaces what the command line said */
    if (!list || !json_is_array(value))
        return set_text(c, key, value);
    for (size_t i = 0; i < json_array_size(value); i++)
        TRY(set_text(c, key, json_array_get(value, i)));
    return NULL;
}

static err_t parse_line(struct batch *b, size_t n, struct item *it)
{
    json_error_t why;
    it->conf = *b->base;
    it->json = json_loadb(b->line, n, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(it->json))
        return fault(E_DATA, "line %llu: %s", (unsigned long long)b->lines, it->json ? "not a JSON object" : why.text);
    const char *key;
    json_t *value;
    json_object_foreach(it->json, key, value) TRY(set_key(&it->conf, key, value));
    struct mail_options o = mail_options_of(&it->conf);
    return mail_draft_open(&o, &it->draft);
}

static void clear(struct batch *b, struct item *it)
{
    struct opt_list *const mine[] = {&it->conf.to,     &it->conf.cc,      &it->conf.bcc,
                                     &it->conf.attach, &it->conf.inlines, &it->conf.headers};
    const struct opt_list *const base[] = {&b->base->to,     &b->base->cc,      &b->base->bcc,
                                           &b->base->attach, &b->base->inlines, &b->base->headers};
    for (size_t i = 0; i < sizeof mine / sizeof *mine; i++)
        if (mine[i]->v != base[i]->v)
            free(mine[i]->v);
    mail_draft_close(&it->draft);
    json_decref(it->json);
    it->json = NULL;
    it->used = false;
}

/* ---- as a source of messages ---- */

static struct item *free_item(struct batch *b)
{
    for (size_t i = 0; i < MAIL_WINDOW; i++)
        if (!b->items[i].used)
            return &b->items[i];
    return NULL;
}

static struct mail_draft *next(void *arg)
{
    struct batch *b = arg;
    ssize_t n;
    while ((n = getline(&b->line, &b->cap, b->file)) > 0) {
        if (b->line[strspn(b->line, " \t\r\n")] == 0)
            continue;
        struct item *it = free_item(b);
        it->used = true;
        it->number = ++b->lines;
        it->draft = (struct mail_draft){0};
        err_t e = parse_line(b, (size_t)n, it);
        if (!e)
            return &it->draft;
        mail_report_add(b->report, it->number, NULL, &(struct mail_result){.err = e, .why = fault_detail()});
        clear(b, it);
    }
    return NULL;
}

static void done(void *arg, struct mail_draft *d, const struct mail_result *r)
{
    struct batch *b = arg;
    struct item *it = (struct item *)(void *)((char *)d - offsetof(struct item, draft));
    mail_report_add(b->report, it->number, d, r);
    clear(b, it);
}

static err_t send_all(const struct mail_conf *c, struct batch *b)
{
    struct mail_account account;
    struct mail_link link = {0};
    TRY(mail_account_of(c, &account));
    err_t e = mail_link_init(&link, &account);
    if (!e)
        e = mail_send(&link, &(struct mail_source){next, done, b, MAIL_WINDOW}, TICK_NEVER);
    mail_link_done(&link);
    mail_account_done(&account);
    return e ? e : mail_report_sum(b->report);
}

err_t mail_batch(const struct mail_conf *c)
{
    struct mail_report report = {.out = stdout, .json = c->json, .quiet = c->quiet, .numbered = true};
    struct batch b = {.base = c, .report = &report};
    if (c->dry_run || c->queue)
        return fault(E_USAGE, "--batch does not go with --dry-run or --queue");
    b.file = strcmp(c->batch, "-") == 0 ? stdin : fopen(c->batch, "re");
    if (!b.file)
        return fault(err_errno(errno), "--batch %s", c->batch);
    b.items = calloc(MAIL_WINDOW, sizeof *b.items);
    err_t e = b.items ? send_all(c, &b) : E_NO_MEMORY;
    free(b.items);
    free(b.line);
    if (b.file != stdin)
        fclose(b.file);
    return e;
}
