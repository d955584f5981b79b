/* SPDX-License-Identifier: MIT */
/* server_fault.c -- the sink misbehaves on purpose (fault_parse.h). */
#include "rt/loop.h"
#include "smtp/server.h"

enum { HUGE_REPLY = 8 << 20, PIECE = 64 * 1024 };

/* RST instead of FIN: what is unread on either side is lost. */
static err_t reset_connection(struct smtp_server *s)
{
    stream_break(s->stream);
    return E_RESET;
}

/* "250-" lines without end, or until there are `most` bytes of them. */
static err_t many_lines(struct smtp_server *s, uint64_t most, int64_t pause_ms)
{
    const struct slice line = S("250-and there is more to say about this\r\n");
    size_t batch = pause_ms ? line.n : PIECE - 64;
    uint64_t sent = 0;
    while (sent < most) {
        while (s->out.n < batch)
            TRY(buf_add(&s->out, line));
        sent += s->out.n;
        TRY(smtp_server_flush(s));
        if (pause_ms)
            TRY(fiber_sleep(after(pause_ms)));
    }
    return smtp_server_reply(s, "250 done");
}

/* An answer whose bytes come one by one and never end. */
static err_t drip(struct smtp_server *s)
{
    static const char text[] = "250-drip drip drip";
    for (size_t i = 0;; i = i + 1 < sizeof text - 1 ? i + 1 : 4) {
        TRY(buf_add_char(&s->out, text[i]));
        TRY(smtp_server_flush(s));
        TRY(fiber_sleep(after(100)));
    }
}

/* Say nothing until the client goes away. */
static err_t silent(struct smtp_server *s)
{
    for (;;) {
        s->at = s->in.n;
        TRY(smtp_server_more(s, PIECE));
    }
}

static err_t play(struct smtp_server *s, const struct smtp_fault *f)
{
    switch (f->misdeed) {
    case MISDEED_REPLY:
        TRY(f->reply.n == 3 ? smtp_server_reply(s, "%.*s as asked for by --fault", SLICE_ARG(f->reply))
                            : smtp_server_reply(s, "%.*s", SLICE_ARG(f->reply)));
        if (f->then_close || f->then_reset || f->step == STEP_BODY || f->step == STEP_CONNECT)
            TRY(smtp_server_flush(s));
        if (f->then_reset) {
            TRY(fiber_sleep(after(20))); /* let the words arrive: a RST throws away what is on its way */
            return reset_connection(s);
        }
        return f->then_close || (f->step == STEP_CONNECT && f->reply.p[0] != '2') ? E_EOF : NULL;
    case MISDEED_CLOSE:
        return E_EOF;
    case MISDEED_RESET:
        return reset_connection(s);
    case MISDEED_SILENT:
        return silent(s);
    case MISDEED_GARBAGE:
        return smtp_server_reply(s, "\001\033[2J this is no SMTP at all");
    case MISDEED_ENDLESS:
        return many_lines(s, UINT64_MAX, 100);
    case MISDEED_HUGE:
        return many_lines(s, HUGE_REPLY, 0);
    case MISDEED_DRIP:
        return drip(s);
    case MISDEED_INJECT:
        TRY(smtp_server_reply(s, "220 2.0.0 Ready to start TLS"));
        return smtp_server_reply(s, "250 2.0.0 This was never encrypted");
    }
    return NULL;
}

static bool strikes(const struct smtp_server *s, const struct smtp_fault *f, struct slice command)
{
    bool time = f->at == 0 || f->step == STEP_BODY || f->at == s->seen[f->step];
    return time && (f->text.n == 0 || slice_find_slice(command, f->text) != SIZE_MAX);
}

err_t smtp_server_fault(struct smtp_server *s, enum smtp_step step, struct slice command, bool *played)
{
    s->seen[step]++;
    *played = false;
    for (size_t i = 0; i < s->conf->fault_count; i++) {
        const struct smtp_fault *f = &s->conf->faults[i];
        if (f->step != step || !strikes(s, f, command))
            continue;
        *played = true;
        return play(s, f);
    }
    return NULL;
}

uint64_t smtp_server_fault_in(const struct smtp_server *s)
{
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < s->conf->fault_count; i++) {
        const struct smtp_fault *f = &s->conf->faults[i];
        if (f->step == STEP_BODY && f->at >= s->size && f->at - s->size < least)
            least = f->at - s->size;
    }
    return least;
}
