/* SPDX-License-Identifier: MIT */
/*
 * err.h -- errors are addresses of static records.
 *
 * A function that can fail returns err_t: NULL for success, else the address of one record from err.def.
 * The record carries what every consumer needs (text, HTTP status, exit status), so no switch maps errors
 * to anything. Output parameters stay untouched on failure. What exactly failed ("mail.example.org:587")
 * goes into a note of 256 bytes that belongs to the running fiber; it is formatted only on failure.
 */
#pragma once

#include "base/slice.h"

enum err_kind {
    ERR_TIMEOUT,  /* a deadline passed */
    ERR_CANCELED, /* the scope closed */
    ERR_PEER,     /* the other side or the network failed */
    ERR_PROTOCOL, /* the other side broke the protocol */
    ERR_LOCAL,    /* this machine refused: files, descriptors, memory */
    ERR_LIMIT,    /* a limit of ours was reached */
    ERR_USAGE,    /* the user asked for something that cannot be */
};

struct err {
    const char *name; /* "E_REFUSED" */
    const char *text; /* "connection refused" */
    enum err_kind kind;
    uint16_t http;   /* status of the page that a server or proxy answers with */
    uint8_t exit;    /* process status of one-shot tools (0 done, 1 network, 2 usage, 3 partly) */
    uint8_t sysexit; /* process status of mail, from sysexits.h */
    bool retry;      /* is the same thing worth trying again later? */
};
typedef const struct err *err_t;

#define ERR_ROW(name, text, kind, http, exit, sysexit, retry) extern const struct err name[1];
#include "base/err.def"
#undef ERR_ROW

#define MUST __attribute__((warn_unused_result))

/* Return early on failure. The only control-flow macro in the house. */
#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        err_t try_ = (call);                                                                                           \
        if (__builtin_expect(try_ != NULL, 0))                                                                         \
            return try_;                                                                                               \
    } while (0)

/* Run `fn(&local)` when the local goes out of scope: AUTO(buf_free) struct buf b = {0}; */
#define AUTO(fn) __attribute__((cleanup(fn)))

/* The record for an errno value; never NULL. */
err_t err_errno(int errnum);

/* Note the detail on this fiber and return `e`: return fault(E_REFUSED, "%s:%u", host, port);
   The text is cut at 255 bytes; control characters in it are shown as \xHH. */
err_t fault(err_t e, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));

/* The note last left on this fiber, "" when none. Valid until the next fault() on the same fiber. */
const char *fault_detail(void);
void fault_clear(void);

/* "detail: text", or just the text when nothing was noted; into `out`, always terminated; returns `out`. */
const char *fault_text(err_t e, char *out, size_t cap);

/* What the user can do about it, to be set behind the text: " (is the server running?)". "" when nothing would help. */
const char *err_advice(err_t e);

/* Where notes go. The fiber switch points it at the running fiber's own field; outside a fiber it is
   one static note a thread. */
struct fault_note {
    char text[256];
};
extern _Thread_local struct fault_note *fault_here;
