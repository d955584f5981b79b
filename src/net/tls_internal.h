/* SPDX-License-Identifier: MIT */
/*
 * tls_internal.h -- what tls*.c and stream_tls.c share. Nobody else includes it.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/table.h"
#include "net/tls.h"

struct ssl_st;
struct ssl_ctx_st;
struct ssl_session_st;

struct tls {
    atomic_uint refs;
    bool server, insecure;
    struct ssl_ctx_st **ctx; /* server: one a pair, the first is the default; client: one */
    int count;
    unsigned alpn;
    int keylog; /* -1: none */
    /* Client: the last session of each host, for resumption. */
    pthread_mutex_t lock;
    struct table sessions;
};

enum { TLS_SESSIONS_MAX = 256, TLS_HOST_MAX = 255, TLS_WHY = 256 };

/* What a handshake leaves behind for its error message. */
struct tls_peer {
    struct tls *tls;
    char host[TLS_HOST_MAX + 1]; /* asked for; "" on the server's side */
    char why[TLS_WHY];           /* verification failed: in words */
};

/* Verification: a callback that explains, and the host to check against (RFC 9525). */
void tls_verify_setup(struct ssl_ctx_st *, bool ask_client);
MUST err_t tls_verify_host(struct ssl_st *, struct slice host);
struct tls_peer *tls_peer_of(const struct ssl_st *);
void tls_peer_set(struct ssl_st *, struct tls_peer *);

/* The session to resume with, and keeping a new one (from OpenSSL's callback). */
void tls_session_offer(struct tls *, struct ssl_st *, const char *host);
void tls_session_keep(struct tls *, const char *host, struct ssl_session_st *);
void tls_sessions_free(struct tls *);

/* What OpenSSL's error queue of this thread says, as a fault of `e`; empties the queue. */
err_t tls_fault(err_t e, const char *what);

/* Of the TLS stream in this chain; NULL when there is none. */
struct ssl_st *tls_ssl_of(const struct stream *);
