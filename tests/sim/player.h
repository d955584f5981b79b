/* SPDX-License-Identifier: MIT */
/*
 * player.h -- plays scripts of raw dialogues against a server on the simulated network.
 *
 * A script is a text file of cases; docs/internals/testing.md has the whole language:
 *
 *     case a request that never ends is answered with 408
 *     config header-timeout=10s
 *     a connect 80
 *     a send "GET / HT"
 *     pass 10s
 *     a until "HTTP/1.1 408"
 *     a closed
 *
 * Names are connections: `connect PORT` dials the server, `accept PORT` takes one that the server made (after
 * `listen PORT`). Strings know \r \n \t \" \\ \xHH and may be repeated: "ab"*1000. Every wait has ten virtual seconds.
 *
 *     NAME send STRING            NAME expect STRING   (exactly these bytes come next)
 *     NAME until STRING           (skip to the end of its next occurrence)
 *     NAME closed | reset | silent DURATION | finish | abort | close | drop
 *     NAME drip DURATION STRING   (a byte each DURATION, until the other side stops listening)
 *     pass DURATION | listen PORT | fail N ERRNO | window SIZE | latency DURATION | chunk SIZE
 *
 * With --torture every case runs again and again, with its 1st, 2nd, ... system call failing, then its 1st, 2nd, ...
 * allocation: expectations do not count then, but nothing may crash, hang or leak a descriptor.
 */
#pragma once

#include "base/err.h"

struct server;
struct listen_point;

struct player_sut { /* the system under test */
    /* In a fiber of the case's own loop: start listening (port 80 of any address), spawn into loop_scope. `config`
       holds the words after `config`, "" without. */
    err_t (*start)(struct slice config);
    void (*stop)(void); /* close listeners and let every fiber end; parked connections are woken by the player */
};

/* How one that is an HTTP server stops (NULL: it did not start): the acceptors have let go of the listener before it is
   closed. The server is freed when the next case starts: its last fibers end after this. */
void player_drain(struct server *, struct listen_point *);

int player_main(int argc, char **argv, const struct player_sut *);
