/* SPDX-License-Identifier: MIT */
#include "tests/unit/cache_world.h"

#include <stdio.h>
#include <stdlib.h>

#include "http/fields.h"
#include "rt/loop.h"

char folder[64];

int folder_make(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/l7-unit-cache-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

int folder_remove(void **state)
{
    (void)state;
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

struct cache_object *make(unsigned id, size_t size, const char *vary)
{
    char text[40], *room;
    size_t cap;
    int n = snprintf(text, sizeof text, "http://x/%u", id);
    struct http_field v[1];
    struct http_fields fields = {.v = v, .cap = 1};
    assert_true(fields_push(&fields, S("ETag"), S("\"e\"")));
    struct cache_object_make m = {.info = {.status = 200, .lifetime = 60, .date = 1700000000}, .fields = &fields};
    cache_key_of_text(&m.key, slice_of(text, (size_t)n));
    m.vary = slice_z(vary);
    m.body = cache_body_new(size);
    for (size_t at = 0; at < size; at += cap) {
        assert_ok(cache_body_room(m.body, at, size - at, &room, &cap));
        for (size_t i = 0; i < cap; i++)
            room[i] = (char)((at + i) * 7 + id);
        cache_body_grow(m.body, cap);
    }
    struct cache_object *o = cache_object_new(&m);
    cache_body_unref(m.body);
    return o;
}

struct cache_disk *disk_open(struct cache_disk *before, uint64_t limit)
{
    struct cache_disk *d;
    cache_disk_free(before);
    assert_ok(cache_disk_new(folder, limit, &d));
    assert_ok(cache_disk_load(d, TICK_NEVER));
    return d;
}

void on_a_loop(void (*fn)(void *))
{
    struct loop *l;
    assert_ok(loop_open(&l));
    assert_ok(loop_run(l, "test", fn, NULL));
    loop_close(l);
}
