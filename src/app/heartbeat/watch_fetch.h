/* SPDX-License-Identifier: MIT */
/* watch_fetch.h -- one listener's whole table, over the watch protocol. */
#pragma once

#include "app/heartbeat/watch_view.h"
#include "net/tls_digest.h"
#include "net/udp.h"

struct fetch {
    int fd;
    const struct digest_keys *keys; /* n 0: unsigned */
    struct udp_batch *batch;
    uint64_t nonce;
};
MUST err_t fetch_open(struct fetch *, const struct addr *, const struct digest_keys *);
/* Replaces `rows`. E_TIMEOUT when the listener does not answer, E_REFUSED when nobody listens there. */
MUST err_t fetch_table(struct fetch *, struct view_rows *rows, tick until);
void fetch_close(struct fetch *);
