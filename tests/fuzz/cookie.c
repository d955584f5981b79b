/* SPDX-License-Identifier: MIT */
/* Set-Cookie lines and cookie files: what is accepted can be sent and saved without starting a line of its own, and a
   saved jar is read again whole. */
#include "http/cookie.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1700000000 };

static void one_line(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        CHECK(s.p[i] != '\n' && s.p[i] != '\r' && s.p[i] != 0);
}

static void set(struct slice in)
{
    struct cookie_jar jar, again;
    struct buf header = {0}, file = {0};
    struct cookie_origin origin = {S("www.example.co.uk"), S("/a/b"), true};
    cookie_jar_init(&jar), cookie_jar_init(&again);
    if (cookie_jar_set(&jar, &origin, in, NOW) == NULL && jar.count) {
        CHECK(cookie_jar_header(&jar, &origin, NOW, &header) == NULL);
        one_line(buf_slice(&header));
        CHECK(cookie_jar_save(&jar, &file, NOW) == NULL);
        CHECK(cookie_jar_load(&again, buf_slice(&file), NOW) == NULL && again.count == 1);
    }
    cookie_jar_done(&jar), cookie_jar_done(&again);
    buf_free(&header), buf_free(&file);
}

static void load(struct slice in)
{
    struct cookie_jar jar;
    cookie_jar_init(&jar);
    if (cookie_jar_load(&jar, in, NOW))
        fault_clear();
    cookie_jar_done(&jar);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t t;
    struct slice in = slice_of(data, size);
    (void)cookie_date(in, &t);
    set(in);
    load(in);
    return 0;
}
