/* SPDX-License-Identifier: MIT */
#include "base/addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>

static struct addr addr_v4(struct in_addr in, uint16_t port)
{
    struct addr a = {.len = sizeof a.v4};
    a.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = in, .sin_port = htons(port)};
    return a;
}

static struct addr addr_v6(struct in6_addr in, uint32_t scope, uint16_t port)
{
    struct addr a = {.len = sizeof a.v6};
    a.v6 = (struct sockaddr_in6){
        .sin6_family = AF_INET6, .sin6_addr = in, .sin6_port = htons(port), .sin6_scope_id = scope};
    return a;
}

err_t addr_parse(struct slice host, uint16_t port, struct addr *out)
{
    char z[ADDR_TEXT];
    struct in_addr in4;
    struct in6_addr in6;
    struct slice bare = host;
    if (bare.n >= 2 && bare.p[0] == '[' && bare.p[bare.n - 1] == ']')
        bare = slice_of(bare.p + 1, bare.n - 2);
    uint32_t scope = 0;
    size_t percent = slice_find(bare, '%', 0);
    if (percent != SIZE_MAX) {
        if (!slice_to_z(slice_from(bare, percent + 1), z, sizeof z) || (scope = if_nametoindex(z)) == 0)
            return fault(E_USAGE, "'%.*s' names no network interface", SLICE_ARG(host));
        bare = slice_first(bare, percent);
    }
    if (slice_to_z(bare, z, sizeof z)) {
        if (bare.n == host.n && inet_pton(AF_INET, z, &in4) == 1) {
            *out = addr_v4(in4, port);
            return NULL;
        }
        if (inet_pton(AF_INET6, z, &in6) == 1) {
            *out = addr_v6(in6, scope, port);
            return NULL;
        }
    }
    return fault(E_USAGE, "'%.*s' is not an IP address", SLICE_ARG(host));
}

err_t addr_parse_listen(struct slice s, uint16_t default_port, struct addr *out)
{
    struct slice host = s, port = SLICE_NONE;
    uint64_t number = default_port;
    size_t colon = SIZE_MAX;
    for (size_t i = s.n; i-- > 0 && s.p[i] != ']';)
        if (s.p[i] == ':') {
            colon = i;
            break;
        }
    bool bare_v6 = colon != SIZE_MAX && s.p[0] != '[' && slice_find(s, ':', 0) != colon;
    if (colon != SIZE_MAX && !bare_v6) {
        host = slice_first(s, colon);
        port = slice_from(s, colon + 1);
    } else if (colon == SIZE_MAX && slice_u64(s, &number)) {
        host = S("127.0.0.1");
    }
    if (s.n == 0 || (port.n && !slice_u64(port, &number)) || (colon != SIZE_MAX && !bare_v6 && port.n == 0) ||
        number > 65535)
        return fault(E_USAGE, "'%.*s' is not [ADDR]:PORT", SLICE_ARG(s));
    if (host.n == 0 || slice_eq(host, S("*"))) {
        *out = addr_v6(in6addr_any, 0, (uint16_t)number);
        return NULL;
    }
    if (slice_eq(host, S("localhost")))
        host = S("127.0.0.1");
    return addr_parse(host, (uint16_t)number, out);
}

err_t addr_unix(struct slice path, struct addr *out)
{
    struct addr a = {.len = sizeof a.un};
    a.un.sun_family = AF_UNIX;
    if (path.n == 0 || !slice_to_z(path, a.un.sun_path, sizeof a.un.sun_path))
        return fault(E_USAGE, "'%.*s' is too long for a Unix socket", SLICE_ARG(path));
    *out = a;
    return NULL;
}

/* inet_ntop costs as much as the rest of a forwarded head. */
static void text_v4(const uint8_t v[4], char out[ADDR_TEXT])
{
    for (int i = 0; i < 4; i++) {
        if (v[i] >= 100)
            *out++ = (char)('0' + v[i] / 100);
        if (v[i] >= 10)
            *out++ = (char)('0' + v[i] / 10 % 10);
        *out++ = (char)('0' + v[i] % 10);
        *out++ = i < 3 ? '.' : 0;
    }
}

char *addr_text_host(const struct addr *a, char out[ADDR_TEXT])
{
    out[0] = 0;
    if (a->len == 0)
        snprintf(out, ADDR_TEXT, "?");
    else if (a->sa.sa_family == AF_INET)
        text_v4((const uint8_t *)&a->v4.sin_addr, out);
    else if (a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
        text_v4(a->v6.sin6_addr.s6_addr + 12, out);
    else if (a->sa.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &a->v6.sin6_addr, out, ADDR_TEXT);
    else
        snprintf(out, ADDR_TEXT, "unix:%.107s", a->un.sun_path);
    return out;
}

char *addr_text(const struct addr *a, char out[ADDR_TEXT])
{
    char host[ADDR_TEXT];
    addr_text_host(a, host);
    bool v6 = a->len && a->sa.sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr);
    if (a->len == 0 || a->sa.sa_family == AF_UNIX)
        snprintf(out, ADDR_TEXT, "%s", host);
    else
        snprintf(out, ADDR_TEXT, v6 ? "[%.64s]:%u" : "%.64s:%u", host, addr_port(a));
    return out;
}

uint16_t addr_port(const struct addr *a)
{
    return a->len == 0                   ? 0
           : a->sa.sa_family == AF_INET  ? ntohs(a->v4.sin_port)
           : a->sa.sa_family == AF_INET6 ? ntohs(a->v6.sin6_port)
                                         : 0;
}

void addr_set_port(struct addr *a, uint16_t port)
{
    if (a->sa.sa_family == AF_INET)
        a->v4.sin_port = htons(port);
    else if (a->sa.sa_family == AF_INET6)
        a->v6.sin6_port = htons(port);
}

/* The address as 16 bytes, IPv4 as ::ffff:a.b.c.d; false for Unix sockets. */
static bool host_bytes(const struct addr *a, uint8_t out[16])
{
    if (a->len && a->sa.sa_family == AF_INET) {
        memset(out, 0, 10);
        out[10] = out[11] = 0xff;
        memcpy(out + 12, &a->v4.sin_addr, 4);
        return true;
    }
    if (a->len && a->sa.sa_family == AF_INET6) {
        memcpy(out, &a->v6.sin6_addr, 16);
        return true;
    }
    return false;
}

bool addr_eq_host(const struct addr *a, const struct addr *b)
{
    uint8_t x[16], y[16];
    bool ip = host_bytes(a, x);
    if (ip != host_bytes(b, y))
        return false;
    return ip ? memcmp(x, y, 16) == 0 : strncmp(a->un.sun_path, b->un.sun_path, sizeof a->un.sun_path) == 0;
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
    return addr_eq_host(a, b) && addr_port(a) == addr_port(b);
}

static bool is_v4(const uint8_t b[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(b, mapped, 12) == 0;
}

bool addr_is_loopback(const struct addr *a)
{
    uint8_t b[16];
    static const uint8_t one[16] = {[15] = 1};
    if (!host_bytes(a, b))
        return true; /* a Unix socket is as local as it gets */
    return is_v4(b) ? b[12] == 127 : memcmp(b, one, 16) == 0;
}

bool addr_is_multicast(const struct addr *a)
{
    uint8_t b[16];
    if (!host_bytes(a, b))
        return false;
    return is_v4(b) ? b[12] >= 224 && (b[12] < 240 || (b[12] & b[13] & b[14] & b[15]) == 255) : b[0] == 0xff;
}

uint64_t addr_hash_host(const struct addr *a, uint64_t seed)
{
    uint8_t b[16] = {0};
    host_bytes(a, b);
    return slice_hash(slice_of(b, 16), seed);
}

err_t network_parse(struct slice s, struct network *out)
{
    struct slice host = s;
    uint64_t prefix = UINT64_MAX;
    size_t slash = slice_find(s, '/', 0);
    if (slash != SIZE_MAX) {
        host = slice_first(s, slash);
        if (!slice_u64(slice_from(s, slash + 1), &prefix))
            return fault(E_USAGE, "'%.*s' is not a network such as 10.0.0.0/8", SLICE_ARG(s));
    }
    struct addr a;
    TRY(addr_parse(host, 0, &a));
    unsigned width = a.sa.sa_family == AF_INET ? 32 : 128;
    if (prefix == UINT64_MAX)
        prefix = width;
    if (prefix > width)
        return fault(E_USAGE, "'%.*s': the prefix is longer than the address", SLICE_ARG(s));
    host_bytes(&a, out->bytes);
    out->prefix = (uint8_t)(prefix + 128 - width);
    return NULL;
}

bool network_has(const struct network *net, const struct addr *a)
{
    uint8_t b[16];
    if (!host_bytes(a, b))
        return false;
    unsigned whole = net->prefix / 8, rest = net->prefix % 8;
    if (memcmp(b, net->bytes, whole) != 0)
        return false;
    return rest == 0 || (b[whole] ^ net->bytes[whole]) >> (8 - rest) == 0;
}
