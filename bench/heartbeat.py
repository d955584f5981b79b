#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The heartbeat listener under load: CPU a packet, memory, and whether anything is lost.

    bench/heartbeat.py [--seconds 60] [--rounds 1]

One worker on one CPU, the generator on another. Loss is counted twice: by the listener's own sequence numbers, and by
comparing what was sent with what its table says was received.
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
        time.sleep(0.2)
        used = cpu_seconds(listener.pid) - before
        memory = memory_mib(listener.pid)
        known, received, lost = table(port)
        return dict(sent=int(sent), received=received, lost=lost, senders=known, us=used / int(sent) * 1e6,
                    mib=memory, late_ms=float(late))
    finally:
        listener.send_signal(signal.SIGTERM)
        listener.wait(20)


def main():
    a = argparse.ArgumentParser()
    a.add_argument('--seconds', type=int, default=60)
    a.add_argument('--rounds', type=int, default=1)
    a = a.parse_args()
    cases = [('100,000 senders x 1 Hz', 100000, 100000, []),
             ('the same, --false-alarms 1/day', 100000, 100000, ['--false-alarms', '1/day']),
             ('200,000 packets/s', 100000, 200000, [])]
    bad = False
    for name, senders, rate, extra in cases:
        results = [run(senders, rate, a.seconds, extra) for _ in range(a.rounds)]
        us = statistics.median(r['us'] for r in results)
        missing = max(r['sent'] - r['received'] for r in results)
        print(f"{name:32s} {us:5.2f} us a packet ({min(r['us'] for r in results):.2f}-{max(r['us'] for r in results):.2f}), "
              f"{max(r['mib'] for r in results):.1f} MiB, missing {missing}, generator late {max(r['late_ms'] for r in results):.0f} ms",
              flush=True)
        bad |= missing > 0
    return bad


if __name__ == '__main__':
    sys.exit(main())
