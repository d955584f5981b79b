# SPDX-License-Identifier: MIT
"""l7 serve against real clients: files, folders, ranges, conditions, errors, strictness."""
import email.utils
import os
import re
import time

import harness
from serve_case import Answer, Serve, get


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
        before = int(time.time())
        a = self.ask('/a.txt')
        modified, date = (email.utils.parsedate_to_datetime(a.head[k]).timestamp() for k in ('last-modified', 'date'))
        self.assertTrue(before <= modified <= date, a.head)

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


if __name__ == '__main__':
    harness.main()
