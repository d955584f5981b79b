/* SPDX-License-Identifier: MIT */
/*
 * heartbeat_load.c -- many senders in one process, for bench/heartbeat.py: SENDERS ids from PORTS source ports, evenly
 * spread over every second, RATE beats a second in all, for SECONDS.
 *
 *     heartbeat_load HOST PORT SENDERS PORTS RATE SECONDS
 *
 * Prints how many beats were sent, and by how much the last one was late (a generator that cannot keep up measures
 * nothing). Beats that the kernel refuses are sent again, so that what is missing in the end was lost on the way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "base/check.h"
#include "dgram/beat_packet.h"
#include "net/udp.h"

enum { BURST = 64 };

static tick mono(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (tick)ts.tv_sec * TICK_S + ts.tv_nsec;
}

static int64_t wall(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * TICK_S + ts.tv_nsec;
}

static uint8_t packet[BURST][BEAT_MAX];
static struct iovec vector[BURST];
static struct mmsghdr message[BURST];

static void send_burst(int fd, unsigned n)
{
    for (unsigned done = 0; done < n;) {
        int sent = sendmmsg(fd, message + done, n - done, 0);
        if (sent > 0)
            done += (unsigned)sent;
    }
}

struct load {
    uint64_t senders, ports, rate, seconds, incarnation;
    int *fd;
};

/* Beat number `k` of all: sender k % senders, whose ids are laid out so that neighbours share a port. */
static size_t fill(const struct load *l, uint64_t k, uint8_t *out)
{
    char id[32];
    struct beat b = {.sequence = k / l->senders + 1,
                     .incarnation = l->incarnation,
                     .sent_ns = wall(),
                     .interval_ns = (int64_t)(l->senders * 1000000000 / l->rate)};
    snprintf(id, sizeof id, "node-%06llu", (unsigned long long)(k % l->senders));
    b.id = slice_z(id);
    return beat_format(&b, out);
}

static tick run(const struct load *l)
{
    uint64_t each = l->senders / l->ports, total = l->rate * l->seconds;
    tick start = mono(), late = 0;
    for (uint64_t k = 0; k < total;) {
        int fd = l->fd[k % l->senders / each % l->ports];
        unsigned n = 0;
        do {
            vector[n] = (struct iovec){packet[n], fill(l, k, packet[n])};
            message[n].msg_hdr = (struct msghdr){.msg_iov = &vector[n], .msg_iovlen = 1};
            n++, k++;
        } while (n < BURST && k < total && k % l->senders % each);
        tick due = start + (tick)((double)k / (double)l->rate * 1e9), at = mono();
        if (at < due) {
            struct timespec ts = {due / TICK_S, due % TICK_S};
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
        }
        late = at > due ? at - due : 0;
        send_burst(fd, n);
    }
    return late;
}

int main(int argc, char **argv)
{
    struct addr to;
    CHECK(argc == 7);
    CHECK(!addr_parse(slice_z(argv[1]), (uint16_t)strtoul(argv[2], NULL, 10), &to));
    struct load l = {strtoull(argv[3], NULL, 10),
                     strtoull(argv[4], NULL, 10),
                     strtoull(argv[5], NULL, 10),
                     strtoull(argv[6], NULL, 10),
                     (uint64_t)wall(),
                     NULL};
    CHECK(l.ports && l.senders >= l.ports && l.senders % l.ports == 0 && l.rate);
    l.fd = calloc(l.ports, sizeof *l.fd);
    CHECK(l.fd);
    for (uint64_t i = 0; i < l.ports; i++) {
        l.fd[i] = socket(to.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        CHECK(l.fd[i] >= 0 && connect(l.fd[i], &to.sa, to.len) == 0);
    }
    tick late = run(&l);
    printf("sent %llu late_ms %.1f\n", (unsigned long long)(l.rate * l.seconds), (double)late / 1e6);
    free(l.fd);
    return 0;
}
