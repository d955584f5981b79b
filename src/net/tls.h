/* SPDX-License-Identifier: MIT */
/*
 * tls.h -- TLS 1.2 and 1.3 by OpenSSL: contexts, and streams over streams.
 *
 * Nothing of OpenSSL is touched before the first context is made. A context is immutable, counted by reference
 * and may be shared by loops. All verification errors come back as E_CERT with a sentence a person understands.
 */
#pragma once

#include "net/stream.h"
#include "rt/fiber.h"

struct tls;

enum tls_alpn { TLS_ALPN_NONE = 0, TLS_ALPN_HTTP1 = 1, TLS_ALPN_H2 = 2 };

struct tls_client_options {
    const char *ca_file;              /* NULL: the system's store */
    bool insecure;                    /* skip verification (the caller warns, loudly) */
    const char *cert_file, *key_file; /* client certificate, or NULL */
    unsigned alpn;                    /* offered, preferred h2 first */
    const char *keylog;               /* file to append to, or NULL (SSLKEYLOGFILE is honoured anyway) */
};
MUST err_t tls_client_new(const struct tls_client_options *, struct tls **); /* E_NOT_FOUND, E_CERT, E_TLS */

struct tls_pair {
    const char *cert, *key; /* PEM files; cert holds the chain */
};
struct tls_server_options {
    const struct tls_pair *pairs; /* the first is the default; others are chosen by SNI */
    int count;
    unsigned alpn;
    const char *keylog;
    const char *client_ca; /* ask for and verify client certificates, or NULL */
};
MUST err_t tls_server_new(const struct tls_server_options *, struct tls **);
struct tls *tls_ref(struct tls *);
void tls_unref(struct tls *); /* NULL is accepted */

/* Both take `below` over, also when they fail: then it is closed. */
MUST err_t stream_tls_client(struct stream *below, struct tls *, struct slice host, struct stream **, tick until);
MUST err_t stream_tls_server(struct stream *below, struct tls *, struct stream **, tick until);

/* Of a TLS stream (anywhere in the chain: NULL-safe, looks below). */
enum tls_alpn tls_alpn_of(const struct stream *);
struct tls_info {
    const char *version, *cipher; /* "TLSv1.3", "TLS_AES_128_GCM_SHA256" */
    bool resumed;
    char subject[256], issuer[256]; /* of the peer's certificate, "" when it showed none */
    int64_t not_after;              /* seconds since the epoch */
};
bool tls_info(const struct stream *, struct tls_info *); /* false when there is no TLS in the chain */
/* Channel binding for SASL -PLUS: "tls-exporter" (RFC 9266) on 1.3, "tls-unique" below. */
MUST err_t tls_channel_binding(const struct stream *, const char **type, uint8_t *out, size_t cap, size_t *got);
