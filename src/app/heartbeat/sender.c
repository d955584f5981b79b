/* SPDX-License-Identifier: MIT */
#include "app/heartbeat/sender.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "dgram/beat_packet.h"
#include "net/tls_digest.h"
#include "net/udp.h"
#include "rt/loop.h"

enum { GOODBYES = 3 }; /* sent so many times, since nobody confirms it */

struct sending {
    const struct sender_options *o;
    struct sender_totals *totals;
    struct digest_keys keys;
    int fd;
    struct beat beat;
};

static size_t format(struct sending *s, uint8_t out[BEAT_MAX])
{
    if (s->o->text)
        return beat_format_text(&s->beat, (char *)out, BEAT_MAX);
    size_t n = beat_format(&s->beat, out);
    return s->keys.n ? digest_hmac_append(s->keys.key[0], out, n, BEAT_TAG) : n;
}

/* Never waits: a beat that finds no room in the socket is late already. An ICMP error that came back for an earlier
   beat is reported by the next send, which then has not sent anything: once more. */
static void send_beat(struct sending *s)
{
    uint8_t out[BEAT_MAX];
    s->beat.sent_ns = clock_wall();
    size_t n = format(s, out);
    ssize_t sent = send(s->fd, out, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0)
        sent = send(s->fd, out, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0)
        s->totals->failed++;
    else
        s->totals->sent++;
    if (s->o->verbose) {
        printf("%s %llu%s\n", sent < 0 ? err_errno(errno)->text : "sent", (unsigned long long)s->beat.sequence,
               s->beat.goodbye ? " (goodbye)" : "");
        fflush(stdout);
    }
}

static void say_goodbye(struct sending *s)
{
    if (s->o->text)
        return; /* the text form has no word for it */
    s->beat.goodbye = true;
    s->beat.sequence++;
    for (int i = 0; i < GOODBYES; i++)
        send_beat(s);
}

static err_t beat_on(struct sending *s)
{
    tick start = clock_now();
    for (int64_t k = 0;; k++) {
        tick due = start + k * s->o->interval, late = clock_now() - due;
        if (late >= s->o->interval) { /* was stopped: do not send what should have been, but count it as missed */
            k += late / s->o->interval;
            s->beat.sequence += (uint64_t)(late / s->o->interval);
        }
        s->beat.sequence++;
        send_beat(s);
        if (s->o->count && k + 1 >= s->o->count)
            return NULL;
        TRY(fiber_sleep(start + (k + 1) * s->o->interval));
    }
}

/* The number of this start: the time, or one more than the last one if the clock has been set back since. In the file
   it stands in a line of fixed length, so that one write replaces it. */
static err_t next_incarnation(const char *state, uint64_t *out)
{
    *out = (uint64_t)clock_wall();
    if (!state)
        return NULL;
    char line[24];
    uint64_t last = 0;
    int fd = open(state, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ssize_t n = fd < 0 || flock(fd, LOCK_EX) < 0 ? -1 : pread(fd, line, sizeof line, 0);
    err_t e = n < 0 ? fault(err_errno(errno), "%s", state) : NULL;
    struct slice text = slice_of(line, n > 0 ? (size_t)n : 0);
    text = slice_trim(slice_first(text, slice_find(text, '\n', 0)));
    if (n > 0 && (!slice_u64(text, &last) || last == UINT64_MAX))
        e = fault(E_CONFIG, "%s: not written by --state (remove it to begin anew)", state);
    if (!e) {
        *out = *out > last ? *out : last + 1;
        n = snprintf(line, sizeof line, "%-20llu\n", (unsigned long long)*out);
        e = pwrite(fd, line, (size_t)n, 0) == n ? NULL : fault(err_errno(errno), "%s", state);
    }
    if (fd >= 0)
        close(fd);
    return e;
}

err_t sender_run(const struct sender_options *o, const struct addr *to, struct sender_totals *totals)
{
    struct sending s = {.o = o, .totals = totals, .fd = -1};
    if (!o->text && !beat_id_valid(slice_z(o->id)))
        return fault(E_USAGE, "--id: 1 to %d bytes of UTF-8 without control characters", BEAT_ID_MAX);
    if (o->interval < TICK_MS || o->interval > BEAT_INTERVAL_MAX)
        return fault(E_USAGE, "--interval: 1ms to 30d");
    TRY(next_incarnation(o->state, &s.beat.incarnation));
    if (o->key_file)
        TRY(digest_keys_read(o->key_file, &s.keys));
    err_t e = udp_dial(to, &s.fd);
    if (!e) {
        s.beat = (struct beat){.id = slice_z(o->id),
                               .incarnation = s.beat.incarnation,
                               .interval_ns = o->interval,
                               .text = o->text,
                               .seal = {.sealed = s.keys.n > 0, .key = s.keys.n ? s.keys.id[0] : 0}};
        e = beat_on(&s);
        /* A single beat from a cron job is not the end of its sender; a run that was stopped is. */
        if (e == E_CANCELED) {
            say_goodbye(&s);
            e = NULL;
        }
        close(s.fd);
    }
    digest_keys_free(&s.keys);
    return e;
}
