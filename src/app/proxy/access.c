/* SPDX-License-Identifier: MIT */
#include "app/proxy/access.h"

#include <stdlib.h>

/* The special-purpose registries (RFC 6890 and its updates). The first match counts. */
static const struct {
    uint8_t bytes[16];
    uint8_t prefix;
    enum special what;
} special[] = {
#define V4(a, b, c, d)                                                                                                 \
    {                                                                                                                  \
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d                                                           \
    }
    {V4(0, 0, 0, 0), 96 + 8, SPECIAL_RESERVED},
    {V4(10, 0, 0, 0), 96 + 8, SPECIAL_LOCAL},
    {V4(100, 64, 0, 0), 96 + 10, SPECIAL_LOCAL},
    {V4(127, 0, 0, 0), 96 + 8, SPECIAL_LOCAL},
    {V4(169, 254, 0, 0), 96 + 16, SPECIAL_RESERVED},
    {V4(172, 16, 0, 0), 96 + 12, SPECIAL_LOCAL},
    {V4(192, 0, 0, 0), 96 + 24, SPECIAL_RESERVED},
    {V4(192, 0, 2, 0), 96 + 24, SPECIAL_RESERVED},
    {V4(192, 168, 0, 0), 96 + 16, SPECIAL_LOCAL},
    {V4(198, 18, 0, 0), 96 + 15, SPECIAL_RESERVED},
    {V4(198, 51, 100, 0), 96 + 24, SPECIAL_RESERVED},
    {V4(203, 0, 113, 0), 96 + 24, SPECIAL_RESERVED},
    {V4(224, 0, 0, 0), 96 + 4, SPECIAL_RESERVED},
    {V4(240, 0, 0, 0), 96 + 4, SPECIAL_RESERVED},
    {{0}, 128, SPECIAL_RESERVED},
    {{[15] = 1}, 128, SPECIAL_LOCAL},
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, SPECIAL_RESERVED},
    {{0x01, 0x00}, 64, SPECIAL_RESERVED},
    {{0x20, 0x01, 0x00}, 23, SPECIAL_RESERVED},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, SPECIAL_RESERVED},
    {{0x20, 0x02}, 16, SPECIAL_RESERVED},
    {{0xfc}, 7, SPECIAL_LOCAL},
    {{0xfe, 0x80}, 10, SPECIAL_RESERVED},
    {{0xff}, 8, SPECIAL_RESERVED},
};

/* As IPv6; IPv4 in ::ffff:0:0/96 and what NAT64 wraps in 64:ff9b::/96 as the IPv4 address that it is. False for
   Unix sockets. */
static bool canonical(const struct addr *a, struct addr *out)
{
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    *out = (struct addr){.len = sizeof out->v6};
    out->v6.sin6_family = AF_INET6;
    uint8_t *to = out->v6.sin6_addr.s6_addr;
    to[10] = to[11] = 0xff;
    if (a->sa.sa_family == AF_INET) {
        memcpy(to + 12, &a->v4.sin_addr, 4);
        return true;
    }
    if (a->sa.sa_family != AF_INET6)
        return false;
    if (memcmp(a->v6.sin6_addr.s6_addr, nat64, sizeof nat64) == 0)
        memcpy(to + 12, a->v6.sin6_addr.s6_addr + 12, 4);
    else
        memcpy(to, a->v6.sin6_addr.s6_addr, 16);
    return true;
}

enum special access_special(const struct addr *addr)
{
    struct addr a;
    if (!canonical(addr, &a))
        return SPECIAL_RESERVED;
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) {
        struct network n = {.prefix = special[i].prefix};
        memcpy(n.bytes, special[i].bytes, 16);
        if (network_has(&n, &a))
            return special[i].what;
    }
    return SPECIAL_NONE;
}

static err_t rule_parse(const char *text, struct access_rule *out)
{
    struct slice s = slice_z(text);
    if (slice_eq(s, S("*")) || slice_eq_case(s, S("all"))) {
        out->kind = ACCESS_ALL;
        return NULL;
    }
    out->kind = ACCESS_NETWORK;
    if (!network_parse(s, &out->network))
        return NULL;
    out->kind = ACCESS_DOMAIN;
    s = slice_starts(s, S("*.")) ? slice_from(s, 2) : slice_starts(s, S(".")) ? slice_from(s, 1) : s;
    for (size_t i = 0; i < s.n; i++)
        if (!ascii_alpha(s.p[i]) && !ascii_digit(s.p[i]) && !strchr("-._", s.p[i]))
            return fault(E_USAGE, "%s: neither a network nor a domain", text);
    if (!s.n)
        return fault(E_USAGE, "an empty rule");
    out->domain = s;
    return NULL;
}

err_t access_parse(const char *const *texts, size_t n, struct access_rules *out)
{
    struct access_rules r = {.v = n ? calloc(n, sizeof *r.v) : NULL};
    if (n && !r.v)
        return E_NO_MEMORY;
    for (; r.n < n; r.n++) {
        err_t e = rule_parse(texts[r.n], &r.v[r.n]);
        if (e) {
            free(r.v);
            return e;
        }
    }
    *out = r;
    return NULL;
}

void access_free(struct access_rules *r)
{
    free(r->v);
    *r = (struct access_rules){0};
}

static bool in_domain(struct slice host, struct slice domain)
{
    if (slice_ends(host, S(".")))
        host.n--;
    if (host.n > domain.n && host.p[host.n - domain.n - 1] == '.')
        host = slice_from(host, host.n - domain.n);
    return slice_eq_case(host, domain);
}

static bool any(const struct access_rules *r, const struct addr *a, struct slice host)
{
    struct addr plain;
    bool has_addr = a && canonical(a, &plain);
    for (size_t i = 0; i < r->n; i++) {
        const struct access_rule *rule = &r->v[i];
        if (rule->kind == ACCESS_ALL ||
            (rule->kind == ACCESS_NETWORK && has_addr && network_has(&rule->network, &plain)) ||
            (rule->kind == ACCESS_DOMAIN && host.n && in_domain(host, rule->domain)))
            return true;
    }
    return false;
}

bool access_client(const struct access *a, const struct addr *peer)
{
    if (a->clients.n)
        return any(&a->clients, peer, SLICE_NONE);
    return a->loopback_only || addr_is_loopback(peer) || peer->sa.sa_family == AF_UNIX;
}

bool access_host(const struct access *a, struct slice host)
{
    struct addr literal;
    if (!addr_parse(host, 0, &literal)) {
        fault_clear();
        return access_addr(a, &literal, host);
    }
    fault_clear();
    return !any(&a->deny_to, NULL, host);
}

bool access_addr(const struct access *a, const struct addr *addr, struct slice host)
{
    if (any(&a->deny_to, addr, host))
        return false;
    if (any(&a->allow_to, addr, host))
        return true;
    switch (access_special(addr)) {
    case SPECIAL_NONE:
        return true;
    case SPECIAL_LOCAL:
        return a->loopback_only;
    default:
        return false;
    }
}

bool access_connect_port(const struct access *a, uint16_t port)
{
    if (a->connect_any || (a->loopback_only && !a->connect_port_count))
        return port != 0;
    for (int i = 0; i < a->connect_port_count; i++)
        if (a->connect_ports[i] == port)
            return true;
    return !a->connect_port_count && port == 443;
}

bool access_listed(const struct access_rules *r, const struct addr *a)
{
    return any(r, a, SLICE_NONE);
}
