# SPDX-License-Identifier: MIT
"""test_mail.py -- l7 mail against its own sink: what is delivered, read back with Python's email package, and what
happens when the server misbehaves."""
import email
import json
import os

import harness
import mail_server
from mail_case import Case


class Content(Case):
    def text_back(self, text):
        server = self.sink()
        self.send(server.port, '-s', 'x', '-b', '-', input=text)
        payload = self.message().get_payload(decode=True)
        self.assertEqual(payload.replace(b'\r\n', b'\n'), text)

    def test_texts(self):
        for text in (b'', b'x', b'\n', b'Hello\n', b'no final newline', b'.\n', b'..\n.\nx\n.', b'From here\n', b' \n\t\n',
                     'Grüße, 你好\n'.encode() * 30, 'é'.encode(), b'a' * 5000 + b'\n', b'trailing \nspace\t\n',
                     b'\x00\x01\x7f\n', '好'.encode() * 3000, b'=3D=\n', b'a=b\n' * 4000):
            with self.subTest(text[:20]):
                self._tmpdir = None
                self.text_back(text)

    def test_bare_cr_survives(self):
        server = self.sink()
        self.send(server.port, '-b', '-', input=b'a\rb\nc\r\nd')
        self.assertEqual(self.message().get_payload(decode=True), b'a\rb\nc\r\nd')

    def test_crlf_text(self):
        server = self.sink()
        self.send(server.port, '-b', '-', input=b'one\r\ntwo\r\n')
        self.assertEqual(self.message().get_content(), 'one\ntwo\n')

    def test_attachments_are_identical(self):
        for size in (0, 1, 4096, 1 << 20, 30 << 20):
            for hide in ((), ('--without', 'chunking'), ('--without', 'pipelining'), ('--without', 'ehlo')):
                if size > 1 << 20 and 'ehlo' in hide:
                    continue
                with self.subTest(size=size, hide=hide):
                    self._tmpdir = None
                    data = os.urandom(size)
                    server = self.sink(*hide)
                    self.send(server.port, '-s', 'file', '--text', 'see file', '-a', self.file('data.bin', data), timeout='20s')
                    m = self.message()
                    part = next(m.iter_attachments())
                    self.assertEqual(part.get_filename(), 'data.bin')
                    self.assertEqual(part.get_payload(decode=True), data)
                    self.assertEqual(m.get_body().get_content().rstrip('\n'), 'see file')
                    server.stop()

    def test_the_whole_tree(self):
        server = self.sink()
        png = b'\x89PNG\r\n\x1a\n' + os.urandom(500)
        self.send(server.port, '-s', 'Bilder für 你', '--text', 'plain\n', '--html', self.file('a.html', '<img src="cid:pic">'),
                  '--inline', self.file('p.png', png) + ':pic', '-a', self.file('äöü 图.txt', 'Grüße\n'), '-a',
                  self.file('plain.csv', 'a,b\n') + ':renamed.csv', '--cc', '"Smith, J." <js@example.net>', '--bcc', 'secret@example.net',
                  '-H', 'X-Test: Grüße aus Köln ' + 'sehr weit ' * 20, '-H', 'Reply-To: Zoë <zoe@example.org>')
        m = self.message()
        self.assertEqual(m['subject'], 'Bilder für 你')
        self.assertEqual(m['x-test'], ('Grüße aus Köln ' + 'sehr weit ' * 20).strip())
        self.assertEqual(m['reply-to'].addresses[0].display_name, 'Zoë')
        self.assertEqual(m['cc'].addresses[0].display_name, 'Smith, J.')
        self.assertIsNone(m['bcc'])
        self.assertNotIn(b'secret', self.raw()[0].split(b'Date:')[1])
        self.assertEqual(m.get_content_type(), 'multipart/mixed')
        self.assertEqual(m.get_body(('plain',)).get_content(), 'plain\n')
        related = m.get_body(('related',))
        picture = next(p for p in related.iter_parts() if p.get_content_type() == 'image/png')
        self.assertEqual(picture['content-id'], '<pic>')
        self.assertEqual(picture.get_content(), png)
        names = [p.get_filename() for p in m.iter_attachments() if p.get_content_disposition() == 'attachment']
        self.assertEqual(names, ['äöü 图.txt', 'renamed.csv'])
        text = [p for p in m.iter_attachments() if p.get_filename() == 'äöü 图.txt'][0]
        self.assertEqual(text.get_content(), 'Grüße\n')
        for line in self.raw()[0].split(b'\n'):
            self.assertLess(len(line), 999)
        for part in m.walk():
            self.assertEqual(part.defects, [])

    def test_a_message_within_the_message(self):
        """RFC 2046 section 5.2.1: 7bit or 8bit, never encoded; what cannot travel so is a file like any other."""
        plain = b'From: x@example.org\r\nSubject: inner\r\n\r\n.dot\r\nno final newline'
        eight = 'From: x@example.org\r\nSubject: inner\r\n\r\nGrüße\r\n'.encode()
        long = b'Subject: inner\r\n\r\n' + b'x' * 1000 + b'\r\n'
        for content, hide, encoding, kind in ((plain, (), '7bit', 'message/rfc822'), (plain.replace(b'\r', b''), (), '7bit', 'message/rfc822'),
                                              (eight, (), '8bit', 'message/rfc822'),
                                              (eight, ('--without', '8BITMIME'), 'base64', 'application/octet-stream'),
                                              (long, (), 'base64', 'application/octet-stream')):
            with self.subTest(content=content[:80], hide=hide):
                server = self.sink(*hide)
                self.send(server.port, '--text', 'see below', '-a', self.file('inner.eml', content))
                part = next(self.message().iter_attachments())
                self.assertEqual((part['content-transfer-encoding'], part.get_content_type()), (encoding, kind))
                if kind == 'message/rfc822':
                    inner = part.get_content()
                    self.assertEqual(inner['subject'], 'inner')
                    back = inner.get_payload(decode=True).replace(b'\r\n', b'\n')
                    self.assertEqual(back, content.replace(b'\r', b'').partition(b'\n\n')[2])
                else:
                    self.assertEqual(part.get_payload(decode=True), content)

    def test_long_names(self):
        server = self.sink()
        names = ['x' * 200 + '.pdf', '图' * 60 + '.png', 'quote"back\\slash.txt', "per%20cent'.txt"]
        args = [a for n in names for a in ('-a', self.file('f', 'x') + ':' + n)]
        self.send(server.port, *args)
        self.assertEqual([p.get_filename() for p in self.message().iter_attachments()], names)

    def test_repeatable_bytes(self):
        args = ['mail', 'send', '-n', '-f', 'a@b', '-t', 'c@d', '-s', 'x', '--text', 'hi\n', '--date', '@0', '--message-id', 'm@x',
                '--boundary', 'B', '-a', self.file('f', 'abc')]
        code, out, _ = self.run_l7(args)
        self.assertEqual((code, out), (0, self.run_l7(args)[1]))
        self.assertIn('Date: Thu, 1 Jan 1970 00:00:00 +0000\n', out.replace('\r\n', '\n'))
        self.assertIn('--Bb--', out)

    def test_ready_message(self):
        server = self.sink()
        ready = b'From: A <a@x.example>\nTo: b@y.example\nBcc: hidden@z.example\nSubject: ready\n\nline\n.dot\r\nGr\xc3\xbc\xc3\x9fe'
        self.send(server.port, '-m', self.file('m.eml', ready))
        m = self.message()
        self.assertIsNone(m['bcc'])
        self.assertEqual(m['from'].addresses[0].addr_spec, 'a@x.example')
        self.assertEqual(m.get_payload(decode=True), 'line\n.dot\nGrüße\n'.encode())
        for bad in (b'From: a@x\n\na\rb\n', b'From: a@x\n\n' + b'x' * 999 + b'\n'):
            self.send(server.port, '-m', '-', input=bad, check=65)

    def test_ready_header_is_checked(self):
        """What is refused as an option is refused in a ready message too, by the field's name."""
        server = self.sink('--without', 'smtputf8')
        for bad, words in ((b'Subject: a\0b\n\nx\n', 'Subject: a NUL'), (b'X-A: a\rBcc: x@y\n\nx\n', 'X-A: a line end'),
                           (b'X-A: ' + b'x' * 1000 + b'\n\nx\n', 'X-A: a line is longer'), (b'X-A: \xff\n\nx\n', 'X-A: not UTF-8'),
                           (b'X-A: b\n\na\0b\n', 'NUL')):
            _, _, err = self.send(server.port, '-m', '-', input=b'From: a@x.example\n' + bad, check=65)
            self.assertIn(words, err)
        utf8 = 'From: a@x.example\nSubject: Grüße\n\nx\n'.encode()
        self.assertIn('field Subject', self.send(server.port, '-m', '-', input=utf8, check=69)[2])
        server = self.sink()
        self.send(server.port, '-m', '-', input=utf8)
        self.assertTrue(json.loads(server.wait_for_line('peer', 'stdout').string)['smtputf8'])

    def test_eightbit_and_utf8(self):
        server = self.sink()
        self.send(server.port, '-s', 'Grüße', '--text', 'Grüße an alle, die das lesen\n')
        self.assertEqual(self.message()['content-transfer-encoding'], '8bit')
        line = json.loads(server.wait_for_line('peer', 'stdout').string)
        self.assertEqual((line['body'], line['smtputf8']), ('8BITMIME', False))
        self.send(server.port, '-s', 'x', '--text', 'x', to=['用户@例子.example'])
        line = json.loads(server.wait_for_line('peer', 'stdout', count=2).string)
        self.assertEqual((line['to'], line['smtputf8']), (['用户@例子.example'], True))
        plain = self.sink('--without', 'smtputf8')
        code, _, err = self.send(plain.port, to=['用户@例子.example'], check=69)
        self.assertIn('SMTPUTF8', err)
        self.send(plain.port, to=['user@bücher.example'])
        self.assertEqual(self.message()['to'].addresses[0].addr_spec, 'user@xn--bcher-kva.example')

    def test_refused_input(self):
        for args, field in ((['-s', 'a\r\nBcc: x@y'], 'Subject'), (['-t', 'a@b\r\nRCPT TO:<x@y>'], '--to'),
                            (['-H', 'X: a\nb'], 'X'), (['-H', 'X\nY: a'], '--header'), (['--envelope-from', 'a@b>\r\n'], '--envelope-from'),
                            (['--cc', 'x' * 65 + '@b'], '--cc'), (['--bcc', 'a@' + 'b' * 255], '--bcc'), (['-t', '"a\nb" <a@b>'], '--to'),
                            (['-s', 'x' * 70000], 'Subject'), (['-a', '/dev/null:a\nb'], '--attach'), (['-H', 'Bcc: x@y'], 'Bcc'),
                            (['--dsn-envid', 'a\rb'], '--dsn-envid'), (['--message-id', 'a\r\nb@c'], '--message-id')):
            with self.subTest(args=args):
                code, out, err = self.run_l7(['mail', 'send', '-n', '-f', 'a@b', '-t', 'c@d', *args])
                self.assertEqual(code, 65, err)
                self.assertIn(field, err)
        self.assertEqual(self.run_l7(['mail', 'send', '-n', '-f', 'a@b'])[0], 64)
        self.assertEqual(self.run_l7(['mail', 'send', '-n', '-f', 'a@b', '-t', 'c@d', '-b', '/nonexistent'])[0], 66)


    def test_refused_input_of_a_batch(self):
        """Each hostile line fails by itself, named; the good one behind it is sent."""
        bad = [({'subject': 'a\r\nBcc: x@y'}, 'Subject'), ({'to': 'a@b\r\nRCPT TO:<x@y>'}, '--to'), ({'header': 'X: a\nb'}, 'X'),
               ({'envelope-from': 'a@b>\r\n'}, '--envelope-from'), ({'subject': 'nul \0 here'}, ''), ({'attach': '/dev/null:a\nb'}, '--attach'),
               ({'cc': 'x' * 65 + '@b'}, '--cc')]
        lines = [json.dumps({'to': 'bob@example.org', 'text': 'x', **b}) for b, _ in bad]
        server = self.sink()
        _, out, err = self.send(server.port, '--batch', '-', input='\n'.join([*lines, '{"to": "bob@example.org", "subject": "good"}']) + '\n',
                                to=[], check=3)
        for _, field in bad:
            self.assertIn(field, out + err)
        self.assertEqual(self.message()['subject'], 'good')

    def test_refused_input_of_sendmail(self):
        server = self.sink()
        for text, code in (('To: a@b\0c\nSubject: x\n\nhi\n', 65), ('To: a@b\nSubject: x\ry\n\nhi\n', 65),
                           ('To: a@b\nSubject: ' + 'x' * 1000 + '\n\nhi\n', 65), ('To: ' + 'x' * 65 + '@b\n\nhi\n', 65)):
            with self.subTest(text=text[:40]):
                got, out, err = self.run_l7(['mail', 'sendmail', '--config', self.file('l7.conf', f'[mail]\nserver = 127.0.0.1:{server.port}\n'),
                                             '-t', '-i', '-f', 'ann@example.org'], input=text)
                self.assertEqual(got, code, out + err)
        self.assertEqual(self.raw(), [])


class Outcomes(Case):
    def test_some_of_a_hundred(self):
        for hide in ((), ('--without', 'pipelining'), ('--without', 'chunking')):
            with self.subTest(hide=hide):
                self._tmpdir = None
                server = self.sink('--fault', 'rcpt=bad:550 5.1.1 No such user', '--fault', 'rcpt=later:450 4.2.1 Try later', *hide)
                to = [f'{"bad" if i % 10 == 0 else "later" if i % 10 == 5 else "user"}{i}@example.org' for i in range(100)]
                code, out, err = self.send(server.port, '-s', 'x', '--text', 'hi\n', to=to, check=3)
                self.assertEqual(out.count(': accepted'), 80)
                self.assertEqual(out.count(': refused: 550 5.1.1 No such user'), 10)
                self.assertEqual(out.count(': deferred: 450 4.2.1 Try later'), 10)
                self.assertIn('bad10@example.org: refused', out)
                self.assertEqual(self.raw()[0].count(b'Delivered-To:'), 80)

    def test_nobody(self):
        self.assertIn('450', self.send(self.sink('--fault', 'rcpt:450').port, check=75)[1])
        self.send(self.sink('--fault', 'rcpt:550').port, check=69)
        self.send(self.sink('--fault', 'rcpt=a@:450', '--fault', 'rcpt:550').port, to=['a@b', 'c@d'], check=69)
        self.send(self.sink('--fault', 'mail:451').port, check=75)
        self.send(self.sink('--fault', 'end:554 5.7.1 Spam').port, check=69)
        self.send(self.sink('--fault', 'data:451', '--without', 'chunking').port, check=75)
        for hide in ('pipelining', 'chunking', 'ehlo'):
            self.send(self.sink('--fault', 'rcpt:550', '--without', hide).port, check=69)

    def test_json(self):
        server = self.sink('--fault', 'rcpt=bad:550')
        _, out, _ = self.send(server.port, '--json', to=['good@x', 'bad@x'], check=3)
        lines = [json.loads(l) for l in out.splitlines()]
        self.assertEqual([(l['recipient'], l['fate']) for l in lines], [('good@x', 'accepted'), ('bad@x', 'refused')])

    def test_batch(self):
        for hide in ((), ('--without', 'pipelining'), ('--without', 'chunking')):
            with self.subTest(hide=hide):
                self._tmpdir = None
                server = self.sink('--fault', 'rcpt=bad:550', *hide)
                lines = [json.dumps({'to': [f'{"bad" if i % 7 == 3 else "u"}{i}@x.example'], 'subject': f'n {i}', 'text': f'{i}\n'})
                         for i in range(40)]
                lines[20] = '{"to": "broken'
                lines[21] = '{"to": ["a@b"], "server": "x"}'
                code, out, err = self.send(server.port, '--batch', self.file('b', '\n'.join(lines) + '\n'), to=[], check=3)
                self.assertEqual(out.count(': accepted'), 32)
                self.assertEqual(out.count(': refused'), 6)
                self.assertEqual(out.count('not sent'), 2)
                self.assertEqual(len(self.raw()), 32)
                subjects = {email.message_from_bytes(r)['subject'] for r in self.raw()}
                self.assertEqual(subjects, {f'n {i}' for i in range(40) if i % 7 != 3 and i not in (20, 21)})

    def test_batch_goes_on_after_the_connection_breaks(self):
        server = self.sink('--fault', 'mail@4:421 4.7.0 Enough', '--without', 'pipelining')
        lines = [json.dumps({'to': f'u{i}@x.example', 'text': 'x'}) for i in range(10)]
        code, out, _ = self.send(server.port, '--batch', '-', input='\r\n'.join([*lines, '', ' ', '']), to=[], check=3)
        self.assertEqual(out.count(': accepted'), len(self.raw()))
        self.assertGreaterEqual(len(self.raw()), 7)
        self.assertNotIn('not sent', out)  # blank lines are none


class Failures(Case):
    """A clear error within the timeout; the status of sysexits.h."""

    def test_faults(self):
        big = self.file('big', os.urandom(8 << 20))
        small = ()
        for fault, status, words, args in (
                ('connect:554 5.3.2 No service', 69, '554', small), ('connect:421 4.3.2 Busy', 75, '421', small),
                ('connect:close', 75, 'closed', small), ('connect:silent', 75, 'time', small), ('connect:garbage', 76, 'no SMTP reply', small),
                ('connect:drip', 75, 'time', small), ('ehlo:endless', 75, '', small), ('ehlo:huge', 69, 'longer than', small),
                ('ehlo:reset', 75, '', small), ('mail:close', 75, 'closed', small), ('rcpt:silent', 75, 'time', small),
                ('rcpt:huge', 69, 'longer than', small), ('end:close', 75, 'closed', small), ('end:silent', 75, 'time', small),
                ('end:421 4.3.0 Going', 75, '421', small), ('body@65536:552 5.3.4 Picture too big+reset', 69, '552 5.3.4 Picture too big', ('-a', big)),
                ('body@65536:552 5.3.4 Picture too big+close', 69, '552 5.3.4 Picture too big', ('-a', big)),
                ('body@65536:silent', 75, 'time', ('-a', big)), ('body@65536:reset', 75, '', ('-a', big)), ('body@65536:close', 75, '', ('-a', big))):
            for hide in ((), ('--without', 'chunking'), ('--without', 'pipelining')):
                with self.subTest(fault=fault, hide=hide):
                    server = self.sink('--fault', fault, *hide)
                    waits = any(word in fault for word in ('silent', 'drip', 'endless'))
                    _, out, err = self.send(server.port, *args, check=status, timeout='1s' if waits else '10s')
                    self.assertIn(words, err)
                    server.stop()

    def test_nobody_listens(self):
        self.send(harness.free_port(), check=75)

    def test_words_before_the_reset_while_nothing_is_read(self):
        """The server answers in the middle of the data and reads no more."""
        server = mail_server.Scripted(self, ['220 hi', ('EHLO', '250 hi'), ('MAIL', '250 ok'), ('RCPT', '250 ok'), ('DATA', '354 go'),
                                             ('', '552 5.2.2 Mailbox full'), mail_server.STOP_READING])
        _, _, err = self.send(server.port, '-a', self.file('big', bytes(20 << 20)), check=69, timeout='5s')
        self.assertIn('552 5.2.2 Mailbox full', err)

    def test_control_characters_of_the_server_are_shown_not_obeyed(self):
        server = mail_server.Scripted(self, ['554 \x1b[2Jboo'])
        _, _, err = self.send(server.port, check=69)
        self.assertNotIn('\x1b', err)
        self.assertIn('\\x1b[2Jboo', err)

    def test_answers_are_paired(self):
        """An extra answer is a broken dialogue, not the answer to the next message."""
        server = mail_server.Scripted(self, ['220 hi', ('EHLO', '250 hi'), ('MAIL', '250 ok'), ('RCPT', '550 no\r\n250 surprise'), ('', '250 x')])
        code, _, _ = self.send(server.port, check=None)
        self.assertNotEqual(code, 0)


class Security(Case):
    def setUp(self):
        self.users = self.file('users', 'ann:sesame\nzoë:gänseblümchen\n')
        self.password = self.file('password', 'sesame\n')
        self.wrong = self.file('wrong', 'guess\n')
        os.chmod(self.password, 0o600)
        self.cert, self.key = self.certificate()

    def tls_sink(self, *args):
        return self.sink('--tls-cert', self.cert, '--tls-key', self.key, '--users', self.users, *args)

    def login(self, port, *args, password=None, **kw):
        return self.send(port, '--user', 'ann', '--password-file', password or self.password, *args, **kw)

    def test_every_mechanism(self):
        server = self.tls_sink('--require-auth')
        count = 0
        for mech in ('PLAIN', 'LOGIN', 'CRAM-MD5', 'SCRAM-SHA-1', 'SCRAM-SHA-256', 'SCRAM-SHA-1-PLUS', 'SCRAM-SHA-256-PLUS', 'XOAUTH2',
                     'OAUTHBEARER', 'auto'):
            for args in (['--starttls'],):
                with self.subTest(mech=mech):
                    count += 1
                    self.login(server.port, '--ca', self.cert, '--auth', mech, *args)
                    line = json.loads(server.wait_for_line('peer', 'stdout', count=count).string)
                    self.assertEqual((line['user'], line['tls']), ('ann', True))
                    _, _, err = self.login(server.port, '--ca', self.cert, '--auth', mech, *args, password=self.wrong, check=77)
                    self.assertIn('535', err)

    def test_implicit_tls(self):
        server = self.tls_sink('--tls', '--require-auth')
        _, out, err = self.login(server.port, '--ca', self.cert, '--tls', '--trace')
        self.assertIn('AUTH SCRAM-SHA-256-PLUS', err)
        self.assertNotIn('sesame', err)

    def test_the_trace_masks_secrets(self):
        server = self.tls_sink()
        for mech, secret in (('PLAIN', 'AGFubgBzZXNhbWU='), ('LOGIN', 'c2VzYW1l')):
            _, _, err = self.login(server.port, '--ca', self.cert, '--auth', mech, '--trace')
            self.assertNotIn(secret, err)
            self.assertIn('S: 235', err)
            _, _, err = self.login(server.port, '--ca', self.cert, '--auth', mech, '--trace', '--trace-secrets')
            self.assertIn(secret, err)

    def test_no_password_in_the_clear(self):
        no_tls = mail_server.Scripted(self, ['220 hi', ('EHLO', '250-hi\r\n250 AUTH PLAIN LOGIN'), ('', '221 x')])
        _, _, err = self.login(no_tls.port, check=77)
        self.assertIn('STARTTLS', err)
        self.assertNotIn(b'AUTH', no_tls.heard())
        no_auth = self.sink()
        _, _, err = self.login(no_auth.port, '--no-tls', check=77)
        self.assertIn('offers no AUTH', err)
        clear = self.sink('--users', self.users)
        self.login(clear.port, '--no-tls', '--auth', 'PLAIN')  # loopback, and asked for

    def test_starttls_refused_or_missing(self):
        for fault, status in (('starttls:454 4.7.0 Not now', 75), ('starttls:501 no', 77), ('starttls:close', 75)):
            server = self.tls_sink('--fault', fault)
            _, _, err = self.login(server.port, '--ca', self.cert, check=status)
            self.assertIn('STARTTLS', err)
        self.send(self.sink().port, '--starttls', check=77)

    def test_plaintext_before_the_handshake(self):
        server = self.tls_sink('--fault', 'starttls:inject')
        _, _, err = self.login(server.port, '--ca', self.cert, check=76)
        self.assertIn('in the clear', err)

    def test_certificates(self):
        server = self.tls_sink()
        _, _, err = self.send(server.port, check=77)  # self-signed, not trusted
        self.send(server.port, '--insecure')
        self.send(server.port, '--ca', self.cert)
        other, key = self.certificate('other.example', name='other')
        wrong_host = self.sink('--tls-cert', other, '--tls-key', key)
        _, _, err = self.send(wrong_host.port, '--ca', other, check=77)
        self.assertIn('other.example', err)
        old, key = self.certificate(name='old', expired=True)
        expired = self.sink('--tls-cert', old, '--tls-key', key, '--users', self.users)
        _, _, err = self.login(expired.port, '--ca', old, '--trace', check=77)
        self.assertIn('expired', err)
        self.assertIn('C: STARTTLS', err)
        self.assertNotIn('C: AUTH', err)

    def test_password_command(self):
        server = self.tls_sink('--require-auth')
        self.send(server.port, '--ca', self.cert, '--user', 'ann', '--password-command', 'echo sesame')
        self.send(server.port, '--ca', self.cert, '--user', 'ann', '--password-command', 'false', check=77)
        self.send(server.port, '--ca', self.cert, check=69)  # 530: nobody logged in


class Sink(Case):
    """The server's side, with raw dialogues."""

    def talk(self, *lines, sink=()):
        server = self.sink(*sink)
        with harness.Conn(server.port) as c:
            c.recv_until(b'\r\n')
            for line in lines:
                c.send(line if isinstance(line, bytes) else line.encode() + b'\r\n')
            c.send(b'QUIT\r\n')
            return c.recv_all().decode()

    def test_strictness(self):
        start = ['EHLO c', 'MAIL FROM:<a@b>', 'RCPT TO:<c@d>']
        for lines, want in (([b'EHLO c\n'], '500 5.5.2'), (['MAIL FROM:<a@b>'], '503'), (['EHLO c', 'MAIL FROM:a@b'], '501'),
                            (['EHLO c', 'MAIL FROM:<a@b> FOO=1'], '555'), (['EHLO c', 'MAIL FROM:<é@b>'], '553'),
                            (start[:2] + ['RCPT TO:<>'], '553'), (['EHLO c', 'BDAT 5', b'hello'], '503'),
                            (start + ['DATA', b'a\nb\r\n.\r\n'], '554 5.6.0'), (start + ['DATA', b'a\rb\r\n.\r\n'], '554 5.6.0'),
                            (start + ['DATA', b'\xff\r\n.\r\n'], '554 5.6.1'), (start + ['DATA', b'x' * 999 + b'\r\n.\r\n'], '554 5.6.0'),
                            (start + ['DATA', b'a\n.\n\r\n.\r\n'], '554 5.6.0'), (['FOO'], '500'), ([b'\x01\r\n'], '500'),
                            (start + ['BDAT 3', b'a\r\n' + b'DATA\r\n'], '503'), (['EHLO c', 'STARTTLS'], '502')):
            with self.subTest(lines=lines):
                self._tmpdir = None
                self.assertIn('\r\n' + want, '\r\n' + self.talk(*lines))
                self.assertEqual(self.raw(), [])

    def test_dots_and_pieces(self):
        server = self.sink()
        body = b'Subject: x\r\n\r\n..leading\r\n...\r\nend\r\n.\r\n'
        with harness.Conn(server.port) as c:
            c.recv_until(b'\r\n')
            for b in b'EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n' + body + b'QUIT\r\n':
                c.send(bytes([b]))
            self.assertIn(b'250 2.0.0 Ok: kept', c.recv_all())
        self.assertTrue(self.raw()[0].endswith(b'\n.leading\n..\nend\n'))

    def test_limits(self):
        self.assertIn('552 5.3.4', self.talk('EHLO c', 'MAIL FROM:<a@b> SIZE=2000', sink=('--max-size', '1K')))
        self._tmpdir = None
        out = self.talk('EHLO c', 'MAIL FROM:<a@b>', 'RCPT TO:<c@d>', 'DATA', b'x\r\n' * 1000 + b'.\r\n', sink=('--max-size', '1K'))
        self.assertIn('552 5.3.4', out)
        self._tmpdir = None
        self.assertIn('452 4.5.3', self.talk('EHLO c', 'MAIL FROM:<a@b>', 'RCPT TO:<c@d>', 'RCPT TO:<e@d>', sink=('--max-recipients', '1')))


if __name__ == '__main__':
    harness.main()
