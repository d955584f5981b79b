# SPDX-License-Identifier: MIT
"""l7 proxy and its origins: several with health checks, another one asked only when that is safe, and HTTP/2 towards
servers that nobody here wrote and one that breaks off on purpose."""
import hashlib
import os
import socket
import struct
import threading

import harness
import peers
from h2_peer import DATA, END_HEADERS, GOAWAY, H2Peer, HEADERS, RST_STREAM, WINDOW_UPDATE, block
from origin import Origin, answer
from test_get_session import certificates, server_context
from test_proxy import Proxy

REFUSED, CANCEL = 7, 8


def well(conn, request):
    conn.sendall(answer(request.method + request.body.decode(), Cache_Control='no-store'))
    return True


class Pair(Proxy):
    def pair(self, handler, *args, good=well):
        self.bad, self.good = Origin(self, handler), Origin(self, good)
        return self.proxy('--origin', self.bad.url(''), '--origin', self.good.url(''), '--workers', '1', *args)

    def ask(self, p, method='GET', body='', target='/'):
        """(status, body)"""
        head = f'{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n' + (f'Content-Length: {len(body)}\r\n' if body else '')
        got = harness.dialogue(p.port, f'{head}\r\n{body}'.encode())
        return int(got[9:12]), got.partition(b'\r\n\r\n')[2].decode()


class Several(Pair):
    """The first origin misbehaves, the second is well."""

    def test_turn_and_turn_about(self):
        p = self.pair(well)
        for _ in range(10):
            self.assertEqual(self.ask(p), (200, 'GET'))
        self.assertEqual((len(self.bad.requests), len(self.good.requests)), (5, 5))

    def test_one_that_refuses(self):
        """Nothing of the request has left: every method may go elsewhere."""
        for method, body in (('GET', ''), ('POST', 'form'), ('PUT', 'x'), ('BREW', '')):
            p = self.pair(well)
            self.bad.close()
            for _ in range(2):
                self.assertEqual(self.ask(p, method, body), (200, method + body))
            self.assertEqual([r.method for r in self.good.requests], [method] * 2)

    def test_one_that_closes_without_an_answer(self):
        """It may have done what was asked (RFC 9110 section 9.2.2): only what is safe goes elsewhere."""
        for method, body, sent_again in (('GET', '', True), ('HEAD', '', True), ('OPTIONS', '', True), ('POST', 'x', False), ('POST', '', False),
                                         ('DELETE', '', False), ('PATCH', 'x', False)):
            with self.subTest(method):
                p = self.pair(lambda c, r: False)
                self.assertEqual(self.ask(p, method, body)[0], 200 if sent_again else 502)
                self.assertEqual((len(self.bad.requests), len(self.good.requests)), (1, int(sent_again)))

    def test_one_that_hangs(self):
        for method, body, status in (('GET', '', 200), ('POST', 'x', 504)):
            hold = threading.Event()
            self.addCleanup(hold.set)
            p = self.pair(lambda c, r: hold.wait(30) and False, '--origin-timeout', '1s')
            self.assertEqual(self.ask(p, method, body)[0], status)
            self.assertEqual(len(self.good.requests), status == 200)

    def test_garbage_is_a_failure_and_5xx_an_answer(self):
        p = self.pair(lambda c, r: c.sendall(b'garbage\r\n\r\n'))
        self.assertEqual(self.ask(p), (200, 'GET'))
        p = self.pair(lambda c, r: c.sendall(answer('down', status='503 Down')) or True)
        self.assertEqual([self.ask(p)[0] for _ in range(4)], [503, 200, 503, 200])

    def test_one_that_failed_is_left_alone(self):
        p = self.pair(lambda c, r: False)
        for _ in range(20):
            self.assertEqual(self.ask(p), (200, 'GET'))
        self.assertLess(len(self.bad.requests), 5)

    def test_one_that_comes_back(self):
        down = threading.Event()
        down.set()
        p = self.pair(lambda c, r: not down.is_set() and well(c, r))
        self.assertEqual(self.ask(p), (200, 'GET'))
        down.clear()
        before = len(self.bad.requests)
        self.wait_until(lambda: self.ask(p) == (200, 'GET') and len(self.bad.requests) > before)

    def test_all_down(self):
        p = self.pair(lambda c, r: False, good=lambda c, r: False)
        for _ in range(3):
            self.assertEqual(self.ask(p)[0], 502)
        self.assertGreaterEqual(len(self.bad.requests), 2, 'somebody has to be asked')

    def test_a_client_that_breaks_off_is_not_the_origins_fault(self):
        p = self.pair(well)
        for _ in range(6):
            got = harness.dialogue(p.port, b'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n')
            self.assertEqual(got[9:12], b'400')
        for _ in range(4):
            self.assertEqual(self.ask(p), (200, 'GET'))
        self.assertEqual((len(self.bad.requests), len(self.good.requests)), (2, 2))
        self.assertNotIn('failed', p.stderr())


class Health(Pair):
    def sick(self, handler, *args):
        """An interval is also how long a check may take: the other origin must manage that when the machine is busy."""
        return self.pair(handler, '--health', '/up', '--health-interval', '400ms', *args)

    def asked(self, origin):
        return [r for r in origin.requests if r.target != '/up']

    def test_out_and_back(self):
        """By its health check alone: to requests it answers well all the time."""
        status = ['200 OK']
        p = self.sick(lambda c, r: c.sendall(answer('', status=status[0] if r.target == '/up' else '200 OK')) or True)
        for down in ('503 Down', '404 Gone'):
            status[0] = down
            p.wait_for_line('does not pass its health check', count=1 if down[0] == '5' else 2)
            before = len(self.asked(self.bad))
            for _ in range(10):
                self.assertEqual(self.ask(p)[0], 200)
            self.assertEqual(len(self.asked(self.bad)), before)
            status[0] = '204 Well' if down[0] == '5' else '302 Well'
            p.wait_for_line('is well again', count=1 if down[0] == '5' else 2)
            self.wait_until(lambda: self.ask(p)[0] == 200 and len(self.asked(self.bad)) > before)
        self.assertIn(f'127.0.0.1:{self.bad.port} ', p.stderr())
        self.assertNotIn(f'127.0.0.1:{self.good.port} ', p.stderr())

    def test_one_that_hangs_holds_up_no_other(self):
        hold = threading.Event()
        self.addCleanup(hold.set)
        p = self.sick(lambda c, r: hold.wait(30) and False)
        p.wait_for_line('does not pass its health check')
        checks = len(self.good.requests)
        self.wait_until(lambda: len(self.good.requests) > checks + 5)
        for _ in range(6):
            self.assertEqual(self.ask(p)[0], 200)
        self.assertEqual(self.asked(self.bad), [])

    def test_killed_and_started_again(self):
        """A real server: requests go on while it is away, and reach it when it is back."""
        site = os.path.join(self.tmpdir, 'site')
        self.file('site/up', 'up')
        port = harness.free_port()
        start = lambda: self.start(['serve', site, '--listen', f'127.0.0.1:{port}', '--access-log', '-'])  # noqa: E731
        first = start()
        good = Origin(self, well)
        p = self.proxy('--origin', first.url, '--origin', good.url(''), '--health', '/up', '--health-interval', '200ms', '--no-cache')
        self.wait_until(lambda: self.ask(p, target='/up')[1] == 'up')
        first.stop(9)
        for _ in range(20):
            self.assertEqual(self.ask(p, target='/up'), (200, 'GET'))
        p.wait_for_line('does not pass its health check')
        start()
        p.wait_for_line('is well again')
        self.wait_until(lambda: self.ask(p, target='/up')[1] == 'up')


class Http2(Proxy):
    """Towards origins that speak HTTP/2 by ALPN."""

    def setUp(self):
        self.folder = certificates(self)

    def to(self, url, *args):
        return self.proxy('--origin', url, '--insecure', '--workers', '1', *args)

    def scripted(self, script, *args, settings=()):
        self.peer = H2Peer(self, script, settings, tls=server_context(self.folder, 'good'))
        return self.to(self.peer.url(''), *args)

    def ask(self, p, request, until=None):
        return harness.dialogue(p.port, request, until=until)

    def get(self, target='/', method='GET', more=''):
        return f'{method} {target} HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n{more}\r\n'.encode()

    def test_interim_answers_fields_and_trailers(self):
        def script(c):
            sid = c.request()
            c.headers(sid, [(':status', '103'), ('link', '</a>')])
            c.headers(sid, [(':status', '200'), ('set-cookie', 'a=1'), ('set-cookie', 'b=2'), ('cache-control', 'no-store')])
            c.data(sid, b'hello')
            c.frame(HEADERS, END_HEADERS | 1, sid, block([('x-trailer', 't')]))
            c.ended()
        p = self.scripted(script)
        got = self.ask(p, self.get())
        self.assertRegex(got, rb'^HTTP/1.1 103 Early Hints\r\n(?s:.*)link: </a>\r\n(?s:.*)\r\n\r\nHTTP/1.1 200 OK\r\n')
        self.assertIn(b'set-cookie: a=1\r\nset-cookie: b=2\r\n', got)
        self.assertEqual(got.count(b'Via: 2.0 l7\r\n'), 2)
        self.assertTrue(got.endswith(b'\r\n5\r\nhello\r\n0\r\nx-trailer: t\r\n\r\n'), got)

    def test_bodiless_answers(self):
        def script(c):
            for status, method in ((200, 'HEAD'), (204, 'GET'), (304, 'GET')):
                sid = c.request()
                c.headers(sid, [(':status', str(status))] + ([('content-length', '9')] if method == 'HEAD' else []), end=True)
            c.ended()
        p = self.scripted(script, '--no-cache')
        got = self.ask(p, self.get(method='HEAD'))
        self.assertIn(b'content-length: 9\r\n', got)
        self.assertTrue(got.endswith(b'\r\n\r\n'))
        for status in (b'204', b'304'):
            got = self.ask(p, self.get())
            self.assertEqual(got[9:12], status)
            self.assertNotRegex(got, rb'(?i)content-length|transfer-encoding')

    def test_request_trailers(self):
        seen = []

        def script(c):
            sid = c.request()
            while True:
                kind, flags, _, payload = c.read()
                if kind in (DATA, HEADERS):
                    seen.append((kind, payload))
                if kind in (DATA, HEADERS) and flags & 1:
                    break
            c.headers(sid, [(':status', '204')], end=True)
            c.ended()
        p = self.scripted(script)
        got = self.ask(p, self.get(method='POST', more='Transfer-Encoding: chunked\r\n') + b'3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n')
        self.assertEqual(got[9:12], b'204')
        self.assertEqual(b''.join(d for k, d in seen if k == DATA), b'abc')
        self.assertEqual(seen[-1][0], HEADERS, 'trailers came')

    def test_broken_off_in_the_body(self):
        """RST_STREAM, GOAWAY with the connection's end, and the end alone: the client must see that it is not whole."""
        def reset(c, sid):
            c.frame(RST_STREAM, 0, sid, struct.pack('>I', CANCEL))

        def goaway(c, sid):
            c.frame(GOAWAY, 0, 0, struct.pack('>II', 0, 2))
            c.sock.shutdown(socket.SHUT_RDWR)

        def gone(c, sid):
            c.sock.shutdown(socket.SHUT_RDWR)
        for end in (reset, goaway, gone):
            for cc in ('no-store', 'max-age=60'):
                with self.subTest(f'{end.__name__} {cc}'):
                    def script(c, end=end, cc=cc):
                        sid = c.request()
                        c.headers(sid, [(':status', '200'), ('cache-control', cc)])
                        c.data(sid, b'half')
                        end(c, sid)
                        c.ended()
                    p = self.scripted(script)
                    got = self.ask(p, self.get('/a'))
                    self.assertIn(b'chunked', got)
                    self.assertNotIn(b'\r\n0\r\n', got)

    def test_what_was_not_looked_at_is_asked_again(self):
        """RFC 9113 section 8.7: GOAWAY below the stream, and REFUSED_STREAM."""
        def goaway(c, sid):
            c.frame(GOAWAY, 0, 0, struct.pack('>II', 0, 0))

        def refused(c, sid):
            c.frame(RST_STREAM, 0, sid, struct.pack('>I', REFUSED))
        for refuse in (goaway, refused):
            with self.subTest(refuse.__name__):
                def script(c, refuse=refuse):
                    sid = c.request()
                    if self.peer.connections == 1:
                        refuse(c, sid)
                    else:
                        c.headers(sid, [(':status', '200')])
                        c.data(sid, b'second', end=True)
                    c.ended()
                p = self.scripted(script)
                got = self.ask(p, self.get('/a', 'BREW'))
                self.assertTrue(got.endswith(b'\r\n6\r\nsecond\r\n0\r\n\r\n'), got)

    def test_what_was_not_looked_at_is_asked_again_with_a_short_body(self):
        """The same for a POST, refused before its body, in the middle and behind it; a body of 16 KiB is kept, more is not."""
        for n, wait, status in ((300, 0, b'200'), (16384, 1, b'200'), (16384, 16384, b'200'), (16385, 16385, b'502')):
            with self.subTest(f'{n} bytes, refused after {wait}'):
                def script(c, n=n, wait=wait):
                    sid, body = c.request(), b''
                    while len(body) < (n if self.peer.connections > 1 else wait):
                        body += c.until(DATA, sid)[3]
                    if self.peer.connections == 1:
                        c.frame(RST_STREAM, 0, sid, struct.pack('>I', REFUSED))
                    else:
                        c.headers(sid, [(':status', '200')])
                        c.data(sid, body[-8:], end=True)
                    c.ended()
                p = self.scripted(script)
                body = bytes(n - 8) + b'the end.'
                got = self.ask(p, self.get('/a', 'POST', f'Content-Length: {n}\r\n') + body)
                self.assertEqual(got[9:12], status, got)
                self.assertEqual(got.endswith(b'\r\n8\r\nthe end.\r\n0\r\n\r\n'), status == b'200')

    def test_a_slow_client_holds_the_origin_back(self):
        """No more is taken from the origin than the windows' worth beyond what the client has read."""
        sent, go = [0], threading.Event()

        def script(c):
            sid = c.request()
            while not c.windows.get(0):
                c.read()
            c.headers(sid, [(':status', '200'), ('cache-control', 'no-store')])
            room = {0: 65535 + c.windows[0], sid: c.initial_window + c.windows.get(sid, 0)}
            while sent[0] < 32 << 20:
                n = min(16384, room[0], room[sid])
                if n > 0:
                    c.data(sid, bytes(n))
                    sent[0] += n
                    room[0], room[sid] = room[0] - n, room[sid] - n
                    continue
                go.set()
                kind, _, stream, payload = c.read()
                if kind == WINDOW_UPDATE:
                    room[stream] += int.from_bytes(payload, 'big')
            c.frame(DATA, 1, sid)
            c.ended()
        p = self.scripted(script)
        with harness.Conn(p.port) as c:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            c.send(self.get())
            c.recv_until(b'\r\n\r\n')
            self.assertTrue(go.wait(20))
            held = lambda: [sent[0]] * 2 == [sent[0], threading.Event().wait(0.3) or sent[0]]  # noqa: E731
            self.wait_until(held, what='a standstill')
            self.assertLess(sent[0], 16 << 20)
            got, last = len(c.rest), c.rest[-8:]
            while not last.endswith(b'\r\n0\r\n\r\n'):
                data = c.sock.recv(1 << 20)
                got, last = got + len(data), (last + data)[-8:]
                self.assertTrue(data, 'broken off')
        self.assertGreater(got, 32 << 20)

    def bodies(self, p, upload=True):
        """Large bodies both ways through a server that nobody here wrote."""
        content = os.urandom(3 << 20)
        at = self.file('body', content)
        self.assertEqual(self.curl('--limit-rate', '30M', p.url + '/big', text=False), self.big)
        self.assertEqual(self.curl(p.url + '/small'), 'small')
        self.assertRegex(self.curl('-I', p.url + '/big'), f'(?i)content-length: {len(self.big)}')
        self.assertIn(' 404', self.curl('-i', p.url + '/none').split('\r\n')[0])
        self.assertIn('Via: 2.0 l7', self.curl('-i', p.url + '/small'))
        if upload:
            for more in ([], ['-H', 'Transfer-Encoding: chunked']):
                got = self.curl('--data-binary', '@' + at, *more, p.url + '/up', text=False)
                self.assertEqual(hashlib.sha256(got).hexdigest(), hashlib.sha256(content).hexdigest())

    def site(self):
        self.big = os.urandom(5 << 20)
        self.file('site/big', self.big)
        self.file('site/small', 'small')
        os.chmod(self.folder, 0o755)
        return os.path.join(self.tmpdir, 'site'), f'{self.folder}/good.pem', f'{self.folder}/good.key'

    def test_nghttpd(self):
        site, cert, key = self.site()
        port = harness.free_port()
        peers.start(self, 'nghttpd', ['-d', site, '--address=127.0.0.1', '--echo-upload', '--trailer', 'x-t: 1', str(port), key, cert], port)
        p = self.to(f'https://127.0.0.1:{port}', '--no-cache')
        self.bodies(p)
        got = self.ask(p, self.get('/small'))
        self.assertTrue(got.endswith(b'small\r\n0\r\nx-t: 1\r\n\r\n') or b'ontent-' in got, got)

    def test_nginx(self):
        site, cert, key = self.site()
        port = harness.free_port()
        peers.start_nginx(self, site, http=f'server {{ listen 127.0.0.1:{port} ssl http2; root {site}; ssl_certificate {cert}; '
                          f'ssl_certificate_key {key}; }}')
        self.wait_until(lambda: peers.answers(port))
        self.bodies(self.to(f'https://127.0.0.1:{port}', '--no-cache'), upload=False)

    def test_caddy(self):
        site, cert, key = self.site()
        port = harness.free_port()
        conf = self.file('Caddyfile', f'{{\n admin off\n auto_https off\n}}\nhttps://:{port} {{\n bind 127.0.0.1\n tls {cert} {key}\n root * {site}\n file_server\n}}\n')
        peers.start(self, 'caddy', ['run', '--config', conf, '--adapter', 'caddyfile'], port, extra_env={'HOME': self.tmpdir})
        self.bodies(self.to(f'https://127.0.0.1:{port}', '--no-cache'), upload=False)

    def test_h2o(self):
        site, cert, key = self.site()
        port = harness.free_port()
        conf = self.file('h2o.conf', f'''
listen: {{host: 127.0.0.1, port: {port}, ssl: {{certificate-file: {cert}, key-file: {key}}}}}
num-threads: 1
hosts:
  default:
    paths:
      "/": {{file.dir: "{site}"}}
''')
        peers.start(self, 'h2o', ['-c', conf], port)
        self.bodies(self.to(f'https://127.0.0.1:{port}', '--no-cache'), upload=False)


if __name__ == '__main__':
    harness.main()
