/* SPDX-License-Identifier: MIT */
/*
 * payload.h -- the body of a request: -d, --json, -F and -T turned into pieces of memory and files.
 *
 * Small data is joined in memory; files that are uploaded are read while they are sent. A payload can be sent again
 * (redirect 307, retry) unless it comes from the standard input.
 */
#pragma once

#include "app/get/get.h"
#include "http/client.h"

struct payload_piece {
    int fd;        /* -1: bytes of `text` */
    uint64_t from; /* of `text`, or of the file */
    uint64_t size; /* CLIENT_UNKNOWN: until the end of the file */
};
struct payload {
    struct payload_piece *pieces;
    size_t count, at;
    uint64_t offset;    /* in the current piece */
    struct buf text;    /* joined data, and the heads of form parts */
    struct buf type;    /* Content-Type, or empty */
    const char *method; /* what the data implies: "POST", "PUT", or NULL */
    bool once;          /* it comes from a pipe */
    uint64_t skipped;   /* bytes of an upload that the server has already */
    struct arena arena; /* of form parts */
};

MUST err_t payload_make(const struct get_conf *, struct payload *); /* E_USAGE, E_NOT_FOUND, ... */
void payload_free(struct payload *);
struct client_body payload_body(struct payload *);
