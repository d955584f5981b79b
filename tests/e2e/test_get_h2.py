#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The HTTP/2 client against a server that says exactly what a test wants: flow control both ways, early ends,
limits (RFC 9113); and trailers and interim answers of servers that nobody here wrote."""
import os
import socket
import struct

import harness
import peers
from get_case import Get
from h2_peer import ACK, CONTINUATION, DATA, END_HEADERS, GOAWAY, H2Peer, HEADERS, PING, RST_STREAM, SETTINGS, block

OK = [(':status', '200')]
ENHANCE_YOUR_CALM, REFUSED, PROTOCOL_ERROR, CANCEL = 11, 7, 1, 8


class Http2(Get):
    def fetch(self, script, *args, settings=(), **kw):
        self.peer = H2Peer(self, script, settings)
        got = self.ok('--http2-prior-knowledge', *args, self.peer.url(), **kw)
        self.peer.check(self)
        return got

    def refuses(self, pattern, script, *args, settings=()):
        self.peer = H2Peer(self, script, settings)
        got = self.fails(pattern, '--http2-prior-knowledge', '-m', '30', *args, self.peer.url(), timeout=40)
        self.peer.check(self)
        return got

    def test_an_answer_with_interim_ones_and_trailers(self):
        def script(c):
            sid = c.request()
            c.headers(sid, [(':status', '103'), ('link', '</a>')])
            c.headers(sid, [(':status', '102')])
            c.headers(sid, OK + [('x-a', '1')])
            c.data(sid, b'hello')
            c.frame(HEADERS, END_HEADERS | 1, sid, block([('x-trailer', 't')]))
            c.ended()
        self.assertEqual(self.fetch(script, '-i'), 'HTTP/2 200 \r\nx-a: 1\r\n\r\nhello')

    def test_a_head_in_many_pieces(self):
        def script(c):
            sid, data = c.request(), block(OK + [('x-a', 'v' * 100)])
            c.frame(HEADERS, 1, sid, data[:1])
            for i in range(1, len(data), 30):
                c.frame(CONTINUATION, END_HEADERS if i + 30 >= len(data) else 0, sid, data[i:i + 30])
            c.ended()
        self.assertIn('x-a: ' + 'v' * 100, self.fetch(script, '-i'))

    def test_upload_into_windows_that_open_slowly(self):
        content, got = os.urandom(300000), []

        def script(c):
            sid, acked, credit = c.request(), False, 0
            while len(b''.join(got)) < len(content):
                kind, flags, _, payload = c.read()
                acked = acked or (kind == SETTINGS and flags & ACK)
                if kind == DATA:
                    got.append(payload)
                    c.credit(0, len(payload))
                size = len(b''.join(got))
                if not acked:  # it may not know yet that the window is zero (section 6.9.2)
                    assert size <= 65535
                    continue
                assert kind != DATA or size <= max(credit, 65535 if not credit else 0), 'more than the window'
                if size >= credit:
                    c.credit(sid, 7000 + size - credit)
                    credit = size + 7000
            c.headers(sid, OK)
            c.data(sid, b'thanks', end=True)
            c.ended()
        at = self.file('up', content)
        self.assertEqual(self.fetch(script, '-T', at, settings=[(4, 0)]), 'thanks')
        self.assertEqual(b''.join(got), content)

    def test_a_slow_reader_holds_the_server_back(self):
        """What is granted never runs more than the windows ahead of what the rate lets through."""
        total, ahead = 3 << 20, []

        def script(c):
            sid = c.request()
            while not c.windows.get(0):
                c.read()
            c.headers(sid, OK)
            window = {0: 65535 + c.windows[0], sid: c.initial_window}
            seen, sent = dict(c.windows), 0
            while sent < total:
                for s in (0, sid):
                    window[s] += c.windows.get(s, 0) - seen.get(s, 0)
                    seen[s] = c.windows.get(s, 0)
                n = min(16384, total - sent, window[0], window[sid])
                if n <= 0:
                    c.read()
                    continue
                c.data(sid, bytes(n), end=sent + n == total)
                sent += n
                window[0], window[sid] = window[0] - n, window[sid] - n
                ahead.append(sent - c.windows.get(sid, 0))
            c.ended()
        at = os.path.join(self.tmpdir, 'got')
        self.fetch(script, '-o', at, '--limit-rate', '4M')
        self.assertEqual(os.path.getsize(at), total)
        self.assertLess(max(ahead), total, 'the server was never held back')

    def test_a_refused_stream_is_asked_again_elsewhere(self):
        def script(c):
            sid = c.request()
            if self.peer.connections == 1:
                c.frame(RST_STREAM, 0, sid, struct.pack('>I', REFUSED))
            else:
                c.headers(sid, OK)
                c.data(sid, b'second', end=True)
            c.ended()
        self.assertEqual(self.fetch(script, '-d', 'even a POST: it was not looked at'), 'second')

    def test_broken_off(self):
        def before(c):
            c.frame(RST_STREAM, 0, c.request(), struct.pack('>I', PROTOCOL_ERROR))
            c.ended()
        self.refuses('broke the stream off', before)

        def inside(c):
            sid = c.request()
            c.headers(sid, OK + [('content-length', '10')])
            c.data(sid, b'hel')
            c.frame(RST_STREAM, 0, sid, struct.pack('>I', CANCEL))
            c.ended()
        self.assertEqual(self.refuses('broke the stream off', inside), 'hel')

        def gone(c):
            sid = c.request()
            c.headers(sid, OK)
            c.data(sid, b'hel')
            c.sock.shutdown(socket.SHUT_WR)
            c.ended()
        self.assertEqual(self.refuses('connection ended', gone), 'hel')

    def test_goaway(self):
        def with_the_answer(c):
            sid = c.request()
            c.frame(GOAWAY, 0, 0, struct.pack('>II', sid, 0))
            c.headers(sid, OK)
            c.data(sid, b'last', end=True)
            c.ended()
        self.assertEqual(self.fetch(with_the_answer), 'last')

        def without(c):
            c.request()
            c.frame(GOAWAY, 0, 0, struct.pack('>II', 0, ENHANCE_YOUR_CALM))
            c.ended()
        self.refuses('HTTP/2', without)

    def test_floods(self):
        def continuation(c):
            sid = c.request()
            c.frame(HEADERS, 0, sid, block(OK))
            piece = block([('x-filler', 'y' * 100)]) * 100
            while True:
                c.frame(CONTINUATION, 0, sid, piece)
        self.refuses('HTTP/2|head', continuation)

        def empty(c):
            sid = c.request()
            c.frame(HEADERS, 0, sid, block(OK))
            while True:
                c.frame(CONTINUATION, 0, sid, b'')
        self.refuses('HTTP/2|head', empty)

        def interim(c):
            sid = c.request()
            while True:
                c.headers(sid, [(':status', '102')])
        self.refuses('head.*too large', interim)

        def settings(c):
            c.request()
            while True:
                c.frame(SETTINGS, 0, 0)
                c.frame(PING, 0, 0, b'12345678')
        self.refuses('HTTP/2: Flooding', settings)

    def test_nonsense(self):
        def twice(c):
            sid = c.request()
            c.headers(sid, [(':status', '200'), (':status', '404')], end=True)
            c.ended()
        self.refuses('HTTP/2', twice)

        def length(c):
            sid = c.request()
            c.headers(sid, OK + [('content-length', '3')])
            c.data(sid, b'hello', end=True)
            c.ended()
        self.refuses('HTTP/2', length)

        def push(c):
            c.request()
            c.frame(5, END_HEADERS, 1, struct.pack('>I', 2) + block([(':method', 'GET')]))
            c.ended()
        self.refuses('HTTP/2', push)

        def more_than_the_window(c):
            sid = c.request()
            c.headers(sid, OK)
            while True:
                c.data(sid, bytes(16384))
        self.refuses('HTTP/2', more_than_the_window, '--limit-rate', '100K')

    def test_trailers_and_limits_of_others(self):
        site = os.path.dirname(self.file('site/a.txt', b'hello\n'))
        port = harness.free_port()
        peers.start(self, 'nghttpd', ['--no-tls', '-d', site, '--address=127.0.0.1', '--trailer', 'x-t: 1',
                                      '--max-concurrent-streams', '2', '--window-bits=10', str(port)], port)
        url = f'http://127.0.0.1:{port}/a.txt'
        out = self.ok('--http2-prior-knowledge', '-Z', '--parallel-max', '8', *[url] * 20)
        self.assertEqual(out, 'hello\n' * 20)

    def test_through_nghttpx(self):
        site = os.path.dirname(self.file('site/a.txt', b'hello\n'))
        content = os.urandom(3 << 20)
        self.file('site/big', content)
        origin, port = peers.start_nginx(self, site).peer_port, harness.free_port()
        peers.start(self, 'nghttpx', ['--conf=/dev/null', '-f', f'127.0.0.1,{port};no-tls', '-b', f'127.0.0.1,{origin}',
                                      '--frontend-http2-window-size=1K', '-n1'], port)
        url = f'http://127.0.0.1:{port}'
        self.assertEqual(self.ok('--http2-prior-knowledge', url + '/big', text=False), content)
        self.assertEqual(self.ok('--http2-prior-knowledge', url + '/a.txt'), 'hello\n')


if __name__ == '__main__':
    harness.main()
