#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tls.py -- CPU per request of `l7 serve` over TLS 1.3 beside h2o and nginx, and the memory of idle connections.

    bench/tls.py [--rounds 5] [--seconds 2] [--rows keep-alive,handshake,idle] [--servers l7,h2o,...]

As serve.py, whose measuring this uses: interleaved rounds, CPU time of the server's process tree, medians. The
certificate is P-256; wrk resumes no session, so each connection of "handshake" is a full one, with one request of 1 KiB.
"""
import argparse
import os
import resource
import socket
import ssl
import subprocess
import tempfile
import time

import serve
from serve import harness, peers

ROWS = {'keep-alive': (False, []), 'handshake': (True, serve.CLOSE)}
TARGETS = {'keep-alive': (0.9, ['h2o']), 'handshake': (0.9, None)}  # as in serve.py
IDLE_EACH = 12  # KiB of Pss, at most
HEADS = {'h2o': ('listen: {host: 127.0.0.1, port: @PORT@}',
                 'listen: {host: 127.0.0.1, port: @PORT@, ssl: {certificate-file: @CERT@, key-file: @KEY@}}'),
         'nginx': ('listen 127.0.0.1:@PORT@ deferred;',
                   'listen 127.0.0.1:@PORT@ ssl deferred; ssl_certificate @CERT@; ssl_certificate_key @KEY@;'
                   'ssl_protocols TLSv1.2 TLSv1.3;')}
FILES = {'h2o': 'h2o', 'nginx': 'nginx-read'}


class Server(serve.Server):
    cert = key = None

    def command(self, name, root, work, size, once):
        if name == 'l7':
            argv, env = super().command(name, root, work, size, once)
            return [*argv, '--tls-cert', self.cert, '--tls-key', self.key], env
        with open(os.path.join(serve.HERE, 'peers', FILES[name] + '.conf')) as f:
            text = f.read()
        old, new = HEADS[name]
        if old not in text:
            raise SystemExit(f'{name}: its configuration has no {old!r}')
        for a, b in ((old, new), ('@PORT@', str(self.port)), ('@ROOT@', root), ('@WORK@', work), ('@CERT@', self.cert),
                     ('@KEY@', self.key)):
            text = text.replace(a, b)
        conf = os.path.join(work, f'{name}-{self.port}.conf')
        with open(conf, 'w') as f:
            f.write(text)
        args = {'h2o': ['-c', conf], 'nginx': ['-c', conf, '-p', work, '-e', 'stderr']}[name]
        return [peers.path(name), *args], peers.env(name)


def measure(row, names, rounds, seconds, root, work):
    once, more = ROWS[row]

    def burst(server, t):
        return serve.wrk(server, f'https://127.0.0.1:{server.port}/1k.txt', t, False, more)

    took = serve.interleave(names, lambda n: Server(n, root, work, 1024, once), burst, rounds, seconds)
    serve.report(row, took, *TARGETS[row])


def idle(names, root, work, count=2000):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    print(f'\nidle: {count} TLS connections that have made one request; KiB of Pss')
    for n in names:
        s = Server(n, root, work, 1024, False)
        try:
            before, conns = None, []
            for i in range(count + 50):  # the first ones pay for what the process needs once
                if i == 50:
                    time.sleep(0.5)
                    before = serve.pss(s.p.pid)
                c = context.wrap_socket(socket.create_connection(('127.0.0.1', s.port)))
                c.sendall(b'GET /1k.txt HTTP/1.1\r\nHost: h\r\n\r\n')
                serve.read_answer(c)
                conns.append(c)
            time.sleep(0.5)
            after = serve.pss(s.p.pid)
            print(f'  {n:16} {(after - before) / count:6.2f} each   {after / count:6.2f} whole')
            if n == 'l7':
                serve.verdict('idle: each', (after - before) / count, IDLE_EACH, ' KiB')
            for c in conns:
                c.close()
        finally:
            s.close()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--rounds', type=int, default=5)
    ap.add_argument('--seconds', type=int, default=2)
    ap.add_argument('--rows', default='keep-alive,handshake,idle')
    ap.add_argument('--servers', default='l7,h2o,nginx')
    a = ap.parse_args()
    names = a.servers.split(',')
    with tempfile.TemporaryDirectory(prefix='l7-bench-') as work:
        os.chmod(work, 0o755)
        root = os.path.join(work, 'site')
        os.makedirs(root)
        with open(os.path.join(root, '1k.txt'), 'wb') as f:
            f.write(b'0123456789abcdef' * 64)
        subprocess.run(['sh', os.path.join(harness.ROOT, 'tests', 'certs.sh'), work], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        Server.cert, Server.key = os.path.join(work, 'good.pem'), os.path.join(work, 'good.key')
        os.chmod(Server.key, 0o644)
        for row in a.rows.split(','):
            if row == 'idle':
                idle(names, root, work)
            else:
                measure(row, names, a.rounds, a.seconds, root, work)


if __name__ == '__main__':
    main()
