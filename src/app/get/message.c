/* SPDX-License-Identifier: MIT */
/* message.c -- what get says to people, on stderr. Bytes from the network are escaped. */
#include <stdarg.h>
#include <stdio.h>

#include "app/get/get_impl.h"
#include "base/text.h"

void say(const struct run *r, const char *fmt, ...)
{
    char text[1024], safe[2048];
    va_list ap;
    if (r->conf->silent && !r->conf->show_error)
        return;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)text_safe(slice_of(text, n < 0                     ? 0
                                   : (size_t)n < sizeof text ? (size_t)n
                                                             : sizeof text - 1),
                    safe, sizeof safe);
    fprintf(stderr, "l7 get: %s\n", safe);
}

static bool masked(const struct run *r, struct slice line)
{
    return !r->conf->trace_secrets &&
           (slice_starts_case(line, S("authorization:")) || slice_starts_case(line, S("proxy-authorization:")) ||
            slice_starts_case(line, S("cookie:")) || slice_starts_case(line, S("set-cookie:")));
}

void say_head(const struct run *r, char mark, struct slice head)
{
    char safe[2048];
    struct slice line;
    while (head.n && slice_cut(&head, '\n', &line)) {
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (masked(r, line))
            line = slice_first(line, slice_find(line, ':', 0) + 1);
        bool hidden = line.n && line.p[line.n - 1] == ':' && masked(r, line);
        (void)text_safe(line, safe, sizeof safe);
        fprintf(stderr, "%c %s%s\n", mark, safe, hidden ? " <masked>" : "");
    }
}
