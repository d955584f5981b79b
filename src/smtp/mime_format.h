/* SPDX-License-Identifier: MIT */
/*
 * mime_format.h -- from a letter (sender, recipients, texts, files) to a message (RFC 5322, MIME).
 *
 * The result is a list of pieces: runs of bytes that were written here (headers, boundaries), and contents that are
 * encoded while they are sent (message.h). So a letter with a 1 GiB attachment takes a few hundred bytes.
 *
 *     mixed                    when there are attachments
 *       related                when there are inline files
 *         alternative          when there are both texts
 *           text/plain
 *           text/html
 *         image/png (cid)
 *       application/pdf
 *
 * Time, boundary and Message-ID are arguments: the same letter gives the same bytes.
 */
#pragma once

#include "smtp/encode.h"
#include "smtp/header_format.h"

struct mime_content { /* bytes in memory, or a file that stays open while the message lives */
    struct slice bytes;
    int fd; /* -1: `bytes` */
    uint64_t size;
    uint64_t from; /* where it begins in the file */
};
struct mime_text {
    struct mime_content content;
    struct mime_scan scan;
};
struct mime_file {
    struct mime_content content;
    struct slice name;     /* UTF-8; may be empty */
    struct slice type;     /* "image/png" */
    struct slice charset;  /* of text types, when it is known: "utf-8" */
    struct slice cid;      /* inline when not empty */
    struct mime_scan scan; /* of message/ types, which may not be encoded: see mime_is_message */
};
struct mime_field {
    struct slice name, value;
};
struct mime_letter {
    struct smtp_mailbox from;
    struct smtp_mailboxes to, cc;
    struct slice subject, message_id; /* message_id without brackets */
    bool has_subject;
    int64_t date;
    int date_offset;                 /* minutes east of UTC */
    struct slice boundary;           /* of at most 60 characters that need no care */
    const struct mime_field *fields; /* --header */
    size_t field_count;
    const struct mime_text *text, *html; /* NULL: none */
    const struct mime_file *files;
    size_t file_count;
    bool allow_8bit; /* the server takes 8BITMIME */
    bool utf8;       /* the server takes SMTPUTF8, and an address needs it */
};

struct mime_piece {
    struct mime_content content;
    struct mime_encoder encoder; /* as it starts */
    bool literal;                /* written as it is, from content.bytes */
    bool no_dots;                /* no line of it can begin with a dot */
    uint64_t size;               /* bytes on the wire, before dot-stuffing; UINT64_MAX: not measured yet */
};
struct mime_message {
    struct mime_piece *v;
    size_t n, cap;
    uint64_t size; /* of all pieces; UINT64_MAX while one is not measured */
    bool eightbit; /* some byte is above 127 */
    bool utf8;     /* the header holds UTF-8 (RFC 6532) */
};

/* A message within the message must be readable without decoding (RFC 2046 section 5.2.1: 7bit or 8bit only); one that
   cannot travel so goes as application/octet-stream, unharmed. */
bool mime_is_message(const struct mime_file *);

/* E_DATA with the field's name in the fault note. Memory comes from the arena. */
MUST err_t mime_format(const struct mime_letter *, struct arena *, struct mime_message *);

/* Is its value a list of addresses? */
bool mime_is_address_field(struct slice name);

/* Add a piece to a message that is built elsewhere (a ready message from a file). */
MUST err_t mime_add(struct arena *, struct mime_message *, const struct mime_piece *);
