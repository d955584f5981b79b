/* SPDX-License-Identifier: MIT */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"

#define ERR_ROW(name, text, kind, http, exit, sysexit, retry)                                                          \
    const struct err name[1] = {{#name, text, kind, http, exit, sysexit, retry}};
#include "base/err.def"
#undef ERR_ROW

static _Thread_local struct fault_note outside_fiber;
_Thread_local struct fault_note *fault_here;

static struct fault_note *note(void)
{
    return fault_here ? fault_here : &outside_fiber;
}

err_t err_errno(int errnum)
{
    switch (errnum) {
    case ECONNREFUSED:
        return E_REFUSED;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
        return E_RESET;
    case ETIMEDOUT:
        return E_TIMEOUT;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
        return E_UNREACHABLE;
    case EADDRINUSE:
        return E_BUSY;
    case EMFILE:
    case ENFILE:
        return E_NO_FDS;
    case ENOMEM:
    case ENOBUFS:
        return E_NO_MEMORY;
    case ENOSPC:
    case EDQUOT:
        return E_NO_SPACE;
    case ENOENT:
    case ENOTDIR:
        return E_NOT_FOUND;
    case EEXIST:
        return E_EXISTS;
    case EISDIR:
        return E_FOLDER;
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP:
    case EXDEV:
        return E_PERMISSION;
    case ECANCELED:
        return E_CANCELED;
    case EMSGSIZE:
        return E_TOO_LARGE;
    default:
        return E_IO;
    }
}

err_t fault(err_t e, const char *fmt, ...)
{
    char raw[sizeof note()->text];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof raw ? (size_t)n : sizeof raw - 1;
    text_safe(slice_of(raw, len), note()->text, sizeof note()->text);
    return e;
}

const char *fault_detail(void)
{
    return note()->text;
}

void fault_clear(void)
{
    note()->text[0] = 0;
}

const char *fault_text(err_t e, char *out, size_t cap)
{
    const char *detail = fault_detail();
    snprintf(out, cap, "%s%s%s", detail, *detail ? ": " : "", e->text);
    return out;
}

const char *err_advice(err_t e)
{
    static const struct {
        err_t e;
        const char *text;
    } advice[] = {
        {E_REFUSED, " (is the server running?)"},    {E_NO_HOST, " (is the name spelled right?)"},
        {E_RESOLVE, " (is there a network?)"},       {E_BUSY, " (another program has it; --listen chooses another)"},
        {E_NO_FDS, " (ulimit -n raises the limit)"},
    };
    for (size_t i = 0; i < sizeof advice / sizeof *advice; i++)
        if (advice[i].e == e)
            return advice[i].text;
    return "";
}

_Noreturn void check_failed(const char *expr, const char *file, int line, const char *func)
{
    fprintf(stderr, "l7: bug: %s:%d: %s: CHECK(%s) failed\n", file, line, func, expr);
    abort();
}
