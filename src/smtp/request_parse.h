/* SPDX-License-Identifier: MIT */
/*
 * request_parse.h -- SMTP commands as a server reads them, strictly (RFC 5321 section 4.1).
 *
 * A refusal is the reply to send, a string constant, so that each broken rule has its own words. The parser knows
 * syntax and lengths only; whether a command fits the moment is the session's business.
 */
#pragma once

#include "base/slice.h"
#include "smtp/command_format.h"

enum smtp_verb {
    SMTP_EHLO,
    SMTP_HELO,
    SMTP_STARTTLS,
    SMTP_AUTH,
    SMTP_MAIL,
    SMTP_RCPT,
    SMTP_DATA,
    SMTP_BDAT,
    SMTP_RSET,
    SMTP_NOOP,
    SMTP_QUIT,
    SMTP_VRFY,
    SMTP_EXPN,
    SMTP_HELP,
    SMTP_VERBS,
};

struct smtp_request {
    enum smtp_verb verb;
    struct slice arg; /* what follows the verb; of MAIL and RCPT the address alone, without route and brackets */
    uint64_t size;    /* SIZE= of MAIL, length of BDAT */
    bool last;        /* BDAT ... LAST */
    bool smtputf8;
    enum smtp_body body;
    enum smtp_ret ret;
    unsigned notify;                 /* SMTP_NOTIFY_* */
    struct slice envid, orcpt, auth; /* as they came, xtext */
    struct slice mechanism, initial; /* AUTH; initial.p is NULL when there was none */
    bool extended;                   /* some parameter of MAIL or RCPT was given: needs EHLO */
};

/* `line` is without its CRLF. NULL when it is right, else the whole reply without CRLF: "501 5.5.4 ...". */
const char *smtp_request_parse(struct slice line, struct smtp_request *);
