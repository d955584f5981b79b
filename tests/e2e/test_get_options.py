#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each everyday option of l7 get against servers that nobody here wrote: Caddy answers with what it was asked, Apache
takes uploads and is the proxy, nginx limits, redirects, sets cookies and asks for certificates."""
import base64
import hashlib
import json
import os
import pty
import re
import subprocess
import time

import harness
import peers
from get_case import Get
from test_get_session import certificates

ECHO = '|'.join(['{method}', '{uri}', '{header.X-A}', '{header.Content-Type}', '{header.Accept}', '{header.User-Agent}',
                 '{header.Referer}', '{header.Authorization}', '{http.request.body}'])


class Caddy(Get):
    """Caddy fills in what it was asked: method|target|X-A|type|accept|agent|referer|authorization|body."""

    def setUp(self):
        self.port = harness.free_port()
        self.text = b'a line of text\n' * 4000
        self.file('site/text.txt', self.text)
        self.file('site/small.txt', b'hello\n')
        conf = self.file('Caddyfile', f'''{{
            admin off
            auto_https off
        }}
        http://127.0.0.1:{self.port} {{
            handle /echo* {{
                respond "{ECHO}"
            }}
            handle /from {{
                redir * /small.txt 302
            }}
            handle /post {{
                redir * /echo 307
            }}
            handle /loop* {{
                redir * /loop{{uri}}x 302
            }}
            handle /none {{
                respond "nothing here" 404
            }}
            handle {{
                root * {self.tmpdir}/site
                encode zstd gzip
                file_server
            }}
        }}
        ''')
        peers.start(self, 'caddy', ['run', '--config', conf, '--adapter', 'caddyfile'], self.port,
                    extra_env={'HOME': self.tmpdir, 'XDG_DATA_HOME': self.tmpdir, 'XDG_CONFIG_HOME': self.tmpdir})
        self.url = f'http://127.0.0.1:{self.port}'

    def said(self, *args, path='/echo', **kw):
        names = ['method', 'target', 'x_a', 'type', 'accept', 'agent', 'referer', 'authorization', 'body']
        return dict(zip(names, self.ok(*args, self.url + path, **kw).split('|', 8)))

    def test_request_options(self):
        got = self.said('-X', 'REPORT', '-H', 'X-A: one', '-A', 'me/1', '-e', 'http://from.example/', path='/echo?q')
        self.assertEqual((got['method'], got['target'], got['x_a'], got['agent'], got['referer']),
                         ('REPORT', '/echo?q', 'one', 'me/1', 'http://from.example/'))
        got = self.said('-d', 'a=1', '-d', 'b=2')
        self.assertEqual((got['method'], got['type'], got['body']), ('POST', 'application/x-www-form-urlencoded', 'a=1&b=2'))
        got = self.said('--json', '{"a": 1}')
        self.assertEqual((got['type'], got['accept'], got['body']), ('application/json', 'application/json', '{"a": 1}'))
        got = self.said('-F', 'x=1', '-F', f'f=@{self.tmpdir}/site/small.txt')
        self.assertIn('name="f"; filename="small.txt"', got['body'])
        self.assertIn('hello\n', got['body'])
        self.assertEqual(self.said('-G', '-d', 'a=1')['target'], '/echo?a=1')
        self.assertEqual(self.said('-T', '-', input=b'piped')['body'], 'piped')
        self.assertEqual(self.said('--oauth2-bearer', 'tok')['authorization'], 'Bearer tok')

    def test_heads(self):
        self.assertRegex(self.ok('-i', self.url + '/small.txt'), r'^HTTP/1.1 200 OK\r\n(.*\r\n)+\r\nhello\n$')
        self.assertRegex(self.ok('-I', self.url + '/small.txt'), r'^HTTP/1.1 200 OK\r\n(.*\r\n)+\r\n$')
        self.assertRegex(self.ok('127.0.0.1', self.port, 'small.txt'), r'^HTTP/1.1 200 OK\r\n(.*\r\n)+\r\nhello\n$')
        err = self.get('-v', self.url + '/small.txt')[2]
        self.assertRegex(err, r'> GET /small.txt HTTP/1.1(.|\n)*< HTTP/1.1 200 OK')

    def test_redirects(self):
        self.assertIn('302', self.ok('-i', self.url + '/from').split('\n')[0])
        out = self.ok('-L', '-w', '%{http_code} %{num_redirects} %{num_connects}', self.url + '/from')
        self.assertEqual(out, 'hello\n200 1 1')
        self.assertIn('POST|/echo', self.ok('-L', '-d', 'kept', self.url + '/post'))
        self.fails('more than 50 redirects', '-L', self.url + '/loop')

    def test_failures_and_silence(self):
        self.assertEqual(self.ok(self.url + '/none'), 'nothing here')
        self.assertEqual(self.fails('404', '--fail', self.url + '/none'), '')
        self.assertEqual(self.get('-s', '--fail', self.url + '/none'), (1, '', ''))

    def test_files(self):
        out = os.path.join(self.tmpdir, 'out')
        os.mkdir(out)
        self.ok('-O', '--output-dir', out, self.url + '/small.txt', self.url + '/text.txt')
        self.ok('-o', f'{out}/named', '--checksum', f'sha256:{hashlib.sha256(self.text).hexdigest()}', self.url + '/text.txt')
        self.assertEqual(sorted(os.listdir(out)), ['named', 'small.txt', 'text.txt'])
        urls = self.file('urls', f'{self.url}/small.txt\n{self.url}/echo\n')
        self.assertTrue(self.ok('--input', urls).startswith('hello\nGET|/echo'))
        self.fails('checksum is wrong', '-o', f'{out}/no', '--checksum', f'sha256:{"0" * 64}', self.url + '/text.txt')
        self.fails('--max-filesize', '-o', f'{out}/no', '--max-filesize', '10K', self.url + '/text.txt')
        self.fails('--max-filesize', '-o', f'{out}/no', '--compressed', '--max-filesize', '10K', self.url + '/text.txt')
        self.assertFalse(os.path.exists(f'{out}/no'))

    def test_zstd_and_gzip(self):
        for asked in ('zstd', 'gzip'):
            head = os.path.join(self.tmpdir, 'head')
            got = self.ok('--compressed', '-H', f'Accept-Encoding: {asked}', '-D', head, self.url + '/text.txt', text=False)
            self.assertEqual(got, self.text)
            with open(head) as f:
                self.assertIn(f'content-encoding: {asked}', f.read().lower())
        self.assertEqual(self.ok('--compressed', self.url + '/text.txt', text=False), self.text)

    def test_rate(self):
        begin = time.monotonic()
        self.ok('--limit-rate', '100K', '-o', '/dev/null', self.url + '/text.txt')
        self.assertGreater(time.monotonic() - begin, 0.4)

    def test_records(self):
        at = os.path.join(self.tmpdir, 'har')
        got = json.loads(self.get('-L', '-o', '/dev/null', '--timing=json', '--har', at, self.url + '/from')[2])
        self.assertEqual([(h['status'], h['reused']) for h in got['hops']], [(302, False), (200, True)])
        with open(at) as f:
            self.assertEqual([e['response']['status'] for e in json.load(f)['log']['entries']], [302, 200])

    def test_offline_asks_nothing(self):
        self.assertIn('POST /echo HTTP/1.1\r\n', self.ok('--offline', '-d', 'x', self.url + '/echo'))


class Apache(Get):
    """Uploads by WebDAV, passwords, Brotli, and a forward proxy in plain text and under TLS."""

    def setUp(self):
        self.certs = certificates(self)
        self.site = os.path.join(self.tmpdir, 'site')
        self.text = b'a line of text\n' * 4000
        self.file('site/text.txt', self.text)
        for name in ('dav', 'site/dav', 'site/private'):
            os.mkdir(os.path.join(self.tmpdir, name))
        for folder in (self.tmpdir, self.site, f'{self.site}/dav', f'{self.tmpdir}/dav'):
            os.chmod(folder, 0o777)
        self.file('site/private/x', b'in\n')
        secret = base64.b64encode(hashlib.sha1(b's:3cret').digest()).decode()
        users = self.file('users', f'al:{{SHA}}{secret}\n')
        self.plain, self.tls, self.secure_proxy = (harness.free_port() for _ in range(3))
        protected = f'AuthType Basic\nAuthName x\nAuthBasicProvider file\nAuthUserFile {users}\nRequire valid-user'
        peers.start_apache(self, [self.plain], [
            'auth_basic', 'authn_core', 'authn_file', 'authz_user', 'brotli', 'filter', 'dav', 'dav_fs', 'proxy', 'proxy_http',
            'proxy_connect'], f'''
            DocumentRoot {self.site}
            DavLockDB {self.tmpdir}/dav/lock
            ProxyRequests On
            AllowCONNECT {self.tls}
            <Proxy "*">
                {protected}
            </Proxy>
            <Directory {self.site}>
                Require all granted
            </Directory>
            <Location /text.txt>
                SetOutputFilter BROTLI_COMPRESS
            </Location>
            <Location /dav>
                Dav On
            </Location>
            <Location /private>
                {protected}
            </Location>''')
        for port in (self.tls, self.secure_proxy):  # mod_ssl wants the very OpenSSL that it was built with, or newer
            peers.start(self, 'socat', [f'OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,verify=0,cert={self.certs}/good.pem,'
                                        f'key={self.certs}/good.key', f'TCP:127.0.0.1:{self.plain}'], port)
        self.url = f'http://127.0.0.1:{self.plain}'

    def test_brotli(self):
        head = os.path.join(self.tmpdir, 'head')
        got = self.ok('--compressed', '-D', head, self.url + '/text.txt', text=False)
        self.assertEqual(got, self.text)
        with open(head) as f:
            self.assertIn('content-encoding: br', f.read().lower())

    def test_upload_and_fetch_back(self):
        content = os.urandom(3 << 20)
        at = self.file('up', content)
        out = self.ok('-T', at, '-o', '/dev/null', '-w', '%{http_code} %{size_upload}', self.url + '/dav/file')
        self.assertEqual(out, f'201 {len(content)}')
        self.assertEqual(self.ok(self.url + '/dav/file', text=False), content)
        self.ok('-T', '-', '-o', '/dev/null', self.url + '/dav/streamed', input=content)
        self.assertEqual(self.ok(self.url + '/dav/streamed', text=False), content)
        self.ok('-f', '-X', 'DELETE', self.url + '/dav/file')
        self.fails('404', '-f', self.url + '/dav/file')

    def test_password(self):
        self.fails('401', '-f', self.url + '/private/x')
        self.fails('401', '-f', '-u', 'al:wrong', self.url + '/private/x')
        self.assertEqual(self.ok('-u', 'al:s:3cret', self.url + '/private/x'), 'in\n')
        self.assertEqual(self.ok(f'http://al:s%3A3cret@127.0.0.1:{self.plain}/private/x'), 'in\n')

    def test_proxies(self):
        ca = ['--ca', f'{self.certs}/root.pem']
        plain, secure = f'http://127.0.0.1:{self.plain}', f'https://127.0.0.1:{self.secure_proxy}'
        origin = peers.start_nginx(self, self.site)
        http, https = f'http://127.0.0.1:{origin.peer_port}/private/x', f'https://127.0.0.1:{self.tls}/text.txt'
        for proxy in (plain, secure):
            auth = ['-x', proxy, '-U', 'al:s:3cret', *ca]
            self.assertEqual(self.ok(*auth, http), 'in\n')
            self.assertEqual(self.ok(*auth, https, text=False), self.text)
            self.fails('407', '-f', '-x', proxy, *ca, http)
            self.fails('answered 407 .* to CONNECT', '-x', proxy, *ca, https)
        big = os.urandom(9 << 20)
        self.file('site/big', big)
        direct = f'http://127.0.0.1:{origin.peer_port}'
        at = os.path.join(self.tmpdir, 'got')
        out = self.ok('-x', plain, '-U', 'al:s:3cret', '--segments', '4', '-o', at, '-w', '%{size_download}', direct + '/big')
        self.assertEqual(out, str(len(big)))
        with open(at, 'rb') as f:
            self.assertEqual(hashlib.sha256(f.read()).digest(), hashlib.sha256(big).digest())
        self.fails('403 .* to CONNECT', '-p', '-x', plain, '-U', 'al:s:3cret', http)  # Apache lets only the TLS port be tunnelled to
        self.assertEqual(self.ok('-p', '-x', plain, '-U', 'al:s:3cret', *ca, https, text=False), self.text)
        self.fails('407', '-f', '-x', plain, '--noproxy', 'other.example', http)
        self.assertEqual(self.ok('-x', plain, '--noproxy', 'other.example,127.0.0.1', http), 'in\n')
        env = {'http_proxy': plain, 'https_proxy': secure}
        self.fails('407', '-f', http, env=env)
        self.assertEqual(self.ok(http, env={**env, 'NO_PROXY': '127.0.0.0/8'}), 'in\n')
        self.assertEqual(self.ok(*ca, https, env={**env, 'no_proxy': '127.0.0.1'}, text=False), self.text)


class Nginx(Get):
    def setUp(self):
        self.site = os.path.join(self.tmpdir, 'site')
        self.file('site/a.txt', b'hello\n')
        self.file('site/big', bytes(1 << 20))

    def start_nginx(self, **kw):
        return f'http://127.0.0.1:{peers.start_nginx(self, self.site, **kw).peer_port}'

    def test_retry_after_a_passing_status(self):
        url = self.start_nginx(http='limit_req_zone $binary_remote_addr zone=z:1m rate=1r/s;', location='limit_req zone=z;')
        code, out, err = self.get('-f', '--retry', '9', '--retry-delay', '0.2', url + '/a.txt', url + '/a.txt')
        self.assertEqual((code, out), (0, 'hello\nhello\n'))
        self.assertIn('503', err)
        self.assertIn('503', self.get('-f', *[url + '/a.txt'] * 2)[2])

    def test_time_limit(self):
        url = self.start_nginx(location='limit_rate 1k; limit_rate_after 1k;')
        begin = time.monotonic()
        at = os.path.join(self.tmpdir, 'big')
        self.fails('--max-time', '-m', '0.5', '-o', at, url + '/big')
        self.assertLess(time.monotonic() - begin, 5)
        self.assertFalse(os.path.exists(at))

    def test_unix_socket_and_resolve(self):
        path = os.path.join(self.tmpdir, 's')
        url = self.start_nginx(server=f'listen unix:{path};', location='return 200 $http_host;')
        self.assertEqual(self.ok('--unix-socket', path, 'http://any.test.invalid/'), 'any.test.invalid')
        port = url.rsplit(':', 1)[1]
        self.assertEqual(self.ok('--resolve', f'a.test.invalid:{port}:127.0.0.1', f'http://a.test.invalid:{port}/'),
                         f'a.test.invalid:{port}')

    def test_cookie_jar(self):
        url = self.start_nginx(location='add_header Set-Cookie "k=$request_time; Max-Age=100"; add_header Set-Cookie '
                                        '"bad=1; Domain=com"; return 200 "$http_cookie";')
        jar = os.path.join(self.tmpdir, 'jar')
        self.ok('-c', jar, url)
        with open(jar) as f:
            lines = [line for line in f if line.strip() and not line.startswith('# ')]
        self.assertEqual([line.split('\t')[5] for line in lines], ['k'])
        self.assertRegex(self.ok('-b', jar, url), r'^k=[0-9.]+$')
        status, out, _ = harness.run(['-s', '-b', jar, url], program=peers.path('curl'))
        self.assertRegex(out, r'^k=[0-9.]+$')

    def test_certificates(self):
        folder = certificates(self)
        port = harness.free_port()
        peers.start_nginx(self, self.site, http=f'''server {{ listen 127.0.0.1:{port} ssl; root {self.site};
            ssl_certificate {folder}/good.pem; ssl_certificate_key {folder}/good.key;
            ssl_client_certificate {folder}/root.pem; ssl_verify_client on; }}''')
        url, ca = f'https://127.0.0.1:{port}/a.txt', ['--ca', f'{folder}/root.pem']
        mine = ['--cert', f'{folder}/clientonly.pem', '--key', f'{folder}/clientonly.key']
        self.assertEqual(self.ok(*ca, *mine, url), 'hello\n')
        self.fails('400', '-f', *ca, url)
        self.fails('authority|intermediate|not trusted', *mine, url)
        code, out, err = self.get('-k', *mine, url)
        self.assertEqual((code, out), (0, 'hello\n'))
        self.assertIn('warning', err)

    def test_keylog(self):
        folder = certificates(self)
        port = harness.free_port()
        peers.start_nginx(self, self.site, http=f'''server {{ listen 127.0.0.1:{port} ssl; root {self.site};
            ssl_certificate {folder}/good.pem; ssl_certificate_key {folder}/good.key; ssl_protocols TLSv1.3; }}''')
        log = os.path.join(self.tmpdir, 'keys')
        url, ca = f'https://127.0.0.1:{port}/a.txt', ['--ca', f'{folder}/root.pem']
        self.ok(*ca, '--keylog', log, url)
        self.ok(*ca, url, env={'SSLKEYLOGFILE': log + '2'})
        for name in (log, log + '2'):
            with open(name) as f:
                self.assertRegex(f.read(), r'(?m)^CLIENT_TRAFFIC_SECRET_0 [0-9a-f]{64} [0-9a-f]{64,96}$')

    def test_progress_on_a_terminal(self):
        url = self.start_nginx(location='limit_rate 500k;')
        for more, shown in [([], True), (['--no-progress-meter'], False), (['-s'], False)]:
            ours, theirs = pty.openpty()
            subprocess.run([harness.L7, 'get', *more, '-o', '/dev/null', url + '/big'], stderr=theirs, check=True,
                           env=harness.environment())
            os.write(theirs, b'END')
            text = b''
            while not text.endswith(b'END'):
                text += os.read(ours, 4096)
            os.close(ours)
            os.close(theirs)
            self.assertEqual(b'%' in text, shown, text)

    def test_trace(self):
        # Without a length only the end of the connection tells the end: the server must be the first to close.
        url = self.start_nginx(server='keepalive_timeout 0; gzip on; gzip_min_length 1; gzip_types text/plain;'
                                      ' chunked_transfer_encoding off;')
        trace = os.path.join(self.tmpdir, 'trace')
        self.ok(f'--trace={trace}', '--compressed', '-u', 'al:secret', '-b', 'c=hidden', url + '/a.txt')
        with open(trace) as f:
            text = f.read()
        for line in ['C: GET /a.txt HTTP/1.1', 'C: Authorization: <masked>', 'S: HTTP/1.1 200 OK', 'S: Connection: close',
                     '-- S closed first; TIME_WAIT stays on S']:
            self.assertRegex(text, rf'(?m)^\d+\.\d{{6}} {line}')
        self.assertNotIn('hidden', text)
        self.assertNotIn(base64.b64encode(b'al:secret').decode(), text)

    def test_a_file_that_is_cut_short_by_the_server_dying(self):
        """No file has the final name; the rest is fetched from the next server, and the whole is the same by hash."""
        data = os.urandom(4 << 20)
        self.file('site/random', data)
        os.utime(f'{self.site}/random', (1700000000, 1700000000))
        port = harness.free_port()
        server = f'listen 127.0.0.1:{port};'
        slow = peers.start_nginx(self, self.site, server=server, location='limit_rate 100k; limit_rate_after 2m;')
        at = os.path.join(self.tmpdir, 'got')
        p = self.start(['get', '-o', at, f'http://127.0.0.1:{port}/random'], wait=False)
        self.wait_until(lambda: os.path.exists(at + '.part.info') and os.path.getsize(at + '.part') > 1 << 20)
        slow.stop(9)
        self.assertEqual(p.wait(), 1)
        self.assertFalse(os.path.exists(at))
        peers.start_nginx(self, self.site, server=server)
        out = self.ok('-C', '-', '-w', '%{http_code}', '-o', at, f'http://127.0.0.1:{port}/random')
        self.assertEqual(out, '206')
        with open(at, 'rb') as f:
            self.assertEqual(hashlib.sha256(f.read()).digest(), hashlib.sha256(data).digest())


class Audit(Get):
    """Every option that --help names meets a server that nobody here wrote."""

    def test_every_option_is_used(self):
        text = self.ok('--help').split('\n  l7 get ')[0]
        options = [m.groups() for m in re.finditer(r'(?:(?<!\S)(-\w),? )?(--[a-z][a-z0-9.-]+)', text)]
        self.assertGreater(len(options), 70)
        here = os.path.dirname(__file__)
        used = ''
        for name in ('options', 'pairs', 'peers'):
            with open(f'{here}/test_get_{name}.py') as f:
                used += f.read().split('class Segments')[0]
        words = set(re.findall(r"""['"](-[\w-][\w.-]*)""", used))
        flags = {'-' + c for w in words if re.fullmatch('-[A-Za-z]{2,}', w) for c in w[1:]}
        missing = [o for o in options if not set(o) & (words | flags)]
        self.assertEqual(missing, [('-V', '--version')])


if __name__ == '__main__':
    harness.main()
