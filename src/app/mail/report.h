/* SPDX-License-Identifier: MIT */
/*
 * report.h -- what became of each message and recipient, for people or as JSON, and the exit status that sums it up.
 *
 * Text, one line a recipient:   bob@example.org: accepted
 *                               eve@example.org: refused: 550 5.1.1 No such user
 * JSON, one object a line:      {"message":1,"recipient":"bob@example.org","fate":"accepted","reply":"250 2.0.0 Ok"}
 */
#pragma once

#include <stdio.h>

#include "app/mail/send.h"

struct mail_report {
    FILE *out;
    bool json, quiet;                            /* quiet: only what was not accepted */
    bool numbered;                               /* several messages: text lines begin with the message's number */
    uint64_t accepted, partly, failed, deferred; /* messages by outcome; deferred: failed, but worth trying again */
    err_t first;                                 /* the first failure that is not worth trying again */
    err_t passing;                               /* the first one that is */
};

/* `number` from 1. `d` NULL: a message that could not even be made. */
void mail_report_add(struct mail_report *, uint64_t number, const struct mail_draft *d, const struct mail_result *);
/* NULL when everything was accepted; E_PARTLY; E_DEFERRED when all that failed may succeed later; else the first
   failure (product: sysexits). */
err_t mail_report_sum(const struct mail_report *);
