/* SPDX-License-Identifier: MIT */
#include "app/path/delay_model.h"

#include <math.h>

double delay_transmission(const struct delay_link *l, double bits)
{
    return bits / l->rate;
}

double delay_propagation(const struct delay_link *l)
{
    return l->distance / l->speed;
}

double delay_first(const struct delay_path *p)
{
    double sum = 0;
    for (size_t i = 0; i < p->count; i++)
        sum += p->links[i].processing + delay_transmission(&p->links[i], p->bits) + delay_propagation(&p->links[i]);
    return sum;
}

size_t delay_bottleneck(const struct delay_path *p)
{
    size_t slowest = 0;
    for (size_t i = 1; i < p->count; i++)
        if (p->links[i].rate < p->links[slowest].rate)
            slowest = i;
    return slowest;
}

double delay_last(const struct delay_path *p)
{
    return delay_first(p) + (double)(p->packets - 1) * delay_transmission(&p->links[delay_bottleneck(p)], p->bits);
}

double delay_wait_mm1(double load, double service)
{
    return load < 1 ? load / (1 - load) * service : INFINITY;
}

double delay_wait_md1(double load, double service)
{
    return delay_wait_mm1(load, service) / 2;
}

double delay_loss_mm1k(double load, uint64_t buffer)
{
    double k = (double)buffer;
    if (fabs(load - 1) < 1e-9)
        return 1 / (k + 1);
    if (load > 1) /* the same, divided by load^(K+1), which may overflow */
        return (1 - 1 / load) / (1 - pow(load, -(k + 1)));
    return (1 - load) * pow(load, k) / (1 - pow(load, k + 1));
}
