#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""serve.py -- CPU per request of `l7 serve` beside nginx, h2o, lighttpd and a bare epoll loop.

    bench/serve.py [--rounds 5] [--seconds 2] [--rows 1k,1k-two-core,100k,10m,connection,idle] [--servers l7,h2o,...]

Rounds are interleaved: every server is measured once a round, so drift of the machine meets all alike. The figure is
user + system time of the server's whole process tree, from /proc, divided by the requests that the load generator
counts; medians over the rounds, with the spread. One-core rows pin the server and the generator to the same CPU.
Only ratios within one run mean anything. Each row ends with l7's ratio to the peer that it is held against, and its
target. The peers and wrk come from Debian's packages, unpacked below build/peers.
"""
import argparse
import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'tests', 'e2e'))
import harness  # noqa: E402
import network  # noqa: E402
import peers  # noqa: E402

TICK = os.sysconf('SC_CLK_TCK')
PEERS = {'h2o': 'h2o', 'nginx-sendfile': 'nginx', 'nginx-nopush': 'nginx', 'nginx-read': 'nginx', 'lighttpd': 'lighttpd'}
ROWS = {  # row: (file, size, one core, a connection per request)
    '1k': ('1k.txt', 1024, True, False),
    '1k-two-core': ('1k.txt', 1024, False, False),
    '100k': ('100k.txt', 102400, True, False),
    '10m': ('10m.txt', 10485760, False, False),
    'connection': ('1k.txt', 1024, True, True),
}
NGINX = ['nginx-sendfile', 'nginx-nopush', 'nginx-read']
TARGETS = {  # row: (at most this, times the cheapest of these; None: of all peers)
    '1k': (0.80, ['h2o']),
    '1k-two-core': (0.92, None),
    '100k': (0.92, NGINX),
    '10m': (1.0, NGINX),
    'connection': (0.85, NGINX),
}
IDLE_EACH, IDLE_WHOLE = 0.35, 0.9  # KiB of Pss, at most


def tree(pid):
    pids = [pid]
    for p in pids:
        try:
            for t in os.listdir(f'/proc/{p}/task'):
                with open(f'/proc/{p}/task/{t}/children') as f:
                    pids += [int(c) for c in f.read().split()]
        except OSError:
            pass
    return pids


def cpu(pid):
    total = 0
    for p in tree(pid):
        with open(f'/proc/{p}/stat') as f:
            fields = f.read().rsplit(')', 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def pss(pid):
    total = 0
    for p in tree(pid):
        with open(f'/proc/{p}/smaps_rollup') as f:
            total += int(re.search(r'^Pss:\s+(\d+)', f.read(), re.M).group(1))
    return total


def end(process):
    """End what was started and what that has started: asked first, since nginx's and Varnish's children outlive a KILL
    of their parent."""
    pids = tree(process.pid)
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid in pids[1:]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


class Server:
    """One server, running on CPU 0 until closed."""

    def __init__(self, name, root, work, size, once):
        self.port = harness.free_port()
        argv, env = self.command(name, root, work, size, once)
        self.p = subprocess.Popen(['taskset', '-c', '0', *argv], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            harness.wait_until(lambda: peers.answers(self.port) or self.p.poll() is not None, what=name)
            if self.p.poll() is not None:
                raise SystemExit(f'{name} ended at once: {" ".join(argv)}')
        except BaseException:
            self.close()
            raise

    def command(self, name, root, work, size, once):
        if name == 'l7':
            return [harness.L7, 'serve', root, '--listen', f'127.0.0.1:{self.port}', '--workers', '1', '--access-log', 'off',
                    '--idle-timeout', '10m', '--header-timeout', '10m'], None
        if name == 'limit':
            return [os.path.join(harness.BUILD, 'bench', 'bench_limit'), str(self.port), str(size), *(['close'] if once else [])], None
        with open(os.path.join(HERE, 'peers', name + '.conf')) as f:
            text = f.read().replace('@PORT@', str(self.port)).replace('@ROOT@', root).replace('@WORK@', work)
        conf = os.path.join(work, f'{name}-{self.port}.conf')
        with open(conf, 'w') as f:
            f.write(text)
        peer = PEERS[name]
        args = {'h2o': ['-c', conf], 'nginx': ['-c', conf, '-p', work, '-e', 'stderr'], 'lighttpd': ['-D', '-f', conf]}[peer]
        if peer == 'lighttpd':
            args += ['-m', os.path.join(peers.root('lighttpd'), 'usr/lib/lighttpd')]
        return [peers.path(peer), *args], peers.env(peer)

    def close(self):
        end(self.p)


def wrk(server, url, seconds, one_core, more=()):
    """(requests answered, CPU seconds of the server) of one burst."""
    argv = ['taskset', '-c', '0' if one_core else '1', peers.path('wrk'), '-t1', '-c64', f'-d{seconds}s', '--timeout', '20s', *more, url]
    before = cpu(server.p.pid)
    out = subprocess.run(argv, capture_output=True, text=True, env=peers.env('wrk'), check=True).stdout
    used = cpu(server.p.pid) - before
    if re.search(r'Non-2xx|Socket errors.*(connect [1-9]|timeout [1-9])', out):
        raise SystemExit(f'{url}: {out}')
    return int(re.search(r'(\d+) requests in', out).group(1)), used


CLOSE = ['-H', 'Connection: close']


def load(server, row, seconds):
    name, _, one_core, once = ROWS[row]
    return wrk(server, f'http://127.0.0.1:{server.port}/{name}', seconds, one_core, CLOSE if once else [])


def interleave(names, start, burst, rounds, seconds):
    """{name: [us of CPU per request, one a round]}; `start` makes a server of a name, `burst` loads it."""
    servers, took = {}, {n: [] for n in names}
    try:
        for n in names:
            servers[n] = start(n)
            burst(servers[n], 1)
        for _ in range(rounds):
            for n in names:
                requests, used = burst(servers[n], seconds)
                took[n].append(used / requests * 1e6)
    finally:
        for s in servers.values():
            s.close()
    return took


def measure(row, names, rounds, seconds, root, work):
    took = interleave(names, lambda n: Server(n, root, work, ROWS[row][1], ROWS[row][3]), lambda s, t: load(s, row, t),
                      rounds, seconds)
    report(row, took, *TARGETS[row])


def report(row, took, target=None, against=None):
    peers_only = {n: statistics.median(v) for n, v in took.items() if n not in ('l7', 'limit')}
    rivals = [n for n in against or peers_only if n in peers_only] or list(peers_only)
    best = min(rivals, key=peers_only.get) if rivals else 'l7'
    one = statistics.median(took[best])
    print(f'\n{row}: CPU per request; 1 = {best}')
    for n, v in sorted(took.items(), key=lambda item: statistics.median(item[1])):
        m = statistics.median(v)
        print(f'  {n:16} {m:9.2f} us   {m / one:5.2f}   ({min(v):.2f} to {max(v):.2f})')
    if target and rivals and 'l7' in took:
        verdict(f'{row}: l7 / {best}', statistics.median(took['l7']) / one, target)
    sys.stdout.flush()


def verdict(what, value, target, unit=''):
    print(f'  {what} = {value:.3f}{unit}, target at most {target:g}{unit}: {"met" if value <= target else "NOT MET"}')


def idle(names, root, work, count=10000):
    """Pss that each of many idle keep-alive connections adds, and the whole process divided by their number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(count, hard - 500)
    print(f'\nidle: {count} keep-alive connections that have made one request; KiB of Pss')
    for n in names:
        s = Server(n, root, work, 1024, False)
        try:
            before, conns = pss(s.p.pid), []
            for _ in range(count):
                c = socket.create_connection(('127.0.0.1', s.port))
                c.sendall(b'GET /1k.txt HTTP/1.1\r\nHost: h\r\n\r\n')
                conns.append(c)
                if len(conns) % 100 == 0:
                    for c in conns[-100:]:
                        read_answer(c)
            time.sleep(0.5)  # what is freed late is freed now
            after = pss(s.p.pid)
            print(f'  {n:16} {(after - before) / count:6.3f} each   {after / count:6.3f} whole')
            if n == 'l7':
                verdict('idle: each', (after - before) / count, IDLE_EACH, ' KiB')
                verdict('idle: whole process / connections', after / count, IDLE_WHOLE, ' KiB')
            for c in conns:
                c.close()
        finally:
            s.close()


def read_answer(c):
    got = b''
    while b'\r\n\r\n' not in got or len(got) - got.index(b'\r\n\r\n') - 4 < 1024:
        piece = c.recv(65536)
        if not piece:
            raise SystemExit('a connection was closed')
        got += piece


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--rounds', type=int, default=5)
    ap.add_argument('--seconds', type=int, default=2)
    ap.add_argument('--rows', default='1k,1k-two-core,100k,10m,connection,idle')
    ap.add_argument('--servers', default='limit,l7,h2o,nginx-sendfile,nginx-nopush,nginx-read,lighttpd')
    network.add_option(ap)
    a = ap.parse_args()
    network.enter(a.congestion)
    names = a.servers.split(',')
    with tempfile.TemporaryDirectory(prefix='l7-bench-') as work:
        os.chmod(work, 0o755)
        root = os.path.join(work, 'site')
        os.makedirs(root)
        for file, size, *_ in ROWS.values():
            with open(os.path.join(root, file), 'wb') as f:
                f.write(b'0123456789abcdef' * (size // 16))
        for row in a.rows.split(','):
            if row == 'idle':
                idle([n for n in names if n != 'limit'], root, work)
            else:
                measure(row, names, a.rounds, a.seconds, root, work)


if __name__ == '__main__':
    main()
