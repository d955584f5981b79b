/* SPDX-License-Identifier: MIT */
/*
 * lab.h -- every listening tool at once on loopback, composed from the tools' own servers, with a small site.
 *
 * cmd/lab.c binds a point for each row of lab_rows and runs the workers; everything else is here.
 */
#pragma once

#include "base/buf.h"
#include "net/listen.h"

enum lab_service {
    LAB_PAGE,
    LAB_SITE,
    LAB_PING,
    LAB_STAMP,
    LAB_HEARTBEAT,
    LAB_ECHO,
    LAB_ECHO_UDP,
    LAB_SERVICES,
};

struct lab_row {
    const char *name;    /* "ping", behind the address */
    uint16_t port;       /* the tool's usual one */
    unsigned flags;      /* enum listen_flags */
    const char *what;    /* one line */
    const char *scheme;  /* "http://", or "" */
    const char *attempt; /* a command to try: this, the address, `tail`; NULL: none */
    const char *tail;
    bool apart; /* HOST PORT rather than HOST:PORT */
};
extern const struct lab_row lab_rows[LAB_SERVICES];

struct lab_options {
    const struct listen_point *points[LAB_SERVICES]; /* bound; they must stay */
    int workers;
};

struct lab;
MUST err_t lab_new(const struct lab_options *, struct lab **);
MUST err_t lab_start(struct lab *, int index); /* in each worker's start hook */
void lab_drain(struct lab *, int index);       /* in each worker's drain hook */
void lab_free(struct lab *);                   /* after the workers have ended; NULL is accepted */

/* What runs where, and a command to try for each, as plain lines. */
MUST err_t lab_describe(const struct lab_options *, struct buf *out);
void lab_attempt(const struct lab_row *, const struct addr *, char *out, size_t cap);
