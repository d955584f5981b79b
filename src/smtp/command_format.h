/* SPDX-License-Identifier: MIT */
/*
 * command_format.h -- SMTP commands as a client writes them (RFC 5321 section 4.1).
 *
 * Nothing that comes from data can end a command line: a CR, LF, NUL or other control character in an address, a
 * name or a parameter is E_DATA with a fault note that names the field, and so is what passes the lengths of
 * RFC 5321 section 4.5.3.1. Each function adds one whole line, CRLF included, or nothing.
 */
#pragma once

#include "base/buf.h"

enum { /* RFC 5321 section 4.5.3.1, with the growth that each extension declares */
       SMTP_LOCAL_MAX = 64,
       SMTP_DOMAIN_MAX = 255,
       SMTP_PATH_MAX = 256,    /* with the angle brackets */
       SMTP_COMMAND_MAX = 512, /* of a plain command, with CRLF */
       SMTP_MAIL_MAX =
           512 + 500 /* AUTH= */ + 26 /* SIZE */ + 17 /* BODY */ + 10 /* SMTPUTF8 */ + 8 + 107 /* RET, ENVID */,
       SMTP_RCPT_MAX = 512 + 500 + 34, /* ORCPT and NOTIFY, RFC 3461 section 4 */
       SMTP_AUTH_LINE_MAX = 12288,     /* RFC 4954 section 4 */
};

enum smtp_body { SMTP_BODY_NONE, SMTP_BODY_7BIT, SMTP_BODY_8BITMIME };
enum smtp_ret { SMTP_RET_NONE, SMTP_RET_HDRS, SMTP_RET_FULL };
enum { SMTP_NOTIFY_NEVER = 1, SMTP_NOTIFY_SUCCESS = 2, SMTP_NOTIFY_FAILURE = 4, SMTP_NOTIFY_DELAY = 8 };

struct smtp_mail_params { /* what is zero is not written */
    struct slice from;    /* the address without brackets; empty is the null reverse-path "<>" */
    uint64_t size;
    enum smtp_body body;
    bool smtputf8;
    enum smtp_ret ret;
    struct slice envid; /* plain text; written as xtext (RFC 3461 section 4) */
};

/* `name` goes into EHLO (or HELO): a domain or an address literal. E_DATA. */
MUST err_t smtp_format_hello(struct buf *, const char *verb, struct slice name);
MUST err_t smtp_format_mail(struct buf *, const struct smtp_mail_params *);
/* `notify` is a mask of SMTP_NOTIFY_*; with it goes an ORCPT that repeats the address. 0: neither. */
MUST err_t smtp_format_rcpt(struct buf *, struct slice to, unsigned notify);
MUST err_t smtp_format_bdat(struct buf *, uint64_t size, bool last);
MUST err_t smtp_format_auth(struct buf *, const char *mechanism, const char *initial); /* initial NULL: none */
MUST err_t smtp_format_line(struct buf *, struct slice line);                          /* an AUTH answer: base64, "*" */

/* Would this be accepted as an address by the two above? `field` goes into the fault note ("--to"). E_DATA. */
MUST err_t smtp_address_check(struct slice address, const char *field);
/* No control characters at all (TAB counts as one); E_DATA naming the field. */
MUST err_t smtp_clean_check(struct slice, const char *field);
