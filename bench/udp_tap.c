/* SPDX-License-Identifier: MIT */
/*
 * udp_tap.c -- writes down when packets pass the loopback device, as a process of its own: bench_udp_tap PROTOCOL PORT.
 *
 * A packet socket sees each packet twice there, going out and coming in, with the kernel's time. One record a packet
 * goes to standard output: 8 bytes of time (ns), 2 of length, 1 of direction (4 = out), 1 zero, the first 116 bytes
 * from the IP header on. PROTOCOL is 17 or 1, PORT either port of UDP. Ends on SIGTERM. Says "ready" on standard error.
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SNAP = 116, RECORDS = 1 << 20 };

struct record {
    int64_t ns;
    uint16_t length;
    uint8_t direction, zero;
    char bytes[SNAP];
};

static struct record *records;
static size_t count;

static void end(int sig)
{
    (void)sig;
    for (size_t at = 0, n = count * sizeof *records; at < n;) {
        ssize_t put = write(STDOUT_FILENO, (char *)records + at, n - at);
        if (put <= 0)
            _exit(1);
        at += (size_t)put;
    }
    _exit(0);
}

static int wanted(const struct record *r, int protocol, int port)
{
    struct iphdr ip;
    struct udphdr udp;
    memcpy(&ip, r->bytes, sizeof ip);
    memcpy(&udp, r->bytes + sizeof ip, sizeof udp);
    if (ip.version != 4 || ip.protocol != protocol)
        return 0;
    return protocol != IPPROTO_UDP || ntohs(udp.source) == port || ntohs(udp.dest) == port;
}

static void take(int fd, int protocol, int port)
{
    struct record *r = &records[count];
    struct sockaddr_ll from;
    char control[256];
    struct iovec v = {r->bytes, sizeof r->bytes};
    struct msghdr h = {.msg_name = &from,
                       .msg_namelen = sizeof from,
                       .msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof control};
    ssize_t n = recvmsg(fd, &h, MSG_TRUNC);
    if (n < 0 || count == RECORDS - 1 || !wanted(r, protocol, port))
        return;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec t;
            memcpy(&t, CMSG_DATA(c), sizeof t);
            r->ns = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
        }
    r->length = (uint16_t)n;
    r->direction = from.sll_pkttype;
    count++;
}

int main(int argc, char **argv)
{
    int on = 1, room = 64 << 20, fd = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP));
    struct sockaddr_ll lo = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex("lo")};
    records = calloc(RECORDS, sizeof *records);
    if (argc < 3 || fd < 0 || !records || bind(fd, (struct sockaddr *)&lo, sizeof lo) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0)
        return perror("bench_udp_tap"), 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    struct sigaction act = {.sa_handler = end};
    sigaction(SIGTERM, &act, NULL);
    fprintf(stderr, "ready\n");
    int protocol = (int)strtol(argv[1], NULL, 10), port = (int)strtol(argv[2], NULL, 10);
    for (;;)
        take(fd, protocol, port);
}
