/* SPDX-License-Identifier: MIT */
/*
 * pages.h -- memory in whole pages of its own, which a socket may take by reference (rt/io.h: io_send_pages).
 *
 * Written once, then never again as long as it lives. Freeing gives the pages back to the kernel and never to malloc,
 * so what still waits in a socket, or unread on the other side of loopback, stays what it was.
 */
#pragma once

#include <stddef.h>

char *pages_new(size_t n); /* n > 0 bytes of zeros, in huge pages as far as possible; NULL when out of memory */
void pages_free(char *, size_t n);
