/* SPDX-License-Identifier: MIT */
/* self_player.c -- the player plays against a server of a few lines, to test the player. */
#include "tests/sim/player.h"

#include "net/listen.h"
#include "rt/io.h"
#include "rt/loop.h"

static struct listen_point point;
static struct scope fibers;

static void answer(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char b[100];
    size_t n;
    while (!io_read(fd, b, sizeof b, &n, after(5000)) && n)
        if (io_write(fd, b, n, after(5000)))
            break;
    io_close(fd);
}

static void serve(void *arg)
{
    (void)arg;
    int fd;
    struct addr peer;
    while (!io_accept(listen_fd(&point, 0), &fd, &peer, TICK_NEVER))
        if (scope_spawn(&fibers, "answer", answer, (void *)(intptr_t)fd))
            io_close(fd);
}

static err_t start(struct slice config)
{
    (void)config;
    point = (struct listen_point){0};
    scope_open(&fibers);
    TRY(addr_parse(S("127.0.0.1"), 80, &point.addr));
    TRY(listen_open(&point, 1));
    return scope_spawn(&fibers, "serve", serve, NULL);
}

static void stop(void)
{
    scope_close(&fibers);
    listen_close(&point);
}

int main(int argc, char **argv)
{
    static const struct player_sut sut = {start, stop};
    return player_main(argc, argv, &sut);
}
