/* SPDX-License-Identifier: MIT */
/* decode.h -- undo the content codings of a response, one behind the other, on the way to a sink. */
#pragma once

#include "http/encode.h"
#include "http/message.h"

enum { DECODE_DEPTH = 4 };

struct decode {
    int depth; /* 0: nothing to undo */
    struct decoder *v[DECODE_DEPTH];
    char *room[DECODE_DEPTH];
    err_t (*sink)(void *arg, struct slice);
    void *arg;
};

/* E_UNSUPPORTED for a coding that we do not know, or more of them than anyone needs. */
MUST err_t decode_start(struct decode *, const struct http_fields *);
MUST err_t decode_bytes(struct decode *, struct slice);
MUST err_t decode_end(struct decode *); /* E_TRUNCATED when a coding has not reached its end */
void decode_free(struct decode *);
