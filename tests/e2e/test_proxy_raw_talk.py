# SPDX-License-Identifier: MIT
"""l7 proxy between a raw client and a raw origin: which connections are kept, and dialogues in which the order of things
matters: Expect, uploads, Upgrade, CONNECT."""
import socket
import threading

import harness
from test_proxy_raw import CHUNKED, OK, Raw, crlf


class Connections(Raw):
    """Towards the origin: what is kept, what is asked again, and what is not."""

    def test_connections_are_reused_and_given_up(self):
        for name, first, stays in (
                ('1.1', OK, True), ('close', OK.replace(b'\r\n\r\n', b'\r\nConnection: close\r\n\r\n'), False),
                ('1.0', OK.replace(b'HTTP/1.1', b'HTTP/1.0'), False),
                ('1.0 keep-alive', OK.replace(b'HTTP/1.1', b'HTTP/1.0').replace(b'\r\n\r\n', b'\r\nConnection: keep-alive\r\n\r\n'), True),
                ('surplus', OK + b'!', False), ('chunked', CHUNKED + b'2\r\nok\r\n0\r\n\r\n', True),
                ('surplus after chunks', CHUNKED + b'2\r\nok\r\n0\r\n\r\nX', False), ('204', b'HTTP/1.1 204 N\r\n\r\n', True)):
            with self.subTest(name):
                p = self.forward(lambda c, r, first=first: c.sendall(first) or True, '--workers', '1')
                for _ in range(2):
                    self.ask(p, 'GET http://{o}/ HTTP/1.1\nHost: {o}\nConnection: close\n\n')
                self.assertEqual(self.origin.connections, 1 if stays else 2)
                self.assertNotIn(b'Connection:', self.origin.requests[0].raw)

    def racing_close(self, method, body=''):
        """The origin closes a pooled connection at the very moment in which the next request is on its way."""
        def handler(conn, request):
            if request.connection == 1 and len(self.origin.requests) == 2:
                return False  # the second request on it is read, not answered
            conn.sendall(OK)
            return True
        p = self.forward(handler, '--workers', '1')
        self.ask(p, 'GET http://{o}/1 HTTP/1.1\nHost: {o}\nConnection: close\n\n')
        got = self.ask(p, f'{method} http://{{o}}/2 HTTP/1.1\nHost: {{o}}\nConnection: close\n'
                          f'{f"Content-Length: {len(body)}{chr(10)}" if body else ""}\n{body}')
        return got, [r.method for r in self.origin.requests]

    def test_idempotent_requests_are_sent_again(self):
        """RFC 9110 section 9.2.2, RFC 9112 section 9.3.1."""
        for method in ('GET', 'HEAD', 'OPTIONS', 'DELETE', 'TRACE', 'PUT'):
            with self.subTest(method):
                got, seen = self.racing_close(method)
                self.assertIn(b' 200 ', got[:20])
                self.assertEqual(seen, ['GET', method, method])

    def test_others_are_not(self):
        for method, body in (('POST', ''), ('POST', 'abc'), ('PATCH', 'abc'), ('BREW', ''), ('LOCK', '')):
            with self.subTest(method + body):
                got, seen = self.racing_close(method, body)
                self.assertIn(b' 502 ', got[:20])
                self.assertEqual(seen, ['GET', method])

    def test_a_fresh_connection_is_not_tried_twice(self):
        p = self.forward(lambda c, r: False)
        self.assertIn(b' 502 ', self.ask(p, 'GET http://{o}/ HTTP/1.1\nHost: {o}\nConnection: close\n\n')[:20])
        self.assertEqual(len(self.origin.requests), 1)


class Scripts(Raw):
    """Dialogues in which the moment matters: the origin is a socket in the test's hands."""

    def setUp(self):
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(self.listener.close)
        self.listener.settimeout(20)
        self.o = f'127.0.0.1:{self.listener.getsockname()[1]}'

    def accept(self):
        """The proxy's connection as a harness.Conn."""
        c = harness.Conn.__new__(harness.Conn)
        c.sock, c.rest = self.listener.accept()[0], b''
        c.sock.settimeout(20)
        self.addCleanup(c.close)
        return c

    def client(self, *args):
        c = harness.Conn(self.proxy(*args).port)
        self.addCleanup(c.close)
        return c

    def test_expect_goes_to_the_origin(self):
        """RFC 9110 section 10.1.1: the origin is asked before the client sends its content."""
        c = self.client()
        c.send(crlf(f'POST http://{self.o}/ HTTP/1.1\nHost: {self.o}\nExpect: 100-continue\nContent-Length: 3\n\n'))
        o = self.accept()
        self.assertIn(b'\r\nExpect: 100-continue\r\n', o.recv_until(b'\r\n\r\n'))
        o.send(crlf('HTTP/1.1 100 Continue\nX-A: b\n\n'))
        self.assertIn(b'X-A: b', c.recv_until(b'\r\n\r\n'))
        c.send(b'abc')
        self.assertEqual(o.recv_exactly(3), b'abc')
        o.send(OK)
        head = c.recv_until(b'\r\n\r\n')
        self.assertTrue(head.startswith(b'HTTP/1.1 200 '), head)
        self.assertEqual(c.recv_exactly(2), b'ok')

    def test_expect_refused(self):
        """A final answer in place of 100: the client is told and need not send; nothing of a body reaches the origin."""
        c = self.client()
        c.send(crlf(f'POST http://{self.o}/ HTTP/1.1\nHost: {self.o}\nExpect: 100-continue\nContent-Length: 3\n\n'))
        o = self.accept()
        o.recv_until(b'\r\n\r\n')
        o.send(crlf('HTTP/1.1 413 No\nContent-Length: 2\n\nno'))
        got = c.recv_all()
        self.assertTrue(got.startswith(b'HTTP/1.1 413 ') and got.endswith(b'\r\n\r\nno'), got)
        self.assertIn(b'Connection: close\r\n', got)
        self.assertEqual(o.recv_all(), b'')

    def test_expect_of_a_silent_origin(self):
        """One that knows nothing of 100 does not keep the client waiting."""
        c = self.client()
        c.send(crlf(f'POST http://{self.o}/ HTTP/1.1\nHost: {self.o}\nExpect: 100-continue\nContent-Length: 3\n\n'))
        o = self.accept()
        o.recv_until(b'\r\n\r\n')
        self.assertTrue(c.recv_until(b'\r\n\r\n').startswith(b'HTTP/1.1 100 '))
        c.send(b'abc')
        self.assertEqual(o.recv_exactly(3), b'abc')
        o.send(OK)
        self.assertTrue(c.recv_until(b'\r\n\r\n').startswith(b'HTTP/1.1 200 '))

    def test_an_answer_before_the_body_was_sent(self):
        for close in (b'', b'Connection: close\r\n'):
            with self.subTest(close):
                c = self.client()
                c.send(crlf(f'POST http://{self.o}/ HTTP/1.1\nHost: {self.o}\nContent-Length: 1000000\n\nabc'))
                o = self.accept()
                o.recv_until(b'\r\n\r\nabc')
                o.send(b'HTTP/1.1 413 No\r\n' + close + b'Content-Length: 2\r\n\r\nno')
                if close:
                    o.finish()
                head, body = self.response(c)
                self.assertTrue(head.startswith(b'HTTP/1.1 413 '), head)
                self.assertEqual(body, b'no')
                self.assertIn(b'Connection: close', head)
                self.assertEqual(o.recv_all(), b'', 'the connection is not used again')

    def test_both_bodies_stream_at_once(self):
        c = self.client()
        c.send(crlf(f'POST http://{self.o}/ HTTP/1.1\nHost: {self.o}\nTransfer-Encoding: chunked\n\n'))
        o = self.accept()
        o.recv_until(b'\r\n\r\n')
        o.send(CHUNKED)
        c.recv_until(b'\r\n\r\n')
        for piece in (b'one', b'two', b'six'):
            c.send(b'3\r\n' + piece + b'\r\n')
            self.assertEqual(o.recv_exactly(8), b'3\r\n' + piece + b'\r\n')
            o.send(b'3\r\n' + piece + b'\r\n')
            self.assertEqual(c.recv_exactly(8), b'3\r\n' + piece + b'\r\n')
        c.send(b'0\r\n\r\n')
        self.assertEqual(o.recv_exactly(5), b'0\r\n\r\n')
        o.send(b'0\r\n\r\n')
        self.assertEqual(c.recv_exactly(5), b'0\r\n\r\n')

    def test_a_client_that_leaves_ends_the_upload(self):
        c = self.client()
        c.send(crlf(f'POST http://{self.o}/ HTTP/1.1\nHost: {self.o}\nContent-Length: 100\n\nabc'))
        o = self.accept()
        o.recv_until(b'\r\n\r\nabc')
        c.reset()
        self.assertEqual(o.recv_all(), b'', 'the origin sees the end, not a whole message')

    def test_an_origin_that_is_silent_after_the_upload(self):
        c = self.client('--origin-timeout', '1s')
        c.send(crlf(f'POST http://{self.o}/ HTTP/1.1\nHost: {self.o}\nContent-Length: 3\n\nabc'))
        o = self.accept()
        o.recv_until(b'\r\n\r\nabc')
        self.assertTrue(self.response(c)[0].startswith(b'HTTP/1.1 504 '))
        self.assertEqual(o.recv_all(), b'')

    def test_an_upload_slower_than_the_origins_patience(self):
        """--origin-timeout counts what the origin keeps us waiting for, not the client."""
        c = self.client('--origin-timeout', '1s')
        c.send(crlf(f'POST http://{self.o}/ HTTP/1.1\nHost: {self.o}\nContent-Length: 3\n\na'))
        o = self.accept()
        o.recv_until(b'\r\n\r\na')
        threading.Event().wait(1.3)  # the client's pause is what is tested
        c.send(b'bc')
        self.assertEqual(o.recv_exactly(2), b'bc')
        o.send(OK)
        self.assertEqual(self.response(c)[1], b'ok')

    def upgrade(self, c, more=''):
        c.send(crlf(f'GET http://{self.o}/ HTTP/1.1\nHost: {self.o}\nConnection: x, upgrade\nUpgrade: websocket\nX: y\n\n{more}'))
        o = self.accept()
        head = o.recv_until(b'\r\n\r\n')
        self.assertIn(b'\r\nConnection: Upgrade\r\n', head)
        self.assertIn(b'\r\nUpgrade: websocket\r\n', head)
        self.assertNotIn(b'X:', head)
        return o

    def test_upgrade(self):
        c = self.client()
        o = self.upgrade(c, 'early')
        o.send(crlf('HTTP/1.1 101 Switching Protocols\nConnection: upgrade, x-a\nUpgrade: websocket\nX-A: hop\nSec-X: y\n\nhello'))
        head = c.recv_until(b'\r\n\r\n')
        self.assertRegex(head, rb'^HTTP/1.1 101 ')
        self.assertRegex(head, rb'(?i)\r\nconnection: upgrade\r\n')
        self.assertEqual(head.count(b'Upgrade: websocket\r\n'), 1)
        self.assertIn(b'\r\nSec-X: y\r\n', head)
        self.assertNotIn(b'X-A', head)
        self.assertEqual(c.recv_exactly(5), b'hello')
        self.assertEqual(o.recv_exactly(5), b'early')
        o.finish()
        self.assertEqual(c.recv_all(), b'')
        c.send(b'half')
        c.finish()
        self.assertEqual(o.recv_all(), b'half')

    def test_upgrade_refused(self):
        c = self.client()
        o = self.upgrade(c)
        o.send(OK)
        self.assertEqual(self.response(c)[1], b'ok')
        c.send(crlf(f'GET http://{self.o}/2 HTTP/1.1\nHost: {self.o}\n\n'))
        self.assertIn(b'GET /2 ', o.recv_until(b'\r\n\r\n'))
        o.send(OK)
        self.assertEqual(self.response(c)[1], b'ok')

    def test_upgrade_to_what_nobody_offered(self):
        c = self.client()
        o = self.upgrade(c)
        o.send(crlf('HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: other\n\n'))
        self.assertTrue(self.response(c)[0].startswith(b'HTTP/1.1 502 '))

    def test_connect(self):
        """RFC 9110 section 9.3.6: what follows the head belongs to the tunnel, whatever it says about content."""
        for fields in ('', 'Content-Length: 3\n', 'Transfer-Encoding: chunked\n', 'Proxy-Authorization: Basic eDp5\n'):
            with self.subTest(fields):
                c = self.client()
                c.send(crlf(f'CONNECT {self.o} HTTP/1.1\nHost: other.test\n{fields}\nabcdef'))
                o = self.accept()
                self.assertEqual(o.recv_exactly(6), b'abcdef')
                head = c.recv_until(b'\r\n\r\n')
                self.assertRegex(head, rb'^HTTP/1.1 200 ')
                self.assertNotRegex(head, rb'(?i)content-length|transfer-encoding')
                o.send(b'\0\xff\r\n' * 9)
                self.assertEqual(c.recv_exactly(36), b'\0\xff\r\n' * 9)
                o.close()
                self.assertEqual(c.recv_all(), b'')

    def test_connect_of_http_1_0(self):
        c = self.client()
        c.send(crlf(f'CONNECT {self.o} HTTP/1.0\n\n'))
        o = self.accept()
        self.assertRegex(c.recv_until(b'\r\n\r\n'), rb'^HTTP/1.1 200 ')
        c.send(b'x')
        self.assertEqual(o.recv_exactly(1), b'x')

    def test_connect_to_nobody(self):
        gone = harness.free_port()
        c = self.client()
        c.send(crlf(f'CONNECT 127.0.0.1:{gone} HTTP/1.1\nHost: 127.0.0.1:{gone}\n\n'))
        head, body = self.response(c)
        self.assertRegex(head, rb'^HTTP/1.1 502 ')
        self.assertIn(b'connection refused', body)

    def test_an_ipv6_literal(self):
        listener = socket.create_server(('::1', 0), family=socket.AF_INET6)
        self.addCleanup(listener.close)
        port = listener.getsockname()[1]
        c = self.client()
        c.send(crlf(f'GET http://[::1]:{port}/ HTTP/1.1\nHost: x\n\n'))
        listener.settimeout(20)
        o, _ = listener.accept()
        self.addCleanup(o.close)
        self.assertTrue(o.recv(65536).startswith(f'GET / HTTP/1.1\r\nHost: [::1]:{port}\r\n'.encode()))
        o.sendall(OK)
        self.assertEqual(self.response(c)[1], b'ok')


if __name__ == '__main__':
    harness.main()
