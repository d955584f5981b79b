/* SPDX-License-Identifier: MIT */
/*
 * dialogue.h -- turns the bytes of both directions of a connection into lines for people. Pure: bytes in, lines out.
 *
 * Of HTTP/1 it shows start lines and header fields and counts bodies, knowing where each ends (RFC 9112 section 6);
 * when a connection turns into a tunnel or into HTTP/2 it counts bytes or names frames (RFC 9113 section 4). Of line
 * protocols it shows lines, and counts a message that follows 354 or BDAT (RFC 5321, RFC 3030). What it cannot follow
 * it counts.
 */
#pragma once

#include "base/slice.h"

enum dialogue_kind { DIALOGUE_HTTP, DIALOGUE_LINES, DIALOGUE_BINARY };
enum { DIALOGUE_LINE = 1024, DIALOGUE_ASKED = 64 };

/* One line; `who` is 'C' or 'S'. The text is escaped already. */
typedef void dialogue_emit(void *arg, char who, const char *text);

struct dialogue_side {
    uint8_t state; /* enum state in dialogue.c */
    bool chunked, close_ends;
    char line[DIALOGUE_LINE]; /* of the line so far */
    size_t n;
    uint64_t cut;  /* bytes of the line that did not fit */
    uint64_t left; /* of the body, chunk or frame; UINT64_MAX: until the connection ends */
    uint64_t seen; /* bytes counted and not yet told */
    uint64_t body; /* announced length, for telling how much is missing */
    uint16_t status;
};
struct dialogue {
    dialogue_emit *emit;
    void *arg;
    enum dialogue_kind kind;
    bool secrets;                 /* show them */
    char masked;                  /* the side whose lines are masked now, or 0 */
    struct dialogue_side side[2]; /* C, S */
    /* Requests without an answer, oldest first: 'H' HEAD, 'C' CONNECT, 'o' any other. */
    char asked[DIALOGUE_ASKED];
    unsigned asked_first, asked_n;
    char last; /* the side that spoke last */
};

void dialogue_init(struct dialogue *, enum dialogue_kind, bool secrets, dialogue_emit *, void *arg);
void dialogue_feed(struct dialogue *, char who, struct slice);
void dialogue_skip(struct dialogue *, char who, uint64_t n); /* bytes that were sent without passing here (sendfile) */
void dialogue_end(struct dialogue *);                        /* tell what is still counted */
