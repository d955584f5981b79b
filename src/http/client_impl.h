/* SPDX-License-Identifier: MIT */
/* client_impl.h -- what the files of the client share. Nobody else includes it. */
#pragma once

#include "http/client.h"
#include "rt/loop.h"

/* ---- client_dial.c: a new connection, ready for its first request ---- */

MUST err_t client_dial(struct client *, const struct client_request *, struct call *, struct stream **, tick until);

/* ---- client.c ---- */

void client_release(struct call *, bool keep); /* the connection goes back to the pool, or away */
/* Memory for a buffer that has none, of one that was given back if there is any. */
void client_buf_take(struct client *, struct buf *);
void client_buf_give(struct client *, struct buf *);

/* For call.times. */
static inline tick client_clock(const struct call *call)
{
    return call->client->reports ? clock_now() : now();
}

/* Wait with `wait` for the server's next sign, no longer than its patience allows (client_request.patience_ms). */
MUST err_t client_wait(struct call *, err_t (*wait)(struct call *, tick until), tick until);
/* The body's reader failed, in the upload's fiber; and the same again, in the caller's. */
void client_upload_broke(struct call *, err_t);
MUST err_t client_upload_error(const struct call *);

/* ---- h1_client.c ---- */

/* Send the request on call->stream and read the final head. */
MUST err_t h1_client_open(struct call *, tick until);

/* ---- h2_client.c ---- */

struct h2_session;
/* Make the connection a session of the client's, which owns it from then on, also when this fails. */
MUST err_t h2_client_start(struct client *, struct slice key, struct pool_conn *, struct h2_session **, tick until);
struct h2_session *h2_client_find(struct client *, struct slice key); /* one with room for a stream, or NULL */
MUST err_t h2_client_open(struct call *, struct h2_session *, tick until);
