/* SPDX-License-Identifier: MIT */
/*
 * beat_packet.h -- the datagrams of the heartbeat: beats, the text forms of the labs, and the watch dialogue.
 * docs/heartbeat-protocol.md describes them byte by byte; all integers are big-endian.
 *
 * Binary datagrams begin with the 8-byte head "L7HB", version 1, kind, flags, length of the id. A signed one ends
 * with 4 bytes of key number and the first 16 bytes of HMAC-SHA-256 over everything before them. This file knows no
 * key: a parser says what the tag covers, a formatter leaves room for it. Text: "SEQ UNIXTIME" and "online".
 */
#pragma once

#include "base/addr.h"
#include "base/cursor.h"

enum {
    BEAT_ID_MAX = 64,
    BEAT_TAG = 16,
    BEAT_TRAILER = 4 + BEAT_TAG,
    BEAT_HEAD = 8,
    BEAT_MAX = 40 + BEAT_ID_MAX + BEAT_TRAILER, /* the longest beat */
    BEAT_ASK_MIN = 32,                          /* a question without padding or trailer */
    BEAT_ANSWER_HEAD = 60,
    BEAT_DATAGRAM = 1232, /* what a question is padded to: passes every IPv6 path unfragmented */
};

#define BEAT_INTERVAL_MAX (INT64_C(30) * 86400 * 1000000000) /* ns: a thousand of them are still a tick */

enum beat_kind {
    BEAT_NONE, /* none of ours */
    BEAT_BEAT = 1,
    BEAT_ASK = 2,
    BEAT_ANSWER = 3,
    BEAT_TEXT = 16, /* "SEQ UNIXTIME" */
    BEAT_ONLINE,    /* "online" */
};
enum beat_flags { BEAT_SIGNED = 1, BEAT_GOODBYE = 2 };

/* What the trailer of a signed datagram says. */
struct beat_seal {
    bool sealed;
    uint32_t key;
    struct slice covered, tag;
};

struct beat {
    struct slice id;      /* 1 to 64 bytes of UTF-8 without control characters; empty in text beats */
    uint64_t incarnation; /* grows with every start of the sender; 0 in text beats */
    uint64_t sequence;    /* from 1; text beats may begin anywhere */
    int64_t sent_ns;      /* the sender's wall clock */
    int64_t interval_ns;  /* up to BEAT_INTERVAL_MAX; 0: not stated */
    bool goodbye, text;
    struct beat_seal seal;
};

/* By the first bytes only. */
enum beat_kind beat_kind(struct slice datagram);

MUST err_t beat_parse(struct slice, struct beat *);      /* BEAT_BEAT: E_DATA on anything but the exact layout */
MUST err_t beat_parse_text(struct slice, struct beat *); /* BEAT_TEXT: E_DATA */
bool beat_id_valid(struct slice);

/* Into `out` of at least BEAT_MAX bytes; returns the length without the tag: with seal.sealed the caller puts the
   first BEAT_TAG bytes of HMAC(out[0..length)) behind it. */
size_t beat_format(const struct beat *, uint8_t *out);
size_t beat_format_text(const struct beat *, char *out, size_t cap);

/* A question for the table from slot `from` on. Its length is the most that the answer may have. */
struct beat_ask {
    uint64_t nonce; /* comes back in the answer */
    uint32_t from;
    struct beat_seal seal;
};
MUST err_t beat_ask_parse(struct slice, struct beat_ask *);
size_t beat_ask_format(const struct beat_ask *, uint8_t *out, size_t size); /* padded so that all is `size` long */

enum beat_state { BEAT_NEW, BEAT_UP, BEAT_LATE, BEAT_DOWN, BEAT_STOPPED, BEAT_STATES };
extern const char *const beat_state_names[BEAT_STATES]; /* "new", "up", "late", "down", "stopped" */

/* One sender, as the watcher sees it. */
struct beat_row {
    struct slice id;
    struct addr peer; /* where the newest beat came from */
    enum beat_state state;
    bool text, flapping, sealed;
    uint64_t incarnation, sequence, received, lost;
    uint32_t duplicates, reordered, restarts;
    int64_t since_ms;    /* since the last beat */
    int64_t state_ms;    /* since the state changed */
    int64_t left_ms;     /* to the deadline; negative when it has passed */
    int64_t interval_us; /* as stated, or as measured; 0 unknown */
    uint32_t jitter_us;
    int64_t delay_us; /* one way, mean: true only as far as both clocks agree */
};
struct beat_answer {
    uint64_t nonce, instance; /* `instance` is new with every start of the listener */
    uint32_t from, next;      /* slots looked at: [from, next) */
    uint32_t slots, senders;  /* in the whole table */
    int64_t wall_ns;
    uint16_t rows;
    struct beat_seal seal;
};
/* Formatting goes head first, row by row, end. With a sealed answer room for the trailer is kept. */
struct beat_writer {
    struct cursor out;
    size_t room;
    uint16_t rows;
    bool sealed;
};
void beat_answer_start(struct beat_writer *, const struct beat_answer *, uint8_t *out, size_t size);
bool beat_answer_row(struct beat_writer *, const struct beat_row *); /* false: it does not fit, nothing was written */
/* `next` and the count of rows are filled in; returns the length without the tag, as beat_format. */
size_t beat_answer_end(struct beat_writer *, uint32_t next, uint32_t key);

/* The head; then call beat_answer_next `rows` times. */
MUST err_t beat_answer_parse(struct slice, struct beat_answer *, struct cursor *rows);
MUST err_t beat_answer_next(struct cursor *rows, struct beat_row *);
