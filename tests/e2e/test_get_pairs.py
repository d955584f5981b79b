#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Options of l7 get together, and those that only show beside others, against nginx; curl reads and writes what is shared
with it."""
import contextlib
import email
import os
import re
import socket
import subprocess
import time

import harness
import peers
from get_case import Get

ENTRY = 'return 200 "$request_method|$http_authorization|$http_cookie|$content_type|$http_accept"'


class Pairs(Get):
    def setUp(self):
        self.site = os.path.join(self.tmpdir, 'site')
        self.out = os.path.join(self.tmpdir, 'out')
        self.big = os.urandom(9 << 20)
        for name, data in [('a.txt', b'hello\n'), ('b.txt', b'bye\n'), ('big', self.big), ('d/c.txt', b'deep\n')]:
            self.file('site/' + name, data)
            os.utime(f'{self.site}/{name}', (1700000000, 1700000000))
        for folder in (self.out, f'{self.site}/put'):
            os.mkdir(folder)
        os.chmod(f'{self.site}/put', 0o777)
        self.log = os.path.join(self.tmpdir, 'log')
        self.other = f'http://127.0.0.1:{peers.start_nginx(self, self.site, server=f"location /show {{ {ENTRY}; }}").peer_port}'
        self.port = peers.start_nginx(self, self.site, http=f'''
            log_format l '$connection $status $request_method $request_uri "$http_range" $request_length';
            ''', server=f'''
            access_log {self.log} l;
            keepalive_requests 100000;
            location /show {{ {ENTRY}; }}
            location /there {{ return 302 {self.other}/show; }}
            location /here {{ return 302 /show; }}
            location /hop {{ return 302 /a.txt; }}
            location /far {{ return 302 {self.other}/a.txt; }}
            location /none {{ return 404 "no such thing"; }}
            location /busy {{ return 503; }}
            location /named {{ add_header Content-Disposition 'attachment; filename="given.txt"'; return 200 named; }}
            location /evil {{ add_header Content-Disposition 'attachment; filename="../../evil"'; return 200 evil; }}
            location /cookie {{ add_header Set-Cookie "session=1; Path=/"; add_header Set-Cookie "long=2; Path=/; Max-Age=999"; return 200 set; }}
            location /put {{ dav_methods PUT; client_max_body_size 0; }}''').peer_port
        self.url = f'http://127.0.0.1:{self.port}'

    def read(self, name):
        with open(os.path.join(self.out, name), 'rb') as f:
            return f.read()

    def at(self, name):
        return os.path.join(self.out, name)

    def names(self):
        return sorted(os.listdir(self.out))

    def logged(self, requests):
        """The lines of the log once there are so many: nginx writes when it has answered."""
        def lines():
            with open(self.log) as f:
                return [line.split(' ', 4) for line in f]
        self.wait_until(lambda: len(lines()) >= requests, what=f'{requests} lines')
        self.assertEqual(len(lines()), requests)
        return lines()

    def curl(self, *args):
        return subprocess.run([peers.path('curl'), '-sS', *args], capture_output=True, text=True, check=True).stdout

    # -- Files --

    def test_dump_header(self):
        self.ok('-L', '-D', self.at('head'), '-o', self.at('body'), self.url + '/hop')
        text = self.read('head').decode()
        self.assertEqual(re.findall(r'(?m)^HTTP/1.1 (\d+)', text), ['302', '200'])
        self.assertIn('Location: ', text.split('\r\n\r\n')[0])
        self.assertEqual(self.read('body'), b'hello\n')
        self.assertIn('ETag: ', self.ok('-D', '-', '-o', self.at('body'), self.url + '/a.txt'))

    def test_remote_time(self):
        for option, same in [([], False), (['-R'], True)]:
            for body in ('a.txt', 'big'):
                self.ok('-O', *option, '--output-dir', self.out, f'{self.url}/{body}')
                self.assertEqual(os.stat(self.at(body)).st_mtime == 1700000000, same, (option, body))

    def test_the_servers_name_for_it(self):
        self.ok('-OJ', '--output-dir', self.out, self.url + '/named', self.url + '/a.txt', self.url + '/evil')
        self.assertEqual(self.names(), ['a.txt', 'evil', 'given.txt'])
        self.assertEqual([self.read(n) for n in self.names()], [b'hello\n', b'evil', b'named'])
        self.ok('-O', '--output-dir', self.out, self.url + '/named')
        self.assertIn('named', self.names())
        self.assertFalse(os.path.exists(os.path.join(self.tmpdir, 'evil')))
        self.file('out/given.txt', 'mine')
        self.fails('replaces nothing', '-OJ', '--output-dir', self.out, self.url + '/named')
        self.assertEqual(self.read('given.txt'), b'mine')

    def test_no_clobber(self):
        """A dot and a number behind the name, as with curl: every time, and for small and large bodies."""
        for name, more in [('a.txt', []), ('big', []), ('given.txt', ['-J'])]:
            self.file('out/' + name, 'mine')
            url = self.url + ('/named' if more else '/' + name)
            for _ in range(2):
                self.ok('-O', *more, '--no-clobber', '--output-dir', self.out, url)
            self.assertEqual(self.read(name), b'mine')
            self.assertEqual(self.read(name + '.1'), self.read(name + '.2'))
        self.assertEqual([self.read('a.txt.1'), self.read('big.1') == self.big, self.read('given.txt.1')],
                         [b'hello\n', True, b'named'])
        self.assertEqual(len(self.names()), 9)
        self.ok('-o', self.at('a.txt'), self.url + '/b.txt')
        self.assertEqual(self.read('a.txt'), b'bye\n')

    def test_create_dirs(self):
        self.fails('not found', '-o', self.at('x/y/z'), self.url + '/a.txt')
        self.ok('--create-dirs', '-o', self.at('x/y/z'), self.url + '/a.txt')
        self.assertEqual(self.read('x/y/z'), b'hello\n')
        self.ok('--create-dirs', '--output-dir', self.at('new/er'), '-O', self.url + '/big')
        self.assertEqual(self.read('new/er/big'), self.big)

    def test_fail_leaves_what_was_there(self):
        self.file('out/kept', 'kept')
        self.fails('404', '--fail', '-o', self.at('kept'), self.url + '/none')
        self.fails('404', '--fail', '-o', self.at('new'), self.url + '/none')
        self.assertEqual((self.names(), self.read('kept')), (['kept'], b'kept'))
        self.fails('404', '--fail-with-body', '-o', self.at('new'), self.url + '/none')
        self.assertEqual(self.read('new'), b'no such thing')

    def test_resume_with_segments(self):
        """What is there is not fetched twice, whichever way the rest comes."""
        tag = re.search(r'(?m)^ETag: (.*)\r$', self.ok('-I', self.url + '/big')).group(1)
        self.file('out/big.part', self.big[:5 << 20])
        self.file('out/big.part.info', f'{tag}\n{len(self.big)}\n')
        out = self.ok('-C', '-', '--segments', '4', '-w', '%{http_code} %{size_download}', '-o', self.at('big'), self.url + '/big')
        self.assertEqual(out, f'206 {4 << 20}')
        self.assertEqual((self.names(), self.read('big') == self.big), (['big'], True))
        self.ok('-C', '-', '--segments', '4', '-o', self.at('fresh'), self.url + '/big')
        self.assertEqual(self.read('fresh'), self.big)
        self.assertEqual(len([line for line in self.logged(6) if line[4].startswith('"bytes=')]), 4)

    def test_a_thousand_from_a_list(self):
        names = [f'n{i}' for i in range(1000)]
        for n in names:
            self.file('site/' + n, n * 3)
        urls = self.file('urls', ''.join(f'{self.url}/{n}\n' for n in names))
        self.ok('--input', urls, '-O', '--output-dir', self.out)
        self.assertEqual(self.names(), sorted(names))
        self.assertTrue(all(self.read(n) == (n * 3).encode() for n in names))
        self.assertEqual(len({line[0] for line in self.logged(1000)}), 1, 'one connection')
        self.ok('--input', urls, '-Z', '--parallel-max', '7', '-O', '--output-dir', self.out)
        self.assertTrue(2 < len({line[0] for line in self.logged(2000)}) <= 8)

    # -- Redirects and credentials --

    def test_credentials_and_strangers(self):
        basic = 'Basic YWw6cHc='
        cases = [('/show', [], f'GET|{basic}|c=1'), ('/here', [], f'GET|{basic}|c=1'), ('/there', [], 'GET||'),
                 ('/there', ['--location-trusted'], f'GET|{basic}|c=1')]
        for path, more, want in cases:
            got = self.ok('-L', '-u', 'al:pw', '-b', 'c=1', *more, self.url + path)
            self.assertEqual('|'.join(got.split('|')[:3]), want, path)
        for more, want in [([], ''), (['--location-trusted'], 'Bearer t')]:
            self.assertEqual(self.ok('-L', '--oauth2-bearer', 't', *more, self.url + '/there').split('|')[1], want)
        for more, want in [([], ''), (['--location-trusted'], 'own')]:
            self.assertEqual(self.ok('-L', '-H', 'Authorization: own', *more, self.url + '/there').split('|')[1], want)

    def test_heads_of_all_hops(self):
        out = self.ok('-I', '-L', self.url + '/hop')
        self.assertEqual(re.findall(r'(?m)^HTTP/1.1 (\d+)', out), ['302', '200'])
        self.assertEqual([line[2:4] for line in self.logged(2)], [['HEAD', '/hop'], ['HEAD', '/a.txt']])
        self.fails('more than 0 redirects', '-L', '--max-redirs', '0', self.url + '/hop')
        self.ok('-L', '--max-redirs', '1', self.url + '/hop')

    def test_write_out_tells_of_failures(self):
        port = harness.free_port()
        code, out, err = self.get('-w', '%{http_code} %{num_connects} %{url}\\n', self.url + '/none', f'http://127.0.0.1:{port}/')
        self.assertEqual((code, out), (3, f'no such thing404 1 {self.url}/none\n000 0 http://127.0.0.1:{port}/\n'))
        self.assertIn('connection refused', err)
        self.assertEqual(self.get('-s', '-f', '-w', '%{http_code}', self.url + '/none')[1], '404')
        self.assertEqual(self.ok('-L', '-w', '|%{url_effective} %{num_redirects} %{size_download}', self.url + '/far'),
                         f'hello\n|{self.other}/a.txt 1 6')

    # -- Data --

    def test_data_from_files_and_by_every_name(self):
        lines = self.file('lines', 'a=1\r\nb=2\n')
        def sent(*args, **kw):
            return self.ok('--offline', *args, self.url, **kw).split('\r\n\r\n', 1)[1]
        self.assertEqual(sent('-d', '@' + lines), 'a=1b=2')
        self.assertEqual(sent('--data-binary', '@' + lines), 'a=1\r\nb=2\n')
        self.assertEqual(sent('--data-raw', '@x'), '@x')
        self.assertEqual(sent('-d', '@-', '--data-urlencode', 'q=a b&c', input=b'x\ny'), 'xy&q=a+b%26c')
        for args in (['-d', '@' + lines], ['--data-binary', '@' + lines], ['--data-raw', '@x'], ['--data-urlencode', 'q=ä &'],
                     ['-d', 'a', '--data-raw', 'b', '--data-urlencode', '=c d']):
            ours = self.received(['get', '-s', *args])
            self.assertEqual(ours, self.received(['-s', *args], peers.path('curl')), args)
            self.assertTrue(ours[1])

    def received(self, argv, program=harness.L7):
        """(content type, body) of a request, as a socket sees them."""
        s = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(s.close)
        p = self.start([*argv, f'http://127.0.0.1:{s.getsockname()[1]}/'], wait=False, program=program)
        conn, _ = s.accept()
        with conn, conn.makefile('rb') as f:
            head = email.message_from_binary_file(_head(f))
            body = f.read(int(head['content-length']))
            conn.sendall(b'HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n')
        self.assertEqual(p.wait(), 0)
        return head['content-type'], body

    def test_forms_are_what_curl_sends(self):
        f = self.file('f.bin', 'content')
        for args in (['-F', f'a=@{f};type=text/x-own;filename=other.txt'], ['-F', f'a=<{f};type=text/x-own'], ['-F', 'a=1', '-F', 'b=2;type=x/y'],
                     ['--form-string', 'a=@b;type=c'], ['-F', f'a=@{f}', '-F', 'q="quoted"'],
                     ['-F', 'a=x y;type=text/plain;charset=utf-8'], ['-F', f'a=@"{f}";filename="a;b \\"c.txt"'],
                     ['-F', 'a="x;type=y \\\\";type=text/z'], ['-F', 'a="un']):
            ours, theirs = (_parts(*self.received(argv, program)) for argv, program in
                            [(['get', '-s', *args], harness.L7), (['-s', *args], peers.path('curl'))])
            self.assertEqual(ours, theirs, args)

    def test_json_by_another_method(self):
        self.assertEqual(self.ok('--json', '{"a":1}', '-X', 'PATCH', self.url + '/show'),
                         'PATCH|||application/json|application/json')
        self.assertEqual(self.ok('--json', '{}', '-H', 'Accept: text/x', self.url + '/show'), 'POST|||application/json|text/x')

    def test_upload_from_an_offset(self):
        """The rest of an upload says where it belongs, as curl's does."""
        f = self.file('up', 'abcdefghij')
        s = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(s.close)
        got = []
        for argv, program in [(['get', '-s'], harness.L7), (['-s'], peers.path('curl'))]:
            p = self.start([*argv, '-T', f, '-C', '4', f'http://127.0.0.1:{s.getsockname()[1]}/x'], wait=False, program=program)
            conn, _ = s.accept()
            with conn, conn.makefile('rb') as file:
                head = email.message_from_binary_file(_head(file))
                got.append((head['content-range'], head['content-length'], head['range'], file.read(int(head['content-length']))))
                conn.sendall(b'HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
            self.assertEqual(p.wait(), 0)
        self.assertEqual(got[0], ('bytes 4-9/10', '6', None, b'efghij'))
        self.assertEqual(got[0], got[1])

    # -- Cookies --

    def test_jars_go_both_ways(self):
        ours, theirs = os.path.join(self.tmpdir, 'ours'), os.path.join(self.tmpdir, 'theirs')
        self.ok('-c', ours, self.url + '/cookie')
        self.curl('-c', theirs, self.url + '/cookie')
        def cookies(text):
            return sorted(text.split('|')[2].split('; '))
        want = ['long=2', 'session=1']
        for jar in (ours, theirs):
            self.assertEqual(cookies(self.ok('-b', jar, self.url + '/show')), want)
            self.assertEqual(cookies(self.curl('-b', jar, self.url + '/show')), want)
            self.assertEqual(cookies(self.ok('-j', '-b', jar, self.url + '/show')), ['long=2'])
        self.assertEqual(cookies(self.ok('-b', ours, '-c', ours, self.url + '/show')), want)
        self.assertEqual(cookies(self.curl('-b', ours, self.url + '/show')), want)

    # -- Time, speed and places --

    def test_silence_has_limits_everywhere(self):
        """A server that accepts and says nothing: during TLS, before the head; and one that does not even accept."""
        s = socket.create_server(('127.0.0.1', 0), backlog=0)
        self.addCleanup(s.close)
        port = s.getsockname()[1]
        for url, args, why in [(f'https://127.0.0.1:{port}/', ['-m', '0.3'], '--max-time'),
                               (f'https://127.0.0.1:{port}/', ['--connect-timeout', '0.3'], 'TLS|connect'),
                               (f'http://127.0.0.1:{port}/', ['--timeout', '0.3'], '--timeout'),
                               (f'http://127.0.0.1:{port}/', ['-m', '0.3'], '--max-time')]:
            begin = time.monotonic()
            self.fails(why, *args, '-o', self.at('x'), url)
            self.assertLess(time.monotonic() - begin, 5)
            conn, _ = s.accept()
            conn.close()
        full = [socket.socket() for _ in range(8)]
        for c in full:
            self.addCleanup(c.close)
            c.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                c.connect(('127.0.0.1', port))
        self.fails('timed out|connect', '--connect-timeout', '0.3', f'http://127.0.0.1:{port}/')
        self.assertEqual(self.names(), [])

    def test_limits_of_retries(self):
        def tries(status, *args):
            """(exit status, how often stderr names the HTTP status; the port may look like one)"""
            code, _, err = self.get('-f', *args)
            return code, err.replace(self.url.split('//')[1], '').count(status)

        for args in (['--retry', '9', '--retry-delay', '1', '--retry-max-time', '1'], ['--retry', '1', '--retry-delay', '0.01']):
            begin = time.monotonic()
            code, count = tries('503', *args, self.url + '/busy')
            self.assertEqual((code, count), (1, 2 if '1' == args[1] else count))
            self.assertLess(time.monotonic() - begin, 4)
        quick = ('--retry', '2', '--retry-delay', '0.01')
        self.assertEqual(tries('404', *quick, self.url + '/none')[1], 1)
        self.assertEqual(tries('404', *quick, '--retry-all-errors', self.url + '/none')[1], 3)

    def test_rate_and_parallel(self):
        for name in ('mid', 'mid2'):
            self.file('site/' + name, bytes(100 << 10))
        begin = time.monotonic()
        self.ok('-Z', '--limit-rate', '200K', '-O', '--output-dir', self.out, self.url + '/mid', self.url + '/mid2')
        took = time.monotonic() - begin
        self.assertGreater(took, 0.3, 'each at its rate')
        self.assertEqual((self.read('mid'), self.read('mid2')), (bytes(100 << 10), bytes(100 << 10)))

    def test_one_name_for_two(self):
        """Their bytes are never mixed: one of two at once wins, the other is told."""
        self.file('site/d/big', self.big[::-1])
        code, _, err = self.get('-Z', '--limit-rate', '5M', '-O', '--output-dir', self.out, self.url + '/big', self.url + '/d/big')
        self.assertEqual(code, 3)
        self.assertIn('another download is writing it', err)
        self.assertIn(self.read('big'), (self.big, self.big[::-1]))
        self.assertEqual(self.names(), ['big'])
        self.ok('-O', '--output-dir', self.out, self.url + '/big', self.url + '/d/big')
        self.assertEqual(self.read('big'), self.big[::-1])

    def test_a_part_that_was_just_finished(self):
        """Another download into the same name ends between our opening of its part file and our lock: what it got stays."""
        other = bytes(3 << 20)
        env = {'L7_RENAME_FROM': self.file('out/big.part', other), 'L7_RENAME_TO': os.path.join(self.out, 'big'),
               **self.preload('rename_before_lock')}
        code, _, err = self.get('-O', '--output-dir', self.out, self.url + '/big', env=env)
        self.assertEqual(code, 1, err)
        self.assertIn('another download is writing it', err)
        self.assertEqual((self.names(), self.read('big')), (['big'], other))

    def test_address_families(self):
        port = harness.free_port()
        peers.start_nginx(self, self.site, server=f'listen [::1]:{port};')
        six, four = f'http://localhost:{port}/a.txt', f'http://localhost:{self.port}/a.txt'
        self.assertEqual(self.ok('-6', six), 'hello\n')
        self.assertEqual(self.ok('-4', four), 'hello\n')
        self.fails('refused', '-4', six)
        self.fails('refused', '-6', four)

    def test_who_may_speak(self):
        code, _, err = self.get('-s', '-S', '-f', self.url + '/none')
        self.assertEqual((code, err.count('\n')), (1, 1))
        self.assertEqual(self.get('-s', '-f', self.url + '/none')[2], '')
        trace = os.path.join(self.tmpdir, 'trace')
        for more, shown in [([], False), (['--trace-secrets'], True)]:
            self.ok(f'--trace={trace}', *more, '-b', 'c=hidden', self.url + '/a.txt')
            with open(trace) as f:
                self.assertEqual('c=hidden' in f.read(), shown)


def _head(file):
    """The fields behind the request line, as a file for the email parser."""
    import io
    file.readline()
    lines = []
    while (line := file.readline()) not in (b'\r\n', b''):
        lines.append(line)
    return io.BytesIO(b''.join(lines))


def _parts(content_type, body):
    """Name, parameters, type and content of each part."""
    whole = email.message_from_bytes(b'Content-Type: ' + content_type.encode() + b'\r\n\r\n' + body)
    return [(sorted(p.get_params(header='content-disposition')), p['content-type'], p.get_payload(decode=True))
            for p in whole.get_payload()]


if __name__ == '__main__':
    harness.main()
