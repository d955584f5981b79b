/* SPDX-License-Identifier: MIT */
/*
 * site.h -- the lab's small site, out of the program's own memory: a page with a picture, a page of several files, and
 * the two routes of the textbook's exercise, /home and /index.
 */
#pragma once

#include "http/exchange.h"

struct lab_site {
    struct slice front; /* what "/" answers instead of the embedded index.html; empty: that one */
};
handler_fn lab_site_handler; /* conf is a struct lab_site */
