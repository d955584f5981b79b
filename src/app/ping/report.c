/* SPDX-License-Identifier: MIT */
#include "app/ping/report.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/plot.h"

static double ms(int64_t ns)
{
    return (double)ns / (double)TICK_MS;
}

static bool silent(const struct ping_host *h)
{
    return h->conf->quiet || h->conf->live;
}

static bool as_json(const struct ping_host *h)
{
    return h->conf->output == PING_JSON;
}

/* Lines of a slow run go out at once, also into a pipe; those of a fast one as stdio likes. */
static void end_line(const struct ping_host *h)
{
    if (h->conf->interval >= 10 * TICK_MS && !h->conf->flood)
        fflush(stdout);
}

static void dated(const struct ping_host *h)
{
    int64_t wall = clock_wall();
    if (h->conf->dated)
        printf("[%" PRId64 ".%06d] ", wall / TICK_S, (int)(wall % TICK_S / TICK_US));
}

/* ---- JSON ---- */

static struct json json_line(struct buf *b, const struct ping_host *h, const char *type)
{
    struct json j = json_start(b);
    json_open(&j, '{');
    json_key(&j, "type"), json_string(&j, slice_z(type));
    json_key(&j, "host"), json_string(&j, slice_z(h->name));
    json_key(&j, "address"), json_string(&j, slice_z(h->text));
    return j;
}

static void json_print(const struct ping_host *h, struct json *j)
{
    json_close(j, '}');
    if (json_end_line(j) == NULL)
        fwrite(j->out->p, 1, j->out->n, stdout);
    buf_free(j->out);
    end_line(h);
}

static void json_number(struct json *j, const char *key, int64_t v)
{
    json_key(j, key), json_int(j, v);
}

static void json_reply(const struct ping_host *h, const struct ping_reply *r)
{
    struct buf b = {0};
    struct json j = json_line(&b, h, "reply");
    json_number(&j, "seq", (int64_t)r->probe->seq);
    json_number(&j, "bytes", (int64_t)r->bytes);
    json_number(&j, "rtt_ns", r->rtt);
    json_number(&j, "sent_ns", r->probe->stamp ? r->probe->stamp : r->probe->wall);
    if (r->ttl >= 0)
        json_number(&j, "ttl", r->ttl);
    if (r->tos >= 0)
        json_number(&j, "dscp", r->tos >> 2), json_number(&j, "ecn", r->tos & 3);
    json_key(&j, "clock"), json_string(&j, slice_z(r->kernel ? "kernel" : "user"));
    json_key(&j, "late"), json_bool(&j, r->verdict.late);
    json_key(&j, "duplicate"), json_bool(&j, r->verdict.what == ANSWER_DUPLICATE);
    json_key(&j, "reordered"), json_bool(&j, r->verdict.reordered);
    if (r->stamp) {
        json_number(&j, "up_ns", r->stamp->t2 - r->stamp->t1);
        json_number(&j, "down_ns", r->stamp->t4 - r->stamp->t3);
        json_number(&j, "reflector_ns", r->stamp->t3 - r->stamp->t2);
        json_number(&j, "reflector_seq", r->stamp->reflector_seq);
    }
    json_print(h, &j);
}

static void json_event(const struct ping_host *h, const char *type, const struct probe *p, const char *text)
{
    struct buf b = {0};
    struct json j = json_line(&b, h, type);
    if (p)
        json_number(&j, "seq", (int64_t)p->seq);
    if (text)
        json_key(&j, "error"), json_string(&j, slice_z(text));
    json_print(h, &j);
}

/* ---- One line an event ---- */

void report_start(const struct ping_host *h)
{
    if (as_json(h) || h->conf->live)
        return;
    printf("PING %s (%s) %zu bytes of data%s.\n", h->name, h->text, h->conf->size,
           !h->conf->stamp ? ""
           : h->conf->keys ? ", STAMP authenticated"
                           : ", STAMP");
    end_line(h);
}

void report_reply(const struct ping_host *h, const struct ping_reply *r)
{
    if (silent(h))
        return;
    if (as_json(h)) {
        json_reply(h, r);
        return;
    }
    if (h->conf->flood) {
        putchar('\b');
        return;
    }
    dated(h);
    printf("%zu bytes from %s: seq=%" PRIu64, r->bytes, h->text, r->probe->seq);
    if (r->ttl >= 0)
        printf(" ttl=%d", r->ttl);
    if (r->tos > 0)
        printf(" dscp=%d ecn=%d", r->tos >> 2, r->tos & 3);
    printf(" time=%.3f ms", ms(r->rtt));
    if (r->stamp)
        printf(" up=%.3f ms down=%.3f ms", ms(r->stamp->t2 - r->stamp->t1), ms(r->stamp->t4 - r->stamp->t3));
    printf("%s%s%s%s\n", r->kernel ? "" : " (user clock)", r->verdict.late ? " (late)" : "",
           r->verdict.reordered ? " (reordered)" : "", r->verdict.what == ANSWER_DUPLICATE ? " (DUP!)" : "");
    end_line(h);
}

void report_timeout(const struct ping_host *h, const struct probe *p)
{
    if (silent(h))
        return;
    if (as_json(h)) {
        json_event(h, "timeout", p, NULL);
        return;
    }
    if (h->conf->flood) {
        putchar('.');
        return;
    }
    dated(h);
    printf("Request timed out: seq=%" PRIu64 "\n", p->seq);
    end_line(h);
}

/* What an ICMP error means, RFC 792 and 4443; the errno says the same more roughly. */
static const char *icmp_meaning(const struct udp_event *ev, bool v4)
{
    static const char *const unreach4[] = {"network unreachable",
                                           "host unreachable",
                                           "protocol unreachable",
                                           "refused (nothing listens on that port)",
                                           "too big",
                                           "source route failed",
                                           "network unknown",
                                           "host unknown",
                                           NULL,
                                           "network prohibited",
                                           "host prohibited",
                                           NULL,
                                           NULL,
                                           "administratively prohibited"};
    static const char *const unreach6[] = {"no route", "administratively prohibited", "beyond the scope of the address",
                                           "address unreachable", "refused (nothing listens on that port)"};
    const char *text = NULL;
    if (ev->error == EMSGSIZE)
        return "too big";
    if (v4 && ev->type == ICMP_DEST_UNREACH && ev->code < sizeof unreach4 / sizeof unreach4[0])
        text = unreach4[ev->code];
    else if (v4 && ev->type == ICMP_TIME_EXCEEDED)
        text = "time to live exceeded";
    else if (!v4 && ev->type == ICMP6_DST_UNREACH && ev->code < sizeof unreach6 / sizeof unreach6[0])
        text = unreach6[ev->code];
    else if (!v4 && ev->type == ICMP6_TIME_EXCEEDED)
        text = "hop limit exceeded";
    return text ? text : err_errno(ev->error)->text;
}

void report_icmp(const struct ping_host *h, const struct udp_event *ev, const struct probe *p)
{
    char from[ADDR_TEXT] = "this machine", text[160];
    const char *meaning = icmp_meaning(ev, h->addr.sa.sa_family == AF_INET);
    if (ev->offender.len)
        addr_text_host(&ev->offender, from);
    if (ev->mtu)
        snprintf(text, sizeof text, "%s, mtu=%u", meaning, ev->mtu);
    else
        snprintf(text, sizeof text, "%s", meaning);
    if (as_json(h)) {
        json_event(h, "error", p, text);
        return;
    }
    if (h->conf->quiet && err_errno(ev->error) != E_REFUSED)
        return;
    dated(h);
    printf("From %s: %s", from, text);
    if (p)
        printf(": seq=%" PRIu64, p->seq);
    putchar('\n');
    end_line(h);
}

void report_failed(const struct ping_host *h, const struct probe *p, err_t e)
{
    char text[300];
    fault_text(e, text, sizeof text);
    if (as_json(h))
        json_event(h, "error", p, text);
    else
        printf("%s: not sent: %s\n", h->text, text);
    fault_clear();
}

/* ---- Summaries ---- */

static double loss_percent(const struct ping_host *h)
{
    uint64_t sent = h->probes.count.sent, received = h->probes.count.received;
    return sent ? 100 * (double)(sent - received) / (double)sent : 0;
}

static double mean_of(const struct spread *s)
{
    return s->n ? s->sum / (double)s->n / (double)TICK_MS : 0;
}

static struct stamp_split split_of(const struct ping_host *h)
{
    uint64_t sent = h->probes.count.sent, received = h->probes.count.received;
    return stamp_stats_split(&h->stamp, received, sent - received, h->conf->stateful);
}

void report_interim(const struct ping_host *h)
{
    fprintf(stderr, "\r%s: %" PRIu64 "/%" PRIu64 " packets, %.4g%% loss, min/avg/max = %.3f/%.3f/%.3f ms\n", h->name,
            h->probes.count.received, h->probes.count.sent, loss_percent(h), ms(h->rtt.min), h->rtt.mean / 1e6,
            ms(h->rtt.max));
}

static void json_spread(struct json *j, const char *key, const struct spread *s)
{
    if (!s->n)
        return;
    json_key(j, key), json_open(j, '{');
    json_number(j, "min_ns", s->min);
    json_number(j, "avg_ns", (int64_t)llround(s->sum / (double)s->n));
    json_number(j, "max_ns", s->max);
    json_close(j, '}');
}

static void json_stamp(struct json *j, const struct ping_host *h)
{
    const struct stamp_stats *s = &h->stamp;
    struct stamp_split split = split_of(h);
    json_spread(j, "up", &s->up);
    json_spread(j, "down", &s->down);
    json_spread(j, "up_variation", &s->vary_up);
    json_spread(j, "down_variation", &s->vary_down);
    json_spread(j, "reflector", &s->server);
    if (s->up.n)
        json_number(j, "clock_offset_ns", s->offset), json_number(j, "clock_offset_error_ns", s->best_rtt / 2);
    json_number(j, "forged", (int64_t)h->forged);
    json_key(j, "loss_direction_known"), json_bool(j, split.known);
    if (split.known) {
        json_number(j, "lost_up", (int64_t)split.up);
        json_number(j, "lost_down", (int64_t)split.down);
        json_number(j, "lost_unknown", (int64_t)split.unknown);
    }
}

static void json_summary(const struct ping_host *h)
{
    struct buf b = {0};
    struct json j = json_line(&b, h, "summary");
    const struct probes *p = &h->probes;
    json_number(&j, "sent", (int64_t)p->count.sent);
    json_number(&j, "received", (int64_t)p->count.received);
    json_number(&j, "lost", (int64_t)(p->count.sent - p->count.received));
    json_key(&j, "loss_percent"), json_real(&j, loss_percent(h), 4);
    json_number(&j, "late", (int64_t)p->count.late);
    json_number(&j, "duplicates", (int64_t)p->count.duplicates);
    json_number(&j, "reordered", (int64_t)p->count.reordered);
    json_number(&j, "errors", (int64_t)p->count.failed);
    json_number(&j, "foreign", (int64_t)p->count.foreign);
    json_number(&j, "missed", (int64_t)h->missed);
    json_number(&j, "user_clock", (int64_t)h->user_times);
    json_number(&j, "time_ns", h->end - h->start);
    if (h->rtt.total) {
        json_number(&j, "min_ns", h->rtt.min);
        json_number(&j, "avg_ns", (int64_t)llround(h->rtt.mean));
        json_number(&j, "max_ns", h->rtt.max);
        json_number(&j, "stddev_ns", (int64_t)llround(histogram_stddev(&h->rtt)));
        json_number(&j, "median_ns", histogram_quantile(&h->rtt, 0.5));
        json_number(&j, "p90_ns", histogram_quantile(&h->rtt, 0.9));
        json_number(&j, "p99_ns", histogram_quantile(&h->rtt, 0.99));
    }
    if (h->conf->stamp)
        json_stamp(&j, h);
    json_print(h, &j);
}

static void print_stamp(const struct ping_host *h)
{
    const struct stamp_stats *s = &h->stamp;
    struct stamp_split split = split_of(h);
    if (s->up.n) {
        printf("one way up   min/avg/max = %.3f/%.3f/%.3f ms as the two clocks show it\n", ms(s->up.min),
               mean_of(&s->up), ms(s->up.max));
        printf("one way down min/avg/max = %.3f/%.3f/%.3f ms\n", ms(s->down.min), mean_of(&s->down), ms(s->down.max));
        printf("the reflector's clock is ahead by an estimated %.3f ms (+- %.3f)\n", ms(s->offset),
               ms(s->best_rtt) / 2);
        printf("corrected by that: up avg = %.3f ms, down avg = %.3f ms\n", mean_of(&s->up) - ms(s->offset),
               mean_of(&s->down) + ms(s->offset));
    }
    if (s->vary_up.n)
        printf("delay variation avg/max: up %.3f/%.3f ms, down %.3f/%.3f ms\n", mean_of(&s->vary_up),
               ms(s->vary_up.max), mean_of(&s->vary_down), ms(s->vary_down.max));
    if (split.known)
        printf("lost on the way up %" PRIu64 ", on the way down %" PRIu64 ", unknown %" PRIu64 "\n", split.up,
               split.down, split.unknown);
    else
        puts("in which direction probes were lost is not known: the reflector has shown no numbers of its own "
             "(is it stateful? then say --stateful)");
    if (h->forged)
        printf("%" PRIu64 " replies with a wrong HMAC were ignored (is the key the same on both sides?)\n", h->forged);
}

static void print_histogram(const struct ping_host *h)
{
    enum { BINS = 10, WIDTH = 50 };
    int64_t low = h->rtt.min, high = histogram_quantile(&h->rtt, 0.99), step = (high - low) / BINS + 1;
    uint64_t n[BINS + 1], most = 1;
    for (int i = 0; i <= BINS; i++) {
        n[i] = histogram_between(&h->rtt, i ? low + step * i : 0, i < BINS ? low + step * (i + 1) : INT64_MAX);
        most = n[i] > most ? n[i] : most;
    }
    for (int i = 0; i <= BINS; i++) {
        char bar[WIDTH + 1];
        int length = (int)(n[i] * WIDTH / most);
        memset(bar, '#', (size_t)length);
        bar[length] = 0;
        printf("%s%9.3f ms |%-*s %" PRIu64 "\n", i < BINS ? "   " : ">= ", ms(low + step * i), WIDTH, bar, n[i]);
    }
}

static void print_counts(const struct ping_host *h)
{
    const struct probes *p = &h->probes;
    static const char *const names[] = {"late", "duplicates", "reordered", "errors", "unexpected"};
    const uint64_t counts[] = {p->count.late, p->count.duplicates, p->count.reordered, p->count.failed,
                               p->count.foreign};
    printf("\n--- %s ping statistics ---\n", h->name);
    printf("%" PRIu64 " packets transmitted, %" PRIu64 " received", p->count.sent, p->count.received);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (counts[i])
            printf(", +%" PRIu64 " %s", counts[i], names[i]);
    printf(", %.4g%% packet loss, time %" PRId64 "ms\n", loss_percent(h), (h->end - h->start) / TICK_MS);
}

void report_summary(const struct ping_host *h)
{
    if (as_json(h)) {
        json_summary(h);
        return;
    }
    print_counts(h);
    if (h->rtt.total) {
        printf("rtt min/avg/max/mdev = %.3f/%.3f/%.3f/%.3f ms\n", ms(h->rtt.min), h->rtt.mean / 1e6, ms(h->rtt.max),
               histogram_stddev(&h->rtt) / 1e6);
        printf("rtt median/p90/p99 = %.3f/%.3f/%.3f ms, by %s\n", ms(histogram_quantile(&h->rtt, 0.5)),
               ms(histogram_quantile(&h->rtt, 0.9)), ms(histogram_quantile(&h->rtt, 0.99)),
               h->user_times == 0              ? "kernel time stamps"
               : h->user_times == h->rtt.total ? "the user clock (no kernel time stamps: scheduling is included)"
                                               : "kernel time stamps and, in part, the user clock");
    }
    if (h->conf->stamp)
        print_stamp(h);
    if (h->missed)
        printf("%" PRIu64 " sending times were missed (is this machine busy?)\n", h->missed);
    if (h->conf->histogram && h->rtt.total)
        print_histogram(h);
    end_line(h);
}
