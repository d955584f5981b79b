#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""proxy.py -- CPU per request of `l7 proxy` beside HAProxy, nginx, Varnish, Traffic Server and squid before one origin.

    bench/proxy.py [--rounds 5] [--seconds 1] [--rows 1k,1k-many,100k,uncached,tunnel] [--servers l7,haproxy,...]

Measured as in serve.py: interleaved rounds, user + system time of the proxy's whole process tree, medians with the
spread; proxy and load generator share a CPU, the origin (`l7 serve`) has the other one. That hits are hits is counted
at the origin, which must not hear of a single one. `1k-many` spreads them over 10,000 objects. `tunnel` is CPU seconds
per GiB through CONNECT (HAProxy: its TCP mode with splice, nothing parsed). `limit` is no proxy: a loop that answers every
read with a constant, so what the kernel alone costs here. Each row ends with ratio and target.
"""
import argparse
import http.client
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, 'peers')]
import network  # noqa: E402
import serve  # noqa: E402
from proxies import Proxy, harness, peers  # noqa: E402

MANY = 10000
GIB = 1 << 30
TUNNEL_GIB = 2  # a turn: the clock of /proc counts hundredths of a second
PATHS = {'1k': '1k.txt', '1k-many': 'many/0.txt', '100k': '100k.txt', 'uncached': 'private/1k.txt'}
TARGETS = {  # row: [(peer, the most that l7 may cost of it)]
    '1k': [('haproxy', 0.55)],
    '1k-many': [('haproxy', 0.55)],
    '100k': [('nginx', 0.85)],
    'uncached': [('nginx', 0.8)],
    'tunnel': [('tinyproxy', 0.40), ('haproxy', 1.0)],
}
TUNNEL_RATE = 1.0  # GB/s, at least


class Origin:
    """`l7 serve` on CPU 1, with a count of the requests it has answered."""

    def __init__(self, root, policy):
        self.port, self.metrics = harness.free_port(), harness.free_port()
        self.p = subprocess.Popen(['taskset', '-c', '1', harness.L7, 'serve', root, '--listen', f'127.0.0.1:{self.port}',
                                   '--metrics', f'127.0.0.1:{self.metrics}', '--workers', '1', '--access-log', 'off',
                                   '--idle-timeout', '10m', '--cache-control', policy],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.asked = 0
        try:
            harness.wait_until(lambda: peers.answers(self.port) and peers.answers(self.metrics), what='the origin')
        except BaseException:
            self.close()
            raise

    def answered(self):
        """Requests since the last call; the page of metrics counts its own readings."""
        c = http.client.HTTPConnection('127.0.0.1', self.metrics)
        c.request('GET', '/metrics')
        now = int(re.search(r'^l7_http_requests_total (\d+)', c.getresponse().read().decode(), re.M).group(1))
        c.close()
        n, self.asked = now - self.asked - 1, now
        return n

    def close(self):
        serve.end(self.p)


def load(proxy, path, seconds, script=None):
    """(requests answered, CPU seconds of the proxy) of one burst."""
    return serve.wrk(proxy, f'http://127.0.0.1:{proxy.port}/{path}', seconds, True, ['-s', script] if script else [])


def measured(proxy, origin, row, seconds, script):
    """CPU microseconds per request of one burst, which was all hits (or all misses)."""
    origin.answered()
    requests, used = load(proxy, PATHS[row], seconds, script)
    asked = origin.answered()
    if row == 'uncached' and asked < requests or row != 'uncached' and asked > 0:
        raise SystemExit(f'{row}, {proxy.name}: the origin answered {asked} of {requests} requests')
    return used / requests * 1e6


def rounds_of(row, a, origin, work):
    names = [n for n in a.servers.split(',') if n != 'limit' or row != 'uncached']
    script = os.path.join(work, 'many.lua') if row == '1k-many' else None
    proxies, took = {}, {n: [] for n in names}
    try:
        for n in names:
            proxies[n] = Proxy(n, origin.port, work, size=102400 if row == '100k' else 1024)
            load(proxies[n], PATHS[row], 3 if script else 1, script)
        for _ in range(a.rounds):
            for n in names:
                took[n].append(measured(proxies[n], origin, row, a.seconds, script))
    finally:
        for p in proxies.values():
            p.close()
    report(row, took, 'us a request', 2)


def report(row, took, unit, digits):
    median = {n: statistics.median(v) for n, v in took.items()}
    print(f'\n{row}: CPU {unit}')
    for n in sorted(median, key=median.get):
        print(f'  {n:10} {median[n]:9.{digits}f}   ({min(took[n]):.{digits}f} to {max(took[n]):.{digits}f})')
    for peer, most in TARGETS[row]:
        if 'l7' in median and peer in median:
            ratio = median['l7'] / median[peer]
            print(f'  l7 / {peer} = {ratio:.3f}, target at most {most:.2f}: {"met" if ratio <= most else "MISSED"}')
    sys.stdout.flush()


def blaster(listener):
    """Sends TUNNEL_GIB to whoever connects, out of a file in memory: no work of the generator's but the kernel's."""
    file = os.memfd_create('blast')
    block = 1 << 20
    os.truncate(file, block)
    while True:
        try:
            c, _ = listener.accept()
        except OSError:
            return
        left = TUNNEL_GIB * GIB
        try:
            while left:
                left -= os.sendfile(c.fileno(), file, left % block, block - left % block)
        except OSError:
            pass  # somebody who only tried whether the proxy is there
        c.close()


def tunnel_once(proxy, origin):
    """(CPU seconds a GiB, GB/s) of one tunnel's worth of bytes."""
    before, began = serve.cpu(proxy.p.pid), time.monotonic()
    c = socket.create_connection(('127.0.0.1', proxy.port), timeout=20)
    if proxy.name != 'haproxy':
        c.sendall(f'CONNECT 127.0.0.1:{origin} HTTP/1.1\r\nHost: 127.0.0.1:{origin}\r\n\r\n'.encode())
        head = b''
        while b'\r\n\r\n' not in head:
            head += c.recv(1)
    got, into = 0, bytearray(1 << 20)
    while n := c.recv_into(into):
        got += n
    c.close()
    took = time.monotonic() - began
    if got != TUNNEL_GIB * GIB:
        raise SystemExit(f'{proxy.name}: {got} bytes')
    return (serve.cpu(proxy.p.pid) - before) / TUNNEL_GIB, got / took / 1e9


def tunnels(a, work):
    names = a.tunnel_servers.split(',')
    os.sched_setaffinity(0, {1})  # both ends; the proxy has the other CPU
    listener = socket.create_server(('127.0.0.1', 0))
    origin = listener.getsockname()[1]
    threading.Thread(target=blaster, args=(listener,), daemon=True).start()
    proxies, took, rates = {}, {n: [] for n in names}, []
    try:
        for n in names:
            proxies[n] = Proxy(n, origin, work, True)
        for _ in range(a.rounds):
            for n in names:
                used, rate = tunnel_once(proxies[n], origin)
                took[n].append(used)
                if n == 'l7':
                    rates.append(rate)
    finally:
        for p in proxies.values():
            p.close()
        listener.close()
        os.sched_setaffinity(0, range(os.cpu_count()))
    report('tunnel', took, 's a GiB', 3)
    if rates:
        rate = statistics.median(rates)
        print(f'  l7: {rate:.2f} GB/s, target at least {TUNNEL_RATE:.1f}: {"met" if rate >= TUNNEL_RATE else "MISSED"}')


def site(root):
    for folder in ('many', 'private'):
        os.makedirs(os.path.join(root, folder))
    files = {'1k.txt': 1024, '100k.txt': 102400, 'private/1k.txt': 1024}
    files.update({f'many/{i}.txt': 1024 for i in range(MANY)})
    for name, size in files.items():
        with open(os.path.join(root, name), 'wb') as f:
            f.write(b'0123456789abcdef' * (size // 16))


def run_row(row, a, root, work):
    if row == 'tunnel':
        tunnels(a, work)
        return
    origin = Origin(root, 'no-store' if row == 'uncached' else 'max-age=86400')
    try:
        rounds_of(row, a, origin, work)
    finally:
        origin.close()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--rounds', type=int, default=5)
    ap.add_argument('--seconds', type=int, default=1)
    ap.add_argument('--rows', default='1k,1k-many,100k,uncached,tunnel')
    ap.add_argument('--servers', default='limit,l7,haproxy,nginx,varnish,ats,squid')
    ap.add_argument('--tunnel-servers', default='l7,haproxy,tinyproxy,squid')
    network.add_option(ap)
    a = ap.parse_args()
    network.enter(a.congestion)
    with tempfile.TemporaryDirectory(prefix='l7-bench-') as work:
        os.chmod(work, 0o777)
        root = os.path.join(work, 'site')
        site(root)
        with open(os.path.join(work, 'many.lua'), 'w') as f:
            f.write('local n = 0\nrequest = function()\n  n = (n * 1101 + 7) %% %d\n'
                    '  return wrk.format("GET", "/many/" .. n .. ".txt")\nend\n' % MANY)
        for row in a.rows.split(','):
            run_row(row, a, root, work)


if __name__ == '__main__':
    main()
