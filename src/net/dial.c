/* SPDX-License-Identifier: MIT */
#include "net/dial.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>

#include "base/check.h"
#include "rt/io.h"
#include "rt/loop.h"
#include "rt/sys.h"
#include "rt/waitq.h"

static const struct dial_options no_options;

static err_t bind_local(int fd, const struct addr *local, int family)
{
    int on = 1;
    char text[ADDR_TEXT];
    if (local->sa.sa_family != family)
        return fault(E_UNREACHABLE, "local address %s is of the other family", addr_text_host(local, text));
    /* The port is chosen by connect, which may share it between different destinations. */
    sys_setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (sys_bind(fd, &local->sa, local->len) < 0)
        return fault(err_errno(errno), "local address %s", addr_text_host(local, text));
    return NULL;
}

static err_t connect_on(int fd, const struct addr *to, const struct dial_options *options, tick until)
{
    int on = 1;
    if (options->bind && to->sa.sa_family != AF_UNIX)
        TRY(bind_local(fd, options->bind, to->sa.sa_family));
    TRY(io_connect(fd, to, until));
    if (to->sa.sa_family != AF_UNIX)
        sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return NULL;
}

err_t dial_addr(const struct addr *to, const struct dial_options *options, int *out, tick until)
{
    char text[ADDR_TEXT];
    options = options ? options : &no_options;
    if (options->allowed && !options->allowed(to, SLICE_NONE, options->arg))
        return fault(E_FORBIDDEN, "%s", addr_text(to, text));
    int fd = sys_socket(to->sa.sa_family, SOCK_STREAM);
    if (fd < 0)
        return fault(err_errno(errno), "%s", addr_text(to, text));
    fault_clear();
    err_t e = connect_on(fd, to, options, until);
    if (!e) {
        *out = fd;
        return NULL;
    }
    io_close(fd);
    return *fault_detail() ? e : fault(e, "%s", addr_text(to, text));
}

/* -- the race -- */

struct attempt {
    struct race *race;
    struct addr to;
};
struct side { /* one family's half */
    struct race *race;
    int family;
    bool done; /* answered, or not to be asked at all */
    err_t e;
    struct resolved got;
    int next; /* index of the address to try next */
};
struct race {
    struct slice host;
    uint16_t port;
    tick until;
    const struct dial_options *options;
    struct scope scope;
    struct waitq changed;
    struct side side[2]; /* IPv6, IPv4 */
    int turn;            /* the side whose address is tried next */
    int attempts, running, refused;
    bool failed; /* an attempt has failed since the last was started */
    err_t e;     /* the most telling failure so far */
    int winner;  /* -1, or the connected socket */
    struct addr peer;
    struct attempt v[2 * RESOLVE_MAX];
};

static bool answered(const struct side *s)
{
    return s->done && !s->e;
}

static void look_up(void *arg)
{
    struct side *s = arg;
    struct race *r = s->race;
    s->e = resolve(r->host, r->port, s->family, &s->got, r->until);
    s->done = true;
    waitq_wake(&r->changed, -1);
}

/* "unreachable" only says that this machine lacks a family; anything else says more. */
static void note_failure(struct race *r, err_t e)
{
    r->failed = true;
    if (e != E_CANCELED && (!r->e || r->e == E_UNREACHABLE))
        r->e = e;
}

static void try_one(void *arg)
{
    struct attempt *a = arg;
    struct race *r = a->race;
    struct dial_options options = *r->options;
    int fd = -1;
    options.allowed = NULL; /* was asked already */
    err_t e = dial_addr(&a->to, &options, &fd, r->until);
    r->running--;
    if (e)
        note_failure(r, e);
    else if (r->winner >= 0)
        io_close(fd);
    else
        r->winner = fd, r->peer = a->to;
    waitq_wake(&r->changed, -1);
}

/* The next address that may be dialled, families in turn; NULL when none is known now. */
static const struct addr *next_address(struct race *r)
{
    for (int tries = 0; tries < 2; r->turn ^= 1) {
        struct side *s = &r->side[r->turn];
        if (!answered(s) || s->next == s->got.n) {
            tries++;
            continue;
        }
        const struct addr *a = &s->got.v[s->next++];
        if (!r->options->allowed || r->options->allowed(a, r->host, r->options->arg)) {
            r->turn ^= 1;
            return a;
        }
        r->refused++;
        tries = 0;
    }
    return NULL;
}

static err_t start_next(struct race *r, bool *started)
{
    const struct addr *to = next_address(r);
    *started = to != NULL;
    if (!to)
        return NULL;
    struct attempt *a = &r->v[r->attempts++];
    *a = (struct attempt){r, *to};
    r->failed = false;
    r->running++;
    err_t e = scope_spawn(&r->scope, "dial", try_one, a);
    r->running -= e != NULL;
    return e;
}

static err_t wait_change(struct race *r, tick at)
{
    err_t e = waitq_wait(&r->changed, at < r->until ? at : r->until);
    return e == E_TIMEOUT && at < r->until ? NULL : e;
}

/* Until there is an address to begin with: see the header for the 50 ms. */
static err_t wait_first(struct race *r, struct dial_times *times)
{
    struct side *six = &r->side[0], *four = &r->side[1];
    tick patience = TICK_NEVER;
    while (!answered(six) && !(six->done && four->done) && now() < patience) {
        if (answered(four) && patience == TICK_NEVER)
            patience = now() + RESOLVE_DELAY;
        TRY(wait_change(r, patience));
    }
    times->resolved = now();
    return NULL;
}

static err_t race_run(struct race *r)
{
    for (;;) {
        bool started = false;
        TRY(start_next(r, &started));
        bool resolving = !(r->side[0].done && r->side[1].done);
        if (!started && !resolving && r->running == 0)
            return NULL;
        tick step = started ? now() + DIAL_STEP : TICK_NEVER;
        bool knew[2] = {r->side[0].done, r->side[1].done};
        do {
            TRY(wait_change(r, step));
            if (r->winner >= 0)
                return NULL;
            bool news = knew[0] != r->side[0].done || knew[1] != r->side[1].done;
            if (r->failed || (!started && (news || r->running == 0)))
                break;
        } while (now() < step);
    }
}

static err_t verdict(struct race *r, err_t e)
{
    if (e == E_TIMEOUT && r->attempts)
        return fault(e, "connecting to %.*s:%u", SLICE_ARG(r->host), r->port);
    if (e)
        return e == E_TIMEOUT ? fault(e, "looking up %.*s", SLICE_ARG(r->host)) : e;
    if (r->winner >= 0)
        return NULL;
    if (r->attempts)
        return fault(r->e ? r->e : E_CANCELED, "%.*s:%u", SLICE_ARG(r->host), r->port);
    if (r->refused)
        return fault(E_FORBIDDEN, "%.*s:%u", SLICE_ARG(r->host), r->port);
    err_t six = r->side[0].e, four = r->side[1].e;
    e = r->options->family == AF_INET6 ? six : r->options->family == AF_INET || six != E_NO_HOST || !four ? four : six;
    return e == E_CANCELED ? e : fault(e ? e : E_NO_HOST, "%.*s", SLICE_ARG(r->host));
}

static err_t race_open(struct race *r)
{
    waitq_init(&r->changed);
    scope_open(&r->scope);
    for (int i = 0; i < 2; i++) {
        struct side *s = &r->side[i];
        *s = (struct side){.race = r, .family = i ? AF_INET : AF_INET6, .e = E_NO_HOST};
        if (r->options->family && r->options->family != s->family)
            s->done = true;
        else if (resolve_local(r->host, r->port, s->family, &s->got))
            s->done = true, s->e = s->got.n ? NULL : E_NO_HOST;
        else
            TRY(scope_spawn(&r->scope, i ? "A" : "AAAA", look_up, s));
    }
    return NULL;
}

static err_t race(struct race *r, struct dial_times *times)
{
    err_t e = race_open(r);
    if (!e)
        e = wait_first(r, times);
    if (!e)
        e = race_run(r);
    scope_close(&r->scope);
    e = r->winner >= 0 && e != E_CANCELED ? NULL : verdict(r, e);
    if (e && r->winner >= 0)
        io_close(r->winner);
    return e;
}

err_t dial(struct slice host, uint16_t port, const struct dial_options *options, int *fd, struct addr *peer,
           struct dial_times *times, tick until)
{
    struct dial_times unwanted = {0};
    struct race *r = calloc(1, sizeof *r); /* too much for a frame */
    if (!r)
        return E_NO_MEMORY;
    times = times ? times : &unwanted;
    *times = (struct dial_times){.start = now()};
    r->host = host;
    r->port = port;
    r->until = until;
    r->options = options ? options : &no_options;
    r->winner = -1;
    err_t e = race(r, times);
    if (!e) {
        times->connected = now();
        *fd = r->winner;
        if (peer)
            *peer = r->peer;
    }
    free(r);
    return e;
}
