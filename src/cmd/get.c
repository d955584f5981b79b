/* SPDX-License-Identifier: MIT */
/* get.c -- the command line of `l7 get`. Options that curl has mean what they mean there. */
#include <stdio.h>
#include <stdlib.h>

#include "app/get/get.h"
#include "cmd/oneshot.h"
#include "cmd/verb.h"

struct get_cmd {
    struct get_conf conf; /* first, so that offsets below are those of its fields */
    struct opt_list headers, resolve, outputs;
    bool parallel;
    int argc;
    char **argv;
    int status;
};

#define AT(field) offsetof(struct get_cmd, conf.field)

static err_t add_data(void *conf, enum get_data_kind kind, const char *value)
{
    struct get_conf *c = &((struct get_cmd *)conf)->conf;
    struct get_data *more = realloc(c->data, (c->data_count + 1) * sizeof *more);
    if (!more)
        return E_NO_MEMORY;
    c->data = more;
    c->data[c->data_count++] = (struct get_data){kind, value};
    return NULL;
}
#define DATA_OPTION(fn, kind)                                                                                          \
    static err_t fn(void *conf, const char *value)                                                                     \
    {                                                                                                                  \
        return add_data(conf, kind, value);                                                                            \
    }
DATA_OPTION(data_plain, DATA_PLAIN)
DATA_OPTION(data_binary, DATA_BINARY)
DATA_OPTION(data_raw, DATA_RAW)
DATA_OPTION(data_urlencode, DATA_URLENCODE)
DATA_OPTION(data_json, DATA_JSON)
DATA_OPTION(data_form, DATA_FORM)
DATA_OPTION(data_form_string, DATA_FORM_STRING)

static const struct opt main_opts[] = {
    {"output", 'o', OPT_LIST, offsetof(struct get_cmd, outputs), "FILE", "write the body there; one for each URL"},
    {"remote-name", 'O', OPT_FLAG, AT(remote_name), NULL, "name the file as the URL does"},
    {"include", 'i', OPT_FLAG, AT(include), NULL, "the response head too"},
    {"head", 'I', OPT_FLAG, AT(head_only), NULL, "ask with HEAD and show the head"},
    {"location", 'L', OPT_FLAG, AT(follow), NULL, "follow redirects"},
    {"request", 'X', OPT_STRING, AT(method), "METHOD", "GET, or POST with data, PUT with -T"},
    {"header", 'H', OPT_LIST, offsetof(struct get_cmd, headers), "'NAME: VALUE'",
     "a request field; 'NAME:' removes one, 'NAME;' sends it empty"},
    {"data", 'd', OPT_CALL, 0, "DATA", "send it (@FILE: its lines); several are joined by &", NULL, data_plain},
    {"json", 0, OPT_CALL, 0, "DATA", "send JSON and ask for JSON", NULL, data_json},
    {"form", 'F', OPT_CALL, 0, "NAME=VALUE", "a form's part; NAME=@FILE uploads, NAME=<FILE is its text", NULL,
     data_form},
    {"upload-file", 'T', OPT_STRING, AT(upload), "FILE", "PUT it; - is the standard input"},
    {"continue-at", 'C', OPT_STRING, AT(resume), "OFFSET", "resume; - finds out where"},
    {"user", 'u', OPT_STRING, AT(user), "NAME:PASSWORD", "basic authentication"},
    {"insecure", 'k', OPT_FLAG, AT(insecure), NULL, "do not verify the server's certificate"},
    {"proxy", 'x', OPT_STRING, AT(proxy), "[http://]HOST:PORT", "instead of http_proxy and its kind"},
    {"max-time", 'm', OPT_DURATION, AT(max_time), "TIME", "for each URL, everything together"},
    {"fail", 'f', OPT_FLAG, AT(fail), NULL, "a status of 400 or more is exit 1, without the body"},
    {"silent", 's', OPT_FLAG, AT(silent), NULL, "neither progress nor messages; -S keeps the messages"},
    {"verbose", 'v', OPT_FLAG, AT(verbose), NULL, "both heads and the connection, on stderr"},
    {NULL}};

static const struct opt request_opts[] = {
    {"", 0, OPT_HEADING, 0, NULL, "Request"},
    {"data-binary", 0, OPT_CALL, 0, "DATA", "as --data, but files are sent as they are", NULL, data_binary},
    {"data-raw", 0, OPT_CALL, 0, "DATA", "as --data, but @ means nothing", NULL, data_raw},
    {"data-urlencode", 0, OPT_CALL, 0, "DATA", "as --data, percent-encoded", NULL, data_urlencode},
    {"form-string", 0, OPT_CALL, 0, "NAME=VALUE", "as --form, but @ and < mean nothing", NULL, data_form_string},
    {"get", 'G', OPT_FLAG, AT(data_in_url), NULL, "put the data into the URL, behind a question mark"},
    {"user-agent", 'A', OPT_STRING, AT(user_agent), "TEXT", "the User-Agent field", "l7/" L7_VERSION},
    {"referer", 'e', OPT_STRING, AT(referer), "URL", "the Referer field"},
    {"range", 'r', OPT_STRING, AT(range), "RANGE", "these bytes only: 0-99, 500-, -100"},
    {"oauth2-bearer", 0, OPT_STRING, AT(bearer), "TOKEN", "bearer authentication"},
    {"cookie", 'b', OPT_STRING, AT(cookie), "FILE", "send cookies: 'name=value', or a file in Netscape's format"},
    {"cookie-jar", 'c', OPT_STRING, AT(cookie_jar), "FILE", "write the cookies there at the end"},
    {"junk-session-cookies", 'j', OPT_FLAG, AT(new_session), NULL, "begin a new session with the cookies of -b"},
    {"compressed", 0, OPT_FLAG, AT(compressed), NULL, "ask for gzip, deflate, br or zstd and undo it"},
    {"offline", 0, OPT_FLAG, AT(offline), NULL, "show the request, send nothing"},
    {"input", 0, OPT_STRING, AT(input), "FILE", "URLs, one a line; - is the standard input"},
    {NULL}};

static const struct opt connection_opts[] = {
    {"", 0, OPT_HEADING, 0, NULL, "Connection"},
    {"ca", 0, OPT_STRING, AT(ca), "FILE", "trust these authorities instead of the system's"},
    {"cacert", 0, OPT_STRING, AT(ca), "FILE", "as --ca", NULL, NULL, true},
    {"cert", 'E', OPT_STRING, AT(cert), "FILE", "a client certificate, PEM"},
    {"key", 0, OPT_STRING, AT(key), "FILE", "its key, when that is not in the same file"},
    {"proxy-user", 'U', OPT_STRING, AT(proxy_user), "NAME:PASSWORD", "basic authentication for the proxy"},
    {"proxytunnel", 'p', OPT_FLAG, AT(tunnel), NULL, "CONNECT through the proxy for http:// too"},
    {"noproxy", 0, OPT_STRING, AT(no_proxy), "HOSTS", "hosts to reach without a proxy; * is all"},
    {"resolve", 0, OPT_LIST, offsetof(struct get_cmd, resolve), "HOST:PORT:ADDR",
     "an answer ahead of every name server"},
    {"unix-socket", 0, OPT_STRING, AT(unix_path), "PATH", "connect there instead of to the host"},
    {"ipv4", '4', OPT_FLAG, AT(ipv4), NULL, "IPv4 addresses only"},
    {"ipv6", '6', OPT_FLAG, AT(ipv6), NULL, "IPv6 addresses only"},
    {"http1.1", 0, OPT_FLAG, AT(http1), NULL, "never HTTP/2, which is used where TLS negotiates it"},
    {"http2-prior-knowledge", 0, OPT_FLAG, AT(http2_prior), NULL, "HTTP/2 at once, over http:// too"},
    {"connect-timeout", 0, OPT_DURATION, AT(connect_timeout), "TIME", "for name, TCP, proxy and TLS together"},
    {"timeout", 0, OPT_DURATION, AT(timeout), "TIME", "give up when nothing moves for so long", "5m"},
    {"limit-rate", 0, OPT_SIZE, AT(rate), "BYTES", "no more than this a second"},
    {NULL}};

static const struct opt transfer_opts[] = {
    {"", 0, OPT_HEADING, 0, NULL, "Transfer"},
    {"output-dir", 0, OPT_STRING, AT(output_dir), "DIR", "where files go"},
    {"create-dirs", 0, OPT_FLAG, AT(create_dirs), NULL, "make missing folders"},
    {"remote-header-name", 'J', OPT_FLAG, AT(remote_header_name), NULL, "with -O: the name of Content-Disposition"},
    {"remote-time", 'R', OPT_FLAG, AT(remote_time), NULL, "give the file the time of Last-Modified"},
    {"no-clobber", 0, OPT_FLAG, AT(no_clobber), NULL, "add a number to the name of a file that exists"},
    {"checksum", 0, OPT_STRING, AT(checksum), "ALGORITHM:HEX", "sha256:..., sha512, sha1, md5: or it is an error"},
    {"retry", 0, OPT_INT, AT(retries), "N", "try again so often when it may help, from where it broke off"},
    {"retry-delay", 0, OPT_DURATION, AT(retry_delay), "TIME", "wait so long before each; else 1 s, doubled"},
    {"retry-max-time", 0, OPT_DURATION, AT(retry_time), "TIME", "no retry that begins later"},
    {"retry-all-errors", 0, OPT_FLAG, AT(retry_all), NULL, "retry whatever the error"},
    {"parallel", 'Z', OPT_FLAG, offsetof(struct get_cmd, parallel), NULL, "several URLs at once"},
    {"parallel-max", 0, OPT_INT, AT(parallel), "N", "how many", "8"},
    {"segments", 0, OPT_INT, AT(segments), "N", "one file over so many connections"},
    {"max-redirs", 0, OPT_INT, AT(redirects_max), "N", "redirects to follow", "50"},
    {"location-trusted", 0, OPT_FLAG, AT(trust_location), NULL, "send credentials to other hosts, too"},
    {"max-filesize", 0, OPT_SIZE, AT(size_max), "BYTES", "fail on a larger body, decoded or announced"},
    {"fail-with-body", 0, OPT_FLAG, AT(fail_with_body), NULL, "as --fail, with the body"},
    {NULL}};

static const struct opt show_opts[] = {
    {"", 0, OPT_HEADING, 0, NULL, "Seeing it"},
    {"timing", 0, OPT_OPTIONAL, AT(timing), "json", "where the time of each hop went, on stderr"},
    {"har", 0, OPT_STRING, AT(har), "FILE", "an HTTP archive of every request and response"},
    {"write-out", 'w', OPT_STRING, AT(write_out), "FORMAT", "print this at the end: %{http_code}, %{time_total}, ..."},
    {"dump-header", 'D', OPT_STRING, AT(dump_header), "FILE", "write the response heads there"},
    {"trace", 0, OPT_OPTIONAL, AT(trace), "FILE", "the dialogue as it happens, on stderr or into FILE"},
    {"trace-secrets", 0, OPT_FLAG, AT(trace_secrets), NULL, "show passwords and cookies in --trace, -v and --har"},
    {"keylog", 0, OPT_STRING, AT(keylog), "FILE", "append TLS secrets, for Wireshark"},
    {"show-error", 'S', OPT_FLAG, AT(show_error), NULL, "with -s: show error messages"},
    {"no-progress-meter", 0, OPT_FLAG, AT(no_progress), NULL, "no progress on the terminal"},
    {NULL}};

static const struct opt *const get_tables[] = {main_opts,     request_opts, connection_opts,
                                               transfer_opts, show_opts,    NULL};

/* HOST PORT PATH: three arguments, the second a number, the first no URL. */
static bool is_textbook(int argc, char **argv)
{
    uint64_t port;
    return argc == 3 && !strstr(argv[0], "://") && slice_u64(slice_z(argv[1]), &port);
}

static char *textbook_url(char **argv)
{
    bool v6 = strchr(argv[0], ':') && argv[0][0] != '[';
    size_t n = strlen(argv[0]) + strlen(argv[1]) + strlen(argv[2]) + 16;
    char *url = malloc(n);
    if (url)
        snprintf(url, n, "http://%s%s%s:%s%s%s", v6 ? "[" : "", argv[0], v6 ? "]" : "", argv[1],
                 argv[2][0] == '/' ? "" : "/", argv[2]);
    return url;
}

static struct get_list view(const struct opt_list *l)
{
    return (struct get_list){l->v, l->n};
}

static err_t work(void *arg)
{
    struct get_cmd *cmd = arg;
    struct get_conf *c = &cmd->conf;
    c->headers = view(&cmd->headers), c->resolve = view(&cmd->resolve), c->outputs = view(&cmd->outputs);
    c->open_stdin = oneshot_stdin;
    c->parallel = cmd->parallel ? c->parallel : 1;
    if (!is_textbook(cmd->argc, cmd->argv))
        return get_run(c, (struct get_list){(const char *const *)cmd->argv, (size_t)cmd->argc}, &cmd->status);
    char *url = textbook_url(cmd->argv);
    if (!url)
        return E_NO_MEMORY;
    c->textbook = true;
    err_t e = get_run(c, (struct get_list){(const char *const *)&url, 1}, &cmd->status);
    free(url);
    return e;
}

static int run(void *conf, int argc, char **argv)
{
    struct get_cmd *cmd = conf;
    cmd->argc = argc, cmd->argv = argv;
    err_t e = oneshot(work, cmd, NULL);
    free(cmd->conf.data);
    return e ? verb_fail(&get_role, e) : cmd->status;
}

const struct opt_role get_role = {
    .tool = "get",
    .usage = "URL... | HOST PORT PATH",
    .summary = "HTTP client",
    .tables = get_tables,
    .conf_size = sizeof(struct get_cmd),
    .args_min = 0,
    .args_max = -1,
    .run = run,
    .notes = "  l7 get -LO https://example.org/file.iso            download, follow redirects\n"
             "  l7 get --json '{\"a\":1}' 127.0.0.1:8005/api        send JSON\n"
             "  l7 get 127.0.0.1 8005 /index.html                  the textbook's form\n",
};
