/* SPDX-License-Identifier: MIT */
#include "net/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "net/tls_internal.h"

/* -- ALPN (RFC 7301): names with their lengths in front, the preferred first -- */

static const unsigned char alpn_both[] = "\x02h2\x08http/1.1";

static struct slice alpn_list(unsigned alpn)
{
    bool h2 = alpn & TLS_ALPN_H2, h1 = alpn & TLS_ALPN_HTTP1;
    return slice_of(alpn_both + (h2 ? 0 : 3), (h2 ? 3u : 0u) + (h1 ? 9u : 0u));
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *len, const unsigned char *in, unsigned in_len,
                   void *arg)
{
    (void)ssl;
    struct slice mine = alpn_list(((const struct tls *)arg)->alpn);
    unsigned char *chosen;
    int how = SSL_select_next_proto(&chosen, len, (const unsigned char *)mine.p, (unsigned)mine.n, in, in_len);
    *out = chosen;
    return how == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* -- secrets for Wireshark -- */

static void on_secret(const SSL *ssl, const char *line)
{
    const struct tls_peer *p = tls_peer_of(ssl);
    struct iovec v[] = {{(void *)(uintptr_t)line, strlen(line)}, {(void *)(uintptr_t) "\n", 1}};
    /* O_APPEND makes each line whole; a full disk costs the record, not the connection. */
    if (p && writev(p->tls->keylog, v, 2) < 0)
        errno = 0;
}

static err_t keylog_open(struct tls *t, const char *path)
{
    if (!path)
        path = getenv("SSLKEYLOGFILE");
    if (!path || !*path)
        return NULL;
    t->keylog = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    return t->keylog < 0 ? fault(err_errno(errno), "%s", path) : NULL;
}

/* -- contexts -- */

static err_t context_new(struct tls *t, SSL_CTX **out)
{
    SSL_CTX *ctx = SSL_CTX_new(t->server ? TLS_server_method() : TLS_client_method());
    if (!ctx)
        return tls_fault(E_TLS, "OpenSSL");
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1); /* a record in one system call rather than two */
    if (t->keylog >= 0)
        SSL_CTX_set_keylog_callback(ctx, on_secret);
    *out = ctx;
    return NULL;
}

static err_t tls_new(bool server, int count, struct tls **out)
{
    struct tls *t = calloc(1, sizeof *t);
    if (!t || !(t->ctx = calloc((size_t)count, sizeof(SSL_CTX *)))) {
        free(t);
        return E_NO_MEMORY;
    }
    atomic_init(&t->refs, 1);
    pthread_mutex_init(&t->lock, NULL);
    t->server = server;
    t->keylog = -1;
    *out = t;
    return server ? NULL : table_init(&t->sessions, 8);
}

struct tls *tls_ref(struct tls *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void tls_unref(struct tls *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (int i = 0; i < t->count; i++)
        SSL_CTX_free(t->ctx[i]);
    if (!t->server)
        tls_sessions_free(t);
    if (t->keylog >= 0)
        close(t->keylog);
    pthread_mutex_destroy(&t->lock);
    free(t->ctx);
    free(t);
}

/* Whether a file can be read at all is worth a better sentence than OpenSSL's. */
static err_t readable(const char *path)
{
    return access(path, R_OK) < 0 ? fault(err_errno(errno), "%s", path) : NULL;
}

static err_t load_pair(SSL_CTX *ctx, const char *cert, const char *key)
{
    TRY(readable(cert));
    TRY(readable(key));
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
        return tls_fault(E_CERT, cert);
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1)
        return NULL;
    if (ERR_GET_REASON(ERR_peek_last_error()) != X509_R_KEY_VALUES_MISMATCH)
        return tls_fault(E_CERT, key);
    ERR_clear_error();
    return fault(E_CERT, "the key in %s does not belong to the certificate in %s", key, cert);
}

/* -- client -- */

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    const struct tls_peer *p = tls_peer_of(ssl);
    tls_session_keep(p->tls, p->host, session);
    return 1; /* the reference is ours now */
}

static err_t load_authorities(SSL_CTX *ctx, const char *ca_file)
{
    if (!ca_file)
        return SSL_CTX_set_default_verify_paths(ctx) == 1 ? NULL : tls_fault(E_TLS, "the system's certificate store");
    TRY(readable(ca_file));
    return SSL_CTX_load_verify_file(ctx, ca_file) == 1 ? NULL : tls_fault(E_CERT, ca_file);
}

static err_t client_setup(struct tls *t, const struct tls_client_options *o)
{
    TRY(keylog_open(t, o->keylog));
    TRY(context_new(t, &t->ctx[0]));
    t->count = 1;
    SSL_CTX *ctx = t->ctx[0];
    if (!o->insecure)
        TRY(load_authorities(ctx, o->ca_file));
    tls_verify_setup(ctx, false);
    if (o->cert_file)
        TRY(load_pair(ctx, o->cert_file, o->key_file ? o->key_file : o->cert_file));
    struct slice alpn = alpn_list(o->alpn);
    if (alpn.n && SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)alpn.p, (unsigned)alpn.n) != 0)
        return E_NO_MEMORY;
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
    return NULL;
}

err_t tls_client_new(const struct tls_client_options *o, struct tls **out)
{
    struct tls *t = NULL;
    err_t e = tls_new(false, 1, &t);
    if (!e) {
        t->insecure = o->insecure;
        t->alpn = o->alpn;
        e = client_setup(t, o);
    }
    if (e)
        tls_unref(t);
    else
        *out = t;
    return e;
}

/* -- server -- */

/* The first pair that has the name asked for, in the order given; the default one otherwise. */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    const struct tls *t = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    for (int i = 0; name && i < t->count; i++)
        if (X509_check_host(SSL_CTX_get0_certificate(t->ctx[i]), name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) ==
            1) {
            if (i)
                SSL_set_SSL_CTX(ssl, t->ctx[i]);
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_NOACK;
}

static err_t ask_clients(SSL_CTX *ctx, const char *ca)
{
    TRY(load_authorities(ctx, ca));
    SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(ca));
    tls_verify_setup(ctx, true);
    return NULL;
}

static err_t server_context(struct tls *t, const struct tls_server_options *o, int i)
{
    static const unsigned char session_id[] = "l7";
    TRY(context_new(t, &t->ctx[i]));
    t->count = i + 1;
    SSL_CTX *ctx = t->ctx[i];
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets need no memory here */
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_session_id_context(ctx, session_id, sizeof session_id - 1);
    TRY(load_pair(ctx, o->pairs[i].cert, o->pairs[i].key));
    if (o->alpn)
        SSL_CTX_set_alpn_select_cb(ctx, on_alpn, t);
    if (o->count > 1) {
        SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
        SSL_CTX_set_tlsext_servername_arg(ctx, t);
    }
    return o->client_ca ? ask_clients(ctx, o->client_ca) : NULL;
}

static err_t server_setup(struct tls *t, const struct tls_server_options *o)
{
    TRY(keylog_open(t, o->keylog));
    for (int i = 0; i < o->count; i++)
        TRY(server_context(t, o, i));
    return NULL;
}

err_t tls_server_new(const struct tls_server_options *o, struct tls **out)
{
    CHECK(o->count > 0);
    struct tls *t = NULL;
    err_t e = tls_new(true, o->count, &t);
    if (!e) {
        t->alpn = o->alpn;
        e = server_setup(t, o);
    }
    if (e)
        tls_unref(t);
    else
        *out = t;
    return e;
}
