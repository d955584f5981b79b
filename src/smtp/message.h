/* SPDX-License-Identifier: MIT */
/*
 * message.h -- reading a message (mime_format.h) as it goes over the wire, in chunks of bounded size.
 *
 * Literal pieces are handed out in place; contents are read from memory or by pread(2) and encoded into the reader's
 * buffer. A file that turns out shorter than it was when the message was made is E_CHANGED: the size had been
 * promised to the server.
 */
#pragma once

#include "smtp/mime_format.h"

enum { MESSAGE_READ = 57 * 1024 /* whole base64 lines */, MESSAGE_TEXT_READ = 16 * 1024 };

struct message_reader {
    const struct mime_message *message;
    size_t piece;
    uint64_t at; /* source bytes of the piece that were read */
    struct mime_encoder encoder;
    char *in, *out; /* allocated when the first content comes */
};

void message_reader_start(struct message_reader *, const struct mime_message *);
void message_reader_done(struct message_reader *);
/* The next chunk; n = 0 at the end. `*no_dots`: no line of it begins with a dot. Valid until the next call. */
MUST err_t message_reader_next(struct message_reader *, struct slice *chunk, bool *no_dots);

/* Find the sizes that need a trial encoding (quoted-printable). */
MUST err_t message_measure(struct mime_message *);

/* Look at a content from start to end. */
MUST err_t content_scan(const struct mime_content *, struct mime_scan *);
