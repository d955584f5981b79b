/* SPDX-License-Identifier: MIT */
/* cache_play.h -- what the parts of the cache player share: cache_player.c has the language and the cases,
   cache_words.c takes lines and messages apart, cache_origin.c and cache_client.c play the two sides. */
#pragma once

#include "app/proxy/proxy.h"
#include "base/arena.h"
#include "base/check.h"
#include "http/server.h"
#include "net/listen.h"
#include "rt/scope.h"

enum { WORDS = 64, QUEUE = 64, ASKS = 2048, PROXY_PORT = 80, ORIGIN_PORT = 8080, PATIENCE_MS = 120000 };
#define START_S INT64_C(1767225600) /* Thu, 01 Jan 2026 00:00:00 GMT */

struct word {
    struct slice text;
    bool quoted;
};
struct line {
    struct word v[WORDS];
    int n, number;
};
struct ask {
    char name[24];
    struct line line;
    int from; /* first word of the request */
    struct buf answer;
    bool done;
};
struct play {
    const char *file;
    struct arena text; /* words, for the length of a case */
    struct line queue[QUEUE];
    int queued, taken;
    struct ask *asks[ASKS];
    int ask_count, number, bad_line;
    char problem[600], title[200];
    struct proxy *proxy;
    struct server *server;
    struct site site;
    struct listen_point front, back[2];
    struct scope people; /* origin and clients */
    bool forward;
    int origins;
};
extern struct play play;

/* The first problem of a case is kept; line 0 is the current one. */
void fail(int line, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* -- cache_words.c -- */
struct slice quoted(struct slice *rest);
void split(struct slice text, struct line *l);
bool is(const struct line *l, int i, const char *word);
int find(const struct line *l, const char *word);
int64_t number(struct slice s);
int64_t duration(struct slice s);
bool head_has(struct slice head, struct slice wanted);
struct slice head_value(struct slice head, struct slice name);
bool read_head(int fd, struct buf *in, struct slice *head);

/* -- cache_origin.c -- */
bool send_text(int fd, struct slice s);
void origin_run(void *arg);

/* -- cache_client.c -- */
void ask_run(void *arg);
void check_answer(const struct line *l, struct slice all, bool head_only);
