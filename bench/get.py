#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""get.py -- CPU of `l7 get` beside curl's, in interleaved rounds, from nginx on loopback.

    bench/get.py [--rounds 9] [--rows big,segments,many,small]

    big       1 GiB over http to /dev/null: the bytes are really read and written      at most 0.8
    segments  the same in 8 segments, l7 only: its peak memory
    many      1,000 URLs of 1 KiB on one connection, each to its own file              at most 0.5
    small     one URL of 1 KiB, from start to finish                                   at most 1.0

The figure is user + system time of the client process (wait4) and, for `small`, the elapsed time as well. Medians and
the lower quartile over the rounds, which a busy machine disturbs less. Peak memory is VmHWM. Only ratios count.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'tests', 'e2e'))
import harness  # noqa: E402
import peers  # noqa: E402


def run(argv, watch=False):
    """(CPU seconds, elapsed seconds, peak KiB)"""
    begin, peak = time.monotonic(), 0
    p = subprocess.Popen(argv, stdout=subprocess.DEVNULL, env=harness.environment())
    while watch:
        try:
            with open(f'/proc/{p.pid}/status') as f:
                peak = next((int(line.split()[1]) for line in f if line.startswith('VmHWM')), peak)
        except OSError:
            pass
        pid, status, usage = os.wait4(p.pid, os.WNOHANG)
        if pid:
            break
        time.sleep(0.01)
    else:
        _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode:
        raise SystemExit(f'{" ".join(argv[:4])}: status {p.returncode}')
    return usage.ru_utime + usage.ru_stime, time.monotonic() - begin, peak


def low(values):
    return sorted(values)[len(values) // 4]


def report(row, got, target):
    for name, unit, pick in [('CPU', 1000, 0), ('elapsed', 1000, 1)]:
        if pick and row != 'small':
            continue
        l7, curl = ([g[pick] * unit for g in got[n]] for n in ('l7', 'curl'))
        print(f'{row:9}{name:8} l7 {statistics.median(l7):8.2f} ms (quartile {low(l7):.2f})  curl {statistics.median(curl):8.2f} ms '
              f'(quartile {low(curl):.2f})  ratio {statistics.median(l7) / statistics.median(curl):.2f}, of quartiles '
              f'{low(l7) / low(curl):.2f}; target {target}', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--rows', default='big,segments,many,small')
    args = parser.parse_args()
    test = harness.TestCase()
    folder = tempfile.mkdtemp(prefix='l7-bench-')
    memory = tempfile.mkdtemp(prefix='l7-bench-', dir='/dev/shm') if os.path.isdir('/dev/shm') else None
    os.chmod(folder, 0o755)
    try:
        measure(args, test, folder, memory)
    finally:
        unittest.TestCase.doCleanups(test)
        for made in filter(None, (folder, memory)):
            shutil.rmtree(made)


def measure(args, test, folder, memory):
    # Files go to memory where that is possible, so that the disk's file system does not drown the clients.
    site, out = os.path.join(folder, 'site'), os.path.join(memory or folder, 'out')
    os.mkdir(site)
    with open(os.path.join(site, 'big'), 'wb') as f:
        f.truncate(1 << 30)
    for i in range(1000):
        with open(os.path.join(site, f'f{i}'), 'wb') as f:
            f.write(os.urandom(1024))
    url = f'http://127.0.0.1:{peers.start_nginx(test, site, http="sendfile on; keepalive_requests 100000;").peer_port}'
    lists = {n: os.path.join(folder, n) for n in ('urls', 'config')}
    with open(lists['urls'], 'w') as f:
        f.writelines(f'{url}/f{i}\n' for i in range(1000))
    with open(lists['config'], 'w') as f:
        f.writelines(f'url = "{url}/f{i}"\n' for i in range(1000))
    rows = {
        'big': (['-s', '-o', '/dev/null', url + '/big'], ['-s', '-o', '/dev/null', url + '/big'], 0.8),
        'many': (['-s', '-O', '--output-dir', out, '--input', lists['urls']],
                 ['-s', '--remote-name-all', '--output-dir', out, '-K', lists['config']], 0.5),
        'small': (['-s', '-o', '/dev/null', url + '/f0'], ['-s', '-o', '/dev/null', url + '/f0'], 1.0),
    }
    for row in args.rows.split(','):
        if row == 'segments':
            for extra in ([], ['--segments', '8']):
                peak = max(run([harness.L7, 'get', *rows['big'][0], *extra], watch=True)[2] for _ in range(3))
                print(f'segments  peak memory with {extra or "one connection"}: {peak} KiB; target 8192', flush=True)
            continue
        ours, theirs, target = rows[row]
        got = {'l7': [], 'curl': []}
        for _ in range(args.rounds * (5 if row == 'small' else 1)):
            for name, argv in [('l7', [harness.L7, 'get', *ours]), ('curl', [peers.path('curl'), *theirs])]:
                shutil.rmtree(out, ignore_errors=True)
                os.mkdir(out)
                got[name].append(run(argv))
                if row == 'many' and len(os.listdir(out)) != 1000:
                    raise SystemExit(f'{name} left {len(os.listdir(out))} files')
        report(row, got, target)


if __name__ == '__main__':
    main()
