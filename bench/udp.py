#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""udp.py -- l7 ping and its listener against a packet tap, a bare loop, irtt, fping and ping, interleaved in one run.

    bench/udp.py [error] [reflect] [--rounds N] [--probes N]

error    how far the median round trip that a tool reports is from what a packet tap (another process) saw, at 100 Hz and
         1 kHz, alone and with both cores busy; and the tool's CPU time a probe
reflect  replies a second of the server's CPU time: l7 against a loop of recvmmsg and sendmmsg, and irtt's server
Needs root (packet socket, ICMP). Every figure is the median over the rounds, with the least and the greatest.
"""
import argparse
import json
import os
import re
import resource
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'e2e'))
import harness  # noqa: E402
import peers    # noqa: E402

TICK = os.sysconf('SC_CLK_TCK')
TARGETS = {'irtt': ['irtt'], 'fping': ['fping'], 'ping': ['iputils-ping']}
peers.PACKAGES.update({'ping': ['iputils-ping']})


def cpu(pid):
    with open(f'/proc/{pid}/stat') as f:
        fields = f.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def helper(name):
    return os.path.join(harness.BUILD, 'bench', 'bench_udp_' + name)


class Running:
    """A program with a line on standard error that says it is ready; ended by its process id."""

    def __init__(self, argv, ready=None, env=None, out=subprocess.PIPE):
        self.p = subprocess.Popen([str(a) for a in argv], stdout=out, stderr=subprocess.PIPE, env=env)
        while ready:
            line = self.p.stderr.readline().decode()
            if not line:
                raise SystemExit(f'{argv[0]} ended before it was ready')
            if ready in line:
                break

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.terminate()
        self.p.communicate()


def listener(*args):
    p = Running([harness.L7, 'ping', 'listen', '--listen', f'127.0.0.1:{PORT}', '--workers', 1, *args], 'listening on')
    return p


def irtt_server():
    p = Running([peers.path('irtt'), 'server', '-i', '0', '-b', f'127.0.0.1:{PORT}'], env=peers.env('irtt'), out=subprocess.DEVNULL)
    time.sleep(0.3)
    return p


def children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_timed(argv, env=None):
    """(standard output, CPU seconds)"""
    before = children()
    out = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env).stdout.decode()
    return out, children() - before


# ---- what each tool says: (median in us, CPU seconds), and where its number stands in the packet ----

def l7(n, hz):
    out, used = run_timed([harness.L7, 'ping', '-q', '--json', '-c', n, '-i', f'{1000 // hz}ms', '127.0.0.1', PORT])
    return json.loads(out.splitlines()[-1])['median_ns'] / 1e3, used


def irtt(n, hz):
    out, used = run_timed([peers.path('irtt'), 'client', '-i', f'{1000 // hz}ms', '-d', f'{n / hz:g}s', '-q', '-o', '-',
                           '--tstamp=none', f'127.0.0.1:{PORT}'], peers.env('irtt'))
    trips = [t['delay']['rtt'] for t in json.loads(out[out.index('{'):])['round_trips'] if t['lost'] == 'false']
    return statistics.median(trips) / 1e3, used


def fping(n, hz):
    out, used = run_timed([peers.path('fping'), '-c', n, '-p', 1000 // hz, '127.0.0.1'], peers.env('fping'))
    return statistics.median(float(x) for x in re.findall(r', ([\d.]+) ms \(', out)) * 1e3, used


def ping(n, hz):
    out, used = run_timed([peers.path('ping'), '-c', n, '-i', 1 / hz, '127.0.0.1'], peers.env('ping'))
    return statistics.median(float(x) for x in re.findall(r'time=([\d.]+) ms', out)) * 1e3, used


def key_l7(data):
    m = re.match(rb'Ping (\d+) ', data[28:])
    return m and int(m.group(1))


def key_irtt(data):  # magic 3, flags 1, connection token 8, sequence 4
    return data[28:31] + data[40:44] if len(data) >= 44 else None


def key_icmp(data):
    return data[24:28]


def tapped(raw, key, port):
    """Median round trip in us, by number: from the request entering the device to the reply entering it. (The copy of a
    packet on its way out is stamped before the tap's own work for it, which would be measured too.)"""
    sent, trips = {}, []
    for at in range(0, len(raw) - 127, 128):
        ns, _, direction = struct.unpack_from('<qHB', raw, at)
        data = raw[at + 12:at + 128]
        number = key(data)
        if port:
            request = struct.unpack_from('!H', data, 22)[0] == port
        else:
            request = data[20] == 8
        if number is None:
            continue
        if request and direction == 0:
            sent[number] = ns
        elif not request and direction == 0 and number in sent:
            trips.append(ns - sent.pop(number))
    return statistics.median(trips) / 1e3, len(trips)


TOOLS = {'l7': (l7, key_l7, 17, listener), 'irtt': (irtt, key_irtt, 17, irtt_server), 'fping': (fping, key_icmp, 1, None),
         'ping': (ping, key_icmp, 1, None)}


def one_error(name, n, hz):
    tool, key, protocol, server = TOOLS[name]
    with (server() if server else open(os.devnull)):
        tap = Running([helper('tap'), protocol, PORT], 'ready')
        median, used = tool(n, hz)
        time.sleep(0.05)
        tap.p.send_signal(signal.SIGTERM)
        raw = tap.p.communicate()[0]
    truth, pairs = tapped(raw, key, PORT if protocol == 17 else None)
    return median - truth, truth, used / pairs * 1e6, pairs  # a probe that was sent: irtt skips some


def row(values, digits=2):
    return f'{statistics.median(values):8.{digits}f} ({min(values):.{digits}f} .. {max(values):.{digits}f})'


def spinners(n):
    return [subprocess.Popen([sys.executable, '-c', 'while True: pass']) for _ in range(n)]


def bench_error(args):
    print(f'{"":24}{"tap median, us":>28}{"error of the median, us":>30}{"CPU a probe, us":>28}  pairs')
    summary = {}
    for busy in 0, 2:
        for hz in 100, 1000:
            found = {name: [] for name in TOOLS}
            extra = spinners(busy)
            try:
                for _ in range(args.rounds):
                    for name in TOOLS:
                        found[name].append(one_error(name, args.probes if hz == 1000 else args.probes // 5, hz))
            finally:
                for p in extra:
                    p.kill()
                    p.wait()
            for name, rows in found.items():
                errors, truths, used, pairs = zip(*rows)
                label = f'{name} {hz} Hz{", busy" if busy else ""}'
                print(f'{label:24}{row(truths):>28}{row(errors):>30}{row(used, 1):>28}  {min(pairs)}', flush=True)
                summary[label] = (max(abs(e) for e in errors), statistics.median(used))
    for hz in ('100 Hz', '1000 Hz', '100 Hz, busy', '1000 Hz, busy'):
        ok = summary[f'l7 {hz}'][0] <= 2
        print(f'{"ok  " if ok else "FAIL"} worst error of l7 at {hz}: {summary[f"l7 {hz}"][0]:.2f} us (at most 2)')
    ratio = summary['l7 1000 Hz'][1] / summary['irtt 1000 Hz'][1]
    print(f'{"ok  " if ratio <= 0.5 else "FAIL"} CPU a probe at 1 kHz: {ratio:.2f} x irtt (at most 0.5)')


# ---- reflectors ----

def loaded(server, port, size, seconds):
    """Replies a CPU second of the server on one core, kept busy by udp_load on another."""
    first, second = sorted(os.sched_getaffinity(0))[:2]
    with server:
        for task in os.listdir(f'/proc/{server.p.pid}/task'):
            os.sched_setaffinity(int(task), {first})
        os.sched_setaffinity(0, {second})
        subprocess.run([helper('load'), str(port), '0.3', '64', str(size)], stdout=subprocess.DEVNULL)
        before = cpu(server.p.pid)
        out = subprocess.run([helper('load'), str(port), str(seconds), '64', str(size)], stdout=subprocess.PIPE).stdout
        os.sched_setaffinity(0, {first, second})
        return int(out) / (cpu(server.p.pid) - before)


def irtt_loaded(seconds):
    with irtt_server() as server:
        before = cpu(server.p.pid)
        out, _ = run_timed([peers.path('irtt'), 'client', '-i', '2us', '-d', f'{seconds}s', '-q', '-o', '-',
                            f'127.0.0.1:{PORT}'], peers.env('irtt'))
        used = cpu(server.p.pid) - before
        stats = json.loads(out[out.index('{'):])['stats']
        return stats['server_packets_received'] / used


def bench_reflect(args):
    found = {'bare': [], 'l7 echo': [], 'bare, stamps': [], 'l7 STAMP': [], 'irtt': []}
    for _ in range(args.rounds):
        found['bare'].append(loaded(Running([helper('bare'), PORT, 'plain'], 'ready'), PORT, 48, args.seconds))
        found['l7 echo'].append(loaded(listener(), PORT, 48, args.seconds))
        found['bare, stamps'].append(loaded(Running([helper('bare'), PORT, 'stamps'], 'ready'), PORT, 48, args.seconds))
        p = Running([harness.L7, 'ping', 'listen', '--listen', '127.0.0.1:0', '--stamp', f'127.0.0.1:{PORT}', '--workers', 1],
                    '(stamp)')
        found['l7 STAMP'].append(loaded(p, PORT, 48, args.seconds))
        found['irtt'].append(irtt_loaded(args.seconds))
    for name, rows in found.items():
        print(f'{name:16} {row(rows, 0)} replies a CPU second')
    for name, against, least in (('l7 echo', 'bare', 0.9), ('l7 STAMP', 'bare, stamps', 0.9), ('l7 echo', 'irtt', 1.3),
                                 ('l7 STAMP', 'irtt', 1.3)):
        ratio = statistics.median(found[name]) / statistics.median(found[against])
        print(f'{"ok  " if ratio >= least else "FAIL"} {name}: {ratio:.2f} x {against} (at least {least})')


def main():
    global PORT
    a = argparse.ArgumentParser()
    a.add_argument('what', nargs='*', default=['error', 'reflect'])
    a.add_argument('--rounds', type=int, default=5)
    a.add_argument('--probes', type=int, default=2000)
    a.add_argument('--seconds', type=float, default=2)
    args = a.parse_args()
    subprocess.run(['meson', 'compile', '-C', harness.BUILD, 'l7', *('bench_udp_' + n for n in ('tap', 'bare', 'load'))],
                   check=True, stdout=subprocess.DEVNULL)
    PORT = harness.free_port(socket.SOCK_DGRAM)
    for what in args.what:
        {'error': bench_error, 'reflect': bench_reflect}[what](args)


if __name__ == '__main__':
    main()
