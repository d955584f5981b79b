# SPDX-License-Identifier: MIT
"""test_ping_numbers.py -- the numbers of l7 ping: its statistics computed here once more, the keys of its JSON against
docs/ping.md, clocks, pacing, exit statuses, and the STAMP packets that are nobody's."""
import ctypes
import json
import math
import os
import platform
import pty
import re
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time

import harness
import stamp_check
import ping_case


def without_stamps(argv):
    """Run in a child: `argv` with a kernel that knows no SO_TIMESTAMPING (a seccomp filter says ENOPROTOOPT)."""
    number = {'x86_64': 54, 'aarch64': 208}[platform.machine()]
    load, equal, other = 0x20, 0x15, 0x06  # BPF: load a word, jump if equal, return
    code = [(load, 0, 0, 0), (equal, 0, 5, number), (load, 0, 0, 24), (equal, 0, 3, socket.SOL_SOCKET), (load, 0, 0, 32),
            (equal, 0, 1, 37), (other, 0, 0, 0x00050000 | 92), (other, 0, 0, 0x7fff0000)]
    rows = b''.join(struct.pack('HBBI', *row) for row in code)
    room = ctypes.create_string_buffer(rows, len(rows))
    program = ctypes.create_string_buffer(struct.pack('HxxxxxxP', len(code), ctypes.addressof(room)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program):
        raise OSError(ctypes.get_errno(), 'seccomp')
    os.execv(argv[0], argv)


class Numbers(ping_case.Case):
    def documented(self):
        """The keys of the table in docs/ping.md: what stands in the first column -> set of keys."""
        with open(os.path.join(harness.ROOT, 'docs', 'ping.md')) as f:
            text = f.read()
        rows = re.findall(r'(?m)^\| (`(?:reply|timeout|error|summary)`[^|]*) \| ([^|]*) \|$', text)
        return {name.strip('`').replace('`', ''): set(re.findall(r'`(\w+)`', keys)) - {'kernel', 'user'}
                for name, keys in rows}, text

    def test_every_key_is_documented_and_every_documented_key_is_there(self):
        want, text = self.documented()
        seen = {}
        listener = self.listener('--loss', '1/2', '--json', '--stateful', stamp=True)
        for args in (['127.0.0.1', listener.port], ['--stamp', '127.0.0.1', listener.addr('stamp')[1]],
                     ['127.0.0.1', harness.free_port(socket.SOCK_DGRAM)]):
            _, out, _ = self.run_l7(['ping', '--json', '-c', 6, '-i', '5ms', '-W', '1s', *args])
            for o in map(json.loads, out.splitlines()):
                kind = o['type'] + (', STAMP' if o['type'] == 'summary' and '--stamp' in args else '')
                seen.setdefault(kind, set()).update(set(o) - {'type', 'host', 'address'})
        self.assertEqual(seen['timeout'], want['timeout'])
        self.assertEqual(seen['error'], want['error'])
        self.assertEqual(seen['reply'], want['reply'])
        self.assertEqual(seen['summary'], want['summary'])
        spread = {'min_ns', 'avg_ns', 'max_ns'}
        self.assertEqual(seen['summary, STAMP'] | spread, want['summary, STAMP'] | want['summary'])
        for key in self.truth(listener):
            self.assertIn(f'`{key}`', text)

    def test_statistics_are_those_of_the_replies(self):
        for count in 1, 2, 3, 10, 101:
            listener = self.listener('--delay', '2ms', '--jitter', '2ms')
            lines, got = self.lines('-c', count, '-i', '3ms', '127.0.0.1', listener.port)
            trips = sorted(o['rtt_ns'] for o in lines)
            self.assertEqual(len(trips), count)
            self.assertEqual((got['min_ns'], got['max_ns']), (trips[0], trips[-1]))
            self.assertLessEqual(abs(got['avg_ns'] - statistics.fmean(trips)), 1)
            self.assertLessEqual(abs(got['stddev_ns'] - statistics.pstdev(trips)), 2)  # mdev of ping(8): the population's
            for share, key in (0.5, 'median_ns'), (0.9, 'p90_ns'), (0.99, 'p99_ns'):
                exact = trips[math.ceil(share * count) - 1]
                self.assertLessEqual(abs(got[key] - exact), exact / 2048 + 1, (count, key, trips))

    def test_text_shows_the_same_with_percentiles(self):
        listener = self.listener('--delay', '5ms', '--jitter', '2ms')
        out = self.ping('-c', 20, '-i', '10ms', '-D', '127.0.0.1', listener.port)
        lines = re.findall(r'(?m)^\[(\d{10}\.\d{6})\] 32 bytes from .* time=([\d.]+) ms(?: \(reordered\))?$', out)
        self.assertEqual(len(lines), 20, out)
        self.assertLess(abs(float(lines[0][0]) - time.time()), 30)
        trips = sorted(float(trip) for _, trip in lines)
        found = re.search(r'rtt median/p90/p99 = ([\d.]+)/([\d.]+)/([\d.]+) ms, by kernel time stamps', out)
        for got, exact in zip(map(float, found.groups()), (trips[9], trips[17], trips[19])):
            self.assertAlmostEqual(got, exact, delta=exact / 1000)

    def test_delay_variation_of_alternating_delays(self):
        """The reflector's clock is wrong by 0 and 4 s in turn: that is what the way up and the way down vary by."""
        def answer(data, n):
            t = time.time() + (n % 2) * 4
            return [stamp_check.make_reply(data, n - 1, t, t)]
        _, got = self.lines('--stamp', '-c', 21, '-i', '5ms', '127.0.0.1', ping_case.Server(self, answer).port)
        for way in 'up_variation', 'down_variation':
            self.assertAlmostEqual(got[way]['avg_ns'] / 1e9, 4, delta=0.05)

    def test_user_clock_is_used_and_said_where_the_kernel_has_no_stamps(self):
        listener = self.listener()
        base = ['ping', '-c', '5', '-i', '10ms', '127.0.0.1', str(listener.port)]
        code = f'import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); import test_ping_numbers as t; ' \
               f't.without_stamps(sys.argv[1:])'
        _, out, err = harness.run(['-c', code, harness.L7, *base, '--json'], program=sys.executable)
        objects = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([o['clock'] for o in objects[:-1]], ['user'] * 5, err)
        self.assertEqual((objects[-1]['received'], objects[-1]['user_clock']), (5, 5))
        self.assertTrue(0 < objects[-1]['min_ns'] < 1e9)
        _, out, _ = harness.run(['-c', code, harness.L7, *base], program=sys.executable)
        self.assertEqual(out.count(' (user clock)'), 5)
        self.assertIn('by the user clock (no kernel time stamps: scheduling is included)', out)

    def test_missed_times_are_counted_and_not_made_up_for(self):
        listener = self.listener()
        p = self.start(['ping', '--json', '-c', 0, '-i', '10ms', '127.0.0.1', listener.port], wait=False)
        p.wait_for_line('"seq":5', 'stdout')
        p.send_signal(signal.SIGSTOP)
        time.sleep(0.5)  # the fifty sending times that pass meanwhile
        before = p.stdout().count('"reply"')
        p.send_signal(signal.SIGCONT)
        p.wait_for_line('"reply"', 'stdout', count=before + 6)
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(), 0)
        objects = [json.loads(line) for line in p.stdout().splitlines()]
        got, sent = objects[-1], sorted(o['sent_ns'] for o in objects if o['type'] == 'reply')
        self.assertGreaterEqual(got['missed'], 40)
        # Nothing was sent in bursts afterwards: all times are start + k * interval, each used once or missed.
        self.assertAlmostEqual((sent[-1] - sent[0]) / 1e7, got['sent'] - 1 + got['missed'], delta=3)

    def test_interval_has_a_floor_and_flood_none(self):
        self.ping('-i', '999us', '-c', 1, '127.0.0.1', status=2)
        self.assertIn('1 received', self.ping('-i', '1ms', '-c', 1, '127.0.0.1', self.listener().port))

    def test_live_redraws_a_terminal(self):
        listener, (ours, theirs) = self.listener(), pty.openpty()
        p = subprocess.Popen([harness.L7, 'ping', '--live', '-c', '40', '-i', '20ms', '127.0.0.1', str(listener.port)],
                             env=harness.environment({'TERM': 'xterm'}), stdin=subprocess.DEVNULL, stdout=theirs)
        self.addCleanup(p.kill)
        os.close(theirs)
        shown = b''
        try:
            while got := os.read(ours, 65536):
                shown += got
        except OSError:  # EIO: the other end is closed
            pass
        self.assertEqual(p.wait(harness.PATIENCE), 0)
        os.close(ours)
        self.assertRegex(shown.decode(), '[\u2801-\u28ff]')
        self.assertGreater(shown.count(b'\x1b[J'), 2)


class Statuses(ping_case.Case):
    def test_as_ping_has_them(self):
        listener, silent = self.listener(), ping_case.Server(self, lambda data, n: [])
        quick, hasty = ['-i', '10ms'], ['-i', '10ms', '-W', '50ms']
        self.ping('-c', 2, *quick, '127.0.0.1', listener.port, status=0)
        self.ping('-c', 2, *hasty, '127.0.0.1', silent.port, status=1)
        self.ping('-c', 2, *hasty, '127.0.0.1', listener.port, '127.0.0.1', silent.port, status=1)
        self.ping('-c', 2, *quick, '-w', '5s', '127.0.0.1', listener.port, status=0)
        self.ping('-c', 1000, *quick, '-w', '200ms', '127.0.0.1', listener.port, status=1)
        self.ping('-c', 0, *quick, '-w', '200ms', '127.0.0.1', listener.port, status=0)
        self.ping('-6', '127.0.0.1', status=2)
        self.ping('-4', '::1', status=2)

    def test_families(self):
        listener = self.start(['ping', 'listen', '--listen', ':0'])
        for flag, address in ('-4', '127.0.0.1'), ('-6', '::1'):
            lines, _ = self.lines(flag, '-c', 1, address, listener.port)
            self.assertIn(address, lines[0]['address'])

    def test_ipv6_refused_and_several_hosts_keep_their_names(self):
        port, listener = harness.free_port(socket.SOCK_DGRAM), self.listener()
        out = self.ping('-c', 2, '-i', '10ms', '::1', port, status=1)
        self.assertIn('From ::1: refused', out)
        _, out, _ = self.run_l7(['ping', '--json', '-c', 2, '-i', '1ms', '127.0.0.1', listener.port, '127.0.0.2', port])
        by_host = {}
        for o in map(json.loads, out.splitlines()):
            by_host.setdefault((o['host'], o['address']), []).append(o['type'])
        self.assertEqual(by_host[('127.0.0.1', f'127.0.0.1:{listener.port}')], ['reply', 'reply', 'summary'])
        self.assertEqual(by_host[('127.0.0.2', f'127.0.0.2:{port}')][0], 'error')


class Nobodys(ping_case.Case):
    """Replies and requests that are not what they should be."""

    def test_a_number_cut_in_two_is_no_number(self):
        server = ping_case.Server(self, lambda data, n: [data[:6]] if n != 12 else [b'Ping 1'])
        lines, summary = self.lines('-c', 12, '-i', '20ms', '127.0.0.1', server.port)
        self.assertEqual([o['seq'] for o in lines], list(range(1, 13)))
        self.assertEqual(summary['foreign'], 0)

    def test_stamp_replies_of_other_sessions_are_not_ours(self):
        changes = [lambda d: d[:14] + b'\0\1' + d[16:] if d[14:16] != b'\0\1' else d[:14] + b'\0\2' + d[16:],  # session
                   lambda d: d[:28] + bytes([d[28] ^ 1]) + d[29:],      # T1
                   lambda d: d[:24] + b'\xff\xff\xff\xff' + d[28:],     # the sender's number
                   lambda d: d[:43]]                                    # too short
        for change in changes:
            def answer(data, n):
                return [change(stamp_check.make_reply(data, n - 1, time.time(), time.time()))]
            _, got = self.lines('--stamp', '-c', 2, '-i', '1ms', '-W', '500ms', '127.0.0.1',
                                ping_case.Server(self, answer).port, status=1)
            self.assertEqual((got['received'], got['foreign']), (0, 2))

    def test_what_must_be_zero_is_not_looked_at(self):
        def answer(data, n):
            reply = bytearray(stamp_check.make_reply(data, n - 1, time.time(), time.time()))
            reply[38:40], reply[41:44] = b'zz', b'zzz'
            return [bytes(reply)]
        _, got = self.lines('--stamp', '-c', 2, '-i', '1ms', '127.0.0.1', ping_case.Server(self, answer).port)
        self.assertEqual(got['received'], 2)
        listener, s = self.listener(stamp=True), self.client()
        s.sendto(stamp_check.make_test(3, 9)[:16] + b'z' * 28, listener.addr('stamp'))
        self.assertEqual(stamp_check.reply(s.recv(2000))['sender_seq'], 3)  # and its own zeros are zero

    def test_class_of_service_goes_back_and_congestion_marks_do_not(self):
        for bound in '127.0.0.1:0', ':0':
            listener = self.start(['ping', 'listen', '--listen', bound, '--stamp', '127.0.0.1:0'])
            out = self.ping('-c', 1, '-Q', 0xb9, '127.0.0.1', listener.port)
            self.assertIn(' dscp=46 ecn=0 ', out)
        self.assertIn(' dscp=46 ecn=0 ', self.ping('--stamp', '-c', 1, '-Q', 0xb9, '127.0.0.1', listener.addr('stamp')[1]))
        server = ping_case.Server(self, lambda data, n: [data])
        server.sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 3)
        lines, _ = self.lines('-c', 1, '127.0.0.1', server.port)
        self.assertEqual((lines[0]['dscp'], lines[0]['ecn']), (0, 3))

    def test_groups_are_not_answered_whatever_the_listener_is_bound_to(self):
        for bound, to in ('127.255.255.255:0', '127.255.255.255'), ('0.0.0.0:0', '127.255.255.255'):
            listener = self.start(['ping', 'listen', '--json', '--listen', bound, '--workers', 1, '--trace'])
            s = self.client()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            s.sendto(b'Ping 1 ', (to, listener.port))
            listener.wait_for_line('C: .*Ping 1')
            truth = self.truth(listener)
            self.assertEqual((truth['received'], truth['ignored'], truth['answered']), (1, 1, 0), bound)

    def test_what_comes_to_a_multicast_group_is_not_answered(self):
        lo = struct.pack('@4si', socket.inet_aton('127.0.0.1'), socket.if_nametoindex('lo'))
        group = '239.255.7.7'
        member, s = (self.enterContext(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2))
        member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + lo)
        listener = self.start(['ping', 'listen', '--json', '--listen', '0.0.0.0:0', '--workers', 1])
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(group) + lo)
        s.settimeout(harness.PATIENCE)
        s.sendto(b'Ping 1 ', (group, listener.port))
        s.sendto(b'Ping 2 ', ('127.0.0.1', listener.port))
        self.assertEqual(s.recv(100), b'Ping 2 ')
        truth = self.truth(listener)
        self.assertEqual((truth['received'], truth['ignored'], truth['answered']), (2, 1, 1))

    def test_upper_case_and_several_stamp_ports(self):
        listener = self.listener('--uppercase', '--stamp', '127.0.0.1:0', '--stamp', '[::1]:0')
        s = self.client()
        s.sendto(b'Ping \xe4 a1z', listener.addr())
        self.assertEqual(s.recv(100), b'PING \xe4 A1Z')
        found = [listener.wait_for_line(r'listening on (\S+):(\d+) \(stamp\)', count=n).groups() for n in (1, 2)]
        self.assertEqual([host for host, _ in found], ['127.0.0.1', '[::1]'])
        for host, port in found:
            self.assertIn(', 1 received', self.ping('--stamp', '-c', 1, host.strip('[]'), port))

    def test_loopback_has_no_rate_limit_of_its_own(self):
        listener = self.listener('--json')
        _, got = self.lines('-f', '-q', '-c', 20000, '127.0.0.1', listener.port)
        self.assertEqual(got['received'], 20000)
        self.assertEqual(self.truth(listener)['limited'], 0)


if __name__ == '__main__':
    harness.main()
