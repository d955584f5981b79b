#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""http_requirements.py -- every test that docs/http-requirements.md names exists; exit 1 and a line for each that does not."""
import glob
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NEXT = r'(?=,? (?:unit|e2e|sim) |\s*[|;]|\s*$)'  # where the name of a simulated case ends


def read(*path):
    with open(os.path.join(TOP, *path), encoding='utf-8') as f:
        return f.read()


def python_tests():
    """{(class, method)} of the server's end-to-end tests."""
    found, holder = set(), None
    shared = re.findall(r'(?m)^    def (test_\w+)', read('tests', 'e2e', 'raw.py'))
    for path in glob.glob(os.path.join(TOP, 'tests', 'e2e', 'test_serve*.py')):
        for line in read(path).splitlines():
            m = re.match(r'class (\w+)|    def (test_\w+)', line)
            if m and m[1]:
                holder = m[1]
                found |= {(holder, test) for test in shared if '(raw.Table)' in line}
            elif m:
                found.add((holder, m[2]))
    return found


def missing(rows):
    e2e = python_tests()
    for name, case in sorted(set(re.findall(r'unit (\w+)\.(\w+)', rows))):
        if not re.search(rf'\b{case}\b', read('tests', 'unit', f'{name}_test.c')):
            yield f'unit {name}.{case}'
    for where in sorted(set(re.findall(r'e2e (\w+)\.(\w+)', rows))):
        if where not in e2e:
            yield 'e2e {}.{}'.format(*where)
    for name, case in sorted(set(re.findall(rf'sim (\w+): (.*?){NEXT}', rows, re.M))):
        if f'\ncase {case}\n' not in read('tests', 'sim', f'{name}.sim'):
            yield f'sim {name}: {case}'


def missing_rows(rows):
    """Rows of the raw-socket tables, by name: raw `no Host`."""
    tables = ''.join(read(path) for path in sorted(glob.glob(os.path.join(TOP, 'tests', 'e2e', 'test_serve_raw*.py'))))
    for name in sorted(set(re.findall(r'raw `([^`]+)`', rows))):
        if f"'{name}'" not in tables:
            yield f'raw `{name}`'


def main():
    rows = '\n'.join(line for line in read('docs', 'http-requirements.md').splitlines() if line.startswith('|'))
    named = len(re.findall(r'\b(?:unit \w+\.|e2e \w+\.|sim \w+: |raw `)', rows))
    gone = [*missing(rows), *missing_rows(rows)]
    for name in gone:
        print(f'docs/http-requirements.md names a test that does not exist: {name}')
    sys.exit(1 if gone or named < 50 else 0)


main()
