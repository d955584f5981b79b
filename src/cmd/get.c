/* SPDX-License-Identifier: MIT */
/* get.c -- the command line of `l7 get`. Options that curl has mean what they mean there. */
#include <stdlib.h>

#include "app/get/get.h"
#include "cmd/oneshot.h"
#include "cmd/verb.h"

struct get_cmd {
    struct get_conf conf; /* first, so that offsets below are those of its fields */
    struct opt_list headers, resolve, outputs;
    const char *timing_default;
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
    {"data-binary", 0, OPT_CALL, 0, "DATA", "as -d, but files as they are", NULL, data_binary},
    {"data-raw", 0, OPT_CALL, 0, "DATA", "as -d, @ means nothing", NULL, data_raw},
    {"data-urlencode", 0, OPT_CALL, 0, "DATA", "as -d, encoded", NULL, data_urlencode},
    {"form-string", 0, OPT_CALL, 0, "NAME=VALUE", "as -F, @ and < mean nothing", NULL, data_form_string},
    {"get", 'G', OPT_FLAG, AT(data_in_url), NULL, "data goes into the URL"},
    {"user-agent", 'A', OPT_STRING, AT(user_agent), "TEXT", "", "l7/" L7_VERSION},
    {"referer", 'e', OPT_STRING, AT(referer), "URL", ""},
    {"range", 'r', OPT_STRING, AT(range), "RANGE", "0-99, 500-, -100"},
    {"oauth2-bearer", 0, OPT_STRING, AT(bearer), "TOKEN", "bearer authentication"},
    {"cookie", 'b', OPT_STRING, AT(cookie), "'N=V'|FILE", "send cookies"},
    {"cookie-jar", 'c', OPT_STRING, AT(cookie_jar), "FILE", "keep them"},
    {"junk-session-cookies", 'j', OPT_FLAG, AT(new_session), NULL, ""},
    {"compressed", 0, OPT_FLAG, AT(compressed), NULL, "ask for a compressed body and undo it"},
    {"offline", 0, OPT_FLAG, AT(offline), NULL, "show the request, send nothing"},
    {"input", 0, OPT_STRING, AT(input), "FILE", "URLs, one a line"},
    {NULL}};

static const struct opt connection_opts[] = {
    {"", 0, OPT_HEADING, 0, NULL, "Connection"},
    {"ca", 0, OPT_STRING, AT(ca), "FILE", "trust these instead of the system's"},
    {"cacert", 0, OPT_STRING, AT(ca), "FILE", "", NULL, NULL, true},
    {"cert", 'E', OPT_STRING, AT(cert), "FILE", "client certificate"},
    {"key", 0, OPT_STRING, AT(key), "FILE", ""},
    {"proxy-user", 'U', OPT_STRING, AT(proxy_user), "NAME:PASSWORD", ""},
    {"proxytunnel", 'p', OPT_FLAG, AT(tunnel), NULL, "CONNECT for http too"},
    {"noproxy", 0, OPT_STRING, AT(no_proxy), "HOSTS", ""},
    {"resolve", 0, OPT_LIST, offsetof(struct get_cmd, resolve), "HOST:PORT:ADDR", ""},
    {"unix-socket", 0, OPT_STRING, AT(unix_path), "PATH", ""},
    {"ipv4", '4', OPT_FLAG, AT(ipv4), NULL, ""},
    {"ipv6", '6', OPT_FLAG, AT(ipv6), NULL, ""},
    {"http1.1", 0, OPT_FLAG, AT(http1), NULL, ""},
    {"http2", 0, OPT_FLAG, AT(http2), NULL, "", NULL, NULL, true},
    {"http2-prior-knowledge", 0, OPT_FLAG, AT(http2_prior), NULL, ""},
    {"connect-timeout", 0, OPT_DURATION, AT(connect_timeout), "TIME", ""},
    {"timeout", 0, OPT_DURATION, AT(timeout), "TIME", "when nothing moves", "5m"},
    {"limit-rate", 0, OPT_SIZE, AT(rate), "BYTES", "a second"},
    {NULL}};

static const struct opt transfer_opts[] = {
    {"", 0, OPT_HEADING, 0, NULL, "Transfer"},
    {"output-dir", 0, OPT_STRING, AT(output_dir), "DIR", ""},
    {"create-dirs", 0, OPT_FLAG, AT(create_dirs), NULL, ""},
    {"remote-header-name", 'J', OPT_FLAG, AT(remote_header_name), NULL, "-O as Content-Disposition says"},
    {"remote-time", 'R', OPT_FLAG, AT(remote_time), NULL, ""},
    {"no-clobber", 0, OPT_FLAG, AT(no_clobber), NULL, ""},
    {"checksum", 0, OPT_STRING, AT(checksum), "ALGORITHM:HEX", ""},
    {"retry", 0, OPT_INT, AT(retries), "N", ""},
    {"retry-delay", 0, OPT_DURATION, AT(retry_delay), "TIME", ""},
    {"retry-max-time", 0, OPT_DURATION, AT(retry_time), "TIME", ""},
    {"retry-all-errors", 0, OPT_FLAG, AT(retry_all), NULL, ""},
    {"parallel", 'Z', OPT_CALL, 0, NULL, "", NULL, NULL},
    {"parallel-max", 0, OPT_INT, AT(parallel), "N", ""},
    {"segments", 0, OPT_INT, AT(segments), "N", "one file over N connections"},
    {"max-redirs", 0, OPT_INT, AT(redirects_max), "N", "", "50"},
    {"location-trusted", 0, OPT_FLAG, AT(trust_location), NULL, ""},
    {"max-filesize", 0, OPT_SIZE, AT(size_max), "BYTES", ""},
    {"fail-with-body", 0, OPT_FLAG, AT(fail_with_body), NULL, ""},
    {NULL}};

static const struct opt show_opts[] = {
    {"", 0, OPT_HEADING, 0, NULL, "Seeing it"},
    {"timing", 0, OPT_OPTIONAL, AT(timing), "json", "where the time went"},
    {"har", 0, OPT_STRING, AT(har), "FILE", "HTTP archive"},
    {"write-out", 'w', OPT_STRING, AT(write_out), "FORMAT", "%{http_code} ..."},
    {"dump-header", 'D', OPT_STRING, AT(dump_header), "FILE", ""},
    {"trace", 0, OPT_OPTIONAL, AT(trace), "FILE", "the dialogue"},
    {"trace-secrets", 0, OPT_FLAG, AT(trace_secrets), NULL, ""},
    {"keylog", 0, OPT_STRING, AT(keylog), "FILE", ""},
    {"show-error", 'S', OPT_FLAG, AT(show_error), NULL, ""},
    {"no-progress-meter", 0, OPT_FLAG, AT(no_progress), NULL, ""},
    {NULL}};
