# SPDX-License-Identifier: MIT
"""test_traceroute.py -- l7 traceroute, and the ICMP errors that l7 ping shows, in a network of the test's own: four network
namespaces in a row, joined by veth pairs, made and taken down here (which needs root; the program itself runs without).

    a 10.77.1.1 -- 10.77.1.2 r 10.77.2.1 -- 10.77.2.2 s 10.77.3.1 -- 10.77.3.2 b       and fd77:N::H for IPv6
"""
import json
import os
import shutil
import signal
import subprocess
import time

import harness

TAG = f'l7t{os.getpid()}'


def ip(*args):
    p = subprocess.run(['ip', *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if p.returncode:
        raise AssertionError(f'ip {" ".join(map(str, args))}: {p.stdout}')


def sysctl(space, **values):
    for key, value in values.items():
        ip('netns', 'exec', TAG + space, 'sh', '-c', f'echo {value} > /proc/sys/net/{key.replace("__", "/")}')


class Network(harness.TestCase):
    SPACES = 'arsb'

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(cls.take_down)
        for space in cls.SPACES:
            ip('netns', 'add', TAG + space)
            ip('-n', TAG + space, 'link', 'set', 'lo', 'up')
            sysctl(space, ipv4__ip_forward=1, ipv6__conf__all__forwarding=1, ipv4__icmp_ratelimit=0,
                   ipv6__icmp__ratelimit=0, ipv6__conf__all__accept_dad=0, ipv6__conf__default__accept_dad=0)
        for n, (left, right) in enumerate(zip(cls.SPACES, cls.SPACES[1:]), 1):
            ip('link', 'add', f'{TAG}x', 'netns', TAG + left, 'type', 'veth', 'peer', 'name', f'{TAG}y', 'netns', TAG + right)
            for space, old, new, host in (left, 'x', 'right', 1), (right, 'y', 'left', 2):
                ip('-n', TAG + space, 'link', 'set', TAG + old, 'name', new)
                ip('-n', TAG + space, 'addr', 'add', f'10.77.{n}.{host}/24', 'dev', new)
                ip('-n', TAG + space, '-6', 'addr', 'add', f'fd77:{n}::{host}/64', 'dev', new, 'nodad')
                ip('-n', TAG + space, 'link', 'set', new, 'up')
        routes = {'a': [('default', 1, 2)], 'r': [('3', 2, 2)], 's': [('1', 2, 1)], 'b': [('default', 3, 1)]}
        for space, rows in routes.items():
            for net, n, host in rows:
                ip('-n', TAG + space, 'route', 'add', net if net == 'default' else f'10.77.{net}.0/24', 'via', f'10.77.{n}.{host}')
                ip('-n', TAG + space, '-6', 'route', 'add', net if net == 'default' else f'fd77:{net}::/64', 'via', f'fd77:{n}::{host}')
        ip('-n', TAG + 's', 'link', 'set', 'right', 'mtu', 1280)  # a narrow last link
        ip('-n', TAG + 'b', 'link', 'set', 'left', 'mtu', 1280)
        cls.folder = os.path.join('/tmp', TAG)  # where a user who is nobody may read the program
        os.makedirs(cls.folder, mode=0o755)
        shutil.copy(harness.L7, cls.folder)

    @classmethod
    def take_down(cls):
        for space in cls.SPACES:
            subprocess.run(['ip', 'netns', 'del', TAG + space], stderr=subprocess.DEVNULL)
        shutil.rmtree(os.path.join('/tmp', TAG), ignore_errors=True)

    def inside(self, space, *args):
        """The command line of `l7 ARGS` in a namespace, as user nobody."""
        return ['netns', 'exec', TAG + space, 'setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups',
                '--bounding-set', '-all', os.path.join(self.folder, 'l7'), *map(str, args)]

    def l7(self, *args, status=0, space='a'):
        code, out, err = harness.run(self.inside(space, *args), program=shutil.which('ip'), timeout=60)
        self.assertEqual(code, status, out + err)
        return out

    def hops(self, *args, **kw):
        found = [json.loads(line) for line in self.l7('traceroute', '--json', '-n', *args, **kw).splitlines()]
        return [sorted({p.get('from') for p in o['probes']}, key=str) for o in found if o['type'] == 'hop'], found


class Traceroute(Network):
    def test_three_hops_without_root(self):
        began = time.monotonic()
        hops, found = self.hops('10.77.3.2')
        took = time.monotonic() - began
        self.assertEqual(hops, [['10.77.1.2'], ['10.77.2.2'], ['10.77.3.2']])
        self.assertEqual(found[-1], {'type': 'end', 'reached': True, 'hops': 3})
        for hop in found[:-1]:
            self.assertEqual(len(hop['probes']), 3)
            for p in hop['probes']:
                self.assertTrue(0 < p['rtt_ns'] < took * 1e9, p)
                self.assertEqual(p['clock'], 'kernel')
        self.assertLess(min(p['rtt_ns'] for hop in found[:-1] for p in hop['probes']), 50_000_000)

    def test_three_hops_over_ipv6(self):
        hops, found = self.hops('fd77:3::2')
        self.assertEqual(hops, [['fd77:1::2'], ['fd77:2::2'], ['fd77:3::2']])
        self.assertTrue(found[-1]['reached'])

    def test_text_and_limits(self):
        out = self.l7('traceroute', '-n', '-q', 2, '-m', 2, '10.77.3.2', status=1)
        lines = out.splitlines()
        self.assertEqual(lines[0], 'traceroute to 10.77.3.2 (10.77.3.2), 2 hops max, 32 bytes of data')
        self.assertRegex(lines[1], r'^ 1  10\.77\.1\.2  \d+\.\d{3} ms  \d+\.\d{3} ms *$')
        self.assertRegex(lines[2], r'^ 2  10\.77\.2\.2  ')
        self.assertEqual(len(lines), 3)
        self.assertEqual(self.hops('-f', 3, '10.77.3.2')[0], [['10.77.3.2']])

    def test_one_probe_at_a_time_gives_the_same(self):
        self.assertEqual(self.hops('-N', 1, '10.77.3.2')[0], [['10.77.1.2'], ['10.77.2.2'], ['10.77.3.2']])

    def test_silent_hops_are_stars(self):
        ip('-n', TAG + 'r', 'route', 'add', '10.77.66.0/24', 'via', '10.77.2.2')
        ip('-n', TAG + 's', 'route', 'add', 'blackhole', '10.77.66.0/24')
        hops, found = self.hops('-w', '200ms', '-m', 4, '-q', 1, '10.77.66.1', status=1)
        self.assertEqual(hops[0], ['10.77.1.2'])
        self.assertTrue(all(p['timeout'] for hop in found[1:-1] for p in hop['probes']))
        self.assertRegex(self.l7('traceroute', '-n', '-w', '100ms', '-m', 2, '10.77.66.1', status=1), r'(?m)^ 2  \* \* \*$')

    def test_a_silent_hop_in_the_middle_does_not_end_the_path(self):
        """The second router answers from the address that it was asked at, and that address has no way back."""
        sysctl('s', ipv4__icmp_errors_use_inbound_ifaddr=1)
        ip('-n', TAG + 's', 'rule', 'add', 'from', '10.77.2.2', 'blackhole')
        try:
            hops, found = self.hops('-w', '300ms', '10.77.3.2')
        finally:
            ip('-n', TAG + 's', 'rule', 'del', 'from', '10.77.2.2', 'blackhole')
        self.assertEqual(hops, [['10.77.1.2'], [None], ['10.77.3.2']])
        self.assertEqual(found[-1], {'type': 'end', 'reached': True, 'hops': 3})

    def test_sizes_families_and_hops_beyond_what_is_allowed(self):
        self.assertEqual(self.hops('-4', '-s', 1000, '10.77.3.2')[0][-1], ['10.77.3.2'])
        self.assertEqual(self.hops('-6', '-q', 1, '-s', 0, 'fd77:3::2')[0], [['fd77:1::2'], ['fd77:2::2'], ['fd77:3::2']])
        self.l7('traceroute', '-6', '10.77.3.2', status=1)
        hops, found = self.hops('-m', 1, '10.77.3.2', status=1)
        self.assertEqual((hops, found[-1]), ([['10.77.1.2']], {'type': 'end', 'reached': False, 'hops': 1}))

    def test_every_key_is_documented(self):
        with open(os.path.join(harness.ROOT, 'docs', 'ping.md')) as f:
            text = f.read()
        _, found = self.hops('10.77.3.2')
        for key in {k for o in found for k in o} | {k for o in found[:-1] for p in o['probes'] for k in p}:
            self.assertIn(key, text)

    def test_unreachable_ends_the_path_with_a_mark(self):
        out = self.l7('traceroute', '-n', '-N', 1, '-w', '1300ms', '10.77.99.1', status=1)
        # The kernel's own limit on this error is one a second and sender, so some of the three may be silent.
        self.assertRegex(out, r'(?m)^ 1  (?:\* )*10\.77\.1\.2  \d+\.\d{3} ms !N')
        self.assertEqual(len(out.splitlines()), 2)

    def test_a_port_that_answers_is_the_end_too(self):
        port = 40000
        p = self.start(self.inside('b', 'ping', 'listen', '--listen', f'10.77.3.2:{port + 6}'), program=shutil.which('ip'))
        hops, found = self.hops('-p', port, '10.77.3.2')
        self.assertEqual(hops, [['10.77.1.2'], ['10.77.2.2'], ['10.77.3.2']])
        self.assertEqual([p['icmp_type'] for p in found[2]['probes']], [0, 3, 3])
        p.stop(signal.SIGTERM)

    def test_names_and_usage(self):
        out = harness.run(['traceroute', '127.0.0.1'])[1]
        self.assertRegex(out, r'(?m)^ 1  localhost \(127\.0\.0\.1\)  ')
        for args in (['-m', 0], ['-f', 31], ['-q', 11], ['-p', 65535], ['-s', 5000]):
            self.assertEqual(harness.run(['traceroute', *args, '127.0.0.1'])[0], 2, args)


class PingErrors(Network):
    def test_too_big_unreachable_and_ttl(self):
        out = self.l7('ping', '-c', 1, '-W', '3s', '-M', 'do', '-s', 1400, '10.77.3.2', status=1)
        self.assertIn('From 10.77.2.2: too big, mtu=1280: seq=1', out)
        out = self.l7('ping', '-c', 2, '-i', '10ms', '-W', '3s', '-s', 1600, '-M', 'do', '10.77.3.2', status=1)
        self.assertRegex(out, 'too big|not sent: .*larger')
        out = self.l7('ping', '-c', 2, '-i', '10ms', '-W', '3s', '10.77.99.1', status=1)
        self.assertEqual(out.count('From 10.77.1.2: network unreachable: seq='), 2)
        self.assertIn('+2 errors, 100% packet loss', out)
        out = self.l7('ping', '-c', 1, '-t', 2, '-W', '3s', '10.77.3.2', status=1)
        self.assertIn('From 10.77.2.2: time to live exceeded: seq=1', out)
        out = self.l7('ping', '-c', 1, '10.77.3.2', status=1)
        self.assertIn('From 10.77.3.2: refused', out)
        out = self.l7('ping', '-c', 1, '-W', '3s', 'fd77:99::1', status=1)
        self.assertIn('From fd77:1::2: no route: seq=1', out)

    def test_duplicates_stay_on_loopback(self):
        p = self.start(self.inside('b', 'ping', 'listen', '--json', '--duplicate', '1/1', '--listen', '10.77.3.2:12001'),
                       program=shutil.which('ip'))
        out = self.l7('ping', '-c', 5, '-i', '10ms', '10.77.3.2')
        self.assertIn('5 packets transmitted, 5 received, 0% packet loss', out)
        p.stop(signal.SIGTERM)
        self.assertEqual((json.loads(p.stdout())['answered'], json.loads(p.stdout())['duplicated']), (5, 0))

    def test_ttl_shows_the_distance_and_stamp_its_own(self):
        p = self.start(self.inside('b', 'ping', 'listen', '--listen', '10.77.3.2:12001', '--stamp', '10.77.3.2:12862'),
                       program=shutil.which('ip'))
        self.assertIn(' ttl=62 ', self.l7('ping', '-c', 1, '10.77.3.2'))
        self.assertIn(' ttl=253 ', self.l7('ping', '--stamp', '-c', 1, '10.77.3.2', 12862))
        p.stop(signal.SIGTERM)


if __name__ == '__main__':
    harness.main()
