/* SPDX-License-Identifier: MIT */
#include "http/cookie.h"

#include "http/date.h"

/* ---- Dates (RFC 6265 section 5.1.1) ---- */

static bool date_delimiter(char c)
{
    unsigned char u = (unsigned char)c;
    return u == 0x09 || (u >= 0x20 && u <= 0x2f) || (u >= 0x3b && u <= 0x40) || (u >= 0x5b && u <= 0x60) ||
           (u >= 0x7b && u <= 0x7e);
}

/* `min` to `max` digits at the start of `s`, not followed by another one; what follows is left in `*rest`. */
static bool leading_number(struct slice s, size_t min, size_t max, unsigned *v, struct slice *rest)
{
    size_t n = 0;
    unsigned value = 0;
    while (n < s.n && ascii_digit(s.p[n]) && n <= max)
        value = value * 10 + (unsigned)(s.p[n++] - '0');
    if (n < min || n > max)
        return false;
    *v = value;
    *rest = slice_from(s, n);
    return true;
}

static bool read_time(struct slice s, unsigned hms[3])
{
    struct slice rest;
    for (int i = 0; i < 3; i++) {
        if (!leading_number(s, 1, 2, &hms[i], &rest) || (i < 2 && (rest.n == 0 || rest.p[0] != ':')))
            return false;
        s = slice_from(rest, 1);
    }
    return true;
}

static bool read_month(struct slice s, unsigned *month)
{
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    for (unsigned i = 0; i < 12; i++)
        if (slice_starts_case(s, slice_of(names + i * 3, 3))) {
            *month = i + 1;
            return true;
        }
    return false;
}

struct loose_date {
    unsigned hms[3], day, month, year;
    bool has_time, has_day, has_month, has_year;
};

static void read_token(struct loose_date *d, struct slice token)
{
    struct slice rest;
    if (!d->has_time && read_time(token, d->hms))
        d->has_time = true;
    else if (!d->has_day && leading_number(token, 1, 2, &d->day, &rest))
        d->has_day = true;
    else if (!d->has_month && read_month(token, &d->month))
        d->has_month = true;
    else if (!d->has_year && leading_number(token, 2, 4, &d->year, &rest))
        d->has_year = true;
}

bool cookie_date(struct slice s, int64_t *epoch_s)
{
    struct loose_date d = {0};
    for (size_t i = 0; i < s.n;) {
        size_t start = i;
        while (i < s.n && !date_delimiter(s.p[i]))
            i++;
        if (i > start)
            read_token(&d, slice_of(s.p + start, i - start));
        else
            i++;
    }
    if (!d.has_time || !d.has_day || !d.has_month || !d.has_year)
        return false;
    if (d.year < 100)
        d.year += d.year >= 70 ? 1900 : 2000;
    static const uint8_t days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (d.day < 1 || d.day > days[d.month - 1] || d.year < 1601 || d.hms[0] > 23 || d.hms[1] > 59 || d.hms[2] > 59)
        return false;
    *epoch_s = date_days(d.year, (int)d.month, (int)d.day) * 86400 + d.hms[0] * 3600 + d.hms[1] * 60 + d.hms[2];
    return true;
}

/* ---- Set-Cookie lines (section 5.2) ---- */

enum { ATTRIBUTE_MAX = 1024 };

/* Max-Age: an optional minus and digits; anything else is ignored (section 5.2.2). */
static bool read_max_age(struct slice v, int64_t now_s, int64_t *expires)
{
    bool minus = v.n && v.p[0] == '-';
    struct slice digits = slice_from(v, minus ? 1 : 0);
    for (size_t i = 0; i < digits.n; i++)
        if (!ascii_digit(digits.p[i]))
            return false;
    uint64_t n;
    if (digits.n == 0)
        return false;
    if (minus || !slice_u64(digits, &n))
        n = minus ? 0 : COOKIE_AGE_MAX;
    *expires = n == 0 ? 0 : now_s + (int64_t)(n < COOKIE_AGE_MAX ? n : COOKIE_AGE_MAX);
    return true;
}

static void read_attribute(struct cookie_line *c, struct slice part, int64_t now_s, bool *max_age)
{
    struct slice name = part, value = S("");
    size_t eq = slice_find(part, '=', 0);
    if (eq != SIZE_MAX)
        name = slice_first(part, eq), value = slice_from(part, eq + 1);
    name = slice_trim(name), value = slice_trim(value);
    int64_t t;
    if (value.n > ATTRIBUTE_MAX)
        return;
    if (slice_eq_case(name, S("expires")) && !*max_age && cookie_date(value, &t)) {
        c->expires = t < now_s + COOKIE_AGE_MAX ? t : now_s + COOKIE_AGE_MAX;
    } else if (slice_eq_case(name, S("max-age")) && read_max_age(value, now_s, &t)) {
        c->expires = t;
        *max_age = true;
    } else if (slice_eq_case(name, S("domain"))) {
        c->domain = value.n && value.p[0] == '.' ? slice_from(value, 1) : value;
    } else if (slice_eq_case(name, S("path"))) {
        c->path = value.n && value.p[0] == '/' && !slice_has(value, '\t') ? value : S("");
    } else if (slice_eq_case(name, S("secure"))) {
        c->secure = true;
    } else if (slice_eq_case(name, S("httponly"))) {
        c->http_only = true;
    }
}

bool cookie_parse(struct slice line, int64_t now_s, struct cookie_line *out)
{
    for (size_t i = 0; i < line.n; i++)
        if (((unsigned char)line.p[i] < 0x20 && line.p[i] != '\t') || line.p[i] == 0x7f)
            return false;
    struct slice pair = S(""), part;
    (void)slice_cut(&line, ';', &pair);
    struct cookie_line c = {.expires = COOKIE_SESSION, .value = pair};
    size_t eq = slice_find(pair, '=', 0);
    if (eq != SIZE_MAX)
        c.name = slice_first(pair, eq), c.value = slice_from(pair, eq + 1);
    c.name = slice_trim(c.name), c.value = slice_trim(c.value);
    /* A nameless cookie whose value looks like a pair would be read as another one when it is sent back; a tab would
       end a field of the jar's file. */
    if (c.name.n == 0 || slice_has(c.name, '\t') || c.name.n + c.value.n > COOKIE_SIZE_MAX)
        return false;
    for (bool max_age = false; slice_cut(&line, ';', &part);)
        read_attribute(&c, part, now_s, &max_age);
    *out = c;
    return true;
}
