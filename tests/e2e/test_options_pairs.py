# SPDX-License-Identifier: MIT
"""Every pair of the options of l7 serve, one of them in l7.conf and the other on the command line: both do what they do alone."""
import concurrent.futures
import contextlib
import itertools
import os
import re
import ssl
import time

import harness
import raw
from raw import get, req
from serve_case import Serve


class Server:
    """A server with two options, and how to talk to it."""

    def __init__(self, test, options, number):
        self.folder = os.path.join(test.tmpdir, str(number))
        os.mkdir(self.folder, 0o777)
        os.chmod(self.folder, 0o777)  # for the user to whom root gives way
        self.secure = 'tls-auto' in options or 'keylog' in options
        conf, line = ([p for name in half for p in OPTIONS[name][0].replace('FOLDER', self.folder).split('\n')] for half in (options[:1], options[1:]))
        with open(self.folder + '/l7.conf', 'w') as f:
            f.write('[serve]\n' + ''.join(o + '\n' for o in (['listen = 127.0.0.1:0'] if 'listen' in options[:1] else []) + conf))
        self.process = test.start(['serve', test.root, '--config', f.name, *([] if 'listen' in options[:1] else ['--listen', '127.0.0.1:0']),
                                   *('--' + re.sub(r'^(\S+) = no$', r'no-\1', o).replace(' = yes', '').replace(' = ', '=', 1) for o in line)],
                                  env={'XDG_STATE_HOME': test.tmpdir + '/state', 'HOME': test.tmpdir, 'SSLKEYLOGFILE': ''})
        self.port = self.process.port

    def conn(self, host='127.0.0.1', port=None):
        c = harness.Conn(port or self.port, host)
        if self.secure:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            c.sock = context.wrap_socket(c.sock, server_hostname='localhost')
        return c

    def ask(self, data, method='GET'):
        with self.conn() as c:
            c.send(data)
            return raw.Answer(c, method)

    def get(self, target):
        return self.ask(get('Connection: close', target=target))

    def file(self, name, pattern):
        """Whether it holds that, by and by."""
        def holds():
            with open(os.path.join(self.folder, name)) as f:
                return re.search(pattern, f.read())
        return bool(harness.wait_until(holds, what=f'{pattern} in {name}'))

    def status_after(self, data):
        """What comes of a request that stops there."""
        with self.conn() as c:
            c.send(data)
            return raw.Answer(c, 'GET').status

    def ends_soon(self):
        start = time.monotonic()
        with self.conn() as c:
            c.send(get())
            return raw.Answer(c, 'GET').status == 200 and c.recv_all() == b'' and time.monotonic() - start < 10

    def fifth_is_refused(self):
        """While four have begun. Who was there before may not have left yet: then more than the fifth are refused."""
        def refused():
            with contextlib.ExitStack() as held:
                for c in (held.enter_context(harness.Conn(self.port)) for _ in range(4)):
                    c.send(b'\x16\x03' if self.secure else b'GET /a.txt HTTP/1.1\r\n')
                with harness.Conn(self.port) as fifth:
                    fifth.send(get('Connection: close'))
                    answer = fifth.recv_all()
                return answer == b'' if self.secure else answer.startswith(b'HTTP/1.1 503 ')
        return harness.wait_until(refused, what='the fifth refused') and harness.wait_until(self.answers, what='others are served again')

    def answers(self):
        try:
            return self.get('/a.txt').status == 200
        except (AssertionError, OSError):
            return False

    def threads(self):
        return len(os.listdir(f'/proc/{self.process.pid}/task'))

    def log_line(self, pattern):
        self.get('/a.txt')
        if os.path.exists(self.folder + '/log'):
            return self.file('log', pattern)
        return bool(self.process.wait_for_line(pattern))

    def drains(self):
        with self.conn() as c:
            c.send(get(target='/huge.bin'))
            c.recv_until(b'\r\n\r\n')
            start = time.monotonic()
            return self.process.stop() == 0 and time.monotonic() - start < 10

    def other_address(self):
        host, port = harness.split_addr(self.process.wait_for_line(r'listening on (\[::1\]:\d+)')[1])
        with self.conn(host, port) as c:
            c.send(get())
            return raw.Answer(c, 'GET').status == 200

    def metrics(self):
        port = self.process.addr('metrics')[1]
        return b'# EOF' in harness.dialogue(port, get('Connection: close', target='/metrics'))

    def not_root(self):
        with open(f'/proc/{self.process.pid}/status') as f:
            return os.geteuid() != 0 or '0' not in f.read().split('Uid:')[1].split()[:4]


LF = b'GET /a.txt HTTP/1.1\nHost: h\nConnection: close\n\n'
USER = 'nobody' if os.geteuid() == 0 else os.environ.get('USER', 'nobody')
# How it is set, as in l7.conf, and what is then true.
OPTIONS = {
    'index': ('index = first.html', lambda s: s.get('/').body == b'first'),
    'listing': ('listing = no', lambda s: s.get('/dir/').status == 404),
    'dotfiles': ('dotfiles = yes', lambda s: s.get('/.hidden').body == b'secret'),
    'respond': ('respond = /home=hello', lambda s: s.get('/home').body == b'hello'),
    'redirect': ('redirect = /moved=/home', lambda s: s.get('/moved').get('location') == '/home'),
    'spa': ('spa = spa.html', lambda s: s.get('/route').body == b'spa page'),
    'error-page': ('error-page = 4xx=/lost.html', lambda s: s.get('/no.js').body == b'the lost page' and s.ask(req('PUT', '/a.txt'), 'PUT').status == 405),
    'cache-control': ('cache-control = max-age=7', lambda s: s.get('/a.txt').get('cache-control') == 'max-age=7'),
    'max-body': ('max-body = 10', lambda s: s.ask(get('Content-Length: 11', body=b'x' * 11)).status == 413),
    'serial': ('serial = yes', lambda s: s.ask(get()).get('connection') == 'close' and s.ask(LF).status == 200),
    'max-connections': ('max-connections = 4', lambda s: s.fifth_is_refused()),
    'max-connections-per-client': ('max-connections-per-client = 4', lambda s: s.fifth_is_refused()),
    'max-header': ('max-header = 1K', lambda s: s.ask(get('A: ' + 'x' * 1100)).status == 431),
    'header-timeout': ('header-timeout = 1s', lambda s: s.status_after(b'GET / HT') == 408),
    'body-timeout': ('body-timeout = 100ms', lambda s: s.status_after(get('Content-Length: 9', body=b'x')) == 408),
    'idle-timeout': ('idle-timeout = 500ms', lambda s: s.ends_soon()),
    'access-log': ('access-log = FOLDER/log', lambda s: s.log_line('a.txt')),
    'log-format': ('log-format = json', lambda s: s.log_line(r'^\{.*"target":"/a.txt"')),
    'accept-lf': ('accept-lf = yes', lambda s: s.ask(LF).status == 200),
    'tls-auto': ('tls-auto = yes', lambda s: s.get('/a.txt').body == b'0123456789'),
    'keylog': ('tls-auto = yes\nkeylog = FOLDER/keys', lambda s: s.get('/a.txt').status == 200 and s.file('keys', 'TRAFFIC_SECRET')),
    'trace': ('trace = FOLDER/trace', lambda s: s.get('/a.txt').status == 200 and s.file('trace', r'C: GET /a\.txt')),
    'trace-secrets': ('trace = FOLDER/trace\ntrace-secrets = yes',
                      lambda s: s.ask(get('Cookie: hush', 'Connection: close')).status == 200 and s.file('trace', 'hush')),
    'listen': ('listen = [::1]:0', lambda s: s.other_address()),
    'workers': ('workers = 3', lambda s: s.threads() >= 3 + 2),
    'user': (f'user = {USER}', lambda s: s.not_root()),
    'metrics': ('metrics = 127.0.0.1:0', lambda s: s.metrics()),
    'drain': ('drain = 100ms', lambda s: s.drains()),
}
# Pairs of which one says the opposite of the other, or sets the same.
APART = {('serial', 'max-connections'), ('serial', 'max-connections-per-client'), ('serial', 'workers'), ('serial', 'idle-timeout'), ('tls-auto', 'keylog'),
         ('trace', 'trace-secrets'), ('spa', 'listing')}


class Pairs(Serve):
    def setUp(self):
        super().setUp()
        for name, content in {'first.html': 'first', 'spa.html': 'spa page', 'lost.html': 'the lost page', 'huge.bin': bytes(32 << 20)}.items():
            self.file('site/' + name, content)

    def test_every_option_is_there(self):
        text = harness.run(['serve', '--help'])[1]
        there = set(re.findall(r'(?<![\w(])--([a-z][a-z-]+)', text.split('\n\n', 1)[1].rsplit('Common:', 1)[0]))
        self.assertEqual(there - set(OPTIONS), {'tls-cert', 'tls-key'})  # tls-auto stands for them
        self.assertLessEqual(set(OPTIONS), there)

    def check(self, pair, number):
        try:
            s = Server(self, pair, number)
            failed = [name for name in sorted(pair, key='drain'.__eq__) if not OPTIONS[name][1](s)]
            return f'{pair}: {failed}: {s.process.stderr()[-300:]}' if failed or (s.process.alive() and s.process.stop() != 0) else None
        except Exception as e:
            return f'{pair}: {e!r}'

    def test_pairs(self):
        pairs = [p for p in itertools.combinations(OPTIONS, 2) if p not in APART and p[::-1] not in APART]
        pairs = [p if i % 2 else p[::-1] for i, p in enumerate(pairs)]
        self.assertGreater(len(pairs), 350)
        self.check(('tls-auto', 'accept-lf'), 'authority')  # made once, for all
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            failed = [f for f in pool.map(self.check, pairs, range(len(pairs))) if f]
        self.assertEqual(failed, [])


if __name__ == '__main__':
    harness.main()
