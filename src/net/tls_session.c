/* SPDX-License-Identifier: MIT */
/* Sessions that a client may resume, one a host; a TLS 1.3 ticket is used once (RFC 8446 appendix C.4). */
#include <openssl/ssl.h>
#include <stdlib.h>

#include "net/tls_internal.h"

struct kept {
    struct table_link link;
    SSL_SESSION *session;
    size_t n;
    char host[];
};

static struct kept *find(struct tls *t, struct slice host, uint64_t hash)
{
    for (struct table_link *l = table_first(&t->sessions, hash); l; l = table_next(l, hash)) {
        struct kept *k = LIST_ENTRY(l, struct kept, link);
        if (slice_eq_case(slice_of(k->host, k->n), host))
            return k;
    }
    return NULL;
}

static void drop(struct table_link *l, void *arg)
{
    struct tls *t = arg;
    struct kept *k = LIST_ENTRY(l, struct kept, link);
    table_remove(&t->sessions, l);
    SSL_SESSION_free(k->session);
    free(k);
}

void tls_session_offer(struct tls *t, SSL *ssl, const char *host)
{
    pthread_mutex_lock(&t->lock);
    struct kept *k = find(t, slice_z(host), slice_hash_case(slice_z(host), t->sessions.seed));
    if (k) {
        SSL_set_session(ssl, k->session);
        if (SSL_SESSION_get_protocol_version(k->session) >= TLS1_3_VERSION)
            drop(&k->link, t);
    }
    pthread_mutex_unlock(&t->lock);
}

static void keep_locked(struct tls *t, struct slice host, SSL_SESSION *session)
{
    uint64_t hash = slice_hash_case(host, t->sessions.seed);
    struct kept *k = find(t, host, hash);
    if (k) {
        SSL_SESSION_free(k->session);
        k->session = session;
        return;
    }
    if (t->sessions.count >= TLS_SESSIONS_MAX)
        table_each(&t->sessions, drop, t);
    if (!(k = malloc(sizeof *k + host.n))) {
        SSL_SESSION_free(session);
        return;
    }
    k->session = session;
    k->n = host.n;
    memcpy(k->host, host.p, host.n);
    table_add(&t->sessions, &k->link, hash);
}

void tls_session_keep(struct tls *t, const char *host, SSL_SESSION *session)
{
    if (!*host || !SSL_SESSION_is_resumable(session)) {
        SSL_SESSION_free(session);
        return;
    }
    pthread_mutex_lock(&t->lock);
    keep_locked(t, slice_z(host), session);
    pthread_mutex_unlock(&t->lock);
}

void tls_sessions_free(struct tls *t)
{
    table_each(&t->sessions, drop, t);
    table_done(&t->sessions);
}
