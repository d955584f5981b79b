/* SPDX-License-Identifier: MIT */
/* answer.h -- a file as the answer to a request: preconditions, ranges, the whole. Private to app/serve. */
#pragma once

#include "app/serve/file.h"

/* Respects every precondition and range of RFC 9110 sections 13 and 14: 200, 206, 304, 412 or 416. */
MUST err_t answer_file(struct exchange *, struct file *, tick until);
/* For what is made anew for each request and has neither tag nor date: 304 or 412 when a precondition says so (*sent),
   else nothing. `cache_control` may be empty. */
MUST err_t answer_precondition(struct exchange *, struct slice cache_control, bool *sent, tick until);
/* `extra`: further fields of the error; NULL: none. */
MUST err_t answer_error_page(struct exchange *, uint16_t status, struct file *, const struct http_fields *extra,
                             tick until);
/* `to` goes into Location as it is. */
MUST err_t answer_redirect(struct exchange *, uint16_t status, struct slice to, tick until);
