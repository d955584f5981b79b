/* SPDX-License-Identifier: MIT */
/*
 * sink.h -- the receiving server for tests: smtp/server.h on listening sockets, with users, Maildir and a line a
 * message.
 *
 * Everything here is set up before the workers start and only read afterwards.
 */
#pragma once

#include "net/listen.h"
#include "smtp/server.h"

struct mail_sink {
    struct smtp_server_conf server; /* faults, limits, name; hooks and users are filled in by mail_sink_open */
    const struct listen_point *points;
    int count;
    struct tls *tls;
    bool tls_first;              /* TLS from the first byte, on every point */
    uint64_t max_connections;    /* a worker; 0: no limit */
    const char *maildir, *users; /* paths, or NULL */
    bool quiet, json;            /* no line a message; lines as JSON */
    struct maildir *box;
    struct mail_user *user_list;
};

MUST err_t mail_sink_open(struct mail_sink *);              /* users, Maildir. E_NOT_FOUND, E_CONFIG, ... */
MUST err_t mail_sink_start(struct mail_sink *, int worker); /* in a fiber on each worker: accept */
void mail_sink_drain(void);                                 /* on each worker's loop: end what every sink has there */
void mail_sink_close(struct mail_sink *);
