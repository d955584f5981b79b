# SPDX-License-Identifier: MIT
"""l7 proxy against real clients and origins: curl in every mode, tunnels, uploads, broken origins, many clients."""
import base64
import hashlib
import http.server
import os
import signal
import socket
import ssl
import subprocess
import threading
import unittest

import harness


class Origin:
    """A threaded origin: `routes` maps a path to a function of the handler."""

    def __init__(self, test, routes=None, tls=None):
        outer = self
        self.seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def answer(self):
                outer.seen.append((self.command, self.path, dict(self.headers)))
                path = self.path.split('?')[0]
                if routes and path in routes:
                    routes[path](self)
                else:
                    self.reply(200, b'hello ' + self.path.encode(), {'Cache-Control': 'max-age=60'})

            def reply(self, status, body=b'', fields=None):
                self.send_response(status)
                for k, v in (fields or {}).items():
                    self.send_header(k, v)
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                if self.command != 'HEAD':
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 2048

            def handle_error(self, *_):
                pass

        self.server = Server(('127.0.0.1', 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        test.addCleanup(self.server.server_close)
        test.addCleanup(self.server.shutdown)

    def count(self, path):
        return sum(1 for _, p, _ in self.seen if p == path)


class Raw:
    """An origin that answers every connection with the same bytes, then closes."""

    def __init__(self, test, data):
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        test.addCleanup(self.listener.close)
        test.addCleanup(self.listener.shutdown, socket.SHUT_RDWR)  # an accept that waits would outlive a close
        threading.Thread(target=self.run, args=(data,), daemon=True).start()

    def run(self, data):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            c.recv(65536)
            c.sendall(data)
            c.close()


class Proxy(harness.TestCase):
    def proxy(self, *args):
        p = self.start(['proxy', '--listen', '127.0.0.1:0', '--workers', '2', *args])
        return p

    def disk_bytes(self, p, folder):
        """What all files of a cache take while all threads of the proxy are stopped: one that is renamed would count twice."""
        def stopped():
            states = []
            for task in os.listdir(f'/proc/{p.pid}/task'):
                with open(f'/proc/{p.pid}/task/{task}/stat') as f:
                    states.append(f.read().rsplit(')', 1)[1].split()[0])
            return set(states) == {'T'}
        p.send_signal(signal.SIGSTOP)
        try:
            harness.wait_until(stopped, what='a stop of all threads')
            return sum(os.stat(os.path.join(at, name)).st_blocks * 512 for at, _, files in os.walk(folder) for name in files)
        finally:
            p.send_signal(signal.SIGCONT)

    def curl(self, *args, code=0, text=True):
        out = subprocess.run(['curl', '-sS', '--max-time', '20', '--noproxy', '', *map(str, args)], capture_output=True,
                             env=harness.environment())
        self.assertEqual(out.returncode, code, out.stderr)
        return out.stdout.decode() if text else out.stdout


class Modes(Proxy):
    def setUp(self):
        self.origin = Origin(self)
        self.base = f'http://127.0.0.1:{self.origin.port}'

    def test_forward_is_cached(self):
        p = self.proxy()
        first = self.curl('-i', '-x', p.url, self.base + '/a?b')
        self.assertIn('hello /a?b', first)
        self.assertRegex(first, 'Cache-Status: l7; fwd=uri-miss; stored; ttl=(60|59)')  # its Date may be of the second before
        second = self.curl('-i', '-x', p.url, self.base + '/a?b')
        self.assertIn('Cache-Status: l7; hit; ttl=', second)
        self.assertIn('\nAge: ', second)
        self.assertEqual(self.origin.count('/a?b'), 1)
        self.assertEqual(self.origin.seen[0][2]['Via'], '1.1 l7')
        self.assertNotIn('Proxy-Connection', self.origin.seen[0][2])

    def test_address_form(self):
        def moved(h):
            h.reply(302, b'', {'Location': '/b', 'Set-Cookie': 'a=b; Path=/x; Domain=y'})
        origin = Origin(self, {'/moved': moved})
        p = self.proxy()
        host = f'127.0.0.1:{origin.port}'
        self.assertIn('hello /x', self.curl(f'{p.url}/{host}/x'))
        out = self.curl('-i', f'{p.url}/{host}/moved')
        self.assertIn(f'Location: /{host}/b', out)
        self.assertIn(f'Set-Cookie: a=b; Path=/{host}/x', out)
        out = self.curl('-i', '-e', f'{p.url}/{host}/page', f'{p.url}/style.css')
        self.assertIn('307', out.split('\r\n')[0])
        self.assertIn(f'Location: /{host}/style.css', out)
        self.assertIn('404', self.curl('-i', f'{p.url}/style.css').split('\r\n')[0])

    def test_connect(self):
        p = self.proxy()
        self.assertEqual(self.curl('-p', '-x', p.url, self.base + '/a'), 'hello /a')

    def test_reverse_with_forwarded_fields(self):
        p = self.proxy('--origin', self.base)
        self.assertEqual(self.curl('-H', 'X-Forwarded-For: 6.6.6.6', p.url + '/a'), 'hello /a')
        seen = self.origin.seen[0][2]
        self.assertEqual(seen['X-Forwarded-For'], '127.0.0.1')
        self.assertEqual(seen['X-Forwarded-Proto'], 'http')
        self.assertIn('for=127.0.0.1', seen['Forwarded'])
        self.curl('-p', '-x', p.url, self.base, code=56)

    def test_uploads_stream(self):
        def digest(h):
            n, hash_ = int(h.headers['Content-Length']), hashlib.sha256()
            while n:
                piece = h.rfile.read(min(n, 65536))
                n -= len(piece)
                hash_.update(piece)
            h.reply(200, hash_.hexdigest().encode())
        origin = Origin(self, {'/up': digest})
        p = self.proxy()
        body = os.urandom(3 << 20)
        path = self.file('body', body)
        for method in ('POST', 'PUT'):
            got = self.curl('-x', p.url, '-X', method, '--data-binary', '@' + path, f'http://127.0.0.1:{origin.port}/up')
            self.assertEqual(got, hashlib.sha256(body).hexdigest())

    def test_parent(self):
        parent = self.proxy()
        p = self.proxy('--parent', parent.url)
        self.assertEqual(self.curl('-x', p.url, self.base + '/a'), 'hello /a')
        self.assertEqual(self.curl('-p', '-x', p.url, self.base + '/b'), 'hello /b')
        self.assertIn('l7', self.origin.seen[0][2]['Via'])

    def test_second_origin_when_the_first_is_gone(self):
        gone = harness.free_port()
        p = self.proxy('--origin', f'http://127.0.0.1:{gone}', '--origin', self.base)
        for i in range(4):
            self.assertEqual(self.curl(f'{p.url}/n{i}'), f'hello /n{i}')


class Rules(Proxy):
    def setUp(self):
        self.origin = Origin(self)
        self.base = f'http://127.0.0.1:{self.origin.port}'

    def status(self, *args):
        return self.curl('-o', '/dev/null', '-w', '%{http_code}', *args)

    def test_destinations(self):
        p = self.proxy('--deny-to', 'bad.test', '--deny-to', '127.0.0.2')
        self.assertEqual(self.status('-x', p.url, self.base), '200')
        for url in ('http://bad.test/', 'http://www.bad.test/', 'http://127.0.0.2/', 'http://169.254.169.254/',
                    'http://[::ffff:169.254.1.1]/', 'http://[64:ff9b::a9fe:1]/', 'http://224.0.0.1/', 'http://0.0.0.0/'):
            self.assertEqual(self.status('-x', p.url, url), '403', url)

    def test_open_listener_is_careful(self):
        p = self.start(['proxy', '--listen', '0.0.0.0:0', '--workers', '1'])
        url = f'http://127.0.0.1:{p.port}'
        for args in (['-x', url, self.base], ['-x', url, 'http://10.1.2.3/']):
            self.assertEqual(self.status(*args), '403')
        self.curl('-p', '-x', url, self.base, code=56)

    def test_connect_ports(self):
        p = self.proxy('--connect-ports', '443')
        self.curl('-p', '-x', p.url, self.base, code=56)

    def test_allow(self):
        p = self.proxy('--allow', '10.0.0.0/8')
        self.assertEqual(self.status('-x', p.url, self.base), '403')

    def test_login(self):
        p = self.proxy('--proxy-auth', self.file('users', 'ann:secret\nbob:b\n'))
        self.assertEqual(self.status('-x', p.url, self.base), '407')
        self.assertEqual(self.status('-x', p.url, '-U', 'ann:wrong', self.base), '407')
        self.assertEqual(self.status('-x', p.url, '-U', 'bob:b', self.base), '200')
        self.assertNotIn('Proxy-Authorization', self.origin.seen[-1][2])

    def test_every_verdict_is_logged_and_counted(self):
        log = os.path.join(self.tmpdir, 'log')
        p = self.proxy('--access-log', log, '--metrics', '127.0.0.1:0')
        lines = lambda: open(log).read().splitlines()  # noqa: E731
        for i in range(3):
            self.curl('-x', p.url, self.base + '/a')
            self.wait_until(lambda: os.path.exists(log) and len(lines()) == i + 1)  # each worker writes when it has answered
        self.assertRegex(lines()[0], 'l7; fwd=uri-miss; stored; ttl=(60|59)')
        for line in lines()[1:]:
            self.assertIn('l7; hit; ttl=', line)
        host, port = p.addr('metrics')
        text = harness.dialogue(port, b'GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n').decode()
        for counter in ('l7_cache_hits 2', 'l7_cache_misses 1', 'l7_cache_stored 1'):
            self.assertRegex(text, '(?m)^' + counter.replace(' ', '(_total)? ') + '$')

    def test_why_and_purge(self):
        control = os.path.join(self.tmpdir, 'control')
        p = self.proxy('--control', control)
        self.curl('-x', p.url, self.base + '/a')
        why = self.run_l7(['proxy', 'why', '--control', control, self.base + '/a'])[1]
        self.assertIn('1 stored\n  in memory: status 200', why)
        self.assertIn('answered from here: fresh', why)
        self.assertIn('1 purged', self.run_l7(['proxy', 'purge', '--soft', '--control', control, self.base.upper() + '/*'])[1])
        why = self.run_l7(['proxy', 'why', '--control', control, self.base + '/a'])[1]
        self.assertIn('validated first', why)
        self.assertIn('1 purged', self.run_l7(['proxy', 'purge', '--control', control, self.base + '/a'])[1])
        self.curl('-x', p.url, self.base + '/a')
        self.assertEqual(self.origin.count('/a'), 2)

    def test_why_something_is_not_stored(self):
        origin = Origin(self, {'/a': lambda h: h.reply(200, b'x', {'Cache-Control': h.headers['X']})})
        base, control = f'http://127.0.0.1:{origin.port}', os.path.join(self.tmpdir, 'control')
        p = self.proxy('--control', control)
        why = lambda: self.run_l7(['proxy', 'why', '--control', control, base + '/a'])[1]  # noqa: E731
        self.assertEqual(why(), f'key {base}/a\n0 stored\n')
        for say, want in (('no-store', 'says no-store'), ('private', 'is private'), ('public', 'no freshness of its own')):
            self.curl('-x', p.url, '-H', 'X: ' + say, base + '/a')
            self.assertRegex(why(), f'0 stored\n  the last answer was not stored: .*{want}')
        self.curl('-x', p.url, '-H', 'X: max-age=60', base + '/a')
        self.assertIn('1 stored\n', why())
        self.run_l7(['proxy', 'purge', '--control', control, base + '/a'])
        self.assertEqual(why(), f'key {base}/a\n0 stored\n', 'that was about another answer')


class Disk(Proxy):
    def setUp(self):
        def tagged(h):
            if h.headers.get('If-None-Match') == '"t"':
                h.reply(304, b'', {'ETag': '"t"', 'Cache-Control': 'max-age=60'})
            else:
                h.reply(200, b'hello', {'ETag': '"t"', 'Cache-Control': 'max-age=60', 'Vary': 'Foo'})
        self.origin = Origin(self, {f'/t{i}': tagged for i in range(3)})
        self.folder, self.control = os.path.join(self.tmpdir, 'cache'), os.path.join(self.tmpdir, 'control')
        self.begin()

    def begin(self):
        self.p = self.proxy(*self.args())
        self.wait_until(lambda: 'objects on disk' in self.p.stderr())  # nothing is written before

    def args(self):
        return ['--origin', f'http://127.0.0.1:{self.origin.port}', '--cache-dir', self.folder, '--control', self.control]

    def get(self, path, *args):
        return self.curl('-i', '-H', 'Host: h', *args, self.p.url + path)

    def ask(self, *args):
        return self.run_l7(['proxy', args[0], '--control', self.control, *args[1:]])[1]

    def files(self):
        return sum(len(f) for at, _, f in os.walk(self.folder) if not at.endswith('/new'))

    def on_disk(self, url, count=1):
        """Wait until so many are, and the proxy knows."""
        self.wait_until(lambda: self.ask('why', url).count('on disk: status ') == count, what=f'{count} on disk')

    def restart(self):
        self.p.send_signal(9)
        self.p.wait()
        self.begin()

    def test_what_is_on_disk_survives_a_kill(self):
        for i in range(5):
            self.get(f'/n{i}')
        self.wait_until(lambda: self.files() == 5)
        self.restart()
        for i in range(5):
            self.assertIn('l7; hit', self.get(f'/n{i}'))
        self.assertEqual(len(self.origin.seen), 5)
        self.assertIn('5 purged', self.ask('purge', 'http://h/*'))
        self.assertEqual(self.files(), 0)

    def test_why_shows_both_tiers(self):
        for value in 'ab':
            self.get('/t0', '-H', 'Foo: ' + value)
        self.on_disk('http://h/t0', 2)
        self.assertEqual(self.ask('why', 'http://h/t0').count('in memory and on disk: status 200, 5 bytes'), 2)
        self.restart()
        self.get('/t0', '-H', 'Foo: a')
        why = self.ask('why', 'http://h/t0')
        self.assertIn('2 stored\n', why)
        self.assertRegex(why, '  in memory and on disk: status 200, 5 bytes, age .*\n    vary foo=a\n')
        self.assertRegex(why, '  on disk: status 200, 5 bytes, age .*\n    vary foo=b\n    etag "t"\n'
                              '    a plain GET is answered from here: fresh')

    def test_soft_purge_on_disk(self):
        for what in ('http://h/t1', 'http://h/t*'):
            self.get('/t1')
            self.on_disk('http://h/t1')
            self.assertIn('1 purged', self.ask('purge', '--soft', what))
            self.restart()
            why = self.ask('why', 'http://h/t1')
            self.assertRegex(why, '  on disk: (.*\n)*    a plain GET is validated first: .*purged')
            before = self.origin.count('/t1')
            self.assertIn('fwd=stale; fwd-status=304', self.get('/t1'))
            self.assertEqual((self.origin.count('/t1'), self.origin.seen[-1][2].get('If-None-Match')), (before + 1, '"t"'))
            self.assertIn('l7; hit', self.get('/t1'))

    def test_soft_purge_of_what_is_on_disk_only(self):
        self.get('/t2')
        self.wait_until(lambda: self.files() == 1)
        self.restart()
        self.assertIn('1 purged', self.ask('purge', '--soft', 'http://h/t*'))
        self.assertIn('fwd=stale; fwd-status=304', self.get('/t2'))

    def test_invalidated_on_disk(self):
        self.get('/t0')
        self.wait_until(lambda: self.files() == 1)
        self.restart()
        self.get('/t0', '-X', 'DELETE')
        self.restart()
        self.assertIn('fwd=stale; fwd-status=304', self.get('/t0'))


class Trouble(Proxy):
    def reply_of(self, data, *args):
        origin = Raw(self, data)
        p = self.proxy('--origin', f'http://127.0.0.1:{origin.port}', '--origin-timeout', '2s')
        return subprocess.run(['curl', '-sS', '-i', '--max-time', '20', *args, p.url + '/a'], capture_output=True)

    def test_garbage_is_502(self):
        for data in (b'', b'garbage\r\n\r\n', b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc',
                     b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nfoo bar: x\r\n\r\nabc',
                     b'HTTP/1.1 200 OK\r\nX: ' + b'y' * 400000 + b'\r\n\r\n'):
            out = self.reply_of(data)
            self.assertEqual(out.returncode, 0)
            self.assertTrue(out.stdout.startswith(b'HTTP/1.1 502'), (data[:40], out.stdout[:60]))

    def test_truncated_stays_broken(self):
        for head in (b'Content-Length: 100', b'Transfer-Encoding: chunked'):
            out = self.reply_of(b'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n' + head + b'\r\n\r\n5\r\nabcde\r\n')
            self.assertEqual(out.returncode, 18, out.stdout)

    def test_silence_is_504(self):
        listener = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(listener.close)
        p = self.proxy('--origin', f'http://127.0.0.1:{listener.getsockname()[1]}', '--origin-timeout', '1s')
        self.assertEqual(self.curl('-o', '/dev/null', '-w', '%{http_code}', p.url), '504')


def many(port, count, path, host, asked=lambda: None):
    """`count` connections that ask for the same thing; `asked` is called when all have; their bodies."""
    conns = [socket.create_connection(('127.0.0.1', port)) for _ in range(count)]
    for c in conns:
        c.settimeout(60)
        c.sendall(f'GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n'.encode())
    asked()
    out = []
    for c in conns:
        data = b''
        while piece := c.recv(65536):
            data += piece
        out.append(data.split(b'\r\n\r\n', 1)[1])
        c.close()
    return out


class Crowd(Proxy):
    def test_one_fetch_for_a_thousand(self):
        everybody = threading.Event()

        def slow(h):
            everybody.wait(60)
            h.reply(200, b'x' * 5000, {'Cache-Control': 'max-age=60'})
        origin = Origin(self, {'/slow': slow})
        p = self.proxy('--origin', f'http://127.0.0.1:{origin.port}', '--max-connections-per-client', '5000')
        bodies = many(p.port, 1000, '/slow', 'h', everybody.set)
        self.assertEqual(len(bodies), 1000)
        self.assertEqual(set(bodies), {b'x' * 5000})
        self.assertEqual(origin.count('/slow'), 1)

    def test_nobody_waits_for_what_cannot_be_shared(self):
        gate = threading.Event()
        first = threading.Lock()

        def private(h):
            leader = first.acquire(blocking=False)
            h.send_response(200)
            h.send_header('Cache-Control', 'no-store')
            h.send_header('Content-Length', '3')
            h.end_headers()
            h.wfile.flush()
            if leader:
                gate.wait(30)
            h.wfile.write(b'abc')
        origin = Origin(self, {'/private': private})
        p = self.proxy('--origin', f'http://127.0.0.1:{origin.port}', '--max-connections-per-client', '5000')
        stuck = socket.create_connection(('127.0.0.1', p.port))
        self.addCleanup(stuck.close)
        stuck.sendall(b'GET /private HTTP/1.1\r\nHost: h\r\n\r\n')
        self.wait_until(lambda: origin.count('/private') == 1)
        self.assertEqual(many(p.port, 1000, '/private', 'h'), [b'abc'] * 1000)
        self.assertFalse(gate.is_set())
        self.assertEqual(origin.count('/private'), 1001)
        gate.set()


class Upgrade(Proxy):
    def test_websocket(self):
        def accept(h):
            key = h.headers['Sec-WebSocket-Key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
            h.wfile.write(b'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
                          b'Sec-WebSocket-Accept: ' + base64.b64encode(hashlib.sha1(key.encode()).digest()) + b'\r\n\r\n')
            h.wfile.flush()
            while data := h.connection.recv(1000):
                h.connection.sendall(data.upper())
            h.close_connection = True
        origin = Origin(self, {'/ws': accept})
        p = self.proxy('--origin', f'http://127.0.0.1:{origin.port}')
        with harness.Conn(p.port) as c:
            c.send(b'GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
                   b'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
            head = c.recv_until(b'\r\n\r\n')
            self.assertIn(b'101', head)
            self.assertIn(b'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', head)
            c.send(b'frame one')
            self.assertEqual(c.recv_exactly(9), b'FRAME ONE')
            c.finish()
            self.assertEqual(c.recv_all(), b'')

    def test_half_close_passes_through_a_tunnel(self):
        listener = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(listener.close)

        def late():
            c, _ = listener.accept()
            data = b''
            while piece := c.recv(1000):
                data += piece
            c.sendall(data[::-1])
            c.close()
        threading.Thread(target=late, daemon=True).start()
        p = self.proxy()
        with harness.Conn(p.port) as c:
            port = listener.getsockname()[1]
            c.send(f'CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\n\r\n'.encode())
            self.assertIn(b'200', c.recv_until(b'\r\n\r\n'))
            c.send(b'abc')
            c.finish()
            self.assertEqual(c.recv_all(), b'cba')


if __name__ == '__main__':
    unittest.main()
