/* SPDX-License-Identifier: MIT */
#include "http/date.h"

static const char days[7][10] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct civil {
    int64_t year;
    int month, day, hour, minute, second, weekday; /* month 1..12, weekday 0 = Sunday */
};

/* Years begin in March, eras are 400 years. */
int64_t date_days(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static struct civil civil_of(int64_t epoch_s)
{
    int64_t z = (epoch_s >= 0 ? epoch_s : epoch_s - 86399) / 86400;
    int rest = (int)(epoch_s - z * 86400);
    struct civil c = {.hour = rest / 3600, .minute = rest / 60 % 60, .second = rest % 60};
    c.weekday = (int)((z % 7 + 11) % 7); /* day 0 was a Thursday */
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    c.day = (int)(doy - (153 * mp + 2) / 5 + 1);
    c.month = (int)(mp < 10 ? mp + 3 : mp - 9);
    c.year = yoe + era * 400 + (c.month <= 2);
    return c;
}

static bool digits(struct slice s, size_t at, size_t n, int *out)
{
    int v = 0;
    for (size_t i = at; i < at + n; i++) {
        if (i >= s.n || !ascii_digit(s.p[i]))
            return false;
        v = v * 10 + (s.p[i] - '0');
    }
    *out = v;
    return true;
}

static bool month_at(struct slice s, size_t at, int *month)
{
    for (int m = 0; m < 12; m++) {
        if (slice_starts(slice_from(s, at), slice_of(months[m], 3))) {
            *month = m + 1;
            return true;
        }
    }
    return false;
}

/* hh:mm:ss */
static bool clock_at(struct slice s, size_t at, struct civil *c)
{
    return digits(s, at, 2, &c->hour) && s.p[at + 2] == ':' && digits(s, at + 3, 2, &c->minute) && s.p[at + 5] == ':' &&
           digits(s, at + 6, 2, &c->second);
}

static bool is_leap(int64_t y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static bool to_epoch(const struct civil *c, int64_t *out)
{
    static const int length[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int last = length[c->month - 1] + (c->month == 2 && is_leap(c->year));
    if (c->day < 1 || c->day > last || c->hour > 23 || c->minute > 59 || c->second > 60)
        return false;
    *out = date_days(c->year, c->month, c->day) * 86400 + c->hour * 3600 + c->minute * 60 + c->second;
    return true;
}

static bool short_day(struct slice s)
{
    for (int d = 0; d < 7; d++)
        if (slice_starts(s, slice_of(days[d], 3)))
            return true;
    return false;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static bool imf(struct slice s, int64_t *out)
{
    struct civil c = {0};
    int year;
    if (s.n != DATE_LENGTH || !short_day(s) || memcmp(s.p + 3, ", ", 2) != 0 || !digits(s, 5, 2, &c.day) ||
        s.p[7] != ' ' || !month_at(s, 8, &c.month) || s.p[11] != ' ' || !digits(s, 12, 4, &year) || s.p[16] != ' ' ||
        !clock_at(s, 17, &c) || memcmp(s.p + 25, " GMT", 4) != 0)
        return false;
    c.year = year;
    return to_epoch(&c, out);
}

/* "Sunday, 06-Nov-94 08:49:37 GMT" */
static bool rfc850(struct slice s, int64_t now_s, int64_t *out)
{
    struct civil c = {0};
    size_t comma = slice_find(s, ',', 0);
    int year, d = 0;
    while (d < 7 && !slice_eq(slice_first(s, comma), slice_z(days[d])))
        d++;
    struct slice r = slice_from(s, comma == SIZE_MAX ? s.n : comma);
    if (d == 7 || r.n != 24 || r.p[1] != ' ' || !digits(r, 2, 2, &c.day) || r.p[4] != '-' ||
        !month_at(r, 5, &c.month) || r.p[8] != '-' || !digits(r, 9, 2, &year) || r.p[11] != ' ' ||
        !clock_at(r, 12, &c) || memcmp(r.p + 20, " GMT", 4) != 0)
        return false;
    int64_t this_year = civil_of(now_s).year;
    c.year = this_year - this_year % 100 + year;
    if (c.year > this_year + 50)
        c.year -= 100;
    return to_epoch(&c, out);
}

/* "Sun Nov  6 08:49:37 1994" */
static bool asctime_form(struct slice s, int64_t *out)
{
    struct civil c = {0};
    int year;
    if (s.n != 24 || !short_day(s) || s.p[3] != ' ' || !month_at(s, 4, &c.month) || s.p[7] != ' ')
        return false;
    if (s.p[8] == ' ' ? !digits(s, 9, 1, &c.day) : !digits(s, 8, 2, &c.day))
        return false;
    if (s.p[10] != ' ' || !clock_at(s, 11, &c) || s.p[19] != ' ' || !digits(s, 20, 4, &year))
        return false;
    c.year = year;
    return to_epoch(&c, out);
}

bool date_parse(struct slice s, int64_t now_s, int64_t *epoch_s)
{
    return imf(s, epoch_s) || rfc850(s, now_s, epoch_s) || asctime_form(s, epoch_s);
}

static char *put(char *p, int value, int width)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        p[i] = (char)('0' + value % 10);
    return p + width;
}

static char *put_text(char *p, const char *text, size_t n)
{
    memcpy(p, text, n);
    return p + n;
}

void date_format(int64_t epoch_s, char out[DATE_LENGTH + 1])
{
    const int64_t first = -INT64_C(62135596800), last = INT64_C(253402300799); /* years 1 and 9999 */
    struct civil c = civil_of(epoch_s < first ? first : epoch_s > last ? last : epoch_s);
    char *p = put_text(out, days[c.weekday], 3);
    p = put(put_text(p, ", ", 2), c.day, 2);
    *p++ = ' ';
    p = put_text(p, months[c.month - 1], 3);
    *p++ = ' ';
    p = put(p, (int)c.year, 4);
    *p++ = ' ';
    p = put(p, c.hour, 2);
    *p++ = ':';
    p = put(p, c.minute, 2);
    *p++ = ':';
    p = put(p, c.second, 2);
    put_text(p, " GMT", 5);
}

struct slice date_cached(int64_t epoch_s)
{
    static _Thread_local struct {
        int64_t second;
        bool valid;
        char text[DATE_LENGTH + 1];
    } cache;
    if (!cache.valid || cache.second != epoch_s) {
        date_format(epoch_s, cache.text);
        cache.second = epoch_s;
        cache.valid = true;
    }
    return slice_of(cache.text, DATE_LENGTH);
}
