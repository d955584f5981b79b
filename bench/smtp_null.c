/* SPDX-License-Identifier: MIT */
/*
 * smtp_null.c -- an SMTP server that does nothing but answer: it looks for the ends of commands and of messages, and
 * throws the bytes away. It offers PIPELINING, 8BITMIME and SIZE to everybody, no CHUNKING; so what bench/mail.py
 * measures into it is the sender. (Postfix's smtp-sink takes messages a byte at a time and is slower than a fast one.)
 *
 *     bench_smtp_null PORT
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 256 << 10, ANSWERS = 64 << 10 };

struct client {
    int fd;
    bool in_data, leaving;
    size_t n;      /* bytes in `in` that no answer was given to */
    size_t out_n;  /* bytes in `out` */
    char in[ROOM]; /* while in a message: its last bytes, in which the end may have begun */
    char out[ANSWERS];
};

static void say(struct client *c, const char *text)
{
    size_t n = strlen(text);
    if (c->out_n + n <= sizeof c->out)
        memcpy(c->out + c->out_n, text, n), c->out_n += n;
}

static void command(struct client *c, const char *line, size_t n)
{
    c->in_data = n >= 4 && strncasecmp(line, "DATA", 4) == 0;
    c->leaving = n >= 4 && strncasecmp(line, "QUIT", 4) == 0;
    if (c->in_data)
        say(c, "354 go on\r\n");
    else if (c->leaving)
        say(c, "221 bye\r\n");
    else if (n >= 4 && strncasecmp(line, "EHLO", 4) == 0)
        say(c, "250-null\r\n250-PIPELINING\r\n250-SIZE\r\n250 8BITMIME\r\n");
    else
        say(c, "250 ok\r\n");
}

/* The bytes at `p` that can be forgotten: a command, a message, or all of one but what may begin its end. */
static size_t take(struct client *c, const char *p, size_t n)
{
    if (!c->in_data) {
        const char *end = memchr(p, '\n', n);
        if (end)
            command(c, p, (size_t)(end - p));
        return end ? (size_t)(end - p) + 1 : 0;
    }
    const char *end = n >= 5 ? memmem(p, n, "\r\n.\r\n", 5) : NULL;
    if (end) {
        c->in_data = false;
        say(c, "250 ok\r\n");
        return (size_t)(end - p) + 5;
    }
    return n > 4 ? n - 4 : 0;
}

/* False when the connection is over. */
static bool serve(struct client *c)
{
    ssize_t got = read(c->fd, c->in + c->n, sizeof c->in - c->n);
    if (got <= 0)
        return false;
    size_t at = 0, step;
    c->n += (size_t)got;
    while (!c->leaving && (step = take(c, c->in + at, c->n - at)) > 0)
        at += step;
    memmove(c->in, c->in + at, c->n - at);
    c->n -= at;
    bool sent = !c->out_n || write(c->fd, c->out, c->out_n) == (ssize_t)c->out_n;
    c->out_n = 0;
    return sent && !c->leaving && c->n < sizeof c->in;
}

static void welcome(int poller, int fd)
{
    struct client *c = calloc(1, sizeof *c);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    int one = 1;
    if (!c)
        exit(1);
    c->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    say(c, "220 null\r\n");
    if (write(fd, c->out, c->out_n) < 0)
        perror("bench_smtp_null");
    c->out_n = 0;
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
}

int main(int argc, char **argv)
{
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), poller = epoll_create1(0);
    struct sockaddr_in a = {.sin_family = AF_INET};
    struct epoll_event e = {.events = EPOLLIN}, ready[64];
    if (argc != 2)
        return 2;
    a.sin_port = htons((unsigned short)strtoul(argv[1], NULL, 10));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&a, sizeof a) || listen(listener, 128)) {
        perror("bench_smtp_null");
        return 1;
    }
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        int n = epoll_wait(poller, ready, 64, -1);
        for (int i = 0; i < n; i++) {
            struct client *c = ready[i].data.ptr;
            int fd = c ? -1 : accept(listener, NULL, NULL);
            if (fd >= 0)
                welcome(poller, fd);
            if (c && !serve(c)) {
                close(c->fd);
                free(c);
            }
        }
    }
}
