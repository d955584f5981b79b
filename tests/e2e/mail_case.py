# SPDX-License-Identifier: MIT
"""mail_case.py -- what the tests of l7 mail share."""
import email
import email.policy
import glob
import os
import pathlib
import subprocess

import harness


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
