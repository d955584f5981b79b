/* SPDX-License-Identifier: MIT */
#include "smtp/request_parse.h"

#include "base/text.h"

static const char *const verbs[SMTP_VERBS] = {"EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA",
                                              "BDAT", "RSET", "NOOP",     "QUIT", "VRFY", "EXPN", "HELP"};

/* ---- addresses ---- */

/* "<...>" at the start of `*rest`, quoted strings respected; the part between the brackets. */
static bool cut_path(struct slice *rest, struct slice *path)
{
    bool quoted = false;
    if (rest->n < 2 || rest->p[0] != '<')
        return false;
    for (size_t i = 1; i < rest->n; i++) {
        char c = rest->p[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (c == '>' && !quoted) {
            *path = slice_of(rest->p + 1, i - 1);
            *rest = slice_from(*rest, i + 1);
            return rest->n == 0 || rest->p[0] == ' ';
        }
    }
    return false;
}

/* Drop "@a,@b:" (RFC 5321 appendix C). */
static struct slice without_route(struct slice path)
{
    size_t colon = path.n && path.p[0] == '@' ? slice_find(path, ':', 0) : SIZE_MAX;
    return colon == SIZE_MAX ? path : slice_from(path, colon + 1);
}

/* ---- parameters ---- */

static bool xtext_valid(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '!' || s.p[i] > '~' || s.p[i] == '=')
            return false;
        if (s.p[i] == '+' && (i + 2 >= s.n || ascii_hex(s.p[i + 1]) < 0 || ascii_hex(s.p[i + 2]) < 0))
            return false;
        i += s.p[i] == '+' ? 2 : 0;
    }
    return s.n > 0;
}

static const char *mail_param(struct smtp_request *r, struct slice name, struct slice value)
{
    if (slice_eq_case(name, S("SIZE")))
        return value.n <= 20 && slice_u64(value, &r->size) ? NULL : "501 5.5.4 SIZE wants a number";
    if (slice_eq_case(name, S("BODY"))) {
        r->body = slice_eq_case(value, S("8BITMIME")) ? SMTP_BODY_8BITMIME
                  : slice_eq_case(value, S("7BIT"))   ? SMTP_BODY_7BIT
                                                      : SMTP_BODY_NONE;
        return r->body ? NULL : "501 5.5.4 BODY is 7BIT or 8BITMIME";
    }
    if (slice_eq_case(name, S("SMTPUTF8"))) {
        r->smtputf8 = true;
        return value.p ? "501 5.5.4 SMTPUTF8 takes no value" : NULL;
    }
    if (slice_eq_case(name, S("RET"))) {
        r->ret = slice_eq_case(value, S("FULL"))   ? SMTP_RET_FULL
                 : slice_eq_case(value, S("HDRS")) ? SMTP_RET_HDRS
                                                   : SMTP_RET_NONE;
        return r->ret ? NULL : "501 5.5.4 RET is FULL or HDRS";
    }
    if (slice_eq_case(name, S("ENVID"))) {
        r->envid = value;
        return xtext_valid(value) && value.n <= 300 ? NULL : "501 5.5.4 ENVID wants xtext";
    }
    if (slice_eq_case(name, S("AUTH"))) {
        r->auth = value;
        return xtext_valid(value) ? NULL : "501 5.5.4 AUTH wants xtext";
    }
    return "555 5.5.4 No such parameter of MAIL";
}

static const char *notify_param(struct smtp_request *r, struct slice value)
{
    static const char *const names[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
    struct slice word;
    while (slice_cut(&value, ',', &word)) {
        unsigned bit = 0;
        for (unsigned i = 0; i < 4; i++)
            bit |= slice_eq_case(word, slice_z(names[i])) ? 1u << i : 0;
        if (!bit)
            return "501 5.5.4 NOTIFY is NEVER, or SUCCESS, FAILURE, DELAY";
        r->notify |= bit;
    }
    bool alone = !(r->notify & SMTP_NOTIFY_NEVER) || r->notify == SMTP_NOTIFY_NEVER;
    return r->notify && alone ? NULL : "501 5.5.4 NOTIFY=NEVER stands alone";
}

static const char *rcpt_param(struct smtp_request *r, struct slice name, struct slice value)
{
    if (slice_eq_case(name, S("NOTIFY")))
        return notify_param(r, value);
    if (slice_eq_case(name, S("ORCPT"))) {
        size_t semicolon = slice_find(value, ';', 0);
        r->orcpt = value;
        return semicolon != SIZE_MAX && semicolon > 0 && value.n <= 500 ? NULL : "501 5.5.4 ORCPT wants TYPE;ADDRESS";
    }
    return "555 5.5.4 No such parameter of RCPT";
}

static const char *params(struct smtp_request *r, struct slice rest)
{
    struct slice word;
    while (slice_cut(&rest, ' ', &word)) {
        if (word.n == 0)
            continue;
        size_t equals = slice_find(word, '=', 0);
        struct slice name = slice_first(word, equals);
        struct slice value = equals == SIZE_MAX ? SLICE_NONE : slice_from(word, equals + 1);
        const char *no = r->verb == SMTP_MAIL ? mail_param(r, name, value) : rcpt_param(r, name, value);
        if (no)
            return no;
        r->extended = true;
    }
    return NULL;
}

/* ---- one command each ---- */

static const char *path_command(struct smtp_request *r, struct slice rest, struct slice keyword, const char *syntax)
{
    struct slice path;
    if (!slice_starts_case(rest, keyword))
        return syntax;
    rest = slice_from(rest, keyword.n);
    if (rest.n && rest.p[0] == ' ') /* "MAIL FROM: <a>": common enough, and harmless */
        rest = slice_from(rest, 1);
    if (!cut_path(&rest, &path))
        return syntax;
    r->arg = without_route(path);
    bool null_path = r->verb == SMTP_MAIL && path.n == 0;
    if (!null_path && smtp_address_check(r->arg, "")) {
        fault_clear();
        return r->verb == SMTP_MAIL ? "553 5.1.7 Not a mail address" : "553 5.1.3 Not a mail address";
    }
    return params(r, rest);
}

static const char *hello(struct smtp_request *r, struct slice rest)
{
    r->arg = slice_trim(rest);
    bool fits = r->arg.n > 0 && r->arg.n <= SMTP_DOMAIN_MAX && !slice_has(r->arg, ' ');
    return fits ? NULL : r->verb == SMTP_EHLO ? "501 5.5.4 EHLO wants a host name" : "501 5.5.4 HELO wants a host name";
}

static const char *bdat(struct smtp_request *r, struct slice rest)
{
    struct slice word;
    if (!slice_cut(&rest, ' ', &word) || word.n > 19 || !slice_u64(word, &r->size))
        return "501 5.5.4 BDAT wants a length";
    rest = slice_trim(rest);
    r->last = slice_eq_case(rest, S("LAST"));
    return rest.n == 0 || r->last ? NULL : "501 5.5.4 BDAT ends with LAST or nothing";
}

static const char *auth(struct smtp_request *r, struct slice rest)
{
    if (!slice_cut(&rest, ' ', &r->mechanism) || r->mechanism.n == 0 || r->mechanism.n > 20)
        return "501 5.5.4 AUTH wants a mechanism";
    r->initial = rest.n ? slice_trim(rest) : SLICE_NONE;
    return NULL;
}

const char *smtp_request_parse(struct slice line, struct smtp_request *r)
{
    struct slice word, rest = line;
    *r = (struct smtp_request){.verb = SMTP_VERBS};
    for (size_t i = 0; i < line.n; i++)
        if ((uint8_t)line.p[i] < 0x20 || line.p[i] == 0x7f)
            return "500 5.5.2 Control characters have no place in a command";
    if (!text_utf8_valid(line))
        return "500 5.5.2 Not UTF-8";
    if (!slice_cut(&rest, ' ', &word))
        return "500 5.5.2 An empty line is no command";
    for (unsigned i = 0; i < SMTP_VERBS; i++)
        if (slice_eq_case(word, slice_z(verbs[i])))
            r->verb = (enum smtp_verb)i;
    r->arg = rest;
    switch (r->verb) {
    case SMTP_EHLO:
    case SMTP_HELO:
        return hello(r, rest);
    case SMTP_MAIL:
        return path_command(r, rest, S("FROM:"), "501 5.5.4 Syntax: MAIL FROM:<address>");
    case SMTP_RCPT:
        return path_command(r, rest, S("TO:"), "501 5.5.4 Syntax: RCPT TO:<address>");
    case SMTP_BDAT:
        return bdat(r, rest);
    case SMTP_AUTH:
        return auth(r, rest);
    case SMTP_STARTTLS:
    case SMTP_DATA:
    case SMTP_RSET:
    case SMTP_QUIT:
        return slice_trim(rest).n ? "501 5.5.4 This command takes no argument" : NULL;
    case SMTP_VERBS:
        return "500 5.5.1 Command not known";
    case SMTP_NOOP:
    case SMTP_VRFY:
    case SMTP_EXPN:
    case SMTP_HELP:
        return NULL;
    }
    return NULL;
}
