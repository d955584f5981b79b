/* SPDX-License-Identifier: MIT */
/*
 * udp_load.c -- keeps a reflector busy: bench_udp_load PORT SECONDS WINDOW SIZE.
 *
 * WINDOW datagrams of SIZE bytes are under way; each batch of answers is followed by as many new ones, and what is lost
 * is made up for after 20 ms of silence. Each carries a number in its first 4 bytes. Prints how many answers came.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

enum { BATCH = 64, ROOM = 2048 };

static struct mmsghdr headers[BATCH];
static struct iovec vectors[BATCH];
static char out[BATCH][ROOM], in[BATCH][ROOM];
static uint32_t number;

static void send_some(int fd, int n, size_t size)
{
    while (n > 0) {
        int step = n < BATCH ? n : BATCH;
        for (int i = 0; i < step; i++) {
            uint32_t v = htonl(number++);
            memcpy(out[i], &v, sizeof v);
            vectors[i] = (struct iovec){out[i], size};
            headers[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
        }
        int sent = sendmmsg(fd, headers, (unsigned)step, 0);
        n -= sent > 0 ? sent : step;
    }
}

static int receive_some(int fd)
{
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){in[i], ROOM};
        headers[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    int n = recvmmsg(fd, headers, BATCH, MSG_WAITFORONE, NULL);
    return n > 0 ? n : 0;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    int fd = socket(AF_INET, SOCK_DGRAM, 0), window = (int)strtol(argv[3], NULL, 10);
    size_t size = (size_t)strtol(argv[4], NULL, 10);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)strtol(argv[1], NULL, 10)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_usec = 20000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (size < 4 || size > ROOM || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        return perror("bench_udp_load"), 1;
    double end = strtod(argv[2], NULL);
    struct timespec t, start;
    long answers = 0;
    clock_gettime(CLOCK_MONOTONIC, &start);
    send_some(fd, window, size);
    do {
        int n = receive_some(fd);
        answers += n;
        send_some(fd, n ? n : window, size);
        clock_gettime(CLOCK_MONOTONIC, &t);
    } while ((double)(t.tv_sec - start.tv_sec) + (double)(t.tv_nsec - start.tv_nsec) * 1e-9 < end);
    printf("%ld\n", answers);
    return 0;
}
