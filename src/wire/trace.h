/* SPDX-License-Identifier: MIT */
/*
 * trace.h -- a stream that records the dialogue that passes, for --trace.
 *
 *     0.000213 C: GET /a HTTP/1.1
 *     0.000213 C: Authorization: <masked>
 *     0.000845 S: HTTP/1.1 200 OK
 *     0.000845 S: [1024 bytes of body]
 *     0.001010 -- C closed first; TIME_WAIT stays on C
 *
 * C is the side that opened the connection. Text lines are escaped (text_safe); bodies are counted, not shown.
 * A protocol that sends secrets marks them: between trace_secret(s, true) and (s, false) written lines show as
 * masked, unless the sink was opened with secrets. Header fields Authorization, Proxy-Authorization, Cookie and
 * Set-Cookie are masked by their names.
 */
#pragma once

#include "net/stream.h"

struct trace_sink; /* where lines go: stderr or a file; shared by the connections of a process */

MUST err_t trace_open(const char *path, bool secrets, struct trace_sink **); /* NULL or "": stderr */
void trace_close(struct trace_sink *);
void trace_note(struct trace_sink *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3))); /* "-- " line; NULL sink: nothing */
/* One decoded line for a frame or datagram: who is 'C' or 'S'. NULL sink: nothing. */
void trace_line(struct trace_sink *, char who, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

enum trace_kind { TRACE_HTTP, TRACE_LINES, TRACE_BINARY }; /* TRACE_LINES: SMTP, echo */

/* Takes `below` over. `we` is 'C' or 'S': which side writes. With a NULL sink returns `below` itself. */
struct stream *stream_trace(struct stream *below, struct trace_sink *, char we, enum trace_kind);
void trace_secret(struct stream *, bool on); /* looks for the trace in the chain; without one does nothing */

/* For what comes between a trace and the bytes while the dialogue goes on (STARTTLS): take the trace off the top of a
   stream, and lower it onto another. Without a trace on top `*t` is NULL and `s` comes back; lowering onto NULL frees.
 */
struct trace;
struct stream *trace_lift(struct stream *s, struct trace **t);
struct stream *trace_lower(struct trace *t, struct stream *below);
