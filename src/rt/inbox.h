/* SPDX-License-Identifier: MIT */
/*
 * inbox.h -- what small reads would give, received together. Nobody outside rt/ includes it; `ahead` in park.h asks for
 * it.
 *
 * The other half of outbox.h: when several parked connections have something to read in one turn, all of it is received
 * before the first of them is woken. The kernel's way in from a socket then runs in a row, while the processor has it
 * in its cache, and so does what parses and answers: 5 % of a small request.
 *
 * The bytes wait in the loop, and the slot says where; the next read of the descriptor gets them without asking the
 * kernel. Nothing is received here as long as that would overwrite what somebody has not taken yet.
 */
#pragma once

#include "rt/slot.h"

struct loop;

enum { INBOX_PIECE = 2048, INBOX_BYTES = 16 << 10 };

struct inbox { /* of a loop */
    unsigned used;
    unsigned held; /* slots whose bytes are here */
    char bytes[INBOX_BYTES];
};

void inbox_fill(struct loop *, struct ready *, int n); /* for those of these events that are to be read ahead */
/* Some of what `s` has here, which is not nothing. Returns how many bytes. */
size_t inbox_take(struct slot *s, void *p, size_t cap);
void inbox_drop(struct slot *s); /* nobody will ask for it */
