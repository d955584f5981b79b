/* SPDX-License-Identifier: MIT */
#include "smtp/fault_parse.h"

static const char *const steps[STEPS] = {"connect", "ehlo", "helo", "starttls", "auth", "mail", "rcpt",
                                         "data",    "bdat", "body", "end",      "rset", "noop", "quit"};
static const char *const misdeeds[] = {"", "close", "reset", "silent", "garbage", "endless", "huge", "drip", "inject"};

static err_t wrong(const char *spec, const char *why)
{
    return fault(E_USAGE, "--fault '%s': %s (STEP[=TEXT][@N]:ACTION, for example rcpt:450 or body@65536:552+reset)",
                 spec, why);
}

/* "550 text+close" */
static bool parse_reply(struct slice s, struct smtp_fault *f)
{
    if (slice_ends(s, S("+close"))) {
        f->then_close = true;
        s.n -= 6;
    } else if (slice_ends(s, S("+reset"))) {
        f->then_reset = true;
        s.n -= 6;
    }
    f->reply = s;
    if (s.n < 3 || s.p[0] < '2' || s.p[0] > '5' || !ascii_digit(s.p[1]) || !ascii_digit(s.p[2]))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((uint8_t)s.p[i] < ' ')
            return false;
    return s.n == 3 || s.p[3] == ' ';
}

static bool parse_step(struct slice s, struct smtp_fault *f)
{
    size_t at = slice_find(s, '@', 0), equals = slice_find(s, '=', 0);
    /* The text after '=' may hold an '@' of its own; a count is what follows the last one and is a number. */
    for (size_t i = at; i != SIZE_MAX; i = slice_find(s, '@', i + 1))
        at = i;
    if (at != SIZE_MAX && slice_u64(slice_from(s, at + 1), &f->at))
        s = slice_first(s, at);
    else if (at != SIZE_MAX && equals == SIZE_MAX)
        return false;
    if (equals != SIZE_MAX) {
        f->text = slice_from(s, equals + 1);
        s = slice_first(s, equals);
    }
    for (unsigned i = 0; i < STEPS; i++)
        if (slice_eq(s, slice_z(steps[i]))) {
            f->step = (enum smtp_step)i;
            return true;
        }
    return false;
}

err_t smtp_fault_parse(const char *spec, struct smtp_fault *f)
{
    struct slice s = slice_z(spec);
    size_t colon = slice_find(s, ':', 0);
    *f = (struct smtp_fault){0};
    if (colon == SIZE_MAX)
        return wrong(spec, "there is no ':'");
    if (!parse_step(slice_first(s, colon), f))
        return wrong(spec, "no such step");
    struct slice action = slice_from(s, colon + 1);
    for (unsigned i = 1; i < sizeof misdeeds / sizeof *misdeeds; i++)
        if (slice_eq(action, slice_z(misdeeds[i]))) {
            f->misdeed = (enum smtp_misdeed)i;
            bool fits = f->misdeed != MISDEED_INJECT || f->step == STEP_STARTTLS;
            return fits ? NULL : wrong(spec, "only starttls can inject");
        }
    return parse_reply(action, f) ? NULL : wrong(spec, "no such action");
}
