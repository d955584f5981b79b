/* SPDX-License-Identifier: MIT */
/* answer.h -- a file as the answer to a request: preconditions, ranges, the whole. Private to app/serve. */
#pragma once

#include "app/serve/file.h"

/* Respects every precondition and range of RFC 9110 sections 13 and 14: 200, 206, 304, 412 or 416. */
MUST err_t answer_file(struct exchange *, struct file *, tick until);
MUST err_t answer_error_page(struct exchange *, uint16_t status, struct file *, tick until);
/* `to` goes into Location as it is. */
MUST err_t answer_redirect(struct exchange *, uint16_t status, struct slice to, tick until);
