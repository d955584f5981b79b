/* SPDX-License-Identifier: MIT */
/*
 * heartbeat_load.c -- many senders in one process, for bench/heartbeat.py and the long runs: SENDERS ids from PORTS
 * source ports, evenly spread over every second, RATE beats a second in all, for SECONDS.
 *
 *     heartbeat_load HOST PORT SENDERS PORTS RATE SECONDS
 *
 * It must cost less than what it measures: every packet is laid out beforehand, a beat changes two fields of it, and a
 * train of beats from one port leaves in one call (UDP_SEGMENT; the receiver gets them one by one as ever). Prints how
 * many beats were sent, and by how much the latest train was late: a generator that cannot keep up measures nothing.
 * Trains that the kernel refuses are sent again, so that what is missing in the end was lost on the way.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/check.h"
#include "dgram/beat_packet.h"
#include "net/udp.h"

enum { TRAIN = 50, PACKET = 40 + 11, SEQUENCE_AT = 16, SENT_AT = 24 };

struct load {
    uint64_t senders, ports, rate, seconds;
    int *fd;
    uint8_t (*packet)[PACKET]; /* neighbours share a port */
};

static int64_t clock_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * TICK_S + ts.tv_nsec;
}

static void lay_out(const struct load *l)
{
    uint64_t incarnation = (uint64_t)clock_ns(CLOCK_REALTIME);
    for (uint64_t k = 0; k < l->senders; k++) {
        char id[32];
        uint8_t out[BEAT_MAX];
        struct beat b = {.incarnation = incarnation, .interval_ns = (int64_t)(l->senders * 1000000000 / l->rate)};
        snprintf(id, sizeof id, "node-%06llu", (unsigned long long)k);
        b.id = slice_z(id);
        CHECK(beat_format(&b, out) == PACKET);
        memcpy(l->packet[k], out, PACKET);
    }
}

static void put_u64(uint8_t *out, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(out, &v, sizeof v);
}

/* Beats of senders first..first+n, all of one port. */
static void send_train(const struct load *l, uint64_t first, uint64_t n, uint64_t sequence)
{
    int64_t now = clock_ns(CLOCK_REALTIME);
    for (uint64_t k = first; k < first + n; k++) {
        put_u64(l->packet[k] + SEQUENCE_AT, sequence);
        put_u64(l->packet[k] + SENT_AT, (uint64_t)now);
    }
    int fd = l->fd[first / (l->senders / l->ports)];
    while (send(fd, l->packet[first], n * PACKET, 0) < 0)
        CHECK(errno == EINTR || errno == ENOBUFS || errno == EAGAIN);
}

static int64_t run(const struct load *l)
{
    uint64_t each = l->senders / l->ports, total = l->rate * l->seconds;
    int64_t start = clock_ns(CLOCK_MONOTONIC), latest = 0;
    for (uint64_t k = 0, n; k < total; k += n) {
        uint64_t sender = k % l->senders, left = each - sender % each;
        n = left < TRAIN ? left : TRAIN;
        n = n < total - k ? n : total - k;
        int64_t due = start + (int64_t)((double)k / (double)l->rate * 1e9), late = clock_ns(CLOCK_MONOTONIC) - due;
        if (late < 0) {
            struct timespec ts = {due / TICK_S, due % TICK_S};
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
        }
        latest = late > latest ? late : latest;
        send_train(l, sender, n, k / l->senders + 1);
    }
    return latest;
}

int main(int argc, char **argv)
{
    struct addr to;
    int train = PACKET;
    CHECK(argc == 7);
    CHECK(!addr_parse(slice_z(argv[1]), (uint16_t)strtoul(argv[2], NULL, 10), &to));
    struct load l = {.senders = strtoull(argv[3], NULL, 10),
                     .ports = strtoull(argv[4], NULL, 10),
                     .rate = strtoull(argv[5], NULL, 10),
                     .seconds = strtoull(argv[6], NULL, 10)};
    CHECK(l.ports && l.senders >= l.ports && l.senders % l.ports == 0 && l.senders <= 1000000 && l.rate);
    l.fd = calloc(l.ports, sizeof *l.fd);
    l.packet = calloc(l.senders, sizeof *l.packet);
    CHECK(l.fd && l.packet);
    lay_out(&l);
    for (uint64_t i = 0; i < l.ports; i++) {
        l.fd[i] = socket(to.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        CHECK(l.fd[i] >= 0 && connect(l.fd[i], &to.sa, to.len) == 0);
        CHECK(setsockopt(l.fd[i], SOL_UDP, UDP_SEGMENT, &train, sizeof train) == 0);
    }
    int64_t latest = run(&l);
    printf("sent %llu late_ms %.1f\n", (unsigned long long)(l.rate * l.seconds), (double)latest / 1e6);
    free(l.packet);
    free(l.fd);
    return 0;
}
