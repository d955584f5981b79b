/* SPDX-License-Identifier: MIT */
/* delay.c -- l7 delay: lists of links to the models of app/path/delay.h. */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/path/delay.h"
#include "app/path/delay_sim.h"
#include "base/clock.h"
#include "cmd/verb.h"

enum { LINKS_MAX = 64, LINKS_USUAL = 2 };

struct conf {
    int64_t hops, packets, buffer, seed, samples, processing;
    uint64_t length;
    const char *rate, *distance, *speed, *load, *svg;
    bool json;
    struct delay_link links[LINKS_MAX];
};

#define AT(field) offsetof(struct conf, field)
static const struct opt opts[] = {
    {"hops", 0, OPT_INT, AT(hops), "N", "links in a row (2, or as many as a list below has)", NULL, NULL, false},
    {"packets", 0, OPT_INT, AT(packets), "N", "sent together", "10", NULL, false},
    {"length", 0, OPT_SIZE, AT(length), "BYTES", "of a packet", "1000", NULL, false},
    {"rate", 0, OPT_STRING, AT(rate), "R[,R]...", "bits a second of each link: 10M, 1.5G (powers of 1000)", "1M", NULL,
     false},
    {"distance", 0, OPT_STRING, AT(distance), "D[,D]...", "length of each link: 300m, 100km", "100km", NULL, false},
    {"speed", 0, OPT_STRING, AT(speed), "V[,V]...", "of the signal, in metres a second", "2e8", NULL, false},
    {"processing", 0, OPT_DURATION, AT(processing), "TIME", "of each packet in front of each link", "0", NULL, false},
    {"load", 0, OPT_STRING, AT(load), "I", "traffic intensity La/R: queues, and a drawing", NULL, NULL, false},
    {"buffer", 0, OPT_INT, AT(buffer), "K", "room for K packets, the one being sent included", NULL, NULL, false},
    {"seed", 0, OPT_INT, AT(seed), "N", "of the simulation", "1", NULL, false},
    {"samples", 0, OPT_INT, AT(samples), "N", "packets that the simulation follows", "1000000", NULL, false},
    {"json", 0, OPT_FLAG, AT(json), NULL, "one JSON object a line; seconds, bits, metres", NULL, NULL, false},
    {"svg", 0, OPT_STRING, AT(svg), "FILE", "draw delay against load", NULL, NULL, false},
    {NULL, 0, OPT_FLAG, 0, NULL, NULL, NULL, NULL, false}};
static const struct opt *const tables[] = {opts, NULL};

/* "10M", "100km", "2e8": a positive number with a decimal prefix and perhaps a unit. */
static bool read_number(struct slice s, const char *unit, bool zero_ok, double *out)
{
    static const struct {
        char letter;
        double times;
    } prefixes[] = {{'k', 1e3}, {'K', 1e3}, {'M', 1e6}, {'G', 1e9}};
    char text[64], *end;
    if (!slice_to_z(s, text, sizeof text))
        return false;
    double v = strtod(text, &end);
    if (end == text)
        return false;
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (*end == prefixes[i].letter) {
            v *= prefixes[i].times;
            end++;
            break;
        }
    if ((*end && strcmp(end, unit) != 0) || !isfinite(v) || v < 0 || (v == 0 && !zero_ok))
        return false;
    *out = v;
    return true;
}

/* A list with one value a link; the last one stands for all that follow. `at` is the field of the first link. */
static err_t read_list(const char *name, const char *text, const char *unit, bool zero_ok, double *at, size_t *count)
{
    struct slice rest = slice_z(text), part;
    size_t n = 0;
    const size_t step = sizeof(struct delay_link) / sizeof(double);
    while (slice_cut(&rest, ',', &part)) {
        if (n == LINKS_MAX)
            return fault(E_USAGE, "--%s: more than %d links", name, LINKS_MAX);
        if (!read_number(part, unit, zero_ok, at + n * step))
            return fault(E_USAGE, "--%s: '%s' is no list of such numbers", name, text);
        n++;
    }
    if (!n)
        return fault(E_USAGE, "--%s: there is no number", name);
    for (size_t i = n; i < LINKS_MAX; i++)
        at[i * step] = at[(n - 1) * step];
    if (n > *count)
        *count = n;
    return NULL;
}

static err_t read_links(struct conf *c, size_t *count)
{
    *count = 1;
    TRY(read_list("rate", c->rate, "bit/s", false, &c->links[0].rate, count));
    TRY(read_list("distance", c->distance, "m", true, &c->links[0].distance, count));
    TRY(read_list("speed", c->speed, "m/s", false, &c->links[0].speed, count));
    for (size_t i = 0; i < LINKS_MAX; i++)
        c->links[i].processing = (double)c->processing / (double)TICK_S;
    if (*count == 1)
        *count = LINKS_USUAL;
    if (c->hops)
        *count = (size_t)c->hops;
    return NULL;
}

static err_t prepare(struct conf *c, struct delay_conf *d)
{
    if (c->hops < 0 || c->hops > LINKS_MAX)
        return fault(E_USAGE, "--hops: from 1 to %d", LINKS_MAX);
    if (c->packets < 1 || c->packets > 100000000)
        return fault(E_USAGE, "--packets: from 1 to 100000000");
    if (c->buffer < 0 || c->buffer > DELAY_BUFFER_MAX)
        return fault(E_USAGE, "--buffer: up to %d packets", DELAY_BUFFER_MAX);
    if (c->samples < 1000 || c->samples > 1000000000)
        return fault(E_USAGE, "--samples: from 1000 to 1000000000");
    if (c->length == 0)
        return fault(E_USAGE, "--length: a packet has at least one byte");
    TRY(read_links(c, &d->path.count));
    if (c->load && (!read_number(slice_z(c->load), "", false, &d->load) || d->load > 100))
        return fault(E_USAGE, "--load: '%s' is no traffic intensity: a number above 0 (0.9)", c->load);
    if (c->buffer && !c->load)
        return fault(E_USAGE, "--buffer goes with --load");
    return NULL;
}

static int run(void *arg, int argc, char **argv)
{
    struct conf *c = arg;
    (void)argc, (void)argv;
    struct delay_conf d = {.path = {.links = c->links, .bits = 8 * (double)c->length, .packets = (uint64_t)c->packets},
                           .buffer = (uint64_t)c->buffer,
                           .seed = (uint64_t)c->seed,
                           .samples = (uint64_t)c->samples,
                           .json = c->json,
                           .color = isatty(STDOUT_FILENO) && !getenv("NO_COLOR"),
                           .svg = c->svg};
    err_t e = prepare(c, &d);
    if (!e)
        e = delay_run(&d);
    return e ? verb_fail(&delay_role, e) : 0;
}

const struct opt_role delay_role = {.tool = "delay",
                                    .usage = "",
                                    .summary = "delay, loss and throughput of a path: formulas beside a simulation",
                                    .tables = tables,
                                    .conf_size = sizeof(struct conf),
                                    .run = run,
                                    .notes = "  l7 delay --packets 10 --rate 1M,2M --distance 100km,5000km\n"
                                             "  l7 delay --load 0.9 --buffer 20 --svg load.svg\n"};
