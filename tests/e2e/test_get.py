#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""l7 get against servers that nobody here wrote, and origins that say exactly what a test wants."""
import gzip
import json
import os
import socket
import threading
import zlib

import harness
from get_case import Get, echo
from origin import Origin, answer


class Textbook(Get):
    def test_prints_head_and_body_as_received(self):
        raw = b'HTTP/1.1 200 OK\r\nX-Odd:   spaced\r\nContent-Length: 5\r\n\r\nhello'
        origin = self.says(raw)
        self.assertEqual(self.ok('127.0.0.1', origin.port, '/x.html', text=False), raw)
        self.assertEqual(origin.requests[0].target, '/x.html')
        self.assertEqual(origin.requests[0].headers['host'], f'127.0.0.1:{origin.port}')

    def test_a_missing_slash_is_added(self):
        origin = self.says(answer('x'))
        self.ok('127.0.0.1', origin.port, 'index.html')
        self.assertEqual(origin.requests[0].target, '/index.html')

    def test_ends_with_the_message_although_the_server_keeps_the_connection_open(self):
        origin = Origin(self, lambda c, r: c.sendall(answer('done')) or True)
        self.assertTrue(self.ok('127.0.0.1', origin.port, '/').endswith('done'))

    def test_bare_line_feeds_without_a_length(self):
        raw = b'HTTP/1.1 200 OK\nContent-Type: text/html\n\n<html>\nhi\n</html>\n'
        self.assertEqual(self.ok('127.0.0.1', self.says(raw).port, '/', text=False), raw)
        self.assertEqual(self.ok(self.says(raw).url(), text=False), b'<html>\nhi\n</html>\n')

    def test_an_answer_without_any_head(self):
        self.assertEqual(self.ok('127.0.0.1', self.says(b'<html>old</html>').port, '/'), '<html>old</html>')
        self.fails('does not begin with HTTP/', self.says(b'SSH-2.0-OpenSSH\r\n').url())

    def test_the_labs_own_server(self):
        """The textbook's web server: one request a connection, status line and body, then close."""
        s = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(s.close)

        def serve():
            c, _ = s.accept()
            c.recv(1024)
            c.send(b'HTTP/1.1 200 OK\r\n\r\n')
            for ch in b'<html>Hello</html>':
                c.send(bytes([ch]))
            c.close()
        threading.Thread(target=serve, daemon=True).start()
        out = self.ok('127.0.0.1', s.getsockname()[1], 'HelloWorld.html', text=False)
        self.assertEqual(out, b'HTTP/1.1 200 OK\r\n\r\n<html>Hello</html>')

    def test_an_error_status_is_shown_and_is_no_failure(self):
        out = self.ok('127.0.0.1', self.says(answer('none', '404 Not Found')).port, '/')
        self.assertTrue(out.startswith('HTTP/1.1 404 Not Found\r\n') and out.endswith('none'))


class Requests(Get):
    def test_what_a_plain_get_sends(self):
        got = self.asked('ORIGIN/a?b=c')
        self.assertEqual((got['method'], got['target']), ('GET', '/a?b=c'))
        self.assertEqual([k for k, _ in got['fields']], ['Host', 'User-Agent', 'Accept'])

    def test_method_and_fields(self):
        got = self.asked('-X', 'PROPFIND', '-H', 'X-A: 1', '-H', 'Accept:', '-H', 'X-Empty;', '-A', 'me', '-e', 'http://r/',
                         'ORIGIN/')
        self.assertEqual(got['method'], 'PROPFIND')
        self.assertEqual((got['headers']['x-a'], got['headers']['x-empty']), ('1', ''))
        self.assertEqual((got['headers']['user-agent'], got['headers']['referer']), ('me', 'http://r/'))
        self.assertNotIn('accept', got['headers'])

    def test_a_field_cannot_smuggle_a_line(self):
        self.fails('not allowed', '-H', 'X-A: 1\r\nX-B: 2', 'http://127.0.0.1:1/', code=2)

    def test_data(self):
        at = self.file('data', b'x=1\r\ny=2\n')
        got = self.asked('-d', 'a=b', '-d', f'@{at}', 'ORIGIN/')
        self.assertEqual((got['method'], got['body']), ('POST', 'a=b&x=1y=2'))
        self.assertEqual(got['headers']['content-type'], 'application/x-www-form-urlencoded')
        self.assertEqual(self.asked('--data-binary', f'@{at}', 'ORIGIN/')['body'], 'x=1\r\ny=2\n')
        self.assertEqual(self.asked('--data-raw', '@x', 'ORIGIN/')['body'], '@x')
        self.assertEqual(self.asked('--data-urlencode', 'q=a b&c', 'ORIGIN/')['body'], 'q=a+b%26c')
        self.assertEqual(self.asked('-d', '@-', 'ORIGIN/', input='from stdin')['body'], 'from stdin')

    def test_data_in_the_url(self):
        got = self.asked('-G', '-d', 'a=1', '--data-urlencode', 'b=x y', 'ORIGIN/p?z=0')
        self.assertEqual((got['method'], got['target'], got['body']), ('GET', '/p?z=0&a=1&b=x+y', ''))

    def test_json(self):
        got = self.asked('--json', '{"a": 1}', 'ORIGIN/')
        self.assertEqual((got['method'], got['body']), ('POST', '{"a": 1}'))
        self.assertEqual((got['headers']['content-type'], got['headers']['accept']), ('application/json',) * 2)

    def test_form(self):
        at = self.file('up.bin', b'\x00\x01--\r\n')
        got = self.asked('-F', 'name=J\u00fcrgen', '-F', f'f=@{at};type=image/png', '-F', f't=<{at}', 'ORIGIN/')
        self.assertTrue(got['headers']['content-type'].startswith('multipart/form-data; boundary='))
        boundary = got['headers']['content-type'].split('=')[1]
        parts = got['body'].split('--' + boundary)
        self.assertEqual(len(parts), 5)
        self.assertIn('name="f"; filename="up.bin"\r\nContent-Type: image/png\r\n\r\n\x00\x01--\r\n', parts[2])
        self.assertTrue(parts[3].endswith('name="t"\r\n\r\n\x00\x01--\r\n\r\n'))
        self.assertEqual(parts[4], '--\r\n')

    def test_upload(self):
        content = os.urandom(300000)
        at = self.file('big', content)
        got = self.asked('-T', at, 'ORIGIN/x')
        self.assertEqual((got['method'], got['body'].encode('latin-1')), ('PUT', content))
        got = self.asked('-T', '-', 'ORIGIN/x', input=b'streamed')
        self.assertEqual((got['body'], got['headers']['transfer-encoding']), ('streamed', 'chunked'))

    def test_an_upload_is_answered_before_it_is_whole(self):
        """The server's refusal is shown, not the broken pipe."""
        s = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(s.close)

        def serve():
            c, _ = s.accept()
            c.recv(1000)
            c.sendall(answer('too large', '413 Content Too Large', Connection='close'))
            c.shutdown(socket.SHUT_WR)
            while c.recv(65536):
                pass
        threading.Thread(target=serve, daemon=True).start()
        at = self.file('big', bytes(20 << 20))
        out = self.ok('-i', '-T', at, f'http://127.0.0.1:{s.getsockname()[1]}/')
        self.assertIn('413', out)

    def test_expect_100_continue(self):
        s = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(s.close)
        order = []

        def serve():
            c, _ = s.accept()
            head = b''
            while b'\r\n\r\n' not in head:
                head += c.recv(1000)
            order.append(head.split(b'\r\n\r\n', 1)[1])
            c.sendall(b'HTTP/1.1 100 Continue\r\n\r\n')
            order.append(c.recv(1000))
            c.sendall(answer('ok'))
            c.close()
        threading.Thread(target=serve, daemon=True).start()
        self.assertEqual(self.ok('-H', 'Expect: 100-continue', '-d', 'body', f'http://127.0.0.1:{s.getsockname()[1]}/'),
                         'ok')
        self.assertEqual(order, [b'', b'body'])

    def test_authentication(self):
        self.assertEqual(self.asked('-u', 'al:s3cret', 'ORIGIN/')['headers']['authorization'], 'Basic YWw6czNjcmV0')
        self.assertEqual(self.asked('--oauth2-bearer', 'tok', 'ORIGIN/')['headers']['authorization'], 'Bearer tok')
        origin = Origin(self, echo)
        out = self.ok(f'http://us%40er:pa%3Ass@127.0.0.1:{origin.port}/')
        self.assertIn('Basic dXNAZXI6cGE6c3M=', out)

    def test_range(self):
        self.assertEqual(self.asked('-r', '0-9', 'ORIGIN/')['headers']['range'], 'bytes=0-9')

    def test_head(self):
        origin = Origin(self, lambda c, r: c.sendall(answer(Content_Length=1000)) or True)
        self.assertEqual(self.ok('-I', origin.url()), 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n')
        self.assertEqual(origin.requests[0].method, 'HEAD')

    def test_offline_shows_the_request_and_sends_nothing(self):
        out = self.ok('--offline', '-d', 'a=b', 'http://nobody.invalid/x')
        self.assertTrue(out.startswith('POST /x HTTP/1.1\r\nHost: nobody.invalid\r\n'))
        self.assertTrue(out.endswith('Content-Length: 3\r\n\r\na=b'))

    def test_unix_socket(self):
        path = os.path.join(self.tmpdir, 's')
        Origin(self, lambda c, r: c.sendall(answer('by path')), family=socket.AF_UNIX, path=path)
        self.assertEqual(self.ok('--unix-socket', path, 'http://local.invalid/'), 'by path')

    def test_resolve(self):
        origin = Origin(self, echo)
        out = self.ok('--resolve', f'www.test.invalid:{origin.port}:127.0.0.1', f'http://www.test.invalid:{origin.port}/')
        self.assertIn(f'www.test.invalid:{origin.port}', out)

    def test_names_outside_of_ascii(self):
        origin = Origin(self, lambda c, r: c.sendall(answer(r.headers['host']) if r.target != '/to' else answer(
            '', '302 Found', Location=f'http://B\u00dcCHER.test.invalid:{origin.port}/caf\u00e9')) or True)
        pin = ['--resolve', f'b\u00fccher.test.invalid:{origin.port}:127.0.0.1']
        want = f'xn--bcher-kva.test.invalid:{origin.port}'
        for spelt in ['b\u00fccher', 'B\u00dccher', 'bu\u0308cher', 'b%C3%BCcher', 'xn--bcher-kva']:
            self.assertEqual(self.ok(*pin, f'http://{spelt}.test.invalid:{origin.port}/'), want)
        self.assertEqual(self.ok(*pin, f'b\u00fccher.test.invalid', origin.port, '/').split('\n')[-1], want)
        self.assertEqual(self.ok('-L', *pin, origin.url('/to')), want)
        self.assertEqual(origin.requests[-1].target, '/caf%C3%A9')
        self.fails('a/c.test.invalid', 'http://a\u2100.test.invalid/')
        self.fails('is no name', 'http://a%2fb.test.invalid/', code=2)

    def test_ipv6(self):
        origin = Origin(self, echo, family=socket.AF_INET6)
        self.assertIn(f'[::1]:{origin.port}', self.ok(f'http://[::1]:{origin.port}/'))
        self.fails('not found|unreachable|refused|family', '-4', f'http://[::1]:{origin.port}/')

    def test_usage(self):
        self.fails('did you mean', '--locaton', 'http://127.0.0.1/', code=2)
        self.fails('no URL', code=2)
        self.fails("'ftp:' is not supported", 'ftp://127.0.0.1/', code=2)

    def test_connection_refused_names_the_place(self):
        port = harness.free_port()
        self.fails(f'127.0.0.1:{port}: connection refused .is the server running', f'http://127.0.0.1:{port}/')


class Redirects(Get):
    def redirecting(self, status, location='/to'):
        def handler(conn, request):
            if request.target == '/from':
                conn.sendall(answer('moved', status, Location=location))
                return True
            return echo(conn, request)
        return Origin(self, handler)

    def test_are_shown_unless_followed(self):
        origin = self.redirecting('302 Found')
        self.assertEqual(self.ok(origin.url('/from')), 'moved')
        self.assertEqual(json.loads(self.ok('-L', origin.url('/from')))['target'], '/to')
        self.assertEqual(origin.connections, 2, 'the second request goes over the same connection')

    def test_methods(self):
        for status, data, method, body in [('301 x', True, 'GET', ''), ('302 x', True, 'GET', ''), ('303 x', True, 'GET', ''),
                                           ('307 x', True, 'POST', 'd=1'), ('308 x', True, 'POST', 'd=1'),
                                           ('303 x', False, 'GET', '')]:
            origin = self.redirecting(status)
            got = json.loads(self.ok('-L', *(['-d', 'd=1'] if data else []), origin.url('/from')))
            self.assertEqual((got['method'], got['body']), (method, body), status)

    def test_an_upload_is_sent_again_for_307(self):
        content = os.urandom(100000)
        origin = self.redirecting('307 x')
        got = json.loads(self.ok('-L', '-T', self.file('u', content), origin.url('/from')))
        self.assertEqual(got['body'].encode('latin-1'), content)

    def test_credentials_stay_with_their_origin(self):
        other = Origin(self, echo)
        origin = self.redirecting('302 Found', other.url('/to'))
        args = ['-L', '-u', 'a:b', '-H', 'Cookie: c=1', '-b', 'd=2', '-H', 'X-Keep: 1', origin.url('/from')]
        got = {k.lower(): v for k, v in json.loads(self.ok(*args))['fields']}
        self.assertNotIn('authorization', got)
        self.assertNotIn('cookie', got)
        self.assertEqual(got['x-keep'], '1')
        self.assertIn('authorization', origin.requests[0].headers)
        got = {k.lower(): v for k, v in json.loads(self.ok('--location-trusted', *args))['fields']}
        self.assertEqual(got['authorization'], 'Basic YTpi')

    def test_relative_and_odd_locations(self):
        for location, target in [('x', '/a/x'), ('../y?q', '/y?q'), ('?only', '/a/from?only'), ('//{}/z', '/z')]:
            seen = []

            def handler(conn, request):
                seen.append(request.target)
                if request.target == '/a/from':
                    conn.sendall(answer('', '302 Found', Location=location.format(f'127.0.0.1:{origin.port}')))
                else:
                    conn.sendall(answer('ok'))
                return True
            origin = Origin(self, handler)
            self.assertEqual(self.ok('-L', origin.url('/a/from')), 'ok')
            self.assertEqual(seen[1], target)

    def test_other_schemes_are_not_followed(self):
        self.fails('only http and https', '-L', self.redirecting('302 Found', 'file:///etc/passwd').url('/from'))

    def test_ten_thousand_redirects(self):
        origin = Origin(self, lambda c, r: c.sendall(answer('', '302 Found', Location=f'/{len(r.target)}x')) or True)
        self.fails('more than 50 redirects', '-L', origin.url())
        self.assertEqual(len(origin.requests), 51)
        self.fails('more than 3 redirects', '-L', '--max-redirs', '3', origin.url())


class Misbehaving(Get):
    """One clear error and a non-zero status, in time."""

    def test_closing_before_the_length_is_reached(self):
        out = self.fails('5 of 10 bytes came', self.says(b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello').url())
        self.assertEqual(out, 'hello')

    def test_closing_inside_a_chunk_or_before_the_last(self):
        head = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
        self.fails('inside a chunked body', self.says(head + b'a\r\nhello').url())
        self.fails('inside a chunked body', self.says(head + b'5\r\nhello\r\n').url())
        self.fails('chunk', self.says(head + b'5\r\nhelloXX3\r\n').url())
        self.fails('chunk', self.says(head + b'zz\r\n').url())

    def test_both_framings_or_two_lengths(self):
        self.fails('both', self.says(b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n').url())
        self.fails('Content-Length', self.says(b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello').url())
        self.fails('Content-Length', self.says(b'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello').url())

    def test_closing_inside_the_head_or_saying_nothing(self):
        self.fails('inside the response head', self.says(b'HTTP/1.1 200 OK\r\nContent-Le').url())
        self.fails('no answer came', self.says(b'').url())

    def test_endless_head(self):
        def handler(conn, request):
            conn.sendall(b'HTTP/1.1 200 OK\r\n')
            while True:
                conn.sendall(b'X-Filler: ' + b'y' * 4000 + b'\r\n')
        self.fails('head', Origin(self, handler).url())

    def test_endless_interim_answers(self):
        def handler(conn, request):
            while True:
                conn.sendall(b'HTTP/1.1 102 Processing\r\n\r\n' * 100)
        self.fails('interim', Origin(self, handler).url())

    def test_silence(self):
        def handler(conn, request):
            conn.recv(1)
        self.fails('--max-time', '-m', '0.3', Origin(self, handler).url())
        self.fails('--timeout', '--timeout', '0.3', Origin(self, handler).url())

    def test_stalling_in_the_body(self):
        def handler(conn, request):
            conn.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhel')
            conn.recv(1)
        self.assertEqual(self.fails('--max-time', '-m', '0.3', Origin(self, handler).url()), 'hel')

    def test_gzip_bomb(self):
        bomb = gzip.compress(bytes(64 << 20))
        origin = self.says(answer(bomb, Content_Encoding='gzip'))
        at = os.path.join(self.tmpdir, 'bomb')
        self.fails('--max-filesize', '--compressed', '--max-filesize', '1M', '-o', at, origin.url())
        self.assertFalse(os.path.exists(at))

    def test_announced_and_unannounced_sizes(self):
        self.fails('2000 bytes, --max-filesize', '--max-filesize', '1K', self.says(answer(bytes(2000))).url())
        self.fails('larger than', '--max-filesize', '1K', self.says(b'HTTP/1.1 200 OK\r\n\r\n' + bytes(2000)).url())

    def test_terminal_escapes_never_reach_a_terminal(self):
        raw = b'HTTP/1.1 200 \x1b[31mred\r\nX-A: \x1b]0;title\x07\r\nContent-Length: 9\r\n\r\n\x1b[2Jclear'
        code, out, err = self.get('-v', self.says(raw).url(), text=False)
        self.assertNotIn('\x1b', err)
        plain = self.says(b'HTTP/1.1 200 OK\r\nX-A: v\r\nContent-Length: 9\r\n\r\n\x1b[2Jclear')
        args, env = ['l7', 'get', '127.0.0.1', str(plain.port), '/'], harness.environment()
        pid, fd = os.forkpty()
        if pid == 0:
            os.execve(harness.L7, args, env)
        shown = b''
        while True:
            try:
                got = os.read(fd, 65536)
            except OSError:
                break
            if not got:
                break
            shown += got
        os.waitpid(pid, 0)
        os.close(fd)
        self.assertIn(b'\\x1b[2Jclear', shown)
        self.assertNotIn(b'\x1b', shown)

    def test_an_unknown_or_broken_coding(self):
        self.fails('coding', '--compressed', self.says(answer('x', Content_Encoding='rot13')).url())
        self.fails('compressed body', '--compressed', self.says(answer('not gzip', Content_Encoding='gzip')).url())
        cut = gzip.compress(b'hello' * 1000)[:-5]
        self.fails('compressed body', '--compressed', self.says(answer(cut, Content_Encoding='gzip')).url())


class Bodies(Get):
    def test_codings(self):
        text = b'some text, ' * 10000
        raw = zlib.compressobj(wbits=-15)
        for coding, data in [('gzip', gzip.compress(text)), ('deflate', zlib.compress(text)),
                             ('deflate', raw.compress(text) + raw.flush()), ('gzip, gzip', gzip.compress(gzip.compress(text)))]:
            origin = self.says(answer(data, Content_Encoding=coding))
            self.assertEqual(self.ok('--compressed', origin.url(), text=False), text)
            self.assertEqual(origin.requests[0].headers['accept-encoding'], 'gzip, deflate, br, zstd')
            self.assertEqual(self.ok(origin.url(), text=False), data)

    def test_chunked_in_any_pieces(self):
        body = os.urandom(200000)

        def handler(conn, request):
            conn.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
            at = 0
            for n in [1, 2, 3, 1000, 65536, 100000]:
                piece = body[at:at + n]
                at += n
                conn.sendall(b'%x;ext=1\r\n' % len(piece) + piece + b'\r\n')
            conn.sendall(b'%x\r\n' % len(body[at:]) + body[at:] + b'\r\n0\r\nX-Trailer: t\r\n\r\n')
            return True
        origin = Origin(self, handler)
        self.assertEqual(self.ok(origin.url(), origin.url(), text=False), body + body)
        self.assertEqual(origin.connections, 1)

    def test_fail_and_fail_with_body(self):
        origin = self.says(answer('why', '500 Oops'))
        self.assertEqual(self.ok(origin.url()), 'why')
        self.assertEqual(self.fails('500 Oops', '-f', origin.url()), '')
        self.assertEqual(self.fails('500 Oops', '--fail-with-body', origin.url()), 'why')

    def test_some_urls_fail(self):
        origin = self.says(answer('fine'))
        code, out, err = self.get(origin.url(), f'http://127.0.0.1:{harness.free_port()}/')
        self.assertEqual((code, out), (3, 'fine'))
        self.assertIn('refused', err)

    def test_silent_and_show_error(self):
        url = f'http://127.0.0.1:{harness.free_port()}/'
        self.assertEqual(self.get('-s', url), (1, '', ''))
        self.assertIn('refused', self.get('-s', '-S', url)[2])

    def test_limit_rate(self):
        import time
        origin = self.says(answer(bytes(60000)))
        begin = time.monotonic()
        self.ok('--limit-rate', '100K', origin.url())
        self.assertGreater(time.monotonic() - begin, 0.4)

    def test_include_and_dump_header(self):
        origin = self.says(answer('body', X_A='1'))
        at = os.path.join(self.tmpdir, 'head')
        head = 'HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 4\r\n\r\n'
        self.assertEqual(self.ok('-i', origin.url()), head + 'body')
        self.ok('-D', at, origin.url())
        self.assertEqual(open(at, newline='').read(), head)

    def test_verbose_masks_secrets(self):
        origin = self.says(answer('x', Set_Cookie='sid=topsecret'))
        err = self.get('-v', '-u', 'al:s3cret', origin.url())[2]
        self.assertIn('> GET / HTTP/1.1', err)
        self.assertIn('> Authorization: <masked>', err)
        self.assertNotIn('topsecret', err)
        self.assertIn('YWw6czNjcmV0', self.get('-v', '--trace-secrets', '-u', 'al:s3cret', origin.url())[2])

    def test_trace(self):
        origin = self.says(answer('x'))
        err = self.get('--trace', origin.url())[2]
        self.assertRegex(err, r'\d C: GET / HTTP/1.1')
        self.assertRegex(err, r'\d S: HTTP/1.1 200 OK')


if __name__ == '__main__':
    harness.main()
