/* SPDX-License-Identifier: MIT */
/* get.c -- the invocation: what there is to do, who does it, and how it went. */
#include "app/get/get.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/get/get_impl.h"
#include "base/text.h"
#include "net/idn.h"
#include "net/resolve.h"
#include "rt/io.h"
#include "rt/loop.h"

/* ---- Files of URLs and cookies ---- */

static err_t read_file(const struct get_conf *c, const char *path, struct buf *out)
{
    enum { STEP = 16 << 10 };
    int fd = -1;
    if (strcmp(path, "-") == 0)
        TRY(c->open_stdin(&fd));
    else if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0)
        return fault(err_errno(errno), "%s", path);
    err_t e = NULL;
    for (size_t got = 1; got && !e; out->n += got) {
        char *at;
        got = 0;
        e = buf_room(out, STEP, &at);
        if (!e)
            e = io_read(fd, at, STEP, &got, TICK_NEVER);
    }
    io_close(fd);
    return e ? fault(e, "%s", path) : NULL;
}

/* -b FILE, or -b 'name=value', which request.c sends as it is. -c alone keeps cookies as well. */
static err_t load_cookies(struct run *r)
{
    const struct get_conf *c = r->conf;
    AUTO(buf_free) struct buf text = {0};
    r->jar_used = c->cookie || c->cookie_jar;
    if (!c->cookie || strchr(c->cookie, '='))
        return NULL;
    err_t e = *c->cookie ? read_file(c, c->cookie, &text) : NULL;
    if (e && access(c->cookie, F_OK) < 0) {
        fault_clear();
        return NULL; /* as with curl: a jar that does not exist yet is empty */
    }
    TRY(e);
    e = cookie_jar_load(&r->jar, buf_slice(&text), wall_now() / TICK_S);
    if (c->new_session)
        cookie_jar_end_session(&r->jar);
    return e == E_DATA ? fault(E_DATA, "%s: no cookies in Netscape's format", c->cookie) : e;
}

/* All of it appears under `path` at once, or what is there stays. What is not a regular file is written to. */
static err_t replace_file(const char *path, const struct buf *b)
{
    AUTO(buf_free) struct buf temp = {0};
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return buf_write_file(b, path);
    TRY(buf_format(&temp, "%s.XXXXXX%c", path, 0));
    int fd = mkostemp(temp.p, O_CLOEXEC); /* a name that nobody could guess, for us alone: cookies are secrets */
    if (fd < 0)
        return fault(err_errno(errno), "%s", path);
    err_t e = write(fd, b->p, b->n) == (ssize_t)b->n ? NULL : fault(E_IO, "%s", path);
    close(fd);
    if (!e && rename(temp.p, path) < 0)
        e = fault(err_errno(errno), "%s", path);
    if (e)
        unlink(temp.p);
    return e;
}

static err_t save_cookies(struct run *r)
{
    const char *path = r->conf->cookie_jar;
    AUTO(buf_free) struct buf b = {0};
    if (!path)
        return NULL;
    TRY(cookie_jar_save(&r->jar, &b, wall_now() / TICK_S));
    if (strcmp(path, "-") != 0)
        return replace_file(path, &b);
    return fwrite(b.p, 1, b.n, stdout) == b.n && fflush(stdout) == 0 ? NULL : fault(E_IO, "the cookies");
}

/* ---- Setting up ---- */

/* "HOST:PORT:ADDR", ADDR maybe in brackets. */
static err_t pin(const char *spec)
{
    struct slice rest = slice_z(spec), host, port;
    struct addr a;
    uint64_t n;
    struct arena names = {0};
    if (!slice_cut(&rest, ':', &host) || !slice_cut(&rest, ':', &port) || !slice_u64(port, &n) || n > 65535 ||
        addr_parse(rest, (uint16_t)n, &a))
        return fault(E_USAGE, "--resolve %s: HOST:PORT:ADDR is wanted", spec);
    err_t e = idn_to_ascii(&names, host, &host);
    if (!e)
        e = resolve_pin(host, (uint16_t)n, &a);
    arena_reset(&names);
    return e;
}

static err_t set_up_client(struct run *r)
{
    const struct get_conf *c = r->conf;
    r->client.lenient = true;
    r->client.headless = c->textbook;
    r->client.trace = r->trace;
    r->client.connect_ms = c->connect_timeout / TICK_MS;
    r->client.version = c->http1 ? CLIENT_HTTP1 : c->http2_prior ? CLIENT_HTTP2 : CLIENT_ANY;
    r->client.dial.family = c->ipv4 ? AF_INET : c->ipv6 ? AF_INET6 : 0;
    r->client.tls_options = (struct tls_client_options){
        .ca_file = c->ca, .insecure = c->insecure, .cert_file = c->cert, .key_file = c->key, .keylog = c->keylog};
    for (size_t i = 0; i < c->resolve.n; i++)
        TRY(pin(c->resolve.v[i]));
    return NULL;
}

static err_t set_up(struct run *r)
{
    const struct get_conf *c = r->conf;
    if (c->insecure && !c->silent)
        say(r, "warning: certificates are not verified (--insecure): anybody could be on the other side");
    if (c->trace)
        TRY(trace_open(c->trace, c->trace_secrets, &r->trace));
    if (c->dump_header) {
        bool dash = strcmp(c->dump_header, "-") == 0;
        r->dump_fd = dash ? dup(STDOUT_FILENO) : open(c->dump_header, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (r->dump_fd < 0)
            return fault(err_errno(errno), "%s", c->dump_header);
    }
    TRY(load_cookies(r));
    return set_up_client(r);
}

/* ---- The list of transfers ---- */

static err_t add_transfer(struct run *r, struct slice typed)
{
    struct transfer *t = calloc(1, sizeof *t);
    if (!t)
        return E_NO_MEMORY;
    struct transfer **more = realloc(r->transfers, (r->count + 1) * sizeof *more);
    if (!more) {
        free(t);
        return E_NO_MEMORY;
    }
    t->run = r;
    t->typed = typed;
    t->last_hop = &t->hops;
    t->output.fd = -1;
    t->out_name = r->count < r->conf->outputs.n ? r->conf->outputs.v[r->count] : NULL;
    r->transfers = more;
    r->transfers[r->count++] = t;
    return NULL;
}

static err_t list(struct run *r, struct get_list urls)
{
    for (size_t i = 0; i < urls.n; i++)
        TRY(add_transfer(r, slice_z(urls.v[i])));
    if (!r->conf->input)
        return NULL;
    TRY(read_file(r->conf, r->conf->input, &r->input));
    struct slice rest = buf_slice(&r->input), line;
    while (slice_cut(&rest, '\n', &line)) {
        if (slice_ends(line, S("\r")))
            line.n--;
        line = slice_trim(line);
        if (line.n && line.p[0] != '#')
            TRY(add_transfer(r, line));
    }
    return NULL;
}

static void free_transfer(struct transfer *t)
{
    output_free(&t->output);
    payload_free(&t->payload);
    digest_free(t->digest);
    arena_reset(&t->arena);
    free(t);
}

/* ---- Doing them ---- */

static void conclude(struct run *r, struct transfer *t, err_t e)
{
    char text[512];
    t->error = e;
    snprintf(t->why, sizeof t->why, "%s", e ? fault_text(e, text, sizeof text) : "");
    r->done++;
    if (!e)
        return;
    r->failed++;
    if (!r->worst || e->exit > r->worst->exit)
        r->worst = e;
    if (e->kind == ERR_USAGE)
        say(r, "%s", t->why);
    else
        say(r, "%.*s: %s%s", SLICE_ARG(t->typed), t->why, err_advice(e));
}

static void run_one(struct run *r, struct transfer *t)
{
    fault_clear();
    err_t e = request_url(t, t->typed);
    if (!e)
        e = r->conf->offline ? transfer_offline(t) : transfer_run(t);
    conclude(r, t, e);
    e = r->conf->timing ? timing_show(t) : NULL;
    if (!e && r->conf->write_out)
        e = write_out(t, r->conf->write_out);
    if (e) {
        r->failed++;
        r->worst = r->worst ? r->worst : e;
        say(r, "%s", fault_detail());
    }
}

/* Several of these share the list when transfers go in parallel. */
static void worker(void *arg)
{
    struct run *r = arg;
    while (r->next < r->count && !fiber_canceled()) {
        struct transfer **at = &r->transfers[r->next++];
        run_one(r, *at);
        if (r->conf->har)
            continue; /* its hops are wanted at the end */
        free_transfer(*at);
        *at = NULL;
    }
}

static err_t work(struct run *r)
{
    int64_t n = r->conf->parallel < 1 ? 1 : r->conf->parallel;
    struct scope scope;
    err_t e = NULL;
    scope_open(&scope);
    if (n == 1)
        worker(r);
    for (int64_t i = 0; i < n && n > 1 && (size_t)i < r->count && !e; i++)
        e = scope_spawn(&scope, "transfer", worker, r);
    if (!e && n > 1)
        e = scope_join(&scope, TICK_NEVER);
    scope_close(&scope);
    return e;
}

static err_t with_progress(struct run *r)
{
    struct scope aside;
    err_t e = NULL;
    scope_open(&aside);
    r->started = clock_now();
    if (!r->conf->silent && !r->conf->no_progress && isatty(STDERR_FILENO))
        e = scope_spawn(&aside, "progress", progress_run, r);
    if (!e)
        e = work(r);
    scope_close(&aside);
    return e;
}

static void clean_up(struct run *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->transfers[i])
            free_transfer(r->transfers[i]);
    free(r->transfers);
    free(r->buffer_spare);
    buf_free(&r->input);
    client_done(&r->client);
    cookie_jar_done(&r->jar);
    if (r->dump_fd >= 0)
        close(r->dump_fd);
    if (r->trace)
        trace_close(r->trace);
}

err_t get_run(const struct get_conf *c, struct get_list urls, int *status)
{
    struct run *r = calloc(1, sizeof *r);
    if (!r)
        return E_NO_MEMORY;
    r->conf = c;
    client_init(&r->client);
    r->client.reports = true;
    cookie_jar_init(&r->jar);
    r->dump_fd = -1;
    err_t e = set_up(r);
    if (!e)
        e = list(r, urls);
    if (!e && r->count == 0)
        e = fault(E_USAGE, "no URL");
    if (!e)
        e = with_progress(r);
    err_t saved = e ? NULL : save_cookies(r);
    if (!e && !saved && c->har)
        saved = har_write(r);
    if (!e)
        *status = r->failed == 0 ? 0 : r->failed < r->count ? 3 : r->worst->exit;
    clean_up(r);
    free(r);
    return e ? e : saved;
}
