/* SPDX-License-Identifier: MIT */
/*
 * udp_tap.c -- writes down when packets pass the loopback device, as a process of its own: bench_udp_tap PROTOCOL PORT.
 *
 * A packet socket sees each packet twice there, going out and coming in, with the kernel's time. One record a packet
 * goes to standard output: 8 bytes of time (ns), 2 of length, 1 of direction (4 = out), 1 zero, the first 116 bytes
 * from the IP header on. PROTOCOL is 17 or 1, PORT either port of UDP. Says "ready" on standard error.
 *
 * It sleeps until SIGTERM and only then reads what the kernel has kept: a tap that is woken for each packet adds the
 * wake-up, 10 us and more, to the very path that it watches. A filter in the kernel keeps other packets away.
 */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
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

static void asked_to_end(int sig)
{
    (void)sig;
}

static int put_all(void)
{
    for (size_t at = 0, n = count * sizeof *records; at < n;) {
        ssize_t put = write(STDOUT_FILENO, (char *)records + at, n - at);
        if (put <= 0)
            return 1;
        at += (size_t)put;
    }
    return 0;
}

/* IPv4 of this protocol; UDP from or to this port. The packet begins with the IP header, which has no options here. */
static int filter(int fd, unsigned protocol, unsigned port)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, protocol, 0, 6),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 4),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 20),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 2, 0),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 22),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SNAP),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog prog = {sizeof code / sizeof code[0], code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof prog);
}

/* 0 when there are no more. */
static int take(int fd)
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
    ssize_t n = recvmsg(fd, &h, MSG_TRUNC | MSG_DONTWAIT);
    if (n < 0 || count == RECORDS - 1)
        return 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec t;
            memcpy(&t, CMSG_DATA(c), sizeof t);
            r->ns = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
        }
    r->length = (uint16_t)n;
    r->direction = from.sll_pkttype;
    count++;
    return 1;
}

int main(int argc, char **argv)
{
    int on = 1, room = 64 << 20, fd = socket(AF_PACKET, SOCK_DGRAM, 0);
    struct sockaddr_ll lo = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex("lo")};
    records = calloc(RECORDS, sizeof *records);
    if (argc < 3 || fd < 0 || !records)
        return perror("bench_udp_tap"), 1;
    unsigned protocol = (unsigned)strtoul(argv[1], NULL, 10), port = (unsigned)strtoul(argv[2], NULL, 10);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    if (filter(fd, protocol, port) < 0 || setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&lo, sizeof lo) < 0)
        return perror("bench_udp_tap"), 1;
    struct sigaction act = {.sa_handler = asked_to_end};
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigaction(SIGTERM, &act, NULL);
    sigprocmask(SIG_BLOCK, &term, NULL); /* until sigwaitinfo takes it */
    fprintf(stderr, "ready\n");
    sigwaitinfo(&term, NULL);
    while (take(fd))
        continue;
    return put_all();
}
