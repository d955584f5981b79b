/* SPDX-License-Identifier: MIT */
/* tls_hash.h -- digests by name, for checksums of files: sha256, sha384, sha512, sha1, md5. tls_digest.h has SHA-256
   for packets, without allocation. */
#pragma once

#include "base/err.h"

enum { HASH_MAX = 64 };

struct hash;
MUST err_t hash_new(struct slice name, struct hash **); /* E_USAGE for a name that is not known, E_NO_MEMORY */
void hash_add(struct hash *, struct slice);
size_t hash_end(struct hash *, uint8_t out[HASH_MAX]); /* the digest's length */
void hash_free(struct hash *);                         /* NULL is accepted */
