/* SPDX-License-Identifier: MIT */
#include "net/tls_auto.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "net/tls_internal.h"

enum { CA_DAYS = 3650, LEAF_DAYS = 397, RENEW_DAYS = 30, HOST_MAX = 64 };

struct place {
    char dir[448], ca_key[512], host[HOST_MAX + 1];
};

/* -- the folder -- */

static err_t find_place(struct place *p)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n = -1;
    if (state && *state == '/')
        n = snprintf(p->dir, sizeof p->dir, "%s/l7/tls", state);
    else if (home && *home == '/')
        n = snprintf(p->dir, sizeof p->dir, "%s/.local/state/l7/tls", home);
    else if (geteuid() == 0)
        n = snprintf(p->dir, sizeof p->dir, "/var/lib/l7/tls");
    if (n < 0 || (size_t)n >= sizeof p->dir)
        return fault(E_NOT_FOUND, "no folder for the local authority: set HOME or XDG_STATE_HOME");
    snprintf(p->ca_key, sizeof p->ca_key, "%s/ca.key", p->dir);
    if (gethostname(p->host, sizeof p->host) < 0)
        p->host[0] = 0;
    p->host[HOST_MAX] = 0;
    return NULL;
}

static err_t make_folders(char *dir)
{
    for (char *slash = dir + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        bool failed = mkdir(dir, 0700) < 0 && errno != EEXIST;
        err_t e = failed ? fault(err_errno(errno), "%s", dir) : NULL;
        if (e)
            return e;
    }
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return fault(err_errno(errno), "%s", dir);
    return NULL;
}

/* Whoever can write here can make everyone who trusts the authority believe anything. */
static err_t check_folder(const char *dir)
{
    struct stat st;
    if (lstat(dir, &st) < 0)
        return fault(err_errno(errno), "%s", dir);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 077)
        return fault(E_PERMISSION, "%s must be a folder of yours that nobody else can enter (mode 0700)", dir);
    return NULL;
}

static err_t lock_folder(const char *dir, int *out)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fault(err_errno(errno), "%s", dir);
    while (flock(fd, LOCK_EX) < 0)
        if (errno != EINTR) {
            close(fd);
            return fault(err_errno(errno), "%s", dir);
        }
    *out = fd;
    return NULL;
}

/* -- files -- */

static FILE *create(const char *path, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    if (!f && fd >= 0)
        close(fd);
    return f;
}

/* Whole or not at all: the file gets its name when everything is on the disk. */
static err_t save(const char *path, mode_t mode, EVP_PKEY *key, X509 *first, X509 *second)
{
    char temp[520];
    snprintf(temp, sizeof temp, "%s.new", path);
    FILE *f = create(temp, mode);
    if (!f)
        return fault(err_errno(errno), "%s", temp);
    bool ok = (!key || PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL)) &&
              (!first || PEM_write_X509(f, first)) && (!second || PEM_write_X509(f, second));
    ok = fflush(f) == 0 && fsync(fileno(f)) == 0 && ok;
    ok = fclose(f) == 0 && ok;
    if (ok && rename(temp, path) == 0)
        return NULL;
    err_t e = fault(err_errno(errno), "%s", path);
    unlink(temp);
    return e;
}

static X509 *load_cert(const char *path)
{
    FILE *f = fopen(path, "re");
    X509 *x = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
    if (f)
        fclose(f);
    return x;
}

static EVP_PKEY *load_key(const char *path)
{
    FILE *f = fopen(path, "re");
    EVP_PKEY *k = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
    if (f)
        fclose(f);
    return k;
}

/* -- certificates -- */

static bool extend(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509V3_set_ctx_nodb(&ctx);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = e && X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
    return ok;
}

static bool set_serial(X509 *x)
{
    BIGNUM *n = BN_new();
    bool ok =
        n && BN_rand(n, 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
    BN_free(n);
    return ok;
}

/* A certificate with everything but its extensions and its signature. */
static X509 *blank(const char *name, EVP_PKEY *key, X509 *issuer, int days)
{
    X509 *x = X509_new();
    X509_NAME *subject = X509_NAME_new();
    /* From an hour ago: clocks differ a little. */
    bool ok = x && subject && X509_set_version(x, 2) && set_serial(x) &&
              X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) &&
              X509_set_subject_name(x, subject) &&
              X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : subject) && X509_set_pubkey(x, key) &&
              X509_time_adj_ex(X509_getm_notBefore(x), 0, -3600, NULL) &&
              X509_time_adj_ex(X509_getm_notAfter(x), days, 0, NULL);
    X509_NAME_free(subject);
    if (!ok) {
        X509_free(x);
        return NULL;
    }
    return x;
}

/* The authority may speak for this machine only (name constraints), so trusting it is no risk for any other name. */
static X509 *make_ca(EVP_PKEY *key, const char *host)
{
    char name[128], may[256];
    snprintf(name, sizeof name, "l7 local authority of %s", *host ? host : "this machine");
    snprintf(may, sizeof may,
             "permitted;DNS:localhost,permitted;IP:127.0.0.0/255.0.0.0,"
             "permitted;IP:::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%s%s",
             *host ? ",permitted;DNS:" : "", host);
    X509 *x = blank(name, key, NULL, CA_DAYS);
    if (x && extend(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
        extend(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") &&
        extend(x, x, NID_subject_key_identifier, "hash") && extend(x, x, NID_name_constraints, may) &&
        X509_sign(x, key, EVP_sha256()))
        return x;
    X509_free(x);
    return NULL;
}

static X509 *make_leaf(EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key, const char *host)
{
    char names[256];
    snprintf(names, sizeof names, "DNS:localhost,IP:127.0.0.1,IP:::1%s%s", *host ? ",DNS:" : "", host);
    X509 *x = blank("l7 on localhost", key, ca, LEAF_DAYS);
    if (x && extend(x, ca, NID_basic_constraints, "critical,CA:FALSE") &&
        extend(x, ca, NID_key_usage, "critical,digitalSignature") && extend(x, ca, NID_ext_key_usage, "serverAuth") &&
        extend(x, ca, NID_subject_key_identifier, "hash") && extend(x, ca, NID_authority_key_identifier, "keyid") &&
        extend(x, ca, NID_subject_alt_name, names) && X509_sign(x, ca_key, EVP_sha256()))
        return x;
    X509_free(x);
    return NULL;
}

/* -- is what is there still good? -- */

static bool lasts(const X509 *x, int days)
{
    time_t then = time(NULL) + (time_t)days * 86400;
    return X509_cmp_time(X509_get0_notAfter(x), &then) > 0 && X509_cmp_current_time(X509_get0_notBefore(x)) < 0;
}

static bool ca_covers(X509 *ca, const char *host)
{
    char name[128];
    snprintf(name, sizeof name, "l7 local authority of %s", *host ? host : "this machine");
    char have[128] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(ca), NID_commonName, have, sizeof have);
    return strcmp(have, name) == 0;
}

static bool leaf_good(X509 *leaf, EVP_PKEY *key, X509 *ca, const char *host)
{
    EVP_PKEY *ca_public = X509_get0_pubkey(ca);
    return lasts(leaf, RENEW_DAYS) && X509_check_private_key(leaf, key) == 1 && X509_verify(leaf, ca_public) == 1 &&
           X509_check_ip_asc(leaf, "127.0.0.1", 0) == 1 && (!*host || X509_check_host(leaf, host, 0, 0, NULL) == 1);
}

/* -- putting it together -- */

static err_t get_ca(const struct place *p, const char *path, X509 **ca, EVP_PKEY **key)
{
    *ca = load_cert(path);
    *key = load_key(p->ca_key);
    if (*ca && *key && X509_check_private_key(*ca, *key) == 1 && lasts(*ca, LEAF_DAYS) && ca_covers(*ca, p->host))
        return NULL;
    X509_free(*ca);
    EVP_PKEY_free(*key);
    *ca = NULL;
    *key = EVP_EC_gen("P-256");
    if (!*key || !(*ca = make_ca(*key, p->host)))
        return tls_fault(E_TLS, "making the local authority");
    TRY(save(p->ca_key, 0600, *key, NULL, NULL));
    return save(path, 0644, NULL, *ca, NULL);
}

static err_t get_leaf(const struct place *p, const struct tls_auto *out, X509 *ca, EVP_PKEY *ca_key)
{
    X509 *leaf = load_cert(out->cert);
    EVP_PKEY *key = load_key(out->key);
    err_t e = NULL;
    if (!leaf || !key || !leaf_good(leaf, key, ca, p->host)) {
        X509_free(leaf);
        EVP_PKEY_free(key);
        leaf = NULL;
        key = EVP_EC_gen("P-256");
        if (!key || !(leaf = make_leaf(key, ca, ca_key, p->host)))
            e = tls_fault(E_TLS, "making the certificate");
        if (!e)
            e = save(out->key, 0600, key, NULL, NULL);
        if (!e)
            e = save(out->cert, 0644, NULL, leaf, ca);
    }
    X509_free(leaf);
    EVP_PKEY_free(key);
    return e;
}

static err_t make(const struct place *p, struct tls_auto *out)
{
    X509 *ca = NULL;
    EVP_PKEY *ca_key = NULL;
    err_t e = get_ca(p, out->ca, &ca, &ca_key);
    if (!e)
        e = get_leaf(p, out, ca, ca_key);
    X509_free(ca);
    EVP_PKEY_free(ca_key);
    ERR_clear_error(); /* of files that were not there yet */
    return e;
}

err_t tls_auto(struct tls_auto *out)
{
    struct place p;
    struct tls_auto a;
    int lock = -1;
    TRY(find_place(&p));
    TRY(make_folders(p.dir));
    TRY(check_folder(p.dir));
    TRY(lock_folder(p.dir, &lock));
    snprintf(a.ca, sizeof a.ca, "%s/ca.pem", p.dir);
    snprintf(a.cert, sizeof a.cert, "%s/leaf.pem", p.dir);
    snprintf(a.key, sizeof a.key, "%s/leaf.key", p.dir);
    err_t e = make(&p, &a);
    close(lock);
    if (!e)
        *out = a;
    return e;
}
