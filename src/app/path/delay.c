/* SPDX-License-Identifier: MIT */
#include "app/path/delay.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "app/path/delay_sim.h"
#include "base/json.h"
#include "base/plot.h"

enum { SWEEP = 19, SWEEP_SAMPLES = 100000, COLUMNS = 78, ROWS = 22, NUMBER = 32 };

/* ---- Numbers for people ---- */

static const char *number(double v, const char *unit, char out[NUMBER])
{
    static const struct {
        double from;
        const char *prefix;
    } steps[] = {{1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1, ""}, {1e-3, "m"}, {1e-6, "u"}, {0, "n"}};
    if (v == 0 || !isfinite(v)) {
        snprintf(out, NUMBER, v == 0 ? "0 %s" : "unbounded", unit);
        return out;
    }
    if (!*unit) { /* a share */
        snprintf(out, NUMBER, "%.6g", v);
        return out;
    }
    size_t i = 0;
    while (v < steps[i].from)
        i++;
    snprintf(out, NUMBER, "%.6g %s%s", v / (steps[i].from > 0 ? steps[i].from : 1e-9), steps[i].prefix, unit);
    return out;
}

#define N(v, unit) number(v, unit, (char[NUMBER]){0})

static bool inside(const struct delay_estimate *e, double value)
{
    return fabs(e->mean - value) <= e->half + 1e-9 * fabs(value);
}

/* ---- The path ---- */

static void print_path(const struct delay_conf *c)
{
    const struct delay_path *p = &c->path;
    const struct delay_link *slow = &p->links[delay_bottleneck(p)];
    double first = delay_first(p), last = delay_last(p), train = delay_sim_train(p);
    printf("%zu links, %" PRIu64 " packets of %g bits, stored and forwarded\n\n", p->count, p->packets, p->bits);
    printf("%4s %14s %14s %14s %14s %14s\n", "link", "rate", "distance", "processing", "L/R", "d/s");
    for (size_t i = 0; i < p->count; i++) {
        const struct delay_link *l = &p->links[i];
        printf("%4zu %14s %14s %14s %14s %14s\n", i + 1, N(l->rate, "bit/s"), N(l->distance, "m"),
               N(l->processing, "s"), N(delay_transmission(l, p->bits), "s"), N(delay_propagation(l), "s"));
    }
    printf("\nOne packet: the sum over the links of processing + L/R + d/s = %s\n", N(first, "s"));
    printf("All %" PRIu64 ": + (N - 1) L/R of the slowest link = %s + %" PRIu64 " x %s = %s\n", p->packets,
           N(first, "s"), p->packets - 1, N(p->bits / slow->rate, "s"), N(last, "s"));
    printf("    simulated packet by packet: %s\n", N(train, "s"));
    printf("Throughput: at most min R = %s (link %zu); here N L / T = %s\n", N(slow->rate, "bit/s"),
           delay_bottleneck(p) + 1, N((double)p->packets * p->bits / last, "bit/s"));
}

static void json_start_line(struct buf *b, struct json *j, const char *type)
{
    b->n = 0;
    *j = json_start(b);
    json_open(j, '{');
    json_key(j, "type"), json_string(j, slice_z(type));
}

static void json_value(struct json *j, const char *key, double v)
{
    json_key(j, key), json_digits(j, v, 12);
}

static err_t json_print(struct json *j)
{
    json_close(j, '}');
    TRY(json_end_line(j));
    return fwrite(j->out->p, 1, j->out->n, stdout) == j->out->n ? NULL : E_IO;
}

static err_t json_path(const struct delay_conf *c, struct buf *b)
{
    const struct delay_path *p = &c->path;
    struct json j;
    for (size_t i = 0; i < p->count; i++) {
        const struct delay_link *l = &p->links[i];
        json_start_line(b, &j, "link");
        json_key(&j, "link"), json_uint(&j, i + 1);
        json_value(&j, "rate", l->rate), json_value(&j, "distance", l->distance), json_value(&j, "speed", l->speed);
        json_value(&j, "processing", l->processing);
        json_value(&j, "transmission", delay_transmission(l, p->bits));
        json_value(&j, "propagation", delay_propagation(l));
        if (c->load > 0)
            json_value(&j, "queueing", delay_wait_mm1(c->load, delay_transmission(l, p->bits)));
        TRY(json_print(&j));
    }
    json_start_line(b, &j, "path");
    json_key(&j, "packets"), json_uint(&j, p->packets);
    json_value(&j, "bits", p->bits);
    json_value(&j, "first", delay_first(p)), json_value(&j, "last", delay_last(p));
    json_value(&j, "last_simulated", delay_sim_train(p));
    json_key(&j, "bottleneck"), json_uint(&j, delay_bottleneck(p) + 1);
    json_value(&j, "bottleneck_rate", p->links[delay_bottleneck(p)].rate);
    json_value(&j, "throughput", (double)p->packets * p->bits / delay_last(p));
    return json_print(&j);
}

/* ---- Queues ---- */

struct result { /* one model: the closed form and the simulation */
    const char *model, *quantity, *unit;
    char formula[128];
    double value;
    bool simulated;
    struct delay_estimate sim;
};

static void add_waits(const struct delay_conf *c, double service, struct result *r)
{
    double load = c->load;
    r[0] = (struct result){.model = "M/M/1", .quantity = "wait", .unit = "s", .value = delay_wait_mm1(load, service)};
    r[1] = (struct result){.model = "M/D/1", .quantity = "wait", .unit = "s", .value = delay_wait_md1(load, service)};
    snprintf(r[0].formula, sizeof r[0].formula, "I/(1-I) L/R = %g/(1-%g) x %s", load, load, N(service, "s"));
    snprintf(r[1].formula, sizeof r[1].formula, "I/(2(1-I)) L/R = %g/(2(1-%g)) x %s", load, load, N(service, "s"));
    for (int i = 0; i < 2 && load < 1; i++) {
        r[i].simulated = true;
        r[i].sim = delay_sim_wait(i ? DELAY_CONSTANT : DELAY_EXPONENTIAL, load, service, c->samples, c->seed);
    }
}

static size_t queue_results(const struct delay_conf *c, struct result r[3])
{
    const struct delay_path *p = &c->path;
    add_waits(c, delay_transmission(&p->links[delay_bottleneck(p)], p->bits), r);
    if (!c->buffer)
        return 2;
    r[2] = (struct result){.model = "M/M/1/K", .quantity = "loss", .unit = "", .simulated = true};
    r[2].value = delay_loss_mm1k(c->load, c->buffer);
    r[2].sim = delay_sim_loss(c->load, c->buffer, c->samples, c->seed);
    snprintf(r[2].formula, sizeof r[2].formula, "(1-I) I^K / (1-I^(K+1)) with I = %g, K = %" PRIu64, c->load,
             c->buffer);
    return 3;
}

static void print_queues(const struct delay_conf *c, const struct result *r, size_t n)
{
    const struct delay_path *p = &c->path;
    const struct delay_link *slow = &p->links[delay_bottleneck(p)];
    double queueing = 0;
    printf("\nQueueing at traffic intensity I = La/R = %g (at the slowest link a = %.6g packets/s)\n", c->load,
           c->load * slow->rate / p->bits);
    for (size_t i = 0; i < n; i++) {
        printf("  %-8s mean %s = %s = %s\n", r[i].model, r[i].quantity, r[i].formula, N(r[i].value, r[i].unit));
        if (r[i].simulated)
            printf("           simulated %s +- %s (95 %%), the formula is %s\n", N(r[i].sim.mean, r[i].unit),
                   N(r[i].sim.half, r[i].unit), inside(&r[i].sim, r[i].value) ? "inside" : "OUTSIDE");
    }
    for (size_t i = 0; i < p->count; i++)
        queueing += delay_wait_mm1(c->load, delay_transmission(&p->links[i], p->bits));
    printf("One packet end to end with such a queue (M/M/1) at each link: %s + %s = %s\n", N(delay_first(p), "s"),
           N(queueing, "s"), N(delay_first(p) + queueing, "s"));
}

static err_t json_queues(const struct delay_conf *c, const struct result *r, size_t n, struct buf *b)
{
    struct json j;
    for (size_t i = 0; i < n; i++) {
        json_start_line(b, &j, "queue");
        json_key(&j, "model"), json_string(&j, slice_z(r[i].model));
        json_value(&j, "load", c->load);
        json_value(&j, r[i].quantity, r[i].value);
        if (r[i].simulated) {
            json_value(&j, "simulated", r[i].sim.mean);
            json_value(&j, "interval", r[i].sim.half);
            json_key(&j, "inside"), json_bool(&j, inside(&r[i].sim, r[i].value));
        }
        TRY(json_print(&j));
    }
    return NULL;
}

/* ---- Delay against load ---- */

struct sweep {
    double x[SWEEP], mm1[SWEEP], md1[SWEEP], sim[2][SWEEP];
};

static void sweep(const struct delay_conf *c, double service, struct sweep *s)
{
    for (int i = 0; i < SWEEP; i++) {
        double load = s->x[i] = (i + 1) / (SWEEP + 1.0);
        s->mm1[i] = (delay_wait_mm1(load, service) + service) * 1e3;
        s->md1[i] = (delay_wait_md1(load, service) + service) * 1e3;
        for (int k = 0; k < 2; k++)
            s->sim[k][i] = 1e3 * (service + delay_sim_wait(k ? DELAY_CONSTANT : DELAY_EXPONENTIAL, load, service,
                                                           SWEEP_SAMPLES, c->seed + 1 + (uint64_t)i)
                                                .mean);
    }
}

static err_t draw(const struct delay_conf *c)
{
    struct sweep s;
    AUTO(buf_free) struct buf out = {0};
    const struct delay_path *p = &c->path;
    sweep(c, delay_transmission(&p->links[delay_bottleneck(p)], p->bits), &s);
    const struct plot_series series[] = {{"M/M/1", s.x, s.mm1, SWEEP, PLOT_LINE},
                                         {"M/D/1", s.x, s.md1, SWEEP, PLOT_LINE},
                                         {"simulated M/M/1", s.x, s.sim[0], SWEEP, PLOT_DOTS},
                                         {"simulated M/D/1", s.x, s.sim[1], SWEEP, PLOT_DOTS}};
    struct plot plot = {.title = "queueing and transmission at the slowest link",
                        .x_label = "load",
                        .y_label = "ms",
                        .series = series,
                        .count = sizeof series / sizeof series[0]};
    if (!c->json) {
        TRY(plot_text(&plot, COLUMNS, ROWS, c->color, &out));
        printf("\n%.*s", SLICE_ARG(buf_slice(&out)));
        out.n = 0;
    }
    if (!c->svg)
        return NULL;
    TRY(plot_svg(&plot, &out));
    return buf_write_file(&out, c->svg);
}

err_t delay_run(const struct delay_conf *c)
{
    AUTO(buf_free) struct buf line = {0};
    struct result results[3];
    size_t n = c->load > 0 ? queue_results(c, results) : 0;
    if (c->json) {
        TRY(json_path(c, &line));
        TRY(json_queues(c, results, n, &line));
    } else {
        print_path(c);
        if (n)
            print_queues(c, results, n);
    }
    return n || c->svg ? draw(c) : NULL;
}
