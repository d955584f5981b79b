/* SPDX-License-Identifier: MIT */
/* What can be told about a name without asking anybody. */
#include <stdlib.h>

#include "net/resolve.h"

struct pin {
    struct pin *next;
    struct addr addr;
    uint16_t port;
    size_t n;
    char host[];
};
static struct pin *pins, **pins_last = &pins;

err_t resolve_pin(struct slice host, uint16_t port, const struct addr *a)
{
    struct pin *p = malloc(sizeof *p + host.n);
    if (!p)
        return E_NO_MEMORY;
    *p = (struct pin){.addr = *a, .port = port, .n = host.n};
    memcpy(p->host, host.p, host.n);
    *pins_last = p;
    pins_last = &p->next;
    return NULL;
}

static void add(struct resolved *r, struct addr a, uint16_t port, int family)
{
    if (r->n == RESOLVE_MAX || (family && a.sa.sa_family != family))
        return;
    addr_set_port(&a, port);
    r->v[r->n++] = a;
}

static bool pinned(struct slice host, uint16_t port, int family, struct resolved *r)
{
    bool found = false;
    for (const struct pin *p = pins; p; p = p->next) {
        struct slice name = {p->host, p->n};
        if ((p->port && p->port != port) || !(slice_eq_case(name, host) || slice_eq(name, S("*"))))
            continue;
        found = true;
        add(r, p->addr, port, family);
    }
    return found;
}

/* RFC 6761 section 6.3: "localhost" and everything below it is this machine. */
static bool is_localhost(struct slice host)
{
    if (slice_ends(host, S(".")))
        host.n--;
    struct slice tail = S(".localhost");
    return slice_eq_case(host, S("localhost")) ||
           (host.n > tail.n && slice_eq_case(slice_from(host, host.n - tail.n), tail));
}

bool resolve_local(struct slice host, uint16_t port, int family, struct resolved *out)
{
    struct resolved r = {.n = 0};
    struct addr a;
    bool known = pinned(host, port, family, &r);
    if (!known && addr_parse(host, port, &a) == NULL) {
        add(&r, a, port, family);
        known = true;
    } else if (!known && is_localhost(host)) {
        a = (struct addr){.len = sizeof a.v6};
        a.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        add(&r, a, port, family);
        a = (struct addr){.len = sizeof a.v4};
        a.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        add(&r, a, port, family);
        known = true;
    }
    fault_clear();
    if (known)
        *out = r;
    return known;
}
