/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <string.h>

#include "smtp/encode.h"

static char out[8192];

static struct mime_scan scan_of(struct slice s)
{
    struct mime_scan scan = {0};
    for (size_t i = 0; i < s.n; i++) /* byte by byte: state must carry over */
        mime_scan_add(&scan, slice_of(s.p + i, 1));
    mime_scan_end(&scan);
    return scan;
}

/* Encode in pieces of `step`; the result must not depend on it. */
static struct slice encoded(struct slice s, struct mime_encoder e, size_t step)
{
    size_t n = 0;
    for (size_t at = 0; at < s.n; at += step)
        n += mime_encode(&e, slice_first(slice_from(s, at), step), at + step >= s.n, out + n);
    return slice_of(out, s.n ? n : mime_encode(&e, s, true, out));
}

static void choices(void **state)
{
    (void)state;
    struct mime_scan s = scan_of(S("plain\nlines\n"));
    assert_int_equal(mime_choose(&s, false, true), MIME_7BIT);
    s = scan_of(S("no final break"));
    assert_int_equal(mime_choose(&s, false, true), MIME_QP);
    assert_int_equal(mime_choose(&s, false, false), MIME_7BIT);
    s = scan_of(S("caf\xc3\xa9 in a long enough line\n"));
    assert_int_equal(mime_choose(&s, false, true), MIME_QP);
    assert_int_equal(mime_choose(&s, true, true), MIME_8BIT);
    assert_false(s.not_utf8);
    s = scan_of(S("\xe4\xbd\xa0\xe5\xa5\xbd\n"));
    assert_int_equal(mime_choose(&s, false, true), MIME_BASE64);
    s = scan_of(S("a\rb\n"));
    assert_int_equal(mime_choose(&s, true, true), MIME_QP);
    s = scan_of(S("a\r\nb\n")); /* mixed */
    assert_false(mime_scan_crlf(&s));
    assert_int_equal(mime_choose(&s, true, true), MIME_QP);
    s = scan_of(S("a\r\nb\r\n"));
    assert_true(mime_scan_crlf(&s));
    assert_int_equal(mime_choose(&s, true, true), MIME_7BIT);
    s = scan_of(S("\xed\xa0\x80"));
    assert_true(s.not_utf8);
    s = scan_of(S("\xe2\x82"));
    assert_true(s.not_utf8);
    s = scan_of(S("\xf0\x9f\x98\x80\xc2\xa0"));
    assert_false(s.not_utf8);
}

static void long_lines_need_encoding(void **state)
{
    (void)state;
    static char line[1000];
    memset(line, 'a', sizeof line);
    line[998] = '\n';
    struct mime_scan s = scan_of(slice_of(line, 999));
    assert_int_equal(mime_choose(&s, true, true), MIME_7BIT);
    line[998] = 'a', line[999] = '\n';
    s = scan_of(slice_of(line, 1000));
    assert_int_equal(s.bad_line, 1);
    assert_int_equal(mime_choose(&s, true, true), MIME_QP);
}

static void quoted_printable(void **state)
{
    (void)state;
    struct mime_encoder lf = {.how = MIME_QP, .lf = true, .text = true, .soft_end = true}, crlf = lf;
    crlf.lf = false;
    for (size_t step = 1; step < 9; step++) {
        assert_slice(encoded(S("a=b \n.dot\nend\t\n"), lf, step), "a=3Db=20\r\n=2Edot\r\nend=09\r\n");
        assert_slice(encoded(S("a\r\nb\rc\n"), lf, step), "a=0D\r\nb=0Dc\r\n");
        assert_slice(encoded(S("a\r\nb \r\n"), crlf, step), "a\r\nb=20\r\n");
        assert_slice(encoded(S("no end "), lf, step), "no end=20=\r\n");
        assert_slice(encoded(S("\x00\x7f\xff"), lf, step), "=00=7F=FF=\r\n");
        assert_slice(encoded(S(""), lf, step), "");
    }
    static char spaces[200];
    memset(spaces, ' ', sizeof spaces);
    struct slice r = encoded(slice_of(spaces, 200), lf, 7), line;
    while (slice_cut(&r, '\n', &line))
        assert_true(line.n <= 77);
}

static void line_ends_and_base64(void **state)
{
    (void)state;
    for (size_t step = 1; step < 9; step++) {
        assert_slice(encoded(S("a\n\nb"), (struct mime_encoder){.how = MIME_7BIT, .lf = true}, step), "a\r\n\r\nb");
        assert_slice(encoded(S("a\r\nb"), (struct mime_encoder){.how = MIME_8BIT}, step), "a\r\nb");
        assert_slice(encoded(S("a\nb"), (struct mime_encoder){.how = MIME_BASE64, .lf = true}, step), "YQ0KYg==\r\n");
        assert_slice(encoded(S("a\nb"), (struct mime_encoder){.how = MIME_BASE64}, step), "YQpi\r\n");
    }
    static char big[2000];
    memset(big, '\n', sizeof big);
    struct slice s = encoded(slice_of(big, 1400), (struct mime_encoder){.how = MIME_BASE64, .lf = true}, 333);
    struct mime_scan scan = scan_of(slice_of(big, 1400));
    uint64_t size = 0;
    assert_true(mime_encoded_size(&(struct mime_encoder){.how = MIME_BASE64, .lf = true}, &scan, &size));
    assert_int_equal(size, s.n);
}

static void dots_are_doubled(void **state)
{
    (void)state;
    static const char in[] = ".\r\na.\r\n..b\r\n\r\n.", want[] = "..\r\na.\r\n...b\r\n\r\n..";
    for (size_t step = 1; step < 20; step++) {
        bool start = true;
        size_t n = 0;
        struct slice s = slice_of(in, sizeof in - 1);
        for (size_t at = 0; at < s.n; at += step)
            n += smtp_stuff(slice_first(slice_from(s, at), step), &start, out + n);
        assert_int_equal(n, sizeof want - 1);
        assert_memory_equal(out, want, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(choices),          cmocka_unit_test(long_lines_need_encoding),
        cmocka_unit_test(quoted_printable), cmocka_unit_test(line_ends_and_base64),
        cmocka_unit_test(dots_are_doubled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
