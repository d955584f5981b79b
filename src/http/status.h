/* SPDX-License-Identifier: MIT */
/* status.h -- status codes and their phrases, from status.def (RFC 9110 section 15). */
#pragma once

#include "base/slice.h"

struct slice status_phrase(uint16_t status); /* "Not Found"; empty when unknown */
struct slice status_line(uint16_t status);   /* "HTTP/1.1 404 Not Found\r\n"; empty when unknown */
bool status_has_body(uint16_t status);       /* may a response with it carry content at all? (6.4.1) */
bool status_heuristic(uint16_t status);      /* heuristically cacheable by default (15.1) */
