/* SPDX-License-Identifier: MIT */
/* Cookie jars as files, in the format that Netscape began and curl and wget share. */
#include "http/cookie.h"

static bool yes(struct slice s)
{
    return slice_eq_case(s, S("TRUE"));
}

/* domain, subdomains too, path, secure, expires, name, value */
static bool read_line(struct slice line, struct cookie *c)
{
    struct slice field[7] = {0};
    int n = 0;
    for (struct slice rest = line; n < 7 && slice_cut(&rest, n < 6 ? '\t' : '\n', &field[n]);)
        n++;
    uint64_t expires;
    if (n < 6 || field[0].n == 0 || field[2].n == 0 || field[2].p[0] != '/' || field[5].n == 0 ||
        !slice_u64(field[4], &expires) || expires > INT64_MAX)
        return false;
    c->domain = field[0].p[0] == '.' ? slice_from(field[0], 1) : field[0];
    c->host_only = !yes(field[1]);
    c->path = field[2];
    c->secure = yes(field[3]);
    c->expires = expires ? (int64_t)expires : COOKIE_SESSION;
    c->name = field[5];
    c->value = field[6];
    return true;
}

err_t cookie_jar_load(struct cookie_jar *jar, struct slice text, int64_t now_s)
{
    struct slice line;
    for (unsigned number = 1; slice_cut(&text, '\n', &line); number++) {
        struct cookie c = {0};
        if (slice_ends(line, S("\r")))
            line.n--;
        if (slice_starts(line, S("#HttpOnly_"))) {
            c.http_only = true;
            line = slice_from(line, sizeof "#HttpOnly_" - 1);
        }
        if (line.n == 0 || line.p[0] == '#')
            continue;
        if (!read_line(line, &c))
            return fault(E_DATA, "line %u is no cookie in Netscape's format", number);
        if (c.expires > now_s)
            TRY(cookie_jar_put(jar, &c));
    }
    return NULL;
}

err_t cookie_jar_save(struct cookie_jar *jar, struct buf *out, int64_t now_s)
{
    TRY(buf_add(out, S("# Netscape HTTP Cookie File\n# Written by l7 get. Edit at your own risk.\n\n")));
    for (struct list *l = jar->cookies.next; l != &jar->cookies; l = l->next) {
        const struct cookie *c = LIST_ENTRY(l, struct cookie, link);
        if (c->expires <= now_s)
            continue;
        TRY(buf_format(out, "%s%s%.*s\t%s\t%.*s\t%s\t%lld\t%.*s\t", c->http_only ? "#HttpOnly_" : "",
                       c->host_only ? "" : ".", SLICE_ARG(c->domain), c->host_only ? "FALSE" : "TRUE",
                       SLICE_ARG(c->path), c->secure ? "TRUE" : "FALSE",
                       c->expires == COOKIE_SESSION ? 0LL : (long long)c->expires, SLICE_ARG(c->name)));
        TRY(buf_add(out, c->value));
        TRY(buf_add_char(out, '\n'));
    }
    return NULL;
}
