#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""l7 get: cookies, proxies, certificates, and what it records (timing, HAR, -w)."""
import base64
import json
import os
import socket
import ssl
import subprocess
import threading

import harness
import peers
from get_case import Get, echo
from origin import Origin, answer


class Cookies(Get):
    def test_set_and_sent_within_one_run_and_between_runs(self):
        def handler(conn, request):
            if request.target == '/set':
                conn.sendall(b'HTTP/1.1 302 Found\r\nLocation: /show\r\nSet-Cookie: a=1; Max-Age=1000\r\n'
                             b'Set-Cookie: s=2; Path=/show\r\nSet-Cookie: x=3; Path=/other\r\nContent-Length: 0\r\n\r\n')
            else:
                conn.sendall(answer(request.headers.get('cookie', 'none')))
            return True
        origin = Origin(self, handler)
        jar = os.path.join(self.tmpdir, 'jar')
        self.assertEqual(self.ok('-L', origin.url('/set')), 'none')
        self.assertEqual(self.ok('-L', '-c', jar, origin.url('/set')), 's=2; a=1')
        self.assertIn('127.0.0.1\tFALSE\t/show\tFALSE\t0\ts\t2\n', open(jar).read())
        self.assertEqual(os.stat(jar).st_mode & 0o777, 0o600)
        self.assertEqual(self.ok('-b', jar, origin.url('/show')), 's=2; a=1')
        self.assertEqual(self.ok('-b', jar, '-j', origin.url('/show')), 'a=1')
        self.assertEqual(self.ok('-b', 'own=1; two=2', origin.url('/show')), 'own=1; two=2')
        self.assertEqual(self.ok('-b', os.path.join(self.tmpdir, 'none'), origin.url('/show')), 'none')

    def test_curl_reads_our_jar_and_we_read_curls(self):
        origin = Origin(self, lambda c, r: c.sendall(answer(r.headers.get('cookie', 'none'),
                                                            Set_Cookie='k=v; Max-Age=100; HttpOnly')) or True)
        ours, curls = os.path.join(self.tmpdir, 'ours'), os.path.join(self.tmpdir, 'curls')
        self.ok('-c', ours, origin.url())
        out = subprocess.run(['curl', '-s', '-b', ours, '-c', curls, origin.url()], capture_output=True, text=True,
                             env=harness.environment(), timeout=20)
        self.assertEqual(out.stdout, 'k=v')
        self.assertEqual(self.ok('-b', curls, origin.url()), 'k=v')

    def test_a_jar_that_cannot_be_written_stays_as_it_was(self):
        origin = Origin(self, lambda c, r: c.sendall(answer(b'', Set_Cookie='k=' + 'v' * 2000 + '; Max-Age=100')) or True)
        jar = self.file('jar', '# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\told\t1\n')
        before = open(jar).read()
        full = 'trap "" XFSZ; ulimit -f 2; exec "$0" "$@"'  # no file above 1 KiB
        got, _, err = harness.run(['-c', full, harness.L7, 'get', '-b', jar, '-c', jar, origin.url()], program='sh')
        self.assertNotEqual(got, 0)
        self.assertEqual((open(jar).read(), os.listdir(self.tmpdir)), (before, ['jar']), err)

    def test_public_suffixes_and_strangers_cannot_be_set(self):
        origin = Origin(self, lambda c, r: c.sendall(
            b'HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Domain=co.uk\r\nSet-Cookie: b=2; Domain=example.net\r\n'
            b'Set-Cookie: c=3; Domain=shop.co.uk\r\nSet-Cookie: d=4; Secure\r\nContent-Length: 0\r\n\r\n'))
        jar = os.path.join(self.tmpdir, 'jar')
        self.ok('-c', jar, '--resolve', f'www.shop.co.uk:{origin.port}:127.0.0.1', f'http://www.shop.co.uk:{origin.port}/')
        lines = [line for line in open(jar).read().split('\n') if line and not line.startswith('# ')]
        self.assertEqual(lines, ['.shop.co.uk\tTRUE\t/\tFALSE\t0\tc\t3'])

    def test_a_file_that_is_no_jar(self):
        self.fails('line 1 is no cookie|Netscape', '-b', self.file('x', 'hello world\n'), 'http://127.0.0.1:1/')


class DeadConnections(Get):
    """The server keeps the connection open and hangs up on the second request that comes over it."""

    def origin(self):
        served = set()

        def handler(conn, request):
            if conn in served:
                return False
            served.add(conn)
            conn.sendall(answer(request.method))
            return True
        return Origin(self, handler)

    def test_what_is_safe_is_asked_again(self):
        for args in ([], ['-X', 'PUT', '-d', 'x'], ['-X', 'DELETE']):
            origin, method = self.origin(), args[1] if args else 'GET'
            self.assertEqual(self.ok(*args, origin.url('/1'), origin.url('/2')), method * 2)
            self.assertEqual((len(origin.requests), origin.connections), (3, 2))

    def test_what_is_not_safe_is_not(self):
        for args in (['-d', 'x'], ['-X', 'PATCH', '-d', 'x']):
            origin = self.origin()
            code, out, err = self.get(*args, origin.url('/1'), origin.url('/2'))
            self.assertEqual((code, err.count('\n')), (3, 1))
            self.assertIn('/2: ', err)
            self.assertEqual([r.target for r in origin.requests], ['/1', '/2'], 'nobody ordered twice')


class Proxies(Get):
    """Through a small forward proxy: absolute-form and CONNECT."""

    def proxy(self, auth=None):
        self.seen = seen = []

        def tunnel(conn, target):
            host, port = target.rsplit(':', 1)
            with socket.create_connection(('127.0.0.1', int(port))) as up:
                conn.sendall(b'HTTP/1.1 200 Connection established\r\n\r\n')

                def pump(a, b):
                    try:
                        while data := a.recv(65536):
                            b.sendall(data)
                        b.shutdown(socket.SHUT_WR)
                    except OSError:
                        pass
                t = threading.Thread(target=pump, args=(up, conn), daemon=True)
                t.start()
                pump(conn, up)
                t.join()

        def handler(conn, request):
            seen.append((request.method, request.target))
            if auth and request.headers.get('proxy-authorization') != 'Basic ' + base64.b64encode(auth).decode():
                conn.sendall(answer('who?', '407 Proxy Authentication Required'))
                return False
            if request.method == 'CONNECT':
                tunnel(conn, request.target)
                return False
            conn.sendall(answer(f'proxied {request.target} {request.headers.get("host")}'))
            return True
        return Origin(self, handler)

    def test_absolute_form(self):
        proxy = self.proxy()
        want = 'proxied http://www.example.org/a?b www.example.org'
        self.assertEqual(self.ok('-x', f'127.0.0.1:{proxy.port}', 'http://www.example.org/a?b'), want)
        self.assertEqual(self.ok('http://www.example.org/a?b', env={'http_proxy': proxy.url('')}), want)
        self.assertEqual(self.ok('http://www.example.org/a?b', env={'ALL_PROXY': proxy.url('')}), want)
        self.assertEqual(self.ok('-x', proxy.url(''), 'http://a.example/', 'http://b.example/'),
                         'proxied http://a.example/ a.exampleproxied http://b.example/ b.example')
        self.assertEqual(proxy.connections, 4, 'one connection serves all hosts behind it')

    def test_capital_http_proxy_is_not_read(self):
        origin = Origin(self, echo)
        self.ok(origin.url(), env={'HTTP_PROXY': 'http://127.0.0.1:1'})

    def test_no_proxy(self):
        proxy, origin = self.proxy(), Origin(self, lambda c, r: c.sendall(answer('direct')) or True)
        env = {'http_proxy': proxy.url('')}
        for no in ['127.0.0.1', '*', '10.1.1.1,127.0.0.0/8', f'127.0.0.1:{origin.port}']:
            self.assertEqual(self.ok(origin.url(), env={**env, 'NO_PROXY': no}), 'direct', no)
            self.assertEqual(self.ok('--noproxy', no, origin.url(), env=env), 'direct', no)
        self.assertIn('proxied', self.ok(origin.url(), env={**env, 'NO_PROXY': 'localhost,.0.0.1,127.0.0.1:1'}))

    def test_authentication(self):
        proxy = self.proxy(b'me:se:cret')
        self.assertIn('proxied', self.ok('-x', proxy.url(''), '-U', 'me:se:cret', 'http://a.example/'))
        self.assertIn('proxied', self.ok('-x', f'http://me:se%3Acret@127.0.0.1:{proxy.port}', 'http://a.example/'))
        self.assertEqual(self.ok('-x', proxy.url(''), 'http://a.example/'), 'who?')
        self.fails('proxy 127.0.0.1:.* answered 407', '-x', proxy.url(''), 'https://a.example/')

    def test_tunnel_for_http(self):
        proxy, origin = self.proxy(), Origin(self, echo)
        got = json.loads(self.ok('-p', '-x', proxy.url(''), origin.url('/x')))
        self.assertEqual(got['target'], '/x')
        self.assertEqual(self.seen, [('CONNECT', f'127.0.0.1:{origin.port}')])

    def test_the_proxys_secret_stays_with_the_proxy(self):
        proxy, origin = self.proxy(b'a:b'), Origin(self, echo)
        self.ok('-p', '-U', 'a:b', '-x', proxy.url(''), origin.url('/x'))
        self.assertNotIn('proxy-authorization', origin.requests[0].headers)

    def test_https_through_connect(self):
        folder = certificates(self)
        proxy, origin = self.proxy(), Origin(self, echo, tls=server_context(folder, 'good'))
        self.ok('--http1.1', '--ca', f'{folder}/root.pem', '-x', proxy.url(''), origin.url('/x'))
        self.assertEqual(self.seen, [('CONNECT', f'127.0.0.1:{origin.port}')])
        self.ok('--http1.1', '--ca', f'{folder}/root.pem', origin.url('/x'), env={'HTTPS_PROXY': proxy.url('')})
        self.assertEqual(len(self.seen), 2)

    def test_a_proxy_is_spoken_to_in_http_1(self):
        """Over TLS, too: one that would rather speak HTTP/2 is not asked to."""
        folder, chosen = certificates(self), []
        context = server_context(folder, 'good')
        context.set_alpn_protocols(['h2', 'http/1.1'])

        def handler(conn, request):
            chosen.append(conn.selected_alpn_protocol())
            conn.sendall(answer(f'proxied {request.target}'))
            return True
        proxy = Origin(self, handler, tls=context)
        self.assertEqual(self.ok('--ca', f'{folder}/root.pem', '-x', f'https://127.0.0.1:{proxy.port}', 'http://a.example/'),
                         'proxied http://a.example/')
        self.assertEqual(chosen, ['http/1.1'])

    def test_a_proxy_that_is_not_there(self):
        port = harness.free_port()
        self.fails(f'127.0.0.1:{port}: connection refused', '-x', f'127.0.0.1:{port}', 'http://a.example/')


def certificates(test):
    """The folder that tests/certs.sh fills."""
    folder = os.path.join(test.tmpdir, 'certs')
    if not os.path.isdir(folder):
        os.mkdir(folder)
        subprocess.run(['sh', os.path.join(harness.ROOT, 'tests/certs.sh'), folder], check=True, capture_output=True)
    return folder


def server_context(folder, name, client_ca=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f'{folder}/{name}.pem', f'{folder}/{name}.key')
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class Certificates(Get):
    """The right verdict each, in words a person understands; the server is Python's ssl."""

    def setUp(self):
        self.folder = certificates(self)

    def fetch(self, name, host='a.example', *args):
        origin = Origin(self, echo, tls=server_context(self.folder, name))
        return ('--ca', f'{self.folder}/root.pem', '--resolve', f'{host}:{origin.port}:127.0.0.1', *args,
                f'https://{host}:{origin.port}/')

    def test_good_ones(self):
        for name, host in [('good', 'a.example'), ('good', 'x.b.example'), ('chained', 'a.example'), ('shuffled', 'a.example')]:
            self.ok(*self.fetch(name, host))
        origin = Origin(self, echo, tls=server_context(self.folder, 'good'))
        self.ok('--ca', f'{self.folder}/root.pem', origin.url())

    def test_bad_ones(self):
        for name, why in [('expired', 'expired'), ('future', 'not.*valid|valid.*from|not yet'), ('selfsigned', 'self-signed'),
                          ('other', 'is for other.example, not a.example'), ('incomplete', 'intermediate'),
                          ('stranger', 'Stranger CA'), ('clientonly', 'not meant for servers'),
                          ('underexpired', 'authority "Expired Middle CA" expired on 2021-01-01')]:
            self.fails(why, *self.fetch(name))
        self.fails('is for .*, not y.x.b.example', *self.fetch('good', 'y.x.b.example'))

    def test_names(self):
        """Which names a certificate is for (RFC 9525): curl gives the same verdict but where the row says why not."""
        rows = [('good', 'a.example', None), ('good', 'A.EXAMPLE', None), ('good', 'x.b.example', None), ('good', 'localhost', None),
                ('good', '127.0.0.1', None), ('good', 'b.example', 'not b.example'), ('good', 'y.x.b.example', 'not y.x.b.example'),
                ('other', '127.0.0.1', 'is for other.example, not 127.0.0.1'), ('wild', 'a.example', 'not a.example'),
                ('wild', 'localhost', 'not localhost'), ('wild', 'www.p.example', 'not www.p.example'),
                ('wild', 'a.b.q.example', 'not a.b.q.example'), ('wild', '127.0.0.1', 'not 127.0.0.1'),
                ('wild', 'x.y.example', 'not x.y.example'), ('inside', 'x.b.example', None),
                ('outside', 'a.example', 'authority may not sign for'), ('byleaf', 'a.example', 'no authority'),
                ('a.example', 'a.example', 'nobody in particular')]
        for name, host, why in rows:
            with self.subTest(name=name, host=host):
                args = self.fetch(name, host)
                if why:
                    self.fails(why, *args)
                else:
                    self.ok(*args)
                curl = subprocess.run([peers.path('curl'), '-s', '--cacert', *args[1:]], capture_output=True)
                by_common_name = name == 'a.example'  # RFC 9525 section 1.4 has done away with it
                self.assertEqual(curl.returncode == 0, why is None or by_common_name)

    def test_insecure_warns_loudly(self):
        code, out, err = self.get('-k', *self.fetch('expired'))
        self.assertEqual(code, 0)
        self.assertIn('warning: certificates are not verified', err)

    def test_the_system_does_not_know_our_authority(self):
        self.fails('authority|intermediate|not trusted', *self.fetch('good')[2:])

    def test_sni_chooses(self):
        good, other = (server_context(self.folder, n) for n in ('good', 'other'))
        good.sni_callback = lambda sock, name, ctx: setattr(sock, 'context', other) if name == 'other.example' else None
        origin = Origin(self, echo, tls=good)
        for host in ['a.example', 'other.example']:
            self.ok('--ca', f'{self.folder}/root.pem', '--resolve', f'{host}:{origin.port}:127.0.0.1',
                    f'https://{host}:{origin.port}/')

    def test_client_certificate(self):
        origin = Origin(self, echo, tls=server_context(self.folder, 'good', f'{self.folder}/root.pem'))
        args = ['--ca', f'{self.folder}/root.pem', origin.url()]
        self.ok('-E', f'{self.folder}/clientonly.pem', '--key', f'{self.folder}/clientonly.key', *args)
        self.assertEqual(self.get(*args)[0], 1)
        self.fails('no-such', '-E', f'{self.folder}/no-such.pem', *args)

    def test_not_tls_at_all(self):
        s = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(s.close)

        def serve():
            c, _ = s.accept()
            c.recv(1000)
            c.sendall(b'HTTP/1.1 400 Bad Request\r\n\r\n')
            c.close()
        threading.Thread(target=serve, daemon=True).start()
        self.fails('TLS', f'https://127.0.0.1:{s.getsockname()[1]}/')

    def test_cut_off_inside_the_body(self):
        origin = Origin(self, lambda c, r: c.sendall(b'HTTP/1.1 200 OK\r\n\r\nhello') or c.unwrap() and False,
                        tls=server_context(self.folder, 'good'))
        self.assertEqual(self.ok('--ca', f'{self.folder}/root.pem', origin.url()), 'hello')

        def cut(conn, request):
            conn.sendall(b'HTTP/1.1 200 OK\r\n\r\nhel')
            os.dup2(os.open('/dev/null', os.O_RDONLY), conn.fileno())
        self.fails('ended before|closed|TLS', '--ca', f'{self.folder}/root.pem',
                   Origin(self, cut, tls=server_context(self.folder, 'good')).url())


class Records(Get):
    def redirecting(self):
        return Origin(self, lambda c, r: c.sendall(answer('', '302 Found', Location='/b') if r.target == '/a'
                                                   else answer('body', Content_Type='text/x')) or True)

    def test_timing(self):
        err = self.get('-L', '--timing', self.redirecting().url('/a'))[2]
        self.assertRegex(err, r'GET http://127.0.0.1:\d+/a  302  .*\n(?:  dns .*#\n)?  tcp .*#\n  request .*#\n  first byte .*#\n')
        self.assertRegex(err, r'GET http://127.0.0.1:\d+/b  200  .*\(connection reused\)\n')

    def test_timing_as_json(self):
        got = json.loads(self.get('-L', '--timing=json', self.redirecting().url('/a'))[2])
        self.assertEqual([h['status'] for h in got['hops']], [302, 200])
        self.assertEqual([h['reused'] for h in got['hops']], [False, True])
        self.assertGreater(got['hops'][0]['tcp_s'], 0)
        self.assertIsNone(got['hops'][0]['tls_s'])
        self.assertIsNone(got['error'])
        failed = json.loads(self.get('-s', '--timing=json', f'http://127.0.0.1:{harness.free_port()}/')[2])
        self.assertIn('refused', failed['error'])

    def test_har(self):
        at = os.path.join(self.tmpdir, 'har')
        self.ok('-L', '-u', 'a:b', '--har', at, self.redirecting().url('/a'))
        entries = json.load(open(at))['log']['entries']
        self.assertEqual([e['response']['status'] for e in entries], [302, 200])
        self.assertIn({'name': 'Authorization', 'value': '<masked>'}, entries[0]['request']['headers'])
        self.assertEqual(entries[1]['response']['content'], {'size': 4, 'mimeType': 'text/x'})
        for e in entries:
            spans = [e['timings'][k] for k in ('dns', 'connect', 'send', 'wait', 'receive')]
            self.assertLessEqual(sum(s for s in spans if s > 0), e['time'] + 0.01)

    def test_write_out(self):
        origin = self.redirecting()
        out = self.ok('-L', '-o', '/dev/null', '-w', '%{http_code} %{num_redirects} %{num_connects} %{size_download} '
                      '%{url_effective} %{content_type} 100%%\\n', origin.url('/a'))
        self.assertEqual(out, f'200 1 1 4 {origin.url("/b")} text/x 100%\n')
        got = json.loads(self.ok('-o', '/dev/null', '-w', '%{json}', origin.url('/b')))
        self.assertEqual((got['http_code'], got['size_download'], got['method']), (200, 4, 'GET'))
        self.fails('no variable', '-o', '/dev/null', '-w', '%{nonsense}', origin.url('/b'), code=2)


if __name__ == '__main__':
    harness.main()
