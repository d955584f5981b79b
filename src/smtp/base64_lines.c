/* SPDX-License-Identifier: MIT */
#include "smtp/base64_lines.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char *plain_groups(const uint8_t *in, size_t n, char *out)
{
    for (; n >= 3; n -= 3, in += 3, out += 4) {
        uint32_t w = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        out[0] = digits[w >> 18], out[1] = digits[w >> 12 & 63];
        out[2] = digits[w >> 6 & 63], out[3] = digits[w & 63];
    }
    if (n == 0)
        return out;
    uint32_t w = (uint32_t)in[0] << 16 | (n == 2 ? (uint32_t)in[1] << 8 : 0);
    out[0] = digits[w >> 18], out[1] = digits[w >> 12 & 63];
    out[2] = n == 2 ? digits[w >> 6 & 63] : '=', out[3] = '=';
    return out + 4;
}

static char *end_line(char *out)
{
    out[0] = '\r', out[1] = '\n';
    return out + 2;
}

size_t base64_lines_plain(const uint8_t *in, size_t n, char *out)
{
    char *start = out;
    for (; n >= BASE64_LINE_IN; n -= BASE64_LINE_IN, in += BASE64_LINE_IN)
        out = end_line(plain_groups(in, BASE64_LINE_IN, out));
    if (n)
        out = end_line(plain_groups(in, n, out));
    return (size_t)(out - start);
}

#ifdef __x86_64__
#include <tmmintrin.h>

/* The first 12 of 16 bytes become 16 letters. */
__attribute__((target("ssse3"))) static inline __m128i twelve(__m128i in)
{
    in = _mm_shuffle_epi8(in, _mm_set_epi8(10, 11, 9, 10, 7, 8, 6, 7, 4, 5, 3, 4, 1, 2, 0, 1));
    __m128i high = _mm_mulhi_epu16(_mm_and_si128(in, _mm_set1_epi32(0x0fc0fc00)), _mm_set1_epi32(0x04000040));
    __m128i low = _mm_mullo_epi16(_mm_and_si128(in, _mm_set1_epi32(0x003f03f0)), _mm_set1_epi32(0x01000010));
    __m128i six = _mm_or_si128(high, low);
    /* Which of the five ranges (A-Z, a-z, 0-9, +, /) each value lies in selects what is added to it. */
    __m128i range = _mm_subs_epu8(six, _mm_set1_epi8(51));
    range = _mm_or_si128(range, _mm_and_si128(_mm_cmpgt_epi8(_mm_set1_epi8(26), six), _mm_set1_epi8(13)));
    const __m128i shift = _mm_setr_epi8('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
                                        '0' - 52, '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0);
    return _mm_add_epi8(six, _mm_shuffle_epi8(shift, range));
}

/* Whole lines while 64 bytes can be read; each step may write up to four letters that the next one overwrites. */
__attribute__((target("ssse3"))) static size_t fast_lines(const uint8_t *in, size_t n, char *out)
{
    size_t done = 0;
    for (; n - done >= 64; done += BASE64_LINE_IN, out += BASE64_LINE_OUT) {
        for (size_t i = 0; i < 5; i++) {
            __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(in + done + 12 * i));
            _mm_storeu_si128((__m128i *)(void *)(out + 16 * i), twelve(bytes));
        }
        end_line(out + 76);
    }
    return done;
}

size_t base64_lines(const uint8_t *in, size_t n, char *out)
{
    size_t done = n >= 64 && __builtin_cpu_supports("ssse3") ? fast_lines(in, n, out) : 0;
    size_t written = done / BASE64_LINE_IN * BASE64_LINE_OUT;
    return written + base64_lines_plain(in + done, n - done, out + written);
}
#else
size_t base64_lines(const uint8_t *in, size_t n, char *out)
{
    return base64_lines_plain(in, n, out);
}
#endif
