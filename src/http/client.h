/* SPDX-License-Identifier: MIT */
/*
 * client.h -- one request to an HTTP server, whatever the version of HTTP beneath.
 *
 * A `struct client` belongs to one loop: what connections are made with, and those that wait for their next
 * request. A `struct call` is one request and its response. The caller owns both, on its stack or inside a struct:
 *
 *     struct call call = {0};
 *     TRY(client_open(&client, &request, &call, until));       the head is there: call.response
 *     while (!(e = call_read(&call, buf, sizeof buf, &got, until)) && got)
 *         ...
 *     call_close(&call);                                       always, also after a failed client_open
 *
 * client_open takes a parked connection or makes one (through a proxy, with TLS, HTTP/2 where ALPN says so), sends
 * head and body and waits for the final response head. A body that is not in memory is sent by a fiber of its own,
 * so bodies stream both ways at once. When a parked connection turns out to be dead before any byte of an answer,
 * the request is sent again on a new one if that is safe (RFC 9110 section 9.2.2): the method is idempotent and
 * the body can be sent twice, or an HTTP/2 server said that it did not look at it (RFC 9113 section 8.7).
 *
 * call_read gives the body without its transfer coding; content codings are the caller's business (encode.h).
 * A body that ends too early is E_TRUNCATED, one that breaks the framing is E_PROTO; neither looks like an end.
 * Redirects, cookies and credentials are the caller's as well: nothing is added to the fields but Host, the framing
 * and what a proxy needs.
 */
#pragma once

#include "base/arena.h"
#include "http/body.h"
#include "http/message.h"
#include "net/dial.h"
#include "net/pool.h"
#include "net/tls.h"
#include "rt/scope.h"
#include "rt/waitq.h"
#include "wire/trace.h"

enum client_version {
    CLIENT_ANY,   /* HTTP/2 when TLS and ALPN allow it, else HTTP/1.1 */
    CLIENT_HTTP1, /* never HTTP/2 */
    CLIENT_HTTP2, /* over http:// with prior knowledge (RFC 9113 section 3.3), over https:// required */
};

enum { CLIENT_HEAD_MAX = 256 << 10 };
#define CLIENT_UNKNOWN UINT64_MAX /* a length that nobody announced */

enum { CLIENT_SPARES = 64 };

struct client {
    struct tls_client_options tls_options; /* used when the first https:// comes; alpn is set by `version` */
    struct pool *pool;                     /* made elsewhere and shared, or NULL: the client makes its own */
    struct dial_options dial;              /* address family, local address, address filter */
    enum client_version version;
    struct trace_sink *trace; /* --trace of every connection, or NULL */
    int64_t connect_ms;       /* for name, TCP, proxy and TLS together; 0: only the call's own time counts */
    size_t head_max;          /* bytes of a response head; 0: CLIENT_HEAD_MAX */
    bool lenient;             /* heads as the textbooks' servers send them: bare LF, missing phrase, obs-fold */
    bool headless;            /* accept an answer without any head (HTTP/0.9) */
    bool reports;             /* call.times to the nanosecond, not only to the loop's turn, and call.request_head */

    /* -- private -- */
    struct tls *tls, *proxy_tls; /* towards origins, and towards proxies, which are spoken to in HTTP/1.1 */
    bool own_pool;
    struct list h2;        /* live HTTP/2 sessions */
    struct scope sessions; /* their readers */
    struct list dialling;  /* connections under way that may become sessions */
    struct waitq dialled;
    struct buf spare[CLIENT_SPARES]; /* buffers of calls that need none just now, or have ended */
    unsigned spare_count;
};

void client_init(struct client *); /* {0} first, then this, then the options */
void client_done(struct client *); /* closes what is parked and unrefs the context; no call may be open */

struct client_proxy {
    struct slice host;
    uint16_t port;
    bool secure;                      /* TLS to the proxy itself */
    struct slice authorization;       /* value of Proxy-Authorization ("Basic ..."), or empty */
    const struct http_fields *fields; /* more fields for CONNECT, or NULL */
};

/* A request body: bytes in memory, or a reader that is called until it gives 0 bytes. */
struct client_body {
    struct slice bytes;
    err_t (*read)(void *arg, void *, size_t cap, size_t *got, tick until);
    err_t (*rewind)(void *arg); /* start again from the first byte; NULL: it can be sent only once */
    void *arg;
    uint64_t length; /* of what `read` gives, or CLIENT_UNKNOWN: chunked, or END_STREAM ends it */
    bool present;    /* false: no body at all, and no Content-Length either */
    /* Asked once `read` has given 0 for a body of unknown length: fields to send behind it. NULL: none. */
    const struct http_fields *(*trailers)(void *arg);
};

struct client_request {
    struct slice method;
    bool secure;         /* https */
    struct slice host;   /* without brackets */
    uint16_t port;       /* 0: 80 or 443 */
    struct slice target; /* "/path?query" or "*"; empty for CONNECT */
    const struct http_fields
        *fields; /* Host is added unless it is here; Content-Length and Transfer-Encoding never are */
    struct client_body body;
    const struct client_proxy *proxy; /* NULL: straight to the host */
    bool tunnel;                      /* through the proxy with CONNECT also for http:// */
    const char *unix_path;            /* connect to this socket instead, or NULL */
    struct slice key;    /* client_key's text for all of this, where it is known before; empty: made for this call */
    bool fresh;          /* never on a parked connection */
    int64_t patience_ms; /* of the server's silence or standstill until the final head; 0: only `until` counts */
    bool close;          /* say "Connection: close" and do not park */
    void (*interim)(void *arg, const struct http_response *); /* each 1xx but 101; must not suspend; NULL: dropped */
    void *arg;
};

struct client_times { /* of the attempt that succeeded; 0 = did not happen (a parked connection has no dialling) */
    tick start, resolved, connected, secured, sent, first_byte, done;
};

struct call;
struct call_ops {
    err_t (*read)(struct call *, void *, size_t cap, size_t *got, tick until);
    void (*close)(struct call *);
    err_t (*detach)(struct call *, struct stream **, struct slice *early);
};

struct call {
    struct http_response response; /* its slices live until call_close */
    struct slice head;             /* HTTP/1: the response head as received, with its line ends; else empty */
    struct slice request_head;     /* HTTP/1: as sent, where the client reports */
    struct http_fields trailers;   /* once the body was read */
    uint64_t length;               /* of the body, or CLIENT_UNKNOWN */
    uint64_t received;             /* bytes of body so far */
    struct client_times times;
    struct addr peer;
    bool reused; /* came over a parked connection, or as another stream of a session */
    bool done;   /* the message is whole */
    unsigned retries;

    /* -- private -- */
    struct client *client;
    const struct client_request *request;
    const struct call_ops *ops;
    struct pool_conn *conn; /* HTTP/1: the connection, while the call has it */
    struct stream *stream;  /* the same one's */
    struct slice key;       /* which other requests may use the connection */
    struct buf out, in;     /* the request's head; the response's head and what came with it */
    struct slice early;     /* of `in`: body bytes not yet read */
    enum http_method method;
    struct body_framing framing;
    struct chunked chunked;
    struct buf raw_trailers;
    struct arena arena;
    struct scope uploads;
    struct waitq proceed; /* the upload waits here for 100 (Continue) */
    err_t upload_error;
    struct slice upload_why; /* its detail, in the arena */
    tick until;              /* of the upload */
    tick waiting; /* since when the server keeps us waiting; TICK_NEVER: it does not, the body's reader does */
    bool uploading, may_proceed, answered, keep;
    bool untouched; /* HTTP/2: the server said that it did not look at the request */
    struct h2_stream *h2;
};

MUST err_t client_open(struct client *, const struct client_request *, struct call *, tick until);
MUST err_t call_read(struct call *, void *, size_t cap, size_t *got, tick until); /* got 0 = whole */
/* What has come of a body with the head already: taken without a copy, as if read; lives until call_close. Empty also
   where that cannot be. */
struct slice call_take_early(struct call *);
bool call_in_hand(const struct call *); /* has the whole body come already, with the head? */
void call_close(struct call *);         /* parks the connection when the message is whole and it may be used again */
/* After 2xx to CONNECT, or 101: the connection's stream becomes the caller's, with what was read past the head
   (valid until call_close). E_UNSUPPORTED over HTTP/2. */
MUST err_t call_detach(struct call *, struct stream **, struct slice *early);
/* "https example.org:443", or what else must be equal for two requests to share a connection. */
MUST err_t client_key(const struct client_request *, struct buf *out);
/* The request's head as HTTP/1.1 has it, without anything being sent. */
MUST err_t client_request_head(const struct client_request *, struct buf *out);
bool call_tls_info(const struct call *, struct tls_info *);
