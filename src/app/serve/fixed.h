/* SPDX-License-Identifier: MIT */
/* fixed.h -- answers that come from the command line: --respond, --redirect, --error-page. Private to app/serve. */
#pragma once

#include "app/serve/serve.h"

struct fixed;
MUST err_t fixed_new(const struct serve_list *respond, const struct serve_list *redirect,
                     const struct serve_list *error_pages, struct fixed **); /* E_USAGE */
void fixed_free(struct fixed *);
MUST err_t fixed_answer(const struct fixed *, struct exchange *, bool *sent, tick until);
const char *fixed_error_page(const struct fixed *,
                             uint16_t status); /* a file beneath the root, NULL when there is none */
