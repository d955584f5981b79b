/* SPDX-License-Identifier: MIT */
#include "http/structured.h"

static bool key_char(char c, bool first)
{
    if ((c >= 'a' && c <= 'z') || c == '*')
        return true;
    return !first && (ascii_digit(c) || c == '_' || c == '-' || c == '.');
}

static size_t key_length(struct slice s)
{
    size_t n = 0;
    while (n < s.n && key_char(s.p[n], n == 0))
        n++;
    return n;
}

static bool token_char(char c)
{
    return ascii_digit(c) || ascii_alpha(c) || (c && strchr("!#$%&'*+-.^_`|~:/", c));
}

static struct slice skip_spaces(struct slice s, bool tabs)
{
    while (s.n && (s.p[0] == ' ' || (tabs && s.p[0] == '\t')))
        s = slice_from(s, 1);
    return s;
}

/* Each reader returns the length of the item at the start of `s`, or 0 when it is none. */
static size_t number_length(struct slice s, enum structured_type *type)
{
    size_t i = s.n && s.p[0] == '-', whole = 0, fraction = 0;
    while (i < s.n && ascii_digit(s.p[i]))
        i++, whole++;
    *type = STRUCTURED_INTEGER;
    if (i < s.n && s.p[i] == '.') {
        for (i++; i < s.n && ascii_digit(s.p[i]); i++)
            fraction++;
        *type = STRUCTURED_DECIMAL;
        return whole >= 1 && whole <= 12 && fraction >= 1 && fraction <= 3 ? i : 0;
    }
    return whole >= 1 && whole <= 15 ? i : 0;
}

static size_t string_length(struct slice s)
{
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] == '"')
            return i + 1;
        if (s.p[i] == '\\') {
            if (++i == s.n || (s.p[i] != '"' && s.p[i] != '\\'))
                return 0;
        } else if (s.p[i] < 0x20 || s.p[i] > 0x7e) {
            return 0;
        }
    }
    return 0;
}

static size_t bytes_length(struct slice s)
{
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] == ':')
            return i + 1;
        if (!ascii_digit(s.p[i]) && !ascii_alpha(s.p[i]) && !strchr("+/=", s.p[i]))
            return 0;
    }
    return 0;
}

static size_t bare_item(struct slice s, struct structured_member *m)
{
    if (!s.n)
        return 0;
    size_t n = 0;
    char c = s.p[0];
    m->type = STRUCTURED_OTHER;
    if (ascii_digit(c) || c == '-') {
        n = number_length(s, &m->type);
    } else if (c == '"') {
        n = string_length(s);
        m->type = STRUCTURED_STRING;
    } else if (c == '*' || ascii_alpha(c)) {
        while (n < s.n && token_char(s.p[n]))
            n++;
        m->type = STRUCTURED_TOKEN;
    } else if (c == '?') {
        n = s.n >= 2 && (s.p[1] == '0' || s.p[1] == '1') ? 2 : 0;
        m->type = n && s.p[1] == '1' ? STRUCTURED_TRUE : STRUCTURED_FALSE;
    } else if (c == ':') {
        n = bytes_length(s);
    } else if (c == '@') {
        enum structured_type type;
        size_t digits = number_length(slice_from(s, 1), &type);
        n = digits && type == STRUCTURED_INTEGER ? digits + 1 : 0;
    } else if (c == '%' && s.n > 1 && s.p[1] == '"') {
        size_t quoted = string_length(slice_from(s, 1));
        n = quoted ? quoted + 1 : 0;
    }
    m->value = m->type == STRUCTURED_STRING && n >= 2 ? slice_of(s.p + 1, n - 2) : slice_first(s, n);
    return n;
}

static bool skip_parameters(struct slice *s)
{
    while (s->n && s->p[0] == ';') {
        *s = skip_spaces(slice_from(*s, 1), false);
        size_t n = key_length(*s);
        if (!n)
            return false;
        *s = slice_from(*s, n);
        if (s->n && s->p[0] == '=') {
            struct structured_member ignored;
            *s = slice_from(*s, 1);
            n = bare_item(*s, &ignored);
            if (!n)
                return false;
            *s = slice_from(*s, n);
        }
    }
    return true;
}

static bool inner_list(struct slice *s)
{
    *s = slice_from(*s, 1);
    for (;;) {
        *s = skip_spaces(*s, false);
        if (s->n && s->p[0] == ')') {
            *s = slice_from(*s, 1);
            return true;
        }
        struct structured_member ignored;
        size_t n = bare_item(*s, &ignored);
        if (!n)
            return false;
        *s = slice_from(*s, n);
        if (!skip_parameters(s) || !s->n || (s->p[0] != ' ' && s->p[0] != ')'))
            return false;
    }
}

static bool member_value(struct slice *s, struct structured_member *m)
{
    m->type = STRUCTURED_TRUE;
    m->value = SLICE_NONE;
    if (s->n && s->p[0] == '=') {
        *s = slice_from(*s, 1);
        if (s->n && s->p[0] == '(') {
            m->type = STRUCTURED_OTHER;
            if (!inner_list(s))
                return false;
        } else {
            size_t n = bare_item(*s, m);
            if (!n)
                return false;
            *s = slice_from(*s, n);
        }
    }
    return skip_parameters(s);
}

bool structured_dict_next(struct slice *rest, struct structured_member *m, bool *bad)
{
    struct slice s = skip_spaces(*rest, false);
    *rest = slice_from(*rest, rest->n);
    if (!s.n)
        return false;
    *bad = true; /* until shown otherwise */
    size_t n = key_length(s);
    if (!n)
        return false;
    m->key = slice_first(s, n);
    s = slice_from(s, n);
    if (!member_value(&s, m))
        return false;
    s = skip_spaces(s, true);
    if (s.n) {
        if (s.p[0] != ',')
            return false;
        s = skip_spaces(slice_from(s, 1), true);
        if (!s.n) /* a trailing comma */
            return false;
    }
    *bad = false;
    *rest = s;
    return true;
}
