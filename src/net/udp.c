/* SPDX-License-Identifier: MIT */
#include "net/udp.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "net/udp_control.h"
#include "rt/sys.h"

struct udp_side { /* what one direction hands to the kernel; all arrays have `count` entries */
    struct mmsghdr *headers;
    struct iovec *vectors;
    struct udp_control *control;
};
struct udp_batch {
    unsigned count;
    size_t size;
    struct udp_side in, out;
    struct datagram *datagrams; /* the kernel writes the peers' addresses straight into them */
    char *bytes;
};

static err_t udp_socket(int family, int *fd)
{
    int made = sys_socket(family, SOCK_DGRAM);
    if (made < 0)
        return fault(err_errno(errno), "socket");
    *fd = made;
    return NULL;
}

err_t udp_open(int family, int *fd)
{
    return udp_socket(family, fd);
}

err_t udp_dial(const struct addr *peer, int *fd)
{
    int made = -1;
    TRY(udp_socket(peer->sa.sa_family, &made));
    if (sys_connect(made, &peer->sa, peer->len) < 0) {
        char text[ADDR_TEXT];
        err_t e = fault(err_errno(errno), "%s", addr_text(peer, text));
        sys_close(made);
        return e;
    }
    *fd = made;
    return NULL;
}

/* Ready to receive number i. The kernel shortens what it fills, so each one that was used is armed anew. */
static void arm(struct udp_batch *b, unsigned i)
{
    b->in.headers[i].msg_hdr = (struct msghdr){
        .msg_name = &b->datagrams[i].peer.sa,
        .msg_namelen = sizeof b->datagrams[i].peer - offsetof(struct addr, sa),
        .msg_iov = &b->in.vectors[i],
        .msg_iovlen = 1,
        .msg_control = b->in.control[i].bytes,
        .msg_controllen = sizeof b->in.control[i].bytes,
    };
}

err_t udp_batch_new(unsigned count, size_t size, struct udp_batch **out)
{
    CHECK(count > 0 && size > 0);
    struct udp_batch *b = calloc(1, sizeof *b);
    if (!b)
        return E_NO_MEMORY;
    b->count = count;
    b->size = size;
    for (int i = 0; i < 2; i++) {
        struct udp_side *side = i ? &b->out : &b->in;
        side->headers = calloc(count, sizeof *side->headers);
        side->vectors = calloc(count, sizeof *side->vectors);
        side->control = calloc(count, sizeof *side->control);
    }
    b->datagrams = calloc(count, sizeof *b->datagrams);
    b->bytes = malloc(count * size);
    if (!b->in.headers || !b->in.vectors || !b->in.control || !b->out.headers || !b->out.vectors || !b->out.control ||
        !b->datagrams || !b->bytes) {
        udp_batch_free(b);
        return E_NO_MEMORY;
    }
    for (unsigned i = 0; i < count; i++) {
        b->in.vectors[i] = (struct iovec){b->bytes + i * size, size};
        arm(b, i);
    }
    *out = b;
    return NULL;
}

void udp_batch_free(struct udp_batch *b)
{
    if (!b)
        return;
    for (int i = 0; i < 2; i++) {
        struct udp_side *side = i ? &b->out : &b->in;
        free(side->headers);
        free(side->vectors);
        free(side->control);
    }
    free(b->datagrams);
    free(b->bytes);
    free(b);
}

/* All of it but the bytes of the two addresses, which are a lot to clear for each datagram and say nothing once their
   lengths are set. */
static void take(struct udp_batch *b, unsigned i)
{
    const struct msghdr *h = &b->in.headers[i].msg_hdr;
    struct datagram *d = &b->datagrams[i];
    d->peer.len = h->msg_namelen;
    d->local.len = 0;
    d->payload = slice_of(b->in.vectors[i].iov_base, b->in.headers[i].msg_len);
    d->wall_ns = 0;
    d->interface = 0;
    d->ttl = d->tos = -1;
    d->cut = h->msg_flags & MSG_TRUNC;
    d->group = false;
    udp_control_read(h, d);
}

err_t udp_recv(int fd, struct udp_batch *b, struct datagram **out, unsigned *got, tick until)
{
    unsigned n = 0;
    TRY(io_recvmmsg(fd, b->in.headers, b->count, 0, &n, until));
    for (unsigned i = 0; i < n; i++) {
        take(b, i);
        arm(b, i);
    }
    *out = b->datagrams;
    *got = n;
    return NULL;
}

err_t udp_send(int fd, struct udp_batch *b, const struct datagram *d, unsigned n, unsigned *sent, tick until)
{
    unsigned step = 0;
    for (*sent = 0; *sent < n; d += step) {
        step = n - *sent < b->count ? n - *sent : b->count;
        for (unsigned i = 0; i < step; i++) {
            struct msghdr *h = &b->out.headers[i].msg_hdr;
            b->out.vectors[i] = (struct iovec){(void *)(uintptr_t)d[i].payload.p, d[i].payload.n};
            *h = (struct msghdr){.msg_iov = &b->out.vectors[i], .msg_iovlen = 1};
            if (d[i].peer.len) {
                h->msg_name = (void *)(uintptr_t)&d[i].peer.sa;
                h->msg_namelen = d[i].peer.len;
            }
            udp_control_write(fd, h, &b->out.control[i], &d[i]);
        }
        unsigned taken = 0;
        err_t e = io_sendmmsg(fd, b->out.headers, step, 0, &taken, until);
        *sent += taken;
        TRY(e);
    }
    return NULL;
}
