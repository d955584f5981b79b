/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

/* ---- Durations, sizes, ratios ---- */

/* A century: added to any clock it still fits 63 bits of nanoseconds. */
static const double LONGEST = 3.2e18;

/* The longest prefix that is a plain decimal number ("12", "1.5", ".5"); false when there is none. */
static bool leading_decimal(struct slice s, double *v, struct slice *unit)
{
    char z[32];
    size_t n = 0;
    while (n < s.n && (ascii_digit(s.p[n]) || s.p[n] == '.'))
        n++;
    if (n == 0 || !slice_to_z(slice_first(s, n), z, sizeof z))
        return false;
    char *end;
    *v = strtod(z, &end);
    *unit = slice_from(s, n);
    return *end == 0;
}

err_t text_duration(struct slice s, int64_t *ns)
{
    static const struct {
        struct slice name;
        int64_t ns;
    } units[] = {{{"", 0}, TICK_S},  {{"ns", 2}, 1},          {{"us", 2}, TICK_US},      {{"ms", 2}, TICK_MS},
                 {{"s", 1}, TICK_S}, {{"m", 1}, 60 * TICK_S}, {{"h", 1}, 3600 * TICK_S}, {{"d", 1}, 86400 * TICK_S}};
    double v;
    struct slice unit;
    if (leading_decimal(s, &v, &unit))
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            if (slice_eq(unit, units[i].name) && v * (double)units[i].ns < LONGEST) {
                *ns = (int64_t)llround(v * (double)units[i].ns);
                return NULL;
            }
    return fault(E_USAGE, "'%.*s' is not a duration (250ms, 10s, 5m, 1h, 1d)", SLICE_ARG(s));
}

err_t text_size(struct slice s, uint64_t *bytes)
{
    double v;
    struct slice unit;
    if (leading_decimal(s, &v, &unit) && unit.n <= 1) {
        const char *letters = "KMGT", *at = unit.n ? strchr(letters, ascii_upper(unit.p[0])) : letters - 1;
        double scaled = at ? v * (double)(UINT64_C(1) << (10 * (at - letters + 1))) : -1;
        if (at && scaled < 1.8e19) {
            *bytes = (uint64_t)scaled;
            return NULL;
        }
    }
    return fault(E_USAGE, "'%.*s' is not a size (4096, 64K, 10M, 1G)", SLICE_ARG(s));
}

err_t text_ratio(struct slice s, double *p)
{
    double a, b = 1;
    struct slice rest, end = SLICE_NONE;
    bool ok = leading_decimal(s, &a, &rest);
    if (ok && slice_eq(rest, S("%")))
        b = 100;
    else if (ok && rest.n && rest.p[0] == '/')
        ok = leading_decimal(slice_from(rest, 1), &b, &end) && end.n == 0 && b > 0;
    else
        ok = ok && rest.n == 0;
    if (!ok || a / b > 1)
        return fault(E_USAGE, "'%.*s' is not a share (40%%, 0.4, 4/11)", SLICE_ARG(s));
    *p = a / b;
    return NULL;
}

char *text_size_human(uint64_t bytes, char *out)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    int u = 0;
    while (v >= 1024 && u < 4)
        v /= 1024, u++;
    snprintf(out, 32, u && v < 100 ? "%.1f %s" : "%.0f %s", v, units[u]);
    return out;
}

char *text_duration_human(int64_t ns, char *out)
{
    double v = (double)ns;
    if (ns < TICK_MS)
        snprintf(out, 32, "%.1f us", v / 1e3);
    else if (ns < TICK_S)
        snprintf(out, 32, "%.1f ms", v / 1e6);
    else if (ns < 60 * TICK_S)
        snprintf(out, 32, "%.2f s", v / 1e9);
    else
        snprintf(out, 32, "%lldm%02llds", (long long)(ns / TICK_S / 60), (long long)(ns / TICK_S % 60));
    return out;
}

/* ---- UTF-8 and escaping ---- */

/* Length of the valid UTF-8 sequence at `p` and its code point; 0 when there is none (RFC 3629). */
static size_t utf8_one(const uint8_t *p, size_t n, uint32_t *cp)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = p[0] < 0x80             ? 1
                 : (p[0] & 0xe0) == 0xc0 ? 2
                 : (p[0] & 0xf0) == 0xe0 ? 3
                 : (p[0] & 0xf8) == 0xf0 ? 4
                                         : 0;
    if (len == 0 || len > n)
        return 0;
    uint32_t c = len == 1 ? p[0] : p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *cp = c;
    return len;
}

bool text_utf8_valid(struct slice s)
{
    uint32_t cp;
    for (size_t i = 0, len; i < s.n; i += len)
        if ((len = utf8_one((const uint8_t *)s.p + i, s.n - i, &cp)) == 0)
            return false;
    return true;
}

/* Would showing this code point do anything but draw a glyph? Controls, and the bidi controls that reorder
   what stands around them. */
static bool shows_badly(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) ||
           cp == 0x200e || cp == 0x200f || cp == 0x2028 || cp == 0x2029 || cp == 0xfeff;
}

/* One source step: how many bytes are taken and what they are shown as. */
static size_t safe_step(struct slice s, char shown[5], size_t *shown_len)
{
    uint32_t cp;
    size_t len = utf8_one((const uint8_t *)s.p, s.n, &cp);
    if (len && !shows_badly(cp)) {
        memcpy(shown, s.p, len);
        *shown_len = len;
        return len;
    }
    snprintf(shown, 5, "\\x%02x", (unsigned)(uint8_t)s.p[0]);
    *shown_len = 4;
    return 1;
}

size_t text_safe(struct slice s, char *out, size_t cap)
{
    size_t at = 0, n;
    char shown[5];
    while (s.n) {
        size_t took = safe_step(s, shown, &n);
        if (at + n >= cap)
            break;
        memcpy(out + at, shown, n);
        at += n;
        s = slice_from(s, took);
    }
    if (cap)
        out[at] = 0;
    return at;
}

err_t text_safe_add(struct buf *b, struct slice s)
{
    char shown[5];
    size_t n;
    while (s.n) {
        size_t took = safe_step(s, shown, &n);
        TRY(buf_add(b, slice_of(shown, n)));
        s = slice_from(s, took);
    }
    return NULL;
}

/* ---- base64, hex, percent ---- */

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

err_t text_base64_add(struct buf *b, struct slice s)
{
    char *out;
    size_t n = (s.n + 2) / 3 * 4;
    TRY(buf_room(b, n, &out));
    const uint8_t *p = (const uint8_t *)s.p;
    for (size_t i = 0; i < s.n; i += 3, out += 4) {
        size_t have = s.n - i;
        uint32_t w = (uint32_t)p[i] << 16 | (have > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (have > 2 ? p[i + 2] : 0);
        out[0] = base64_digits[w >> 18];
        out[1] = base64_digits[w >> 12 & 63];
        out[2] = have > 1 ? base64_digits[w >> 6 & 63] : '=';
        out[3] = have > 2 ? base64_digits[w & 63] : '=';
    }
    b->n += n;
    return NULL;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (ascii_digit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

err_t text_base64_decode(struct slice s, struct buf *b)
{
    char *out;
    if (s.n % 4)
        return E_DATA;
    TRY(buf_room(b, s.n / 4 * 3, &out));
    size_t got = 0;
    for (size_t i = 0; i < s.n; i += 4) {
        bool last = i + 4 == s.n;
        size_t pad = last ? (s.p[i + 3] == '=') + (size_t)(s.p[i + 3] == '=' && s.p[i + 2] == '=') : 0;
        uint32_t w = 0;
        for (size_t k = 0; k < 4; k++) {
            int v = k >= 4 - pad ? 0 : base64_value(s.p[i + k]);
            if (v < 0)
                return E_DATA;
            w = w << 6 | (uint32_t)v;
        }
        if ((pad == 1 && w & 0xff) || (pad == 2 && w & 0xffff))
            return E_DATA; /* bits that no encoder sets */
        for (size_t k = 0; k < 3 - pad; k++)
            out[got++] = (char)(w >> (16 - 8 * k));
    }
    b->n += got;
    return NULL;
}

err_t text_hex_add(struct buf *b, struct slice s)
{
    char *out;
    TRY(buf_room(b, s.n * 2, &out));
    for (size_t i = 0; i < s.n; i++) {
        *out++ = "0123456789abcdef"[(uint8_t)s.p[i] >> 4];
        *out++ = "0123456789abcdef"[s.p[i] & 15];
    }
    b->n += s.n * 2;
    return NULL;
}

err_t text_hex_decode(struct slice s, struct buf *b)
{
    char *out;
    if (s.n % 2)
        return E_DATA;
    TRY(buf_room(b, s.n / 2, &out));
    for (size_t i = 0; i < s.n; i += 2) {
        int hi = ascii_hex(s.p[i]), lo = ascii_hex(s.p[i + 1]);
        if (hi < 0 || lo < 0)
            return E_DATA;
        *out++ = (char)(hi << 4 | lo);
    }
    b->n += s.n / 2;
    return NULL;
}

err_t text_percent_add(struct buf *b, struct slice s, const char *keep)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (ascii_alpha(c) || ascii_digit(c) || (c && strchr("-._~", c)) || (c && strchr(keep, c)))
            TRY(buf_add_char(b, c));
        else
            TRY(buf_format(b, "%%%02X", (unsigned)(uint8_t)c));
    }
    return NULL;
}

err_t text_percent_decode(struct slice s, struct buf *b)
{
    char *out;
    TRY(buf_room(b, s.n, &out));
    size_t got = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            int hi = i + 2 < s.n ? ascii_hex(s.p[i + 1]) : -1, lo = i + 2 < s.n ? ascii_hex(s.p[i + 2]) : -1;
            if (hi < 0 || lo < 0)
                return E_DATA;
            c = (char)(hi << 4 | lo);
            i += 2;
        }
        out[got++] = c;
    }
    b->n += got;
    return NULL;
}

int text_distance(struct slice a, struct slice b)
{
    enum { MAX = 63 };
    int d[3][MAX + 1];
    a = slice_first(a, MAX), b = slice_first(b, MAX);
    for (size_t j = 0; j <= b.n; j++)
        d[0][j] = (int)j;
    for (size_t i = 1; i <= a.n; i++) {
        int *row = d[i % 3], *above = d[(i + 2) % 3], *above2 = d[(i + 1) % 3];
        row[0] = (int)i;
        for (size_t j = 1; j <= b.n; j++) {
            int best = above[j - 1] + (a.p[i - 1] != b.p[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1] && above2[j - 2] + 1 < best)
                best = above2[j - 2] + 1;
            row[j] = best;
        }
    }
    return d[a.n % 3][b.n];
}
