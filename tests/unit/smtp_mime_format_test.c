/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <string.h>

#include "smtp/message.h"

static struct arena arena;

static struct mime_letter letter(void)
{
    struct mime_letter l = {
        .subject = S("Hi"), .has_subject = true, .message_id = S("1@x"), .date = 1700000000, .boundary = S("=_b")};
    assert_ok(smtp_mailbox_parse(&arena, S("A <a@x>"), "--from", &l.from));
    assert_ok(smtp_mailboxes_parse(&arena, S("b@y"), "--to", &l.to));
    return l;
}

static struct slice rendered(const struct mime_letter *l, struct buf *b)
{
    struct mime_message m;
    struct message_reader r;
    struct slice chunk;
    bool no_dots;
    assert_ok(mime_format(l, &arena, &m));
    assert_ok(message_measure(&m));
    message_reader_start(&r, &m);
    do {
        assert_ok(message_reader_next(&r, &chunk, &no_dots));
        assert_ok(buf_add(b, chunk));
    } while (chunk.n);
    message_reader_done(&r);
    assert_int_equal(m.size, b->n);
    return buf_slice(b);
}

#define HEAD                                                                                                           \
    "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nFrom: A <a@x>\r\nTo: b@y\r\nSubject: Hi\r\n"                             \
    "Message-ID: <1@x>\r\n"

static struct mime_text text_of(struct slice s)
{
    struct mime_text t = {.content = {s, -1, s.n, 0}};
    assert_ok(content_scan(&t.content, &t.scan));
    return t;
}

static void one_text(void **state)
{
    (void)state;
    struct mime_letter l = letter();
    struct mime_text t = text_of(S("Hello\n.\n"));
    struct buf b = {0};
    l.text = &t;
    assert_slice(rendered(&l, &b), HEAD "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n"
                                        "Content-Transfer-Encoding: 7bit\r\n\r\nHello\r\n.\r\n");
    b.n = 0;
    t = text_of(S("x"));
    assert_slice(rendered(&l, &b), HEAD "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n"
                                        "Content-Transfer-Encoding: quoted-printable\r\n\r\nx=\r\n");
    buf_free(&b);
    arena_reset(&arena);
}

static void the_whole_tree(void **state)
{
    (void)state;
    struct mime_letter l = letter();
    struct mime_text t = text_of(S("t")), h = text_of(S("<img src=cid:i>\n"));
    struct mime_file f[] = {{{S("P"), -1, 1, 0}, S("p.png"), S("image/png"), SLICE_NONE, S("i")},
                            {{S(""), -1, 0, 0}, S("e"), S("application/octet-stream"), SLICE_NONE, SLICE_NONE}};
    struct buf b = {0};
    l.text = &t, l.html = &h, l.files = f, l.file_count = 2;
    assert_slice(
        rendered(&l, &b), HEAD
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary=\"=_bb\"\r\n\r\n"
        "--=_bb\r\nContent-Type: multipart/related;\r\n boundary=\"=_bc\";\r\n type=\"multipart/alternative\"\r\n\r\n"
        "--=_bc\r\nContent-Type: multipart/alternative;\r\n boundary=\"=_bd\"\r\n\r\n"
        "--=_bd\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\nt\r\n"
        "--=_bd\r\nContent-Type: text/html; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
        "<img src=cid:i>\r\n\r\n--=_bd--\r\n"
        "--=_bc\r\nContent-Type: image/png;\r\n name=\"p.png\"\r\nContent-Transfer-Encoding: base64\r\n"
        "Content-Disposition: inline;\r\n filename=\"p.png\"\r\nContent-ID: <i>\r\n\r\nUA==\r\n--=_bc--\r\n"
        "--=_bb\r\nContent-Type: application/octet-stream;\r\n name=\"e\"\r\nContent-Transfer-Encoding: base64\r\n"
        "Content-Disposition: attachment;\r\n filename=\"e\"\r\n\r\n--=_bb--\r\n");
    buf_free(&b);
    arena_reset(&arena);
}

static void fields_of_the_user(void **state)
{
    (void)state;
    struct mime_letter l = letter();
    struct mime_message m;
    struct mime_field good[] = {{S("X-Y"), S("z")}, {S("Reply-To"), S("r@s (c)")}, {S("Date"), S("now")}};
    struct buf b = {0};
    l.fields = good, l.field_count = 3;
    assert_slice(rendered(&l, &b),
                 "From: A <a@x>\r\nTo: b@y\r\nSubject: Hi\r\nMessage-ID: <1@x>\r\nX-Y: z\r\nReply-To: r@s\r\n"
                 "Date: now\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n");
    struct mime_field bad[] = {{S("Bcc"), S("z")},       {S("X:Y"), S("z")},    {S("content-type"), S("z")},
                               {S("X"), S("a\r\nB: c")}, {S("X\r\nY"), S("z")}, {S("Reply-To"), S("a b")}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        l.fields = &bad[i], l.field_count = 1;
        assert_err(mime_format(&l, &arena, &m), E_DATA);
    }
    buf_free(&b);
    arena_reset(&arena);
}

static void empty_body_and_8bit(void **state)
{
    (void)state;
    struct mime_letter l = letter();
    struct mime_message m;
    struct mime_text t = text_of(S("\xc3\xa9\n"));
    l.text = &t;
    l.allow_8bit = true;
    assert_ok(mime_format(&l, &arena, &m));
    assert_true(m.eightbit);
    l.allow_8bit = false;
    assert_ok(mime_format(&l, &arena, &m));
    assert_false(m.eightbit);
    arena_reset(&arena);
    arena_thread_done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_text), cmocka_unit_test(the_whole_tree),
                                       cmocka_unit_test(fields_of_the_user), cmocka_unit_test(empty_body_and_8bit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
