/* SPDX-License-Identifier: MIT */
#include "app/mail/report.h"

#include <inttypes.h>

#include "base/json.h"
#include "base/text.h"

static const char *const fates[] = {"accepted", "refused", "deferred"};

static void text_line(struct mail_report *r, uint64_t number, struct slice address, enum mail_fate fate,
                      const char *words)
{
    char shown[400], safe[600];
    if (r->quiet && fate == MAIL_ACCEPTED)
        return;
    if (r->numbered)
        fprintf(r->out, "%" PRIu64 " ", number);
    text_safe(address, shown, sizeof shown);
    text_safe(slice_z(words), safe, sizeof safe);
    fprintf(r->out, "%s: %s%s%s\n", shown, fates[fate], *safe ? ": " : "", safe);
}

static void json_line(struct mail_report *r, uint64_t number, struct slice address, enum mail_fate fate,
                      const char *words)
{
    AUTO(buf_free) struct buf b = {0};
    struct json j = json_start(&b);
    json_open(&j, '{');
    json_key(&j, "message"), json_uint(&j, number);
    if (address.n)
        json_key(&j, "recipient"), json_string(&j, address);
    json_key(&j, "fate"), json_string(&j, slice_z(fates[fate]));
    json_key(&j, "reply"), json_string(&j, slice_z(words));
    json_close(&j, '}');
    if (!json_end_line(&j))
        fwrite(b.p, 1, b.n, r->out);
}

static void line(struct mail_report *r, uint64_t number, struct slice address, enum mail_fate fate, const char *words)
{
    (r->json ? json_line : text_line)(r, number, address, fate, words);
}

void mail_report_add(struct mail_report *r, uint64_t number, const struct mail_draft *d,
                     const struct mail_result *result)
{
    const char *words;
    for (size_t i = 0; d && i < d->rcpts.n; i++) {
        enum mail_fate fate = mail_fate_of(d, i, result, &words);
        line(r, number, d->rcpts.v[i].address, fate, words);
    }
    if (!d && r->json)
        json_line(r, number, SLICE_NONE, MAIL_REFUSED, result->why);
    if (!d && !r->json)
        fprintf(r->out, "%" PRIu64 " not sent: %s\n", number, result->why);
    if (!result->err)
        r->accepted++;
    else if (result->err == E_PARTLY)
        r->partly++;
    else if (result->err->retry)
        r->deferred++, r->failed++;
    else
        r->failed++;
    if (result->err && result->err != E_PARTLY && !result->err->retry && !r->first)
        r->first = result->err;
    if (result->err && result->err->retry && !r->passing)
        r->passing = result->err;
}

err_t mail_report_sum(const struct mail_report *r)
{
    if (r->failed == 0 && r->partly == 0)
        return NULL;
    if (r->accepted || r->partly)
        return E_PARTLY;
    return r->first ? r->first : r->failed == 1 ? r->passing : E_DEFERRED;
}
