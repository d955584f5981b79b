/* SPDX-License-Identifier: MIT */
#include "app/get/rules.h"

#include "base/addr.h"
#include "base/text.h"
#include "http/date.h"
#include "http/uri.h"

/* ---- Redirects ---- */

bool rules_redirects(uint16_t status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool rules_becomes_get(uint16_t status, struct slice method)
{
    if (status == 303)
        return !slice_eq(method, S("GET")) && !slice_eq(method, S("HEAD"));
    return (status == 301 || status == 302) && slice_eq(method, S("POST"));
}

bool rules_same_origin(const struct uri *a, const struct uri *b)
{
    return slice_eq_case(a->scheme, b->scheme) && slice_eq_case(a->host, b->host) && uri_port(a) == uri_port(b);
}

/* ---- Retries ---- */

bool rules_transient(uint16_t status)
{
    return status == 408 || status == 429 || status == 500 || (status >= 502 && status <= 504);
}

int64_t rules_backoff(int64_t attempt)
{
    return attempt > 9 ? 600 * TICK_S : TICK_S << (attempt > 0 ? attempt - 1 : 0);
}

bool rules_retry_after(struct slice value, int64_t now_s, int64_t *ns)
{
    uint64_t seconds;
    int64_t date;
    if (slice_u64(value, &seconds))
        *ns = (int64_t)(seconds < 86400 ? seconds : 86400) * TICK_S;
    else if (date_parse(value, now_s, &date))
        *ns = date <= now_s ? 0 : (date - now_s < 86400 ? date - now_s : 86400) * TICK_S;
    else
        return false;
    return true;
}

/* ---- Proxies ---- */

static bool entry_matches(struct slice entry, struct slice host)
{
    struct addr a;
    struct network net;
    if (slice_eq(entry, S("*")))
        return true;
    if (addr_parse(host, 0, &a) == NULL)
        return network_parse(entry, &net) == NULL && network_has(&net, &a);
    if (slice_starts(entry, S("*.")))
        entry = slice_from(entry, 1);
    if (slice_starts(entry, S(".")))
        entry = slice_from(entry, 1);
    if (entry.n == 0 || host.n < entry.n || !slice_eq_case(slice_from(host, host.n - entry.n), entry))
        return false;
    return host.n == entry.n || host.p[host.n - entry.n - 1] == '.';
}

/* "example.org:8080" -> the host and the port; "::1" and "10.0.0.0/8" have no port. */
static struct slice cut_port(struct slice entry, uint64_t *port)
{
    size_t colon = slice_find(entry, ':', 0);
    *port = 0;
    if (colon == SIZE_MAX || slice_find(entry, ':', colon + 1) != SIZE_MAX)
        return entry;
    return slice_u64(slice_from(entry, colon + 1), port) ? slice_first(entry, colon) : entry;
}

bool rules_no_proxy(struct slice list, struct slice host, uint16_t port)
{
    struct slice entry;
    while (list.n) {
        size_t n = 0;
        while (n < list.n && list.p[n] != ',' && list.p[n] != ' ')
            n++;
        uint64_t only;
        entry = cut_port(slice_first(list, n), &only);
        list = slice_from(list, n + 1);
        if (entry.n && (only == 0 || only == port) && entry_matches(entry, host)) {
            fault_clear();
            return true;
        }
    }
    fault_clear(); /* what failed above only means "not an address" */
    return false;
}

/* ---- Names ---- */

/* A name for a file in the folder at hand: nothing that leads elsewhere, hides, or is more than a terminal can show. */
static bool safe_name(struct slice name, char *out, size_t cap)
{
    while (name.n && name.p[0] == '.')
        name = slice_from(name, 1);
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] == '/' || (unsigned char)name.p[i] < 0x20 || name.p[i] == 0x7f)
            return false;
    return name.n > 0 && name.n <= 240 && slice_to_z(name, out, cap);
}

bool rules_url_name(struct slice path, char *out, size_t cap)
{
    size_t start = path.n;
    while (start && path.p[start - 1] != '/')
        start--;
    AUTO(buf_free) struct buf b = {0};
    if (text_percent_decode(slice_from(path, start), &b)) {
        fault_clear();
        return false;
    }
    return safe_name(buf_slice(&b), out, cap);
}

static struct slice unquote(struct slice v, char *out, size_t cap)
{
    if (v.n < 2 || v.p[0] != '"' || v.p[v.n - 1] != '"')
        return v;
    size_t n = 0;
    for (size_t i = 1; i + 1 < v.n && n < cap; i++) {
        if (v.p[i] == '\\' && i + 2 < v.n)
            i++;
        out[n++] = v.p[i];
    }
    return slice_of(out, n);
}

/* UTF-8'lang'%41%42 */
static bool extended_value(struct slice v, char *out, size_t cap)
{
    struct slice charset, language;
    AUTO(buf_free) struct buf b = {0};
    if (!slice_cut(&v, '\'', &charset) || !slice_cut(&v, '\'', &language) || !slice_eq_case(charset, S("UTF-8")))
        return false;
    if (text_percent_decode(v, &b) || !text_utf8_valid(buf_slice(&b))) {
        fault_clear();
        return false;
    }
    return safe_name(buf_slice(&b), out, cap);
}

/* The next ";name=value", quoted strings respected. */
static bool cut_parameter(struct slice *rest, struct slice *name, struct slice *value)
{
    size_t n = 0;
    for (bool quoted = false; n < rest->n && (quoted || rest->p[n] != ';'); n++)
        if (rest->p[n] == '"')
            quoted = !quoted;
        else if (rest->p[n] == '\\' && quoted)
            n++;
    if (rest->n == 0)
        return false;
    struct slice one = slice_trim(slice_first(*rest, n));
    *rest = slice_from(*rest, n + 1);
    size_t eq = slice_find(one, '=', 0);
    *name = slice_trim(slice_first(one, eq == SIZE_MAX ? one.n : eq));
    *value = eq == SIZE_MAX ? S("") : slice_trim(slice_from(one, eq + 1));
    return true;
}

bool rules_disposition_name(struct slice v, char *out, size_t cap)
{
    struct slice name, value;
    bool found = false;
    while (cut_parameter(&v, &name, &value)) {
        char plain[256];
        if (slice_eq_case(name, S("filename*")) && extended_value(value, out, cap))
            return true; /* preferred over the plain one (RFC 6266 section 4.3) */
        if (!slice_eq_case(name, S("filename")) || found)
            continue;
        struct slice text = unquote(value, plain, sizeof plain);
        for (size_t i = text.n; i-- > 0;)
            if (text.p[i] == '/' || text.p[i] == '\\') {
                text = slice_from(text, i + 1);
                break;
            }
        found = safe_name(text, out, cap);
    }
    return found;
}
