/* SPDX-License-Identifier: MIT */
/*
 * serve.h -- what `l7 serve` serves: a folder, fixed routes, redirects, its own error pages.
 *
 * cmd/serve.c fills in a struct serve_options, serve_new checks it and opens the folder, and the result is the conf of
 * serve_handler. Nothing outside of the folder is ever served (openat2 beneath it), nor anything but regular files.
 */
#pragma once

#include "http/exchange.h"

struct serve_list {
    const char *const *v;
    size_t n;
};

struct serve_options {
    const char *root;              /* folder */
    struct serve_list index;       /* names of index files, in order of preference */
    struct serve_list respond;     /* "/path=body" */
    struct serve_list redirect;    /* "/path=target" */
    struct serve_list error_pages; /* "404=/path", also "5xx=/path" */
    const char *spa;               /* the file that answers for paths that do not exist, or NULL */
    const char *cache_control;     /* sent with every file, or NULL */
    bool listing;                  /* list folders without an index file */
    bool dotfiles;                 /* serve names that begin with a dot */
    int workers;
};

struct serve;
MUST err_t serve_new(const struct serve_options *, struct serve **); /* E_PERMISSION, E_USAGE */
void serve_free(struct serve *);
handler_fn serve_handler;       /* conf is a struct serve */
error_page_fn serve_error_page; /* likewise */
