/* SPDX-License-Identifier: MIT */
/* Lists of addresses: what was understood can be written as a field, and is understood as the same list again. */
#include "base/check.h"
#include "smtp/command_format.h"
#include "smtp/header_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = {0};
    struct smtp_mailboxes list = {0}, again = {0};
    struct buf b = {0};
    if (size > 4096)
        return 0;
    if (!smtp_mailboxes_parse(&a, slice_of(data, size), "To", &list)) {
        for (size_t i = 0; i < list.n; i++) {
            size_t before = b.n;
            if (list.v[i].kind == SMTP_MAILBOX && !smtp_format_rcpt(&b, list.v[i].address, 0)) {
                CHECK(slice_find(buf_slice(&b), '\n', before) == b.n - 1); /* one line, ended once */
                CHECK(slice_find(buf_slice(&b), '\r', before) == b.n - 2);
            }
        }
        b.n = 0;
        if (!header_mailboxes(&b, "To", list.v, list.n, true)) {
            struct slice value = slice_from(buf_slice(&b), 3);
            CHECK(!smtp_mailboxes_parse(&a, value, "To", &again) && again.n == list.n);
            for (size_t i = 0; i < list.n; i++)
                CHECK(again.v[i].kind == list.v[i].kind && slice_eq(again.v[i].address, list.v[i].address));
        }
    }
    buf_free(&b);
    arena_reset(&a);
    return 0;
}
