/* SPDX-License-Identifier: MIT */
/*
 * access.h -- who may use the proxy, and where it may connect. Pure: addresses and names in, verdicts out.
 *
 * A rule names a network ("10.0.0.0/8", "::1"), a domain with everything beneath it ("example.org", ".example.org")
 * or everything ("*", "all"). A destination is judged twice: its name before the look-up, and each address before it
 * is dialled, so a name that changes its answer gains nothing. Denials go before permissions; what no rule names
 * falls under the defaults: a proxy on loopback only may reach loopback and private addresses, any other none of
 * the special-purpose ones. IPv4 inside ::ffff:0:0/96 and 64:ff9b::/96 is judged as IPv4.
 */
#pragma once

#include "base/addr.h"

struct access_rule {
    enum { ACCESS_ALL, ACCESS_NETWORK, ACCESS_DOMAIN } kind;
    struct network network;
    struct slice domain; /* lower case, without leading dot; borrowed */
};
struct access_rules {
    struct access_rule *v;
    size_t n;
};

/* Parse the texts; E_USAGE names the wrong one. The texts must outlive the rules. */
MUST err_t access_parse(const char *const *texts, size_t n, struct access_rules *);
void access_free(struct access_rules *);

struct access {
    struct access_rules clients; /* --allow; none: everybody who reaches a loopback listener, else loopback only */
    struct access_rules allow_to, deny_to;
    bool loopback_only; /* every listener is on loopback */
    uint16_t connect_ports[64];
    int connect_port_count; /* 0: the default */
    bool connect_any;
};

bool access_client(const struct access *, const struct addr *peer);
/* By name: false when a rule denies the domain (or the literal address). */
bool access_host(const struct access *, struct slice host);
/* By address; `host` is the name that was asked for, whose permission overrides the defaults for addresses. */
bool access_addr(const struct access *, const struct addr *, struct slice host);
bool access_connect_port(const struct access *, uint16_t port);

enum special { SPECIAL_NONE, SPECIAL_LOCAL, SPECIAL_RESERVED }; /* LOCAL: loopback and private */
enum special access_special(const struct addr *);
bool access_listed(const struct access_rules *, const struct addr *); /* is it in any of the networks? */
