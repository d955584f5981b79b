/* SPDX-License-Identifier: MIT */
/* sim.c -- the simulator's time, knobs and poller. */
#include "rt/sim.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "rt/offload.h"
#include "rt/sim_world.h"

struct sock sim_socks[SOCKETS];
struct sim_world sim_world = {
    .now = 1000 * TICK_S, .wall = INT64_C(1767225600) * TICK_S, .window = WINDOW, .next_port = 40000};

/* ---- The world ---- */

void sim_reset(void)
{
    CHECK(sim_open_count() == 0);
    tick now = sim_world.now; /* time only moves forward */
    memset(&sim_world, 0, sizeof sim_world);
    sim_world.now = now + TICK_S;
    sim_world.wall = INT64_C(1767225600) * TICK_S - sim_world.now; /* 2026-01-01T00:00:00Z now */
    sim_world.window = WINDOW;
    sim_world.next_port = 40000;
}

void sim_latency(tick one_way)
{
    sim_world.latency = one_way;
}
void sim_window(size_t bytes)
{
    sim_world.window = bytes;
}
void sim_chunk(size_t most)
{
    sim_world.chunk = most;
}
void sim_blackhole(uint16_t port, bool on)
{
    sim_world.blackhole[port] = on;
}
void sim_blackhole_host(const struct addr *a)
{
    CHECK(sim_world.dark_count < 8);
    sim_world.dark[sim_world.dark_count++] = *a;
}
void sim_wall(int64_t ns)
{
    sim_world.wall = ns - sim_world.now;
}
void sim_fail(unsigned long nth, int errnum)
{
    sim_world.fail_in = nth;
    sim_world.fail_with = errnum;
}
unsigned long sim_calls(void)
{
    return sim_world.calls;
}

size_t sim_open_count(void)
{
    size_t n = 0;
    for (int i = 0; i < SOCKETS; i++)
        n += sim_socks[i].state != UNUSED;
    return n;
}

tick clock_now(void)
{
    return sim_world.now;
}
int64_t clock_wall(void)
{
    return sim_world.wall + sim_world.now;
}

err_t offload(err_t (*fn)(void *), void *arg, tick until)
{
    (void)until;
    return fiber_canceled() ? E_CANCELED : fn(arg);
}

/* Count this call, and say whether it is the one that shall fail. */
bool sim_fails(void)
{
    sim_world.calls++;
    if (sim_world.fail_in && --sim_world.fail_in == 0) {
        errno = sim_world.fail_with;
        return true;
    }
    return false;
}

struct sock *sim_sock_of(int fd)
{
    if (fd < SIM_FIRST)
        return NULL;
    struct sock *s = &sim_socks[fd - SIM_FIRST];
    CHECK(fd < SIM_FIRST + SOCKETS && s->state != UNUSED); /* used after it was closed */
    return s;
}

int sim_fd_of(const struct sock *s)
{
    return SIM_FIRST + (int)(s - sim_socks);
}

/* ---- Edges ---- */

struct segment *sim_arrived(const struct sock *s)
{
    struct segment *g = LIST_ENTRY(s->incoming.next, struct segment, link);
    return list_empty(&s->incoming) || g->at > sim_world.now ? NULL : g;
}

bool sim_can_read(const struct sock *s)
{
    return s->state == LISTENER ? s->waiting > 0 : s->reset || sim_arrived(s);
}

bool sim_can_write(const struct sock *s)
{
    return s->state == CONNECTED && (!s->peer || s->reset || s->peer->held < s->peer->window);
}

void sim_edge(struct sock *s)
{
    if (!s->watched)
        return;
    struct segment *last = LIST_ENTRY(s->incoming.prev, struct segment, link);
    s->news = true;
    s->edge.read = sim_can_read(s);
    s->edge.write = sim_can_write(s) || s->state == DEAD;
    s->edge.hangup =
        s->reset || s->state == DEAD || (!list_empty(&s->incoming) && last->n == 0 && last->at <= sim_world.now);
}

struct poller {
    bool alarm;
};

err_t poll_open(struct poller **out)
{
    *out = calloc(1, sizeof **out);
    return *out ? NULL : E_NO_MEMORY;
}

void poll_close(struct poller *p)
{
    free(p);
}

void poll_alarm(struct poller *p)
{
    p->alarm = true;
}

err_t poll_watch(struct poller *p, int fd, uint64_t token, bool writing)
{
    (void)p, (void)writing; /* edges of writing that nobody waits for do no harm */
    if (sim_fails())
        return err_errno(errno);
    struct sock *s = sim_sock_of(fd);
    if (!s)
        return E_PERMISSION; /* a regular file: it is always ready and never waited for */
    s->watched = true;
    s->edge = (struct ready){.token = token};
    if (sim_can_read(s) || sim_can_write(s) || s->state == DEAD)
        sim_edge(s);
    return NULL;
}

void poll_forget(struct poller *p, int fd)
{
    (void)p;
    struct sock *s = sim_sock_of(fd);
    if (s)
        s->watched = s->news = false;
}

static int collect(struct ready *out, int max)
{
    int n = 0;
    for (int i = 0; i < SOCKETS && n < max; i++)
        if (sim_socks[i].news) {
            sim_socks[i].news = false;
            out[n++] = sim_socks[i].edge;
        }
    return n;
}

/* Move time to the next arrival, not past `until`, and report who has something new. */
static void advance(tick until)
{
    tick next = until;
    for (int i = 0; i < SOCKETS; i++)
        for (struct list *l = sim_socks[i].state == UNUSED ? NULL : sim_socks[i].incoming.next;
             l && l != &sim_socks[i].incoming; l = l->next) {
            tick at = LIST_ENTRY(l, struct segment, link)->at;
            if (at > sim_world.now && at < next)
                next = at;
        }
    if (next == TICK_NEVER) {
        fiber_dump();
        CHECK(next != TICK_NEVER); /* the simulation is stuck: nobody can go on and nothing is due */
    }
    sim_world.same_time = next > sim_world.now ? 0 : sim_world.same_time + 1;
    CHECK(sim_world.same_time < SAME_TIME_MAX); /* somebody spins */
    if (next > sim_world.now)
        sim_world.now = next;
    for (int i = 0; i < SOCKETS; i++)
        for (struct list *l = sim_socks[i].state == UNUSED ? NULL : sim_socks[i].incoming.next;
             l && l != &sim_socks[i].incoming; l = l->next)
            if (LIST_ENTRY(l, struct segment, link)->at == sim_world.now)
                sim_edge(&sim_socks[i]);
}

int poll_wait(struct poller *p, struct ready *out, int max, tick until)
{
    int n = collect(out, max);
    if (n == 0 && !p->alarm && until > sim_world.now) {
        advance(until);
        n = collect(out, max);
    }
    p->alarm = false;
    return n;
}
