/* SPDX-License-Identifier: MIT */
/* listing.h -- a folder as a page: names, sizes, times; sorted, folders first. Private to app/serve. */
#pragma once

#include "http/exchange.h"

enum { LISTING_MAX = 10000 }; /* names shown; a note says that there are more */
/* Takes `fd` over. */
MUST err_t listing_send(struct exchange *, int fd, bool dotfiles, tick until);
