/* SPDX-License-Identifier: MIT */
/*
 * echo.h -- the first exercise of every networking course: a server that answers in upper case, and its client.
 *
 * Over TCP the server greets with "Welcome", sends every byte back in upper case (ASCII letters) as it arrives, whether
 * or not a line end came, and closes after `bye`: a whole line, or all that one read brought, since the labs' clients
 * send no line ends. Over UDP each datagram is answered in upper case, and `bye` with "I see u.".
 */
#pragma once

#include "net/listen.h"
#include "rt/loop.h"
#include "wire/trace.h"

struct echo_server {
    struct listen_point *points; /* all TCP, or all UDP */
    int count;
    bool udp, once;           /* once: a UDP `bye` ends the server */
    uint64_t max_connections; /* of the process; more are closed at once */
    int64_t idle_ms;          /* TCP: a silent client is dropped */
    uint64_t rate_limit;      /* UDP: datagrams a second and client; 0: any number */
    void (*ended)(void);      /* called when `once` was fulfilled */
    struct trace_sink *trace; /* or NULL */
    _Atomic uint64_t open;    /* TCP clients; private */
};

/* On each worker's loop, in a fiber: spawn what serves the points. */
MUST err_t echo_server_start(struct echo_server *, int worker);
void echo_server_drain(void); /* on each worker's loop: end every echo server and connection of this worker */

struct echo_client {
    struct slice host;
    uint16_t port;
    bool udp, no_newline;
    int input;                /* non-blocking: what to send, a line at a time */
    int64_t timeout_ms;       /* for connecting and for the answer over UDP and with no_newline */
    struct trace_sink *trace; /* or NULL */
};

/* Carries `input` to the server and its bytes to standard output, until either ends. */
MUST err_t echo_client(const struct echo_client *);
