/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/text.h"
#include "smtp/base64_lines.h"

static void fast_equals_plain_equals_text(void **state)
{
    (void)state;
    enum { MAX = 700 };
    uint8_t in[MAX];
    char fast[MAX * 2], plain[MAX * 2];
    random_bytes(in, sizeof in);
    for (size_t n = 0; n <= MAX; n++) {
        size_t size = base64_lines_size(n);
        assert_int_equal(base64_lines(in, n, fast), size);
        assert_int_equal(base64_lines_plain(in, n, plain), size);
        assert_memory_equal(fast, plain, size);
        struct buf one_line = {0};
        assert_ok(text_base64_add(&one_line, slice_of(in, n)));
        size_t k = 0;
        for (size_t i = 0; i < size; i++)
            if (fast[i] != '\r' && fast[i] != '\n')
                assert_int_equal(fast[i], one_line.p[k++]);
        assert_int_equal(k, one_line.n);
        buf_free(&one_line);
    }
}

static void every_letter(void **state)
{
    (void)state;
    uint8_t in[192];
    char out[400];
    for (unsigned i = 0; i < 64; i++) { /* the six-bit values 0 to 63 in order, four times */
        unsigned v = (i % 16) * 4;
        in[3 * i] = (uint8_t)(v << 2 | (v + 1) >> 4), in[3 * i + 1] = (uint8_t)((v + 1) << 4 | (v + 2) >> 2);
        in[3 * i + 2] = (uint8_t)((v + 2) << 6 | (v + 3));
    }
    base64_lines(in, 57, out);
    assert_memory_equal(out, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/ABCDEFGHIJKL\r\n", 78);
    base64_lines(in, 192, out);
    assert_memory_equal(out, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/ABCDEFGHIJKL\r\n", 78);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fast_equals_plain_equals_text), cmocka_unit_test(every_letter)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
