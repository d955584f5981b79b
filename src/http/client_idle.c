/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "http/client_impl.h"
#include "rt/io.h"
#include "rt/loop.h"
#include "rt/park.h"

/* A connection between two requests: no stack, no buffer. The server's close (or any byte, which nobody asked for)
   wakes it, and it is gone. */
struct idle {
    struct list link;
    struct parked parked;
    struct client *client;
    struct stream *stream;
    struct slice key; /* behind the struct */
};

static struct stream *leave(struct idle *i)
{
    struct stream *s = i->stream;
    park_forget(&i->parked);
    list_remove(&i->link);
    i->client->idle_count--;
    free(i);
    return s;
}

static void wake(struct parked *p, enum park_why why)
{
    (void)why;
    stream_close(leave(LIST_ENTRY(p, struct idle, parked)));
}

struct stream *client_idle_take(struct client *c, struct slice key)
{
    for (struct list *l = c->idle.next, *next; l != &c->idle; l = next) {
        next = l->next;
        struct idle *i = LIST_ENTRY(l, struct idle, link);
        if (!slice_eq(i->key, key))
            continue;
        struct stream *s = leave(i);
        if (io_idle_and_alive(stream_fd(s)))
            return s;
        stream_close(s);
    }
    return NULL;
}

void client_idle_put(struct client *c, struct slice key, struct stream *s)
{
    struct idle *i = malloc(sizeof *i + key.n);
    if (!i || stream_pending(s) || stream_fd(s) < 0) {
        free(i);
        stream_close(s);
        return;
    }
    memcpy(i + 1, key.p, key.n);
    *i = (struct idle){.client = c, .stream = s, .key = slice_of(i + 1, key.n)};
    if (c->idle_count >= (c->idle_max ? c->idle_max : CLIENT_IDLE_MAX))
        stream_close(leave(LIST_ENTRY(c->idle.prev, struct idle, link)));
    list_add_first(&c->idle, &i->link);
    c->idle_count++;
    i->parked = (struct parked){.fd = stream_fd(s), .until = after(c->idle_ms ? c->idle_ms : 60000), .wake = wake};
    park_enter(&i->parked);
}

void client_idle_close(struct client *c)
{
    while (!list_empty(&c->idle))
        stream_close(leave(LIST_ENTRY(c->idle.next, struct idle, link)));
}
