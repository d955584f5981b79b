/* SPDX-License-Identifier: MIT */
/* describe.h -- one decoded line a datagram, for --trace: probes as text, STAMP packets field by field. */
#pragma once

#include "base/slice.h"

enum describe_kind { DESCRIBE_ECHO, DESCRIBE_TEST, DESCRIBE_REPLY };
enum { DESCRIBE_TEXT = 320 };

/* Safe for a terminal; returns `out`. */
char *describe(struct slice payload, enum describe_kind, bool auth, char out[DESCRIBE_TEXT]);
