#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The heartbeat listener under load: CPU a packet, memory, and whether anything is lost.

    bench/heartbeat.py [--seconds 60] [--rounds 1] [--only TEXT]

One worker on one CPU, the generator on another; each needs its own for itself. What is missing is told apart: what the
generator was late with, what the kernel dropped because the socket was full (the drops of /proc/net/udp), and what
the listener's table lacks of what was sent.
"""
import argparse
import os
import re
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get('L7_BUILD', os.path.join(ROOT, 'build'))


def cpu_seconds(pid):
    fields = open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def memory_mib(pid):
    text = open(f'/proc/{pid}/status').read()
    return int(re.search(r'VmHWM:\s+(\d+)', text).group(1)) / 1024


def table(port):
    """Sums over the whole table by the watch protocol: senders, received, lost."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(2)
    at, senders, received, lost = 0, 0, 0, 0
    while True:
        ask = b'L7HB' + bytes([1, 2, 0, 0]) + struct.pack('>QI', at + 1, at)
        s.sendto(ask + bytes(2000 - len(ask)), ('127.0.0.1', port))
        a = s.recv(4096)
        nxt, slots = struct.unpack_from('>II', a, 28)
        rows, p = struct.unpack_from('>H', a, 56)[0], 60
        for _ in range(rows):
            got, gone = struct.unpack_from('>QQ', a, p + 22 + 16)
            senders, received, lost, p = senders + 1, received + got, lost + gone, p + 113 + a[p]
        if nxt >= slots:
            return senders, received, lost
        at = nxt


def drops(port):
    """Datagrams that found no room in the receive buffer of the socket on `port`."""
    rows = [line.split() for line in open('/proc/net/udp').read().splitlines()[1:]]
    return sum(int(r[-1]) for r in rows if int(r[1].split(':')[1], 16) == port)


def settled(port, sent):
    """The table once nothing more comes: what waits in the socket when the generator ends still counts."""
    before, seen = -1, table(port)
    while seen[1] != before and seen[1] < sent:
        time.sleep(0.2)
        before, seen = seen[1], table(port)
    return seen


def run(senders, rate, seconds, extra):
    first, second = sorted(os.sched_getaffinity(0))[:2]
    listener = subprocess.Popen([f'{BUILD}/l7', 'heartbeat', 'listen', '--listen', '127.0.0.1:0', '--workers', '1',
                                 '--quiet', *extra], stderr=subprocess.PIPE, text=True,
                                preexec_fn=lambda: os.sched_setaffinity(0, {first}))
    try:
        port = int(re.search(r':(\d+)\s*$', listener.stderr.readline()).group(1))
        before = cpu_seconds(listener.pid)
        out = subprocess.run([f'{BUILD}/bench/bench_heartbeat_load', '127.0.0.1', str(port), str(senders), '1000', str(rate),
                              str(seconds)], capture_output=True, text=True, check=True,
                             preexec_fn=lambda: os.sched_setaffinity(0, {second})).stdout
        sent, late = re.match(r'sent (\d+) late_ms ([\d.]+)', out).groups()
        used = cpu_seconds(listener.pid) - before
        memory = memory_mib(listener.pid)
        known, received, lost = settled(port, int(sent))
        return dict(sent=int(sent), received=received, lost=lost, senders=known, us=used / int(sent) * 1e6,
                    mib=memory, late_ms=float(late), drops=drops(port))
    finally:
        listener.send_signal(signal.SIGTERM)
        listener.wait(20)


def main():
    a = argparse.ArgumentParser()
    a.add_argument('--seconds', type=int, default=60)
    a.add_argument('--rounds', type=int, default=1)
    a.add_argument('--only', default='')
    a = a.parse_args()
    cases = [('100,000 senders x 1 Hz', 100000, 100000, []),
             ('100,000, --false-alarms 1/day', 100000, 100000, ['--false-alarms', '1/day']),
             ('200,000 packets/s', 100000, 200000, [])]
    bad = False
    print('targets: at most 6 us and 40 MiB, nothing missing')
    for name, senders, rate, extra in [c for c in cases if a.only in c[0]]:
        results = [run(senders, rate, a.seconds, extra) for _ in range(a.rounds)]
        us = [r['us'] for r in results]
        mib, late, dropped = (max(r[k] for r in results) for k in ('mib', 'late_ms', 'drops'))
        missing = max(r['sent'] - r['received'] for r in results)
        print(f"{name:32s} {statistics.median(us):5.2f} us a packet ({min(us):.2f}-{max(us):.2f}), {mib:.1f} MiB, "
              f"{results[0]['sent']} sent, missing {missing} (kernel dropped {dropped}), generator late {late:.0f} ms at most",
              flush=True)
        bad |= missing > 0 or any(r['senders'] != senders or r['lost'] for r in results)
    return bad


if __name__ == '__main__':
    sys.exit(main())
