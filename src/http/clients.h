/* SPDX-License-Identifier: MIT */
/* clients.h -- how many connections each client address has open, over all workers. Locked for a lookup only. */
#pragma once

#include "base/addr.h"

struct clients;
MUST err_t clients_new(struct clients **);
/* Counts one more unless the client has `limit` already. IPv6 clients count by their /64, the unit that one subscriber
   gets. False also when there is no memory to count. */
bool clients_enter(struct clients *, const struct addr *, uint64_t limit);
void clients_leave(struct clients *, const struct addr *);
size_t clients_count(struct clients *); /* distinct ones */
void clients_free(struct clients *);    /* NULL is accepted */
