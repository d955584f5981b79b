#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cache_requirements.py -- docs/cache-requirements.md from the scripts under tests/sim/cache: one row a case.

    cache_requirements.py           write it
    cache_requirements.py --check   exit 1 when it is not what the scripts say
"""
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ORDER = ['store', 'fresh', 'age', 'request', 'vary', 'validate', 'update', 'stale', 'invalidate', 'partial', 'flight',
         'fields', 'targeted', 'messages']
HEAD = """# What the cache must do

One row a requirement: the case that tests it, the section, and the sentence as it stands there, with ` ... ` where words
between are left out. The cases are scripts that play client and origin around the whole proxy on a simulated network with
virtual time (`tests/sim/cache/*.sim`, language in `tests/sim/cache_player.c`); `make sim` runs them, and `make mutate`, a
part of `make soak`, shows that breaking a rule turns rows red. This page is written by `tests/sim/cache_requirements.py`;
sections are those of RFC 9110, 9111, 9112, 5861, 8246, 9211 and 9213.
"""


def rows(name):
    with open(os.path.join(TOP, 'tests', 'sim', 'cache', name + '.sim'), encoding='utf-8') as f:
        text = f.read()
    for title, rfc, section, sentence in re.findall(r'^case (.*)\nrfc (\S+) (\S+) "((?:[^"\\]|\\.)*)"', text, re.M):
        yield title, rfc, section, re.sub(r'\\(.)', r'\1', sentence)
    cases = len(re.findall(r'^case ', text, re.M))
    cited = len(re.findall(r'^rfc ', text, re.M))
    if cases != cited:
        raise SystemExit(f'{name}.sim: {cases} cases, {cited} sentences')


def page():
    scripts = sorted(f[:-4] for f in os.listdir(os.path.join(TOP, 'tests', 'sim', 'cache')) if f.endswith('.sim'))
    if scripts != sorted(ORDER):
        raise SystemExit(f'tests/sim/cache holds {scripts}, the page {sorted(ORDER)}')
    out, number = [HEAD], 0
    for name in ORDER:
        out.append(f'\n## {name}.sim\n\n| | case | RFC | sentence |\n|---|---|---|---|\n')
        for title, rfc, section, sentence in rows(name):
            number += 1
            cells = [c.replace('|', '\\|') for c in (title, f'{rfc} {section}', sentence)]
            out.append(f'| {number} | ' + ' | '.join(cells) + ' |\n')
    return ''.join(out)


def main():
    path = os.path.join(TOP, 'docs', 'cache-requirements.md')
    if '--check' in sys.argv[1:]:
        with open(path, encoding='utf-8') as f:
            if f.read() != page():
                raise SystemExit('docs/cache-requirements.md is not up to date: run tests/sim/cache_requirements.py')
        return
    with open(path, 'w', encoding='utf-8') as f:
        f.write(page())


main()
