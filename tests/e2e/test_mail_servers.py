# SPDX-License-Identifier: MIT
"""test_mail_servers.py -- l7 mail send against servers that other people wrote: Postfix with Dovecot's SASL, Exim,
aiosmtpd."""
import email
import email.policy
import os
import pwd
import sys

import harness
import peers
import mail_case

OWNER = 'mail'  # Postfix wants an account of its own; this one is on every Debian


class Postfix(mail_case.Case):
    """Submission with STARTTLS and implicit TLS; logins checked by Dovecot."""

    def setUp(self):
        self.cert, self.key = self.certificate('127.0.0.1')
        self.password = self.file('password', 'sesame\n')
        os.chmod(self.password, 0o600)
        self.start_dovecot()
        self.start_postfix()

    def start_dovecot(self):
        at, base = peers.root('doveconf'), os.path.join(self.tmpdir, 'dovecot')
        users = self.file('dovecot.users', 'ann:{PLAIN}sesame\n')
        conf = self.file('dovecot.conf', f'''
protocols =
base_dir = {base}
state_dir = {base}/state
log_path = /dev/stderr
ssl = no
libexec_dir = {at}/usr/lib/dovecot
mail_plugin_dir = {at}/usr/lib/dovecot/modules
import_environment = LD_LIBRARY_PATH PATH
default_internal_user = {OWNER}
default_internal_group = {OWNER}
default_login_user = nobody
auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {users}
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}}
service auth {{
  user = root
  unix_listener auth-postfix {{
    mode = 0666
  }}
}}
''')
        # dovecot looks for doveconf in /usr/bin: run it the other way round
        self.dovecot = peers.start(self, 'doveconf', ['-c', conf, '-f', 'service=master', '-m', 'master', '-p', '-e',
                                                      peers.path('dovecot'), '-F', '-c', conf])
        self.sasl = os.path.join(base, 'auth-postfix')
        self.wait_until(lambda: os.path.exists(self.sasl), what='the socket of Dovecot')

    def start_postfix(self):
        at, spool, conf = peers.root('smtp-sink'), os.path.join(self.tmpdir, 'spool'), os.path.join(self.tmpdir, 'postfix')
        uid, gid = pwd.getpwnam(OWNER).pw_uid, pwd.getpwnam(OWNER).pw_gid
        self.port, self.tls_port = harness.free_port(), harness.free_port()
        self.maildir = os.path.join(self.tmpdir, 'mail', 'inbox')
        for d in ('active', 'bounce', 'corrupt', 'defer', 'deferred', 'flush', 'hold', 'incoming', 'private', 'maildrop', 'public',
                  'saved', 'trace', 'pid'):
            os.makedirs(os.path.join(spool, d), 0o700)
            if d != 'pid':
                os.chown(os.path.join(spool, d), uid, gid)
        for d in ('data', 'mail'):
            os.makedirs(os.path.join(self.tmpdir, d))
            os.chown(os.path.join(self.tmpdir, d), uid, gid)
        os.makedirs(conf)
        self.file('postfix/main.cf', f'''
compatibility_level = 3.6
queue_directory = {spool}
data_directory = {self.tmpdir}/data
daemon_directory = {at}/usr/lib/postfix/sbin
command_directory = {at}/usr/sbin
shlib_directory = {at}/usr/lib/postfix
meta_directory = {at}/etc/postfix
import_environment = MAIL_CONFIG LD_LIBRARY_PATH PATH
mail_owner = {OWNER}
setgid_group = man
default_privs = nobody
maillog_file = {self.tmpdir}/data/log
maillog_file_prefixes = {self.tmpdir}
myhostname = mx.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
local_recipient_maps =
virtual_mailbox_domains = example.org
virtual_mailbox_base = {self.tmpdir}/mail
virtual_mailbox_maps = inline:{{ bob@example.org=inbox/, cid@example.org=inbox/ }}
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_mailbox_limit = 0
message_size_limit = 60000000
mailbox_size_limit = 0
smtpd_tls_cert_file = {self.cert}
smtpd_tls_key_file = {self.key}
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {self.sasl}
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = reject_unlisted_recipient
smtpd_client_connection_count_limit = 0
''')
        self.file('postfix/master.cf', f'''
127.0.0.1:{self.port} inet n - n - - smtpd
127.0.0.1:{self.tls_port} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
''')
        self.postfix = peers.start(self, 'smtp-sink', ['-c', conf, '-d'], self.port, program=at + '/usr/lib/postfix/sbin/master')

    def submit(self, *args, port=None, check=0, **kw):
        return self.send(port or self.port, '--ca', self.cert, '--user', 'ann', '--password-file', self.password, *args, check=check,
                         timeout='30s', **kw)

    def delivered(self, n=1):
        self.wait_until(lambda: len(self.raw()) >= n, what='the delivery')
        return [email.message_from_bytes(r, policy=email.policy.default) for r in self.raw()]

    def test_mechanisms(self):
        for n, mech in enumerate(('PLAIN', 'LOGIN', 'CRAM-MD5', 'SCRAM-SHA-1', 'SCRAM-SHA-256', 'auto'), 1):
            with self.subTest(mech):
                self.submit('--auth', mech, '-s', mech, '--text', 'hi\n')
                self.assertIn(mech, [m['subject'] for m in self.delivered(n)])
        _, _, err = self.send(
            self.port, '--ca', self.cert, '--user', 'ann', '--password-command', 'echo wrong', '--auth', 'PLAIN', check=77)
        self.assertIn('535', err)

    def test_implicit_tls(self):
        self.submit('--tls', '-s', 'x', '--text', 'Grüße\n', port=self.tls_port)
        self.assertEqual(self.delivered()[0].get_content(), 'Grüße\n')

    def test_not_logged_in(self):
        _, _, err = self.send(self.port, '--ca', self.cert, check=69)
        self.assertIn('554', err)

    def test_content(self):
        """30 MiB goes by BDAT; texts and names arrive as they were."""
        data = os.urandom(30 << 20)
        _, _, err = self.submit('-s', 'Bild für 你', '-b', '-', '-a', self.file('große Datei.bin', data), '--trace', input='.\n..\nGrüße',
                                to=['bob@example.org', 'cid@example.org', 'nobody@example.org'], check=3)
        self.assertIn('BDAT 8388608\n', err)
        m = self.delivered(2)[0]
        part = next(m.iter_attachments())
        self.assertEqual((m['subject'], part.get_filename()), ('Bild für 你', 'große Datei.bin'))
        self.assertEqual(part.get_payload(decode=True), data)
        self.assertEqual(m.get_body().get_content().replace('\r\n', '\n'), '.\n..\nGrüße')

    def test_sizes(self):
        """Attachments of any size, an empty body and one without a final newline come back byte by byte."""
        for n, size in enumerate((0, 1, 4096, 1 << 20), 1):
            data, body = os.urandom(size), ('', 'no newline at the end')[n % 2]
            self.submit('-s', f'{size} bytes', '--text', body, '-a', self.file('data.bin', data))
            m = next(m for m in self.delivered(n) if m['subject'] == f'{size} bytes')
            self.assertEqual(next(m.iter_attachments()).get_payload(decode=True), data)
            self.assertEqual(m.get_body().get_content(), body)

    def test_delivery_status(self):
        """RFC 3461: the report names the envelope id, the original recipient, and holds the header only."""
        self.submit('--envelope-from', 'cid@example.org', '--dsn-notify', 'success,failure', '--dsn-ret', 'hdrs', '--dsn-envid', 'run+7 x',
                    '-s', 'traced', '--text', 'the body\n')
        report = next(m for m in self.delivered(2) if m.get_content_type() == 'multipart/report')
        kinds = [p.get_content_type() for p in report.iter_parts()]
        self.assertIn('text/rfc822-headers', kinds)
        whole, about = next(p for p in report.iter_parts() if p.get_content_type() == 'message/delivery-status').get_payload()
        self.assertEqual(whole['Original-Envelope-Id'], 'run+7 x')
        self.assertEqual((about['Original-Recipient'], about['Action']), ('rfc822;bob@example.org', 'delivered'))
        self.assertNotIn('the body', report.as_string())

    def test_batch(self):
        lines = ''.join('{"to": "%s@example.org", "subject": "n %d", "text": "x"}\n' % ('nobody' if i % 5 == 2 else 'bob', i)
                        for i in range(30))
        _, out, _ = self.submit('--batch', '-', input=lines, to=[], check=3)
        self.assertEqual((out.count('accepted'), out.count('refused')), (24, 6))
        self.assertEqual(len({m['subject'] for m in self.delivered(24)}), 24)


class Exim(mail_case.Case):
    """Another MTA: BDAT, PIPELINING, 8BITMIME, STARTTLS by GnuTLS, logins of its own."""

    def setUp(self):
        self.cert, self.key = self.certificate('127.0.0.1')
        self.maildir, self.port = os.path.join(self.tmpdir, 'mail', 'inbox'), harness.free_port()
        for d in ('spool', 'log', 'mail'):
            os.makedirs(os.path.join(self.tmpdir, d))
            os.chown(os.path.join(self.tmpdir, d), pwd.getpwnam(OWNER).pw_uid, pwd.getpwnam(OWNER).pw_gid)
        os.chown(self.key, pwd.getpwnam(OWNER).pw_uid, -1)
        # Debian's binary looks up an account of its own by name: it gets one in a view of /etc that only it has.
        owner = pwd.getpwnam(OWNER)
        with open('/etc/passwd') as users, open('/etc/group') as groups:
            users = self.file('passwd', users.read() + f'Debian-exim:x:{owner.pw_uid}:{owner.pw_gid}::/nonexistent:/bin/false\n')
            groups = self.file('group', groups.read() + f'Debian-exim:x:{owner.pw_gid}:\n')
        conf = self.file('exim.conf', f'''
exim_path = {peers.path('exim4')}
exim_user = {OWNER}
exim_group = {OWNER}
never_users =
spool_directory = {self.tmpdir}/spool
log_file_path = {self.tmpdir}/log/%slog
pid_file_path = {self.tmpdir}/spool/pid
primary_hostname = mx.example
domainlist local = example.org
daemon_smtp_ports = {self.port}
local_interfaces = 127.0.0.1
keep_environment = LD_LIBRARY_PATH
add_environment = PATH=/usr/bin:/bin
tls_advertise_hosts = *
tls_certificate = {self.cert}
tls_privatekey = {self.key}
chunking_advertise_hosts = *
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
message_size_limit = 60M
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  deny !authenticated = *
       message = log in first
  accept domains = +local
         local_parts = bob : cid
  deny message = no such user
begin routers
local:
  driver = accept
  domains = +local
  transport = box
begin transports
box:
  driver = appendfile
  maildir_format
  directory = {self.maildir}
  user = {OWNER}
  group = {OWNER}
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = ${{if and {{{{eq{{$auth2}}{{ann}}}}{{eq{{$auth3}}{{sesame}}}}}}}}
  server_advertise_condition = ${{if def:tls_in_cipher}}
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and {{{{eq{{$auth1}}{{ann}}}}{{eq{{$auth2}}{{sesame}}}}}}}}
  server_advertise_condition = ${{if def:tls_in_cipher}}
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{if eq{{$auth1}}{{ann}}{{sesame}}fail}}
  server_advertise_condition = ${{if def:tls_in_cipher}}
''')
        self.password = self.file('password', 'sesame\n')
        os.chmod(self.password, 0o600)
        peers.start(self, 'exim4', ['-m', 'sh', '-c', 'mount --bind "$1" /etc/passwd && mount --bind "$2" /etc/group && shift 2 && exec "$@"',
                                    'sh', users, groups, peers.path('exim4'), '-C', conf, '-bdf', '-d-all'], self.port, program='/usr/bin/unshare')

    def submit(self, *args, check=0, **kw):
        return self.send(self.port, '--ca', self.cert, '--user', 'ann', '--password-file', self.password, *args, check=check, timeout='30s', **kw)

    def test_content(self):
        data = os.urandom(30 << 20)
        _, _, err = self.submit('-s', 'Bild für 你', '-b', '-', '-a', self.file('große Datei.bin', data), '--trace', input='.\n..\nGrüße',
                                to=['bob@example.org', 'cid@example.org', 'nobody@example.org'], check=3)
        self.assertIn('BDAT 8388608\n', err)
        self.wait_until(lambda: len(self.raw()) == 2, what='a copy for each')
        for m in (email.message_from_bytes(r, policy=email.policy.default) for r in self.raw()):
            part = next(m.iter_attachments())
            self.assertEqual((m['subject'], part.get_filename()), ('Bild für 你', 'große Datei.bin'))
            self.assertEqual(part.get_payload(decode=True), data)
            self.assertEqual(m.get_body().get_content().replace('\r\n', '\n'), '.\n..\nGrüße')

    def test_mechanisms(self):
        for mech in ('PLAIN', 'LOGIN', 'CRAM-MD5', 'auto'):
            with self.subTest(mech):
                self.submit('--auth', mech, '--text', 'hi')
        _, _, err = self.send(self.port, '--ca', self.cert, '--user', 'ann', '--password-command', 'echo wrong', check=77)
        self.assertIn('535', err)
        _, _, err = self.send(self.port, '--ca', self.cert, check=69)
        self.assertIn('log in first', err)

    def test_batch(self):
        lines = ''.join('{"to": "%s@example.org", "subject": "n %d", "text": "x"}\n' % ('nobody' if i % 5 == 2 else 'bob', i)
                        for i in range(20))
        _, out, _ = self.submit('--batch', '-', input=lines, to=[], check=3)
        self.assertEqual((out.count('accepted'), out.count('refused')), (16, 4))


AIOSMTPD = '''
import os, sys, time
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

class Handler:
    n = 0
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith('bad'):
            return '550 no such user'
        envelope.rcpt_tos.append(address)
        return '250 OK'
    async def handle_DATA(self, server, session, envelope):
        Handler.n += 1
        with open(os.path.join(sys.argv[2], '.new'), 'wb') as f:
            f.write(envelope.content)
        os.rename(os.path.join(sys.argv[2], '.new'), os.path.join(sys.argv[2], '%d' % Handler.n))
        return '250 OK'

def login(server, session, envelope, mechanism, data):
    return AuthResult(success=data.login == b'ann' and data.password == b'sesame', handled=False)

c = Controller(Handler(), hostname='127.0.0.1', port=int(sys.argv[1]), enable_SMTPUTF8=True, data_size_limit=1 << 26,
               authenticator=login, auth_require_tls=False)
c.start()
while True:
    time.sleep(1)
'''


class Aiosmtpd(mail_case.Case):
    def setUp(self):
        at = os.path.join(peers.root('aiosmtpd'), 'usr/lib/python3/dist-packages')
        self.maildir, self.port = os.path.join(self.tmpdir, 'box'), harness.free_port()
        os.makedirs(self.maildir + '/new')
        p = self.start([self.file('server.py', AIOSMTPD), self.port, self.maildir + '/new'], wait=False, program=sys.executable,
                       env={'PYTHONPATH': at})
        self.wait_until(lambda: p.alive() and peers.answers(self.port), what='aiosmtpd')

    def test_content(self):
        data = os.urandom(1 << 20)
        self.send(self.port, '-s', 'Grüße', '-b', '-', '-a', self.file('f', data), input='.\nGrüße an 你\n', to=['bob@x', 'bad@x'], check=3)
        m = self.message()
        self.assertEqual(next(m.iter_attachments()).get_payload(decode=True), data)
        self.assertEqual(m.get_body().get_content().replace('\r\n', '\n'), '.\nGrüße an 你\n')

    def test_login_and_utf8(self):
        for n, mech in enumerate(('PLAIN', 'LOGIN'), 1):
            self.send(self.port, '--no-tls', '--user', 'ann', '--password-command', 'echo sesame', '--auth', mech, '--text', 'x',
                      to=['用户@例子.example'])
        self.assertEqual(len(self.raw()), 2)
        self.send(self.port, '--no-tls', '--user', 'ann', '--password-command', 'echo x', check=77)

    def test_batch(self):
        lines = ''.join('{"to": "u%d@x", "subject": "n %d"}\n' % (i, i) for i in range(20))
        self.send(self.port, '--batch', '-', input=lines, to=[])
        self.assertEqual(len(self.raw()), 20)


if __name__ == '__main__':
    harness.main()
