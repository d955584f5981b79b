/* SPDX-License-Identifier: MIT */
#include "http/body.h"

#include "http/fields.h"
#include "http/status.h"

bool body_length(struct slice value, uint64_t *out)
{
    uint64_t n;
    if (!slice_u64(value, &n) || n > INT64_MAX) /* offsets of files are signed */
        return false;
    *out = n;
    return true;
}

enum coding { CODING_CHUNKED, CODING_OTHER, CODING_BAD };

/* What Transfer-Encoding comes to (section 6.1): chunked must be there once and last. */
static enum coding transfer_coding(const struct http_fields *f, const char **why)
{
    struct fields_list l = {.fields = f, .id = F_TRANSFER_ENCODING};
    struct slice e;
    unsigned codings = 0;
    bool last_chunked = false;
    while (fields_element(&l, &e)) {
        if (last_chunked) {
            *why = "a transfer coding after chunked";
            return CODING_BAD;
        }
        last_chunked = slice_eq_case(e, S("chunked"));
        codings++;
    }
    *why = codings ? "a transfer coding that does not end in chunked" : "an empty Transfer-Encoding field";
    if (codings == 0)
        return CODING_BAD;
    return last_chunked && codings == 1 ? CODING_CHUNKED : CODING_OTHER;
}

static bool ends_chunked(const struct http_fields *f)
{
    struct fields_list l = {.fields = f, .id = F_TRANSFER_ENCODING};
    struct slice e;
    bool last = false;
    while (fields_element(&l, &e))
        last = slice_eq_case(e, S("chunked"));
    return last;
}

static err_t request_coding(const struct http_request *q, struct body_framing *out)
{
    const char *why;
    if (fields_has(&q->fields, F_CONTENT_LENGTH))
        return fault(E_BAD_REQUEST, "both Content-Length and Transfer-Encoding");
    if (q->version < 11)
        return fault(E_BAD_REQUEST, "Transfer-Encoding in an HTTP/1.0 request");
    switch (transfer_coding(&q->fields, &why)) {
    case CODING_CHUNKED:
        *out = (struct body_framing){BODY_CHUNKED, UINT64_MAX};
        return NULL;
    case CODING_OTHER:
        if (ends_chunked(&q->fields))
            return fault(E_UNSUPPORTED, "a transfer coding other than chunked");
        return fault(E_BAD_REQUEST, "%s", why);
    default:
        return fault(E_BAD_REQUEST, "%s", why);
    }
}

err_t body_of_request(const struct http_request *q, struct body_framing *out)
{
    uint64_t n;
    if (fields_has(&q->fields, F_TRANSFER_ENCODING))
        return request_coding(q, out);
    if (!fields_has(&q->fields, F_CONTENT_LENGTH)) {
        *out = (struct body_framing){BODY_NONE, 0};
        return NULL;
    }
    struct slice value;
    if (!fields_only(&q->fields, F_CONTENT_LENGTH, &value))
        return fault(E_BAD_REQUEST, "more than one Content-Length field");
    if (!body_length(value, &n))
        return fault(E_BAD_REQUEST, "malformed Content-Length");
    *out = (struct body_framing){n ? BODY_LENGTH : BODY_NONE, n};
    return NULL;
}

/* One line with one number, as nearly always. */
static bool plain_length(const struct http_fields *f, uint64_t *out)
{
    struct slice value;
    return fields_only(f, F_CONTENT_LENGTH, &value) && body_length(value, out);
}

/* All lengths of a response, which may be repeated if they agree (RFC 9110 section 8.6). */
static bool agreed_length(const struct http_fields *f, uint64_t *out)
{
    struct fields_list l = {.fields = f, .id = F_CONTENT_LENGTH};
    struct slice e;
    bool any = false;
    for (uint64_t n; fields_element(&l, &e); any = true) {
        if (!body_length(e, &n) || (any && n != *out))
            return false;
        *out = n;
    }
    return any;
}

void body_settle_length(struct http_response *s, enum http_method method)
{
    struct http_fields *f = &s->fields;
    uint64_t n;
    if (!fields_has(f, F_CONTENT_LENGTH))
        return;
    struct slice one, rest = fields_get(f, F_CONTENT_LENGTH);
    bool none = s->status < 200 || s->status == 204 || (method == M_CONNECT && s->status < 300);
    if (!none && plain_length(f, &n))
        return;
    bool agreed = !none && agreed_length(f, &n) && fields_cut(&rest, &one);
    fields_remove(f, F_CONTENT_LENGTH);
    if (agreed)
        (void)fields_push(f, fields_name(F_CONTENT_LENGTH), one); /* there is room: one line or more was removed */
}

/* One coding that nobody has defined, such as the "binary" or "identity" of misconfigured servers: there is nothing to
   undo, and the body ends with the connection (section 6.3). Whatever a careless reader could take for chunked, and the
   codings of section 7.2, which have been applied to the content although nobody asked for them, are not meant. */
static bool coding_is_nothing(const struct http_fields *f)
{
    static const struct slice real[] = {S("compress"), S("x-compress"), S("deflate"), S("gzip"), S("x-gzip")};
    struct slice name = slice_trim(fields_get(f, F_TRANSFER_ENCODING));
    if (fields_count(f, F_TRANSFER_ENCODING) > 1 || !fields_name_ok(name))
        return false;
    for (size_t i = 0; i < sizeof real / sizeof real[0]; i++)
        if (slice_eq_case(name, real[i]))
            return false;
    for (size_t i = 0; i < name.n; i++)
        if (slice_starts_case(slice_from(name, i), S("chunk")))
            return false;
    return true;
}

err_t body_of_response(const struct http_response *s, enum http_method method, bool lenient, struct body_framing *out)
{
    const char *why;
    *out = (struct body_framing){BODY_NONE, 0};
    if (method == M_HEAD || !status_has_body(s->status) || (method == M_CONNECT && s->status < 300))
        return NULL;
    if (fields_has(&s->fields, F_TRANSFER_ENCODING)) {
        if (fields_has(&s->fields, F_CONTENT_LENGTH) && !lenient)
            return fault(E_PROTO, "both Content-Length and Transfer-Encoding");
        if (s->version == 10 && !lenient)
            return fault(E_PROTO, "Transfer-Encoding in an HTTP/1.0 response");
        enum coding c = transfer_coding(&s->fields, &why);
        if (c == CODING_BAD && !lenient)
            return fault(E_PROTO, "%s", why);
        if (c == CODING_OTHER && !coding_is_nothing(&s->fields))
            return fault(E_UNSUPPORTED, "a transfer coding other than chunked");
        *out = (struct body_framing){c == CODING_CHUNKED ? BODY_CHUNKED : BODY_CLOSE, UINT64_MAX};
        return NULL;
    }
    uint64_t n;
    if (!fields_has(&s->fields, F_CONTENT_LENGTH)) {
        *out = (struct body_framing){BODY_CLOSE, UINT64_MAX};
        return NULL;
    }
    out->settled = plain_length(&s->fields, &n);
    if (out->settled || agreed_length(&s->fields, &n)) {
        out->kind = n ? BODY_LENGTH : BODY_NONE;
        out->length = n;
        return NULL;
    }
    if (!lenient)
        return fault(E_PROTO, "malformed or differing Content-Length");
    *out = (struct body_framing){BODY_CLOSE, UINT64_MAX};
    return NULL;
}

/* ---- Chunked ---- */

enum state { SIZE, PADDING, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, LINE, NAME, VALUE, LINE_LF, LAST_LF, OVER };

static err_t bad(const char *why)
{
    return fault(E_DATA, "chunked body: %s", why);
}

static err_t size_byte(struct chunked *c, char b)
{
    int d = ascii_hex(b);
    if (d >= 0 && c->state == SIZE) {
        if (c->left >> 56 || c->digits == CHUNKED_DIGITS_MAX) /* 60 bits: no file is larger */
            return bad("chunk size too large");
        c->left = c->left << 4 | (uint64_t)d;
        c->digits++; /* zeros in front count, too */
        return NULL;
    }
    if (c->digits == 0)
        return bad("a chunk must begin with its size in hexadecimal");
    if (b == '\r' && c->state != PADDING)
        c->state = SIZE_LF;
    else if (b == ';')
        c->state = EXTENSION;
    else if ((b == ' ' || b == '\t') && c->state != EXTENSION)
        c->state = PADDING; /* BWS, which only an extension may follow (section 7.1.1) */
    else if (c->state != EXTENSION || ((unsigned char)b < 0x20 && b != '\t') || b == 0x7f)
        return bad("malformed chunk size line");
    return NULL;
}

/* Trailer lines are checked here for their shape, so that they can be dropped as safely as used. */
static err_t trailer_byte(struct chunked *c, char b)
{
    switch (c->state) {
    case LINE:
        if (b == '\r')
            c->state = LAST_LF;
        else if (fields_name_ok(slice_of(&b, 1)))
            c->state = NAME;
        else
            return bad("malformed trailer field");
        return NULL;
    case NAME:
        if (b == ':')
            c->state = VALUE;
        else if (!fields_name_ok(slice_of(&b, 1)))
            return bad("malformed trailer field");
        return NULL;
    case VALUE:
        if (b == '\r')
            c->state = LINE_LF;
        else if (!fields_value_ok(slice_of(&b, 1)))
            return bad("control character in a trailer field");
        return NULL;
    case LINE_LF:
    default:
        if (b != '\n')
            return bad("CR without LF");
        c->state = c->state == LINE_LF ? LINE : OVER;
        return NULL;
    }
}

static err_t count(struct chunked *c)
{
    if (c->state != SIZE && (++c->line > CHUNKED_LINE_MAX || ++c->extra > CHUNKED_EXTRA_MAX))
        return fault(E_HEADER_TOO_LARGE, "chunk extensions or trailers");
    return NULL;
}

static err_t framing_byte(struct chunked *c, char b)
{
    switch (c->state) {
    case SIZE:
    case PADDING:
    case EXTENSION:
        TRY(count(c));
        return size_byte(c, b);
    case SIZE_LF:
        if (b != '\n')
            return bad("CR without LF");
        c->state = c->left ? DATA : LINE;
        c->line = c->digits = 0;
        return NULL;
    case DATA_CR:
        c->state = DATA_LF;
        return b == '\r' ? NULL : bad("a chunk is longer than its size says");
    case DATA_LF:
        c->state = SIZE;
        return b == '\n' ? NULL : bad("a chunk is longer than its size says");
    default:
        TRY(count(c));
        TRY(trailer_byte(c, b));
        return c->trailers ? buf_add_char(c->trailers, b) : NULL;
    }
}

err_t chunked_decode(struct chunked *c, struct slice in, size_t *used, struct slice *data, bool *done)
{
    size_t at = 0;
    struct slice run = SLICE_NONE;
    while (at < in.n && c->state != OVER) {
        if (c->state == DATA) {
            run = slice_first(slice_from(in, at), c->left < SIZE_MAX ? (size_t)c->left : SIZE_MAX);
            at += run.n;
            c->left -= run.n;
            if (c->left == 0)
                c->state = DATA_CR;
            break;
        }
        TRY(framing_byte(c, in.p[at]));
        at++;
    }
    *used = at;
    *data = run;
    *done = c->state == OVER;
    return NULL;
}

size_t chunked_head(uint64_t n, char out[CHUNKED_HEAD_MAX])
{
    static const char hex[] = "0123456789abcdef";
    size_t digits = 1, at = 0;
    while (digits < 16 && n >> (4 * digits))
        digits++;
    for (; at < digits; at++)
        out[at] = hex[n >> (4 * (digits - 1 - at)) & 15];
    out[at++] = '\r';
    out[at++] = '\n';
    return at;
}
