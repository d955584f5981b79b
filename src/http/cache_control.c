/* SPDX-License-Identifier: MIT */
#include "http/cache_control.h"

#include "http/fields.h"
#include "http/structured.h"

void cache_control_init(struct cache_control *cc)
{
    *cc = (struct cache_control){.max_age = CC_ABSENT,
                                 .s_maxage = CC_ABSENT,
                                 .max_stale = CC_ABSENT,
                                 .min_fresh = CC_ABSENT,
                                 .stale_while_revalidate = CC_ABSENT,
                                 .stale_if_error = CC_ABSENT};
}

bool delta_seconds(struct slice s, int64_t *out)
{
    if (!s.n)
        return false;
    int64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (!ascii_digit(s.p[i]))
            return false;
        v = v * 10 + (s.p[i] - '0');
        if (v > CC_SECONDS_MAX)
            v = CC_SECONDS_MAX;
    }
    *out = v;
    return true;
}

/* What kind of argument a directive takes, and which way is the careful one when it is malformed. */
enum takes {
    TAKES_NOTHING,        /* restricts: counts with or without an argument */
    TAKES_NOTHING_STRICT, /* loosens: an argument makes it another directive */
    TAKES_FIELDS,         /* no-cache, private */
    TAKES_AGE,            /* unreadable means 0, duplicates: the smaller */
    TAKES_STALE,          /* unreadable means absent, duplicates: the smaller */
    TAKES_MAX_STALE,      /* a number or nothing */
    TAKES_MIN_FRESH,      /* unreadable means absent, duplicates: the larger */
};
static const struct directive {
    struct slice name;
    enum takes takes;
    uint32_t bit;
    size_t offset;
} directives[] = {
#define AT(member) offsetof(struct cache_control, member)
    {S("max-age"), TAKES_AGE, 0, AT(max_age)},
    {S("s-maxage"), TAKES_AGE, 0, AT(s_maxage)},
    {S("no-store"), TAKES_NOTHING, CC_NO_STORE, 0},
    {S("no-cache"), TAKES_FIELDS, CC_NO_CACHE, 0},
    {S("private"), TAKES_FIELDS, CC_PRIVATE, 0},
    {S("public"), TAKES_NOTHING_STRICT, CC_PUBLIC, 0},
    {S("must-revalidate"), TAKES_NOTHING, CC_MUST_REVALIDATE, 0},
    {S("proxy-revalidate"), TAKES_NOTHING, CC_PROXY_REVALIDATE, 0},
    {S("must-understand"), TAKES_NOTHING, CC_MUST_UNDERSTAND, 0},
    {S("no-transform"), TAKES_NOTHING, CC_NO_TRANSFORM, 0},
    {S("immutable"), TAKES_NOTHING_STRICT, CC_IMMUTABLE, 0},
    {S("only-if-cached"), TAKES_NOTHING, CC_ONLY_IF_CACHED, 0},
    {S("max-stale"), TAKES_MAX_STALE, CC_MAX_STALE_ANY, AT(max_stale)},
    {S("min-fresh"), TAKES_MIN_FRESH, 0, AT(min_fresh)},
    {S("stale-while-revalidate"), TAKES_STALE, 0, AT(stale_while_revalidate)},
    {S("stale-if-error"), TAKES_STALE, 0, AT(stale_if_error)},
};

static const struct directive *directive_find(struct slice name)
{
    for (size_t i = 0; i < sizeof directives / sizeof directives[0]; i++)
        if (slice_eq_case(directives[i].name, name))
            return &directives[i];
    return NULL;
}

static void keep_smaller(int64_t *v, int64_t seconds)
{
    if (*v == CC_ABSENT || seconds < *v)
        *v = seconds;
}

static void take_fields(struct cache_control *cc, uint32_t bit, bool has_argument, struct slice argument)
{
    /* Without names, or with more lists than we keep, the unqualified form is the careful reading. */
    if (!has_argument || !slice_trim(argument).n || cc->strip_count == CC_STRIP_MAX)
        cc->has |= bit;
    else
        cc->strip[cc->strip_count++] = argument;
}

static void directive_apply(struct cache_control *cc, const struct directive *d, bool has_argument,
                            struct slice argument)
{
    int64_t *number = (int64_t *)(void *)((char *)cc + d->offset), v = 0;
    bool good = has_argument && delta_seconds(argument, &v);
    switch (d->takes) {
    case TAKES_NOTHING:
        cc->has |= d->bit;
        break;
    case TAKES_NOTHING_STRICT:
        if (!has_argument)
            cc->has |= d->bit;
        break;
    case TAKES_FIELDS:
        take_fields(cc, d->bit, has_argument, argument);
        break;
    case TAKES_AGE:
        keep_smaller(number, good ? v : 0);
        break;
    case TAKES_STALE:
        if (good)
            keep_smaller(number, v);
        break;
    case TAKES_MAX_STALE:
        if (good)
            keep_smaller(number, v);
        else if (!has_argument)
            cc->has |= d->bit;
        break;
    case TAKES_MIN_FRESH:
        if (good && v > *number)
            *number = v;
        break;
    }
}

/* The index just after a quoted string that opens at `i`; the end when it never closes. */
static size_t quoted_end(struct slice s, size_t i)
{
    for (i++; i < s.n; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            return i + 1;
    }
    return s.n;
}

/* The next comma-separated member: commas in quotes are content. */
static bool member_cut(struct slice *rest, struct slice *member)
{
    if (!rest->n)
        return false;
    size_t i = 0;
    while (i < rest->n && rest->p[i] != ',')
        i = rest->p[i] == '"' ? quoted_end(*rest, i) : i + 1;
    *member = slice_trim(slice_first(*rest, i));
    *rest = slice_from(*rest, i + 1);
    return true;
}

/* The inside of a quoted string that is all there is; anything else is returned as it stands. A quoted-pair
   stays in, so a number spelled with one is unreadable and a field name with one names nothing. */
static struct slice unquote(struct slice s)
{
    if (s.n >= 2 && s.p[0] == '"' && quoted_end(s, 0) == s.n && s.p[s.n - 1] == '"')
        return slice_of(s.p + 1, s.n - 2);
    return s;
}

void cache_control_add(struct cache_control *cc, struct slice value)
{
    struct slice member;
    while (member_cut(&value, &member)) {
        size_t equals = slice_find(member, '=', 0);
        bool has_argument = equals != SIZE_MAX;
        struct slice name = has_argument ? slice_trim(slice_first(member, equals)) : member;
        struct slice argument = has_argument ? slice_from(member, equals + 1) : SLICE_NONE;
        const struct directive *d = directive_find(name);
        if (d && !has_argument && d->takes <= TAKES_NOTHING_STRICT) {
            cc->has |= d->bit; /* as most are */
            continue;
        }
        if (has_argument && name.n != equals)
            argument = S(" "); /* white space beside "=" is outside of the grammar: it counts, but cannot be read */
        if (d)
            directive_apply(cc, d, has_argument, unquote(argument));
    }
}

void cache_control_of(struct cache_control *cc, const struct http_fields *f, bool request)
{
    bool any = false, pragma = false;
    cache_control_init(cc);
    if (!fields_has(f, F_CACHE_CONTROL) && !fields_has(f, F_PRAGMA))
        return;
    for (uint16_t i = 0; i < f->n; i++) {
        if (f->v[i].id == F_CACHE_CONTROL)
            cache_control_add(cc, f->v[i].value), any = true;
        else if (f->v[i].id == F_PRAGMA)
            pragma |= slice_eq_case(f->v[i].value, S("no-cache"));
    }
    if (request && pragma && !any)
        cc->has |= CC_NO_CACHE;
}

static bool targeted_member(struct cache_control *cc, const struct structured_member *m)
{
    const struct directive *d = directive_find(m->key);
    if (!d)
        return true;
    switch (d->takes) {
    case TAKES_NOTHING:
    case TAKES_NOTHING_STRICT:
        if (m->type != STRUCTURED_TRUE)
            return false;
        break;
    case TAKES_FIELDS:
        if (m->type != STRUCTURED_TRUE && m->type != STRUCTURED_STRING)
            return false;
        break;
    default:
        if (m->type != STRUCTURED_INTEGER || !m->value.n || m->value.p[0] == '-')
            return false;
    }
    directive_apply(cc, d, m->type != STRUCTURED_TRUE, m->value);
    return true;
}

bool cache_control_targeted(struct cache_control *cc, struct slice value)
{
    struct cache_control out;
    cache_control_init(&out);
    struct structured_member m;
    bool any = false, bad = false;
    while (structured_dict_next(&value, &m, &bad)) {
        /* Of a key that stands twice the last counts (RFC 9651 section 3.2); the careful reading of both is
           stricter and never wrong for a cache. */
        if (!targeted_member(&out, &m))
            return false;
        any = true;
    }
    if (bad || !any)
        return false;
    *cc = out;
    return true;
}
