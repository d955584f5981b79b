/* SPDX-License-Identifier: MIT */
/* caps_parse.h -- what a server offers in its answer to EHLO (RFC 5321 section 4.1.1.1). */
#pragma once

#include "smtp/reply_parse.h"

struct smtp_caps {
    bool esmtp; /* EHLO was understood */
    bool starttls, pipelining, size, eightbit, smtputf8, chunking, dsn, auth, enhanced;
    uint64_t max_size;    /* of SIZE; 0: no limit known */
    char mechanisms[256]; /* of AUTH, upper case, one space around each: " PLAIN LOGIN " */
};

/* Reads the lines after the first; keywords it does not know are passed over. */
void smtp_caps_parse(const struct smtp_reply *, struct smtp_caps *);
bool smtp_caps_mechanism(const struct smtp_caps *, const char *name); /* upper case */
