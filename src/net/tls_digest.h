/* SPDX-License-Identifier: MIT */
/*
 * tls_digest.h -- digests by OpenSSL: checksums of what streams by, and HMAC-SHA-256 (RFC 2104, RFC 6234) of packets.
 *
 * A key holds both pads already hashed, so that checking a datagram costs two compressions less, no malloc and no lock.
 * Keys are immutable and may be used by all threads at once.
 */
#pragma once

#include "base/err.h"

/* A checksum, by name: sha256, sha384, sha512, sha1 or md5. */
enum { DIGEST_MAX = 64 };
struct digest;
MUST err_t digest_new(struct slice name, struct digest **); /* E_USAGE for a name that is not known, E_NO_MEMORY */
void digest_add(struct digest *, struct slice);
size_t digest_end(struct digest *, uint8_t out[DIGEST_MAX]); /* the digest's length; nothing can be added any more */
void digest_free(struct digest *);                           /* NULL is accepted */

/* HMAC-SHA-256. */
enum { DIGEST_SIZE = 32 };
struct digest_key;
MUST err_t digest_key_new(struct slice secret, struct digest_key **); /* E_NO_MEMORY */
void digest_key_free(struct digest_key *);                            /* wipes it; NULL is accepted */
void digest_hmac(const struct digest_key *, struct slice, uint8_t out[DIGEST_SIZE]);
/* Puts the first `tag` bytes (<= 32) of the HMAC of `bytes[0..n)` behind them; returns n + tag. */
size_t digest_hmac_append(const struct digest_key *, uint8_t *bytes, size_t n, size_t tag);
/* Are the first `n` bytes of the HMAC (n <= 32) those at `tag`? In constant time. */
bool digest_hmac_is(const struct digest_key *, struct slice, const void *tag, size_t n);

/* --key-file: a secret a line, "ID SECRET" with a number from 0 to 4294967295 for ID, or just "SECRET" (ID 0). A secret
   that begins with "hex:" is given in hexadecimal. Empty lines and lines that begin with # are skipped. The first key
   signs; all of them verify, so that a key can be replaced without a gap: add the new one at the end everywhere, then
   move it to the front where beats are sent, then remove the old one. */
enum { DIGEST_KEYS_MAX = 16 };
struct digest_keys {
    uint32_t id[DIGEST_KEYS_MAX];
    struct digest_key *key[DIGEST_KEYS_MAX];
    int n;
};
MUST err_t digest_keys_read(const char *path, struct digest_keys *); /* E_NOT_FOUND, E_PERMISSION, E_CONFIG */
MUST err_t digest_keys_parse(struct slice text, struct digest_keys *);
const struct digest_key *digest_keys_find(const struct digest_keys *, uint32_t id); /* NULL: no such key */
void digest_keys_free(struct digest_keys *);
