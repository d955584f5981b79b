/* SPDX-License-Identifier: MIT */
#include "smtp/command_format.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "smtp/address.h"

err_t smtp_clean_check(struct slice s, const char *field)
{
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        if (c == '\r' || c == '\n')
            return fault(E_DATA, "%s: a line end inside is not allowed", field);
        if (c == 0)
            return fault(E_DATA, "%s: a NUL byte inside is not allowed", field);
        if (c < 0x20 || c == 0x7f)
            return fault(E_DATA, "%s: control character 0x%02x inside is not allowed", field, c);
    }
    return NULL;
}

/* Where the domain starts: the last '@' that is not inside a quoted string, or SIZE_MAX. */
static size_t find_at(struct slice a)
{
    size_t at = SIZE_MAX;
    bool quoted = false;
    for (size_t i = 0; i < a.n; i++) {
        if (quoted && a.p[i] == '\\')
            i++;
        else if (a.p[i] == '"')
            quoted = !quoted;
        else if (a.p[i] == '@' && !quoted)
            at = i;
    }
    return at;
}

/* A local part with characters that end a path must be a quoted string (RFC 5321 section 4.1.2). */
static bool local_fits(struct slice local)
{
    if (local.n >= 2 && local.p[0] == '"')
        return local.p[local.n - 1] == '"';
    for (size_t i = 0; i < local.n; i++)
        if (strchr(" <>()[],;:\\\"@", local.p[i]))
            return false;
    return local.n && local.p[0] != '.' && local.p[local.n - 1] != '.';
}

static bool domain_fits(struct slice domain)
{
    if (domain.n == 0 || domain.p[0] == '.' || domain.p[0] == '-')
        return false;
    bool literal = domain.p[0] == '[';
    if (literal && (domain.n < 3 || domain.p[domain.n - 1] != ']'))
        return false;
    for (size_t i = literal; i < domain.n - literal; i++) {
        char c = domain.p[i];
        bool plain = ascii_alpha(c) || ascii_digit(c) || c == '-' || c == '.' || (uint8_t)c >= 0x80 || c == '_';
        if (!plain && !(literal && c == ':'))
            return false;
    }
    return true;
}

err_t smtp_address_check(struct slice a, const char *field)
{
    char shown[121];
    TRY(smtp_clean_check(a, field));
    text_safe(a, shown, sizeof shown);
    if (!text_utf8_valid(a))
        return fault(E_DATA, "%s: the address '%s' is not UTF-8", field, shown);
    size_t at = find_at(a);
    struct slice local = slice_first(a, at), domain = at == SIZE_MAX ? SLICE_NONE : slice_from(a, at + 1);
    /* RFC 5321 section 4.5.1: postmaster needs no domain; local servers take bare names in general. */
    if (a.n == 0 || !local_fits(local) || (at != SIZE_MAX && !domain_fits(domain)))
        return fault(E_DATA, "%s: '%s' is not a mail address", field, shown);
    if (local.n > SMTP_LOCAL_MAX)
        return fault(E_DATA, "%s: the part before '@' is longer than %d bytes in '%s'", field, SMTP_LOCAL_MAX, shown);
    if (domain.n > SMTP_DOMAIN_MAX || a.n + 2 > SMTP_PATH_MAX)
        return fault(E_DATA, "%s: the address is longer than %d bytes: '%s'", field, SMTP_PATH_MAX - 2, shown);
    return NULL;
}

/* Close the line that began at `start`: add CRLF, or take it back when it is too long. */
static err_t end_line(struct buf *b, size_t start, size_t max, const char *what)
{
    err_t e = buf_add(b, S("\r\n"));
    if (!e && b->n - start > max)
        e = fault(E_DATA, "%s: the command line would be longer than %zu bytes", what, max);
    if (e)
        b->n = start;
    return e;
}

err_t smtp_format_hello(struct buf *b, const char *verb, struct slice name)
{
    size_t start = b->n;
    TRY(smtp_clean_check(name, "--ehlo"));
    if (!domain_fits(name) || name.n > SMTP_DOMAIN_MAX)
        return fault(E_DATA, "--ehlo: '%.*s' is not a host name or [address]", (int)(name.n > 100 ? 100 : name.n),
                     name.p);
    TRY(buf_format(b, "%s %.*s", verb, SLICE_ARG(name)));
    return end_line(b, start, SMTP_COMMAND_MAX, verb);
}

/* RFC 3461 section 4: everything outside '!'..'~', and '+' and '=', becomes +HH. */
static err_t add_xtext(struct buf *b, struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        if (c < '!' || c > '~' || c == '+' || c == '=')
            TRY(buf_format(b, "+%02X", c));
        else
            TRY(buf_add_char(b, (char)c));
    }
    return NULL;
}

static err_t add_mail_params(struct buf *b, const struct smtp_mail_params *m)
{
    if (m->size)
        TRY(buf_format(b, " SIZE=%" PRIu64, m->size));
    if (m->body)
        TRY(buf_add(b, m->body == SMTP_BODY_8BITMIME ? S(" BODY=8BITMIME") : S(" BODY=7BIT")));
    if (m->smtputf8)
        TRY(buf_add(b, S(" SMTPUTF8")));
    if (m->ret)
        TRY(buf_add(b, m->ret == SMTP_RET_FULL ? S(" RET=FULL") : S(" RET=HDRS")));
    if (m->envid.n == 0)
        return NULL;
    TRY(smtp_clean_check(m->envid, "--dsn-envid"));
    if (m->envid.n > 100)
        return fault(E_DATA, "--dsn-envid: longer than 100 bytes (RFC 3461 section 4.4)");
    TRY(buf_add(b, S(" ENVID=")));
    return add_xtext(b, m->envid);
}

err_t smtp_format_mail(struct buf *b, const struct smtp_mail_params *m)
{
    size_t start = b->n;
    if (m->from.n)
        TRY(smtp_address_check(m->from, "the sender"));
    TRY(buf_add(b, S("MAIL FROM:<")));
    err_t e = buf_add(b, m->from);
    if (!e)
        e = buf_add_char(b, '>');
    if (!e)
        e = add_mail_params(b, m);
    if (e) {
        b->n = start;
        return e;
    }
    return end_line(b, start, SMTP_MAIL_MAX, "MAIL");
}

/* RFC 6533 section 3: beyond ASCII as it is, but what would end or split the parameter becomes \x{HH}. */
static err_t add_unitext(struct buf *b, struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        if (c < '!' || c == 0x7f || strchr("+=\\", c))
            TRY(buf_format(b, "\\x{%02X}", c));
        else
            TRY(buf_add_char(b, (char)c));
    }
    return NULL;
}

static err_t add_notify(struct buf *b, struct slice to, unsigned notify)
{
    static const char *const names[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
    const char *gap = " NOTIFY=";
    for (unsigned i = 0; i < 4; i++)
        if (notify & 1u << i) {
            TRY(buf_format(b, "%s%s", gap, names[i]));
            gap = ",";
        }
    TRY(buf_add(b, S(" ORCPT=")));
    bool ascii = smtp_is_ascii(to);
    TRY(buf_add(b, ascii ? S("rfc822;") : S("utf-8;")));
    return ascii ? add_xtext(b, to) : add_unitext(b, to);
}

err_t smtp_format_rcpt(struct buf *b, struct slice to, unsigned notify)
{
    size_t start = b->n;
    TRY(smtp_address_check(to, "a recipient"));
    TRY(buf_add(b, S("RCPT TO:<")));
    err_t e = buf_add(b, to);
    if (!e)
        e = buf_add_char(b, '>');
    if (!e && notify)
        e = add_notify(b, to, notify);
    if (e) {
        b->n = start;
        return e;
    }
    return end_line(b, start, SMTP_RCPT_MAX, "RCPT");
}

err_t smtp_format_bdat(struct buf *b, uint64_t size, bool last)
{
    return buf_format(b, "BDAT %" PRIu64 "%s\r\n", size, last ? " LAST" : "");
}

err_t smtp_format_auth(struct buf *b, const char *mechanism, const char *initial)
{
    size_t start = b->n;
    TRY(smtp_clean_check(slice_z(mechanism), "--auth"));
    TRY(smtp_clean_check(slice_z(initial), "AUTH"));
    /* RFC 4954 section 4: an empty initial response is written "=". */
    TRY(buf_format(b, "AUTH %s%s%s", mechanism, initial ? " " : "",
                   initial && !*initial ? "="
                   : initial            ? initial
                                        : ""));
    return end_line(b, start, SMTP_AUTH_LINE_MAX, "AUTH");
}

err_t smtp_format_line(struct buf *b, struct slice line)
{
    size_t start = b->n;
    TRY(smtp_clean_check(line, "AUTH"));
    TRY(buf_add(b, line));
    return end_line(b, start, SMTP_AUTH_LINE_MAX, "AUTH");
}
