/* SPDX-License-Identifier: MIT */
#include "rt/inbox.h"

#include "rt/internal.h"
#include "rt/sys.h"

static int fd_of(const struct ready *r)
{
    return (int)(uint32_t)r->token;
}

static bool wanted(const struct ready *r)
{
    const struct slot *s = slot_find(fd_of(r));
    return s && s->generation == r->token >> 32 && s->parked && s->parked->ahead && r->read && !r->hangup &&
           !s->ahead_n;
}

static void hold(struct inbox *in, struct ready *r, const struct sys_receive *call)
{
    struct slot *s = slot_find(fd_of(r));
    if (call->result <= 0)
        return; /* who is woken finds out */
    s->ahead_at = (uint32_t)(call->p - in->bytes);
    s->ahead_n = (uint16_t)call->result;
    in->held++;
    r->read = call->result == INBOX_PIECE; /* a short read has emptied the socket (epoll(7)) */
}

void inbox_fill(struct loop *l, struct ready *r, unsigned n)
{
    struct inbox *in = &l->inbox;
    struct sys_receive calls[INBOX_PIECES];
    struct ready *of[INBOX_PIECES];
    unsigned count = 0;
    if (!in->held)
        in->used = 0;
    for (const struct ready *end = r + n; r < end && in->used + count < INBOX_PIECES; r++)
        if (wanted(r)) {
            char *at = in->bytes + (size_t)(in->used + count) * INBOX_PIECE;
            of[count] = r;
            calls[count++] = (struct sys_receive){.fd = fd_of(r), .p = at, .n = INBOX_PIECE};
        }
    if (count < 2)
        return; /* one alone gains nothing */
    in->used += count;
    sys_receive_all(calls, count);
    for (unsigned i = 0; i < count; i++)
        hold(in, of[i], &calls[i]);
}

size_t inbox_take(struct slot *s, void *p, size_t cap)
{
    size_t n = s->ahead_n < cap ? s->ahead_n : cap;
    memcpy(p, loop_here->inbox.bytes + s->ahead_at, n);
    s->ahead_at += (uint32_t)n;
    s->ahead_n = (uint16_t)(s->ahead_n - n);
    if (!s->ahead_n)
        loop_here->inbox.held--;
    return n;
}

void inbox_drop(struct slot *s)
{
    if (s->ahead_n)
        loop_here->inbox.held--;
    s->ahead_n = 0;
}
