/* SPDX-License-Identifier: MIT */
/*
 * get.h -- the HTTP client as a tool: what it is told, and the one call that does it.
 *
 * get_run turns the configuration and the URLs into jobs. Each job is one transfer (transfer.c): request, redirects,
 * retries, then the body into its output (output.c). Jobs run one after the other on one connection where that is
 * possible, or several at once (--parallel); a single URL may be fetched in segments (segments.c).
 */
#pragma once

#include "base/err.h"

struct get_list {
    const char *const *v;
    size_t n;
};

/* One piece of a request body, in the order of the command line. */
enum get_data_kind { DATA_PLAIN, DATA_BINARY, DATA_RAW, DATA_URLENCODE, DATA_JSON, DATA_FORM, DATA_FORM_STRING };
struct get_data {
    enum get_data_kind kind;
    const char *value;
};

struct get_conf {
    /* the request */
    const char *method, *user_agent, *referer, *user, *bearer, *range, *upload, *cookie, *cookie_jar;
    struct get_list headers;
    struct get_data *data;
    size_t data_count;
    bool head_only, data_in_url, compressed, new_session;
    /* redirects and failures */
    bool follow, trust_location, fail, fail_with_body;
    int64_t redirects_max, retries;
    int64_t retry_delay, retry_time; /* ns; 0: growing, unbounded */
    bool retry_all;
    /* the connection */
    const char *proxy, *proxy_user, *no_proxy, *ca, *cert, *key, *unix_path;
    struct get_list resolve;
    bool tunnel, insecure, ipv4, ipv6, http1, http2_prior;
    int64_t connect_timeout, max_time, timeout; /* ns; 0: none */
    uint64_t rate, size_max;                    /* bytes a second; bytes; 0: no limit */
    /* the output */
    struct get_list outputs;
    const char *output_dir, *input, *resume, *checksum, *dump_header;
    bool remote_name, remote_header_name, include, create_dirs, remote_time, no_clobber;
    int64_t parallel, segments;
    /* what is shown */
    const char *timing, *har, *write_out, *trace, *keylog;
    bool silent, show_error, verbose, offline, no_progress, trace_secrets;
    bool textbook;                /* HOST PORT PATH */
    err_t (*open_stdin)(int *fd); /* a non-blocking descriptor for io_read */
};

/* `urls` as typed; `*status` is the exit status: 0 all done, 1 all failed, 3 some failed. */
MUST err_t get_run(const struct get_conf *, struct get_list urls, int *status);
