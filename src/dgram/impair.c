/* SPDX-License-Identifier: MIT */
#include "dgram/impair.h"

#include "base/text.h"

err_t impair_ratio_parse(struct slice s, struct impair_ratio *out)
{
    struct impair_ratio r = {0};
    TRY(text_ratio(s, &r.p));
    struct slice rest = s, hits;
    uint64_t a, b;
    if (slice_has(s, '/') && slice_cut(&rest, '/', &hits) && slice_u64(hits, &a) && slice_u64(rest, &b)) {
        if (b > UINT32_MAX)
            return fault(E_USAGE, "%.*s: the group is too large", SLICE_ARG(s));
        r.of[0] = (uint32_t)a, r.of[1] = (uint32_t)b;
    }
    *out = r;
    return NULL;
}

err_t impair_burst_parse(struct slice s, struct impair_burst *out)
{
    struct slice rest = s, mean = s;
    double loss;
    uint64_t length = 4;
    (void)slice_cut(&rest, ',', &mean);
    TRY(text_ratio(mean, &loss));
    if (slice_has(s, ',') && (!slice_u64(rest, &length) || length < 1 || length > 1000000))
        return fault(E_USAGE, "%.*s: the mean length of a burst must be a number from 1 on", SLICE_ARG(s));
    /* In the long run the bad state is held a share enter / (enter + leave) of the time. */
    double leave = 1 / (double)length, enter = loss < 1 ? leave * loss / (1 - loss) : 1;
    if (enter > 1 || loss >= 1)
        return fault(E_USAGE, "%.*s: so much loss needs longer bursts", SLICE_ARG(s));
    *out = (struct impair_burst){enter, leave};
    return NULL;
}

static bool ratio_on(const struct impair_ratio *r)
{
    return r->p > 0;
}

bool impair_any(const struct impair_conf *c)
{
    return ratio_on(&c->loss) || ratio_on(&c->loss_reply) || c->burst.enter > 0 || ratio_on(&c->duplicate) ||
           ratio_on(&c->reorder) || c->delay > 0 || c->jitter > 0;
}

void impair_init(struct impair *i, const struct impair_conf *conf)
{
    *i = (struct impair){.conf = *conf};
    struct impair_dice *dice[] = {&i->loss, &i->loss_reply, &i->burst, &i->duplicate, &i->reorder, &i->jitter};
    for (size_t k = 0; k < sizeof dice / sizeof dice[0]; k++)
        prng_seed(&dice[k]->random, conf->seed * 16 + k);
}

/* Exactly of[0] hits in each group of of[1]: draw without putting back. */
static bool hit(struct impair_dice *d, const struct impair_ratio *r)
{
    if (!ratio_on(r))
        return false;
    if (!r->of[1])
        return prng_unit(&d->random) < r->p;
    if (!d->left)
        d->left = r->of[1], d->hits_left = r->of[0];
    bool yes = prng_below(&d->random, d->left) < d->hits_left;
    d->left--, d->hits_left -= yes;
    return yes;
}

static bool burst_lost(struct impair *i)
{
    const struct impair_burst *b = &i->conf.burst;
    if (b->enter > 0 && prng_unit(&i->burst.random) < (i->bad ? b->leave : b->enter))
        i->bad = !i->bad;
    return i->bad;
}

static int64_t delay_of(struct impair *i)
{
    int64_t delay = i->conf.delay, jitter = i->conf.jitter;
    if (jitter > 0)
        delay += (int64_t)(prng_unit(&i->jitter.random) * 2 * (double)jitter) - jitter;
    return delay > 0 ? delay : 0;
}

struct impair_verdict impair_next(struct impair *i)
{
    const struct impair_conf *c = &i->conf;
    struct impair_verdict v = {0};
    i->counts.seen++;
    bool lost = hit(&i->loss, &c->loss), burst = burst_lost(i);
    v.lost = lost || burst;
    i->counts.lost += v.lost;
    if (v.lost)
        return v;
    v.lost_reply = hit(&i->loss_reply, &c->loss_reply);
    i->counts.lost_reply += v.lost_reply;
    if (v.lost_reply)
        return v;
    v.duplicate = hit(&i->duplicate, &c->duplicate);
    v.hold = hit(&i->reorder, &c->reorder);
    v.delay = delay_of(i);
    i->counts.duplicated += v.duplicate;
    i->counts.delayed += v.delay > 0;
    return v;
}

void impair_uppercase(char *p, size_t n)
{
    for (size_t k = 0; k < n; k++)
        p[k] = ascii_upper(p[k]);
}
