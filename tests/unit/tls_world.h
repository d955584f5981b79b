/* SPDX-License-Identifier: MIT */
/*
 * tls_world.h -- two ends of a TLS connection in one loop, for the tests of net/tls: certificates are made by openssl's
 * own tool (tests/certs.sh) into a folder of the run.
 */
#pragma once

#include "tests/unit/unit.h"

#include "net/tls.h"
#include "rt/fiber.h"

const char *path(const char *name); /* of a file in that folder; eight at a time */

/* The two ends of a connection; `front` is what the client does, `back` the server. */
struct world {
    struct tls *client, *server;
    const char *host;
    bool piped; /* over streams that are no plain sockets */
    fiber_fn *front, *back;
    int fd[2];
    struct stream *c, *s;
    err_t client_error, server_error;
    char client_why[256];
};

struct facts {
    struct tls_info info;
    enum tls_alpn alpn;
    uint8_t binding[64];
    size_t binding_n;
    const char *binding_type;
};
extern struct facts client_facts, server_facts;

void meet(struct world *);                     /* both ends shake hands, run `front` and `back`, and close */
struct stream *plain(struct world *, int end); /* the stream beneath, 0 the client's, 1 the server's */
void client_end(void *world);                  /* a fiber: the client's half of meet */
struct tls *server_of(const char *pair, unsigned alpn);
struct tls *client_of(const char *ca);
void learn_client(void *world); /* as `front` and `back`: fill in client_facts and server_facts */
void learn_server(void *world);

int make_certificates(void **state); /* setup and teardown of a test group */
int remove_certificates(void **state);
