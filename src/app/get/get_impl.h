/* SPDX-License-Identifier: MIT */
/*
 * get_impl.h -- what the files of app/get share.
 *
 *     run       the whole invocation: configuration, client, cookies, totals (get.c)
 *     transfer  one URL: request, redirects, retries (transfer.c, request.c)
 *     output    where its body goes (output.c)
 *     hop       one request and its response, as --timing, --har and -w want to know it (hop.c)
 */
#pragma once

#include "app/get/get.h"
#include "app/get/payload.h"
#include "base/list.h"
#include "http/client.h"
#include "http/cookie.h"
#include "http/encode.h"
#include "net/tls_digest.h"

/* ---- One request and its response ---- */

struct hop {
    struct hop *next;
    struct slice url, method, content_type, redirect_url, reason;
    struct client_times times;
    int64_t wall_ns; /* when it began */
    uint16_t status;
    uint8_t version;
    bool reused, secure;
    uint64_t request_size, head_size, body_size, sent_body;
    char peer[ADDR_TEXT]; /* without its port */
    uint16_t port;
    struct http_fields asked, told; /* the fields, for --har only */
    const char *error;              /* NULL: none */
};

/* ---- Where the body goes ---- */

struct output {
    char *path, *part, *info; /* final name; the temporary one; what is known about it. NULL: stdout */
    int fd;                   /* -1: not open */
    bool is_stdout, is_terminal;
    bool in_place; /* devices, and -C OFFSET: no temporary name */
    bool direct;   /* under its final name from the beginning: all of its bytes had come before it was made */
    bool info_written;
    bool sparse;            /* parts are missing */
    bool spoiled;           /* the bytes are not what they should be: nothing to continue */
    bool done_already;      /* -C - and the whole file is there */
    uint64_t at;            /* bytes in the file */
    struct slice validator; /* as If-Range wants it, or empty */
    uint64_t total;         /* length of the whole, or CLIENT_UNKNOWN */
};

struct run;
struct transfer {
    struct run *run;
    struct slice typed;   /* the URL as it was given */
    const char *out_name; /* -o for this URL, or NULL */
    struct arena arena;   /* lives as long as the transfer */
    struct uri url, first_url;
    struct slice method;
    struct payload payload;
    bool drop_body;
    struct slice head;     /* of the response that is being handled, as text */
    struct digest *digest; /* --checksum */
    struct output output;
    struct call call;
    tick deadline;
    struct hop *hops, **last_hop, *hop; /* all; where the next goes; the current one */
    unsigned redirects, retries;
    uint64_t raw_bytes, body_bytes; /* of the body now coming: as sent, and decoded */
    int64_t retry_after;            /* ns, what the last response asked for */
    uint16_t status;
    uint64_t start; /* the first byte that is asked for */
    bool resuming;
    err_t error;
    char why[256];
};

/* ---- The invocation ---- */

struct run {
    const struct get_conf *conf;
    struct client client;
    struct trace_sink *trace;
    struct cookie_jar jar;
    bool jar_used;
    char *buffer_spare; /* one body buffer, for the next transfer */
    struct buf input;   /* of --input: URLs point into it */
    struct transfer **transfers;
    size_t count, next;
    size_t done, failed;
    err_t worst;
    /* progress */
    uint64_t bytes, bytes_expected;
    tick started;
    int dump_fd;
};

enum { BODY_BUFFER = 256 << 10 }; /* what a read gives stays in the processor's second cache until it is written */

/* transfer.c */
MUST err_t transfer_run(struct transfer *);     /* messages are printed by the caller */
MUST err_t transfer_offline(struct transfer *); /* show what would be sent */

/* request.c: the fields of the next request of a transfer, in `arena` */
struct request_parts {
    struct http_fields fields;
    struct client_request request;
    struct client_proxy proxy;
    struct slice target;
};
MUST err_t request_make(struct transfer *, struct arena *, struct request_parts *);
MUST err_t request_url(struct transfer *, struct slice typed); /* t->url from what was typed */
MUST err_t request_redirect(struct transfer *, struct slice location, struct uri *next);

/* output.c */
MUST err_t output_name(struct transfer *, const struct http_response *); /* decide the path; once */
MUST err_t output_resume_point(struct transfer *);                       /* -C: look what is there already */
MUST err_t output_open(struct transfer *, const struct call *);
MUST err_t output_write(struct output *, struct slice);
MUST err_t output_commit(struct transfer *, const struct http_response *);
void output_abandon(struct output *); /* keep the part for a later -C - */
void output_free(struct output *);

/* 416 to a request for the rest: is it all there already? */
MUST err_t output_is_whole(struct transfer *, const struct http_response *);

/* hop.c: keep what is known about this request and its response */
void hop_start(struct transfer *, const struct client_request *);
MUST err_t hop_head(struct transfer *); /* also --verbose, --dump-header, and t->head */
void hop_end(struct transfer *, err_t);

/* checksum.c: --checksum ALGORITHM:HEX */
MUST err_t checksum_begin(struct transfer *); /* reads what is already in the file, when resuming */
MUST err_t checksum_file(struct transfer *);  /* instead of what was written, what is in the file */
MUST err_t checksum_check(struct transfer *);

/* timing.c, har.c, write_out.c: after the transfer */
MUST err_t timing_show(const struct transfer *);
MUST err_t har_write(const struct run *);
MUST err_t write_out(const struct transfer *, const char *format);

/* progress.c */
void progress_run(void *run); /* a fiber */

/* message.c */
void say(const struct run *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void say_head(const struct run *, char mark, struct slice head); /* escaped, secrets masked */
