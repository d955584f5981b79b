/* SPDX-License-Identifier: MIT */
/*
 * senders_pool.h -- what all senders saw, summed up anew every four seconds from their records. Only senders.c uses it.
 *
 * A round has ended when every shard has added its slots; then its sums are in use until the next one has.
 */
#pragma once

#include "app/heartbeat/senders.h"

/* With the shard's lock held: `n` slots more of it are added, unless it is done with this round. */
void senders_pool_more(struct senders *, int shard, uint32_t n);
/* With a shard's lock held, and for as long as it is. */
struct detector_aim senders_aim(const struct senders *);
