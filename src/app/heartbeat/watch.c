/* SPDX-License-Identifier: MIT */
#include "app/heartbeat/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "app/heartbeat/watch_fetch.h"
#include "rt/io.h"
#include "rt/loop.h"
#include "rt/scope.h"
#include "rt/waitq.h"

struct watching {
    struct watch_options *o;
    struct digest_keys keys;
    struct fetch fetch[VIEW_LISTENERS_MAX];
    err_t last[VIEW_LISTENERS_MAX];
    bool ever, quit, terminal, color, typing;
    struct waitq redraw;
    struct termios before;
    bool raw;
};

/* ---- The terminal ---- */

static void terminal_start(struct watching *w)
{
    if (!w->terminal || w->o->keys < 0 || tcgetattr(w->o->keys, &w->before) < 0)
        return;
    struct termios raw = w->before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
    w->raw = tcsetattr(w->o->keys, TCSADRAIN, &raw) == 0;
}

static err_t put(struct slice s)
{
    for (size_t at = 0; at < s.n;) {
        ssize_t n = write(STDOUT_FILENO, s.p + at, s.n - at);
        if (n < 0 && errno == EPIPE)
            return E_CANCELED; /* the reader has seen enough */
        if (n <= 0)
            return fault(E_IO, "standard output");
        at += (size_t)n;
    }
    return NULL;
}

static void terminal_size(int *lines, int *columns)
{
    struct winsize size;
    *lines = 24, *columns = 80;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col)
        *lines = size.ws_row, *columns = size.ws_col;
}

static void type_filter(struct watching *w, char key)
{
    char *f = w->o->view.filter;
    size_t n = strlen(f);
    if (key == '\r' || key == '\n' || key == 27)
        w->typing = false;
    else if ((key == 127 || key == 8) && n)
        f[n - 1] = 0;
    else if (key >= ' ' && key < 127 && n + 1 < sizeof w->o->view.filter)
        f[n] = key, f[n + 1] = 0;
}

/* Arrows and page keys are ESC [ and a letter or digit (the ~ behind a digit means nothing here): the key that does the
   same. `*i` moves to the sequence's last byte. */
static char plain_key(const char *keys, size_t n, size_t *i)
{
    if (keys[*i] != 27 || *i + 2 >= n || keys[*i + 1] != '[')
        return keys[*i];
    switch (keys[ *i += 2]) {
    case 'A':
        return 'k';
    case 'B':
        return 'j';
    case '5':
        return 'b';
    case '6':
        return ' ';
    default:
        return 0;
    }
}

static void take_keys(struct watching *w, const char *keys, size_t n)
{
    int lines, columns;
    terminal_size(&lines, &columns);
    for (size_t i = 0; i < n && !w->quit; i++) {
        if (w->typing) {
            type_filter(w, keys[i]);
            continue;
        }
        char key = plain_key(keys, n, &i);
        if (key == '/')
            w->typing = true, w->o->view.filter[0] = 0;
        else
            w->quit = view_key(&w->o->view, key, lines) == VIEW_QUIT;
    }
}

static void read_keys(void *arg)
{
    struct watching *w = arg;
    char keys[64];
    size_t got;
    while (!w->quit && !io_read(w->o->keys, keys, sizeof keys, &got, TICK_NEVER) && got) {
        take_keys(w, keys, got);
        waitq_wake(&w->redraw, -1);
    }
}

/* ---- Rounds ---- */

struct ask_one {
    struct watching *w;
    int i;
    tick until;
};

static void fetch_one(void *arg)
{
    struct ask_one *a = arg;
    struct view *v = &a->w->o->view;
    struct view_rows fresh = {.v = NULL};
    err_t e = fetch_table(&a->w->fetch[a->i], &fresh, a->until);
    a->w->last[a->i] = e;
    v->answered[a->i] = !e;
    if (!e)
        a->w->ever = true;
    if (e)
        view_free(&fresh); /* who cannot be reached says nothing */
    view_free(&v->from[a->i]);
    v->from[a->i] = fresh;
}

static err_t ask_all(struct watching *w, tick until)
{
    struct ask_one asks[VIEW_LISTENERS_MAX];
    struct scope scope;
    scope_open(&scope);
    err_t e = NULL;
    for (int i = 0; i < w->o->view.listeners && !e; i++) {
        asks[i] = (struct ask_one){w, i, until};
        e = scope_spawn(&scope, "watch fetch", fetch_one, &asks[i]);
    }
    if (!e)
        e = scope_join(&scope, TICK_NEVER);
    scope_close(&scope);
    return e;
}

static err_t draw(struct watching *w)
{
    struct watch_options *o = w->o;
    AUTO(buf_free) struct buf out = {0};
    int lines, columns;
    terminal_size(&lines, &columns);
    TRY(view_merge(&o->view));
    if (o->json) {
        TRY(view_json(&o->view, &out));
    } else {
        if (w->terminal) /* the frame is shown as a whole by terminals that know mode 2026 */
            TRY(buf_add(&out, S("\033[?2026h\033[H")));
        TRY(view_frame(&o->view, o->title, w->terminal ? lines : 0, w->terminal ? columns : 132, w->terminal, w->color,
                       &out));
        TRY(buf_add(&out, w->terminal ? S("\033[J\033[?2026l") : S("\n")));
    }
    return put(buf_slice(&out));
}

static err_t rounds(struct watching *w)
{
    tick next = clock_now();
    for (int64_t k = 0; !w->quit; k++) {
        next += w->o->interval;
        tick patience = next > clock_now() + 2 * TICK_S ? next : clock_now() + 2 * TICK_S;
        TRY(ask_all(w, patience));
        if (!w->ever && !w->terminal)
            return w->last[0] ? w->last[0] : E_TIMEOUT;
        TRY(draw(w));
        if (w->o->count && k + 1 >= w->o->count)
            return w->ever ? NULL : w->last[0];
        while (!w->quit && clock_now() < next) {
            err_t e = waitq_wait(&w->redraw, next);
            if (e == E_CANCELED)
                return e;
            if (!e && !w->quit)
                TRY(draw(w));
        }
    }
    return NULL;
}

static err_t prepare(struct watching *w, const struct addr *listeners, int n)
{
    for (int i = 0; i < VIEW_LISTENERS_MAX; i++)
        w->fetch[i].fd = -1;
    if (w->o->key_file)
        TRY(digest_keys_read(w->o->key_file, &w->keys));
    for (int i = 0; i < n; i++)
        TRY(fetch_open(&w->fetch[i], &listeners[i], &w->keys));
    w->o->view.listeners = n;
    return NULL;
}

static err_t show(struct watching *w)
{
    struct scope scope;
    scope_open(&scope);
    if (w->terminal)
        TRY(put(S("\033[?1049h\033[?25l\033[H\033[2J")));
    terminal_start(w);
    err_t e = w->o->keys >= 0 && w->raw ? scope_spawn(&scope, "watch keys", read_keys, w) : NULL;
    if (!e)
        e = rounds(w);
    scope_close(&scope);
    if (w->raw)
        tcsetattr(w->o->keys, TCSADRAIN, &w->before);
    err_t restored = w->terminal ? put(S("\033[?25h\033[?1049l")) : NULL;
    return e == E_CANCELED || !e ? restored : e;
}

err_t watch_run(struct watch_options *o, const struct addr *listeners, int n)
{
    struct watching *w = calloc(1, sizeof *w);
    if (!w)
        return E_NO_MEMORY;
    w->o = o;
    w->terminal = !o->json && isatty(STDOUT_FILENO);
    w->color = w->terminal && !getenv("NO_COLOR");
    waitq_init(&w->redraw);
    err_t e = prepare(w, listeners, n);
    if (!e)
        e = show(w);
    for (int i = 0; i < VIEW_LISTENERS_MAX; i++)
        fetch_close(&w->fetch[i]);
    view_done(&o->view);
    digest_keys_free(&w->keys);
    free(w);
    return e;
}
