#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""HTTP/2 over TLS, as l7 get speaks it to nginx, h2o, Caddy and nghttpd: by ALPN, many at once, up and down."""
import hashlib
import os

import harness
import peers
from get_case import Get
from test_get_session import certificates


class H2Peers(Get):
    def setUp(self):
        self.certs = certificates(self)
        self.cert, self.key = f'{self.certs}/good.pem', f'{self.certs}/good.key'
        self.site = os.path.join(self.tmpdir, 'site')
        self.content = os.urandom(9 << 20)
        for name, data in [('big', self.content), ('a.txt', b'hello\n'), ('empty', b''), *((f'n{i}', b'%d' % i) for i in range(40))]:
            self.file('site/' + name, data)
        os.mkdir(os.path.join(self.tmpdir, 'out'))
        self.out = os.path.join(self.tmpdir, 'out')
        self.ca = ['--ca', f'{self.certs}/root.pem']
        self.port = harness.free_port()
        self.url = f'https://127.0.0.1:{self.port}'

    def everything(self, connections=1):
        says = ['-w', '%{http_version} %{http_code} %{size_download}']
        self.assertEqual(self.ok(*self.ca, *says, self.url + '/a.txt'), 'hello\n2 200 6')
        self.assertEqual(self.ok(*self.ca, *says, self.url + '/empty'), '2 200 0')
        self.assertRegex(self.ok(*self.ca, '-I', self.url + '/a.txt'), r'(?s)\AHTTP/2 200 ?\r\n.*content-length: 6\r\n')
        self.assertEqual(self.ok(*self.ca, '-o', '/dev/null', *says, self.url + '/none').split()[:2], ['2', '404'])
        self.fails('404', *self.ca, '-f', self.url + '/none')
        at = os.path.join(self.out, 'big')
        self.ok(*self.ca, '--checksum', 'sha256:' + hashlib.sha256(self.content).hexdigest(), '-o', at, self.url + '/big')
        os.unlink(at)
        urls = [f'{self.url}/n{i}' for i in range(40)]
        for more in ([], ['-Z']):
            made = self.ok(*self.ca, *more, '-O', '--output-dir', self.out, '-w', '%{num_connects}\\n', *urls)
            self.assertEqual(sum(map(int, made.split())), connections, more)
            for i in range(40):
                with open(f'{self.out}/n{i}') as f:
                    self.assertEqual(f.read(), str(i))
                os.unlink(f.name)
        self.assertEqual(self.ok(*self.ca, '-Z', '-s', *[self.url + '/big'] * 3, text=False).count(self.content[:64]), 3)
        self.assertEqual(self.ok(*self.ca, '--http1.1', '-w', '%{http_version}', self.url + '/a.txt'), 'hello\n1.1')

    def start_nginx(self, more=''):
        os.makedirs(f'{self.site}/put', exist_ok=True)
        os.chmod(f'{self.site}/put', 0o777)
        peers.start_nginx(self, self.site, http=f'''server {{ listen 127.0.0.1:{self.port} ssl http2; root {self.site};
            ssl_certificate {self.cert}; ssl_certificate_key {self.key}; {more}
            location /from {{ return 302 /a.txt; }} location /post {{ return 307 /put/x; }}
            client_max_body_size 0; location /put {{ dav_methods PUT; }} }}''')

    def test_nginx(self):
        self.start_nginx()
        self.everything()
        self.assertEqual(self.ok(*self.ca, '-L', '-w', '%{num_connects} %{num_redirects}', self.url + '/from'), 'hello\n1 1')
        self.ok(*self.ca, '-L', '-f', '-T', f'{self.site}/big', self.url + '/post')
        with open(f'{self.site}/put/x', 'rb') as f:
            self.assertEqual(hashlib.sha256(f.read()).digest(), hashlib.sha256(self.content).digest())

    def test_nginx_says_goaway(self):
        """After seven requests a connection takes no more; nothing is lost, and what was under way ends well."""
        self.start_nginx('keepalive_requests 7;')
        urls = [f'{self.url}/n{i}' for i in range(40)]
        for more in ([], ['-Z']):
            made = self.ok(*self.ca, *more, '-O', '--output-dir', self.out, '-w', '%{num_connects}\\n', *urls)
            self.assertGreater(sum(map(int, made.split())), 4, more)
            self.assertEqual(len(os.listdir(self.out)), 40)
            for name in os.listdir(self.out):
                with open(f'{self.out}/{name}') as f:
                    self.assertEqual('n' + f.read(), name)
                os.unlink(f.name)

    def test_h2o(self):
        conf = self.file('h2o.conf', f'''
listen: {{host: 127.0.0.1, port: {self.port}, ssl: {{certificate-file: "{self.cert}", key-file: "{self.key}"}}}}
num-threads: 1
hosts:
  default:
    paths:
      "/from": {{redirect: {{url: "/", status: 302}}}}
      "/": {{file.dir: "{self.site}"}}
''')
        peers.start(self, 'h2o', ['-c', conf], self.port)
        self.everything()
        self.assertEqual(self.ok(*self.ca, '-L', '-w', '%{num_connects} %{num_redirects}', self.url + '/from/a.txt'), 'hello\n1 1')

    def test_caddy(self):
        conf = self.file('Caddyfile', f'''{{
            admin off
            auto_https off
            skip_install_trust
        }}
        https://127.0.0.1:{self.port} {{
            tls {self.cert} {self.key}
            redir /from /a.txt 302
            handle /echo {{
                respond "{{http.request.method}} {{http.request.body}}"
            }}
            handle {{
                root * {self.site}
                file_server
            }}
        }}
        ''')
        peers.start(self, 'caddy', ['run', '--config', conf, '--adapter', 'caddyfile'], self.port,
                    extra_env={'HOME': self.tmpdir, 'XDG_DATA_HOME': self.tmpdir, 'XDG_CONFIG_HOME': self.tmpdir})
        self.everything()
        self.assertEqual(self.ok(*self.ca, '-L', '-w', '%{num_connects} %{num_redirects}', self.url + '/from'), 'hello\n1 1')
        body = 'x' * 300000
        self.assertEqual(self.ok(*self.ca, '-T', self.file('up', body), self.url + '/echo'), 'PUT ' + body)
        self.assertEqual(self.ok(*self.ca, '-d', '@-', self.url + '/echo', input=b'data'), 'POST data')

    def test_nghttpd(self):
        peers.start(self, 'nghttpd', ['-d', self.site, '--address=127.0.0.1', '--echo-upload', '--trailer=x-t: 1', str(self.port),
                                      self.key, self.cert], self.port)
        self.ok(*self.ca, '-o', f'{self.out}/a', self.url + '/a.txt')
        urls = [f'{self.url}/n{i}' for i in range(40)]
        made = self.ok(*self.ca, '-Z', '-O', '--output-dir', self.out, '-w', '%{http_version} %{num_connects}\\n', *urls)
        self.assertEqual(sorted(made.split('\n'))[-1:] + [made.count('2 1\n'), made.count('2 0\n')], ['2 1', 1, 39])
        got = self.ok(*self.ca, '-T', f'{self.site}/big', self.url + '/a.txt', text=False)
        self.assertEqual(hashlib.sha256(got).digest(), hashlib.sha256(self.content).digest())
        trace = os.path.join(self.tmpdir, 'trace')
        self.assertEqual(self.ok(*self.ca, f'--trace={trace}', self.url + '/a.txt'), 'hello\n')
        with open(trace) as f:
            self.assertRegex(f.read(), r'S: DATA stream 1, 6 bytes\n\S+ S: HEADERS stream 1, \d+ bytes, END_STREAM', 'trailers')


if __name__ == '__main__':
    harness.main()
