/* SPDX-License-Identifier: MIT */
/* date.h -- HTTP-date (RFC 9110 section 5.6.7): three forms read, one written. Times are seconds since the epoch, UTC.
 */
#pragma once

#include "base/slice.h"

enum { DATE_LENGTH = 29 }; /* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* IMF-fixdate, or the obsolete RFC 850 and asctime forms. Case-sensitive, exact, a real calendar day. A two-digit year
   that seems more than 50 years after `now_s` is in the past. */
bool date_parse(struct slice, int64_t now_s, int64_t *epoch_s);
/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar; month and day count from 1. */
int64_t date_days(int64_t year, int month, int day);
void date_format(int64_t epoch_s, char out[DATE_LENGTH + 1]); /* years 1 to 9999; others are clamped */
/* The same, formatted once a second and thread; valid until the next call on this thread. */
struct slice date_cached(int64_t epoch_s);
