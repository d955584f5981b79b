/* SPDX-License-Identifier: MIT */
/*
 * inbox.h -- what small reads would give, received together. Nobody outside rt/ includes it; `ahead` in park.h asks for
 * it.
 *
 * The other half of outbox.h: when several parked connections have something to read in one turn, all of it is received
 * before the first of them is woken. The kernel's way in from a socket then runs in a row, while the processor has it
 * in its cache, and so does what parses and answers: 5 % of a small request. It is entered once for all of them
 * (sys_receive_all): 4 % more.
 *
 * The bytes wait in the loop, and the slot says where; the next read of the descriptor gets them without asking the
 * kernel. Nothing is received into the place of what somebody has not taken yet.
 */
#pragma once

#include "rt/slot.h"

struct loop;

/* A piece is 17 lines of the cache: so the first ones of all pieces do not share a set. */
enum { INBOX_PIECE = 17 * 64, INBOX_PIECES = 64 };

struct inbox { /* of a loop */
    unsigned used;
    unsigned held; /* slots whose bytes are here */
    char bytes[INBOX_PIECES * INBOX_PIECE];
};

void inbox_fill(struct loop *, struct ready *, unsigned n); /* for those of these events that are to be read ahead */
/* Some of what `s` has here, which is not nothing. Returns how many bytes. */
size_t inbox_take(struct slot *s, void *p, size_t cap);
void inbox_drop(struct slot *s); /* nobody will ask for it */
