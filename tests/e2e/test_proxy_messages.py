# SPDX-License-Identifier: MIT
"""What l7 proxy does with messages (RFC 9110 section 7, RFC 9112): trailers, interim answers, parts, upgrades, framing,
and the clients of the exercises."""
import contextlib
import email
import os
import socket
import threading

import harness
from origin import Origin, answer
from test_get_session import certificates, server_context
from test_proxy import Proxy


class Messages(Proxy):
    def reverse(self, handler, *args, **kw):
        self.origin = Origin(self, handler, **kw)
        return self.proxy('--origin', self.origin.url(''), *args)

    def ask(self, p, text, until=b'\r\n\r\n'):
        with harness.Conn(p.port) as c:
            c.send(text)
            return c.recv_until(until)

    def test_trailers_both_ways(self):
        got = []

        def handler(conn, request):
            if request.target == '/down':
                conn.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nCache-Control: no-store\r\n'
                             b'Trailer: Sum\r\n\r\n3\r\nabc\r\n0\r\nSum: 1\r\nContent-Length: 9\r\n\r\n')
                return True
            return False
        p = self.reverse(handler)
        text = self.ask(p, b'GET /down HTTP/1.1\r\nHost: h\r\n\r\n', b'0\r\nSum: 1\r\n\r\n')
        self.assertIn(b'Trailer: Sum', text)
        # Upwards the raw bytes matter: a socket that shows them.
        raw = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(raw.close)

        def serve():
            c, _ = raw.accept()
            data = b''
            while not data.endswith(b'\r\n\r\n') or b'0\r\n' not in data:
                data += c.recv(65536)
            got.append(data)
            c.sendall(b'HTTP/1.1 204 No Content\r\n\r\n')
            c.close()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        p = self.proxy('--origin', f'http://127.0.0.1:{raw.getsockname()[1]}')
        self.ask(p, b'POST /up HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n'
                    b'3\r\nabc\r\n0\r\nSum: 2\r\nTransfer-Encoding: chunked\r\nHost: evil\r\n\r\n')
        thread.join(20)
        head, _, body = got[0].partition(b'\r\n\r\n')
        self.assertIn(b'Transfer-Encoding: chunked', head)
        self.assertEqual(body, b'3\r\nabc\r\n0\r\nSum: 2\r\n\r\n')

    def test_parts_out_of_a_stored_response(self):
        content = os.urandom(200000)
        p = self.reverse(lambda c, r: c.sendall(answer(content, Cache_Control='max-age=60', Content_Type='image/png',
                                                       ETag='"v"')) or True)
        self.assertEqual(self.curl(p.url + '/a', text=False), content)
        out = self.curl('-i', '-r', '0-9,100000-179999,-5', p.url + '/a', text=False)
        head, _, body = out.partition(b'\r\n\r\n')
        self.assertIn(b' 206 ', head)
        self.assertIn(b'l7; hit', head)
        self.assertIn(f'Content-Length: {len(body)}'.encode(), head)
        kind = head.split(b'Content-Type: ')[1].split(b'\r\n')[0]
        parts = email.message_from_bytes(b'Content-Type: ' + kind + b'\r\n\r\n' + body).get_payload()
        self.assertEqual([x['Content-Range'] for x in parts],
                         ['bytes 0-9/200000', 'bytes 100000-179999/200000', 'bytes 199995-199999/200000'])
        self.assertEqual({x['Content-Type'] for x in parts}, {'image/png'})
        mark = b'--' + kind.split(b'boundary=')[1]
        pieces = [x.split(b'\r\n\r\n', 1)[1][:-2] for x in body.split(mark)[1:4]]
        self.assertEqual(pieces, [content[:10], content[100000:180000], content[-5:]])
        self.assertEqual(len(self.origin.requests), 1)

    def test_interim_answers_pass_as_they_come(self):
        go = threading.Event()

        def handler(conn, request):
            conn.sendall(b'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n'
                         b'HTTP/1.1 102 Processing\r\n\r\n')
            go.wait(20)
            conn.sendall(answer('late'))
            return True
        p = self.reverse(handler)
        with harness.Conn(p.port) as c:
            c.send(b'GET / HTTP/1.1\r\nHost: h\r\n\r\n')
            early = c.recv_until(b'102 Processing\r\n')
            self.assertIn(b'Link: </a.css>; rel=preload', early)
            go.set()
            self.assertIn(b'200 OK', c.recv_until(b'late'))

    def test_expect_is_settled_hop_by_hop(self):
        p = self.reverse(lambda c, r: c.sendall(answer(r.body)) or True)
        with harness.Conn(p.port) as c:
            c.send(b'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n')
            c.recv_until(b'100 Continue\r\n\r\n')
            c.send(b'abc')
            c.recv_until(b'\r\n\r\nabc')
        self.assertIn(b' 417 ', self.ask(p, b'GET / HTTP/1.1\r\nHost: h\r\nExpect: more\r\n\r\n'))

    def test_clients_that_do_not_read(self):
        """Large objects, all to be stored, whose clients take nothing: what they hold has a limit, and the proxy goes on."""
        size = 16 << 20
        p = self.reverse(lambda c, r: c.sendall(answer(b'x' * size, Cache_Control='max-age=60')) or True, '--cache-memory', '1M', '--max-object', '20M')
        idle = p.peak_memory()
        self.assertEqual(len(self.curl(p.url + '/one', text=False)), size)
        one = p.peak_memory() - idle
        with contextlib.ExitStack() as stack:
            for i in range(10):
                c = stack.enter_context(harness.Conn(p.port))
                c.send(f'GET /{i} HTTP/1.1\r\nHost: h\r\n\r\n'.encode())
                c.sock.recv(1)
            self.assertEqual(len(self.curl(p.url + '/9', text=False)), size)
            peak = p.peak_memory()
        # 160 MiB of objects; 21 MiB by the limits, 1.5 MiB a client: two and a half times one of them, in every build.
        self.assertLess(peak - idle, 2.5 * one)
        if not harness.SANITIZED:
            self.assertLess(peak, 70)

    def test_max_forwards(self):
        p = self.reverse(lambda c, r: c.sendall(answer(r.head)) or True)
        text = self.ask(p, b'TRACE /t HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\nCookie: secret\r\n\r\n', b'Max-Forwards: 0')
        self.assertIn(b'Content-Type: message/http', text)
        self.assertNotIn(b'secret', text)
        self.assertIn(b'Max-Forwards: 4', self.ask(p, b'OPTIONS /t HTTP/1.1\r\nHost: h\r\nMax-Forwards: 5\r\n\r\n',
                                                   b'Max-Forwards: 4'))
        self.assertIn(b'\r\nAllow: ', self.ask(p, b'OPTIONS /t HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n'))
        self.assertEqual([r.method for r in self.origin.requests], ['OPTIONS'])

    def test_unknown_methods_pass(self):
        p = self.reverse(lambda c, r: c.sendall(answer(r.method + ' ' + r.body.decode())) or True)
        self.ask(p, b'BREW /pot HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\ntea', b'\r\n\r\nBREW tea')

    def test_surplus_bytes_are_not_delivered(self):
        """What follows the announced body belongs to nobody, and the connection is not used again."""
        p = self.reverse(lambda c, r: c.sendall(answer('abc') + b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'))
        for i in range(3):
            self.assertEqual(self.curl(f'{p.url}/n{i}'), 'abc')
        self.assertEqual(self.origin.connections, 3)

    def test_ambiguous_framing_is_refused(self):
        p = self.reverse(lambda c, r: c.sendall(answer('x')) or True)
        for head in (b'Content-Length: 3\r\nContent-Length: 4', b'Content-Length: 3\r\nTransfer-Encoding: chunked',
                     b'Transfer-Encoding: chunked, identity', b'Transfer-Encoding: xchunked', b'Content-Length: +3',
                     b'Content-Length: 3, 3', b'Transfer-Encoding : chunked', b'Content-Length: 3\r\n folded: x'):
            text = self.ask(p, b'POST / HTTP/1.1\r\nHost: h\r\n' + head + b'\r\n\r\nabc')
            self.assertIn(text.split(b' ')[1], (b'400', b'501'), head)
        self.assertEqual(self.origin.requests, [])

    def test_upgrade_to_an_https_origin(self):
        """HTTP/2 cannot be upgraded: the proxy speaks HTTP/1.1 to the origin then, although it offers both."""
        folder = certificates(self)
        context = server_context(folder, 'good')
        context.set_alpn_protocols(['h2', 'http/1.1'])

        def handler(conn, request):
            conn.sendall(b'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: upper\r\n\r\n')
            while data := conn.recv(100):
                conn.sendall(data.upper())
        p = self.reverse(handler, '--insecure', tls=context)
        with harness.Conn(p.port) as c:
            c.send(b'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: upper\r\n\r\n')
            self.assertIn(b'Upgrade: upper', c.recv_until(b'\r\n\r\n'))
            c.send(b'hello')
            self.assertEqual(c.recv_exactly(5), b'HELLO')


class Exercise(Proxy):
    """The textbook's own clients: HTTP/1.0, line ends as they come, the address form."""

    def raw(self, p, text):
        with harness.Conn(p.port) as c:
            c.send(text)
            return c.recv_all()

    def test_old_clients(self):
        origin = Origin(self, lambda c, r: c.sendall(answer('page ' + r.target, Cache_Control='max-age=60')) or True)
        p = self.proxy()
        host = f'127.0.0.1:{origin.port}'
        for text in (f'GET http://{host}/a HTTP/1.0\r\n\r\n', f'GET http://{host}/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
                     f'GET /{host}/a HTTP/1.0\r\n\r\n', f'GET /{host}/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
                     f'GET /http://{host}/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'):
            out = self.raw(p, text.encode())
            self.assertTrue(out.startswith(b'HTTP/1.1 200'), (text, out))
            self.assertTrue(out.endswith(b'\r\n\r\npage /a'), (text, out))
        self.assertEqual(len(origin.requests), 1, 'one page, whatever form it is asked in')


if __name__ == '__main__':
    harness.main()
