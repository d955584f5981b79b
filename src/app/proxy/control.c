/* SPDX-License-Identifier: MIT */
/*
 * control.c -- the control socket: one command line in, an answer as text, the end. Commands: "why URL",
 * "purge URL|PREFIX*", "purge-soft URL|PREFIX*", "stats". Whoever may write to the socket's path may command.
 */
#include "app/proxy/internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/text.h"
#include "http/uri.h"
#include "net/dial.h"
#include "net/listen.h"
#include "rt/io.h"

enum { COMMAND_MAX = 8192, VARIANTS_SHOWN = 32, COMMAND_MS = 5000, DISK_MS = 600000, RETRY_MS = 50 };

static err_t key_of(struct slice url, struct arena *a, struct cache_key *key)
{
    struct uri u;
    TRY(uri_parse(url, &u));
    if (!u.host.n || !cache_key_make(key, &u, S("http"), a))
        return fault(E_DATA, "not a whole URL such as http://example.org/path");
    return NULL;
}

static err_t show_variant(struct buf *out, const struct cache_object *o, const char *where)
{
    struct fresh_info info = cache_object_info(o);
    struct fresh_request plain = {.method = M_GET};
    cache_control_init(&plain.cc);
    struct fresh_verdict v = fresh_judge(&info, &plain, wall_now());
    TRY(buf_format(out, "  %s: status %u, %llu bytes%s, age %lld s, lifetime %lld s%s, ttl %lld s\n", where,
                   o->info.status, (unsigned long long)(o->body ? o->body->held : 0), o->partial ? " (partial)" : "",
                   (long long)v.age, (long long)info.lifetime, info.flags & FRESH_EXPLICIT ? "" : " (heuristic)",
                   (long long)v.ttl));
    struct slice rest = o->vary, line;
    while (slice_cut(&rest, '\n', &line)) {
        if (!line.n)
            continue;
        TRY(buf_add(out, S("    vary ")));
        TRY(text_safe_add(out, line));
        TRY(buf_add_char(out, '\n'));
    }
    TRY(buf_add(out, S("    etag ")));
    TRY(text_safe_add(out, o->etag.n ? o->etag : S("none")));
    static const char *const uses[] = {"answered from here", "answered from here, validated in the background",
                                       "validated first"};
    return buf_format(out, "\n    a plain GET is %s: %s\n", uses[v.use], v.why);
}

/* What is stored for a key: the variants in memory, and which of them are on disk as well; the text of the others. */
struct stored {
    struct cache_object *v[VARIANTS_SHOWN];
    bool on_disk[VARIANTS_SHOWN];
    int n, only_on_disk;
    struct buf text;
    err_t failed;
};

static void stored_on_disk(void *arg, struct cache_object *o)
{
    struct stored *s = arg;
    for (int i = 0; i < s->n; i++) {
        if (slice_eq(s->v[i]->vary, o->vary)) {
            s->on_disk[i] = true;
            return;
        }
    }
    s->only_on_disk++;
    s->failed = s->failed ? s->failed : show_variant(&s->text, o, "on disk");
}

static err_t show_stored(struct proxy *p, const struct cache_key *key, struct stored *s, struct buf *out)
{
    s->n = cache_memory_variants(p->memory, key, s->v, VARIANTS_SHOWN);
    if (p->disk)
        TRY(cache_disk_each(p->disk, key, stored_on_disk, s, after(DISK_MS)));
    TRY(s->failed);
    TRY(buf_add(out, S("key ")));
    TRY(text_safe_add(out, key->text));
    TRY(buf_format(out, "\n%d stored\n", s->n + s->only_on_disk));
    const char *refusal = s->n + s->only_on_disk ? NULL : refusal_why(p, key);
    if (refusal)
        TRY(buf_format(out, "  the last answer was not stored: %s\n", refusal));
    for (int i = 0; i < s->n; i++)
        TRY(show_variant(out, s->v[i], s->on_disk[i] ? "in memory and on disk" : "in memory"));
    return buf_add(out, buf_slice(&s->text));
}

static err_t command_why(struct proxy *p, struct slice url, struct buf *out)
{
    struct arena a = {0};
    struct cache_key key;
    struct stored s = {0};
    err_t e = key_of(url, &a, &key);
    e = e ? e : show_stored(p, &key, &s, out);
    for (int i = 0; i < s.n; i++)
        cache_object_unref(s.v[i]);
    buf_free(&s.text);
    arena_reset(&a);
    return e;
}

/* Keys are written in one way only: a prefix that holds the whole authority is put into that form, too. */
static struct slice prefix_of(struct slice prefix, struct arena *a)
{
    struct cache_key key;
    size_t at = slice_find_slice(prefix, S("://"));
    if (at != SIZE_MAX && slice_find(prefix, '/', at + 3) != SIZE_MAX && !key_of(prefix, a, &key))
        return key.text;
    fault_clear();
    return prefix;
}

static err_t command_purge(struct proxy *p, struct slice what, bool soft, struct buf *out)
{
    struct arena a = {0};
    struct cache_key key;
    int n = 0;
    err_t e;
    if (slice_ends(what, S("*"))) {
        e = store_purge_prefix(p, prefix_of(slice_first(what, what.n - 1), &a), soft, &n, after(DISK_MS));
    } else {
        e = key_of(what, &a, &key);
        n = e ? 0 : store_purge(p, &key, soft);
    }
    arena_reset(&a);
    return e ? e : buf_format(out, "%d purged\n", n);
}

static err_t command_stats(struct proxy *p, struct buf *out)
{
    struct cache_memory_stats s;
    cache_memory_stats(p->memory, &s);
    TRY(buf_format(out, "memory %llu of %llu bytes, %llu objects, %llu evicted\n", (unsigned long long)s.bytes,
                   (unsigned long long)s.capacity, (unsigned long long)s.objects, (unsigned long long)s.evictions));
    if (!p->disk)
        return NULL;
    struct cache_disk_stats d;
    cache_disk_stats(p->disk, &d);
    return buf_format(out, "disk %llu of %llu bytes, %llu objects\n", (unsigned long long)d.bytes,
                      (unsigned long long)d.limit, (unsigned long long)d.objects);
}

static err_t command(struct proxy *p, struct slice line, struct buf *out)
{
    if (!p->memory)
        return fault(E_UNSUPPORTED, "this proxy has no cache");
    if (slice_starts(line, S("why ")))
        return command_why(p, slice_from(line, 4), out);
    if (slice_starts(line, S("purge ")))
        return command_purge(p, slice_from(line, 6), false, out);
    if (slice_starts(line, S("purge-soft ")))
        return command_purge(p, slice_from(line, 11), true, out);
    if (slice_eq(line, S("stats")))
        return command_stats(p, out);
    return fault(E_USAGE, "unknown command");
}

static void serve_one(struct proxy *p, int fd)
{
    struct stream_tcp s;
    struct buf in = {.max = COMMAND_MAX}, out = {0};
    struct slice line;
    size_t took;
    stream_tcp_init(&s, fd);
    err_t e = stream_line(&s.stream, &in, &line, &took, after(COMMAND_MS));
    if (!e) {
        e = command(p, line, &out);
        if (e) {
            out.n = 0;
            e = buf_format(&out, "error: %s\n", *fault_detail() ? fault_detail() : e->text);
        }
        e = e ? e : stream_write(&s.stream, buf_slice(&out), after(COMMAND_MS));
    }
    fault_clear();
    stream_close(&s.stream);
    buf_free(&in);
    buf_free(&out);
}

static void accept_run(void *arg)
{
    struct proxy *p = arg;
    int fd;
    struct addr peer;
    /* One at a time: commands are rare and short. Without a descriptor to spare it is tried again in a while. */
    for (err_t e = NULL; e != E_CANCELED;)
        if (!(e = io_accept(listen_fd(&p->control, 0), &fd, &peer, TICK_NEVER)))
            serve_one(p, fd);
        else if (e != E_CANCELED)
            e = fiber_sleep(after(RETRY_MS));
    fault_clear();
    listen_close(&p->control);
}

err_t control_start(struct proxy *p)
{
    TRY(addr_unix(slice_z(p->o.control), &p->control.addr));
    TRY(listen_open(&p->control, 1));
    return scope_spawn(&p->loops[0].service, "control", accept_run, p);
}

err_t proxy_control_ask(const char *path, struct slice line, struct buf *out, tick until)
{
    struct addr a;
    struct stream_tcp s;
    int fd;
    TRY(addr_unix(slice_z(path), &a));
    TRY(dial_addr(&a, NULL, &fd, until));
    stream_tcp_init(&s, fd);
    err_t e = stream_write(&s.stream, line, until);
    e = e ? e : stream_write(&s.stream, S("\n"), until);
    while (!e)
        e = stream_fill(&s.stream, out, 64 << 10, until);
    stream_close(&s.stream);
    if (e != E_EOF)
        return e;
    fault_clear();
    return slice_starts(buf_slice(out), S("error: "))
               ? fault(E_STATUS, "%.*s", (int)(out->n > 8 ? out->n - 8 : 0), out->p + 7)
               : NULL;
}
