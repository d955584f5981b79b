/* SPDX-License-Identifier: MIT */
/*
 * form.h -- the parts of a multipart/form-data body (RFC 7578) as -F spells them. Pure: no file is opened here.
 *
 *     name=value          name=@path[;type=T][;filename=N]          name=<path[;type=T]
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

enum form_source { FORM_TEXT, FORM_UPLOAD, FORM_CONTENT }; /* the value itself; @path; <path */

struct form_part {
    struct slice name, value; /* value: the text, or the path */
    struct slice type, filename;
    enum form_source source;
};

/* `literal`: --form-string, where @, < and ; mean nothing. The part points into `spec` and the arena, where values in
   double quotes go without them. E_USAGE, E_NO_MEMORY. */
MUST err_t form_parse(struct arena *, struct slice spec, bool literal, struct form_part *);

enum { FORM_BOUNDARY = 24 };
void form_boundary(const uint8_t random[12], char out[FORM_BOUNDARY + 1]);
/* What comes before a part's content, its delimiter included; `first` part of the body or a later one. */
MUST err_t form_head(const struct form_part *, const char *boundary, bool first, struct buf *out);
MUST err_t form_end(const char *boundary, struct buf *out);
