/* SPDX-License-Identifier: MIT */
#include "base/text.h"
#include "net/tls_digest.h"
#include "unit.h"

static void assert_hex(const uint8_t *bytes, size_t n, const char *hex)
{
    AUTO(buf_free) struct buf b = {0};
    assert_ok(text_hex_add(&b, slice_of(bytes, n)));
    assert_int_equal(b.n, strlen(hex));
    assert_memory_equal(b.p, hex, b.n);
}

/* "abc" by each algorithm: RFC 6234 section 8.5, RFC 3174 section 7.3, RFC 1321 appendix A.5. */
static void checksums_of_the_standard_example(void **state)
{
    (void)state;
    static const struct {
        const char *name, *hex;
    } rows[] = {
        {"sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"SHA384", "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
                   "8086072ba1e7cc2358baeca134c825a7"},
        {"sha512", "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                   "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
        {"sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"md5", "900150983cd24fb0d6963f7d28e17f72"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct digest *d;
        uint8_t out[DIGEST_MAX];
        assert_ok(digest_new(slice_z(rows[i].name), &d));
        digest_add(d, S("a"));
        digest_add(d, SLICE_NONE);
        digest_add(d, S("bc"));
        assert_hex(out, digest_end(d, out), rows[i].hex);
        digest_free(d);
    }
    struct digest *none = NULL;
    assert_err(digest_new(S("crc32"), &none), E_USAGE);
    digest_free(none);
}

/* RFC 4231 sections 4.3 and 4.7. */
static void hmac_of_rfc_4231(void **state)
{
    (void)state;
    uint8_t out[DIGEST_SIZE], longkey[131];
    struct digest_key *k;
    assert_ok(digest_key_new(S("Jefe"), &k));
    digest_hmac(k, S("what do ya want for nothing?"), out);
    assert_hex(out, sizeof out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_true(digest_hmac_is(k, S("what do ya want for nothing?"), out, 16));
    out[15] ^= 1;
    assert_false(digest_hmac_is(k, S("what do ya want for nothing?"), out, 16));
    digest_key_free(k);
    memset(longkey, 0xaa, sizeof longkey);
    assert_ok(digest_key_new(slice_of(longkey, sizeof longkey), &k));
    digest_hmac(k, S("Test Using Larger Than Block-Size Key - Hash Key First"), out);
    assert_hex(out, sizeof out, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    digest_key_free(k);
}

static void key_files(void **state)
{
    (void)state;
    struct digest_keys keys;
    assert_ok(digest_keys_parse(S("# mine\n\n7 first secret\r\n4294967295 hex:00ff\nalone\n"), &keys));
    assert_int_equal(keys.n, 3);
    assert_int_equal(keys.id[0], 7);
    assert_int_equal(keys.id[2], 0);
    struct digest_key *same;
    uint8_t a[DIGEST_SIZE];
    assert_ok(digest_key_new(S("first secret"), &same));
    digest_hmac(same, S("x"), a);
    assert_true(digest_hmac_is(digest_keys_find(&keys, 7), S("x"), a, 32));
    assert_false(digest_hmac_is(digest_keys_find(&keys, 0), S("x"), a, 32));
    assert_null(digest_keys_find(&keys, 8));
    digest_key_free(same);
    digest_keys_free(&keys);
    assert_err(digest_keys_parse(S("1 a\n1 b\n"), &keys), E_CONFIG);
    assert_err(digest_keys_parse(S("4294967296 a\n"), &keys), E_CONFIG);
    assert_err(digest_keys_parse(S("1 hex:0g\n"), &keys), E_CONFIG);
    assert_err(digest_keys_parse(S("1 hex:\n"), &keys), E_CONFIG);
    assert_err(digest_keys_parse(S("# nothing\n"), &keys), E_CONFIG);
    assert_err(digest_keys_read("/nonexistent/key", &keys), E_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums_of_the_standard_example),
        cmocka_unit_test(hmac_of_rfc_4231),
        cmocka_unit_test(key_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
