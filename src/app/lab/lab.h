/* SPDX-License-Identifier: MIT */
/*
 * lab.h -- every server of the program at once, on loopback, in one process, with a small site of its own.
 *
 * Each tool is a row of lab_parts: its label and usual port, and what to try with it, how it is opened (main thread),
 * started (in a fiber on each worker), drained and closed. A new tool joins the lab by a row there.
 *
 *     lab_open(&lab, workers)    the sockets are bound by then: lab.points
 *     lab_start(&lab, worker)    in each worker's first fiber
 *     lab_drain(&lab, worker)    in each worker's drain
 *     lab_close(&lab)            after the workers have ended; removes the site's files
 */
#pragma once

#include "net/listen.h"
#include "rt/fiber.h"

enum { LAB_PARTS_MAX = 16 };

struct lab;
struct lab_part {
    const char *label; /* "web", "ping" */
    const char *try;   /* what to try; ADDR, HOST PORT and WEB (the first row's address) are filled in */
    uint16_t port;
    enum listen_flags flags;
    err_t (*open)(struct lab *, const struct listen_point *);
    err_t (*start)(struct lab *, const struct listen_point *, int worker);
    void (*drain)(struct lab *, int worker); /* NULL: nothing to do */
    void (*close)(struct lab *);             /* likewise; also after a failed open */
};
extern const struct lab_part lab_parts[]; /* ends with a row without a label */

struct server;
struct serve;
struct reflect;
struct listener;
struct echo_server;
struct mail_sink;
struct proxy;

struct lab {
    int workers;
    const struct listen_point *points[LAB_PARTS_MAX]; /* by row of lab_parts; filled in by the caller */
    int opened;
    /* -- the parts' own -- */
    char site[64]; /* folder with the site's files; "" before it is made */
    struct server *web, *https, *proxy_server;
    struct proxy *proxy;
    struct mail_sink *mail;
    struct reflect *ping;
    struct listener *heartbeat;
    struct echo_server *echo[2]; /* TCP, UDP */
};

MUST err_t lab_open(struct lab *);
MUST err_t lab_start(struct lab *, int worker);
void lab_drain(struct lab *, int worker);
void lab_close(struct lab *);
