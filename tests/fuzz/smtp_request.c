/* SPDX-License-Identifier: MIT */
/* Commands as the sink reads them, and specifications of faults. */
#include "base/check.h"
#include "smtp/fault_parse.h"
#include "smtp/request_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_request r;
    struct smtp_fault f;
    char z[600];
    const char *no = smtp_request_parse(slice_of(data, size), &r);
    if (no)
        CHECK(no[0] == '5' && no[3] == ' ' && no[4] == '5');
    else if (r.verb == SMTP_MAIL || r.verb == SMTP_RCPT)
        CHECK(r.arg.n <= SMTP_PATH_MAX && !slice_has(r.arg, '\n') && !slice_has(r.arg, '\0'));
    if (slice_to_z(slice_of(data, size), z, sizeof z) && !smtp_fault_parse(z, &f))
        CHECK(f.step < STEPS && f.reply.n < sizeof z);
    fault_clear();
    return 0;
}
