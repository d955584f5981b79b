/* SPDX-License-Identifier: MIT */
/*
 * addr.h -- socket addresses of IPv4, IPv6 and Unix sockets, and networks for access rules.
 *
 * Pure data: nothing here opens a socket or asks a name server.
 */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/err.h"

struct addr {
    socklen_t len;
    union {
        struct sockaddr sa;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un un;
    };
};

enum { ADDR_TEXT = 128 };

/* Numeric only: "127.0.0.1", "::1", "[::1]", "fe80::1%eth0". E_USAGE. */
MUST err_t addr_parse(struct slice host, uint16_t port, struct addr *);
/* "[ADDR]:PORT": "127.0.0.1:80", "[::1]:80", ":80" (every address of both families: gives ::), "80". E_USAGE. */
MUST err_t addr_parse_listen(struct slice, uint16_t default_port, struct addr *);
MUST err_t addr_unix(struct slice path, struct addr *);

char *addr_text(const struct addr *, char out[ADDR_TEXT]);      /* "127.0.0.1:80", "[::1]:80", "unix:/path" */
char *addr_text_host(const struct addr *, char out[ADDR_TEXT]); /* without port and brackets */
uint16_t addr_port(const struct addr *);                        /* 0 for Unix sockets */
void addr_set_port(struct addr *, uint16_t);
bool addr_eq(const struct addr *, const struct addr *);      /* host and port */
bool addr_eq_host(const struct addr *, const struct addr *); /* IPv4-mapped IPv6 equals the IPv4 address */
bool addr_is_loopback(const struct addr *);
bool addr_is_multicast(const struct addr *); /* multicast or IPv4 broadcast */
uint64_t addr_hash_host(const struct addr *, uint64_t seed);

struct network {
    uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint8_t prefix;    /* of 128 */
};
/* "10.0.0.0/8", "::1/128", a bare address means itself. IPv4 prefixes become 96 + n. E_USAGE. */
MUST err_t network_parse(struct slice, struct network *);
bool network_has(const struct network *, const struct addr *);
