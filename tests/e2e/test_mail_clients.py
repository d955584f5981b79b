# SPDX-License-Identifier: MIT
"""test_mail_clients.py -- l7 mail sink takes what other people's clients send, strict as it is, and delivers it unharmed."""
import email
import email.policy
import json
import os
import smtplib
import ssl
from email.message import EmailMessage

import harness
import peers
import mail_case

TEXT = 'Dear Bob,\n.\n..two dots\nthe end\n'
FROM, TO = 'ann@example.org', ['bob@example.org', 'cid@example.org']


class Clients(mail_case.Case):
    def setUp(self):
        self.cert, self.key = self.certificate()
        self.users = self.file('users', 'ann:sesame\n')
        self.server = self.sink('--tls-cert', self.cert, '--tls-key', self.key, '--users', self.users)
        self.data = os.urandom(100000)

    def client(self, peer, *args, input='', env=None):
        code, out, err = harness.run([str(a) for a in args], input=input, program=peers.path(peer), env=peers.env(peer, env))
        self.assertEqual(code, 0, out + err)

    def check(self, messages=1, user='', tls=False, attachment=True):
        """Everything that came: from whom, to whom, how, and whole."""
        line = json.loads(self.server.wait_for_line('peer', 'stdout', count=messages).string)
        self.assertEqual((line['from'], line['to'], line['user'], line['tls']), (FROM, TO, user, tls))
        raw = self.raw()
        self.assertEqual(len(raw), messages)
        for m in (email.message_from_bytes(r, policy=email.policy.default) for r in raw):
            self.assertEqual(m.get_body(('plain',)).get_content().replace('\r\n', '\n').rstrip('\n'), TEXT.rstrip('\n'))
            if attachment:
                self.assertEqual(next(m.iter_attachments()).get_payload(decode=True), self.data)

    def ready(self):
        m = EmailMessage()
        m['From'], m['To'], m['Subject'] = FROM, ', '.join(TO), 'Grüße'
        m.set_content(TEXT)
        m.add_attachment(self.data, 'application', 'octet-stream', filename='data.bin')
        return m

    def test_smtplib(self):
        with smtplib.SMTP('127.0.0.1', self.server.port) as s:
            for _ in range(3):
                s.send_message(self.ready())
        self.check(3)

    def test_smtplib_with_tls_and_login(self):
        for n, mech in enumerate(('PLAIN', 'LOGIN', 'CRAM-MD5'), 1):
            with smtplib.SMTP('127.0.0.1', self.server.port) as s:
                s.starttls(context=ssl.create_default_context(cafile=self.cert))
                s.ehlo()
                s.user, s.password = 'ann', 'sesame'
                s.auth(mech, getattr(s, 'auth_' + mech.lower().replace('-', '_')))
                s.send_message(self.ready())
            self.check(n, user='ann', tls=True)

    def test_curl(self):
        eml = self.file('m.eml', self.ready().as_bytes(policy=email.policy.SMTP))
        rcpts = [a for t in TO for a in ('--mail-rcpt', t)]
        self.client('curl', '-sS', f'smtp://127.0.0.1:{self.server.port}', '--mail-from', FROM, *rcpts, '-T', eml)
        self.check(1)
        self.client('curl', '-sS', f'smtp://127.0.0.1:{self.server.port}', '--ssl-reqd', '--cacert', self.cert, '-u', 'ann:sesame',
                    '--mail-from', FROM, *rcpts, '-T', eml)
        self.check(2, user='ann', tls=True)

    def test_msmtp(self):
        raw = self.ready().as_bytes()
        common = ['--host=127.0.0.1', f'--port={self.server.port}', f'--from={FROM}']
        self.client('msmtp', *common, *TO, input=raw)
        self.check(1)
        for n, mech in enumerate(('plain', 'login', 'cram-md5', 'scram-sha-256'), 2):
            self.client('msmtp', *common, '--tls=on', '--tls-starttls=on', f'--tls-trust-file={self.cert}', f'--auth={mech}', '--user=ann',
                        '--passwordeval=echo sesame', *TO, input=raw)
            self.check(n, user='ann', tls=True)

    def test_swaks(self):
        common = ['--server', '127.0.0.1', '--port', self.server.port, '--from', FROM, '--to', ','.join(TO), '--silent', '2', '--body',
                  '@' + self.file('text', TEXT), '--attach-type', 'application/octet-stream', '--attach', '@' + self.file('data.bin', self.data)]
        self.client('swaks', *common)
        self.check(1)
        self.client('swaks', *common, '--pipeline')
        self.check(2)

    def test_s_nail(self):
        self.client('s-nail', '-n', '-S', f'mta=smtp://127.0.0.1:{self.server.port}', '-S', 'v15-compat', '-S', 'smtp-auth=none', '-S',
                    f'from={FROM}', '-S', 'ttycharset=utf-8', '-a', self.file('data.bin', self.data), '-s', 'Grüße', *TO,
                    input=TEXT)
        self.check(1)

    def test_smtp_source(self):
        self.client('smtp-source', '-s', '3', '-m', '50', '-l', '20000', '-f', FROM, '-t', TO[0], f'127.0.0.1:{self.server.port}')
        self.server.wait_for_line('peer', 'stdout', count=50)
        self.assertEqual(len(self.raw()), 50)
        self.assertEqual({len(r) for r in self.raw() if len(r) < 20000}, set())


if __name__ == '__main__':
    harness.main()
