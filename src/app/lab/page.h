/* SPDX-License-Identifier: MIT */
/* page.h -- the lab's overview as HTML: what runs where, and what to try. */
#pragma once

#include "app/lab/lab.h"

MUST err_t lab_page(const struct lab_options *, struct buf *out);
