# SPDX-License-Identifier: MIT
"""Every option of l7 proxy, each in a test that fails when the option does nothing; who may use the proxy and where it goes
(names that change their addresses among them), the address form, a parent, TLS on both sides, large uploads."""
import base64
import hashlib
import json
import os
import socket
import subprocess

import harness
from origin import Origin, answer
from test_get_names import Dns
from test_get_session import certificates, server_context
from test_proxy import Proxy

MIB = 1 << 20


def hello(conn, request):
    conn.sendall(answer(f'{request.method} {request.target} {len(request.body)}', Cache_Control='no-store'))
    return True


def stored(conn, request):
    conn.sendall(answer('x' * 1000, Cache_Control='max-age=60'))
    return True


class Case(Proxy):
    def behind(self, handler=hello, **kw):
        self.origin = Origin(self, handler, **kw)
        self.o = f'127.0.0.1:{self.origin.port}'

    def reverse(self, *args, **kw):
        return self.proxy('--origin', self.origin.url(''), *args, **kw)

    def fields(self, p, request, finish=False):
        """(status, fields in lower case, body) of one request that asks for the end of its connection."""
        head, _, body = harness.dialogue(p.port, request, finish=finish).partition(b'\r\n\r\n')
        lines = head.decode('latin-1').split('\r\n')
        return int(lines[0][9:12]), [tuple(line.lower().split(': ', 1)) for line in lines[1:]], body

    def get(self, p, target, more=''):
        return self.fields(p, f'GET {target} HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n{more}\r\n'.encode())

    def status(self, p, target, more=''):
        return self.get(p, target, more)[0]

    def verdict(self, p, target):
        return dict(self.get(p, target)[1]).get('cache-status', '')

    def upload(self, size):
        """Streamed through to an origin that only counts; the most memory that the proxy took, in MiB."""
        listener = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(listener.close)
        p = self.proxy('--origin', f'http://127.0.0.1:{listener.getsockname()[1]}', '--workers', '1')
        path = os.path.join(self.tmpdir, 'sparse')
        with open(path, 'wb') as f:
            f.truncate(size)
        curl = subprocess.Popen(['curl', '-sS', '-T', path, '-H', 'Expect:', p.url + '/up'], stdout=subprocess.PIPE, env=harness.environment())
        o, _ = listener.accept()
        self.addCleanup(o.close)
        buffer, got = bytearray(MIB), 0
        head = b''
        while b'\r\n\r\n' not in head:
            head += o.recv(65536)
        got = len(head.partition(b'\r\n\r\n')[2])
        while got < size:
            n = o.recv_into(buffer)
            self.assertTrue(n, f'the upload broke off after {got}')
            got += n
        self.assertEqual(got, size)
        o.sendall(answer('thanks'))
        self.assertEqual((curl.communicate()[0], curl.returncode), (b'thanks', 0))
        return p.peak_memory()


class Access(Case):
    def setUp(self):
        self.behind(lambda c, r: hello(c, r) and False)

    def start_with(self, zone, *args, ttl=0, listen='127.0.0.1:0'):
        self.dns = Dns(self, zone, ttl)
        return self.start(['proxy', '--listen', listen, '--workers', '1', *args], env=self.dns.env)

    def connect(self, p, where):
        return int(harness.dialogue(p.port, f'CONNECT {where} HTTP/1.1\r\nHost: h\r\n\r\n'.encode(), until=b'\r\n\r\n')[9:12])

    def test_a_name_that_changes_its_address(self):
        """DNS rebinding: what was judged is what is dialled, and each time anew."""
        victim = socket.create_server(('127.0.0.3', self.origin.port))
        victim.setblocking(False)
        self.addCleanup(victim.close)
        now = ['127.0.0.1']
        p = self.start_with({'www.test': lambda kind: now}, '--deny-to', '127.0.0.3')
        url = f'http://www.test:{self.origin.port}/'
        self.assertEqual(self.status(p, url), 200)
        for bad in (['127.0.0.3'], ['169.254.169.254'], ['0.0.0.0']):
            now[:] = bad
            self.assertEqual(self.status(p, url), 403, bad)
            self.assertEqual(self.connect(p, url[7:-1]), 403, bad)
        now[:] = ['127.0.0.3', '127.0.0.1']
        self.assertEqual(self.status(p, url), 200)
        self.assertRaises(BlockingIOError, victim.accept)

    def test_ipv4_inside_ipv6_out_of_a_name(self):
        bad = ['::ffff:127.0.0.3', '::ffff:169.254.1.1', '64:ff9b::7f00:3', '64:ff9b:1::1', 'fe80::1', '2001:db8::1', '::']
        p = self.start_with({f'n{i}.test': a for i, a in enumerate(bad)}, '--deny-to', '127.0.0.3')
        for i, address in enumerate(bad):
            self.assertEqual(self.status(p, f'http://n{i}.test:{self.origin.port}/'), 403, address)
            self.assertEqual(self.connect(p, f'n{i}.test:{self.origin.port}'), 403, address)

    def test_asked_for_once_per_dial(self):
        p = self.start_with({'www.test': '127.0.0.1'})
        self.assertEqual(self.status(p, f'http://www.test:{self.origin.port}/'), 200)
        self.wait_until(lambda: len(self.dns.asked) >= 2, what='both questions')  # one answer may do
        self.assertEqual(sorted(self.dns.asked), [('www.test', 1), ('www.test', 28)])

    def test_open_listeners_reach_nothing_special(self):
        """In whatever spelling."""
        port = self.origin.port
        p = self.start_with({'inside.test': '127.0.0.1', 'six.test': '::1', 'mapped.test': '::ffff:127.0.0.1'}, listen='0.0.0.0:0')
        for host in ('127.0.0.1', 'localhost', 'inside.test', 'six.test', 'mapped.test', '[::1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]',
                     '[64:ff9b::7f00:1]', '[::127.0.0.1]', '2130706433', '0x7f000001', '127.1', '0177.0.0.1', '127.0.0.1.', '0.0.0.0', '0', '10.0.0.1',
                     '192.168.1.1', '169.254.169.254', '[fd00::1]', '[fe80::1]'):
            with self.subTest(host):
                self.assertIn(self.status(p, f'http://{host}:{port}/'), (400, 403, 502))
        self.assertEqual(self.origin.connections, 0)
        self.assertEqual(self.connect(p, f'inside.test:{port}'), 403)

    def test_allow_to(self):
        port = self.origin.port
        zone = {'inside.test': '127.0.0.1', 'a.inside.test': '127.0.0.1', 'other.test': '127.0.0.1'}
        for rule, open_ in (('inside.test', {'inside.test', 'a.inside.test'}), ('127.0.0.0/8', set(zone)), ('*', set(zone)), ('10.0.0.0/8', set())):
            p = self.start_with(zone, '--allow-to', rule, '--connect-ports', f'443,{port}', listen='0.0.0.0:0')
            for host in zone:
                self.assertEqual(self.status(p, f'http://{host}:{port}/'), 200 if host in open_ else 403, (rule, host))
                self.assertEqual(self.connect(p, f'{host}:{port}'), 200 if host in open_ else 403, (rule, host))
        p = self.start_with(zone, '--allow-to', '*', '--deny-to', 'a.inside.test', listen='0.0.0.0:0')
        self.assertEqual([self.status(p, f'http://{h}:{port}/') for h in ('inside.test', 'a.inside.test')], [200, 403])

    def test_connect_ports(self):
        port = self.origin.port
        for listen, ports, status in (('127.0.0.1:0', [], 200), ('127.0.0.1:0', ['--connect-ports', '443'], 403), ('127.0.0.1:0', ['--connect-ports', f'1,{port}'], 200),
                                      ('0.0.0.0:0', [], 403), ('0.0.0.0:0', ['--connect-ports', 'all'], 200)):
            p = self.start_with({}, *ports, '--allow-to', '127.0.0.0/8', listen=listen)
            self.assertEqual(self.connect(p, self.o), status, (listen, ports))
            self.assertEqual(self.status(p, f'http://{self.o}/'), 200, 'plain requests are not concerned')

    def test_allow(self):
        for rule, status in (('127.0.0.0/8', 200), ('::1', 403), ('10.0.0.0/8', 403), ('*', 200)):
            p = self.start_with({}, '--allow', rule)
            self.assertEqual(self.status(p, f'http://{self.o}/'), status, rule)
            self.assertEqual(self.connect(p, self.o), status, rule)
        p = self.start_with({}, '--allow', '10.0.0.0/8', '--origin', self.origin.url(''))
        self.assertEqual(self.status(p, '/'), 403)

    def login(self, text, scheme='Basic'):
        return f'Proxy-Authorization: {scheme} {base64.b64encode(text.encode()).decode()}\r\n'

    def test_proxy_auth(self):
        p = self.proxy('--proxy-auth', self.file('users', 'ann:secret\r\nbob:a:b\nzo\u00eb:p\u00e4ss\nnobody\n'))
        url = f'http://{self.o}/'
        status, fields, body = self.get(p, url)
        self.assertEqual((status, dict(fields)['proxy-authenticate']), (407, 'basic realm="l7 proxy", charset="utf-8"'))
        self.assertIn(b'user name and a password', body)
        for more in ('', self.login('ann:wrong'), self.login('ann:'), self.login('ann'), self.login('nobody'), self.login(':'), self.login(''),
                     self.login('ann:secret', 'Bearer'), 'Proxy-Authorization: Basic !!!\r\n', 'Authorization: Basic YW5uOnNlY3JldA==\r\n'):
            self.assertEqual(self.status(p, url, more), 407, more)
            self.assertEqual(self.status(p, f'/{self.o}/', more), 407, more)
            got = harness.dialogue(p.port, f'CONNECT {self.o} HTTP/1.1\r\nHost: h\r\n{more}\r\n'.encode(), until=b'\r\n\r\n')
            self.assertRegex(got, rb'^HTTP/1.1 407 (?s:.*)\r\nProxy-Authenticate: Basic ')
        self.assertEqual(self.origin.connections, 0)
        for user in ('ann:secret', 'bob:a:b', 'zo\u00eb:p\u00e4ss'):
            self.assertEqual(self.status(p, url, self.login(user)), 200, user)
            self.assertEqual(self.status(p, url, self.login(user, 'bAsIc')), 200, user)
        self.assertNotIn(b'proxy-auth', self.origin.requests[-1].raw.lower())

    def test_an_empty_password_file_lets_nobody_in(self):
        p = self.proxy('--proxy-auth', self.file('users', ''))
        for more in ('', self.login(':'), self.login('')):
            self.assertEqual(self.status(p, f'http://{self.o}/', more), 407)

    def test_options_that_would_do_nothing(self):
        for args in (['--proxy-auth', self.file('users', 'a:b\n'), '--origin', 'http://127.0.0.1:1'], ['--health', '/'], ['--health-interval', '0'],
                     ['--origin-timeout', '0'], ['--allow-to', '10.0.0.0/99'], ['--connect-ports', '70000'], ['--parent', 'socks5://h'], ['--origin', 'h:1']):
            self.assertEqual(self.run_l7(['proxy', '--listen', '127.0.0.1:0', *args])[0], 2, args)


class Forwarded(Case):
    def seen(self, p, more=''):
        self.get(p, '/', more)
        return self.origin.requests[-1].headers

    def test_trust(self):
        self.behind()
        theirs = 'X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\nForwarded: for=6.6.6.6\r\nX-Forwarded-Host: outer.test\r\nX-Forwarded-Proto: https\r\n'
        for trust, xff, host, proto in (([], '127.0.0.1', 'h.test', 'http'), (['--trust', '10.0.0.0/8'], '127.0.0.1', 'h.test', 'http'),
                                        (['--trust', '127.0.0.0/8'], '6.6.6.6, 7.7.7.7, 127.0.0.1', 'outer.test', 'https')):
            seen = self.seen(self.reverse(*trust), theirs)
            self.assertEqual([seen[f'x-forwarded-{k}'] for k in ('for', 'host', 'proto')], [xff, host, proto])
            self.assertEqual(seen['forwarded'], ('for=6.6.6.6, ' if ',' in xff else '') + 'for=127.0.0.1;host="h.test";proto=http')

    def test_six(self):
        self.behind()
        p = self.start(['proxy', '--listen', '[::1]:0', '--origin', self.origin.url('')])
        harness.dialogue(p.port, b'GET / HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n\r\n', host='::1')
        self.assertEqual(self.origin.requests[-1].headers['forwarded'], 'for="[::1]";host="h.test";proto=http')
        self.assertEqual(self.origin.requests[-1].headers['x-forwarded-for'], '::1')

    def test_only_in_reverse_mode(self):
        self.behind()
        self.get(self.proxy(), f'http://{self.o}/')
        self.assertFalse([k for k in self.origin.requests[-1].headers if 'forwarded' in k])

    def test_a_request_that_names_no_host(self):
        self.behind()
        status, _, _ = self.fields(self.reverse(), b'GET /x HTTP/1.0\r\n\r\n')
        self.assertEqual((status, self.origin.requests[0].headers['host']), (200, self.o))


class AddressForm(Case):
    def test_links_that_come_back(self):
        links = {}
        self.behind(lambda c, r: c.sendall(answer('', status='302 Found', Cache_Control='no-store', **links)))
        p = self.proxy()
        for link, want in (('http://{o}/x?y#z', '/{o}/x?y#z'), ('/x', '/{o}/x'), ('x', 'x'), ('?q', '?q'), ('../up', '/{o}/up'), ('../../../up', '/{o}/up'), ('//b.test/x', '/b.test/x'),
                           ('http://b.test', '/b.test'), ('https://b.test:8/x', '/https://b.test:8/x'), ('mailto:a@b', 'mailto:a@b'), ('#f', '#f'),
                           ('http://[::1]:8/x', '/[::1]:8/x')):
            for name in ('Location', 'Content-Location'):
                links.clear()
                links[name.replace('-', '_')] = link.format(o=self.o)
                got = dict(self.get(p, f'/{self.o}/dir/page')[1])
                self.assertEqual(got[name.lower()], want.format(o=self.o), link)

    def test_cookies(self):
        self.behind(lambda c, r: c.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: a=1; Path=/x; HttpOnly\r\n'
                                           b'Set-Cookie: b="p;q"; Domain=example.test; Secure\r\nSet-Cookie: c=3; path=/\r\n\r\n'))
        got = self.get(self.proxy(), f'/{self.o}/dir/page')[1]
        cookies = [v for k, v in got if k == 'set-cookie']
        self.assertEqual(cookies[0], f'a=1; path=/{self.o}/x; httponly')
        self.assertIn(f'; path=/{self.o}/', cookies[1])
        self.assertNotIn('domain', cookies[1])
        self.assertEqual(cookies[2], f'c=3; path=/{self.o}/')

    def test_referer(self):
        self.behind()
        p = self.proxy()
        base = f'http://127.0.0.1:{p.port}'
        ask = lambda target, referer: self.fields(p, f'GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{p.port}\r\nConnection: close\r\n'  # noqa: E731
                                                  f'Referer: {referer}\r\n\r\n'.encode())
        for target, page, want in (('/style.css?v=1', f'/{self.o}/dir/page', f'/{self.o}/style.css?v=1'),
                                   ('/a/b', f'/https://{self.o}/', f'/https://{self.o}/a/b'), ('/', f'/{self.o}', f'/{self.o}/')):
            status, fields, _ = ask(target, base + page)
            self.assertEqual((status, dict(fields)['location']), (307, want))
        for referer in ('http://evil.test/' + self.o, base + '/', 'x'):  # not one of our pages: nothing is guessed
            self.assertEqual(ask('/style.css', referer)[0], 404)

    def test_https(self):
        self.behind(tls=server_context(certificates(self), 'good'))
        p = self.proxy('--insecure')
        self.assertEqual(self.get(p, f'/https://{self.o}/x')[2], b'GET /x 0')
        self.assertEqual(self.get(p, f'https://{self.o}/x')[2], b'GET /x 0', 'and in absolute form')


class Parent(Case):
    def test_with_a_login(self):
        """The parent's password comes from the URL and goes nowhere else; a client's own goes to a parent that has none there."""
        self.behind()
        parent = self.proxy('--proxy-auth', self.file('users', 'ann:s@crt\n'))
        at = f'127.0.0.1:{parent.port}'
        p = self.proxy('--parent', f'http://ann:s%40crt@{at}')
        self.assertEqual(self.curl('-x', p.url, f'http://{self.o}/a'), 'GET /a 0')
        self.assertEqual(self.curl('-p', '-x', p.url, f'http://{self.o}/b'), 'GET /b 0')
        for r in self.origin.requests:
            self.assertNotIn(b'proxy-auth', r.raw.lower())
        self.assertEqual(self.origin.requests[0].raw.count(b'Via: 1.1 l7'), 2)
        p = self.proxy('--parent', f'http://ann:wrong@{at}')
        self.assertIn(' 407 ', self.curl('-i', '-x', p.url, f'http://{self.o}/a').split('\r\n')[0])
        p = self.proxy('--parent', f'http://{at}')
        self.assertEqual(self.curl('-x', p.url, '-U', 'ann:s@crt', f'http://{self.o}/c'), 'GET /c 0')
        self.assertEqual(self.curl('-p', '-x', p.url, '-U', 'ann:s@crt', f'http://{self.o}/d'), 'GET /d 0')
        for request in (f'GET http://{self.o}/e', f'CONNECT {self.o}'):  # without one, the client hears of it in both ways
            status, fields, _ = self.fields(p, f'{request} HTTP/1.1\r\nHost: {self.o}\r\nConnection: close\r\n\r\n'.encode())
            self.assertEqual((status, dict(fields)['proxy-authenticate'][:18]), (407, 'basic realm="l7 pr'))
        p = self.proxy('--parent', f'http://ann:wrong@{at}')  # nothing that the client could say
        self.assertIn('the parent proxy answered 407', harness.dialogue(p.port, f'CONNECT {self.o} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
                                                                        .encode()).decode())

    def test_tls_through_a_parent_and_to_a_parent(self):
        folder = certificates(self)
        self.behind(tls=server_context(folder, 'good'))
        parent = self.proxy('--tls-cert', f'{folder}/good.pem', '--tls-key', f'{folder}/good.key')
        p = self.proxy('--parent', f'https://127.0.0.1:{parent.port}', '--insecure')
        self.assertEqual(self.get(p, f'https://{self.o}/x')[2], b'GET /x 0')


class Options(Case):
    """What is not tested above or with the other tests of the proxy."""

    def test_tls_towards_clients(self):
        folder = certificates(self)
        self.behind()
        p = self.reverse('--tls-cert', f'{folder}/good.pem', '--tls-key', f'{folder}/good.key')
        url = f'https://a.example:{p.port}/x'
        trust = ['--cacert', f'{folder}/root.pem', '--resolve', f'a.example:{p.port}:127.0.0.1']
        self.assertEqual(self.curl(*trust, url), 'GET /x 0')
        self.assertEqual(self.origin.requests[0].headers['x-forwarded-proto'], 'https')
        p = self.proxy('--tls-cert', f'{folder}/good.pem', '--tls-key', f'{folder}/good.key')
        self.assertEqual(self.curl('--proxy-insecure', '-x', f'https://127.0.0.1:{p.port}', f'http://{self.o}/y'), 'GET /y 0')
        self.assertEqual(self.curl('--proxy-insecure', '-p', '-x', f'https://127.0.0.1:{p.port}', f'http://{self.o}/z'), 'GET /z 0')

    def test_tls_auto_and_keylog(self):
        self.behind()
        log = os.path.join(self.tmpdir, 'keys')
        p = self.start(['proxy', '--listen', '127.0.0.1:0', '--origin', self.origin.url(''), '--tls-auto', '--keylog', log],
                       env={'XDG_DATA_HOME': self.tmpdir, 'HOME': self.tmpdir})
        self.assertEqual(self.curl('-k', f'https://127.0.0.1:{p.port}/x'), 'GET /x 0')
        with open(log, encoding='ascii') as f:
            self.assertIn('CLIENT_TRAFFIC_SECRET_0 ', f.read())

    def test_ca_and_insecure(self):
        folder = certificates(self)
        self.behind(tls=server_context(folder, 'good'))
        dns = Dns(self, {'a.example': '127.0.0.1'})
        origin = ['--origin', f'https://a.example:{self.origin.port}', '--no-cache']
        for args, status in (([], 502), (['--ca', f'{folder}/root.pem'], 200), (['--insecure'], 200)):
            p = self.start(['proxy', '--listen', '127.0.0.1:0', *origin, *args], env=dns.env)
            got, _, body = self.get(p, '/')
            self.assertEqual(got, status, args)
            self.assertEqual(b'certificate' in body, status == 502)

    def test_cache(self):
        self.behind(stored)
        for args, hit in (([], True), (['--no-cache'], False), (['--max-object', '999'], False), (['--max-object', '1000'], True)):
            p = self.reverse(*args)
            self.get(p, '/a')
            self.assertEqual('l7; hit' in self.verdict(p, '/a'), hit, args)

    def test_cache_memory(self):
        self.behind(stored)
        for size, some in (('64K', True), ('64M', False)):
            p = self.reverse('--cache-memory', size)
            for i in range(200):
                self.get(p, f'/{i}')
            gone = sum('l7; hit' not in self.verdict(p, f'/{i}') for i in range(200))
            self.assertEqual(gone > 100, some, (size, gone))

    def test_cache_size(self):
        self.behind(lambda c, r: c.sendall(answer(os.urandom(100000), Cache_Control='max-age=60')) or True)
        folder = os.path.join(self.tmpdir, 'cache')
        p = self.reverse('--cache-dir', folder, '--cache-size', '1M')
        p.wait_for_line('objects on disk')
        for i in range(40):
            self.get(p, f'/{i}')
        self.wait_until(lambda: self.disk_bytes(p, folder) > 0.5 * MIB)
        self.assertLessEqual(self.disk_bytes(p, folder), 1.01 * MIB)

    def test_cache_targets(self):
        self.behind(lambda c, r: c.sendall(answer('x', Cache_Control='no-store', My_Cache='max-age=60')) or True)
        for args, hit in (([], False), (['--cache-targets', 'Other, My-Cache'], True)):
            p = self.reverse(*args)
            self.get(p, '/a')
            self.assertEqual('l7; hit' in self.verdict(p, '/a'), hit)

    def test_max_body(self):
        self.behind()
        for args, status in (([], 200), (['--max-body', '10'], 413)):
            p = self.reverse(*args)
            for head, body in ((b'Content-Length: 11', b'x' * 11), (b'Transfer-Encoding: chunked', b'b\r\n' + b'x' * 11 + b'\r\n0\r\n\r\n')):
                got = self.fields(p, b'POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n' + head + b'\r\n\r\n' + body)
                self.assertEqual(got[0], status)

    def test_max_header(self):
        self.behind()
        for args, status in (([], 200), (['--max-header', '4K'], 431)):
            self.assertEqual(self.status(self.reverse(*args), '/', f'X: {"y" * 5000}\r\n'), status)

    def test_timeouts(self):
        self.behind()
        for option, begin, say in (('--header-timeout', b'GET / HT', b' 408 '), ('--idle-timeout', b'GET / HTTP/1.1\r\nHost: h\r\n\r\n', b' 200 '),
                                   ('--body-timeout', b'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc', b' 408 ')):
            p = self.reverse(option, '300ms')
            self.assertIn(say, harness.dialogue(p.port, begin)[:20], option)

    def test_limits_on_connections(self):
        self.behind()
        for args, status in ((['--max-connections', '2'], None), (['--max-connections-per-client', '2'], None), (['--max-connections', '3'], 200)):
            p = self.reverse('--workers', '1', *args)
            held = []
            for _ in range(2):  # in the middle of a request, so that they make no room
                c = harness.Conn(p.port)
                self.addCleanup(c.close)
                c.send(b'POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n')
                c.recv_until(b'100 Continue\r\n\r\n')
                held.append(c)
            if status:
                self.assertEqual(self.status(p, '/'), status)
            else:
                c = harness.Conn(p.port, timeout=5)
                self.addCleanup(c.close)
                c.send(b'GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n')
                try:
                    got = c.recv_all()
                except TimeoutError:
                    got = b''
                self.assertNotIn(b' 200 ', got[:20], args)

    def test_accept_lf(self):
        self.behind()
        for args, status in (([], 400), (['--accept-lf'], 200)):
            self.assertEqual(self.fields(self.reverse(*args), b'GET /x HTTP/1.1\nHost: h\nConnection: close\n\n')[0], status)
        self.assertEqual(self.origin.requests[-1].raw.count(b'\n'), self.origin.requests[-1].raw.count(b'\r\n'), 'forwarded with CR LF')

    def test_access_log(self):
        self.behind(stored)
        path = os.path.join(self.tmpdir, 'log')
        p = self.reverse('--workers', '1', '--access-log', path, '--log-format', 'json')
        self.get(p, '/a')
        self.get(p, '/a')
        lines = lambda: open(path, encoding='utf-8').read().splitlines()  # noqa: E731
        self.wait_until(lambda: len(lines()) == 2)
        first, second = (json.loads(line) for line in lines())
        self.assertEqual((first['status'], second['status']), (200, 200))
        self.assertIn('l7; fwd=uri-miss; stored', str(first))
        self.assertIn('l7; hit', str(second))
        self.assertNotIn('GET', p.stderr())
        p = self.reverse('--access-log', 'off')
        self.get(p, '/a')
        p.stop()
        self.assertNotIn('GET', p.stderr())
        p = self.reverse()
        self.get(p, '/a')
        p.wait_for_line(r'"GET /a HTTP/1.1" 200 1000 .*l7; fwd=uri-miss; stored')

    def test_trace(self):
        self.behind()
        for args, secret in (([], False), (['--trace-secrets'], True)):
            path = os.path.join(self.tmpdir, 'trace')
            p = self.reverse(f'--trace={path}', *args)
            self.get(p, '/traced', 'Cookie: s=hidden\r\n')
            p.stop()
            with open(path, encoding='utf-8') as f:
                text = f.read()
            self.assertEqual(text.count('GET /traced HTTP/1.1'), 2, 'on both sides')
            self.assertEqual('hidden' in text, secret)

    def test_why_and_purge(self):
        """--control on both sides, --soft; how they say what is missing is tested with the cache."""
        self.behind(stored)
        control = os.path.join(self.tmpdir, 'control')
        p = self.reverse('--control', control)
        self.get(p, '/a')
        url = 'http://h.test/a'
        ask = lambda *args: self.run_l7(['proxy', *args])  # noqa: E731
        self.assertIn('answered from here: fresh', ask('why', '--control', control, url)[1])
        self.assertIn('1 purged', ask('purge', '--control', control, '--soft', url)[1])
        self.assertIn('fwd=stale', self.verdict(p, '/a'))
        self.assertIn('1 purged', ask('purge', '--control', control, url)[1])
        self.assertIn('fwd=uri-miss', self.verdict(p, '/a'))
        self.assertEqual(ask('why', url)[0], 2)
        self.assertEqual(ask('purge', '--control', control + 'x', url)[0], 1)


class Bulk(Case):
    def test_an_upload_needs_no_memory(self):
        self.assertLess(self.upload(256 * MIB), 48)

    def test_a_slow_origin_holds_the_client_back(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        listener.bind(('127.0.0.1', 0))
        listener.listen()
        self.addCleanup(listener.close)
        p = self.proxy('--origin', f'http://127.0.0.1:{listener.getsockname()[1]}')
        with harness.Conn(p.port) as c:
            c.send(b'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n')
            o, _ = listener.accept()
            self.addCleanup(o.close)
            c.sock.settimeout(1)
            sent = 0
            with self.assertRaises(TimeoutError):  # nobody reads at the other end
                while sent < 64 * MIB:
                    sent += c.sock.send(bytes(MIB))
            self.assertLess(sent, 32 * MIB)

    def test_what_arrives_is_what_was_sent(self):
        self.behind(lambda c, r: c.sendall(answer(hashlib.sha256(r.body).hexdigest())) or True)
        content = os.urandom(5 * MIB + 17)
        path = self.file('body', content)
        p = self.reverse()
        for more in ([], ['-H', 'Transfer-Encoding: chunked']):
            self.assertEqual(self.curl('-T', path, *more, p.url + '/up'), hashlib.sha256(content).hexdigest())


if __name__ == '__main__':
    harness.main()
