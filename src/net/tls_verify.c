/* SPDX-License-Identifier: MIT */
/* Is the certificate good for this host, and if not, why not, in words (RFC 5280, RFC 9525). */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>

#include "base/addr.h"
#include "net/tls_internal.h"

enum { NAMES_SHOWN = 3 };

static int peer_index = -1;

static void make_index(void)
{
    peer_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

static int index_of_peer(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_index);
    return peer_index;
}

struct tls_peer *tls_peer_of(const SSL *ssl)
{
    return SSL_get_ex_data(ssl, index_of_peer());
}

void tls_peer_set(SSL *ssl, struct tls_peer *p)
{
    SSL_set_ex_data(ssl, index_of_peer(), p);
}

static void date_text(const ASN1_TIME *t, char out[32])
{
    struct tm tm = {0};
    if (!ASN1_TIME_to_tm(t, &tm) || strftime(out, 32, "%Y-%m-%d", &tm) == 0)
        snprintf(out, 32, "an unreadable date");
}

/* The common name, else the organisation, else all of it. */
static void name_text(X509_NAME *name, char *out, size_t cap)
{
    int n = X509_NAME_get_text_by_NID(name, NID_commonName, out, (int)cap);
    if (n <= 0)
        n = X509_NAME_get_text_by_NID(name, NID_organizationName, out, (int)cap);
    if (n <= 0)
        X509_NAME_oneline(name, out, (int)cap);
}

static bool one_name(const GENERAL_NAME *g, char *out, size_t cap)
{
    if (g->type == GEN_DNS) {
        snprintf(out, cap, "%.*s", ASN1_STRING_length(g->d.dNSName), ASN1_STRING_get0_data(g->d.dNSName));
        return true;
    }
    if (g->type != GEN_IPADD)
        return false;
    struct addr a = {0};
    const unsigned char *ip = ASN1_STRING_get0_data(g->d.iPAddress);
    int n = ASN1_STRING_length(g->d.iPAddress);
    bool four = n == 4;
    if (!four && n != 16) /* RFC 5280 section 4.2.1.6 knows these two only */
        return false;
    a.len = four ? sizeof a.v4 : sizeof a.v6;
    a.sa.sa_family = four ? AF_INET : AF_INET6;
    memcpy(four ? (void *)&a.v4.sin_addr : (void *)&a.v6.sin6_addr, ip, four ? 4 : 16);
    char text[ADDR_TEXT];
    snprintf(out, cap, "%s", addr_text_host(&a, text));
    return true;
}

/* "a.example, b.example and 4 more" */
static void names_text(X509 *cert, char *out, size_t cap)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int shown = 0, more = 0;
    size_t n = 0;
    char one[128];
    out[0] = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        if (!one_name(sk_GENERAL_NAME_value(names, i), one, sizeof one))
            continue;
        if (shown == NAMES_SHOWN) {
            more++;
            continue;
        }
        n += (size_t)snprintf(out + n, n < cap ? cap - n : 0, "%s%s", shown++ ? ", " : "", one);
        n = n < cap ? n : cap - 1;
    }
    if (more)
        snprintf(out + n, cap - n, " and %d more", more);
    if (!shown)
        snprintf(out, cap, "nobody in particular (it has no names)");
    GENERAL_NAMES_free(names);
}

static void explain_issuer(X509_STORE_CTX *x, X509 *cert, char *out)
{
    char issuer[96];
    name_text(X509_get_issuer_name(cert), issuer, sizeof issuer);
    STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(x);
    if (sk_X509_num(sent) <= 1 && X509_STORE_CTX_get_error_depth(x) == 0)
        snprintf(out, TLS_WHY,
                 "the server did not send its intermediate certificate \"%s\" (or that is an authority that is not "
                 "trusted)",
                 issuer);
    else
        snprintf(out, TLS_WHY, "signed by an authority that is not trusted, \"%s\"", issuer);
}

static void explain_dates(X509_STORE_CTX *x, X509 *cert, bool expired, char *out)
{
    char date[32], whose[128] = "certificate", name[96];
    date_text(expired ? X509_get0_notAfter(cert) : X509_get0_notBefore(cert), date);
    if (X509_STORE_CTX_get_error_depth(x) > 0) {
        name_text(X509_get_subject_name(cert), name, sizeof name);
        snprintf(whose, sizeof whose, "certificate of the authority \"%s\"", name);
    }
    snprintf(out, TLS_WHY, expired ? "%s expired on %s" : "%s is not yet valid, only from %s on", whose, date);
}

static void explain(X509_STORE_CTX *x, const struct tls_peer *p, char *out)
{
    X509 *cert = X509_STORE_CTX_get_current_cert(x);
    int error = X509_STORE_CTX_get_error(x);
    char names[160];
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        explain_dates(x, cert, error == X509_V_ERR_CERT_HAS_EXPIRED, out);
        return;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        names_text(cert, names, sizeof names);
        snprintf(out, TLS_WHY, "certificate is for %s, not %.64s", names, p->host);
        return;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        snprintf(out, TLS_WHY, "self-signed certificate");
        return;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        explain_issuer(x, cert, out);
        return;
    case X509_V_ERR_INVALID_PURPOSE:
        snprintf(out, TLS_WHY, "certificate is not meant for %s", p->tls->server ? "clients" : "servers");
        return;
    case X509_V_ERR_PERMITTED_VIOLATION:
    case X509_V_ERR_EXCLUDED_VIOLATION:
        names_text(cert, names, sizeof names);
        snprintf(out, TLS_WHY, "its authority may not sign for %s (name constraints)", names);
        return;
    case X509_V_ERR_INVALID_CA:
        snprintf(out, TLS_WHY, "signed by a certificate that is no authority");
        return;
    default:
        snprintf(out, TLS_WHY, "%s", X509_verify_cert_error_string(error));
    }
}

static int on_verify(int ok, X509_STORE_CTX *x)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(x, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_peer *p = tls_peer_of(ssl);
    if (ok || p->tls->insecure)
        return 1;
    if (!*p->why)
        explain(x, p, p->why);
    return 0;
}

void tls_verify_setup(SSL_CTX *ctx, bool ask_client)
{
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (ask_client ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), on_verify);
}

err_t tls_verify_host(SSL *ssl, struct slice host)
{
    struct addr a;
    char z[TLS_HOST_MAX + 1];
    if (slice_ends(host, S(".")))
        host.n--;
    if (!slice_to_z(host, z, sizeof z))
        return fault(E_USAGE, "%.*s is no host name", SLICE_ARG(slice_first(host, 80)));
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    bool literal = addr_parse(host, 0, &a) == NULL;
    fault_clear();
    if (literal) {
        bool four = a.sa.sa_family == AF_INET;
        const void *ip = four ? (void *)&a.v4.sin_addr : (void *)&a.v6.sin6_addr;
        return X509_VERIFY_PARAM_set1_ip(param, ip, four ? 4 : 16) ? NULL : E_NO_MEMORY;
    }
    /* RFC 9525: the subject's common name does not count, and a wildcard stands for one whole label. */
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (!X509_VERIFY_PARAM_set1_host(param, z, 0) || !SSL_set_tlsext_host_name(ssl, z))
        return E_NO_MEMORY;
    return NULL;
}

static const char *words(unsigned long code)
{
    switch (ERR_GET_REASON(code)) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_HTTP_REQUEST:
        return "the other side does not speak TLS";
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_UNSUPPORTED_PROTOCOL:
        return "no common TLS version";
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
    case SSL_R_NO_SHARED_CIPHER:
        return "no common cipher";
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return "a client certificate is required";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return "the other side does not know the authority of our certificate";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        return "the other side says that our certificate has expired";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        return "the other side does not accept our certificate";
    case SSL_R_TLSV1_UNRECOGNIZED_NAME:
        return "the server does not know this host name";
    case SSL_R_NO_APPLICATION_PROTOCOL:
    case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
        return "no common application protocol";
    default:
        return ERR_reason_error_string(code);
    }
}

err_t tls_fault(err_t e, const char *what)
{
    unsigned long code = ERR_peek_error();
    const char *why = code ? words(code) : NULL;
    ERR_clear_error();
    return fault(e, "%s%s%s", what, *what && why ? ": " : "", why ? why : "");
}
