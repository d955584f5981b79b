# SPDX-License-Identifier: MIT
"""TLS on the server's side, against curl and openssl; and the trace of a server's dialogues."""
import contextlib
import hashlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import unittest

import harness
import peers

CERTS = os.path.join(harness.ROOT, 'tests', 'certs.sh')


def pump(source, to):
    with contextlib.suppress(OSError):
        while got := source.recv(65536):
            to.sendall(got)


class SlowRelay:
    """Between a client and a server: what the client says goes through, what it gets only when told to."""

    def __init__(self, server_port):
        self._listen = socket.create_server(('127.0.0.1', 0))
        self.port = self._listen.getsockname()[1]
        self._server = socket.socket()
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._server.connect(('127.0.0.1', server_port))

    def accept(self):
        self._client = self._listen.accept()[0]
        threading.Thread(target=pump, args=(self._client, self._server), daemon=True).start()

    def pass_on(self, n):
        while n:
            got = self._server.recv(min(n, 65536))
            self._client.sendall(got)
            n -= len(got)

    def pass_all(self):
        threading.Thread(target=pump, args=(self._server, self._client), daemon=True).start()

    def close(self):
        for s in (self._client, self._server):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()
        self._listen.close()


class Tls(harness.TestCase):
    def certs(self):
        """The folder with the certificates of tests/certs.sh."""
        where = os.path.join(self.tmpdir, 'certs')
        if not os.path.isdir(where):
            os.makedirs(where)
            subprocess.run(['sh', CERTS, where], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return where

    def pair(self, *names):
        c = self.certs()
        return [f'--tls-{what}={c}/{n}.{end}' for n in names for what, end in (('cert', 'pem'), ('key', 'key'))]

    def serve(self, *args, site=None):
        site = site or os.path.dirname(self.file('site/index.html', b'hello, TLS\n'))
        return self.start(['serve', site, '--listen', '127.0.0.1:0', '--access-log', 'off', *args])

    def curl(self, server, *args, host='a.example', path='/', ca=None):
        ca = ca or os.path.join(self.certs(), 'root.pem')
        return harness.run(['-sS', '--cacert', ca, '--resolve', f'{host}:{server.port}:127.0.0.1', *args,
                            f'https://{host}:{server.port}{path}'], program=peers.path('curl'))

    def subject(self, port, name):
        """Of the certificate that the server shows when asked for `name`."""
        p = subprocess.run(['openssl', 's_client', '-connect', f'127.0.0.1:{port}', '-servername', name], input=b'',
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=harness.PATIENCE)
        return re.search(r'subject=.*?CN ?= ?(\S+)', p.stdout.decode()).group(1)

    def test_curl_fetches_over_every_version(self):
        server = self.serve(*self.pair('good'))
        for version in ('--tlsv1.3', '--tls-max=1.2'):
            self.assertEqual(self.curl(server, *version.split('=')), (0, 'hello, TLS\n', ''))
        status, out, _ = self.curl(server, '-o', '/dev/null', '-w', '%{http_version}')
        self.assertEqual(out, '1.1')
        old = subprocess.run(['openssl', 's_client', '-connect', f'127.0.0.1:{server.port}', '-tls1_1', '-cipher',
                              'ALL:@SECLEVEL=0'], input=b'', stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             timeout=harness.PATIENCE)
        self.assertNotEqual(old.returncode, 0)
        self.assertIn(b'alert protocol version', old.stdout)

    def test_large_files_arrive_whole_and_resume(self):
        data = os.urandom(1 << 20) * 5 + b'end'
        self.file('site/big', data)
        server = self.serve(*self.pair('chained'), site=os.path.join(self.tmpdir, 'site'))
        out = os.path.join(self.tmpdir, 'out')
        for args in (['-o', out], ['-o', out, '-C', '1000000']):
            self.assertEqual(self.curl(server, *args, path='/big'), (0, '', ''))
            with open(out, 'rb') as f:
                self.assertEqual(hashlib.sha256(f.read()).digest(), hashlib.sha256(data).digest())
            with open(out, 'rb+') as f:
                f.truncate(1000000)

    def test_the_name_asked_for_chooses_the_certificate(self):
        server = self.serve(*self.pair('good', 'other'))
        self.assertEqual(self.subject(server.port, 'a.example'), 'good')
        self.assertEqual(self.subject(server.port, 'other.example'), 'other')
        self.assertEqual(self.subject(server.port, 'unknown.example'), 'good')

    def test_sighup_reads_certificates_again_and_loses_no_connection(self):
        args = self.pair('good')
        server = self.serve(*args)
        context = ssl.create_default_context(cafile=os.path.join(self.certs(), 'root.pem'))
        old = context.wrap_socket(socket.create_connection(('127.0.0.1', server.port), harness.PATIENCE),
                                  server_hostname='a.example')
        self.addCleanup(old.close)
        ask = b'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n'

        def talk():
            old.sendall(ask)
            got = b''
            while not got.endswith(b'hello, TLS\n'):
                got += old.recv(4096)
        talk()
        for end in ('pem', 'key'):
            os.replace(f'{self.certs()}/other.{end}', f'{self.certs()}/good.{end}')
        server.send_signal(signal.SIGHUP)
        self.wait_until(lambda: self.subject(server.port, 'other.example') == 'other', what='the new certificate')
        talk()
        os.unlink(f'{self.certs()}/good.key')  # a reload that fails leaves everything as it was
        server.send_signal(signal.SIGHUP)
        server.wait_for_line('good.key')
        self.assertEqual(self.subject(server.port, 'other.example'), 'other')

    def test_sessions_are_resumed(self):
        server = self.serve(*self.pair('good'))
        ticket = os.path.join(self.tmpdir, 'ticket')
        command = ['openssl', 's_client', '-connect', f'127.0.0.1:{server.port}', '-servername', 'a.example', '-ign_eof']
        ask = b'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n'
        for version in ('-tls1_3', '-tls1_2'):
            for extra, want in ((['-sess_out', ticket], 'New,'), (['-sess_in', ticket], 'Reused,')):
                p = subprocess.run([*command, version, *extra], input=ask, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, timeout=harness.PATIENCE)
                self.assertIn(want, p.stdout.decode(), version)
                self.assertIn('hello, TLS', p.stdout.decode())

    def test_a_local_authority_on_demand(self):
        env = {'XDG_STATE_HOME': os.path.join(self.tmpdir, 'state')}
        site = os.path.dirname(self.file('site/index.html', b'hello, TLS\n'))
        server = self.start(['serve', site, '--listen', '127.0.0.1:0', '--tls-auto', '--access-log', 'off'], env=env)
        ca = server.wait_for_line(r'local authority: (\S+)').group(1)
        for host in ('localhost', socket.gethostname()):
            self.assertEqual(self.curl(server, host=host, ca=ca), (0, 'hello, TLS\n', ''))
        self.assertEqual(harness.run(['-sS', '--cacert', ca, f'https://127.0.0.1:{server.port}/'],
                                     program=peers.path('curl')), (0, 'hello, TLS\n', ''))
        status, text, _ = self.run_l7(['help', 'tls'])
        self.assertIn('ca.pem', text)

    def test_the_proxy_speaks_it_to_clients_and_reloads(self):
        origin = self.serve('--cache-control', 'max-age=60')
        live = os.path.join(self.tmpdir, 'live')
        for end in ('pem', 'key'):
            shutil.copy(f'{self.certs()}/good.{end}', f'{live}.{end}')
        proxy = self.start(['proxy', '--listen', '127.0.0.1:0', '--access-log', 'off', '--origin', origin.url,
                            '--tls-cert', f'{live}.pem', '--tls-key', f'{live}.key'])
        self.assertEqual(self.curl(proxy), (0, 'hello, TLS\n', ''))
        self.assertIn('cache-status: l7; hit', self.curl(proxy, '-i')[1].lower())
        with contextlib.suppress(OSError):  # in plain text there is nothing to be had
            self.assertNotIn(b'HTTP/1.1 200', harness.dialogue(proxy.port, b'GET / HTTP/1.1\r\nHost: x\r\n\r\n'))
        self.assertEqual(self.subject(proxy.port, 'a.example'), self.name_of('good'))
        for end in ('pem', 'key'):
            shutil.copy(f'{self.certs()}/other.{end}', f'{live}.{end}')
        proxy.send_signal(signal.SIGHUP)
        self.wait_until(lambda: self.subject(proxy.port, 'a.example') == self.name_of('other'), what='the new certificate')

    def name_of(self, name):
        with open(f'{self.certs()}/{name}.pem') as f:
            text = subprocess.run(['openssl', 'x509', '-noout', '-subject'], input=f.read(), text=True, check=True,
                                  stdout=subprocess.PIPE).stdout
        return re.search(r'CN ?= ?(\S+)', text).group(1)

    def fetch(self, sock, path):
        """One body of 8,000 bytes over a connection that is kept."""
        sock.sendall(f'GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n'.encode())
        got = b''
        while b'\r\n\r\n' not in got or len(got.partition(b'\r\n\r\n')[2]) < 8000:
            got += sock.recv(65536)
        return got.partition(b'\r\n\r\n')[2]

    def test_what_waits_to_be_sent_to_one_is_not_replaced_by_another_ones(self):
        """A client that wants records of 512 bytes (RFC 6066 section 4) and is slow: a message leaves piece by piece."""
        for name in 'ab':
            self.file(f'site/{name}', name.encode() * 8000)
        server = self.serve(*self.pair('good'), '--workers', '1', site=os.path.join(self.tmpdir, 'site'))
        asked = 1000
        requests = self.file('requests', b'GET /a HTTP/1.1\r\nHost:a\r\n\r\n' * asked)
        relay = SlowRelay(server.port)
        self.addCleanup(relay.close)
        with open(requests, 'rb') as stdin:
            slow = self.start(['s_client', '-connect', f'127.0.0.1:{relay.port}', '-quiet', '-maxfraglen', '512'],
                              program=shutil.which('openssl'), stdin=stdin, wait=False)
        relay.accept()
        context = ssl.create_default_context(cafile=os.path.join(self.certs(), 'root.pem'))
        with context.wrap_socket(socket.create_connection(('127.0.0.1', server.port), harness.PATIENCE),
                                 server_hostname='a.example') as other:
            for _ in range(40):
                relay.pass_on(100000)
                self.assertEqual(self.fetch(other, '/b'), b'b' * 8000)
        relay.pass_all()
        self.wait_until(lambda: slow.stdout_bytes().count(b'a' * 8000) >= asked, what='the last answer, each one whole')
        self.assertEqual(slow.stdout_bytes().count(b'bbb'), 0)

    def test_what_is_no_tls_does_no_harm(self):
        server = self.serve(*self.pair('good'))
        for junk in (b'GET / HTTP/1.1\r\nHost: x\r\n\r\n', b'\x16\x03\x01\x40\x00', os.urandom(3000), b'\x16' * 70000):
            with contextlib.suppress(OSError):  # the server may hang up while we still send: that is its right
                harness.dialogue(server.port, junk, finish=True)
        self.assertEqual(self.curl(server)[1], 'hello, TLS\n')

    def test_wrong_certificates_are_refused_at_the_start(self):
        c = self.certs()
        for args, why in ((['--tls-cert', f'{c}/good.pem'], 'each --tls-cert wants a --tls-key'),
                          (['--tls-cert', f'{c}/good.pem', '--tls-key', f'{c}/other.key'], 'does not belong to'),
                          (['--tls-cert', f'{c}/absent.pem', '--tls-key', f'{c}/good.key'], 'absent.pem: not found')):
            status, _, err = self.run_l7(['serve', self.tmpdir, '--listen', '127.0.0.1:0', *args])
            self.assertNotEqual(status, 0)
            self.assertIn(why, err)

    def test_trace_shows_the_dialogue_inside_tls(self):
        trace = os.path.join(self.tmpdir, 'trace')
        keylog = os.path.join(self.tmpdir, 'keylog')
        server = self.serve(*self.pair('good'), f'--trace={trace}', '--keylog', keylog)
        self.curl(server, '-H', 'Authorization: Basic secret', '-H', 'Connection: close')

        def lines():
            with open(trace) as f:
                return [re.sub(r'^\d+\.\d{6} ', '', line.rstrip('\n')) for line in f]
        # Its client may say goodbye before or after: with that unread, closing is a reset, and the trace says so.
        self.wait_until(lambda: any(x.startswith('-- S closed') for x in lines()), what='the end of the trace')
        got = lines()
        self.assertEqual(got[0], 'C: GET / HTTP/1.1')
        self.assertIn('C: Authorization: <masked>', got)
        self.assertIn('S: HTTP/1.1 200 OK', got)
        self.assertIn('S: [11 bytes of body]', got)
        self.assertNotIn('secret', ' '.join(got))
        with open(keylog) as f:
            self.assertIn('SERVER_TRAFFIC_SECRET_0', f.read())

    def test_trace_of_echo_on_both_sides(self):
        server = self.start(['echo', 'listen', '--listen', '127.0.0.1:0', '--trace'])
        _, out, err = self.run_l7(['echo', '127.0.0.1', server.port, '--trace'], input='hello\nbye\n')
        self.assertEqual(out, 'Welcome\nHELLO\nBYE\n')
        want = ['C: bye', 'C: hello', 'S: BYE', 'S: HELLO', 'S: Welcome']
        client = sorted(line.split(' ', 1)[1] for line in err.splitlines() if ' -- ' not in line)
        self.assertEqual(client, want)
        server.wait_for_line('-- . closed first; TIME_WAIT stays on .')
        heard = sorted(x for x in re.findall(r'^\d+\.\d{6} (.: .*)$', server.stderr(), re.M))
        self.assertEqual(heard, want)
        udp = self.start(['echo', 'listen', '--udp', '--listen', '127.0.0.1:0', '--trace'])
        self.run_l7(['echo', '--udp', '127.0.0.1', udp.port], input='abc\n')
        udp.wait_for_line('C: abc$')
        udp.wait_for_line('S: ABC$')

    def test_trace_knows_on_which_side_time_wait_stays(self):
        site = os.path.dirname(self.file('site/index.html', b'hello\n'))
        server = self.start(['serve', site, '--listen', '127.0.0.1:0', '--trace', '--access-log', 'off'])
        with harness.Conn(server.port) as c:
            c.send(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
            c.recv_until(b'hello\n')
        server.wait_for_line('-- C closed first; TIME_WAIT stays on C')
        harness.dialogue(server.port, b'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
        server.wait_for_line('-- S closed first; TIME_WAIT stays on S')


if __name__ == '__main__':
    unittest.main(verbosity=2)
