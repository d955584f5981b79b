/* SPDX-License-Identifier: MIT */
#include "http/fresh.h"

#include "base/clock.h"
#include "http/cond.h"
#include "http/date.h"
#include "http/fields.h"
#include "http/status.h"

/* A response without explicit freshness is taken as fresh for a tenth of its age (section 4.2.2), a day at most:
   a page that was last touched ten years ago may still change tomorrow. */
enum { HEURISTIC_PART = 10, HEURISTIC_MAX = 86400 };

/* Section 4.2: the case of a date's letters does not matter to a cache. Put right, then parsed strictly. */
static bool date_any_case(struct slice s, int64_t now_s, int64_t *out)
{
    char text[40];
    if (date_parse(s, now_s, out))
        return true; /* written as it should be, as most are */
    if (s.n > sizeof text)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        bool starts = i == 0 || !ascii_alpha(s.p[i - 1]);
        text[i] = starts ? ascii_upper(s.p[i]) : ascii_lower(s.p[i]);
    }
    if (s.n > 3 && memcmp(text + s.n - 3, "Gmt", 3) == 0)
        memcpy(text + s.n - 3, "GMT", 3);
    return date_parse(slice_of(text, s.n), now_s, out);
}

void fresh_request_of(struct fresh_request *r, enum http_method method, const struct http_fields *f)
{
    *r = (struct fresh_request){.method = method,
                                .authorization = fields_has(f, F_AUTHORIZATION),
                                .range = fields_has(f, F_RANGE) && method == M_GET,
                                .conditional = fields_has(f, F_IF_NONE_MATCH) || fields_has(f, F_IF_MODIFIED_SINCE) ||
                                               fields_has(f, F_IF_MATCH) || fields_has(f, F_IF_UNMODIFIED_SINCE)};
    cache_control_of(&r->cc, f, true);
}

/* All lines of one field name as one value, in a bounded buffer; longer ones count as malformed. */
static bool joined(const struct http_fields *f, struct slice name, char *out, size_t cap, size_t *n)
{
    *n = 0;
    for (uint16_t i = 0; i < f->n; i++) {
        if (!slice_eq_case(f->v[i].name, name))
            continue;
        if (*n + f->v[i].value.n + 2 > cap)
            return false;
        if (*n)
            memcpy(out + *n, ", ", 2), *n += 2;
        if (f->v[i].value.n)
            memcpy(out + *n, f->v[i].value.p, f->v[i].value.n), *n += f->v[i].value.n;
    }
    return *n > 0;
}

/* The lists of names in no-cache="..." must outlive the joined copy, so they are looked up again in the field's
   own line; a list that was split over lines is read as unqualified. */
static void strip_rebase(struct cache_control *cc, const struct http_fields *f, struct slice name)
{
    for (int i = 0; i < cc->strip_count; i++) {
        bool found = false;
        for (uint16_t k = 0; k < f->n && !found; k++) {
            size_t at = slice_eq_case(f->v[k].name, name) ? slice_find_slice(f->v[k].value, cc->strip[i]) : SIZE_MAX;
            if (at != SIZE_MAX)
                cc->strip[i] = slice_of(f->v[k].value.p + at, cc->strip[i].n), found = true;
        }
        if (!found)
            cc->has |= CC_NO_STORE;
    }
}

void fresh_rules_of(struct fresh_rules *r, const struct http_fields *f, const struct slice *targets, int count)
{
    char text[1024];
    size_t n;
    for (int i = 0; i < count; i++) {
        if (joined(f, targets[i], text, sizeof text, &n) && cache_control_targeted(&r->cc, slice_of(text, n))) {
            strip_rebase(&r->cc, f, targets[i]);
            r->targeted = true;
            return;
        }
    }
    r->targeted = false;
    cache_control_of(&r->cc, f, false);
}

/* Section 5.1: the first member of the first line; anything but digits is no Age at all. */
static int64_t age_value(const struct http_fields *f)
{
    struct slice rest = fields_get(f, F_AGE), first = SLICE_NONE;
    int64_t v = 0;
    return slice_cut(&rest, ',', &first) && delta_seconds(slice_trim(first), &v) ? v : 0;
}

/* Section 5.3: what cannot be read is in the past; of several lines the earliest counts. */
static int64_t expires_lifetime(const struct http_fields *f, int64_t date)
{
    int64_t best = CC_SECONDS_MAX;
    for (uint16_t i = 0; i < f->n; i++) {
        int64_t at = 0, left = 0;
        if (f->v[i].id != F_EXPIRES)
            continue;
        if (date_any_case(f->v[i].value, date, &at))
            left = at > date ? at - date : 0;
        best = left < best ? left : best;
    }
    return best;
}

static int64_t heuristic_lifetime(const struct http_fields *f, uint16_t status, const struct cache_control *cc,
                                  int64_t date)
{
    int64_t modified = 0;
    /* A Set-Cookie without a word on freshness was most likely not meant for everybody. */
    if ((!status_heuristic(status) && !(cc->has & CC_PUBLIC)) || fields_has(f, F_SET_COOKIE) ||
        !date_any_case(fields_get(f, F_LAST_MODIFIED), date, &modified) || modified >= date)
        return 0;
    int64_t part = (date - modified) / HEURISTIC_PART;
    return part < HEURISTIC_MAX ? part : HEURISTIC_MAX;
}

static void compute_lifetime(struct fresh_info *info, const struct http_fields *f, const struct fresh_rules *rules)
{
    const struct cache_control *cc = &rules->cc;
    if (cc->s_maxage != CC_ABSENT)
        info->lifetime = cc->s_maxage;
    else if (cc->max_age != CC_ABSENT)
        info->lifetime = cc->max_age;
    else if (fields_has(f, F_EXPIRES) && !rules->targeted)
        info->lifetime = expires_lifetime(f, info->date);
    else {
        info->lifetime = heuristic_lifetime(f, info->status, cc, info->date);
        return;
    }
    info->flags |= FRESH_EXPLICIT;
}

void fresh_compute(struct fresh_info *info, uint16_t status, const struct http_fields *f,
                   const struct fresh_rules *rules, int64_t request_ns, int64_t response_ns)
{
    const struct cache_control *cc = &rules->cc;
    *info = (struct fresh_info){
        .status = status, .stale_while_revalidate = cc->stale_while_revalidate, .stale_if_error = cc->stale_if_error};
    if (!date_any_case(fields_get(f, F_DATE), response_ns / TICK_S, &info->date))
        info->date = response_ns / TICK_S;
    if (cc->has & CC_NO_CACHE)
        info->flags |= FRESH_NO_CACHE;
    if (cc->has & (CC_MUST_REVALIDATE | CC_PROXY_REVALIDATE) || cc->s_maxage != CC_ABSENT)
        info->flags |= FRESH_STRICT;
    if (cc->has & CC_IMMUTABLE)
        info->flags |= FRESH_IMMUTABLE;
    if (fields_has(f, F_ETAG) || fields_has(f, F_LAST_MODIFIED))
        info->flags |= FRESH_VALIDATOR;
    compute_lifetime(info, f, rules);
    /* Section 4.2.3. Seconds are 2^31 at most, so the sums stay far below 2^63 ns. */
    int64_t apparent = response_ns / TICK_S - info->date;
    apparent = apparent < 0 ? 0 : apparent > CC_SECONDS_MAX ? CC_SECONDS_MAX : apparent;
    int64_t delay = response_ns > request_ns ? response_ns - request_ns : 0;
    int64_t corrected = age_value(f) * TICK_S + delay;
    int64_t initial = apparent * TICK_S > corrected ? apparent * TICK_S : corrected;
    info->born = response_ns - initial;
}

int64_t fresh_age(const struct fresh_info *info, int64_t now_ns)
{
    /* Both are within 2^62 of zero: no overflow. A clock that was set back gives 0, not a negative age. */
    int64_t age = (now_ns - info->born) / TICK_S;
    return age < 0 ? 0 : age > CC_SECONDS_MAX ? CC_SECONDS_MAX : age;
}

int64_t fresh_ttl(const struct fresh_info *info, int64_t now_ns)
{
    return info->lifetime - fresh_age(info, now_ns);
}

bool fresh_status_understood(uint16_t status)
{
    switch (status) {
    case 200:
    case 203:
    case 204:
    case 206:
    case 300:
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
    case 404:
    case 405:
    case 410:
    case 414:
    case 501:
        return true;
    default:
        return false;
    }
}

static bool shared_reuse_allowed(const struct cache_control *cc)
{
    return cc->has & (CC_PUBLIC | CC_MUST_REVALIDATE) || cc->s_maxage != CC_ABSENT; /* section 3.5 */
}

const char *fresh_forbidden(uint16_t status, const struct fresh_rules *rules)
{
    const struct cache_control *cc = &rules->cc;
    if (cc->has & CC_MUST_UNDERSTAND) {
        /* Section 5.2.2.3: understanding the status takes the accompanying no-store away. */
        if (!fresh_status_understood(status))
            return "must-understand, and the status is not understood (RFC 9111 section 5.2.2.3)";
    } else if (cc->has & CC_NO_STORE) {
        return "the response says no-store (RFC 9111 section 5.2.2.5)";
    }
    if (cc->has & CC_PRIVATE)
        return "the response is private (RFC 9111 section 5.2.2.7)";
    return NULL;
}

static const char *unstorable_response(uint16_t status, const struct http_fields *f, const struct fresh_rules *rules,
                                       const struct fresh_info *info)
{
    const struct cache_control *cc = &rules->cc;
    const char *why = fresh_forbidden(status, rules);
    if (why)
        return why;
    if (!(info->flags & FRESH_EXPLICIT) && !(cc->has & CC_PUBLIC) && !status_heuristic(status))
        return "neither freshness nor public, and the status is not cacheable by itself (RFC 9111 section 3)";
    for (uint16_t i = 0; i < f->n; i++)
        if (f->v[i].id == F_VARY && slice_has(f->v[i].value, '*'))
            return "Vary: * never matches (RFC 9111 section 4.1)";
    if (!(info->flags & FRESH_VALIDATOR) && (!(info->flags & FRESH_EXPLICIT) || cc->has & CC_NO_CACHE))
        return "nothing to validate it with and no freshness of its own";
    return NULL;
}

const char *fresh_unstorable(const struct fresh_request *r, uint16_t status, const struct http_fields *f,
                             const struct fresh_rules *rules, const struct fresh_info *info)
{
    const struct cache_control *cc = &rules->cc;
    if (r->method != M_GET && r->method != M_POST)
        return "the method's responses are not stored (RFC 9111 section 3)";
    if (r->method == M_POST && !(info->flags & FRESH_EXPLICIT))
        return "a POST without explicit freshness (RFC 9110 section 9.3.3)";
    if (r->method == M_POST && status != 200)
        return "only a 200 to POST can stand for GET (RFC 9110 section 9.3.3)";
    if (status < 200 || status > 599)
        return "the status is not final (RFC 9111 section 3)";
    if (status == 304 || (status == 206 && !r->range))
        return "the status makes sense only to who asked (RFC 9111 section 3)";
    if (r->range && (status == 416 || status == 412))
        return "the answer depends on the Range asked for";
    if (r->conditional && status == 412)
        return "the answer depends on the client's precondition";
    if (r->cc.has & CC_NO_STORE)
        return "the request says no-store (RFC 9111 section 5.2.1.5)";
    if (r->authorization && !shared_reuse_allowed(cc))
        return "the request is authorized and the response does not allow sharing (RFC 9111 section 3.5)";
    return unstorable_response(status, f, rules, info);
}

/* Is a response this many seconds past its lifetime acceptable to the request by max-stale? */
static bool max_stale_allows(const struct cache_control *cc, int64_t staleness)
{
    if (cc->max_stale != CC_ABSENT)
        return staleness <= cc->max_stale;
    return cc->has & CC_MAX_STALE_ANY;
}

static bool stale_forbidden(const struct fresh_info *info)
{
    return info->flags & (FRESH_STRICT | FRESH_NO_CACHE | FRESH_INVALID);
}

static struct fresh_verdict validate(struct fresh_verdict v, const char *why, bool by_request)
{
    v.use = FRESH_VALIDATE;
    v.why = why;
    v.by_request = by_request;
    return v;
}

/* What the request itself objects to (section 5.2.1), NULL when it does not. */
static const char *request_objects(const struct fresh_info *info, const struct cache_control *cc, int64_t age,
                                   int64_t ttl)
{
    if (cc->has & CC_NO_CACHE)
        return "the request says no-cache (RFC 9111 section 5.2.1.4)";
    /* RFC 8246 section 2.1: a fresh immutable response is not validated without a no-cache. */
    bool spared = info->flags & FRESH_IMMUTABLE && ttl > 0;
    if (cc->max_age != CC_ABSENT && age > cc->max_age && !spared)
        return "older than the request's max-age (RFC 9111 section 5.2.1.1)";
    if (cc->max_age == 0 && !spared && !max_stale_allows(cc, 0))
        return "the request says max-age=0 (RFC 9111 section 5.2.1.1)";
    if (cc->min_fresh != CC_ABSENT && ttl < cc->min_fresh)
        return "fresh for less than the request's min-fresh (RFC 9111 section 5.2.1.3)";
    return NULL;
}

struct fresh_verdict fresh_judge(const struct fresh_info *info, const struct fresh_request *r, int64_t now_ns)
{
    struct fresh_verdict v = {.age = fresh_age(info, now_ns)};
    v.ttl = info->lifetime - v.age;
    if (info->flags & FRESH_INVALID)
        return validate(v, "invalidated (RFC 9111 section 4.4) or purged", false);
    if (info->flags & FRESH_NO_CACHE)
        return validate(v, "the response says no-cache (RFC 9111 section 5.2.2.4)", false);
    const char *objection = request_objects(info, &r->cc, v.age, v.ttl);
    if (objection)
        return validate(v, objection, v.ttl > 0);
    v.use = FRESH_SERVE;
    if (v.ttl > 0) {
        v.why = info->flags & FRESH_EXPLICIT ? "fresh" : "fresh by heuristic (RFC 9111 section 4.2.2)";
        return v;
    }
    if (stale_forbidden(info))
        return validate(v, "stale, and must be validated (RFC 9111 section 5.2.2.2)", false);
    if (max_stale_allows(&r->cc, -v.ttl)) {
        v.why = "stale within the request's max-stale (RFC 9111 section 5.2.1.2)";
        return v;
    }
    if (r->cc.max_age == CC_ABSENT && r->cc.min_fresh == CC_ABSENT && info->stale_while_revalidate != CC_ABSENT &&
        -v.ttl <= info->stale_while_revalidate) {
        v.use = FRESH_SERVE_SWR;
        v.why = "stale within stale-while-revalidate (RFC 5861 section 3)";
        return v;
    }
    return validate(v, "stale", false);
}

bool fresh_stale_on_error(const struct fresh_info *info, const struct fresh_request *r, uint16_t status, int64_t now_ns)
{
    int64_t staleness = -fresh_ttl(info, now_ns);
    if (stale_forbidden(info) || r->cc.has & CC_NO_CACHE)
        return false;
    if (status && status != 500 && status != 502 && status != 503 && status != 504)
        return false;
    if (staleness < 0) /* fresh, but the request wanted it newer than it is */
        return r->cc.max_age == CC_ABSENT && r->cc.min_fresh == CC_ABSENT;
    if (info->stale_if_error != CC_ABSENT || r->cc.stale_if_error != CC_ABSENT)
        return staleness <= info->stale_if_error || staleness <= r->cc.stale_if_error; /* RFC 5861 section 4 */
    /* Section 4.2.4: a cache that cannot reach the origin may serve stale; an answer of 5xx is an answer. */
    return status == 0 && r->cc.max_age == CC_ABSENT && r->cc.min_fresh == CC_ABSENT;
}

bool fresh_field_stored(const struct http_field *f)
{
    switch (f->id) {
    case F_CONNECTION:
    case F_KEEP_ALIVE:
    case F_PROXY_CONNECTION:
    case F_TE:
    case F_TRANSFER_ENCODING:
    case F_UPGRADE:
    case F_PROXY_AUTHENTICATE:
    case F_PROXY_AUTHENTICATION_INFO:
    case F_PROXY_AUTHORIZATION:
    case F_TRAILER:
        return false;
    default:
        return true;
    }
}

bool fresh_field_updates(const struct http_field *f)
{
    /* Age belongs to the message, not to what is stored: it is computed anew. */
    return fresh_field_stored(f) && f->id != F_CONTENT_LENGTH && f->id != F_CONTENT_RANGE && f->id != F_AGE;
}

bool fresh_head_matches(const struct http_fields *stored, uint64_t stored_length, const struct http_fields *head)
{
    uint64_t length = 0;
    if (fields_has(head, F_ETAG) && !etag_weak_eq(fields_get(stored, F_ETAG), fields_get(head, F_ETAG)))
        return false;
    if (fields_has(head, F_LAST_MODIFIED) &&
        !slice_eq(fields_get(stored, F_LAST_MODIFIED), fields_get(head, F_LAST_MODIFIED)))
        return false;
    return !fields_has(head, F_CONTENT_LENGTH) ||
           (slice_u64(fields_get(head, F_CONTENT_LENGTH), &length) && length == stored_length);
}

bool fresh_304_selects(const struct http_fields *stored, const struct http_fields *response, bool only)
{
    struct slice etag = fields_get(response, F_ETAG), modified = fields_get(response, F_LAST_MODIFIED);
    struct slice own = fields_get(stored, F_ETAG);
    if (etag.n && (own.n || !modified.n))
        return slice_starts(etag, S("W/")) ? etag_weak_eq(own, etag) : etag_strong_eq(own, etag);
    if (modified.n)
        return slice_eq(fields_get(stored, F_LAST_MODIFIED), modified) || !fields_has(stored, F_LAST_MODIFIED);
    /* Without any validator in the 304 the one response that was asked about is meant. */
    return only;
}

bool fresh_method_safe(enum http_method m)
{
    return m == M_GET || m == M_HEAD || m == M_OPTIONS || m == M_TRACE;
}

bool fresh_invalidates(enum http_method m, uint16_t status)
{
    return !fresh_method_safe(m) && m != M_CONNECT && status >= 200 && status < 400;
}
