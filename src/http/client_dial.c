/* SPDX-License-Identifier: MIT */
/* client_dial.c -- from a request to a connection that can carry it: socket, proxy, tunnel, TLS, trace. */
#include "http/client_impl.h"
#include "http/h1_parse.h"
#include "http/uri.h"
#include "rt/loop.h"

enum { CONNECT_HEAD_MAX = 32 << 10 };

static uint16_t port_of(const struct client_request *rq)
{
    return rq->port ? rq->port : rq->secure ? 443 : 80;
}

static bool tunnels(const struct client_request *rq)
{
    return rq->proxy && (rq->secure || rq->tunnel);
}

static err_t add_place(struct buf *out, struct slice how, struct slice host, uint16_t port)
{
    char digits[SLICE_U64];
    const struct slice parts[] = {how, host, S(":"), slice_of_u64(port, digits)};
    return buf_add_all(out, parts, sizeof parts / sizeof parts[0]);
}

err_t client_key(const struct client_request *rq, struct buf *out)
{
    const struct client_proxy *p = rq->proxy;
    if (rq->unix_path)
        TRY(buf_format(out, "unix %s ", rq->unix_path));
    if (p)
        TRY(add_place(out, p->secure ? S("https-proxy ") : S("proxy "), p->host, p->port));
    if (p)
        TRY(buf_add_char(out, ' '));
    if (p && !tunnels(rq))
        return NULL; /* whatever the origin: the proxy goes there */
    return add_place(out, rq->secure ? S("https ") : S("http "), rq->host, port_of(rq));
}

/* ---- TLS ---- */

static err_t context(struct client *c, bool to_proxy, struct tls **tls)
{
    struct tls **kept = to_proxy ? &c->proxy_tls : &c->tls;
    if (!*kept) {
        struct tls_client_options o = c->tls_options;
        o.alpn = to_proxy || c->version == CLIENT_HTTP1 ? TLS_ALPN_HTTP1
                 : c->version == CLIENT_HTTP2           ? TLS_ALPN_H2
                                                        : TLS_ALPN_HTTP1 | TLS_ALPN_H2;
        TRY(tls_client_new(&o, kept));
    }
    *tls = *kept;
    return NULL;
}

/* Takes `*s` over: on failure it is closed and NULL. */
static err_t secure(struct client *c, bool to_proxy, struct stream **s, struct slice host, tick until)
{
    struct tls *tls;
    struct stream *below = *s;
    err_t e = context(c, to_proxy, &tls);
    *s = NULL;
    if (e) {
        stream_close(below);
        return e;
    }
    return stream_tls_client(below, tls, host, s, until);
}

/* ---- The tunnel (RFC 9110 section 9.3.6) ---- */

static err_t send_connect(const struct client_request *rq, struct buf *b, struct stream *s, tick until)
{
    struct uri u = {.host = rq->host, .ipv6 = slice_has(rq->host, ':'), .port = port_of(rq)};
    TRY(buf_add(b, S("CONNECT ")));
    TRY(uri_add_authority(b, &u));
    TRY(buf_add(b, S(" HTTP/1.1\r\nHost: ")));
    TRY(uri_add_authority(b, &u));
    TRY(buf_add(b, S("\r\n")));
    if (rq->proxy->authorization.n)
        TRY(buf_format(b, "Proxy-Authorization: %.*s\r\n", SLICE_ARG(rq->proxy->authorization)));
    const struct http_fields *f = rq->proxy->fields;
    for (int i = 0; f && i < f->n; i++)
        TRY(buf_format(b, "%.*s: %.*s\r\n", SLICE_ARG(f->v[i].name), SLICE_ARG(f->v[i].value)));
    TRY(buf_add(b, S("\r\n")));
    return stream_write(s, buf_slice(b), until);
}

static err_t connect_refused(const struct client_request *rq, const struct http_response *r)
{
    return fault(r->status < 500 ? E_FORBIDDEN : E_REFUSED, "proxy %.*s:%u answered %u %.*s to CONNECT %.*s:%u",
                 SLICE_ARG(rq->proxy->host), rq->proxy->port, r->status, SLICE_ARG(r->reason), SLICE_ARG(rq->host),
                 port_of(rq));
}

static err_t read_connect(const struct client_request *rq, struct buf *b, struct stream *s, struct arena *arena,
                          tick until)
{
    for (struct h1_parse parse = {.lenient = true, .max_head = CONNECT_HEAD_MAX};;) {
        struct http_response r = {0};
        size_t used = 0;
        bool headless = false;
        if (b->n)
            TRY(h1_parse_response(&parse, buf_slice(b), arena, &r, &used, &headless));
        if (headless || (used && r.status == 101))
            return fault(E_PROTO, "proxy %.*s:%u: no HTTP answer", SLICE_ARG(rq->proxy->host), rq->proxy->port);
        if (used && r.status < 200) {
            buf_eat(b, used);
            parse.seen = 0;
            continue;
        }
        if (used && r.status / 100 != 2)
            return connect_refused(rq, &r);
        if (used && used != b->n)
            return fault(E_PROTO, "proxy %.*s:%u sent bytes of its own into the tunnel", SLICE_ARG(rq->proxy->host),
                         rq->proxy->port);
        if (used)
            return NULL;
        TRY(stream_fill(s, b, 4096, until));
    }
}

static err_t open_tunnel(struct client *c, const struct client_request *rq, struct stream *s, tick until)
{
    AUTO(buf_free) struct buf b = {.max = CONNECT_HEAD_MAX + 4096};
    struct arena arena = {0};
    trace_line(c->trace, 'C', "CONNECT %.*s:%u (proxy %.*s:%u)", SLICE_ARG(rq->host), port_of(rq),
               SLICE_ARG(rq->proxy->host), rq->proxy->port);
    err_t e = send_connect(rq, &b, s, until);
    b.n = 0;
    if (!e)
        e = read_connect(rq, &b, s, &arena, until);
    if (!e)
        trace_line(c->trace, 'S', "the tunnel is open");
    arena_reset(&arena);
    return e;
}

/* ---- The connection ---- */

static err_t open_socket(struct client *c, const struct client_request *rq, struct call *call, struct stream **out,
                         tick until)
{
    struct dial_times t = {0};
    int fd;
    if (rq->unix_path) {
        TRY(addr_unix(slice_z(rq->unix_path), &call->peer));
        TRY(dial_addr(&call->peer, &c->dial, &fd, until));
        t.connected = clock_now();
    } else {
        struct slice host = rq->proxy ? rq->proxy->host : rq->host;
        TRY(dial(host, rq->proxy ? rq->proxy->port : port_of(rq), &c->dial, &fd, &call->peer, &t, until));
    }
    /* The loop's clock may be a little behind the one that `start` was read from. */
    tick start = call->times.start;
    call->times.resolved = t.resolved && t.resolved < start ? start : t.resolved;
    call->times.connected = t.connected < start ? start : t.connected;
    return stream_tcp(fd, out);
}

static err_t build(struct client *c, const struct client_request *rq, struct stream **s, tick until)
{
    if (rq->proxy && rq->proxy->secure)
        TRY(secure(c, true, s, rq->proxy->host, until));
    if (tunnels(rq))
        TRY(open_tunnel(c, rq, *s, until));
    return rq->secure ? secure(c, false, s, rq->host, until) : NULL;
}

err_t client_dial(struct client *c, const struct client_request *rq, struct call *call, struct stream **out, tick until)
{
    struct stream *s;
    tick limit = c->connect_ms ? after(c->connect_ms) : TICK_NEVER;
    tick by = limit < until ? limit : until;
    TRY(open_socket(c, rq, call, &s, by));
    err_t e = build(c, rq, &s, by);
    if (e) {
        stream_close(s);
        return e;
    }
    if (rq->secure || (rq->proxy && rq->proxy->secure))
        call->times.secured = client_clock(call);
    *out = stream_trace(s, c->trace, 'C', TRACE_HTTP);
    return NULL;
}
