/* SPDX-License-Identifier: MIT */
/*
 * tls_auto.h -- a local certificate authority, made once, and a leaf for this machine.
 *
 * Kept in $XDG_STATE_HOME/l7/tls (default ~/.local/state/l7/tls; /var/lib/l7/tls as root without HOME), folder 0700,
 * keys 0600: ca.pem, ca.key, leaf.pem (with chain), leaf.key. The leaf is for localhost, 127.0.0.1, ::1 and the
 * host name; it is renewed 30 days before it ends, the CA after ten years or when the host name changes. The CA may
 * speak for those names only (name constraints, RFC 5280 section 4.2.1.10), so whoever trusts it risks no other.
 */
#pragma once

#include "base/err.h"

struct tls_auto {
    char ca[512], cert[512], key[512]; /* paths */
};
MUST err_t tls_auto(struct tls_auto *);
