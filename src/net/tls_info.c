/* SPDX-License-Identifier: MIT */
/* What a TLS connection is like, once it stands. */
#include <openssl/ssl.h>
#include <time.h>

#include "net/tls_internal.h"

enum tls_alpn tls_alpn_of(const struct stream *s)
{
    const SSL *ssl = tls_ssl_of(s);
    const unsigned char *name = NULL;
    unsigned n = 0;
    if (ssl)
        SSL_get0_alpn_selected(ssl, &name, &n);
    return slice_eq(slice_of(name, n), S("h2"))         ? TLS_ALPN_H2
           : slice_eq(slice_of(name, n), S("http/1.1")) ? TLS_ALPN_HTTP1
                                                        : TLS_ALPN_NONE;
}

bool tls_info(const struct stream *s, struct tls_info *out)
{
    SSL *ssl = tls_ssl_of(s);
    if (!ssl)
        return false;
    X509 *cert = SSL_get0_peer_certificate(ssl);
    struct tm tm = {0};
    *out = (struct tls_info){
        .version = SSL_get_version(ssl), .cipher = SSL_get_cipher_name(ssl), .resumed = SSL_session_reused(ssl)};
    if (!cert)
        return true;
    X509_NAME_oneline(X509_get_subject_name(cert), out->subject, sizeof out->subject);
    X509_NAME_oneline(X509_get_issuer_name(cert), out->issuer, sizeof out->issuer);
    if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm))
        out->not_after = timegm(&tm);
    return true;
}

err_t tls_channel_binding(const struct stream *s, const char **type, uint8_t *out, size_t cap, size_t *got)
{
    static const char label[] = "EXPORTER-Channel-Binding"; /* RFC 9266 section 4 */
    SSL *ssl = tls_ssl_of(s);
    if (!ssl || cap < 64)
        return E_UNSUPPORTED;
    if (SSL_version(ssl) >= TLS1_3_VERSION) {
        if (SSL_export_keying_material(ssl, out, 32, label, sizeof label - 1, NULL, 0, 0) != 1)
            return tls_fault(E_TLS, "channel binding");
        *type = "tls-exporter";
        *got = 32;
        return NULL;
    }
    /* RFC 5929 section 3: the first Finished of the handshake, which is the server's when a session was resumed. */
    bool mine = !SSL_is_server(ssl) == !SSL_session_reused(ssl);
    *got = mine ? SSL_get_finished(ssl, out, cap) : SSL_get_peer_finished(ssl, out, cap);
    *type = "tls-unique";
    return NULL;
}
