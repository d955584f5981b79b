#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""l7 get and servers that nobody here wrote: nginx, Apache, h2o, Caddy, nghttpd, Python's http.server."""
import hashlib
import http.server
import os
import threading

import harness
import peers
from get_case import Get
from origin import Origin, answer
from test_get_session import certificates


class Peers(Get):
    def setUp(self):
        self.site = os.path.join(self.tmpdir, 'site')
        os.mkdir(self.site)
        self.content = os.urandom(9 << 20)
        for name, data in [('big.bin', self.content), ('a.txt', b'hello\n'), ('empty', b'')]:
            with open(os.path.join(self.site, name), 'wb') as f:
                f.write(data)
            os.utime(f.name, (1700000000, 1700000000))  # a date of this very second is no strong validator
        self.at = os.path.join(self.tmpdir, 'got')

    def same(self):
        with open(self.at, 'rb') as f:
            self.assertEqual(hashlib.sha256(f.read()).hexdigest(), hashlib.sha256(self.content).hexdigest())

    def everything(self, url, *args, ranges=True):
        self.assertEqual(self.ok(*args, url + '/a.txt', url + '/empty', url + '/a.txt'), 'hello\nhello\n')
        self.assertIn('200', self.ok(*args, '-I', url + '/a.txt').split('\n')[0])
        self.ok(*args, '-o', self.at, url + '/big.bin')
        self.same()
        self.fails('404', *args, '-f', url + '/no-such')
        if ranges:
            self.assertEqual(self.ok(*args, '-r', '1-3', url + '/a.txt'), 'ell')
            self.resumes(url, *args)
            os.unlink(self.at)
            self.ok(*args, '--segments', '4', '-o', self.at, url + '/big.bin')
            self.same()

    def resumes(self, url, *args):
        """What a first attempt left, with the validator that the server gave then."""
        head = self.ok(*args, '-I', url + '/big.bin').lower().split('\r\n')
        fields = dict(line.split(': ', 1) for line in head if ': ' in line)
        raw = self.ok(*args, '-I', url + '/big.bin')
        tag = next((line.split(': ', 1)[1] for line in raw.split('\r\n') if line.lower().startswith('etag: "')), None)
        date = next((line.split(': ', 1)[1] for line in raw.split('\r\n') if line.lower().startswith('last-modified: ')), None)
        os.unlink(self.at)
        with open(self.at + '.part', 'wb') as f:
            f.write(self.content[:5000000])
        with open(self.at + '.part.info', 'w') as f:
            f.write(f'{tag or date}\n{fields["content-length"]}\n')
        out = self.ok(*args, '-C', '-', '-w', '%{http_code} %{size_download}', '-o', self.at, url + '/big.bin')
        self.assertEqual(out, f'206 {len(self.content) - 5000000}')
        self.same()

    def test_nginx(self):
        self.everything(f'http://127.0.0.1:{peers.start_nginx(self, self.site).peer_port}')

    def test_h2o(self):
        self.everything(f'http://127.0.0.1:{peers.start_h2o(self, self.site).peer_port}')

    def test_apache(self):
        port = harness.free_port()
        peers.start_apache(self, [port], [], f'''
            DocumentRoot {self.site}
            <Directory {self.site}>
                Require all granted
            </Directory>''')
        self.everything(f'http://127.0.0.1:{port}')

    def test_caddy(self):
        port = harness.free_port()
        conf = self.file('Caddyfile', f'{{\nadmin off\nauto_https off\n}}\nhttp://127.0.0.1:{port} {{\nroot * {self.site}\n'
                                      'file_server\n}\n')
        peers.start(self, 'caddy', ['run', '--config', conf, '--adapter', 'caddyfile'], port,
                    extra_env={'HOME': self.tmpdir, 'XDG_DATA_HOME': self.tmpdir, 'XDG_CONFIG_HOME': self.tmpdir})
        self.everything(f'http://127.0.0.1:{port}')

    def test_pythons_http_server(self):
        class Quiet(http.server.SimpleHTTPRequestHandler):
            def __init__(handler, *args):
                super().__init__(*args, directory=self.site)

            def log_message(self, *args):
                pass
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Quiet)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.everything(f'http://127.0.0.1:{server.server_port}', ranges=False)

    def test_nginx_tls_and_http2(self):
        folder = certificates(self)
        port = harness.free_port()
        peers.start_nginx(self, self.site, http=f'''server {{ listen 127.0.0.1:{port} ssl http2; root {self.site};
            ssl_certificate {folder}/good.pem; ssl_certificate_key {folder}/good.key; }}''')
        url = f'https://127.0.0.1:{port}'
        self.everything(url, '--ca', f'{folder}/root.pem', '--http1.1')
        self.everything(url, '--ca', f'{folder}/root.pem')
        args = ['--ca', f'{folder}/root.pem', '-o', '/dev/null', '-o', '/dev/null', '-w', '%{http_version} %{num_connects}\\n']
        self.assertEqual(self.ok(*args, url + '/a.txt', url + '/a.txt'), '2 1\n2 0\n')
        self.assertEqual(self.ok('--http1.1', *args, url + '/a.txt', url + '/a.txt'), '1.1 1\n1.1 0\n')

    def test_http2_with_prior_knowledge(self):
        port = harness.free_port()
        peers.start(self, 'nghttpd', ['--no-tls', '-d', self.site, '--address=127.0.0.1', '--echo-upload', str(port)], port)
        url = f'http://127.0.0.1:{port}'
        self.everything(url, '--http2-prior-knowledge', ranges=False)
        self.assertEqual(self.ok('--http2-prior-knowledge', '-T', os.path.join(self.site, 'big.bin'), url + '/a.txt',
                                 text=False), self.content)
        out = self.ok('--http2-prior-knowledge', '-Z', '-w', '%{num_connects}\\n', *['-o', '/dev/null'] * 5,
                      *[url + '/big.bin'] * 5)
        self.assertEqual(sum(map(int, out.split())), 1, 'five at once share one connection')

    def test_http2_to_a_server_that_speaks_http1_only(self):
        port = peers.start_nginx(self, self.site).peer_port
        self.fails('HTTP/2', '--http2-prior-knowledge', f'http://127.0.0.1:{port}/a.txt')


class Segments(Get):
    """The parts must be of the same thing, and only the whole counts."""

    def origin(self, etag=lambda n: '"v"', status=None):
        content, seen = self.content, []

        def handler(conn, request):
            seen.append(request.headers.get('range'))
            fields = {'ETag': etag(len(seen)), 'Accept_Ranges': 'bytes'}
            if 'range' not in request.headers:
                conn.sendall(answer(content, **fields))
                return True
            a, b = map(int, request.headers['range'][6:].split('-'))
            if status:
                conn.sendall(answer('no', status))
                return True
            conn.sendall(answer(content[a:b + 1], '206 Partial Content',
                                Content_Range=f'bytes {a}-{b}/{len(content)}', **fields))
            return True
        self.seen = seen
        return Origin(self, handler)

    def setUp(self):
        self.content = os.urandom(5 << 20)
        self.at = os.path.join(self.tmpdir, 'file')

    def test_parts_make_the_whole(self):
        want = 'sha256:' + hashlib.sha256(self.content).hexdigest()
        self.ok('--segments', '4', '--checksum', want, '-o', self.at, self.origin().url())
        self.assertEqual(open(self.at, 'rb').read(), self.content)
        self.assertEqual(len([r for r in self.seen if r]), 3)

    def test_a_part_of_something_else(self):
        self.fails('another one', '--segments', '4', '-o', self.at,
                   self.origin(etag=lambda n: '"v"' if n < 3 else '"w"').url())
        self.assertEqual(os.listdir(self.tmpdir), [])

    def test_a_server_that_changes_its_mind(self):
        self.fails('answered with 500', '--segments', '4', '-o', self.at, self.origin(status='500 Oops').url())
        self.assertEqual(os.listdir(self.tmpdir), [])


if __name__ == '__main__':
    harness.main()
