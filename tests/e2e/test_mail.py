# SPDX-License-Identifier: MIT
"""test_mail.py -- l7 mail against its own sink: what is delivered, read back with Python's email package, and what
happens when the server misbehaves."""
import email
import email.policy
import fcntl
import glob
import json
import os
import pathlib
import random
import resource
import subprocess

import harness
import mail_server


class Case(harness.TestCase):
    def sink(self, *args):
        self.maildir = os.path.join(self.tmpdir, f'box{len(os.listdir(self.tmpdir))}')
        return self.start(['mail', 'sink', '--listen', '127.0.0.1:0', '--name', 'sink.example', '--maildir', self.maildir,
                           '--json', '--workers', '1', *args])

    def send(self, port, *args, input='', check=0, timeout='5s', to=('bob@example.org',), **kw):
        more = [a for t in to for a in ('-t', t)]
        code, out, err = self.run_l7(['mail', 'send', '--server', f'127.0.0.1:{port}', '-f', 'ann@example.org', *more,
                                      '--timeout', timeout, '--ehlo', 'client.example', *args], input=input, **kw)
        if check is not None:
            self.assertEqual(code, check, out + err)
        return code, out, err

    def raw(self):
        return [pathlib.Path(f).read_bytes() for f in sorted(glob.glob(self.maildir + '/new/*'))]

    def message(self):
        """The one message that was delivered."""
        raw = self.raw()
        self.assertEqual(len(raw), 1)
        return email.message_from_bytes(raw[0], policy=email.policy.default)

    def certificate(self, host='127.0.0.1', name='cert', expired=False):
        """A self-signed certificate and its key."""
        cert, key = (os.path.join(self.tmpdir, f'{name}.{x}') for x in ('pem', 'key'))
        san = f'IP:{host}' if host[0].isdigit() else f'DNS:{host}'
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key,
                        '-out', cert, '-days', '2', '-subj', f'/CN={host}', '-addext', f'subjectAltName={san}'],
                       check=True, stderr=subprocess.DEVNULL)
        if expired:
            subprocess.run(['openssl', 'x509', '-in', cert, '-signkey', key, '-days', '-1', '-out', cert], check=True, stderr=subprocess.DEVNULL)
        return cert, key


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
        code, out, _ = self.send(server.port, '--batch', '-', input='\n'.join(lines), to=[], check=3)
        self.assertEqual(out.count(': accepted'), len(self.raw()))
        self.assertGreaterEqual(len(self.raw()), 7)


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
                    _, out, err = self.send(server.port, *args, check=status, timeout='1s')
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


class Queue(Case):
    def setUp(self):
        self.dir = os.path.join(self.tmpdir, 'queue')

    def entries(self):
        return [json.loads(l) for l in self.run_l7(['mail', 'queue', '--queue', self.dir, '--json'])[1].splitlines()]

    def flush(self, port, *args, check=0):
        code, out, err = self.run_l7(['mail', 'flush', '--queue', self.dir, '--server', f'127.0.0.1:{port}', '--timeout', '5s', *args])
        self.assertEqual(code, check, out + err)
        return out

    def test_waits_for_the_server(self):
        port = harness.free_port()
        _, _, err = self.send(port, '-s', 'x', '-a', self.file('f', bytes(range(256)) * 500), '--queue', self.dir)
        self.assertIn('kept as', err)
        entry, = self.entries()
        self.assertEqual((entry['from'], entry['to'], entry['attempts']), ('ann@example.org', ['bob@example.org'], 1))
        self.assertGreater(entry['next'], entry['age'])
        server = self.sink()
        self.assertEqual(self.flush(server.port), '')  # not due yet
        self.assertIn('accepted', self.flush(server.port, '--all'))
        self.assertEqual(next(self.message().iter_attachments()).get_payload(decode=True), bytes(range(256)) * 500)
        self.assertEqual((self.entries(), os.listdir(self.dir)), ([], ['lock']))

    def test_sent_at_once(self):
        server = self.sink()
        self.send(server.port, '--text', 'hi', '--queue', self.dir)
        self.assertEqual((len(self.raw()), self.entries()), (1, []))

    def test_long_input_where_every_file_has_a_name(self):
        server = self.sink()
        text = 'a line of text\n' * 30000
        self.send(server.port, '--body', '-', input=text, env={**self.preload('no_tmpfile'), 'TMPDIR': self.tmpdir})
        self.assertEqual(self.message().get_content(), text)
        self.assertEqual([f for f in os.listdir(self.tmpdir) if f.startswith('l7.')], [])

    def test_only_those_who_wait_are_tried_again(self):
        server = self.sink('--fault', 'rcpt=later:450', '--fault', 'rcpt=bad:550')
        self.send(server.port, '--text', 'hi', '--queue', self.dir, to=['now@x', 'later@x', 'bad@x'], check=3)
        self.assertEqual(self.entries()[0]['to'], ['later@x'])
        server = self.sink()
        self.flush(server.port, '--all')
        self.assertEqual(self.raw()[0].count(b'Delivered-To: later@x'), 1)
        self.assertEqual(self.raw()[0].count(b'Delivered-To'), 1)

    def test_refused_for_good(self):
        self.send(self.sink('--fault', 'rcpt:550').port, '--text', 'hi', '--queue', self.dir, check=69)
        self.assertEqual(self.entries(), [])
        self.assertTrue([f for f in os.listdir(self.dir) if f.endswith('.failed')])

    def test_what_was_not_taken_leaves_nothing(self):
        """The disk takes the message, and not the envelope of a thousand recipients."""
        to = [a for i in range(1000) for a in ('--bcc', f'somebody{i}@example.org')]
        p = subprocess.run([harness.L7, 'mail', 'send', '--server', f'127.0.0.1:{harness.free_port()}', '-f', 'a@b', *to, '--text', 'x',
                            '--queue', self.dir], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=harness.environment(),
                           restore_signals=False, timeout=harness.PATIENCE,
                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
        self.assertNotEqual(p.returncode, 0)
        self.assertIn(b'writing to the queue', p.stderr)
        self.assertEqual([f for f in os.listdir(self.dir) if f != 'lock'], [])

    def test_an_entry_that_names_somebody_twice(self):
        """Edited by hand: the fates are told by their places, so it is not sent."""
        self.send(harness.free_port(), '--text', 'hi', '--queue', self.dir, to=['one@x', 'two@x'])
        name, = glob.glob(self.dir + '/*.env')
        text = pathlib.Path(name).read_text()
        pathlib.Path(name).write_text(text.replace('two@x', 'one@x'))
        self.assertIn('names a recipient twice', self.flush(self.sink().port, '--all', check=65))
        self.assertEqual((self.raw(), self.entries()[0]['to']), ([], ['one@x', 'one@x']))

    def test_one_flush_at_a_time(self):
        self.send(harness.free_port(), '--queue', self.dir)
        with open(os.path.join(self.dir, 'lock'), 'w') as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            self.flush(harness.free_port(), check=75)

    def killed(self, args, most):
        """Run `l7 mail ARGS` and kill it after a random time; True when it had ended well before."""
        p = subprocess.Popen([harness.L7, 'mail', *args, '--queue', self.dir], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             env=harness.environment())
        try:
            p.wait(random.uniform(0, most))
        except subprocess.TimeoutExpired:
            p.kill()
        return p.wait() == 0

    def delivered(self):
        return [email.message_from_bytes(r)['subject'] for r in self.raw()]

    def queued(self):
        found = [pathlib.Path(self.dir, e['id'] + '.eml').read_bytes() for e in self.entries()]
        return {email.message_from_bytes(f)['subject'] for f in found}

    def test_killed_at_any_moment(self):
        """What was taken (the status said so, or it stands in the queue) is not lost; an attempt that is killed doubles
        at most the one message that was on its way."""
        rounds = int(os.environ.get('L7_KILLS', '12'))
        server = self.sink()
        taken, kills = set(), 0
        for i in range(rounds):
            args = ['send', '--server', f'127.0.0.1:{server.port}', '-f', 'a@b', '-t', 'c@d', '-s', f'n{i}', '--text', 'x' * 3000]
            if self.killed(args, 0.03):
                taken.add(f'n{i}')
            else:
                kills += 1
        if os.path.isdir(self.dir):
            taken |= self.queued()
        nobody = harness.free_port()
        for i in range(10):
            self.send(nobody, '-s', f'later{i}', '--text', 'x', '--queue', self.dir)
            taken.add(f'later{i}')
        for _ in range(rounds):
            kills += not self.killed(['flush', '--all', '--server', f'127.0.0.1:{server.port}'], 0.05)
        self.flush(server.port, '--all')
        subjects = self.delivered()
        self.assertEqual(taken - set(subjects), set())
        self.assertLessEqual(len(subjects) - len(set(subjects)), kills)
        self.assertEqual(self.entries(), [])


class Accounts(Case):
    def test_named(self):
        work, home = self.sink(), self.sink()
        conf = self.file('l7.conf', f"""[mail]
from = ann@example.org
server = 127.0.0.1:{home.port}
[mail account work]
server = 127.0.0.1:{work.port}
from = ann@work.example
[mail account broken]
timeout = soon
""")
        def send(*args):
            return self.run_l7(['mail', 'send', '--config', conf, '-t', 'bob@example.org', '--text', 'x', *args])
        self.assertEqual(send()[0], 0)
        self.assertEqual(json.loads(home.wait_for_line('peer', 'stdout').string)['from'], 'ann@example.org')
        self.assertEqual(send('--account', 'work')[0], 0)
        self.assertEqual(json.loads(work.wait_for_line('peer', 'stdout').string)['from'], 'ann@work.example')
        self.assertEqual(send('--account', 'work', '-f', 'me@x.example')[0], 0)
        self.assertEqual(json.loads(work.wait_for_line('peer', 'stdout', count=2).string)['from'], 'me@x.example')
        code, _, err = send('--account', 'nobody')
        self.assertEqual(code, 78)
        self.assertIn('[mail account nobody]', err)
        self.assertEqual(send('--account', 'broken')[0], 78)


class Sendmail(Case):
    def sendmail(self, *args, input='', check=0, argv0=False):
        conf = self.file('l7.conf', f'[mail]\nserver = 127.0.0.1:{self.server.port}\n')
        program, first = harness.L7, ['mail', 'sendmail']
        if argv0:
            program, first = os.path.join(self.tmpdir, 'sendmail'), []
            os.path.exists(program) or os.symlink(harness.L7, program)
        code, out, err = harness.run([*first, '--config', conf, *args], input=input, program=program)
        self.assertEqual(code, check, out + err)
        return err

    def setUp(self):
        self.server = self.sink()

    def test_recipients_from_headers(self):
        self.sendmail('-t', '-oi', '-f', 'bounce@x.example', '-F', 'Cron Job', argv0=True,
                      input='To: A <a@x.example>,\n b@y.example\nCc: c@z.example\nBcc: d@w.example\nSubject: x\n\nbody\n.\nmore\n')
        m = self.message()
        self.assertEqual(m.get_all('delivered-to'), ['a@x.example', 'b@y.example', 'c@z.example', 'd@w.example'])
        self.assertEqual(m['return-path'], '<bounce@x.example>')
        self.assertEqual(m['from'], 'Cron Job <bounce@x.example>')
        self.assertIsNone(m['bcc'])
        self.assertTrue(m['date'] and m['message-id'])
        self.assertEqual(m.get_content(), 'body\n.\nmore\n')

    def test_a_dot_ends_without_i(self):
        self.sendmail('-f', 'a@b', 'c@d', input='Subject: x\n\nbody\n.\nmore\n')
        self.assertEqual(self.message().get_content(), 'body\n')

    def test_message_without_header(self):
        self.sendmail('-i', '-f', 'a@b', '-O', 'DeliveryMode=b', 'c@d', 'e@f', input='just text\n')
        self.assertEqual(self.message().get_content(), 'just text\n')

    def test_a_header_beyond_ascii_is_encoded(self):
        self.server = self.sink('--without', 'smtputf8')
        self.sendmail('-t', '-f', 'a@b', input='From: Zoë <zoe@x.example>\nTo: c@d\nSubject: Grüße an 你\n\nx\n')
        m = self.message()
        self.assertEqual((m['from'].addresses[0].display_name, m['subject']), ('Zoë', 'Grüße an 你'))
        self.raw()[0].partition(b'\n\n')[0].decode('ascii')

    def test_reports_are_asked_for(self):
        self.sendmail('-N', 'failure', '-V', 'job 7', '-f', 'a@b', 'c@d', input='x\n')
        self.assertEqual(json.loads(self.server.wait_for_line('peer', 'stdout').string)['envid'], 'job+207')

    def test_usage(self):
        self.sendmail('-t', '-f', 'a@b', input='Subject: x\n\n', check=64)
        self.sendmail('-bs', check=64)
        self.sendmail('-t', '-f', 'a@b', input='To: a b@c\n\n', check=65)


if __name__ == '__main__':
    harness.main()
