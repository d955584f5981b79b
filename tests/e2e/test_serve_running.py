# SPDX-License-Identifier: MIT
"""l7 serve over time: reload, drain, log, metrics, TLS."""
import json
import os
import re
import signal
import ssl
import subprocess

import harness
from serve_case import Answer, Serve, get


class Running(Serve):
    def test_reload_takes_the_folder_anew_and_loses_no_connection(self):
        c = self.conn()
        c.send(get('/a.txt'))
        self.assertEqual(Answer(c).body, b'0123456789')
        os.rename(self.root, self.root + '.old')
        self.file('site/a.txt', 'reloaded')
        self.server.send_signal(signal.SIGHUP)
        self.server.wait_for_line('reloaded')
        c.send(get('/a.txt'))
        self.assertEqual(Answer(c).body, b'reloaded')

    def test_reload_that_fails_keeps_the_old_state(self):
        os.rename(self.root, self.root + '.old')
        self.server.send_signal(signal.SIGHUP)
        self.server.wait_for_line('reload failed')
        self.assertEqual(self.ask('/a.txt').body, b'0123456789')

    def test_drain_ends_what_has_begun(self):
        self.file('site/large', b'x' * (30 << 20))
        idle, busy = self.conn(), self.conn()
        idle.send(get('/a.txt'))
        Answer(idle)
        busy.send(get('/large'))
        busy.recv_until(b'\r\n\r\n')
        self.server.send_signal(signal.SIGTERM)
        self.assertEqual(idle.recv_all(), b'')
        self.assertEqual(len(busy.recv_exactly(30 << 20)), 30 << 20)
        self.assertEqual(self.server.wait(), 0)

    def test_a_new_server_takes_the_port_while_the_old_one_drains(self):
        self.file('site/large', b'x' * (30 << 20))
        busy = self.conn()
        busy.send(get('/large'))
        busy.recv_until(b'\r\n\r\n')
        self.server.send_signal(signal.SIGTERM)
        def start():
            p = harness.Process([harness.L7, 'serve', self.root, '--listen', f'127.0.0.1:{self.server.port}'], env=harness.environment())
            self.addCleanup(p.stop)
            try:
                p.wait_for_line('listening')
            except AssertionError:
                return None  # the old one has not stopped listening yet
            return p
        new = self.wait_until(start, what='the port')
        self.assertTrue(self.server.alive())
        self.assertEqual(self.ask('/a.txt', server=new).body, b'0123456789')
        self.assertEqual(len(busy.recv_exactly(30 << 20)), 30 << 20)
        self.assertEqual(self.server.wait(), 0)

    def test_access_log(self):
        log = os.path.join(self.tmpdir, 'log')
        s = self.serve('--access-log', log, '--workers', '1')
        self.ask('/a.txt', 'User-Agent: a"b\x1b', 'Referer: http://r/', server=s)
        self.ask('/a.txt', 'User-Agent: a"b', 'Referer: http://r/', server=s)
        s.stop()
        with open(log) as f:
            lines = f.read().split('\n')
        self.assertRegex(lines[0], r'^127\.0\.0\.1 - - \[.*\] ".*" 400 \d+ "-" "-"$')
        self.assertRegex(lines[1], r'^127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:[\d:]{8} \+0000\] "GET /a.txt HTTP/1.1" 200 10 "http://r/" "a\\"b"$')

    def test_access_log_as_json(self):
        log = os.path.join(self.tmpdir, 'log')
        s = self.serve('--access-log', log, '--log-format', 'json')
        self.ask('/a.txt', server=s)
        s.stop()
        with open(log) as f:
            row = json.loads(f.readline())
        self.assertEqual((row['method'], row['target'], row['status'], row['bytes']), ('GET', '/a.txt', 200, 10))

    def test_wrong_usage(self):
        for args, code, words in (([os.path.join(self.tmpdir, 'absent')], 2, 'absent'), (['--respond', 'x'], 2, '--respond'),
                                  (['--error-page', '40=/x'], 2, '--error-page'), ([self.root, '--spa', 'none.html'], 2, "'none.html'"),
                                  ([self.root, '--spa', '../outside.txt'], 2, '--spa'), (['--max-header', '1'], 2, '--max-header'),
                                  (['--listen', self.server.addr()[0] + ':' + str(self.server.port)], 1, 'in use'),
                                  (['--tls-cert', '/x'], 2, '--tls-key'), (['a', 'b'], 2, '')):
            with self.subTest(args):
                rc, _, err = self.run_l7(['serve', *args])
                self.assertEqual(rc, code, err)
                self.assertIn(words, err)
                self.assertEqual(err.count('\n'), 1, err)

    def test_metrics(self):
        s = self.serve('--metrics', '127.0.0.1:0')
        self.ask('/a.txt', server=s)
        host, port = s.addr('metrics')
        c = harness.Conn(port)
        self.addCleanup(c.close)

        def metrics():
            c.send(get('/metrics'))
            return Answer(c).body.decode()

        # A request is counted once its answer has left, which the client may see first.
        self.wait_until(lambda: re.search(r'l7_http_responses_2xx_total [1-9]', metrics()), what='the request counted')
        self.assertTrue(metrics().endswith('# EOF\n'))


class Tls(Serve):
    def setUp(self):
        super().setUp()
        self.cert, self.key = os.path.join(self.tmpdir, 'c.pem'), os.path.join(self.tmpdir, 'k.pem')
        self.make_cert()
        self.tls = self.serve('--tls-cert', self.cert, '--tls-key', self.key)

    def make_cert(self):
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout',
                        self.key, '-out', self.cert, '-days', '3', '-subj', '/CN=localhost', '-addext',
                        'subjectAltName=DNS:localhost'], check=True, capture_output=True)

    def connect(self, server=None):
        context = ssl.create_default_context(cafile=self.cert)
        c = self.conn(server or self.tls)
        c.sock = context.wrap_socket(c.sock, server_hostname='localhost')
        return c

    def test_requests_over_one_connection_and_a_large_file(self):
        c = self.connect()
        for _ in range(3):
            c.send(get('/a.txt'))
            self.assertEqual(Answer(c).body, b'0123456789')
        c.send(get('/big.bin') * 2)
        for _ in range(2):
            self.assertEqual(Answer(c).body, bytes(range(256)) * 4096)

    def test_the_log_counts_what_was_sent_of_an_answer_that_broke_off(self):
        """At least what the client has got, and not the whole."""
        size, log = 64 << 20, os.path.join(self.tmpdir, 'log')
        os.truncate(self.file('site/huge', b''), size)
        for connect, options in ((self.conn, ()), (self.connect, ('--tls-cert', self.cert, '--tls-key', self.key))):
            with self.subTest(options):
                server = self.serve('--access-log', log, '--log-format', 'json', *options)
                c = connect(server)
                c.send(get('/huge'))
                c.recv_until(b'\r\n\r\n')
                c.recv_exactly(300000)
                c.reset()
                with open(log) as f:
                    row = json.loads(self.wait_until(f.readline, what='a line of the log'))
                os.unlink(log)
                self.assertTrue(300000 <= row['bytes'] < size, row)

    def test_the_absolute_form_may_say_https_here(self):
        c = self.connect()
        for target, status in (('https://localhost/a.txt', 200), ('http://localhost/a.txt', 200), ('ftp://localhost/a.txt', 400)):
            c.send(get(target))
            self.assertEqual(Answer(c).status, status)

    def test_certificates_are_read_again_on_reload(self):
        def serial():
            return self.connect().sock.getpeercert(True)
        before = serial()
        self.make_cert()
        self.tls.send_signal(signal.SIGHUP)
        self.tls.wait_for_line('reloaded')
        self.assertNotEqual(serial(), before)

    def test_automatic_certificate(self):
        state = os.path.join(self.tmpdir, 'state')
        s = self.start(['serve', self.root, '--listen', '127.0.0.1:0', '--tls-auto'], env={'XDG_STATE_HOME': state, 'HOME': state})
        ca = s.wait_for_line(r'local authority: (\S+)').group(1)
        rc, out, err = harness.run(['-sS', '--cacert', ca, f'https://localhost:{s.port}/a.txt'], program='curl')
        self.assertEqual((rc, out), (0, '0123456789'), err)

    def test_a_handshake_that_stops_is_ended(self):
        s = self.serve('--tls-cert', self.cert, '--tls-key', self.key, '--header-timeout', '300ms')
        for hello in (b'\x16', b'\x16\x03\x01\x00\xc8\x01'):  # a silent client is not even accepted for a while
            c = self.conn(s)
            c.send(hello)
            self.assertEqual(c.recv_all(), b'')

    def test_plain_text_on_the_tls_port_ends(self):
        c = self.conn(self.tls)
        c.send(get('/'))
        self.assertNotIn(b'200 OK', c.recv_all())
        c = self.connect()
        c.send(get('/a.txt'))
        self.assertEqual(Answer(c).status, 200)


if __name__ == '__main__':
    harness.main()
