/* SPDX-License-Identifier: MIT */
#include "net/udp_control.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <time.h>

#include "base/check.h"
#include "rt/sys.h"

static bool set(int fd, int level, int name, int value)
{
    return sys_setsockopt(fd, level, name, &value, sizeof value) == 0;
}

/* An IPv6 socket also carries IPv4 (dual stack), so it gets both families' options; the IPv4 ones may fail there. */
static bool set_both(int fd, int domain, int name4, int name6, int value)
{
    bool v4 = set(fd, IPPROTO_IP, name4, value);
    return domain == AF_INET6 ? set(fd, IPPROTO_IPV6, name6, value) : v4;
}

err_t udp_setup(int fd, enum udp_flags want, enum udp_flags *granted)
{
    int domain = 0;
    unsigned got = 0, stamps = 0;
    socklen_t len = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
        return err_errno(errno);
    if (want & UDP_LOCAL && set_both(fd, domain, IP_PKTINFO, IPV6_RECVPKTINFO, 1))
        got |= UDP_LOCAL;
    if (want & UDP_TTL && set_both(fd, domain, IP_RECVTTL, IPV6_RECVHOPLIMIT, 1))
        got |= UDP_TTL;
    if (want & UDP_TOS && set_both(fd, domain, IP_RECVTOS, IPV6_RECVTCLASS, 1))
        got |= UDP_TOS;
    if (want & UDP_RX_STAMP)
        stamps |= SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
    if (want & UDP_TX_STAMP) /* numbered, and without the payload coming back */
        stamps |= SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID |
                  SOF_TIMESTAMPING_OPT_TSONLY;
    if (stamps && set(fd, SOL_SOCKET, SO_TIMESTAMPING, (int)stamps))
        got |= want & (UDP_RX_STAMP | UDP_TX_STAMP);
    if (want & UDP_ERRORS && set_both(fd, domain, IP_RECVERR, IPV6_RECVERR, 1))
        got |= UDP_ERRORS;
    if (want & UDP_NO_FRAGMENT && set_both(fd, domain, IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, IP_PMTUDISC_DO))
        got |= UDP_NO_FRAGMENT;
    if (want & UDP_BROADCAST_OK && set(fd, SOL_SOCKET, SO_BROADCAST, 1))
        got |= UDP_BROADCAST_OK;
    *granted = got;
    return NULL;
}

static int64_t stamp_of(const struct cmsghdr *c)
{
    struct scm_timestamping t; /* ts[0] is the software stamp */
    memcpy(&t, CMSG_DATA(c), sizeof t);
    return (int64_t)t.ts[0].tv_sec * 1000000000 + t.ts[0].tv_nsec;
}

static int16_t number_of(const struct cmsghdr *c)
{
    /* IP_TOS comes as one byte, all others as an int. */
    if (c->cmsg_len < CMSG_LEN(sizeof(int)))
        return *CMSG_DATA(c);
    int v;
    memcpy(&v, CMSG_DATA(c), sizeof v);
    return (int16_t)v;
}

static void local_v4(const struct cmsghdr *c, struct datagram *d)
{
    struct in_pktinfo info;
    memcpy(&info, CMSG_DATA(c), sizeof info);
    /* spec_dst is the address to answer from, also when the datagram came by broadcast or multicast. It is zero when
       the datagram was queued before IP_PKTINFO was switched on; an answer from a broadcast address the kernel refuses.
     */
    bool known = info.ipi_spec_dst.s_addr != INADDR_ANY;
    d->local.len = sizeof d->local.v4;
    d->local.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = known ? info.ipi_spec_dst : info.ipi_addr};
    d->interface = (uint32_t)info.ipi_ifindex;
    d->group = known ? info.ipi_addr.s_addr != info.ipi_spec_dst.s_addr : addr_is_multicast(&d->local);
}

static void local_v6(const struct cmsghdr *c, struct datagram *d)
{
    struct in6_pktinfo info;
    memcpy(&info, CMSG_DATA(c), sizeof info);
    d->local.len = sizeof d->local.v6;
    d->local.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = info.ipi6_addr};
    if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
        d->local.v6.sin6_scope_id = info.ipi6_ifindex;
    d->interface = info.ipi6_ifindex;
    d->group = IN6_IS_ADDR_MULTICAST(&info.ipi6_addr);
}

static void read_one(const struct cmsghdr *c, struct datagram *d)
{
#define KIND(level, type) ((level) << 16 | (type))
    switch (KIND(c->cmsg_level, c->cmsg_type)) {
    case KIND(SOL_SOCKET, SCM_TIMESTAMPING):
        d->wall_ns = stamp_of(c);
        break;
    case KIND(IPPROTO_IP, IP_PKTINFO):
        local_v4(c, d);
        break;
    case KIND(IPPROTO_IPV6, IPV6_PKTINFO):
        local_v6(c, d);
        break;
    case KIND(IPPROTO_IP, IP_TTL):
    case KIND(IPPROTO_IPV6, IPV6_HOPLIMIT):
        d->ttl = number_of(c);
        break;
    case KIND(IPPROTO_IP, IP_TOS):
    case KIND(IPPROTO_IPV6, IPV6_TCLASS):
        d->tos = number_of(c);
        break;
    default:
        break;
    }
#undef KIND
}

void udp_control_read(const struct msghdr *h, struct datagram *d)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)h, c))
        read_one(c, d);
}

static void append(struct msghdr *h, struct udp_control *room, int level, int type, const void *value, size_t n)
{
    struct cmsghdr *c = (struct cmsghdr *)(room->bytes + h->msg_controllen);
    CHECK(h->msg_controllen + CMSG_SPACE(n) <= sizeof room->bytes);
    h->msg_control = room->bytes;
    h->msg_controllen += CMSG_SPACE(n);
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(n);
    memcpy(CMSG_DATA(c), value, n);
}

/* Will this datagram travel as IPv4? A mapped address on an IPv6 socket does. */
static bool goes_by_v4(int fd, const struct datagram *d)
{
    struct addr a = d->peer;
    if (a.len == 0) {
        a.len = sizeof a.un;
        if (getpeername(fd, &a.sa, &a.len) < 0)
            return false;
    }
    return a.sa.sa_family == AF_INET || (a.sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a.v6.sin6_addr));
}

static void append_local(struct msghdr *h, struct udp_control *room, const struct addr *local)
{
    if (local->sa.sa_family == AF_INET) {
        struct in_pktinfo info = {.ipi_spec_dst = local->v4.sin_addr};
        append(h, room, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else {
        struct in6_pktinfo info = {.ipi6_addr = local->v6.sin6_addr, .ipi6_ifindex = local->v6.sin6_scope_id};
        append(h, room, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
}

void udp_control_write(int fd, struct msghdr *h, struct udp_control *room, const struct datagram *d)
{
    int ttl = d->ttl, tos = d->tos;
    if (d->local.len && !addr_is_multicast(&d->local))
        append_local(h, room, &d->local);
    if (ttl < 0 && tos < 0)
        return;
    bool v4 = goes_by_v4(fd, d);
    if (ttl >= 0)
        append(h, room, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TTL : IPV6_HOPLIMIT, &ttl, sizeof ttl);
    if (tos >= 0)
        append(h, room, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, &tos, sizeof tos);
}

static struct addr offender_of(const struct sock_extended_err *e)
{
    struct addr a = {0};
    const struct sockaddr *sa = SO_EE_OFFENDER(e);
    if (sa->sa_family == AF_INET)
        a.len = sizeof a.v4;
    else if (sa->sa_family == AF_INET6)
        a.len = sizeof a.v6;
    memcpy(&a.sa, sa, a.len);
    return a;
}

static void event_of(const struct cmsghdr *c, struct udp_event *ev)
{
    bool error = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
                 (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPING)
        ev->wall_ns = stamp_of(c);
    if (!error)
        return;
    /* Copied with the address behind it, which is what SO_EE_OFFENDER looks for. */
    struct {
        struct sock_extended_err err;
        struct sockaddr_in6 from;
    } e = {0};
    size_t n = c->cmsg_len - CMSG_LEN(0);
    memcpy(&e, CMSG_DATA(c), n < sizeof e ? n : sizeof e);
    if (e.err.ee_origin == SO_EE_ORIGIN_TIMESTAMPING) {
        ev->what = UDP_EVENT_STAMP;
        ev->id = e.err.ee_data;
        return;
    }
    ev->what = UDP_EVENT_ICMP;
    ev->error = (int)e.err.ee_errno;
    ev->type = e.err.ee_type;
    ev->code = e.err.ee_code;
    ev->mtu = e.err.ee_errno == EMSGSIZE ? e.err.ee_info : 0;
    if (e.err.ee_origin != SO_EE_ORIGIN_LOCAL)
        ev->offender = offender_of(&e.err);
}

err_t udp_event(int fd, struct udp_event *out)
{
    static _Thread_local char left[2048];
    struct udp_control control;
    struct udp_event ev = {0};
    struct iovec v = {left, sizeof left};
    struct msghdr h = {
        .msg_name = &ev.peer.sa,
        .msg_namelen = sizeof ev.peer - offsetof(struct addr, sa),
        .msg_iov = &v,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    ssize_t n;
    do
        n = recvmsg(fd, &h, MSG_ERRQUEUE | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? E_TIMEOUT : err_errno(errno);
    ev.peer.len = h.msg_namelen;
    ev.payload = slice_of(left, (size_t)n);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c))
        event_of(c, &ev);
    *out = ev;
    return NULL;
}
