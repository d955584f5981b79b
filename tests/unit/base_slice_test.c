/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "base/slice.h"

static void numbers_are_strict(void **state)
{
    (void)state;
    uint64_t v = 7;
    assert_true(slice_u64(S("18446744073709551615"), &v));
    assert_int_equal(v, UINT64_MAX);
    assert_false(slice_u64(S("18446744073709551616"), &v));
    assert_false(slice_u64(S("+1"), &v));
    assert_false(slice_u64(S(""), &v));
    assert_int_equal(v, UINT64_MAX);
    assert_true(slice_hex_u64(S("fF"), &v));
    assert_int_equal(v, 255);
    assert_false(slice_hex_u64(S("10000000000000000"), &v));
}

static void numbers_as_text(void **state)
{
    (void)state;
    char room[SLICE_U64];
    assert_true(slice_eq(slice_of_u64(0, room), S("0")));
    assert_true(slice_eq(slice_of_u64(10, room), S("10")));
    assert_true(slice_eq(slice_of_u64(UINT64_MAX, room), S("18446744073709551615")));
}

static void cut_returns_every_part_once(void **state)
{
    (void)state;
    struct slice rest = S("a,,b"), head;
    assert_true(slice_cut(&rest, ',', &head) && slice_eq(head, S("a")));
    assert_true(slice_cut(&rest, ',', &head) && head.n == 0);
    assert_true(slice_cut(&rest, ',', &head) && slice_eq(head, S("b")));
    assert_false(slice_cut(&rest, ',', &head));
}

static void secrets_are_compared_whole(void **state)
{
    (void)state;
    assert_true(slice_eq_secret(S("s3cret"), S("s3cret")));
    assert_true(slice_eq_secret(SLICE_NONE, S("")));
    assert_false(slice_eq_secret(S("s3cret"), S("s3creT")));
    assert_false(slice_eq_secret(S("s3cret"), S("s3cre")));
    assert_false(slice_eq_secret(S(""), S("s")));
}

static void hash_folds_case_only_when_asked(void **state)
{
    (void)state;
    assert_int_equal(slice_hash_case(S("Content-Length"), 1), slice_hash_case(S("content-length"), 1));
    assert_int_not_equal(slice_hash(S("Content-Length"), 1), slice_hash(S("content-length"), 1));
    assert_int_not_equal(slice_hash(S("a"), 1), slice_hash(S("a"), 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_strict),
        cmocka_unit_test(numbers_as_text),
        cmocka_unit_test(cut_returns_every_part_once),
        cmocka_unit_test(secrets_are_compared_whole),
        cmocka_unit_test(hash_folds_case_only_when_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
