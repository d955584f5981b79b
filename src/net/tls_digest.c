/* SPDX-License-Identifier: MIT */
/* For HMAC the plain SHA256_* calls, which are deprecated since OpenSSL 3.0 in favour of EVP: that allocates a context
   for every digest, these work on a struct of the caller's. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "net/tls_digest.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/text.h"

enum { BLOCK = 64, KEY_FILE_MAX = 64 * 1024 };

_Static_assert(DIGEST_SIZE == SHA256_DIGEST_LENGTH, "SHA-256");
_Static_assert(DIGEST_MAX == EVP_MAX_MD_SIZE, "the longest digest");

/* ---- Checksums ---- */

/* A struct digest is an EVP_MD_CTX by another name: nothing else is kept. */
static EVP_MD_CTX *context(struct digest *d)
{
    return (EVP_MD_CTX *)d;
}

err_t digest_new(struct slice name, struct digest **out)
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
    *out = (struct digest *)c;
    return NULL;
}

void digest_add(struct digest *d, struct slice s)
{
    CHECK(EVP_DigestUpdate(context(d), s.p, s.n));
}

size_t digest_end(struct digest *d, uint8_t out[DIGEST_MAX])
{
    unsigned n;
    CHECK(EVP_DigestFinal_ex(context(d), out, &n));
    return n;
}

void digest_free(struct digest *d)
{
    if (d) /* nothing is loaded to free nothing */
        EVP_MD_CTX_free(context(d));
}

/* ---- HMAC-SHA-256 ---- */

struct digest_key {
    SHA256_CTX inner, outer; /* after the first block: the key xored with the pad */
};

static void pad_start(SHA256_CTX *c, const uint8_t key[BLOCK], uint8_t pad)
{
    uint8_t block[BLOCK];
    for (int i = 0; i < BLOCK; i++)
        block[i] = key[i] ^ pad;
    CHECK(SHA256_Init(c) == 1 && SHA256_Update(c, block, BLOCK) == 1);
    OPENSSL_cleanse(block, sizeof block);
}

err_t digest_key_new(struct slice secret, struct digest_key **out)
{
    struct digest_key *k = malloc(sizeof *k);
    if (!k)
        return E_NO_MEMORY;
    uint8_t block[BLOCK] = {0};
    if (secret.n > BLOCK)
        SHA256((const uint8_t *)secret.p, secret.n, block); /* RFC 2104 section 2 */
    else if (secret.n)
        memcpy(block, secret.p, secret.n);
    pad_start(&k->inner, block, 0x36);
    pad_start(&k->outer, block, 0x5c);
    OPENSSL_cleanse(block, sizeof block);
    *out = k;
    return NULL;
}

void digest_key_free(struct digest_key *k)
{
    if (k)
        OPENSSL_cleanse(k, sizeof *k);
    free(k);
}

void digest_hmac(const struct digest_key *k, struct slice s, uint8_t out[DIGEST_SIZE])
{
    SHA256_CTX c = k->inner;
    CHECK(SHA256_Update(&c, s.n ? s.p : "", s.n) == 1 && SHA256_Final(out, &c) == 1);
    c = k->outer;
    CHECK(SHA256_Update(&c, out, DIGEST_SIZE) == 1 && SHA256_Final(out, &c) == 1);
}

size_t digest_hmac_append(const struct digest_key *k, uint8_t *bytes, size_t n, size_t tag)
{
    uint8_t mac[DIGEST_SIZE];
    CHECK(tag <= sizeof mac);
    digest_hmac(k, slice_of(bytes, n), mac);
    memcpy(bytes + n, mac, tag);
    return n + tag;
}

bool digest_hmac_is(const struct digest_key *k, struct slice s, const void *tag, size_t n)
{
    uint8_t right[DIGEST_SIZE];
    CHECK(n > 0 && n <= sizeof right);
    digest_hmac(k, s, right);
    return CRYPTO_memcmp(right, tag, n) == 0;
}

/* ---- Key files ---- */

static err_t add_key(struct digest_keys *keys, uint32_t id, struct slice secret, int line)
{
    if (keys->n == DIGEST_KEYS_MAX)
        return fault(E_CONFIG, "line %d: more than %d keys", line, DIGEST_KEYS_MAX);
    if (digest_keys_find(keys, id))
        return fault(E_CONFIG, "line %d: key %u is there twice", line, id);
    AUTO(buf_free) struct buf bytes = {0};
    if (slice_starts(secret, S("hex:"))) {
        if (text_hex_decode(slice_from(secret, 4), &bytes))
            return fault(E_CONFIG, "line %d: not hexadecimal", line);
        secret = buf_slice(&bytes);
    }
    if (!secret.n)
        return fault(E_CONFIG, "line %d: the secret is empty", line);
    TRY(digest_key_new(secret, &keys->key[keys->n]));
    keys->id[keys->n++] = id;
    if (bytes.p)
        OPENSSL_cleanse(bytes.p, bytes.n);
    return NULL;
}

static err_t parse_line(struct digest_keys *keys, struct slice line, int number)
{
    line = slice_trim(slice_ends(line, S("\r")) ? slice_first(line, line.n - 1) : line);
    if (!line.n || line.p[0] == '#')
        return NULL;
    size_t space = slice_find(line, ' ', 0);
    uint64_t id;
    if (space != SIZE_MAX && slice_u64(slice_first(line, space), &id)) {
        if (id > UINT32_MAX)
            return fault(E_CONFIG, "line %d: the key number is larger than 4294967295", number);
        return add_key(keys, (uint32_t)id, slice_trim(slice_from(line, space)), number);
    }
    return add_key(keys, 0, line, number);
}

err_t digest_keys_parse(struct slice text, struct digest_keys *out)
{
    struct digest_keys keys = {.n = 0};
    struct slice line;
    err_t e = NULL;
    for (int number = 1; !e && slice_cut(&text, '\n', &line); number++)
        e = parse_line(&keys, line, number);
    if (!e && !keys.n)
        e = fault(E_CONFIG, "no key in it");
    if (e) {
        digest_keys_free(&keys);
        return e;
    }
    *out = keys;
    return NULL;
}

err_t digest_keys_read(const char *path, struct digest_keys *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fault(err_errno(errno), "%s", path);
    char *text = malloc(KEY_FILE_MAX);
    ssize_t got = text ? read(fd, text, KEY_FILE_MAX) : -1;
    close(fd);
    err_t e = got < 0 ? E_IO : got == KEY_FILE_MAX ? E_TOO_LARGE : digest_keys_parse(slice_of(text, (size_t)got), out);
    char why[160];
    if (e) {
        (void)slice_to_z(slice_first(slice_z(fault_detail()), sizeof why - 1), why, sizeof why);
        e = fault(e, "%s: %s", path, e == E_CONFIG ? why : "not a key file");
    }
    if (text)
        OPENSSL_cleanse(text, KEY_FILE_MAX);
    free(text);
    return e;
}

const struct digest_key *digest_keys_find(const struct digest_keys *keys, uint32_t id)
{
    for (int i = 0; i < keys->n; i++)
        if (keys->id[i] == id)
            return keys->key[i];
    return NULL;
}

void digest_keys_free(struct digest_keys *keys)
{
    for (int i = 0; i < keys->n; i++)
        digest_key_free(keys->key[i]);
    keys->n = 0;
}
