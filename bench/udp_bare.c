/* SPDX-License-Identifier: MIT */
/*
 * udp_bare.c -- the least that a reflector can do, as the limit for `l7 ping listen`: bench_udp_bare PORT plain|stamps.
 *
 * recvmmsg, sendmmsg of the same buffers, batches of 64, one thread, blocking. With "stamps" the kernel hands over
 * receive stamp, TTL and TOS of each datagram, which are read and not used; no clock is read for a T3, nothing is
 * checked or written.
 */
#include <arpa/inet.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BATCH = 64, ROOM = 2048 + 64, CONTROL = 256 };

static struct mmsghdr headers[BATCH];
static struct iovec vectors[BATCH];
static struct sockaddr_in peers[BATCH];
static char bytes[BATCH][ROOM], control[BATCH][CONTROL];
static volatile int64_t seen;

static void look(struct msghdr *h)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        int64_t v;
        memcpy(&v, CMSG_DATA(c), sizeof v);
        seen = seen + v;
    }
}

static void arm(int i, int stamps)
{
    vectors[i] = (struct iovec){bytes[i], ROOM};
    headers[i].msg_hdr = (struct msghdr){.msg_name = &peers[i],
                                         .msg_namelen = sizeof peers[i],
                                         .msg_iov = &vectors[i],
                                         .msg_iovlen = 1,
                                         .msg_control = stamps ? control[i] : NULL,
                                         .msg_controllen = stamps ? CONTROL : 0};
}

static void turn(int fd, int stamps)
{
    int n = recvmmsg(fd, headers, BATCH, MSG_WAITFORONE, NULL);
    for (int i = 0; i < n; i++) {
        if (stamps)
            look(&headers[i].msg_hdr);
        vectors[i].iov_len = headers[i].msg_len;
        headers[i].msg_hdr.msg_control = NULL;
        headers[i].msg_hdr.msg_controllen = 0;
    }
    for (int at = 0; at < n;) {
        int sent = sendmmsg(fd, headers + at, (unsigned)(n - at), 0);
        at += sent > 0 ? sent : 1;
    }
    for (int i = 0; i < n; i++)
        arm(i, stamps);
}

int main(int argc, char **argv)
{
    int on = 1, room = 4 << 20, fd = socket(AF_INET, SOCK_DGRAM, 0);
    int what = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE,
        stamps = argc > 2 && !strcmp(argv[2], "stamps");
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons(argc > 1 ? (uint16_t)strtol(argv[1], NULL, 10) : 0),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
        return perror("bench_udp_bare"), 1;
    if (stamps && (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &what, sizeof what) < 0 ||
                   setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof on) < 0 ||
                   setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof on) < 0))
        return perror("bench_udp_bare"), 1;
    for (int i = 0; i < BATCH; i++)
        arm(i, stamps);
    fprintf(stderr, "ready\n");
    for (;;)
        turn(fd, stamps);
}
