/* SPDX-License-Identifier: MIT */
/* Certificates: the verdicts in words, the choice by name, what a client shows, and the local authority. */
#include "tests/unit/tls_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/tls_auto.h"

/* -- verdicts -- */

static void verdict(const char *pair, const char *host, err_t e, const char *why)
{
    struct world w = {.client = client_of("root.pem"), .server = server_of(pair, 0), .host = host};
    meet(&w);
    if (w.client_error != e || (why && strcmp(w.client_why, why) != 0))
        fail_msg("%s for %s: %s: %s", pair, host, w.client_error ? w.client_error->name : "accepted", w.client_why);
    tls_unref(w.client);
    tls_unref(w.server);
}

static void certificates_get_the_right_verdict_in_words(void **state)
{
    (void)state;
    verdict("good", "a.example", NULL, NULL);
    verdict("good", "A.Example.", NULL, NULL);
    verdict("good", "x.b.example", NULL, NULL);
    verdict("good", "127.0.0.1", NULL, NULL);
    verdict("good", "::1", NULL, NULL);
    verdict("good", "b.example", E_CERT,
            "certificate is for a.example, *.b.example, 127.0.0.1 and 2 more, not b.example");
    verdict("good", "y.x.b.example", E_CERT, NULL);
    verdict("good", "127.0.0.2", E_CERT,
            "certificate is for a.example, *.b.example, 127.0.0.1 and 2 more, not 127.0.0.2");
    verdict("nameless", "only.cn.example", E_CERT,
            "certificate is for nobody in particular (it has no names), not only.cn.example");
    verdict("oddaddress", "127.1.0.0", E_CERT,
            "certificate is for nobody in particular (it has no names), not 127.1.0.0");
    verdict("underexpired", "a.example", E_CERT,
            "certificate of the authority \"Expired Middle CA\" expired on 2021-01-01");
    verdict("expired", "a.example", E_CERT, "certificate expired on 2021-01-01");
    verdict("future", "a.example", E_CERT, "certificate is not yet valid, only from 2090-01-01 on");
    verdict("selfsigned", "a.example", E_CERT, "self-signed certificate");
    verdict("stranger", "a.example", E_CERT, "signed by an authority that is not trusted, \"Stranger CA\"");
    verdict("chained", "a.example", NULL, NULL);
    verdict("shuffled", "a.example", NULL, NULL);
    verdict("incomplete", "a.example", E_CERT,
            "the server did not send its intermediate certificate \"Middle CA\" (or that is an authority that is not "
            "trusted)");
    verdict("clientonly", "a.example", E_CERT, "certificate is not meant for servers");
}

static void insecure_accepts_what_it_must_not(void **state)
{
    (void)state;
    struct world w = {.server = server_of("expired", 0), .host = "wrong.example"};
    struct tls_client_options o = {.insecure = true};
    assert_ok(tls_client_new(&o, &w.client));
    meet(&w);
    assert_null(w.client_error);
    tls_unref(w.client);
    tls_unref(w.server);
}

static void names_choose_the_certificate(void **state)
{
    (void)state;
    struct tls_pair pairs[] = {{path("good.pem"), path("good.key")},
                               {path("chained.pem"), path("chained.key")},
                               {path("other.pem"), path("other.key")}};
    struct tls_server_options o = {.pairs = pairs, .count = 3};
    struct world w = {.client = client_of("root.pem"), .front = learn_client, .back = learn_server};
    const char *cases[][2] = {{"a.example", "/CN=good"}, {"other.example", "/CN=other"}, {"127.0.0.1", "/CN=good"}};
    assert_ok(tls_server_new(&o, &w.server));
    for (size_t i = 0; i < 3; i++) {
        w.host = cases[i][0];
        meet(&w);
        assert_null(w.client_error);
        assert_string_equal(client_facts.info.subject, cases[i][1]);
    }
    tls_unref(w.client);
    tls_unref(w.server);
}

static void clients_show_certificates(void **state)
{
    (void)state;
    struct tls_pair p = {path("good.pem"), path("good.key")};
    struct tls_server_options so = {.pairs = &p, .count = 1, .client_ca = path("root.pem")};
    struct tls_client_options co = {
        .ca_file = path("root.pem"), .cert_file = path("clientonly.pem"), .key_file = path("clientonly.key")};
    struct world w = {.host = "a.example", .front = learn_client, .back = learn_server};
    assert_ok(tls_server_new(&so, &w.server));
    assert_ok(tls_client_new(&co, &w.client));
    meet(&w);
    assert_null(w.server_error);
    assert_string_equal(server_facts.info.subject, "/CN=clientonly");
    tls_unref(w.client);
    w.client = client_of("root.pem");
    w.front = w.back = NULL;
    meet(&w);
    assert_ptr_equal(w.server_error, E_TLS);
    tls_unref(w.client);
    tls_unref(w.server);
}

static void loading_errors_name_the_file(void **state)
{
    (void)state;
    struct tls *t = NULL;
    struct tls_pair p = {path("absent.pem"), path("good.key")};
    struct tls_server_options o = {.pairs = &p, .count = 1};
    assert_err(tls_server_new(&o, &t), E_NOT_FOUND);
    assert_string_equal(fault_detail(), path("absent.pem"));
    p = (struct tls_pair){path("good.pem"), path("other.key")};
    assert_err(tls_server_new(&o, &t), E_CERT);
    assert_non_null(strstr(fault_detail(), "does not belong to"));
    p = (struct tls_pair){path("good.key"), path("good.key")};
    assert_err(tls_server_new(&o, &t), E_CERT);
    assert_null(t);
}

static void mode_is(const char *file, mode_t mode)
{
    struct stat st;
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
}

static void the_local_authority_is_made_once(void **state)
{
    (void)state;
    struct tls_auto a, b;
    struct stat before, after_;
    setenv("XDG_STATE_HOME", path("state"), 1);
    assert_ok(tls_auto(&a));
    assert_string_equal(a.ca, path("state/l7/tls/ca.pem"));
    mode_is(path("state/l7/tls"), 0700);
    mode_is(path("state/l7/tls/ca.key"), 0600);
    mode_is(a.key, 0600);
    assert_int_equal(stat(a.ca, &before), 0);
    assert_ok(tls_auto(&b));
    assert_int_equal(stat(b.ca, &after_), 0);
    assert_int_equal(before.st_ino, after_.st_ino);

    struct tls_pair p = {a.cert, a.key};
    struct tls_server_options so = {.pairs = &p, .count = 1};
    struct tls_client_options co = {.ca_file = a.ca};
    char host[65];
    gethostname(host, sizeof host);
    const char *names[] = {"localhost", "127.0.0.1", "::1", host};
    struct world w = {.front = learn_client, .back = learn_server};
    assert_ok(tls_server_new(&so, &w.server));
    assert_ok(tls_client_new(&co, &w.client));
    for (size_t i = 0; i < 4; i++) {
        w.host = names[i];
        meet(&w);
        if (w.client_error)
            fail_msg("%s: %s", names[i], w.client_why);
    }
    tls_unref(w.client);
    tls_unref(w.server);

    unlink(a.key); /* the leaf is made anew, the authority stays */
    assert_ok(tls_auto(&b));
    assert_int_equal(stat(b.ca, &after_), 0);
    assert_int_equal(before.st_ino, after_.st_ino);
    chmod(path("state/l7/tls"), 0755);
    assert_err(tls_auto(&b), E_PERMISSION);
}

/* An authority that is stolen still vouches for nobody else: its name constraints hold. */
static void the_local_authority_speaks_for_this_machine_only(void **state)
{
    (void)state;
    char command[512];
    struct tls_auto a;
    struct tls_client_options co = {.ca_file = a.ca};
    struct world w = {.host = "evil.example"};
    setenv("XDG_STATE_HOME", path("state2"), 1);
    assert_ok(tls_auto(&a));
    snprintf(command, sizeof command,
             "cd '%s' && openssl x509 -req -in good.csr -CA state2/l7/tls/ca.pem -CAkey state2/l7/tls/ca.key "
             "-CAcreateserial "
             "-extfile evil.ext -out evil.pem 2>/dev/null && cp good.key evil.key",
             path("."));
    FILE *f = fopen(path("evil.ext"), "w");
    fputs("subjectAltName=DNS:evil.example\n", f);
    fclose(f);
    assert_int_equal(system(command), 0);
    w.server = server_of("evil", 0);
    assert_ok(tls_client_new(&co, &w.client));
    meet(&w);
    assert_ptr_equal(w.client_error, E_CERT);
    assert_string_equal(w.client_why, "its authority may not sign for evil.example (name constraints)");
    tls_unref(w.client);
    tls_unref(w.server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_get_the_right_verdict_in_words),
        cmocka_unit_test(insecure_accepts_what_it_must_not),
        cmocka_unit_test(names_choose_the_certificate),
        cmocka_unit_test(clients_show_certificates),
        cmocka_unit_test(loading_errors_name_the_file),
        cmocka_unit_test(the_local_authority_is_made_once),
        cmocka_unit_test(the_local_authority_speaks_for_this_machine_only),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
