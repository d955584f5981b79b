/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "app/get/form.h"

static void specs(void **state)
{
    (void)state;
    struct arena a = {0};
    struct form_part p;
    assert_ok(form_parse(&a, S("a=b;c"), false, &p));
    assert_slice(p.value, "b;c");
    assert_ok(form_parse(&a, S("f=@/dir/x.png;type=image/png;filename=y.png"), false, &p));
    assert_int_equal(p.source, FORM_UPLOAD);
    assert_slice(p.value, "/dir/x.png");
    assert_slice(p.type, "image/png");
    assert_slice(p.filename, "y.png");
    assert_ok(form_parse(&a, S("f=@/dir/x.png"), false, &p));
    assert_slice(p.filename, "x.png");
    assert_ok(form_parse(&a, S("t=<x"), false, &p));
    assert_true(p.source == FORM_CONTENT && p.filename.n == 0);
    assert_ok(form_parse(&a, S("t=@x;type=y"), true, &p));
    assert_slice(p.value, "@x;type=y");
    assert_ok(form_parse(&a, S("f=@\"a;b \\\"c\\\\d\"; type=text/x;charset=y ;filename=\"q;z\""), false, &p));
    assert_slice(p.value, "a;b \"c\\d");
    assert_slice(p.type, "text/x;charset=y");
    assert_slice(p.filename, "q;z");
    assert_ok(form_parse(&a, S("t=\"open"), false, &p));
    assert_slice(p.value, "\"open");
    assert_ok(form_parse(&a, S("t=\"a\"b"), false, &p));
    assert_slice(p.value, "\"a\"b");
    assert_ok(form_parse(&a, S("t=\"\""), false, &p));
    assert_slice(p.value, "");
    assert_err(form_parse(&a, S("t=\"a\";own=1"), false, &p), E_USAGE);
    assert_err(form_parse(&a, S("nothing"), false, &p), E_USAGE);
    assert_err(form_parse(&a, S("=x"), false, &p), E_USAGE);
    arena_reset(&a);
}

static void heads_cannot_be_broken_out_of(void **state)
{
    (void)state;
    struct buf b = {0};
    struct form_part p = {.name = S("a\"\r\nX: y"), .source = FORM_UPLOAD, .filename = S("f\".txt")};
    assert_ok(form_head(&p, "B", true, &b));
    assert_slice(buf_slice(&b),
                 "--B\r\nContent-Disposition: form-data; name=\"a%22%0D%0AX: y\"; filename=\"f%22.txt\"\r\n"
                 "Content-Type: text/plain\r\n\r\n");
    p.type = S("x\r\ny");
    assert_err(form_head(&p, "B", false, &b), E_USAGE);
    buf_free(&b);
}

static void boundaries(void **state)
{
    (void)state;
    char out[FORM_BOUNDARY + 1];
    form_boundary((const uint8_t[12]){0, 255, 16}, out);
    assert_string_equal(out, "00ff10000000000000000000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(specs),
        cmocka_unit_test(heads_cannot_be_broken_out_of),
        cmocka_unit_test(boundaries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
