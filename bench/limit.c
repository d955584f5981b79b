/* SPDX-License-Identifier: MIT */
/*
 * limit.c -- what the kernel alone costs: a bare epoll loop that parses nothing and answers every read with a constant
 * response of the size asked for. No server can be cheaper; bench/serve.py puts it beside the others.
 *
 *     bench_limit PORT BYTES [close]
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
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

/* Room for what one answer leaves in the socket; a client that does not read is not waited for here. */
static bool answer(int fd, const char *p, size_t n)
{
    char request[4096];
    ssize_t got = read(fd, request, sizeof request);
    if (got <= 0)
        return false;
    while (n) {
        ssize_t put = write(fd, p, n);
        if (put > 0)
            p += put, n -= (size_t)put;
    }
    return true;
}

static void take(int poller, int listener, const char *text, size_t n, bool once)
{
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.fd = fd};
        if (once) {
            (void)answer(fd, text, n);
            close(fd);
        } else {
            epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    size_t body = strtoul(argv[2], NULL, 10), cap = body + 256;
    char *text = calloc(1, cap);
    bool once = argc > 3;
    int head = snprintf(text, cap, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%s\r\n", body,
                        once ? "Connection: close\r\n" : "");
    int listener = listen_on((unsigned)strtoul(argv[1], NULL, 10)), poller = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, ready[256];
    memset(text + head, 'x', body);
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        int n = epoll_wait(poller, ready, 256, -1);
        for (int i = 0; i < n; i++) {
            if (ready[i].data.fd == listener)
                take(poller, listener, text, (size_t)head + body, once);
            else if (!answer(ready[i].data.fd, text, (size_t)head + body))
                close(ready[i].data.fd);
        }
    }
}
