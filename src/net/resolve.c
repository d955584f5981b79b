/* SPDX-License-Identifier: MIT */
#include "net/resolve.h"

#include <ares.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/table.h"
#include "net/resolve_both.h"
#include "rt/io.h"
#include "rt/loop.h"
#include "rt/sys.h"
#include "rt/waitq.h"

enum { CACHE_MAX = 1024, TTL_MAX_S = 300, TTL_FAILED_S = 5, HOST_MAX = 255 };

/* One question and, once it came, its answer. Lives in the cache while that holds it or a fiber waits for it. */
struct question {
    struct table_link link;
    struct waitq asking;
    int waiters;
    bool done, cached;
    int status; /* of c-ares */
    int family;
    tick expires;
    struct resolver *resolver;
    int n;
    uint8_t answer[RESOLVE_MAX][sizeof(struct in6_addr)];
    char name[HOST_MAX + 1]; /* asked for; of PTR questions the answer */
};

/* c-ares talks through a few sockets; a fiber waits on each while a question is open. */
struct watch {
    struct list link;
    struct resolver *resolver;
    struct fiber *fiber;
    int fd;
    bool read, write;
    bool dry;    /* the last receive found nothing */
    bool closed; /* c-ares is through with it; the fiber closes it */
};

struct resolver {
    ares_channel channel;
    struct table cache;
    struct list watches;
    struct timer timer;
    struct loop_end end;
    int waiters;            /* fibers that wait for an answer */
    struct timespec config; /* of resolv.conf, when it was read */
    bool open;
};
static _Thread_local struct resolver here;

/* -- c-ares' sockets, so that readiness stays known to the loop -- */

static struct watch *watch_find(struct resolver *r, int fd)
{
    for (struct list *l = r->watches.next; l != &r->watches; l = l->next)
        if (LIST_ENTRY(l, struct watch, link)->fd == fd)
            return LIST_ENTRY(l, struct watch, link);
    return NULL;
}

static ares_socket_t on_socket(int family, int type, int protocol, void *arg)
{
    (void)protocol, (void)arg;
    return sys_socket(family, type);
}

static int on_close(ares_socket_t fd, void *arg)
{
    struct watch *w = watch_find(arg, fd);
    if (w) {
        w->closed = true;
        list_remove(&w->link);
        if (w->fiber) /* NULL: it has not begun */
            fiber_wake(w->fiber);
    } else {
        io_close(fd);
    }
    return 0;
}

static int on_connect(ares_socket_t fd, const struct sockaddr *sa, ares_socklen_t len, void *arg)
{
    (void)arg;
    return sys_connect(fd, sa, len);
}

static ares_ssize_t on_receive(ares_socket_t fd, void *p, size_t n, int flags, struct sockaddr *from,
                               ares_socklen_t *len, void *arg)
{
    ssize_t got = recvfrom(fd, p, n, flags, from, len);
    struct watch *w = watch_find(arg, fd);
    if (w)
        w->dry = got <= 0;
    return got;
}

static ares_ssize_t on_send(ares_socket_t fd, const struct iovec *v, int n, void *arg)
{
    (void)arg;
    return sys_writev(fd, v, n, false);
}

/* -- driving -- */

static void rearm(struct resolver *r)
{
    struct timeval tv, *left = ares_timeout(r->channel, NULL, &tv);
    timer_set(&r->timer, left ? now() + left->tv_sec * TICK_S + left->tv_usec * TICK_US + TICK_MS : TICK_NEVER);
}

static void process(struct resolver *r, int readable, int writable)
{
    (void)FOREIGN((ares_process_fd(r->channel, readable, writable), 0));
    rearm(r);
}

static void on_timer(struct timer *t)
{
    process(LIST_ENTRY(t, struct resolver, timer), ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* Edge-triggered readiness asks for reading until nothing is left; over TCP c-ares takes one piece a call. */
static void serve(struct watch *w)
{
    do {
        w->dry = true;
        process(w->resolver, w->read ? w->fd : ARES_SOCKET_BAD, w->write ? w->fd : ARES_SOCKET_BAD);
    } while (!w->dry && !w->closed);
}

static void watcher(void *arg)
{
    struct watch *w = arg;
    err_t e = NULL;
    w->fiber = fiber_self();
    while (!w->closed && !e) {
        e = io_wait_foreign(w->fd, w->write ? IO_WRITE : IO_READ, TICK_NEVER);
        if (!e && !w->closed)
            serve(w);
    }
    if (w->closed)
        io_close(w->fd);
    else
        list_remove(&w->link); /* the loop ends; c-ares closes the socket itself later */
    free(w);
}

static void on_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct resolver *r = arg;
    struct watch *w = watch_find(r, fd);
    if (!w && (readable || writable) && (w = calloc(1, sizeof *w))) {
        *w = (struct watch){.resolver = r, .fd = fd};
        list_add_last(&r->watches, &w->link);
        if (scope_spawn(loop_scope(loop_self()), "resolver", watcher, w)) {
            list_remove(&w->link); /* then the question times out */
            free(w);
            return;
        }
    }
    if (w)
        w->read = readable, w->write = writable;
}

/* -- opening, and noticing that the configuration changed -- */

static struct timespec config_time(void)
{
    struct stat st;
    return stat("/etc/resolv.conf", &st) == 0 ? st.st_mtim : (struct timespec){0};
}

static void library_init(void)
{
    (void)ares_library_init(ARES_LIB_INIT_ALL); /* counts its callers without a lock, so once a process */
}

static err_t channel_open(struct resolver *r)
{
    static const struct ares_socket_functions functions = {on_socket, on_close, on_connect, on_receive, on_send};
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const char *servers = getenv("L7_NAMESERVERS");
    struct ares_options options = {.sock_state_cb = on_state, .sock_state_cb_data = r};
    pthread_once(&once, library_init);
    int status = FOREIGN(ares_init_options(&r->channel, &options, ARES_OPT_SOCK_STATE_CB));
    if (status != ARES_SUCCESS)
        return fault(E_RESOLVE, "resolver: %s", ares_strerror(status));
    ares_set_socket_functions(r->channel, &functions, r);
    r->config = config_time();
    if (servers && (status = ares_set_servers_ports_csv(r->channel, servers)) != ARES_SUCCESS) {
        ares_destroy(r->channel);
        r->channel = NULL;
        return fault(E_USAGE, "L7_NAMESERVERS: %s", ares_strerror(status));
    }
    return NULL;
}

static void channel_close(struct resolver *r)
{
    if (r->channel)
        (void)FOREIGN((ares_destroy(r->channel), 0));
    r->channel = NULL;
    timer_stop(&r->timer);
}

static void forget(struct table_link *l, void *arg)
{
    struct resolver *r = arg;
    struct question *q = LIST_ENTRY(l, struct question, link);
    if (q->waiters || !q->done)
        return;
    table_remove(&r->cache, l);
    free(q);
}

static void resolver_close(struct loop_end *end)
{
    struct resolver *r = LIST_ENTRY(end, struct resolver, end);
    channel_close(r);
    table_each(&r->cache, forget, r);
    table_done(&r->cache);
    *r = (struct resolver){.open = false};
}

static err_t resolver_get(struct resolver **out)
{
    struct resolver *r = &here;
    if (!r->open) {
        TRY(table_init(&r->cache, 64));
        list_init(&r->watches);
        r->timer.fire = on_timer;
        r->end.run = resolver_close;
        loop_at_end(&r->end);
        r->open = true;
    }
    struct timespec t = config_time();
    if (r->waiters == 0 && (t.tv_sec != r->config.tv_sec || t.tv_nsec != r->config.tv_nsec))
        channel_close(r);
    if (!r->channel)
        TRY(channel_open(r));
    *out = r;
    return NULL;
}

/* -- questions -- */

static err_t error_of(const struct question *q, struct slice host)
{
    switch (q->status) {
    case ARES_SUCCESS:
        return NULL;
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_EBADNAME:
        return fault(E_NO_HOST, "%.*s", SLICE_ARG(host));
    case ARES_ENOMEM:
        return E_NO_MEMORY;
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION:
        return E_CANCELED;
    case ARES_ETIMEOUT:
        return fault(E_RESOLVE, "%.*s", SLICE_ARG(host));
    default:
        return fault(E_RESOLVE, "%.*s (%s)", SLICE_ARG(host), ares_strerror(q->status));
    }
}

static void uncache(struct question *q)
{
    if (q->cached)
        table_remove(&q->resolver->cache, &q->link);
    q->cached = false;
}

static void settle(struct question *q, int status, int ttl_s)
{
    q->status = status;
    q->done = true;
    q->expires = now() + (ttl_s < TTL_MAX_S ? ttl_s : TTL_MAX_S) * TICK_S;
    if (status == ARES_ECANCELLED || status == ARES_EDESTRUCTION)
        uncache(q);
    waitq_wake(&q->asking, -1);
    if (q->waiters == 0 && !q->cached)
        free(q);
}

static void on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct question *q = arg;
    int ttl = TTL_MAX_S;
    (void)timeouts;
    for (const struct ares_addrinfo_cname *c = info ? info->cnames : NULL; c; c = c->next)
        ttl = c->ttl < ttl ? c->ttl : ttl;
    for (const struct ares_addrinfo_node *n = info ? info->nodes : NULL; n && q->n < RESOLVE_MAX; n = n->ai_next) {
        if (n->ai_family != q->family)
            continue;
        const void *from = q->family == AF_INET6 ? (void *)&((struct sockaddr_in6 *)(void *)n->ai_addr)->sin6_addr
                                                 : (void *)&((struct sockaddr_in *)(void *)n->ai_addr)->sin_addr;
        memcpy(q->answer[q->n++], from, q->family == AF_INET6 ? 16 : 4);
        ttl = n->ai_ttl < ttl ? n->ai_ttl : ttl;
    }
    ares_freeaddrinfo(info);
    if (status == ARES_SUCCESS && q->n == 0)
        status = ARES_ENODATA;
    settle(q, status, status == ARES_SUCCESS ? ttl : TTL_FAILED_S);
}

static void on_name(void *arg, int status, int timeouts, struct hostent *host)
{
    struct question *q = arg;
    (void)timeouts;
    if (status == ARES_SUCCESS && !slice_to_z(slice_z(host->h_name), q->name, sizeof q->name))
        status = ARES_ENODATA;
    settle(q, status, 0);
}

static struct question *question_new(struct resolver *r, int family)
{
    struct question *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->resolver = r;
    q->family = family;
    waitq_init(&q->asking);
    return q;
}

static struct question *cached(struct resolver *r, struct slice host, int family, uint64_t hash)
{
    for (struct table_link *l = table_first(&r->cache, hash); l; l = table_next(l, hash)) {
        struct question *q = LIST_ENTRY(l, struct question, link);
        if (q->family != family || !slice_eq_case(slice_z(q->name), host))
            continue;
        if (!q->done || q->expires > now())
            return q;
        uncache(q);
        if (q->waiters == 0)
            free(q);
        break;
    }
    return NULL;
}

/* The question for this name, asked before or now. */
static err_t ask(struct resolver *r, struct slice host, int family, struct question **out)
{
    uint64_t hash = slice_hash_case(host, r->cache.seed + (uint64_t)family);
    if ((*out = cached(r, host, family, hash)))
        return NULL;
    struct question *q = question_new(r, family);
    if (!q)
        return E_NO_MEMORY;
    if (!slice_to_z(host, q->name, sizeof q->name)) {
        free(q);
        return fault(E_NO_HOST, "%.*s", SLICE_ARG(slice_first(host, 60)));
    }
    if (r->cache.count >= CACHE_MAX)
        table_each(&r->cache, forget, r);
    table_add(&r->cache, &q->link, hash);
    q->cached = true;
    const struct ares_addrinfo_hints hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
    q->waiters++; /* it may be answered, and then forgotten, at once */
    (void)FOREIGN((ares_getaddrinfo(r->channel, q->name, NULL, &hints, on_addresses, q), 0));
    q->waiters--;
    rearm(r);
    *out = q;
    return NULL;
}

/* Wait for the answer. The caller looks at it and then releases the question. */
static err_t await(struct question *q, tick until)
{
    struct resolver *r = q->resolver;
    err_t e = NULL;
    q->waiters++;
    r->waiters++;
    while (!q->done && !e)
        e = waitq_wait(&q->asking, until);
    r->waiters--;
    if (!q->done && r->waiters == 0) { /* nobody wants any answer any more: stop asking, or the loop could not end */
        (void)FOREIGN((ares_cancel(r->channel), 0));
        rearm(r);
    }
    return q->done && !e ? NULL : e;
}

static void release(struct question *q)
{
    if (--q->waiters == 0 && q->done && !q->cached)
        free(q);
}

static void take(const struct question *q, uint16_t port, struct resolved *out)
{
    out->n = q->n;
    for (int i = 0; i < q->n; i++) {
        struct addr *a = &out->v[i];
        *a = (struct addr){.len = q->family == AF_INET6 ? sizeof a->v6 : sizeof a->v4};
        a->sa.sa_family = (sa_family_t)q->family;
        memcpy(q->family == AF_INET6 ? (void *)&a->v6.sin6_addr : (void *)&a->v4.sin_addr, q->answer[i],
               q->family == AF_INET6 ? 16 : 4);
        addr_set_port(a, port);
    }
}

static err_t resolve_family(struct slice host, uint16_t port, int family, struct resolved *out, tick until)
{
    struct resolver *r;
    struct question *q;
    TRY(resolver_get(&r));
    TRY(ask(r, host, family, &q));
    err_t e = await(q, until);
    if (!e)
        e = error_of(q, host);
    if (!e)
        take(q, port, out);
    release(q);
    return e == E_TIMEOUT ? fault(e, "looking up %.*s", SLICE_ARG(host)) : e;
}

err_t resolve(struct slice host, uint16_t port, int family, struct resolved *out, tick until)
{
    struct resolved local;
    if (!resolve_local(host, port, family, &local))
        return family ? resolve_family(host, port, family, out, until) : resolve_both(host, port, out, until);
    if (local.n == 0)
        return fault(E_NO_HOST, "%.*s has no such address", SLICE_ARG(host));
    *out = local;
    return NULL;
}

err_t resolve_name(const struct addr *a, char *out, size_t cap, tick until)
{
    struct resolver *r;
    TRY(resolver_get(&r));
    struct question *q = question_new(r, a->sa.sa_family);
    bool six = a->sa.sa_family == AF_INET6;
    if (!q)
        return E_NO_MEMORY;
    q->waiters++;
    const void *bytes = six ? (const void *)&a->v6.sin6_addr : (const void *)&a->v4.sin_addr;
    (void)FOREIGN((ares_gethostbyaddr(r->channel, bytes, six ? 16 : 4, a->sa.sa_family, on_name, q), 0));
    q->waiters--;
    rearm(r);
    char text[ADDR_TEXT];
    err_t e = await(q, until);
    if (!e)
        e = error_of(q, slice_z(addr_text_host(a, text)));
    if (!e && !slice_to_z(slice_z(q->name), out, cap))
        e = E_TOO_LARGE;
    release(q);
    return e;
}
