/* SPDX-License-Identifier: MIT */
/* Dates: what is read can be written, and is read again as the same second. */
#include "base/check.h"
#include "http/date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t t, again;
    char text[DATE_LENGTH + 1];
    if (!date_parse(slice_of(data, size), 1795000000, &t))
        return 0;
    if (t < -INT64_C(62135596800) || t > INT64_C(253402300799))
        return 0; /* the year 0 is read but not written */
    date_format(t, text);
    CHECK(date_parse(slice_of(text, DATE_LENGTH), 0, &again) && again == t);
    return 0;
}
