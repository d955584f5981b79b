# SPDX-License-Identifier: MIT
"""The tours of README.md and README.zh-CN.md, typed as they stand there, in a network of their own: what they show is what comes."""
import os
import re
import subprocess
import sys

import harness


def blocks(path):
    """[[(command, shown lines)]]"""
    with open(path) as f:
        text = f.read()
    for block in re.findall(r'```\n(\$ .*?)```', text, re.S):
        steps = []
        for line in block.splitlines():
            if steps and steps[-1][0].endswith('\\'):
                steps[-1] = (steps[-1][0][:-1] + line.strip(), [])
            elif line.startswith('$ '):
                steps.append((line[2:], []))
            else:
                steps[-1][1].append(line)
        yield steps


def plain(line):
    """Without what differs from one run to the next: numbers and their units, dates, tags, bars, names of messages."""
    for pattern, instead in ((r'kept as \S+', 'kept'), (r'\w{3}, \d\d \w{3} \d{4}', 'day'), (r'"[0-9a-f-]+"', 'tag'), (r'\d+(\.\d+)?', '0'), (r'0 [mu]s\b', '0 s'),
                             (r'#+', '#'), (r'\s+', ' ')):
        line = re.sub(pattern, instead, line)
    return line.strip()


def type_in(path):
    """What differs, as lines. Run within the network of its own."""
    different, daemons = [], []
    for steps in blocks(path):
        for command, shown in steps:
            if command.endswith('&'):
                p = harness.Process(['sh', '-c', 'exec ' + command[:-1]], env=harness.environment())
                p.wait_for_line('listening on')
                daemons.append(p)
                continue
            got = subprocess.run(['sh', '-c', command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=harness.environment(),
                                 timeout=harness.PATIENCE, text=True).stdout.replace('\r', '').splitlines()
            if [plain(line) for line in got] != [plain(line) for line in shown]:
                different += [f'$ {command}', 'shown:', *shown, 'came:', *got]
    for p in daemons:
        p.stop()
    return different


class Readme(harness.TestCase):
    def check(self, name):
        path = os.path.join(harness.ROOT, name)
        self.assertGreater(len(list(blocks(path))), 5)
        os.symlink(os.path.join(harness.ROOT, 'src'), os.path.join(self.tmpdir, 'src'))
        env = harness.environment({'PATH': harness.BUILD + ':' + os.environ['PATH'], 'HOME': self.tmpdir})
        p = subprocess.run(['unshare', '-rn', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', sys.executable, os.path.abspath(__file__), path],
                           capture_output=True, text=True, timeout=100, env=env, cwd=self.tmpdir)
        self.assertEqual((p.stdout, p.stderr), ('', ''))

    def test_in_english(self):
        self.check('README.md')

    def test_in_chinese(self):
        self.check('README.zh-CN.md')

    def test_every_file_that_is_named_exists(self):
        for name in ('README.md', 'README.zh-CN.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'docs/internals/testing.md'):
            folder = os.path.dirname(os.path.join(harness.ROOT, name))
            with open(os.path.join(harness.ROOT, name)) as f:
                text = f.read()
            named = {os.path.join(folder, to) for to in re.findall(r'\]\((?!https?:)([^)#]+)\)', text)}
            named |= {os.path.join(harness.ROOT, to) for to in re.findall(r'`((?:src|tests|bench|tools|docs|man)/[\w./-]*\w/?)`', text)}
            self.assertEqual([to for to in sorted(named) if not os.path.exists(to)], [], name)


if __name__ == '__main__':
    if len(sys.argv) > 1 and sys.argv[1].endswith('.md'):
        print('\n'.join(type_in(sys.argv[1])), end='')
    else:
        harness.main()
