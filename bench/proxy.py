#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""proxy.py -- CPU per request of `l7 proxy` beside HAProxy, nginx, Varnish and squid, as caches in front of one origin.

    bench/proxy.py [--rounds 5] [--seconds 2] [--rows 1k,1k-many,100k,uncached,tunnel] [--servers l7,haproxy,nginx,...]

Measured as in serve.py: interleaved rounds, user + system time of the proxy's whole process tree, medians with the
spread; proxy and load generator share a CPU, the origin (`l7 serve`) has the other one. `1k-many` spreads the hits over
10,000 objects. `tunnel` is CPU seconds per GiB through CONNECT (HAProxy: its TCP mode, nothing parsed).
"""
import argparse
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import serve  # noqa: E402
from serve import harness, peers  # noqa: E402

MANY = 10000
GIB = 1 << 30


class Proxy:
    """One proxy in front of the origin, on CPU 0 until closed."""

    def __init__(self, name, origin, work, tunnel=False):
        self.name, self.port = name, harness.free_port()
        argv, env = self.command(name, origin, work, tunnel)
        self.p = subprocess.Popen(['taskset', '-c', '0', *argv], env=env, cwd=work,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.wait_until(lambda: peers.answers(self.port), what=name, timeout=30)

    def command(self, name, origin, work, tunnel):
        if name == 'l7':
            where = [] if tunnel else ['--origin', f'http://127.0.0.1:{origin}']
            return [harness.L7, 'proxy', '--listen', f'127.0.0.1:{self.port}', '--workers', '1', '--access-log', 'off',
                    '--idle-timeout', '10m', *where], None
        if name == 'varnish':
            state = os.path.join(work, f'varnish-{self.port}')
            vcl = os.path.join(work, 'one.vcl')
            with open(vcl, 'w') as f:
                f.write(f'vcl 4.1;\nbackend default {{ .host = "127.0.0.1"; .port = "{origin}"; }}\n')
            return [peers.path('varnishd'), '-F', '-a', f'127.0.0.1:{self.port}', '-f', vcl, '-n', state,
                    '-s', 'malloc,512m', '-p', 'thread_pools=1'], peers.env('varnishd')
        peer, conf = {'haproxy': ('haproxy', 'haproxy-tcp' if tunnel else 'haproxy-cache'), 'nginx': ('nginx', 'nginx-proxy'),
                      'squid': ('squid', 'squid'), 'tinyproxy': ('tinyproxy', 'tinyproxy')}[name]
        with open(os.path.join(HERE, 'peers', conf + '.conf')) as f:
            text = f.read()
        for key, value in (('PORT', self.port), ('ORIGIN', origin), ('WORK', work)):
            text = text.replace(f'@{key}@', str(value))
        if peer == 'squid':
            text = text.replace('@ROOT@', peers.root('squid'))
        path = os.path.join(work, f'{name}-{self.port}.conf')
        with open(path, 'w') as f:
            f.write(text)
        args = {'haproxy': ['-db', '-f', path], 'nginx': ['-c', path, '-p', work, '-e', 'stderr'],
                'squid': ['-N', '-f', path], 'tinyproxy': ['-d', '-c', path]}[peer]
        return [peers.path(peer), *args], peers.env(peer)

    def close(self):
        self.p.kill()
        self.p.wait()


def load(proxy, path, seconds, script=None):
    argv = ['taskset', '-c', '0', 'wrk', '-t1', '-c64', f'-d{seconds}s', *(['-s', script] if script else []),
            f'http://127.0.0.1:{proxy.port}/{path}']
    before = serve.cpu(proxy.p.pid)
    out = subprocess.run(argv, capture_output=True, text=True).stdout
    used = serve.cpu(proxy.p.pid) - before
    if re.search(r'Non-2xx|Socket errors.*(connect [1-9]|timeout [1-9])', out):
        raise SystemExit(f'{proxy.name}: {out}')
    return int(re.search(r'(\d+) requests in', out).group(1)), used


def rounds_of(row, names, rounds, seconds, origin, work):
    path = {'1k': '1k.txt', '1k-many': 'many/0.txt', '100k': '100k.txt', 'uncached': 'private/1k.txt'}[row]
    script = os.path.join(work, 'many.lua') if row == '1k-many' else None
    proxies, took = {n: Proxy(n, origin, work) for n in names}, {n: [] for n in names}
    try:
        for n in names:
            load(proxies[n], path, 2 if script else 1, script)
        for _ in range(rounds):
            for n in names:
                requests, used = load(proxies[n], path, seconds, script)
                took[n].append(used / requests * 1e6)
    finally:
        for p in proxies.values():
            p.close()
    serve.report(row, took)


def blaster(listener):
    """Sends a GiB to whoever connects."""
    block = b'x' * (1 << 20)
    while True:
        try:
            c, _ = listener.accept()
        except OSError:
            return
        try:
            for _ in range(GIB // len(block)):
                c.sendall(block)
        except OSError:
            pass
        c.close()


def tunnel_once(proxy, origin):
    c = socket.create_connection(('127.0.0.1', proxy.port))
    if proxy.name != 'haproxy':
        c.sendall(f'CONNECT 127.0.0.1:{origin} HTTP/1.1\r\nHost: 127.0.0.1:{origin}\r\n\r\n'.encode())
        head = b''
        while b'\r\n\r\n' not in head:
            head += c.recv(1)
    got, into = 0, bytearray(1 << 20)
    while n := c.recv_into(into):
        got += n
    c.close()
    if got != GIB:
        raise SystemExit(f'{proxy.name}: {got} bytes')


def tunnels(names, rounds, work):
    listener = socket.create_server(('127.0.0.1', 0))
    origin = listener.getsockname()[1]
    threading.Thread(target=blaster, args=(listener,), daemon=True).start()
    proxies, took = {n: Proxy(n, origin, work, True) for n in names}, {n: [] for n in names}
    try:
        for _ in range(rounds):
            for n in names:
                before = serve.cpu(proxies[n].p.pid)
                tunnel_once(proxies[n], origin)
                took[n].append(serve.cpu(proxies[n].p.pid) - before)
    finally:
        for p in proxies.values():
            p.close()
        listener.close()
    print('\ntunnel: CPU seconds per GiB')
    for n, v in sorted(took.items(), key=lambda item: statistics.median(item[1])):
        print(f'  {n:16} {statistics.median(v):6.2f} s   ({min(v):.2f} to {max(v):.2f})')


def site(root):
    for folder in ('many', 'private'):
        os.makedirs(os.path.join(root, folder))
    files = {'1k.txt': 1024, '100k.txt': 102400, 'private/1k.txt': 1024}
    files.update({f'many/{i}.txt': 1024 for i in range(MANY)})
    for name, size in files.items():
        with open(os.path.join(root, name), 'wb') as f:
            f.write(b'0123456789abcdef' * (size // 16))


def origin_start(root, policy):
    port = harness.free_port()
    p = subprocess.Popen(['taskset', '-c', '1', harness.L7, 'serve', root, '--listen', f'127.0.0.1:{port}', '--workers', '1',
                          '--access-log', 'off', '--cache-control', policy], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    harness.wait_until(lambda: peers.answers(port), what='the origin')
    return p, port


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--rounds', type=int, default=5)
    ap.add_argument('--seconds', type=int, default=2)
    ap.add_argument('--rows', default='1k,1k-many,100k,uncached,tunnel')
    ap.add_argument('--servers', default='l7,haproxy,nginx,varnish,squid')
    ap.add_argument('--tunnel-servers', default='l7,haproxy,tinyproxy')
    a = ap.parse_args()
    names = a.servers.split(',')
    with tempfile.TemporaryDirectory(prefix='l7-bench-') as work:
        os.chmod(work, 0o777)
        root = os.path.join(work, 'site')
        site(root)
        with open(os.path.join(work, 'many.lua'), 'w') as f:
            f.write('local n = 0\nrequest = function()\n  n = (n * 1101 + 7) %% %d\n'
                    '  return wrk.format("GET", "/many/" .. n .. ".txt")\nend\n' % MANY)
        for row in a.rows.split(','):
            if row == 'tunnel':
                tunnels(a.tunnel_servers.split(','), a.rounds, work)
                continue
            p, port = origin_start(root, 'no-store' if row == 'uncached' else 'max-age=86400')
            try:
                rounds_of(row, names, a.rounds, a.seconds, port, work)
            finally:
                p.kill()
                p.wait()


if __name__ == '__main__':
    main()
