/* SPDX-License-Identifier: MIT */
/* basic.h -- Basic credentials (RFC 7617) as Authorization and Proxy-Authorization carry them. */
#pragma once

#include "base/arena.h"

/* "Basic ..." for "user:password", in the arena; SLICE_NONE when out of memory. */
struct slice basic_pair(struct arena *, struct slice pair);
/* The same for the user part of a URL, its escapes undone; without a colon the password is empty. SLICE_NONE also for a
   bad escape. */
struct slice basic_userinfo(struct arena *, struct slice userinfo);
