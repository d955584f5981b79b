/* SPDX-License-Identifier: MIT */
#include "app/heartbeat/simulate.h"

#include <stdlib.h>
#include <string.h>

#include "base/histogram.h"
#include "base/json.h"
#include "base/random.h"
#include "base/table.h"
#include "dgram/beat_packet.h"

struct known { /* one sender */
    struct table_link link;
    struct known *next;
    uint64_t incarnation, newest;
    tick last;
    char id[4 * BEAT_ID_MAX + 1];
    struct detector d[]; /* one a setting; the fixed ones only follow the period */
};
struct score {
    struct detector_pool pool; /* as of `pooled` */
    uint64_t alarms;
    struct histogram detection; /* us */
};
struct simulation {
    int n;
    struct simulate_setting setting[SIMULATE_SETTINGS_MAX];
    struct score score[SIMULATE_SETTINGS_MAX];
    struct table senders;
    struct known *first;
    int64_t pooled;
    struct prng prng;
    double hours;
    uint64_t beats, outages, restarts;
};

struct heard {
    struct slice id;
    uint64_t incarnation, sequence;
    int64_t at, interval;
};

static bool learns(const struct simulate_setting *s)
{
    return s->rate > 0;
}

err_t simulation_new(const struct simulate_setting *settings, int n, struct simulation **out)
{
    struct simulation *s = calloc(1, sizeof *s);
    if (!s)
        return E_NO_MEMORY;
    s->n = n;
    prng_seed(&s->prng, 1);
    err_t e = table_init(&s->senders, 64);
    for (int i = 0; i < n && !e; i++) {
        s->setting[i] = settings[i];
        e = histogram_init(&s->score[i].detection);
    }
    if (e)
        simulation_free(s);
    else
        *out = s;
    return e;
}

static tick deadline(const struct simulate_setting *setting, const struct known *k, const struct detector *d)
{
    return learns(setting) ? detector_deadline(d) : k->last + setting->timeout;
}

static struct detector_aim aim_of(const struct simulation *s, int i)
{
    return (struct detector_aim){s->setting[i].rate, &s->score[i].pool};
}

/* Every four seconds, as a listener does. */
static void pool(struct simulation *s, int64_t now)
{
    if (now < s->pooled + 4 * TICK_S)
        return;
    s->pooled = now;
    for (int i = 0; i < s->n; i++) {
        memset(&s->score[i].pool, 0, sizeof s->score[i].pool);
        for (const struct known *k = s->first; learns(&s->setting[i]) && k; k = k->next)
            detector_pool_add(&s->score[i].pool, &k->d[i]);
    }
}

static struct known *find(struct simulation *s, const struct heard *h, bool *fresh)
{
    uint64_t hash = slice_hash(h->id, s->senders.seed);
    for (struct table_link *l = table_first(&s->senders, hash); l; l = table_next(l, hash))
        if (slice_eq(slice_z(((struct known *)(void *)l)->id), h->id))
            return (struct known *)(void *)l;
    struct known *k = calloc(1, sizeof *k + (size_t)s->n * sizeof k->d[0]);
    if (!k || !slice_to_z(h->id, k->id, sizeof k->id)) {
        free(k);
        return NULL;
    }
    table_add(&s->senders, &k->link, hash);
    k->next = s->first;
    s->first = k;
    *fresh = true;
    return k;
}
_Static_assert(offsetof(struct known, link) == 0, "a link is its sender");

static void begin(struct simulation *s, struct known *k, const struct heard *h, bool known)
{
    for (int i = 0; i < s->n; i++) {
        if (known && k->d[i].period > 0)
            detector_rebase(&k->d[i], h->at);
        else
            detector_start(&k->d[i], h->interval, h->at);
        struct detector_aim aim = aim_of(s, i);
        if (learns(&s->setting[i]))
            detector_solve(&k->d[i], &aim);
    }
    k->incarnation = h->incarnation;
    k->newest = h->sequence;
    k->last = h->at;
}

static void judge(struct simulation *s, struct known *k, const struct heard *h, int i, double where)
{
    struct detector *d = &k->d[i];
    uint64_t jump = h->sequence - k->newest;
    tick due = deadline(&s->setting[i], k, d);
    bool alarmed = h->at > due;
    s->score[i].alarms += alarmed;
    double died = (double)k->last + where * d->period * (double)jump;
    if (d->period > 0)
        histogram_add(&s->score[i].detection, (int64_t)(((double)due - died) / 1e3));
    struct detector_aim aim = aim_of(s, i);
    detector_beat(d, jump, h->at, alarmed, &aim);
}

static void take(struct simulation *s, struct known *k, const struct heard *h)
{
    if (h->incarnation != k->incarnation) {
        if (h->incarnation > k->incarnation) {
            s->restarts++;
            begin(s, k, h, true);
        }
        return;
    }
    if (h->sequence <= k->newest)
        return;
    if (h->sequence - k->newest > DETECTOR_JUMP_MAX) {
        s->outages++;
        begin(s, k, h, true);
        return;
    }
    double where = prng_unit(&s->prng);
    for (int i = 0; i < s->n; i++)
        judge(s, k, h, i, where);
    s->hours += (double)(h->at - k->last) / 3600e9;
    k->newest = h->sequence;
    k->last = h->at;
}

err_t simulation_line(struct simulation *s, struct slice line)
{
    struct slice rest = line, word[6];
    uint64_t number[6] = {0};
    for (int i = 0; i < 6; i++)
        if (!slice_cut(&rest, ' ', &word[i]) || (i != 1 && !slice_u64(word[i], &number[i])))
            return E_DATA;
    struct heard h = {.id = word[1],
                      .at = (int64_t)number[0],
                      .incarnation = number[2],
                      .sequence = number[3],
                      .interval = (int64_t)number[5]};
    if (rest.n || !h.id.n || h.id.n > 4 * BEAT_ID_MAX || h.at < 0 || h.interval < 0 || h.interval > BEAT_INTERVAL_MAX)
        return E_DATA;
    bool fresh = false;
    struct known *k = find(s, &h, &fresh);
    if (!k)
        return E_NO_MEMORY;
    s->beats++;
    pool(s, h.at);
    if (fresh)
        begin(s, k, &h, false);
    else
        take(s, k, &h);
    return NULL;
}

static err_t report_line(const struct simulation *s, int i, bool json, struct buf *out)
{
    const struct score *c = &s->score[i];
    double alarms = s->hours > 0 ? (double)c->alarms / s->hours : 0;
    double median = (double)histogram_quantile(&c->detection, 0.5) / 1e6,
           most = (double)histogram_quantile(&c->detection, 0.99) / 1e6;
    if (!json)
        return buf_format(out, "%-28s %10llu %16.4f %12.3f s %12.3f s\n", s->setting[i].name,
                          (unsigned long long)c->alarms, alarms, median, most);
    struct json j = json_start(out);
    json_open(&j, '{');
    json_key(&j, "setting"), json_string(&j, slice_z(s->setting[i].name));
    json_key(&j, "false_alarms"), json_uint(&j, c->alarms);
    json_key(&j, "false_alarms_per_sender_hour"), json_real(&j, alarms, 6);
    json_key(&j, "detection_median_s"), json_real(&j, median, 6);
    json_key(&j, "detection_p99_s"), json_real(&j, most, 6);
    json_close(&j, '}');
    return json_end_line(&j);
}

err_t simulation_report(const struct simulation *s, bool json, struct buf *out)
{
    if (!json) {
        TRY(buf_format(out, "%zu senders, %llu beats, %.2f sender-hours, %llu restarts, %llu outages left out\n\n",
                       s->senders.count, (unsigned long long)s->beats, s->hours, (unsigned long long)s->restarts,
                       (unsigned long long)s->outages));
        TRY(buf_format(out, "%-28s %10s %16s %14s %14s\n", "setting", "alarms", "a sender-hour", "detects in",
                       "99 % within"));
    }
    for (int i = 0; i < s->n; i++)
        TRY(report_line(s, i, json, out));
    return NULL;
}

void simulation_free(struct simulation *s)
{
    if (!s)
        return;
    for (struct known *k = s->first, *next; k; k = next) {
        next = k->next;
        free(k);
    }
    table_done(&s->senders);
    for (int i = 0; i < s->n; i++)
        histogram_done(&s->score[i].detection);
    free(s);
}
