/* SPDX-License-Identifier: MIT */
/*
 * limit.c -- what the kernel alone costs: a bare epoll loop that parses nothing and answers every read with a constant
 * response of the size asked for. No server that makes a system call for each read and write can be cheaper;
 * bench/serve.py puts it beside the others.
 *
 *     bench_limit PORT BYTES [close]
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static int listen_on(unsigned port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1, wait = 30;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &wait, sizeof wait);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 4096) < 0) {
        perror("bench_limit");
        exit(1);
    }
    return fd;
}

enum { FDS = 65536 };
static const char *text;    /* the constant response */
static size_t size;         /* of it */
static size_t left_of[FDS]; /* of each connection's response, what has not been taken yet */
static bool once;           /* a request a connection */

/* Go on with the response; false when the peer has gone or nothing more is to come. */
static bool push(int fd)
{
    while (left_of[fd]) {
        ssize_t put = send(fd, text + size - left_of[fd], left_of[fd], MSG_NOSIGNAL);
        if (put < 0)
            return errno == EAGAIN;
        left_of[fd] -= (size_t)put;
    }
    return !once;
}

static bool answer(int fd)
{
    char request[4096];
    ssize_t got = read(fd, request, sizeof request);
    if (got <= 0)
        return got < 0 && errno == EAGAIN;
    left_of[fd] = size;
    return push(fd);
}

/* How many wait to be accepted (TCP_INFO): an accept that finds nobody costs more than asking. */
static unsigned in_line(int listener)
{
    struct tcp_info info = {0};
    socklen_t n = offsetof(struct tcp_info, tcpi_sacked);
    getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &n);
    return info.tcpi_unacked;
}

/* A connection that ends with its first answer never meets the poller. */
static void take(int poller, int listener)
{
    for (unsigned n = in_line(listener); n > 0; n--) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0)
            return;
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = fd};
        left_of[fd] = 0;
        if (once && !answer(fd))
            close(fd);
        else
            epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
    }
}

static void prepare(size_t body)
{
    char *p = calloc(1, body + 256);
    int head = p ? snprintf(p, body + 256, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%s\r\n", body,
                            once ? "Connection: close\r\n" : "")
                 : -1;
    if (head < 0)
        exit(1);
    memset(p + head, 'x', body);
    text = p;
    size = (size_t)head + body;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    once = argc > 3;
    prepare(strtoul(argv[2], NULL, 10));
    int listener = listen_on((unsigned)strtoul(argv[1], NULL, 10)), poller = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, ready[256];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        int n = epoll_wait(poller, ready, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener)
                take(poller, listener);
            else if (left_of[fd] ? !push(fd) : !answer(fd))
                close(fd);
        }
    }
}
