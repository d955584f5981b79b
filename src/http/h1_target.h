/* SPDX-License-Identifier: MIT */
/*
 * h1_target.h -- what a request is for: the form of its target, and the effective target out of that and Host (RFC 9112
 * sections 3.2 and 3.3). Private to src/http.
 *
 * The last Host that was good is kept, since the next one is mostly the same. What it comes to is a function of its
 * bytes alone, so it may be kept from request to request, whoever sends them.
 */
#pragma once

#include "base/err.h"
#include "http/message.h"

struct h1_host {             /* {0} at first */
    uint8_t n, host, host_n; /* bytes of `text`; where the name stands in it */
    bool ipv6;
    uint16_t port;
    char text[58];
};

/* Of a request whose start line and fields are there; in `target` there may be the path of a target that is nothing
   else. `known` may be NULL. E_BAD_REQUEST. */
MUST err_t h1_target(struct http_request *, struct h1_host *known);
