/* SPDX-License-Identifier: MIT */
#include "net/tls_hash.h"

#include <openssl/evp.h>

#include "base/check.h"

/* A struct hash is an EVP_MD_CTX by another name: nothing else is kept. */
static EVP_MD_CTX *context(struct hash *h)
{
    return (EVP_MD_CTX *)h;
}

err_t hash_new(struct slice name, struct hash **out)
{
    static const char *const known[] = {"sha256", "sha384", "sha512", "sha1", "md5"};
    const EVP_MD *md = NULL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (slice_eq_case(name, slice_z(known[i])))
            md = EVP_get_digestbyname(known[i]);
    if (!md)
        return fault(E_USAGE, "checksum algorithm '%.*s' (sha256, sha384, sha512, sha1 and md5 are known)",
                     SLICE_ARG(name));
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    if (!c || !EVP_DigestInit_ex(c, md, NULL)) {
        EVP_MD_CTX_free(c);
        return E_NO_MEMORY;
    }
    *out = (struct hash *)c;
    return NULL;
}

void hash_add(struct hash *h, struct slice s)
{
    CHECK(EVP_DigestUpdate(context(h), s.p, s.n));
}

size_t hash_end(struct hash *h, uint8_t out[HASH_MAX])
{
    unsigned n;
    CHECK(EVP_DigestFinal_ex(context(h), out, &n));
    return n;
}

void hash_free(struct hash *h)
{
    if (h) /* nothing is loaded to free nothing */
        EVP_MD_CTX_free(context(h));
}
