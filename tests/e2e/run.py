#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run.py -- the end-to-end tests: every test_*.py here, two files at a time; the last line counts.

    tests/e2e/run.py                          all
    tests/e2e/run.py echo serve               test_echo.py and test_serve.py
    tests/e2e/run.py echo.Tcp.test_greeting   one test
    -j N   files at a time        -v   every test's name
A skipped test counts as failed: a test that cannot run proves nothing.
"""
import argparse
import concurrent.futures
import glob
import json
import os
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


def child(name):
    """In the child process: run one file's tests (or one test of it) and leave the count as the last line."""
    sys.path.insert(0, HERE)
    suite = unittest.defaultTestLoader.loadTestsFromName(name)
    result = unittest.TextTestRunner(stream=sys.stderr, verbosity=2).run(suite)
    bad = len(result.failures) + len(result.errors) + len(result.skipped) + len(result.unexpectedSuccesses)
    print(json.dumps({'run': max(result.testsRun, bad), 'bad': bad}), flush=True)


def run_file(name, limit):
    start = time.monotonic()
    p = subprocess.Popen([sys.executable, os.path.abspath(__file__), '--child', name], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, errors='replace')
    try:
        out, err = p.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        p.terminate()
        out, err = p.communicate()
        err += f'\n{name}: stopped after {limit} s\n'
    try:
        count = json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        count = {'run': 1, 'bad': 1}
    if p.returncode and not count['bad']:
        count['bad'] = 1
    return name, count, err, time.monotonic() - start


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('names', nargs='*')
    p.add_argument('-j', type=int, default=2)
    p.add_argument('-v', action='store_true')
    p.add_argument('--limit', type=int, default=600, help='seconds a file')
    p.add_argument('--child', help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.child:
        return child(args.child)
    names = [n if n.startswith(('test_', 'soak_')) else 'test_' + n for n in args.names] or sorted(
        os.path.basename(f)[:-3] for f in glob.glob(os.path.join(HERE, 'test_*.py')))
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(args.j) as pool:
        for done in concurrent.futures.as_completed([pool.submit(run_file, n, args.limit) for n in names]):
            name, count, err, took = done.result()
            passed += count['run'] - count['bad']
            failed += count['bad']
            print(f'{"not ok" if count["bad"] else "ok"}  {name}: {count["run"]} tests, {count["bad"]} failed, {took:.1f} s')
            if count['bad'] or args.v:
                print(err, end='')
            sys.stdout.flush()
    print(f'{passed} passed, {failed} failed')
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
