# SPDX-License-Identifier: MIT
"""Every byte on both sides of l7 proxy: a raw client, a raw origin, and tables of what RFC 9110 and RFC 9112 ask of an
intermediary. In the tables a line end stands for CR LF, and {o} for the origin's host:port."""
import re

import harness
from origin import Origin, answer
from test_proxy import Proxy

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: no-store\r\n\r\nok'
CHUNKED = b'HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n'


def crlf(text):
    return text.replace('\n', '\r\n').encode('latin-1')


class Raw(Proxy):
    def forward(self, handler, *args):
        """A forward proxy and an origin behind it; self.o is that one's authority."""
        self.origin = Origin(self, handler)
        self.o = f'127.0.0.1:{self.origin.port}'
        return self.proxy(*args)

    def ask(self, p, request, finish=False):
        """Send, and read until the proxy closes. A request in a table asks for that by Connection: close."""
        return harness.dialogue(p.port, request if isinstance(request, bytes) else crlf(request.format(o=self.o)),
                                finish=finish, timeout=10)

    def response(self, c, method='GET'):
        """One response of a connection that stays: (head, body), a chunked body as it came."""
        head = c.recv_until(b'\r\n\r\n')
        length = re.search(rb'(?i)\r\ncontent-length: (\d+)', head)
        if method == 'HEAD' or re.match(rb'HTTP/1.1 (1..|204|304)', head):
            return head, b''
        if length:
            return head, c.recv_exactly(int(length[1]))
        if b'chunked' in head:
            return head, c.recv_until(b'0\r\n\r\n')
        return head, c.recv_all()


# name and section, request, what the origin must see, what it must not see (both as regular expressions, per line)
REQUESTS = [
    ('9112 3.2.2 absolute form becomes origin form', 'GET http://{o}/a?b=c HTTP/1.1\nHost: {o}', ['^GET /a[?]b=c HTTP/1.1$'], ['http:']),
    ('9112 3.2.2 Host follows the target', 'GET http://{o}/ HTTP/1.1\nHost: other.test', ['^Host: {o}$'], ['other']),
    ('9112 3.2.2 Host is the first field and one', 'GET http://{o}/ HTTP/1.1\nAccept: x\nHost: {o}', ['^Host: {o}$'], []),
    ('9112 3.2.1 empty path', 'GET http://{o} HTTP/1.1\nHost: {o}', ['^GET / HTTP/1.1$'], []),
    ('9112 3.2.1 a query alone', 'GET http://{o}?q HTTP/1.1\nHost: {o}', ['^GET /[?]q HTTP/1.1$'], []),
    ('9112 3.2.1 an empty query stays', 'GET http://{o}/? HTTP/1.1\nHost: {o}', ['^GET /[?] HTTP/1.1$'], []),
    ('9110 7.7 path and query are not rewritten', 'GET http://{o}/A/./b/../%7e%2F//c?x=%41&&y HTTP/1.1\nHost: {o}',
     [r'^GET /A/./b/../%7e%2F//c[?]x=%41&&y HTTP/1.1$'], []),
    ('9112 3.2.4 OPTIONS without a path', 'OPTIONS http://{o} HTTP/1.1\nHost: {o}', [r'^OPTIONS \* HTTP/1.1$'], []),
    ('9112 3.2.4 OPTIONS with a path', 'OPTIONS http://{o}/ HTTP/1.1\nHost: {o}', ['^OPTIONS / HTTP/1.1$'], []),
    ('9112 2.3 HTTP/1.0 is upgraded', 'GET http://{o}/ HTTP/1.0', ['^GET / HTTP/1.1$', '^Host: {o}$', '^Via: 1.0 l7$'], []),
    ('9112 2.3 a higher minor version', 'GET http://{o}/ HTTP/1.7\nHost: {o}', ['^GET / HTTP/1.1$'], []),
    ('9110 7.6.3 Via', 'GET http://{o}/ HTTP/1.1\nHost: {o}', ['^Via: 1.1 l7$'], []),
    ('9110 7.6.3 Via is appended', 'GET http://{o}/ HTTP/1.1\nHost: {o}\nVia: 1.0 a\nVia: 1.1 b (x, y)',
     [r'^Via: 1.0 a$\n^Via: 1.1 b \(x, y\)$', '^Via: 1.1 l7$'], []),
    ('9110 7.6.1 Connection-named fields go', 'GET http://{o}/ HTTP/1.1\nHost: {o}\nX-A: 1\nx-b: 2\nConnection: x-a, X-B',
     [], ['[Xx]-[AaBb]', 'Connection']),
    ('9110 7.6.1 several Connection lines', 'GET http://{o}/ HTTP/1.1\nHost: {o}\nConnection: x-a\nX-A: 1\nConnection: ,x-b,\nX-B: 2\nX-A: 3',
     [], ['[Xx]-[AaBb]', 'Connection']),
    ('9110 7.6.1 hop-by-hop without being named', 'GET http://{o}/ HTTP/1.1\nHost: {o}\nKeep-Alive: 5\nProxy-Connection: keep-alive\n'
     'TE: trailers, gzip;q=0.5\nUpgrade: x', [], ['Keep-Alive', 'Proxy-Connection', 'TE:', 'Upgrade', 'Connection']),
    ('9110 7.6.1 Connection cannot name Cache-Control', 'GET http://{o}/ HTTP/1.1\nHost: {o}\nConnection: cache-control\nCache-Control: no-cache',
     ['^Cache-Control: no-cache$'], []),
    ('9110 7.6.1 Connection cannot take Host', 'GET http://{o}/ HTTP/1.1\nHost: {o}\nConnection: host, via', ['^Host: {o}$', '^Via: 1.1 l7$'], []),
    ('9110 7.6.1 Connection cannot take the framing', 'POST http://{o}/ HTTP/1.1\nHost: {o}\nConnection: content-length\nContent-Length: 3\n\nabc',
     ['^Content-Length: 3$', '^abc$'], []),
    ('9110 5.1 unknown fields pass', "GET http://{o}/ HTTP/1.1\nHost: {o}\nX-New: 1\n!#$%&'*+-.^_`|~9z: odd", ['^X-New: 1$', r"^!#.*z: odd$"], []),
    ('9110 5.3 lines of one name keep their order', 'GET http://{o}/ HTTP/1.1\nHost: {o}\nX-L: 1\nX-M: a\nX-L: 2\nX-L: 3',
     ['^X-L: 1$\n^X-M: a$\n^X-L: 2$\n^X-L: 3$'], []),
    ('9110 5.5 8-bit values pass', 'GET http://{o}/ HTTP/1.1\nHost: {o}\nX-Eight: \xe9\xff\x80', ['^X-Eight: \xe9\xff\x80$'], []),
    ('9110 5.5 empty values pass', 'GET http://{o}/ HTTP/1.1\nHost: {o}\nX-Empty:\nX-Blank:  \t ', ['^X-Empty: ?$', '^X-Blank: ?$'], []),
    ('9112 5.1 white space around a value is none of it', 'GET http://{o}/ HTTP/1.1\nHost: {o}\nX-W: \t a  b \t', ['^X-W: a  b$'], []),
    ('9110 11.7.2 Proxy-Authorization ends here', 'GET http://{o}/ HTTP/1.1\nHost: {o}\nProxy-Authorization: Basic eDp5', [], ['Proxy-Auth']),
    ('9110 11.6.2 Authorization passes', 'GET http://{o}/ HTTP/1.1\nHost: {o}\nAuthorization: Basic eDp5', ['^Authorization: Basic eDp5$'], []),
    ('9110 7.6.2 Max-Forwards of TRACE', 'TRACE http://{o}/ HTTP/1.1\nHost: {o}\nMax-Forwards: 10', ['^TRACE / ', '^Max-Forwards: 9$'], []),
    ('9110 7.6.2 Max-Forwards of OPTIONS', 'OPTIONS http://{o}/ HTTP/1.1\nHost: {o}\nMax-Forwards: 1', ['^Max-Forwards: 0$'], []),
    ('9110 7.6.2 Max-Forwards of others', 'GET http://{o}/ HTTP/1.1\nHost: {o}\nMax-Forwards: 0', ['^GET / ', '^Max-Forwards: 0$'], []),
    ('9110 9.3.8 TRACE passes', 'TRACE http://{o}/ HTTP/1.1\nHost: {o}', ['^TRACE / HTTP/1.1$'], []),
    ('9110 9.1 unknown methods pass', 'M-SEARCH http://{o}/x HTTP/1.1\nHost: {o}', ['^M-SEARCH /x HTTP/1.1$'], []),
    ('9110 9.1 methods are case-sensitive', 'get http://{o}/x HTTP/1.1\nHost: {o}', ['^get /x HTTP/1.1$'], []),
    ('9112 6.3 a GET with content', 'GET http://{o}/ HTTP/1.1\nHost: {o}\nContent-Length: 3\n\nabc', ['^Content-Length: 3$', '^abc$'], []),
    ('9110 8.6 an empty POST says so', 'POST http://{o}/ HTTP/1.1\nHost: {o}\nContent-Length: 0', ['^Content-Length: 0$'], []),
    ('9112 7.1.1 chunk extensions end here', 'POST http://{o}/ HTTP/1.1\nHost: {o}\nTransfer-Encoding: chunked\n\n3;a=b;c="d"\nabc\n0;z\n',
     ['^Transfer-Encoding: chunked$', '^3$\n^abc$\n^0$'], ['a=b', 'z', 'Content-Length']),
    ('9112 7.1.2 trailers pass', 'POST http://{o}/ HTTP/1.1\nHost: {o}\nTrailer: X-T\nTransfer-Encoding: Chunked\n\n3\nabc\n0\nX-T: v\n',
     ['^0$\n^X-T: v$'], []),
    ('9110 7.6.1 trailers that Connection names go', 'POST http://{o}/ HTTP/1.1\nHost: {o}\nConnection: x-t\nTransfer-Encoding: chunked\n\n'
     '3\nabc\n0\nX-T: v\nX-U: w\n', ['^X-U: w$'], ['X-T']),
    ('9110 7.8 Upgrade without its option', 'GET http://{o}/ HTTP/1.1\nHost: {o}\nUpgrade: foo/1', [], ['Upgrade']),
    ('9110 7.8 Upgrade of HTTP/1.0', 'GET http://{o}/ HTTP/1.0\nHost: {o}\nConnection: upgrade\nUpgrade: foo/1', [], ['Upgrade']),
    ('9110 7.8 Upgrade passes', 'GET http://{o}/ HTTP/1.1\nHost: {o}\nConnection: upgrade\nUpgrade: foo/1, bar',
     ['^Connection: Upgrade$', '^Upgrade: foo/1, bar$'], []),
    ('9113 3.1 no other HTTP through the tunnel of an upgrade', 'GET http://{o}/ HTTP/1.1\nHost: {o}\nConnection: upgrade, http2-settings\n'
     'Upgrade: h2c\nHTTP2-Settings: AAMAAABkAAQAAP__', [], ['Upgrade', 'HTTP2']),
    ('9110 10.1.1 Expect without content', 'GET http://{o}/ HTTP/1.1\nHost: {o}\nExpect: 100-continue', [], ['Expect']),
    ('9110 10.1.1 Expect of HTTP/1.0', 'POST http://{o}/ HTTP/1.0\nHost: {o}\nExpect: 100-continue\nContent-Length: 3\n\nabc', ['^abc$'], ['Expect']),
]

# Requests that must be refused, and of which the origin must see nothing: name, bytes, statuses
GET = 'GET http://{o}/ HTTP/1.1\nHost: {o}\n'
POST = 'POST http://{o}/ HTTP/1.1\nHost: {o}\n'
REFUSED = [
    ('9112 6.3 both framings', POST + 'Content-Length: 5\nTransfer-Encoding: chunked\n\n0\n\n', '400'),
    ('9112 6.3 both framings, the other way', POST + 'Transfer-Encoding: chunked\nContent-Length: 5\n\n0\n\n', '400'),
    ('9112 6.3 differing lengths', POST + 'Content-Length: 5\nContent-Length: 6\n\nabcdef', '400'),
    ('9112 6.3 length list', POST + 'Content-Length: 5, 6\n\nabcdef', '400'),
    ('9112 6.3 a length that is none', POST + 'Content-Length: 5 5\n\nabcde', '400'),
    ('9112 6.3 a sign', POST + 'Content-Length: +5\n\nabcde', '400'),
    ('9112 6.3 negative', POST + 'Content-Length: -5\n\nabcde', '400'),
    ('9112 6.3 hexadecimal', POST + 'Content-Length: 0x5\n\nabcde', '400'),
    ('9112 6.3 an empty length', POST + 'Content-Length:\n\n', '400'),
    ('9112 6.3 a length past 2^64', POST + 'Content-Length: 18446744073709551621\n\nabcde', '400'),
    ('9112 6.3 chunked is not last', POST + 'Transfer-Encoding: chunked, gzip\n\n0\n\n', '400'),
    ('9112 6.1 chunked twice', POST + 'Transfer-Encoding: chunked, chunked\n\n0\n\n', '400'),
    ('9112 6.1 chunked on two lines', POST + 'Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n0\n\n', '400'),
    ('9112 6.1 identity', POST + 'Transfer-Encoding: identity\n\n', '400 501'),
    ('9112 6.1 nothing', POST + 'Transfer-Encoding:\n\n', '400'),
    ('9112 6.1 quoted', POST + 'Transfer-Encoding: "chunked"\n\n0\n\n', '400 501'),
    ('9112 6.1 xchunked', POST + 'Transfer-Encoding: xchunked\n\n0\n\n', '400 501'),
    ('9112 6.1 vertical tab', POST + 'Transfer-Encoding: \vchunked\n\n0\n\n', '400'),
    ('9112 6.1 a coding that is not known', POST + 'Transfer-Encoding: gzip, chunked\n\n0\n\n', '501'),
    ('9112 6.1 a coding in HTTP/1.0', 'POST http://{o}/ HTTP/1.0\nHost: {o}\nTransfer-Encoding: chunked\n\n0\n\n', '400'),
    ('9112 5.1 space before the colon', POST + 'Transfer-Encoding : chunked\n\n0\n\n', '400'),
    ('9112 5.1 space in a name', GET + 'X Y: 1\n\n', '400'),
    ('9112 5.2 obs-fold', GET + 'X: 1\n 2\n\n', '400'),
    ('9112 2.2 space before the first field', 'GET http://{o}/ HTTP/1.1\n Host: {o}\n\n', '400'),
    ('9112 2.2 bare CR in a value', GET + 'X: a\rb\n\n', '400'),
    ('9112 2.2 bare CR in the request line', 'GET http://{o}/\r HTTP/1.1\nHost: {o}\n\n', '400'),
    ('9112 2.2 bare CR as line ends', b'GET http://%o/ HTTP/1.1\rHost: %o\r\r\n\r\n', '400'),
    ('9112 2.2 bare LF in the head', b'GET http://%o/ HTTP/1.1\r\nHost: %o\nX: y\r\n\r\n', '400'),
    ('9110 5.5 NUL in a value', GET + 'X: a\0b\n\n', '400'),
    ('9110 5.1 an empty name', GET + ': x\n\n', '400'),
    ('9110 5.1 no colon', GET + 'Xyz\n\n', '400'),
    ('9112 3.2 no Host', 'GET http://{o}/ HTTP/1.1\n\n', '400'),
    ('9112 3.2 two Hosts', GET + 'Host: {o}\n\n', '400'),
    ('9112 3.2 a Host that is none', 'GET http://{o}/ HTTP/1.1\nHost: a b\n\n', '400'),
    ('9112 3 two spaces', 'GET  http://{o}/ HTTP/1.1\nHost: {o}\n\n', '400'),
    ('9112 3 a tab', 'GET http://{o}/\tHTTP/1.1\nHost: {o}\n\n', '400'),
    ('9112 3 a space in the target', 'GET http://{o}/a b HTTP/1.1\nHost: {o}\n\n', '400'),
    ('9112 2.3 lower case name of the protocol', 'GET http://{o}/ http/1.1\nHost: {o}\n\n', '400'),
    ('9112 2.3 another major version', 'GET http://{o}/ HTTP/3.1\nHost: {o}\n\n', '505'),
    ('9112 2.3 two digits', 'GET http://{o}/ HTTP/1.10\nHost: {o}\n\n', '400'),
    ('HTTP/0.9', 'GET http://{o}/\n\n', '400'),
    ('9110 4.2.1 an empty host', 'GET http:///x HTTP/1.1\nHost: {o}\n\n', '400'),
    ('9110 4.2.4 a user', 'GET http://u:p@{o}/ HTTP/1.1\nHost: {o}\n\n', '400'),
    ('9112 3.2 a fragment', 'GET http://{o}/#f HTTP/1.1\nHost: {o}\n\n', '400'),
    ('9110 4.2 port 0', 'GET http://127.0.0.1:0/ HTTP/1.1\nHost: {o}\n\n', '400'),
    ('9110 4.2 port 65536', 'GET http://127.0.0.1:65536/ HTTP/1.1\nHost: {o}\n\n', '400'),
    ('9110 4.2 another scheme', 'GET ftp://{o}/ HTTP/1.1\nHost: {o}\n\n', '400 501'),
    ('9112 3.2.4 * is for OPTIONS', 'GET * HTTP/1.1\nHost: {o}\n\n', '400'),
    ('9112 3.2.3 CONNECT without a port', 'CONNECT 127.0.0.1 HTTP/1.1\nHost: {o}\n\n', '400'),
    ('9112 3.2.3 CONNECT with an empty port', 'CONNECT 127.0.0.1: HTTP/1.1\nHost: {o}\n\n', '400'),
    ('9112 3.2.3 CONNECT to port 0', 'CONNECT 127.0.0.1:0 HTTP/1.1\nHost: {o}\n\n', '400'),
    ('9112 3.2.3 CONNECT to port 65536', 'CONNECT 127.0.0.1:65536 HTTP/1.1\nHost: {o}\n\n', '400'),
    ('9112 3.2.3 CONNECT with a URL', 'CONNECT http://{o}/ HTTP/1.1\nHost: {o}\n\n', '400'),
    ('9112 3.2.3 CONNECT with a user', 'CONNECT u@{o} HTTP/1.1\nHost: {o}\n\n', '400'),
    ('9112 3.2.3 CONNECT with a path', 'CONNECT / HTTP/1.1\nHost: {o}\n\n', '400'),
    ('9110 10.1.1 another expectation', POST + 'Expect: the-moon\nContent-Length: 0\n\n', '417'),
]

# Chunked bodies that are broken: the client is told, and the origin never sees an end of the message.
BROKEN_CHUNKS = ['3\nabcd\n0\n\n', 'x\nabc\n0\n\n', '-3\nabc\n0\n\n', '0x3\nabc\n0\n\n', '3 \nabc\n0\n\n', ' 3\nabc\n0\n\n', '\nabc\n0\n\n',
                 '3\nabc0\n\n', '3\r\rabc\n0\n\n', '11111111111111113\nabc\n0\n\n', '3;a\rb\nabc\n0\n\n', '3\nabc\n0\nno colon\n\n',
                 '3\nabc\n0\nX : y\n\n', '3\nabc\n0\n X: y\n\n', '3\nabc\n0\nX: a\rb\n\n']


class Requests(Raw):
    def test_what_the_origin_sees(self):
        p = self.forward(lambda c, r: c.sendall(OK) or True)
        for name, request, has, lacks in REQUESTS:
            head, _, body = request.partition('\n\n')
            with self.subTest(name):
                before = len(self.origin.requests)
                self.ask(p, f'{head}\nConnection: close\n\n{body}' + ('\n' if 'hunked\n' in request else ''), finish=True)
                self.assertEqual(len(self.origin.requests), before + 1)
                seen = self.origin.requests[-1].raw.decode('latin-1').replace('\r\n', '\n')
                for pattern in has:
                    self.assertRegex(seen, re.compile(pattern.format(o=re.escape(self.o)), re.M))
                for pattern in lacks:
                    self.assertNotRegex(seen.split('\n', 1)[1], re.compile(f'^{pattern}|^.*: .*{pattern}', re.M))
                self.assertEqual(seen.count('Host:'), 1)
                self.assertTrue(seen.split('\n')[1].startswith('Host: '), seen)

    def test_what_is_refused(self):
        """Request smuggling and other heads that two parsers could read differently never reach the origin."""
        p = self.forward(lambda c, r: c.sendall(OK) or True)
        for name, request, statuses in REFUSED:
            if isinstance(request, bytes):
                request = request.replace(b'%o', self.o.encode())
            with self.subTest(name):
                got = self.ask(p, request, finish=True)
                self.assertIn(got[9:12].decode(), statuses.split(), got)
                self.assertTrue(got.startswith(b'HTTP/1.1 '))
                self.assertEqual(len(re.findall(rb'(?m)^HTTP/1.1 \d', got)), 1, 'a request was found behind the refused one')
                self.assertEqual(self.origin.requests, [])

    def test_broken_chunks(self):
        for broken in BROKEN_CHUNKS:
            raw = []

            def handler(conn, request, raw=raw):
                raw.append(request)
                conn.sendall(OK)
            with self.subTest(broken):
                p = self.forward(handler)
                got = self.ask(p, POST + 'Transfer-Encoding: chunked\n\n' + broken, finish=True)
                self.assertEqual(got[9:12], b'400', got)
                self.assertEqual(raw, [], 'the origin saw a whole message')

    def test_a_body_that_ends_early(self):
        for head, body in (('Content-Length: 10', 'abc'), ('Transfer-Encoding: chunked', '5\nabc'), ('Transfer-Encoding: chunked', '3\nabc\n'),
                           ('Transfer-Encoding: chunked', '3\nabc\n0\n')):
            with self.subTest(head + body):
                p = self.forward(lambda c, r: c.sendall(OK))
                got = self.ask(p, f'{POST}{head}\n\n{body}', finish=True)
                self.assertEqual(got[9:12], b'400', got)
                self.assertEqual(self.origin.requests, [])

    def test_pipelined(self):
        """Answers come in the order of the questions (RFC 9112 section 9.3.2), whatever the origins' order."""
        p = self.forward(lambda c, r: c.sendall(answer(r.method + r.target + r.body.decode(), Cache_Control='no-store')) or True)
        n = 20
        text = ''.join(f'POST http://{{o}}/{i} HTTP/1.1\nHost: {{o}}\nContent-Length: 2\n\n{i:02}' if i % 3 else
                       f'GET http://{{o}}/{i} HTTP/1.1\nHost: {{o}}\n\n' for i in range(n))
        with harness.Conn(p.port) as c:
            c.send(crlf(text.format(o=self.o)))
            for i in range(n):
                self.assertEqual(self.response(c)[1].decode(), f'POST/{i}{i:02}' if i % 3 else f'GET/{i}')
        self.assertEqual(self.origin.connections, 1, 'one pooled connection')

    def test_persistence(self):
        """RFC 9112 section 9.3, and 9.6 on close, on the client's side."""
        p = self.forward(lambda c, r: c.sendall(OK) or True)
        for name, version, option, stays in (
                ('1.1', '1.1', '', True), ('1.1 close', '1.1', 'Connection: close\n', False), ('1.1 CLOSE', '1.1', 'Connection: foo, CLOSE\n', False),
                ('1.0', '1.0', '', False), ('Proxy-Connection is nothing', '1.1', 'Proxy-Connection: close\n', True),
                ('a proxy never keeps one of HTTP/1.0', '1.0', 'Connection: keep-alive\nKeep-Alive: 300\n', False)):
            with self.subTest(name), harness.Conn(p.port) as c:
                c.send(crlf(f'GET http://{self.o}/ HTTP/{version}\nHost: {self.o}\n{option}\n'))
                head, body = self.response(c)
                self.assertEqual(body, b'ok')
                self.assertEqual(b'Connection: close' in head, not stays)
                self.assertNotIn(b'keep-alive', head.lower())
                if stays:
                    c.send(crlf(f'GET http://{self.o}/ HTTP/1.1\nHost: {self.o}\n\n'))
                    self.assertEqual(self.response(c)[1], b'ok')
                else:
                    self.assertEqual(c.recv_all(), b'')

    def test_half_closed_client(self):
        p = self.forward(lambda c, r: c.sendall(OK) or True)
        self.assertIn(b'\r\n\r\nok', self.ask(p, GET + '\n', finish=True))

    def test_max_forwards_ends_here(self):
        p = self.forward(lambda c, r: c.sendall(OK) or True)
        got = self.ask(p, 'TRACE http://{o}/t HTTP/1.1\nHost: {o}\nMax-Forwards: 0\nX-A: b\nCookie: secret\nAuthorization: secret\n'
                          'Connection: close\n\n')
        self.assertIn(b'\r\nContent-Type: message/http\r\n', got)
        self.assertIn(f'\r\n\r\nTRACE http://{self.o}/t HTTP/1.1\r\n'.encode(), got)
        self.assertIn(b'X-A: b', got)
        self.assertNotIn(b'secret', got)
        got = self.ask(p, 'OPTIONS http://{o}/t HTTP/1.1\nHost: {o}\nMax-Forwards: 00\nConnection: close\n\n')
        self.assertRegex(got, rb'^HTTP/1.1 20[04] ')
        got = self.ask(p, 'OPTIONS * HTTP/1.1\nHost: {o}\nConnection: close\n\n')
        self.assertRegex(got, rb'^HTTP/1.1 20[04] (?s:.*)\r\nAllow: ')
        self.assertEqual(self.origin.requests, [])


# name, answer of the origin, what the client must see and must not see. Each is asked for thrice: passed through, on its
# way into the cache, and again (out of the cache, when it could be stored).
RESPONSES = [
    ('9112 2.3 the proxy sends its own version', 'HTTP/1.0 200 OK\nContent-Length: 2\n\nok', ['^HTTP/1.1 200 OK$', '^Via: 1.0 l7$', '^ok'], []),
    ('9110 7.6.3 Via', 'HTTP/1.1 200 OK\nContent-Length: 2\nVia: 1.1 a\n\nok', ['^Via: 1.1 a$', '^Via: 1.1 l7$'], []),
    ('9112 4 another phrase passes', 'HTTP/1.1 200 Why not\nContent-Length: 2\n\nok', ['^HTTP/1.1 200 ', '^ok'], []),
    ('9112 4 no phrase', 'HTTP/1.1 200 \nContent-Length: 2\n\nok', ['^HTTP/1.1 200 '], []),
    ('9110 15 an unknown status passes', 'HTTP/1.1 299 Odd\nContent-Length: 2\n\nok', ['^HTTP/1.1 299 ', '^ok'], []),
    ('9110 7.6.1 Connection-named fields go', 'HTTP/1.1 200 OK\nContent-Length: 2\nConnection: x-a, keep-alive\nX-A: 1\nConnection: X-B\nX-B: 2\n\nok',
     ['^ok'], ['^[Xx]-[AaBb]', '^Connection: (?!close)']),
    ('9110 7.6.1 hop-by-hop without being named', 'HTTP/1.1 200 OK\nContent-Length: 2\nKeep-Alive: timeout=5\nProxy-Connection: x\nUpgrade: foo\nTE: x\n\nok',
     ['^ok'], ['Keep-Alive', 'Proxy-Connection', 'Upgrade', '^TE:']),
    ('9110 7.6.1 Connection cannot take the framing', 'HTTP/1.1 200 OK\nConnection: content-length\nContent-Length: 2\n\nok', ['^Content-Length: 2$', '^ok'], []),
    ('9110 5.1 unknown fields pass', 'HTTP/1.1 200 OK\nContent-Length: 2\nX-New: a, "b,c"\n\nok', ['^X-New: a, "b,c"$'], []),
    ('9110 5.3 lines of one name keep their order', 'HTTP/1.1 200 OK\nContent-Length: 2\nSet-Cookie: a=1; Path=/\nX-L: 1\nSet-Cookie: b=2\nX-L: 2\n\nok',
     ['^Set-Cookie: a=1; Path=/$\n^X-L: 1$\n^Set-Cookie: b=2$\n^X-L: 2$'], []),
    ('9110 5.5 8-bit values pass', 'HTTP/1.1 200 OK\nContent-Length: 2\nX-Eight: \xe9\xff\n\nok', ['^X-Eight: \xe9\xff$'], []),
    ('9110 6.6.1 a missing Date is added', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok', ['^Date: ..., .. ... .... ..:..:.. GMT$'], []),
    ('9110 6.6.1 Date passes', 'HTTP/1.1 200 OK\nContent-Length: 2\nDate: Mon, 02 Jan 2006 15:04:05 GMT\n\nok', ['^Date: Mon, 02 Jan 2006 15:04:05 GMT$'], []),
    ('9112 5.1 space before the colon is removed', 'HTTP/1.1 200 OK\nContent-Length : 2\nX-A \t: 1\n\nok', ['^Content-Length: 2$', '^X-A: 1$', '^ok'], []),
    ('9112 6.3 a length list of one value', 'HTTP/1.1 200 OK\nContent-Length: 2, 2\n\nok', ['^Content-Length: 2$', '^ok'], ['Content-Length: .*,']),
    ('9112 6.3 repeated equal lengths', 'HTTP/1.1 200 OK\nContent-Length: 2\nX: y\nContent-Length: 2\n\nok', ['^Content-Length: 2$', '^ok'], []),
    ('9112 6.3 a body that the close ends', 'HTTP/1.1 200 OK\n\nok', ['ok'], []),
    ('9112 6.3 of HTTP/1.0', 'HTTP/1.0 200 OK\n\nok', ['ok'], []),
    ('9112 7.1.1 chunk extensions end here', 'HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2;a="b;c"\nok\n0;xx\n\n', ['ok'], ['a="b', 'xx']),
    ('9112 7.1 upper case and leading zeros', 'HTTP/1.1 200 OK\nTransfer-Encoding: CHUNKED\n\n00A\n0123456789\n00\n\n', ['0123456789'], []),
    ('9112 2.2 surplus is not delivered', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nokHTTP/1.1 200 OK\nContent-Length: 4\n\nevil', ['^ok$'], ['evil']),
    ('9110 15.3.5 204 has no content', 'HTTP/1.1 204 No Content\nContent-Length: 4\nTransfer-Encoding: chunked\n\nevil', ['^HTTP/1.1 204 '],
     ['evil', 'Content-Length', 'Transfer-Encoding']),
    ('9110 15.4.5 304 has no content', 'HTTP/1.1 304 Not Modified\nContent-Length: 4\nETag: "a"\n\nevil', ['^HTTP/1.1 304 ', '^ETag: "a"$'], ['evil']),
    ('9110 15.4.5 a length in 304 that is none', 'HTTP/1.1 304 Not Modified\nContent-Length: x\n\n', ['^HTTP/1.1 304 '], ['Content-Length']),
    ('9110 15.5 error pages pass', 'HTTP/1.1 503 No\nContent-Length: 2\nRetry-After: 5\n\nno', ['^HTTP/1.1 503 ', '^Retry-After: 5$', '^no$'], []),
    ('9110 15.2 interim answers pass', 'HTTP/1.1 103 Early Hints\nLink: </a>\nConnection: x-a\nX-A: b\n\nHTTP/1.1 102 P\n\nHTTP/1.1 199 New\nX: y\n\n'
     'HTTP/1.1 200 OK\nContent-Length: 2\n\nok', ['(?s)^HTTP/1.1 103 .*^Link: </a>$.*^HTTP/1.1 102 .*^HTTP/1.1 199 New$.*^HTTP/1.1 200 OK$', '^ok'], ['X-A']),
    ('9110 15.2 a 1xx has no framing', 'HTTP/1.1 103 Early Hints\nContent-Length: 4\nTransfer-Encoding: chunked\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok',
     ['^HTTP/1.1 103 ', '^ok$'], ['Content-Length: 4', 'Transfer-Encoding']),
    ('9112 2.2 no HTTP behind a 1xx', 'HTTP/1.1 103 Early Hints\nLink: </a>\n\nno HTTP at all\n\n', ['^HTTP/1.1 502 '], ['no HTTP at all']),
    ('9112 2.2 a fold is refused', 'HTTP/1.1 200 OK\nContent-Length: 2\nX: a\n b\n\nok', ['^HTTP/1.1 502 '], ['ok']),
    ('9112 2.2 space before the first field', 'HTTP/1.1 200 OK\n Content-Length: 2\n\nok', ['^HTTP/1.1 502 '], ['ok']),
    ('9112 2.2 bare CR in a value', 'HTTP/1.1 200 OK\nContent-Length: 2\nX: a\rSet-Cookie: evil\n\nok', ['^HTTP/1.1 502 '], ['evil']),
    ('9110 5.5 NUL in a value', 'HTTP/1.1 200 OK\nContent-Length: 2\nX: a\0b\n\nok', ['^HTTP/1.1 502 '], ['ok']),
    ('9112 6.3 differing lengths', 'HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 3\n\nok!', ['^HTTP/1.1 502 '], ['ok']),
    ('9112 6.3 a list that differs', 'HTTP/1.1 200 OK\nContent-Length: 2, 3\n\nok!', ['^HTTP/1.1 502 '], ['ok']),
    ('9112 6.3 a length that is none', 'HTTP/1.1 200 OK\nContent-Length: 2x\n\nok', ['^HTTP/1.1 502 '], ['ok']),
    ('9112 6.3 a negative length', 'HTTP/1.1 200 OK\nContent-Length: -2\n\nok', ['^HTTP/1.1 502 '], ['ok']),
    ('9112 6.3 both framings', 'HTTP/1.1 200 OK\nContent-Length: 3\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n', ['^HTTP/1.1 502 '], ['ok']),
    ('9112 6.1 a coding in HTTP/1.0', 'HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n', ['^HTTP/1.1 502 '], ['ok']),
    ('9112 6.3 chunked is not last', 'HTTP/1.1 200 OK\nTransfer-Encoding: chunked, gzip\n\n2\nok\n0\n\n', ['^HTTP/1.1 502 '], ['ok']),
    ('9112 4 not HTTP', 'ICY 200 OK\n\nok', ['^HTTP/1.1 502 '], ['ok']),
    ('9112 4 another major version', 'HTTP/2.0 200 OK\nContent-Length: 2\n\nok', ['^HTTP/1.1 502 '], ['ok']),
    ('9112 4 a status of two digits', 'HTTP/1.1 20 OK\nContent-Length: 2\n\nok', ['^HTTP/1.1 502 '], ['ok']),
    ('9112 4 a status of four digits', 'HTTP/1.1 2000 OK\nContent-Length: 2\n\nok', ['^HTTP/1.1 502 '], ['ok']),
    ('9110 7.8 101 that nobody asked for', 'HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: evil\n\nevil', ['^HTTP/1.1 502 '], ['evil']),
    ('9112 8 no answer at all', '', ['^HTTP/1.1 502 '], []),
    ('9112 8 a head that breaks off', 'HTTP/1.1 200 OK\nContent-Le', ['^HTTP/1.1 502 '], []),
]


class Responses(Raw):
    def scripted(self, *args):
        """A proxy whose origin answers every target with self.script of its first letter, then closes."""
        self.script = {}
        return self.forward(lambda c, r: c.sendall(self.script[r.target[1]]), *args)

    def one(self, p, row, mode):
        _, _, has, lacks = RESPONSES[row]
        got = self.ask(p, f'GET http://{{o}}/{mode}/{row} HTTP/1.1\nHost: {{o}}\nConnection: close\n\n').decode('latin-1')
        text = got.replace('\r\n', '\n')
        hit = '\nCache-Status: l7; hit' in text
        for pattern in has:
            if not (hit and '10' in pattern):  # interim answers are not stored
                self.assertRegex(text, re.compile(pattern, re.M))
        for pattern in lacks:
            self.assertNotRegex(text, re.compile(pattern, re.M))
        self.assertLessEqual(len(re.findall('(?im)^content-length:', text)), 1, text)

    def test_what_the_client_sees(self):
        p = self.scripted()
        for row, (name, text, _, _) in enumerate(RESPONSES):
            for mode, directive in (('r', 'no-store'), ('s', 'max-age=60'), ('s', 'again')):
                with self.subTest(f'{name} ({directive})'):
                    if directive != 'again':
                        self.script[mode] = crlf(text.replace('\n', f'\nCache-Control: {directive}\n', 1) if text else '')
                    self.one(p, row, mode)

    def test_an_http_1_0_client(self):
        """No chunked, no 1xx (RFC 9110 section 15.2), and the close ends what has no length."""
        p = self.scripted()
        for name, text in (('chunked', 'HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: X-T\n\n2\nok\n0\nX-T: v\n\n'), ('close', 'HTTP/1.1 200 OK\n\nok'),
                           ('interim', 'HTTP/1.1 103 E\nLink: a\n\nHTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok')):
            for mode, directive in (('r', 'no-store'), ('s', 'max-age=60'), ('s', '')):
                with self.subTest(f'{name} {directive}'):
                    self.script[mode] = crlf(text.replace('OK\n', f'OK\nCache-Control: {directive}\n', 1))
                    got = self.ask(p, f'GET http://{{o}}/{mode}{name} HTTP/1.0\n\n')
                    head, _, body = got.partition(b'\r\n\r\n')
                    self.assertTrue(head.startswith(b'HTTP/1.1 200 '), head)
                    self.assertEqual(body, b'ok')
                    self.assertNotIn(b'chunked', head)

    def test_a_broken_body_reaches_the_client_as_broken(self):
        p = self.scripted()
        for name, text in (('length', 'HTTP/1.1 200 OK\nContent-Length: 9\n\nhalf'), ('chunk', 'HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n9\nhalf'),
                           ('last', 'HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n4\nhalf\n'), ('trailer', 'HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n4\nhalf\n0\nX: y\n'),
                           ('framing', 'HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n4\nhalf0\n\n')):
            for mode, directive in (('r', 'no-store'), ('s', 'max-age=60')):
                for version in ('1.1', '1.0'):
                    with self.subTest(f'{name} {directive} {version}'), harness.Conn(p.port) as c:
                        self.script[mode] = crlf(text.replace('\n', f'\nCache-Control: {directive}\n', 1))
                        c.send(crlf(f'GET http://{self.o}/{mode}{name} HTTP/{version}\nHost: {self.o}\nConnection: close\n\n'))
                        got, reset = b'', False
                        try:
                            while data := c.sock.recv(65536):
                                got += data
                        except ConnectionResetError:
                            reset = True
                        if b' 502 ' in got[:20]:
                            continue  # nothing had been sent yet
                        self.assertNotIn(b'\r\n0\r\n', got)
                        self.assertTrue(reset or b'Content-Length: 9' in got or b'chunked' in got, (got, reset))

    def test_head(self):
        p = self.scripted()
        for name, text, has, lacks in (
                ('length', 'HTTP/1.1 200 OK\nContent-Length: 1000\n\n', b'Content-Length: 1000\r\n', b'chunked'),
                ('none', 'HTTP/1.1 200 OK\n\n', b'200', b'chunked'), ('chunked', 'HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n', b'200', b'Content-Length'),
                ('content', 'HTTP/1.1 200 OK\nContent-Length: 4\n\nevil', b'Content-Length: 4\r\n', b'evil'),
                ('bad', 'HTTP/1.1 200 OK\nContent-Length: 1, 2\n\n', b'HTTP/1.1 ', b'Content-Length: 1, 2')):
            for mode, directive in (('r', 'no-store'), ('s', 'max-age=60')):
                with self.subTest(f'{name} {directive}'), harness.Conn(p.port) as c:
                    self.script[mode] = crlf(text.replace('\n', f'\nCache-Control: {directive}\n', 1))
                    c.send(crlf(f'HEAD http://{self.o}/{mode}{name} HTTP/1.1\nHost: {self.o}\n\n'))
                    head, _ = self.response(c, 'HEAD')
                    self.assertIn(has, head)
                    self.assertNotIn(lacks, head)
                    if name != 'bad':  # the connection is still in step
                        self.script['x'] = OK
                        c.send(crlf(f'GET http://{self.o}/x HTTP/1.1\nHost: {self.o}\n\n'))
                        self.assertEqual(self.response(c)[1], b'ok')

    def test_trailers(self):
        p = self.scripted()
        self.script['r'] = crlf('HTTP/1.1 200 OK\nCache-Control: no-store\nTransfer-Encoding: chunked\nTrailer: X-T\nConnection: x-hop\n\n2\nok\n0\n'
                                'X-T: v\nx-hop: evil\nContent-Length: 7\nTransfer-Encoding: gzip\nSet-Cookie: evil=1\nX-T: w\n\n')
        got = self.ask(p, 'GET http://{o}/r HTTP/1.1\nHost: {o}\nTE: trailers\nConnection: TE, close\n\n')
        self.assertIn(b'\r\nTrailer: X-T\r\n', got)
        self.assertTrue(got.endswith(b'\r\n2\r\nok\r\n0\r\nX-T: v\r\nX-T: w\r\n\r\n'), got)
        self.assertNotIn(b'TE:', self.origin.requests[0].raw)


if __name__ == '__main__':
    harness.main()
