/* SPDX-License-Identifier: MIT */
#include "app/path/delay_sim.h"

#include <math.h>
#include <stdlib.h>

#include "base/random.h"

enum { BATCHES = 30, WARM_UP = 10 };    /* a tenth of the run is not looked at */
static const double STUDENT = 2.045230; /* 97.5 % point of t with 29 degrees of freedom */

struct batches {
    double mean[BATCHES];
};

static struct delay_estimate estimate(const struct batches *b)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < BATCHES; i++)
        sum += b->mean[i];
    double mean = sum / BATCHES;
    for (int i = 0; i < BATCHES; i++)
        squares += (b->mean[i] - mean) * (b->mean[i] - mean);
    return (struct delay_estimate){mean, STUDENT * sqrt(squares / (BATCHES - 1) / BATCHES)};
}

struct queue {
    struct prng arrivals, services;
    enum delay_service kind;
    double between, service, wait;
};

/* Lindley's recursion: who comes next waits what is left of the wait and service of the one before. */
static double next_wait(struct queue *q)
{
    double service = q->kind == DELAY_CONSTANT ? q->service : prng_exponential(&q->services, q->service);
    double left = q->wait + service - prng_exponential(&q->arrivals, q->between);
    q->wait = left > 0 ? left : 0;
    return q->wait;
}

struct delay_estimate delay_sim_wait(enum delay_service kind, double load, double service, uint64_t samples,
                                     uint64_t seed)
{
    struct queue q = {.kind = kind, .between = service / load, .service = service};
    struct batches b = {0};
    uint64_t each = samples / BATCHES ? samples / BATCHES : 1;
    prng_seed(&q.arrivals, seed * 2);
    prng_seed(&q.services, seed * 2 + 1);
    for (uint64_t i = 0; i < samples / WARM_UP; i++)
        next_wait(&q);
    for (int k = 0; k < BATCHES; k++) {
        double sum = 0;
        for (uint64_t i = 0; i < each; i++)
            sum += next_wait(&q);
        b.mean[k] = sum / (double)each;
    }
    return estimate(&b);
}

struct finite { /* a ring of when those inside will have left */
    struct prng arrivals, services;
    double *leaves;
    uint64_t room, first, inside;
    double now, between;
};

/* One arrival; 1 when it is lost. */
static unsigned arrive(struct finite *f)
{
    f->now += prng_exponential(&f->arrivals, f->between);
    while (f->inside && f->leaves[f->first] <= f->now)
        f->first = (f->first + 1) % f->room, f->inside--;
    if (f->inside == f->room)
        return 1;
    double start = f->inside ? f->leaves[(f->first + f->inside - 1) % f->room] : f->now;
    f->leaves[(f->first + f->inside++) % f->room] = start + prng_exponential(&f->services, 1);
    return 0;
}

struct delay_estimate delay_sim_loss(double load, uint64_t buffer, uint64_t samples, uint64_t seed)
{
    struct finite f = {.leaves = calloc(buffer, sizeof *f.leaves), .room = buffer, .between = 1 / load};
    struct batches b = {0};
    uint64_t each = samples / BATCHES ? samples / BATCHES : 1;
    if (!f.leaves)
        return (struct delay_estimate){NAN, NAN};
    prng_seed(&f.arrivals, seed * 2);
    prng_seed(&f.services, seed * 2 + 1);
    for (uint64_t i = 0; i < samples / WARM_UP; i++)
        arrive(&f);
    for (int k = 0; k < BATCHES; k++) {
        uint64_t lost = 0;
        for (uint64_t i = 0; i < each; i++)
            lost += arrive(&f);
        b.mean[k] = (double)lost / (double)each;
    }
    free(f.leaves);
    struct delay_estimate e = estimate(&b);
    if (e.mean == 0) /* none of n packets: with 95 % the share is below 3/n */
        e.half = 3 / (double)(each * BATCHES);
    return e;
}

double delay_sim_train(const struct delay_path *p)
{
    double *free_at = calloc(p->count, sizeof *free_at), at = 0; /* when each link has sent its last packet */
    if (!free_at)
        return -1;
    for (uint64_t k = 0; k < p->packets; k++) {
        at = 0;
        for (size_t i = 0; i < p->count; i++) {
            at += p->links[i].processing;
            at = (at > free_at[i] ? at : free_at[i]) + delay_transmission(&p->links[i], p->bits);
            free_at[i] = at;
            at += delay_propagation(&p->links[i]);
        }
    }
    free(free_at);
    return at;
}
