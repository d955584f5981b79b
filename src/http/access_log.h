/* SPDX-License-Identifier: MIT */
/* access_log.h -- one line an exchange: the combined format that log tools know, or a JSON object. */
#pragma once

#include "http/server.h"

/* `line` is scratch memory that is kept for the next one. */
void access_log(struct log_file *, enum access_format, const struct exchange *, struct buf *line);
/* The line alone, with its newline. `wall_s` is the time of the request. */
MUST err_t access_log_line(struct buf *, enum access_format, const struct exchange *, int64_t wall_s, int64_t took_ns);
