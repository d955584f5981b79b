# SPDX-License-Identifier: MIT
"""raw.py -- tables of raw-socket cases: one row says exactly these bytes to `l7 serve` and what RFC 9110 and RFC 9112 want back.

    ROWS = [row('3.2', 'no Host field', b'GET / HTTP/1.1\\r\\n\\r\\n', 400, close=True)]

Besides what its row says, every answer is held against what holds for all of them (`Answer.lint`), and every connection
against what the answer said of it: one that is to close gives nothing more and ends, one that stays answers a further request.
"""
import email.utils
import os
import re
import time

import harness

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
FIXDATE = re.compile(r'(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT')
SINGLETONS = ('content-length', 'content-type', 'date', 'etag', 'last-modified', 'location', 'content-range', 'connection')
PROBE = b'GET /probe.txt HTTP/1.1\r\nHost: h\r\n\r\n'
MODIFIED = 1577836800  # of every file: Wed, 01 Jan 2020 00:00:00 GMT
FILES = {'index.html': b'<!DOCTYPE html><title>home</title>', 'a.txt': b'0123456789', 'probe.txt': b'probe', 'empty.txt': b'',
         'large.bin': bytes(range(256)) * 2048, 'dir/b.txt': b'b', 'a b.txt': b'space', '\u4e2d.txt': b'han', '.hidden': b'secret',
         '..txt': b'dots'}


def req(method, target, *fields, version='1.1', host='h', body=b''):
    """A request with CR LF and a Host field; `host` None leaves that out."""
    lines = [f'{method} {target} HTTP/{version}', *([f'Host: {host}'] if host is not None else []), *fields]
    return ('\r\n'.join(lines) + '\r\n\r\n').encode('latin-1') + body


def get(*fields, target='/a.txt', **kw):
    return req('GET', target, *fields, **kw)


def head(*fields, target='/a.txt', **kw):
    return req('HEAD', target, *fields, **kw)


def row(section, name, data, status, close=None, then=(), has=None, lacks=(), body=None, lines=None,
        split=True):
    """`status`: one or a tuple of those allowed; b'ETAG' in the bytes stands for the one of /a.txt. `close`: must the connection
    end (True) or stay (False)? `then`: statuses of the answers to what else the bytes ask. `has`: fields with a pattern for
    the whole value; `lacks`: fields that may not be there; `body`: the content; `lines`: a pattern for the status line.
    `split`: byte by byte, too; not where the client goes on after it has said that it will not, when the answer is a race."""
    return dict(section=section, name=name, data=data, status=status if isinstance(status, tuple) else (status,), close=close,
                then=then, has=has or {}, lacks=lacks, body=body, lines=lines, split=split)


def seconds(date):
    """Unix time of an HTTP-date."""
    return email.utils.parsedate_to_datetime(date).timestamp()


class Answer:
    """One final answer, read strictly; the interim ones before it are in `interim`."""

    def __init__(self, c, method):
        self.interim = []
        while True:
            self.head = c.recv_until(b'\r\n\r\n')
            self.line, *fields = self.head[:-4].split(b'\r\n')
            m = re.fullmatch(rb'HTTP/1\.1 ([1-5]\d\d) [\t -~\x80-\xff]*', self.line)
            if not m:
                raise AssertionError(f'not a status line: {self.line!r}')
            self.status = int(m[1])
            if self.status >= 200:
                break
            self.interim.append(self.status)
        self.fields = {}
        for f in fields:
            name, colon, value = f.partition(b':')
            if not colon or not TOKEN.fullmatch(name) or re.search(rb'[\0-\x08\x0a-\x1f\x7f]', value):
                raise AssertionError(f'not a field line: {f!r}')
            self.fields.setdefault(name.decode().lower(), []).append(value.strip(b' \t').decode('latin-1'))
        self.body = b'' if method == 'HEAD' or self.status in (204, 304) else self.content(c)
        self.lint(method)

    def get(self, name):
        return ', '.join(self.fields[name]) if name in self.fields else None

    def content(self, c):
        if 'transfer-encoding' in self.fields:
            body = b''
            while n := int(c.recv_until(b'\r\n'), 16):
                body += c.recv_exactly(n)
                assert c.recv_exactly(2) == b'\r\n'
            c.recv_until(b'\r\n')
            return body
        return c.recv_exactly(int(self.get('content-length'))) if 'content-length' in self.fields else c.recv_all()

    def lint(self, method):
        """What is true of every answer of an origin server."""
        def must(true, what):
            if not true:
                raise AssertionError(f'{what}: {self.head!r}')
        f = self.fields
        must(all(len(f[k]) == 1 for k in SINGLETONS if k in f), 'a field twice')
        must(FIXDATE.fullmatch(self.get('date') or ''), 'Date is no IMF-fixdate (RFC 9110 section 5.6.7, 6.6.1)')
        age = time.time() - seconds(self.get('date'))
        must(-2 < age < harness.PATIENCE, 'Date is not now')
        must(not ('content-length' in f and 'transfer-encoding' in f), 'both framings (RFC 9112 section 6.2)')
        must(self.status != 204 or not {'content-length', 'transfer-encoding'} & f.keys(), '204 with a length')
        must(self.status != 405 or 'allow' in f, '405 without Allow (RFC 9110 section 15.5.6)')
        must(self.status != 416 or re.fullmatch(r'bytes \*/\d+', self.get('content-range') or ''), '416 without Content-Range')
        must(self.status not in (301, 302, 307, 308) or 'location' in f, 'a redirection that leads nowhere')
        must(self.status < 400 or method == 'HEAD' or len(self.body) > 10, 'an error without an explanation (15.5)')
        must(not self.body or 'content-type' in f or self.status == 206, 'content without a type (RFC 9110 section 8.3)')
        if self.status == 206:
            several = self.get('content-type') or ''
            must(('content-range' in f) != several.startswith('multipart/byteranges'), '206: which part is this? (15.3.7)')
        if self.status == 304:
            must(not {'content-type', 'content-length', 'transfer-encoding'} & f.keys(), '304 with what only a 200 has')


class Table(harness.TestCase):
    """Runs ROWS, each on a connection of its own, once in one piece and once byte by byte."""
    ROWS = ()
    SPLIT_MAX = 1 << 20  # longer ones are not told byte by byte
    options = ('--respond', '/home=hello, network.', '--redirect', '/index=/home')

    def setUp(self):
        self.root = os.path.join(self.tmpdir, 'site')
        for name, content in FILES.items():
            os.utime(self.file('site/' + name, content), (MODIFIED, MODIFIED))
        self.file('secret.txt', 'secret')
        self.server = self.serve(*self.options)
        with harness.Conn(self.server.port) as c:
            c.send(get())
            self.etag = Answer(c, 'GET').get('etag').encode()

    def serve(self, *options):
        return self.start(['serve', self.root, '--listen', '127.0.0.1:0', *options])

    def run_rows(self, send, rows):
        names = [r['name'] for r in rows]
        self.assertEqual(len(names), len(set(names)))
        for r in rows:
            with self.subTest(r['name'], section=r['section']), harness.Conn(self.server.port) as c:
                data = r['data'].replace(b'ETAG', self.etag)
                try:
                    send(c, data)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # refused before its end; the answer must be there all the same
                self.check(r, c, data)

    def check(self, r, c, data):
        method = (re.search(rb'[A-Za-z]+', data) or [b''])[0].decode()
        a = Answer(c, method)
        shown = f'{data[:200]!r} got {a.head!r} {a.body[:200]!r}'
        self.assertIn(a.status, r['status'], shown)
        if r['lines']:
            self.assertRegex(a.line.decode(), rf'\A(?:{r["lines"]})\Z')
        for name, pattern in r['has'].items():
            self.assertRegex(a.get(name) or f'({name} is missing)', rf'\A(?:{pattern})\Z', shown)
        for name in r['lacks']:
            self.assertNotIn(name, a.fields, shown)
        if r['body'] is not None:
            self.assertEqual(a.body, r['body'], shown)
        for status in r['then']:
            a = Answer(c, method)
            self.assertEqual(a.status, status, shown)
        closes = 'close' in (a.get('connection') or '').lower()
        if r['close'] is not None:
            self.assertEqual(closes, r['close'], shown)
        if not closes:
            c.send(PROBE)
            self.assertEqual(Answer(c, 'GET').body, b'probe', shown)
        else:
            self.assertEqual(c.recv_all(), b'', f'more than one answer to {shown}')

    def test_rows(self):
        self.run_rows(lambda c, data: c.send(data), self.ROWS)

    def test_rows_byte_by_byte(self):
        def send(c, data):
            for i in range(len(data)):
                c.send(data[i:i + 1])
        self.run_rows(send, [r for r in self.ROWS if r['split'] and len(r['data']) < self.SPLIT_MAX])
