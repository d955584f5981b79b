# SPDX-License-Identifier: MIT
"""l7 serve against real clients: files, folders, ranges, conditions, errors, limits, reload, TLS."""
import concurrent.futures
import json
import os
import re
import select
import signal
import socket
import ssl
import subprocess
import threading
import time

import browser
import harness
import peers


def get(path, *fields, method='GET', version='1.1', host=True):
    head = [f'{method} {path} HTTP/{version}', *(['Host: h'] if host else []), *fields]
    return ('\r\n'.join(head) + '\r\n\r\n').encode()


class Answer:
    def __init__(self, c, method='GET'):
        head = c.recv_until(b'\r\n\r\n').decode('latin-1')
        lines = head.split('\r\n')[:-2]
        self.line, self.status = lines[0], int(lines[0].split()[1])
        self.fields = [tuple(f.split(': ', 1)) for f in lines[1:]]
        self.head = dict((k.lower(), v) for k, v in self.fields)
        self.body = b''
        if method == 'HEAD' or self.status in (204, 304):
            return
        if 'content-length' in self.head:
            self.body = c.recv_exactly(int(self.head['content-length']))
        elif self.head.get('transfer-encoding') == 'chunked':
            while n := int(c.recv_until(b'\r\n'), 16):
                self.body += c.recv_exactly(n)
                c.recv_exactly(2)
            c.recv_until(b'\r\n')
        else:
            self.body = c.recv_all()


class Serve(harness.TestCase):
    args = ()

    def setUp(self):
        self.root = os.path.join(self.tmpdir, 'site')
        self.file('site/index.html', '<!DOCTYPE html><title>home</title>')
        self.file('site/a.txt', '0123456789')
        self.file('site/big.bin', bytes(range(256)) * 4096)
        self.file('site/dir/b & c.txt', 'b')
        self.file('site/.hidden', 'secret')
        self.file('outside.txt', 'secret')
        self.server = self.serve(*self.args)

    def serve(self, *args, root=None):
        return self.start(['serve', root or self.root, '--listen', '127.0.0.1:0', *args])

    def conn(self, server=None):
        c = harness.Conn((server or self.server).port)
        self.addCleanup(c.close)
        return c

    def ask(self, path, *fields, method='GET', server=None, **kw):
        c = self.conn(server)
        c.send(get(path, *fields, 'Connection: close', method=method, **kw))
        return Answer(c, method)


class Files(Serve):
    def test_file_with_all_its_fields(self):
        a = self.ask('/a.txt')
        self.assertEqual((a.status, a.body), (200, b'0123456789'))
        self.assertEqual(a.head['content-type'], 'text/plain; charset=utf-8')
        self.assertEqual(a.head['accept-ranges'], 'bytes')
        for field in ('date', 'last-modified'):
            self.assertRegex(a.head[field], r'^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$')
        self.assertRegex(a.head['etag'], r'^"[^"]+"$')

    def test_head_is_get_without_the_body(self):
        a, b = self.ask('/a.txt'), self.ask('/a.txt', method='HEAD')
        del a.head['date'], b.head['date']
        self.assertEqual((a.status, a.head), (b.status, b.head))

    def test_index_and_folder_without_slash(self):
        self.assertIn(b'home', self.ask('/').body)
        a = self.ask('/dir?x=1')
        self.assertEqual((a.status, a.head['location']), (301, '/dir/?x=1'))
        self.assertEqual(self.ask('//dir').head['location'], '/dir/')

    def test_listing_escapes_and_leads_to_the_file(self):
        a = self.ask('/dir/')
        self.assertIn(b'b &amp; c.txt', a.body)
        href = re.search(rb'href="\./(b[^"]+)"', a.body).group(1).decode()
        self.assertEqual(self.ask('/dir/' + href).body, b'b')
        off = self.serve('--no-listing')
        self.assertEqual(self.ask('/dir/', server=off).status, 404)

    def test_escaped_names(self):
        self.assertEqual(self.ask('/dir/b%20%26%20c.txt').body, b'b')
        self.assertEqual(self.ask('/dir/../%61.txt').body, b'0123456789')

    def test_nothing_outside_is_served(self):
        os.symlink('../outside.txt', os.path.join(self.root, 'link'))
        os.symlink(os.path.join(self.tmpdir, 'outside.txt'), os.path.join(self.root, 'absolute'))
        os.symlink('a.txt', os.path.join(self.root, 'inside'))
        os.mkfifo(os.path.join(self.root, 'fifo'))
        os.symlink('/dev/zero', os.path.join(self.root, 'zero'))
        for path in ('/../outside.txt', '/dir/../../outside.txt', '/%2e%2e/outside.txt', '/..%2foutside.txt', '/link',
                     '/absolute', '/.hidden', '/dir/../.hidden', '/fifo', '/zero', '/a.txt/', '/a%00.txt', '/nope'):
            with self.subTest(path):
                a = self.ask(path)
                self.assertIn(a.status, (400, 404))
                self.assertNotIn(b'secret', a.body)
        self.assertEqual(self.ask('/inside').body, b'0123456789')

    def test_dotfiles_when_asked(self):
        self.assertEqual(self.ask('/.hidden', server=self.serve('--dotfiles')).body, b'secret')

    def test_unreadable_file(self):
        if os.geteuid() == 0:  # root reads everything: the server is given a user who does not
            os.chmod(os.path.join(self.root, 'a.txt'), 0o600)
            server = self.serve('--user', 'nobody')
        else:
            os.chmod(os.path.join(self.root, 'a.txt'), 0)
            server = self.server
        self.assertEqual(self.ask('/a.txt', server=server).status, 403)

    def test_methods(self):
        a = self.ask('/a.txt', method='DELETE')
        self.assertEqual((a.status, a.head['allow']), (405, 'GET, HEAD, OPTIONS'))
        self.assertEqual(self.ask('/a.txt', method='BREW').status, 501)
        for target in ('*', '/a.txt'):
            a = self.ask(target, method='OPTIONS')
            self.assertEqual((a.status, a.head['allow'], 'content-length' in a.head), (204, 'GET, HEAD, OPTIONS', False))

    def test_absolute_form(self):
        self.assertEqual(self.ask('http://other:99/a.txt').body, b'0123456789')

    def test_error_page_for_browsers_is_html_and_escaped(self):
        a = self.ask('/%3Cscript%3E', 'Accept: text/html,*/*')
        self.assertEqual((a.status, a.head['content-type']), (404, 'text/html; charset=utf-8'))
        self.assertIn(b'<h1>404 Not Found</h1>', a.body)


class Conditions(Serve):
    def test_revalidation(self):
        a = self.ask('/a.txt')
        for field in (f'If-None-Match: {a.head["etag"]}', f'If-None-Match: "x", W/{a.head["etag"]}', 'If-None-Match: *',
                      f'If-Modified-Since: {a.head["last-modified"]}'):
            with self.subTest(field):
                b = self.ask('/a.txt', field)
                self.assertEqual((b.status, b.head['etag']), (304, a.head['etag']))
        self.assertEqual(self.ask('/a.txt', 'If-None-Match: "x"', f'If-Modified-Since: {a.head["last-modified"]}').status, 200)
        self.assertEqual(self.ask('/a.txt', 'If-Match: "x"').status, 412)
        self.assertEqual(self.ask('/a.txt', 'If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT').status, 412)

    def test_missing_file_ignores_conditions(self):
        self.assertEqual(self.ask('/nope', 'If-None-Match: *').status, 404)
        self.assertEqual(self.ask('/nope', 'If-Match: "x"', 'Range: bytes=0-1').status, 404)

    def test_partial_has_the_fields_of_the_whole(self):
        a, b = self.ask('/a.txt'), self.ask('/a.txt', 'Range: bytes=1-2')
        for field in ('etag', 'last-modified', 'content-type', 'accept-ranges'):
            self.assertEqual(a.head[field], b.head[field])
        self.assertIn('date', b.head)

    def test_future_time_stamp_is_not_later_than_date(self):
        os.utime(os.path.join(self.root, 'a.txt'), (4e9, 4e9))
        a = self.ask('/a.txt')
        self.assertEqual(a.head['last-modified'], a.head['date'])

    def test_ranges_of_a_small_and_a_large_file(self):
        for path in ('/a.txt', '/big.bin'):
            with open(self.root + path, 'rb') as f:
                whole = f.read()
            n = len(whole)
            for spec, first, last in (('0-3', 0, 3), ('5-', 5, n - 1), ('-4', n - 4, n - 1), ('1-99999999', 1, n - 1)):
                with self.subTest(path + spec):
                    a = self.ask(path, f'Range: bytes={spec}')
                    self.assertEqual((a.status, a.head['content-range']), (206, f'bytes {first}-{last}/{n}'))
                    self.assertEqual(a.body, whole[first:last + 1])
            a = self.ask(path, f'Range: bytes={n}-')
            self.assertEqual((a.status, a.head['content-range']), (416, f'bytes */{n}'))
            for field in ('Range: lines=1-2', 'Range: bytes=3-1', 'Range: bytes=0-,0-,0-,0-'):
                self.assertEqual(self.ask(path, field).status, 200)
        self.assertEqual(self.ask('/a.txt', 'Range: bytes=0-3', method='HEAD').status, 200)

    def test_several_ranges(self):
        a = self.ask('/a.txt', 'Range: bytes=0-1,4-5,-1')
        self.assertEqual(a.status, 206)
        mark = re.fullmatch(r'multipart/byteranges; boundary=(\S+)', a.head['content-type']).group(1).encode()
        parts = a.body.split(b'--' + mark)
        self.assertEqual(parts[-1], b'--\r\n')
        got = [(re.search(rb'Content-Range: (.*)\r\n', p).group(1), p.split(b'\r\n\r\n', 1)[1][:-2]) for p in parts[1:-1]]
        self.assertEqual(got, [(b'bytes 0-1/10', b'01'), (b'bytes 4-5/10', b'45'), (b'bytes 9-9/10', b'9')])

    def test_if_range(self):
        etag = self.ask('/a.txt').head['etag']
        self.assertEqual(self.ask('/a.txt', 'Range: bytes=0-1', f'If-Range: {etag}').status, 206)
        self.assertEqual(self.ask('/a.txt', 'Range: bytes=0-1', f'If-Range: W/{etag}').status, 200)
        self.assertEqual(self.ask('/a.txt', 'Range: bytes=0-1', 'If-Range: "x"').status, 200)
        self.assertEqual(self.ask('/a.txt', 'Range: bytes=0-1', 'If-Range: Sun, 06 Nov 1994 08:49:37 GMT').status, 200)


class Fixed(Serve):
    args = ('--respond', '/home=hello, network.', '--redirect', '/index=/home', '--error-page', '404=/lost.html',
            '--cache-control', 'max-age=60')

    def test_fixed_routes(self):
        self.assertEqual(self.ask('/home').body, b'hello, network.')
        a = self.ask('/index')
        self.assertEqual((a.status, a.head['location']), (301, '/home'))

    def test_error_page(self):
        self.file('site/lost.html', '<p>lost')
        a = self.ask('/nowhere')
        self.assertEqual((a.status, a.body), (404, b'<p>lost'))

    def test_spa_answers_for_what_does_not_exist(self):
        s = self.serve('--spa', 'index.html')
        self.assertIn(b'home', self.ask('/some/route', server=s).body)
        for path in ('/v1.2/route', '/route/', '/dir/nope'):
            self.assertIn(b'home', self.ask(path, server=s).body, path)
        for path in ('/missing.js', '/missing.webmanifest', '/v1/missing.js', '/.hidden'):
            self.assertEqual(self.ask(path, server=s).status, 404, path)
        self.assertEqual(self.ask('/a.txt', server=s).body, b'0123456789')
        self.assertIn(b'home', self.ask('/route', server=self.serve('--spa', '/index.html')).body)

    def test_cache_control(self):
        a = self.ask('/a.txt')
        self.assertEqual(a.head['cache-control'], 'max-age=60')
        self.assertEqual(self.ask('/a.txt', f'If-None-Match: {a.head["etag"]}').head['cache-control'], 'max-age=60')


class Strictness(Serve):
    """Requests that two parsers could read differently are refused, with 400 and the end of the connection."""
    BAD = {
        'both framings': get('/', 'Content-Length: 3', 'Transfer-Encoding: chunked', method='POST') + b'0\r\n\r\n',
        'two lengths': get('/', 'Content-Length: 3', 'Content-Length: 4', method='POST') + b'abc',
        'length list': get('/', 'Content-Length: 3, 3', method='POST') + b'abc',
        'signed length': get('/', 'Content-Length: +3', method='POST') + b'abc',
        'hex length': get('/', 'Content-Length: 0x3', method='POST') + b'abc',
        'chunked twice': get('/', 'Transfer-Encoding: chunked, chunked', method='POST') + b'0\r\n\r\n',
        'not last chunked': get('/', 'Transfer-Encoding: chunked, identity', method='POST') + b'0\r\n\r\n',
        'vertical tab coding': get('/', 'Transfer-Encoding: \x0bchunked', method='POST') + b'0\r\n\r\n',
        'coding in 1.0': get('/', 'Transfer-Encoding: chunked', method='POST', version='1.0') + b'0\r\n\r\n',
        'fold': b'GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n',
        'fold first': b'GET / HTTP/1.1\r\n Host: h\r\n\r\n',
        'space before colon': b'GET / HTTP/1.1\r\nHost: h\r\nContent-Length : 3\r\n\r\nabc',
        'bare lf': b'GET / HTTP/1.1\nHost: h\n\n',
        'bare cr': b'GET / HTTP/1.1\r\nHost: h\r\nA: b\rC: d\r\n\r\n',
        'nul': b'GET / HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n',
        'no host': get('/', host=False),
        'two hosts': get('/', 'Host: other'),
        'bad host': get('/', 'Host: a b', host=False),
        'no version': b'GET /\r\n\r\n',
        'tab in request line': b'GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n',
        'two spaces': b'GET  / HTTP/1.1\r\nHost: h\r\n\r\n',
        'fragment': get('/#x'),
        'tls hello': b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + b'x' * 50,
        'raw utf-8': 'GET /\u4e2d HTTP/1.1\r\nHost: h\r\n\r\n'.encode(),
    }

    def test_refused(self):
        for name, bytes_ in self.BAD.items():
            with self.subTest(name):
                c = self.conn()
                c.send(bytes_ + get('/a.txt'))  # what follows must not be taken for a request
                a = Answer(c)
                self.assertEqual((a.status, a.head['connection']), (400, 'close'))
                self.assertGreater(len(a.body), 20)
                self.assertEqual(c.recv_all(), b'')

    def test_other_statuses(self):
        for bytes_, status in ((b'GET / HTTP/2.0\r\nHost: h\r\n\r\n', 505), (get('/' + 'x' * 9000), 414),
                               (get('/', 'A: ' + 'x' * 40000), 431), (get('/', *['A: b'] * 200), 431),
                               (get('/', 'Transfer-Encoding: gzip, chunked', method='POST'), 501)):
            with self.subTest(status):
                c = self.conn()
                c.send(bytes_)
                self.assertEqual(Answer(c).status, status)

    def test_chunk_vectors(self):
        for body in (b'3\nabc\n0\n\n', b'3 \r\nabc\r\n0\r\n\r\n', b'0x3\r\nabc\r\n0\r\n\r\n', b'3\r\nabcd\r\n0\r\n\r\n',
                     b'-3\r\nabc\r\n', b'fffffffffffffffff\r\n', b'3\r\nabc\r\n0\r\nA : b\r\n\r\n', b'3;a\nbc\r\n'):
            with self.subTest(body):
                c = self.conn()
                c.send(get('/a.txt', 'Transfer-Encoding: chunked', method='POST') + body + get('/a.txt'))
                a = Answer(c)  # before the 405 that the method would get: the framing is what matters
                self.assertEqual((a.status, a.head['connection']), (400, 'close'))
                self.assertEqual(c.recv_all(), b'')

    def test_accept_lf(self):
        s = self.serve('--accept-lf')
        c = self.conn(s)
        c.send(b'GET /a.txt HTTP/1.1\nHost: h\n\n')
        self.assertEqual(Answer(c).body, b'0123456789')


class Clients(Serve):
    def answered_at_once(self):
        start = time.monotonic()
        self.assertEqual(self.ask('/a.txt').status, 200)
        self.assertLess(time.monotonic() - start, 0.1)

    def test_one_byte_a_time_one_that_never_reads_and_ten_thousand_silent_ones(self):
        slow, deaf = self.conn(), self.conn()
        deaf.send(get('/big.bin') * 50)
        slow.send(b'GET /')
        silent = []
        for i in range(harness.many_descriptors(10000)):
            silent.append(self.conn())
            if i % 10 == 0:
                silent[-1].send(b'G')  # these have begun, and go no further
            if i % 500 == 0:
                slow.send(b'x')
                self.answered_at_once()
        for _ in range(20):
            slow.send(b'x')
            self.answered_at_once()
        silent[0].send(get('/a.txt')[1:])  # one of them was only slow
        silent[-1].send(get('/a.txt'))
        for c in silent[0], silent[-1]:
            self.assertEqual(Answer(c).body, b'0123456789')

    def test_ten_thousand_idle_connections(self):
        """Run by a child, whose descriptors are its own."""
        code = f'''
import resource, socket, time, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
def ask(c):
    c.sendall(b"GET /a.txt HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n")
    got = b""
    while not got.endswith(b"0123456789"):
        piece = c.recv(4096)
        assert piece, got
        got += piece
conns = [socket.create_connection(("127.0.0.1", {self.server.port})) for _ in range(min(10000, hard - 100))]
for c in conns:
    ask(c)
start = time.monotonic()
ask(socket.create_connection(("127.0.0.1", {self.server.port})))
took = time.monotonic() - start
assert took < 0.1, took
for c in conns[::100]:
    ask(c)
print(len(conns))
'''
        p = subprocess.run(['python3', '-c', code], capture_output=True, text=True, timeout=100)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertGreater(int(p.stdout), 900)

    def test_out_of_descriptors(self):
        p = harness.Process(['sh', '-c', f'ulimit -n 60; exec {harness.L7} serve {self.root} --listen 127.0.0.1:0 --workers 1'])
        self.addCleanup(self._end, p)
        conns = []
        for _ in range(200):
            c = harness.Conn(p.port)
            self.addCleanup(c.close)
            c.send(get('/a.txt'))
            self.assertEqual(Answer(c).body, b'0123456789')  # the longest idle ones make room
            conns.append(c)
        for c in conns:
            c.close()
        self.assertEqual(self.ask('/a.txt', server=p).status, 200)

    def test_limits_of_connections(self):
        s = self.serve('--max-connections-per-client', '2')
        held = [self.conn(s) for _ in range(2)]
        for c in held:
            c.send(get('/a.txt'))
            self.assertEqual(Answer(c).status, 200)
        c = self.conn(s)
        c.send(get('/a.txt'))
        self.assertEqual(Answer(c).status, 503)

    def test_the_limit_of_connections_is_one_for_all_workers(self):
        s = self.serve('--max-connections', '6', '--workers', '3')
        held = [self.conn(s) for _ in range(30)]
        for c in held:
            c.send(b'GET /a.txt HTTP/1.1\r\nCookie: ' + b'c' * 3000 + b'\r\n')  # begun, so that none is idle and makes room
        def refused():
            return select.select([c.sock for c in held], [], [], 0)[0]
        self.wait_until(lambda: len(refused()) == 24, what='24 of 30 turned away')
        for c in held:
            status = 503
            if c.sock not in refused():
                c.send(b'Host: h\r\n\r\n')
                status = 200
            self.assertEqual(Answer(c).status, status)
            if status == 503:
                self.assertEqual(c.sock.recv(10), b'')  # the end, and no reset that could destroy the answer

    def test_serial_serves_one_at_a_time(self):
        s = self.serve('--serial')
        first = self.conn(s)
        first.send(b'GET /a.txt HT')
        second = self.conn(s)
        second.send(b'GET /a.txt HTTP/1.1\nHost: h\n\n')
        second.sock.settimeout(0.5)
        with self.assertRaises(TimeoutError):
            second.sock.recv(1)
        second.sock.settimeout(harness.PATIENCE)
        first.send(b'TP/1.1\r\nHost: h\r\n\r\n')
        self.assertEqual(Answer(first).head['connection'], 'close')
        self.assertEqual(Answer(second).body, b'0123456789')

    def test_curl(self):
        url = self.server.url
        out = os.path.join(self.tmpdir, 'out')
        rc, text, _ = harness.run(['-sS', '--compressed', url + '/a.txt', url + '/dir/', '-w', '%{http_code}/%{num_connects}\n'],
                                  program='curl')
        self.assertEqual(rc, 0)
        self.assertIn('01234567892', text.replace('\n', ''))
        self.assertIn('200/0', text)  # the second used the first one's connection
        rc, _, err = harness.run(['-sS', '-o', out, '-r', '100-199', url + '/big.bin'], program='curl')
        self.assertEqual((rc, os.path.getsize(out)), (0, 100), err)
        rc, _, err = harness.run(['-sS', '-o', out, '-C', '-', url + '/big.bin'], program='curl')
        self.assertEqual((rc, os.path.getsize(out)), (0, 1 << 20), err)
        body = self.file('body', 'x' * 2000000)
        rc, text, _ = harness.run(['-sS', '-d', '@' + body, '-o', '/dev/null', '-w', '%{http_code}', url + '/a.txt'], program='curl')
        self.assertEqual((rc, text), (0, '405'))

    def test_wrk(self):
        p = subprocess.run([peers.path('wrk'), '-t1', '-c50', '-d1s', self.server.url + '/a.txt'], env=peers.env('wrk'),
                           capture_output=True, text=True)
        self.assertNotRegex(p.stdout, r'Non-2xx|Socket errors')
        self.assertGreater(int(re.search(r'(\d+) requests in', p.stdout).group(1)), 100)


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

    def connect(self):
        context = ssl.create_default_context(cafile=self.cert)
        c = self.conn(self.tls)
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


class Chromium(Serve):
    PNG = bytes.fromhex('89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63f8cfc0f01f0005000'
                        '1ff89993d1d0000000049454e44ae426082')

    def test_page_with_image_404_page_and_reload_with_304(self):
        self.file('site/p.png', self.PNG)
        self.file('site/page.html', '<!DOCTYPE html><title>page</title><img src="p.png"><link rel="stylesheet" href="s.css">')
        self.file('site/s.css', 'img{width:7px}')
        with browser.Browser(self) as b:
            page = b.open(self.server.url + '/page.html')
            self.assertEqual(page.evaluate('document.title'), 'page')
            self.assertEqual(page.evaluate('document.images[0].naturalWidth'), 1)
            self.assertEqual(page.evaluate('document.images[0].width'), 7)
            page.reload()
            self.assertIn((self.server.url + '/page.html', 304), page.responses)
            lost = b.open(self.server.url + '/nowhere')
            self.assertEqual(lost.evaluate('document.querySelector("h1").textContent'), '404 Not Found')
            listing = b.open(self.server.url + '/dir/')
            self.assertIn('b & c.txt', listing.evaluate('document.body.innerText'))


class Soak(Serve):
    """Requests while files are replaced, the server is reloaded and clients vanish. L7_SOAK is the number of requests."""

    def test_no_wrong_byte_and_nothing_leaked(self):
        total, workers = int(os.environ.get('L7_SOAK', '2000')), 16 if 'L7_SOAK' not in os.environ else 64
        stop, bad = threading.Event(), []

        def content(i):
            return (b'%08d' % i) * (16 + i % 3 * 20000)

        def write(name, i):
            new = self.file(f'site/.new-{name}', content(i))
            os.rename(new, os.path.join(self.root, name))

        def disturb():
            i = 0
            while not stop.is_set():
                i += 1
                write(f'f{i % 5}', i)
                if i % 20 == 0:
                    self.server.send_signal(signal.SIGHUP)
                stop.wait(0.02)

        def client(seed):
            c = None
            for i in range(total // workers):
                try:
                    if c is None:
                        c = harness.Conn(self.server.port)
                    if (i + seed) % 17 == 0:
                        c.send(get(f'/f{i % 5}'))
                        c.reset()
                        c = None
                        continue
                    c.send(get(f'/f{i % 5}'))
                    a = Answer(c)
                    number = int(a.body[:8])
                    if a.status != 200 or a.body != content(number):
                        bad.append((a.status, a.body[:20]))
                except Exception as e:  # a lost response on a live connection is a failure, whatever it shows as
                    bad.append(repr(e))
                    if c:
                        c.close()
                    c = None
            if c:
                c.close()

        for i in range(5):
            write(f'f{i}', i)
        self.ask('/f0')
        threading.Thread(target=disturb, daemon=True).start()
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            list(pool.map(client, range(workers)))
        stop.set()
        self.assertEqual(bad[:5], [])
        for i in range(5):
            os.unlink(os.path.join(self.root, f'f{i}'))
        self.server.send_signal(signal.SIGHUP)  # which empties the caches
        fresh = self.serve()
        # A worker that has sent a large file keeps a pipe for that, and /dev/null.
        self.wait_until(lambda: self.fds(lane=False) <= self.fds(fresh, lane=False) + 1, what='as few descriptors as in a new server')
        self.assertLessEqual(self.fds(lane=True), self.fds(fresh, lane=True) + 3 * os.cpu_count())

    def fds(self, server=None, *, lane):
        """How many descriptors are pipes or /dev/null (or, without `lane`, are not)."""
        folder, count = f'/proc/{(server or self.server).pid}/fd', 0
        for fd in os.listdir(folder):
            try:
                to = os.readlink(f'{folder}/{fd}')
            except FileNotFoundError:
                continue  # closed just now
            count += lane == (to.startswith('pipe:') or to == '/dev/null')
        return count


if __name__ == '__main__':
    harness.main()
