/* SPDX-License-Identifier: MIT */
#include "net/resolve_both.h"

#include <stdlib.h>

#include "rt/loop.h"
#include "rt/waitq.h"

struct half {
    struct both *both;
    int family;
    bool done;
    err_t e;
    struct resolved got;
};
struct both {
    struct slice host;
    uint16_t port;
    tick until;
    struct waitq changed;
    struct half half[2]; /* IPv6 first */
};

static void resolve_half(void *arg)
{
    struct half *h = arg;
    h->e = resolve(h->both->host, h->both->port, h->family, &h->got, h->both->until);
    h->done = true;
    waitq_wake(&h->both->changed, -1);
}

static bool answered(const struct half *h)
{
    return h->done && !h->e;
}

static err_t both_wait(struct both *b, struct scope *scope)
{
    const struct half *six = &b->half[0], *four = &b->half[1];
    tick patience = TICK_NEVER;
    TRY(scope_spawn(scope, "AAAA", resolve_half, &b->half[0]));
    TRY(scope_spawn(scope, "A", resolve_half, &b->half[1]));
    while (!(six->done && four->done)) {
        if (patience == TICK_NEVER && (answered(six) || answered(four)))
            patience = now() + RESOLVE_DELAY;
        err_t e = waitq_wait(&b->changed, patience < b->until ? patience : b->until);
        if (e == E_TIMEOUT && now() >= patience)
            return NULL;
        TRY(e);
    }
    return NULL;
}

static err_t run(struct both *b, struct resolved *out)
{
    struct scope scope;
    waitq_init(&b->changed);
    b->half[0] = (struct half){.both = b, .family = AF_INET6};
    b->half[1] = (struct half){.both = b, .family = AF_INET};
    scope_open(&scope);
    err_t e = both_wait(b, &scope);
    bool some = answered(&b->half[0]) || answered(&b->half[1]);
    scope_close(&scope);
    if (e)
        return e == E_TIMEOUT ? fault(e, "looking up %.*s", SLICE_ARG(b->host)) : e;
    if (!some) { /* "no such host" is the better founded of two different verdicts */
        e = b->half[0].e == E_NO_HOST ? E_NO_HOST : b->half[1].e;
        return e == E_CANCELED ? e : fault(e, "%.*s", SLICE_ARG(b->host));
    }
    out->n = 0;
    for (int h = 0; h < 2; h++)
        for (int i = 0; answered(&b->half[h]) && i < b->half[h].got.n && out->n < RESOLVE_MAX; i++)
            out->v[out->n++] = b->half[h].got.v[i];
    return NULL;
}

err_t resolve_both(struct slice host, uint16_t port, struct resolved *out, tick until)
{
    struct both *b = calloc(1, sizeof *b); /* too much for a frame */
    if (!b)
        return E_NO_MEMORY;
    b->host = host;
    b->port = port;
    b->until = until;
    err_t e = run(b, out);
    free(b);
    return e;
}
