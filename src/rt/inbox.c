/* SPDX-License-Identifier: MIT */
#include "rt/inbox.h"

#include "rt/internal.h"
#include "rt/sys.h"

static bool wanted(const struct slot *s, const struct ready *r)
{
    return s && s->generation == r->token >> 32 && s->parked && s->parked->ahead && r->read && !r->hangup &&
           !s->ahead_n;
}

void inbox_fill(struct loop *l, struct ready *r, int n)
{
    struct inbox *in = &l->inbox;
    if (!in->held)
        in->used = 0;
    for (const struct ready *end = r + n; r < end && INBOX_BYTES - in->used >= INBOX_PIECE; r++) {
        int fd = (int)(uint32_t)r->token;
        struct slot *s = slot_find(fd);
        ssize_t got = wanted(s, r) ? sys_read(fd, in->bytes + in->used, INBOX_PIECE) : 0;
        if (got <= 0)
            continue; /* who is woken finds out */
        s->ahead_at = (uint16_t)in->used;
        s->ahead_n = (uint16_t)got;
        in->used += (unsigned)got;
        in->held++;
        r->read = got == INBOX_PIECE; /* a short read has emptied the socket (epoll(7)) */
    }
}

size_t inbox_take(struct slot *s, void *p, size_t cap)
{
    struct inbox *in = &loop_here->inbox;
    size_t n = s->ahead_n < cap ? s->ahead_n : cap;
    memcpy(p, in->bytes + s->ahead_at, n);
    s->ahead_at = (uint16_t)(s->ahead_at + n);
    s->ahead_n = (uint16_t)(s->ahead_n - n);
    if (!s->ahead_n)
        in->held--;
    return n;
}

void inbox_drop(struct slot *s)
{
    if (s->ahead_n)
        loop_here->inbox.held--;
    s->ahead_n = 0;
}
