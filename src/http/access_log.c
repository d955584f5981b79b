/* SPDX-License-Identifier: MIT */
#include "http/access_log.h"

#include <time.h>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "rt/loop.h"

enum { LINE_MAX_BYTES = 256 << 10, LINE_KEPT = 16 << 10 };

/* Quotes and backslashes escaped, control characters as \xHH: a client cannot forge fields or lines. */
static err_t add_quoted(struct buf *b, struct slice s)
{
    if (s.p == NULL)
        return buf_add(b, S("\"-\""));
    TRY(buf_add_char(b, '"'));
    for (size_t at; (at = slice_find(s, '"', 0)) != SIZE_MAX; s = slice_from(s, at + 1)) {
        TRY(text_safe_add(b, slice_first(s, at)));
        TRY(buf_add(b, S("\\\"")));
    }
    TRY(text_safe_add(b, s));
    return buf_add_char(b, '"');
}

static struct slice version_text(uint8_t version)
{
    return version == 20 ? S("HTTP/2") : version == 10 ? S("HTTP/1.0") : S("HTTP/1.1");
}

/* "GET /a HTTP/1.1"; a request that could not be read is shown as it came. */
static err_t add_request(struct buf *b, const struct http_request *q)
{
    struct buf line = {.max = 64 << 10};
    err_t e = NULL;
    if (q->method_text.n)
        e = buf_format(&line, "%.*s ", SLICE_ARG(q->method_text));
    if (!e)
        e = buf_add(&line, q->target_text);
    if (!e && q->method_text.n)
        e = buf_format(&line, " %.*s", SLICE_ARG(version_text(q->version)));
    if (!e)
        e = add_quoted(b, buf_slice(&line));
    buf_free(&line);
    return e;
}

static err_t add_time(struct buf *b, int64_t wall_s)
{
    char text[40];
    struct tm tm;
    time_t t = (time_t)wall_s;
    gmtime_r(&t, &tm);
    strftime(text, sizeof text, "[%d/%b/%Y:%H:%M:%S +0000]", &tm);
    return buf_add(b, slice_z(text));
}

static err_t combined(struct buf *b, const struct exchange *x, const char *peer, int64_t wall_s)
{
    TRY(buf_format(b, "%s - - ", peer));
    TRY(add_time(b, wall_s));
    TRY(buf_add_char(b, ' '));
    TRY(add_request(b, &x->request));
    TRY(buf_format(b, " %u %llu ", x->status, (unsigned long long)x->sent));
    TRY(add_quoted(b, fields_get(&x->request.fields, F_REFERER)));
    TRY(buf_add_char(b, ' '));
    TRY(add_quoted(b, fields_get(&x->request.fields, F_USER_AGENT)));
    if (x->note.n) {
        TRY(buf_add_char(b, ' '));
        TRY(add_quoted(b, x->note));
    }
    return buf_add_char(b, '\n');
}

static void add_string(struct json *j, const char *key, struct slice s)
{
    if (s.p) {
        json_key(j, key);
        json_string(j, s);
    }
}

static err_t as_json(struct buf *b, const struct exchange *x, const char *peer, int64_t wall_s, int64_t took_ns)
{
    struct json j = json_start(b);
    json_open(&j, '{');
    json_key(&j, "time"), json_int(&j, wall_s);
    add_string(&j, "client", slice_z(peer));
    add_string(&j, "method", x->request.method_text);
    add_string(&j, "target", x->request.target_text);
    add_string(&j, "version", version_text(x->request.version));
    json_key(&j, "secure"), json_bool(&j, x->secure);
    json_key(&j, "status"), json_uint(&j, x->status);
    json_key(&j, "bytes"), json_uint(&j, x->sent);
    json_key(&j, "received"), json_uint(&j, x->received);
    json_key(&j, "seconds"), json_real(&j, (double)took_ns / 1e9, 6);
    json_key(&j, "complete"), json_bool(&j, !x->broken);
    add_string(&j, "error", x->broken ? slice_z(x->broken->text) : SLICE_NONE);
    add_string(&j, "host", fields_get(&x->request.fields, F_HOST));
    add_string(&j, "referer", fields_get(&x->request.fields, F_REFERER));
    add_string(&j, "agent", fields_get(&x->request.fields, F_USER_AGENT));
    add_string(&j, "note", x->note.n ? x->note : SLICE_NONE);
    json_close(&j, '}');
    return json_end_line(&j);
}

err_t access_log_line(struct buf *b, enum access_format format, const struct exchange *x, int64_t wall_s,
                      int64_t took_ns)
{
    char peer[ADDR_TEXT];
    addr_text_host(x->peer, peer);
    return format == ACCESS_JSON ? as_json(b, x, peer, wall_s, took_ns) : combined(b, x, peer, wall_s);
}

void access_log(struct log_file *file, enum access_format format, const struct exchange *x, struct buf *line)
{
    line->n = 0;
    line->max = LINE_MAX_BYTES;
    if (!access_log_line(line, format, x, wall_now() / TICK_S, clock_now() - x->started))
        log_file_write(file, buf_slice(line));
    if (line->cap > LINE_KEPT)
        buf_free(line);
}
