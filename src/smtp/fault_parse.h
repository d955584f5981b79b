/* SPDX-License-Identifier: MIT */
/*
 * fault_parse.h -- scripted misbehaviour of the sink: --fault STEP[=TEXT][@N]:ACTION
 *
 *     rcpt:450                          every recipient is put off
 *     rcpt=bob@:550 5.1.1 No such user  recipients whose command holds "bob@" are refused
 *     mail@3:421                        the third MAIL of a connection
 *     body@65536:552 5.3.4 Too big+reset  after 64 KiB of a message: say so, then reset the connection
 *     starttls:inject                   220, and plaintext behind it
 *
 * Steps: connect ehlo helo starttls auth mail rcpt data bdat body end rset noop quit. Actions: a reply (its code and
 * any text), close, reset, silent, garbage, endless, huge, drip, inject; a reply may end in +close or +reset.
 */
#pragma once

#include "base/err.h"

enum smtp_step {
    STEP_CONNECT,
    STEP_EHLO,
    STEP_HELO,
    STEP_STARTTLS,
    STEP_AUTH,
    STEP_MAIL,
    STEP_RCPT,
    STEP_DATA,
    STEP_BDAT,
    STEP_BODY,
    STEP_END,
    STEP_RSET,
    STEP_NOOP,
    STEP_QUIT,
    STEPS,
};
enum smtp_misdeed {
    MISDEED_REPLY,
    MISDEED_CLOSE,
    MISDEED_RESET,
    MISDEED_SILENT,
    MISDEED_GARBAGE,
    MISDEED_ENDLESS,
    MISDEED_HUGE,
    MISDEED_DRIP,
    MISDEED_INJECT,
};
struct smtp_fault {
    enum smtp_step step;
    enum smtp_misdeed misdeed;
    struct slice text;  /* the command must hold it; empty: any */
    uint64_t at;        /* the how-manieth time in a connection, or bytes of a body; 0: each time */
    struct slice reply; /* "550 5.1.1 No such user" */
    bool then_close, then_reset;
};

/* Slices point into `spec`. E_USAGE. */
MUST err_t smtp_fault_parse(const char *spec, struct smtp_fault *);
