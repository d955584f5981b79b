/* SPDX-License-Identifier: MIT */
#include "http/range.h"

enum spec { SPEC_BAD, SPEC_EMPTY, SPEC_GOOD };

/* A position beyond 64 bits is past any end, not malformed. */
static bool number(struct slice s, uint64_t *out)
{
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!ascii_digit(s.p[i]))
            return false;
    if (!slice_u64(s, out))
        *out = UINT64_MAX;
    return true;
}

/* "0-499", "500-", "-500" (section 14.1.2). */
static enum spec one(struct slice s, uint64_t size, struct range *out)
{
    size_t dash = slice_find(s, '-', 0);
    struct slice first = slice_first(s, dash), last = slice_from(s, dash == SIZE_MAX ? s.n : dash + 1);
    uint64_t a, b = UINT64_MAX;
    if (dash == SIZE_MAX)
        return SPEC_BAD;
    if (first.n == 0) {
        if (!number(last, &b))
            return SPEC_BAD;
        *out = (struct range){b < size ? size - b : 0, size - 1};
        return b && size ? SPEC_GOOD : SPEC_EMPTY;
    }
    if (!number(first, &a) || (last.n && !number(last, &b)) || b < a)
        return SPEC_BAD;
    *out = (struct range){a, b < size ? b : size - 1};
    return a < size ? SPEC_GOOD : SPEC_EMPTY;
}

static bool overlap(const struct range *a, const struct range *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* One more, joined to the one before it when they touch in order. False when it is too much. */
static bool keep(struct range *v, int *n, const struct range *r, int *overlaps)
{
    for (int i = 0; i < *n; i++)
        *overlaps += overlap(&v[i], r);
    if (*overlaps > 2)
        return false;
    struct range *before = *n ? &v[*n - 1] : NULL;
    if (before && r->first >= before->first && r->first <= before->last + 1) {
        if (r->last > before->last)
            before->last = r->last;
        return true;
    }
    if (*n == RANGE_MAX)
        return false;
    v[(*n)++] = *r;
    return true;
}

enum range_result range_parse(struct slice value, uint64_t size, struct range out[RANGE_MAX], int *n)
{
    struct slice rest = value, piece;
    int overlaps = 0, specs = 0;
    *n = 0;
    if (!slice_starts_case(value, S("bytes=")))
        return RANGE_IGNORE;
    rest = slice_from(rest, 6);
    while (slice_cut(&rest, ',', &piece)) {
        struct range r;
        piece = slice_trim(piece);
        if (piece.n == 0)
            continue; /* empty list elements are allowed */
        enum spec s = one(piece, size, &r);
        if (s == SPEC_BAD || ++specs > 4 * RANGE_MAX || (s == SPEC_GOOD && !keep(out, n, &r, &overlaps)))
            return RANGE_IGNORE;
    }
    if (specs == 0)
        return RANGE_IGNORE;
    return *n ? RANGE_SOME : RANGE_UNSATISFIABLE;
}

bool range_content_parse(struct slice value, struct content_range *out)
{
    struct content_range r = {.first = 1, .last = 0, .total = UINT64_MAX};
    struct slice unit, range;
    if (!slice_cut(&value, ' ', &unit) || !slice_eq_case(unit, S("bytes")) || !slice_cut(&value, '/', &range))
        return false;
    if (!slice_eq(value, S("*")) && !slice_u64(value, &r.total))
        return false;
    if (!slice_eq(range, S("*"))) {
        struct slice first;
        if (!slice_cut(&range, '-', &first) || !slice_u64(first, &r.first) || !slice_u64(range, &r.last))
            return false;
        if (r.first > r.last || (r.total != UINT64_MAX && r.last >= r.total))
            return false;
    } else if (r.total == UINT64_MAX) {
        return false;
    }
    *out = r;
    return true;
}
