/* SPDX-License-Identifier: MIT */
#include "app/heartbeat/watch_view.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/text.h"

const char *const view_sort_names[VIEW_SORTS] = {"state", "name", "seen", "loss", "jitter"};

/* ---- Rows ---- */

err_t view_add(struct view_rows *r, const struct beat_row *row)
{
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 64;
        struct view_row *more = realloc(r->v, cap * sizeof *more);
        if (!more)
            return E_NO_MEMORY;
        r->v = more, r->cap = cap;
    }
    struct view_row *v = &r->v[r->n++];
    *v = (struct view_row){.row = *row, .knows = 1};
    memcpy(v->id, row->id.p, row->id.n);
    v->row.id.p = NULL; /* the array moves as it grows; name_of knows where the name is */
    v->dead = row->state == BEAT_DOWN || row->state == BEAT_STOPPED;
    return NULL;
}

void view_free(struct view_rows *r)
{
    free(r->v);
    *r = (struct view_rows){.v = NULL};
}

void view_done(struct view *v)
{
    for (int i = 0; i < VIEW_LISTENERS_MAX; i++)
        view_free(&v->from[i]);
    view_free(&v->all);
}

static struct slice name_of(const struct view_row *r)
{
    return slice_of(r->id, r->row.id.n);
}

static double loss_of(const struct view_row *r)
{
    double all = (double)r->row.lost + (double)r->row.received;
    return all > 0 ? (double)r->row.lost / all * 100 : 0;
}

/* ---- Joining and sorting ---- */

static int by_name(const void *a, const void *b)
{
    const struct view_row *x = a, *y = b;
    int c = slice_cmp(name_of(x), name_of(y));
    return c ? c : (x->row.text > y->row.text) - (x->row.text < y->row.text);
}

static int urgency(const struct view_row *r)
{
    static const int order[BEAT_STATES] = {
        [BEAT_DOWN] = 0, [BEAT_LATE] = 1, [BEAT_UP] = 2, [BEAT_NEW] = 3, [BEAT_STOPPED] = 4};
    return order[r->row.state];
}

#define DIFFER(a, b)                                                                                                   \
    if ((a) != (b))                                                                                                    \
        return (a) < (b) ? -1 : 1;

static int by_state(const void *a, const void *b)
{
    DIFFER(urgency(a), urgency(b))
    return by_name(a, b);
}
static int by_seen(const void *a, const void *b)
{
    DIFFER(((const struct view_row *)b)->row.since_ms, ((const struct view_row *)a)->row.since_ms)
    return by_name(a, b);
}
static int by_loss(const void *a, const void *b)
{
    DIFFER(loss_of(b), loss_of(a))
    return by_name(a, b);
}
static int by_jitter(const void *a, const void *b)
{
    DIFFER(((const struct view_row *)b)->row.jitter_us, ((const struct view_row *)a)->row.jitter_us)
    return by_name(a, b);
}

static void sort_rows(const struct view *v, struct view_rows *r)
{
    static int (*const orders[VIEW_SORTS])(const void *, const void *) = {by_state, by_name, by_seen, by_loss,
                                                                          by_jitter};
    if (!r->n)
        return;
    qsort(r->v, r->n, sizeof *r->v, orders[v->sort]);
    for (size_t i = 0, k = r->n - 1; v->reverse && i < k; i++, k--) {
        struct view_row swap = r->v[i];
        r->v[i] = r->v[k];
        r->v[k] = swap;
    }
}

/* The younger news is the better; how many say dead decides the state. */
static void join(struct view_row *into, const struct view_row *from)
{
    uint8_t knows = (uint8_t)(into->knows + from->knows), dead = (uint8_t)(into->dead + from->dead);
    if (from->row.since_ms < into->row.since_ms)
        *into = *from;
    into->knows = knows;
    into->dead = dead;
}

static void judge(const struct view *v, struct view_row *r)
{
    int need = v->quorum ? v->quorum : v->listeners / 2 + 1;
    bool dead = r->row.state == BEAT_DOWN || r->row.state == BEAT_STOPPED;
    if (r->dead >= need && !dead)
        r->row.state = BEAT_DOWN;
    else if (r->dead < need && dead)
        r->row.state = BEAT_LATE;
}

static bool has_part(struct slice s, struct slice part)
{
    for (size_t i = 0; i + part.n <= s.n; i++)
        if (slice_eq_case(slice_of(s.p + i, part.n), part))
            return true;
    return false;
}

static bool wanted(const struct view *v, const struct view_row *r)
{
    if (v->dead_only && r->row.state != BEAT_DOWN && r->row.state != BEAT_LATE)
        return false;
    return has_part(name_of(r), slice_z(v->filter));
}

err_t view_merge(struct view *v)
{
    struct view_rows *all = &v->all;
    all->n = 0;
    for (int i = 0; i < v->listeners; i++)
        for (size_t k = 0; k < v->from[i].n; k++) {
            struct beat_row row = v->from[i].v[k].row;
            row.id = name_of(&v->from[i].v[k]);
            TRY(view_add(all, &row));
        }
    if (all->n)
        qsort(all->v, all->n, sizeof *all->v, by_name);
    size_t n = 0;
    for (size_t i = 0; i < all->n; i++)
        if (n && by_name(&all->v[n - 1], &all->v[i]) == 0)
            join(&all->v[n - 1], &all->v[i]);
        else
            all->v[n++] = all->v[i];
    all->n = 0;
    for (size_t i = 0; i < n; i++) {
        judge(v, &all->v[i]);
        if (wanted(v, &all->v[i]))
            all->v[all->n++] = all->v[i];
    }
    sort_rows(v, all);
    return NULL;
}

/* ---- Text ---- */

static void short_time(int64_t ms, char out[32])
{
    if (ms < 100000)
        snprintf(out, 32, "%lld.%llds", (long long)(ms / 1000), (long long)(ms % 1000 / 100));
    else if (ms < 6000000)
        snprintf(out, 32, "%lldm", (long long)(ms / 60000));
    else if (ms < 360000000)
        snprintf(out, 32, "%lldh", (long long)(ms / 3600000));
    else
        snprintf(out, 32, "%lldd", (long long)(ms / 86400000));
}

/* Cut or filled to `width` characters; control characters never get here as they are. */
static void name_column(const struct view_row *r, int width, char *out, size_t cap)
{
    char safe[4 * BEAT_ID_MAX + 1];
    size_t n = text_safe(name_of(r), safe, sizeof safe), at = 0;
    int chars = 0;
    while (at < n && chars < width) {
        at++;
        while (at < n && (safe[at] & 0xc0) == 0x80)
            at++;
        chars++;
    }
    snprintf(out, cap, "%.*s%*s", (int)at, safe, width - chars, "");
}

static err_t line(const struct view_row *r, const struct view *v, int name_width, bool color, struct buf *out)
{
    static const char *const paint[BEAT_STATES] = {"", "\033[32m", "\033[33m", "\033[1;31m", "\033[2m"};
    char name[256], seen[32], left[32], delay[32], say[32] = "";
    name_column(r, name_width, name, sizeof name);
    short_time(r->row.since_ms, seen);
    short_time(r->row.left_ms > 0 ? r->row.left_ms : 0, left);
    snprintf(delay, sizeof delay, "%.1f", (double)r->row.delay_us / 1000);
    if (v->listeners > 1)
        snprintf(say, sizeof say, " %d/%d", r->knows - r->dead, v->listeners);
    return buf_format(
        out, "%s %s%-7s%s %10llu %7s %7s %6.2f%% %6u %6u %4u %8.2f %9s%s%s", name, color ? paint[r->row.state] : "",
        beat_state_names[r->row.state], color ? "\033[0m" : "", (unsigned long long)r->row.sequence, seen,
        r->row.state == BEAT_UP || r->row.state == BEAT_LATE ? left : "-", loss_of(r), r->row.duplicates,
        r->row.reordered, r->row.restarts, (double)r->row.jitter_us / 1000, delay, say, r->row.flapping ? " ~" : "");
}

static err_t end_line(struct buf *out, bool terminal)
{
    return buf_add(out, terminal ? S("\033[K\r\n") : S("\n"));
}

static err_t head(const struct view *v, const char *title, int name_width, bool terminal, struct buf *out)
{
    size_t states[BEAT_STATES] = {0};
    for (size_t i = 0; i < v->all.n; i++)
        states[v->all.v[i].row.state]++;
    TRY(buf_format(out, "%s: %zu senders, %zu up, %zu late, %zu down, %zu stopped", title, v->all.n, states[BEAT_UP],
                   states[BEAT_LATE], states[BEAT_DOWN], states[BEAT_STOPPED]));
    TRY(buf_format(out, "; by %s%s", view_sort_names[v->sort], v->reverse ? ", reversed" : ""));
    if (*v->filter) {
        TRY(buf_add(out, S("; with '")));
        TRY(text_safe_add(out, slice_z(v->filter)));
        TRY(buf_add(out, S("'")));
    }
    for (int i = 0; i < v->listeners; i++)
        if (!v->answered[i])
            TRY(buf_format(out, "; listener %d does not answer", i + 1));
    TRY(end_line(out, terminal));
    TRY(buf_format(out, "%-*s %-7s %10s %7s %7s %7s %6s %6s %4s %8s %9s%s", name_width, "name", "state", "sequence",
                   "seen", "left", "lost", "dup", "reord", "rest", "jitter", "delay ms",
                   v->listeners > 1 ? " alive" : ""));
    return end_line(out, terminal);
}

enum { FRAME_OTHER = 5 }; /* lines of a frame that are no rows: two above them, caveat and keys below, one in reserve */
static const char keys_help[] = "q quit  s sort  r reverse  d down and late only  / filter  space page  b back";
static const char caveat[] = "Unknown: losses before the first and after the last beat. Delay: by two clocks.";

static size_t page_of(int lines)
{
    return (size_t)(lines > FRAME_OTHER ? lines - FRAME_OTHER : 1);
}

err_t view_frame(struct view *v, const char *title, int lines, int columns, bool terminal, bool color, struct buf *out)
{
    int name_width = columns - 84 < 12 ? 12 : columns - 84 > 64 ? 64 : columns - 84;
    size_t shown = lines ? page_of(lines) : v->all.n;
    if (v->top + shown > v->all.n)
        v->top = v->all.n > shown ? v->all.n - shown : 0;
    if (!lines)
        v->top = 0;
    TRY(head(v, title, name_width, terminal, out));
    for (size_t i = v->top; i < v->top + shown; i++) {
        if (i < v->all.n)
            TRY(line(&v->all.v[i], v, name_width, color, out));
        if (i < v->all.n || terminal)
            TRY(end_line(out, terminal));
    }
    int width = columns > 1 ? columns - 1 : 1;
    TRY(buf_format(out, "%.*s", width, caveat));
    TRY(end_line(out, terminal));
    return terminal ? buf_format(out, "%.*s\033[K", width, keys_help) : NULL;
}

err_t view_json(const struct view *v, struct buf *out)
{
    for (size_t i = 0; i < v->all.n; i++) {
        const struct view_row *r = &v->all.v[i];
        char peer[ADDR_TEXT] = "";
        if (r->row.peer.len)
            addr_text(&r->row.peer, peer);
        struct json j = json_start(out);
        json_open(&j, '{');
        json_key(&j, "id"), json_string(&j, name_of(r));
        json_key(&j, "state"), json_string(&j, slice_z(beat_state_names[r->row.state]));
        json_key(&j, "peer"), json_string(&j, slice_z(peer));
        json_key(&j, "text"), json_bool(&j, r->row.text);
        json_key(&j, "signed"), json_bool(&j, r->row.sealed);
        json_key(&j, "flapping"), json_bool(&j, r->row.flapping);
        json_key(&j, "incarnation"), json_uint(&j, r->row.incarnation);
        json_key(&j, "sequence"), json_uint(&j, r->row.sequence);
        json_key(&j, "received"), json_uint(&j, r->row.received);
        json_key(&j, "lost"), json_uint(&j, r->row.lost);
        json_key(&j, "loss_percent"), json_real(&j, loss_of(r), 3);
        json_key(&j, "duplicates"), json_uint(&j, r->row.duplicates);
        json_key(&j, "reordered"), json_uint(&j, r->row.reordered);
        json_key(&j, "restarts"), json_uint(&j, r->row.restarts);
        json_key(&j, "seen_ms"), json_int(&j, r->row.since_ms);
        json_key(&j, "state_ms"), json_int(&j, r->row.state_ms);
        json_key(&j, "left_ms"), json_int(&j, r->row.left_ms);
        json_key(&j, "interval_ms"), json_real(&j, (double)r->row.interval_us / 1000, 3);
        json_key(&j, "jitter_ms"), json_real(&j, (double)r->row.jitter_us / 1000, 3);
        json_key(&j, "delay_ms"), json_real(&j, (double)r->row.delay_us / 1000, 3);
        json_key(&j, "listeners"), json_int(&j, v->listeners);
        json_key(&j, "say_down"), json_int(&j, r->dead);
        json_close(&j, '}');
        TRY(json_end_line(&j));
    }
    return NULL;
}

/* ---- Keys ---- */

enum view_verdict view_key(struct view *v, char key, int page)
{
    size_t step = page_of(page);
    switch (key) {
    case 'q':
    case 3: /* Ctrl-C in raw mode */
        return VIEW_QUIT;
    case 's':
        v->sort = (enum view_sort)((v->sort + 1) % VIEW_SORTS);
        break;
    case 'r':
        v->reverse = !v->reverse;
        break;
    case 'd':
        v->dead_only = !v->dead_only;
        break;
    case ' ':
        v->top += step;
        break;
    case 'b':
        v->top = v->top > step ? v->top - step : 0;
        break;
    case 'j':
        v->top++;
        break;
    case 'k':
        v->top -= v->top > 0;
        break;
    default:
        break;
    }
    return VIEW_GO_ON;
}
