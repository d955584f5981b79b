/* SPDX-License-Identifier: MIT */
/*
 * serve_player.c -- l7 serve on the simulated network, with a real folder: /kept is 4,000 times "x", small enough to be
 * kept in memory with its head, too large to be copied into the loop's outbox.
 */
#include "tests/sim/player.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/serve/serve.h"
#include "base/check.h"
#include "http/server.h"
#include "rt/loop.h"

enum { KEPT = 4000 };

static char folder[] = "/tmp/l7-sim-serve-XXXXXX", kept[sizeof folder + 8];
static struct serve *serve;
static struct server *server;
static struct site site = {.handler = serve_handler};
static struct listen_point point;

/* Written long before the simulated clock begins: as a file that rests. */
static void make_folder(void)
{
    static char content[KEPT];
    const struct timespec long_ago[2] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000000}};
    CHECK(mkdtemp(folder));
    snprintf(kept, sizeof kept, "%s/kept", folder);
    int fd = open(kept, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    memset(content, 'x', sizeof content);
    CHECK(fd >= 0 && write(fd, content, sizeof content) == KEPT);
    CHECK(futimens(fd, long_ago) == 0);
    close(fd);
}

static void free_all(void)
{
    server_free(server);
    serve_free(serve);
    server = NULL;
    serve = NULL;
}

static err_t start(struct slice config)
{
    (void)config;
    free_all();
    point = (struct listen_point){0};
    TRY(serve_new(&(struct serve_options){.root = folder, .workers = 1}, &serve));
    site.conf = serve;
    TRY(server_new(&(struct server_options){0}, 1, &site, &server));
    TRY(addr_parse_listen(S(":80"), 80, &point.addr));
    TRY(listen_open(&point, 1));
    return server_listen(server, &point);
}

static void stop(void)
{
    player_drain(server, &point);
}

int main(int argc, char **argv)
{
    make_folder();
    int status = player_main(argc, argv, &(struct player_sut){start, stop});
    free_all();
    unlink(kept);
    rmdir(folder);
    return status;
}
