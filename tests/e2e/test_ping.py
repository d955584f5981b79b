# SPDX-License-Identifier: MIT
"""test_ping.py -- l7 ping against servers of the test's own and l7 ping listen."""
import json
import os
import re
import signal
import socket
import sys
import time
import xml.dom.minidom

import harness
from ping_case import Case, Server

class Echo(Case):
    def test_replies_and_summary_look_as_in_ping(self):
        listener = self.listener()
        out = self.ping('-c', 3, '-i', '10ms', '127.0.0.1', listener.port)
        self.assertRegex(out, r'\APING 127\.0\.0\.1 \(127\.0\.0\.1:\d+\) 32 bytes of data\.\n')
        for seq in 1, 2, 3:
            self.assertRegex(out, rf'(?m)^32 bytes from 127\.0\.0\.1:\d+: seq={seq} ttl=64 time=\d+\.\d{{3}} ms$')
        self.assertIn('\n3 packets transmitted, 3 received, 0% packet loss, time ', out)
        least, mean, most = map(float, re.search(r'rtt min/avg/max/mdev = ([\d.]+)/([\d.]+)/([\d.]+)/', out).groups())
        self.assertTrue(0 < least <= mean <= most < 1000)
        self.assertIn(', by kernel time stamps', out)

    def test_ipv6_and_any_address(self):
        listener = self.start(['ping', 'listen', '--listen', ':0'])
        for host in '::1', '127.0.0.1', '127.9.9.9':
            lines, summary = self.lines('-c', 2, '-i', '1ms', host, listener.port)
            self.assertEqual([o['type'] for o in lines], ['reply', 'reply'])
            self.assertEqual(summary['received'], 2)

    def test_a_name_with_a_refused_address_goes_on_to_the_next(self):
        self.assertIn(', 1 received', self.ping('-c', 1, 'localhost', self.listener().port))

    def test_the_kernels_stamps_leave_out_a_busy_user(self):
        """The reply is read 200 ms after it came (SIGSTOP), which are no part of its time."""
        listener = self.listener()
        p = self.start(['ping', '--json', '-c', 3, '-i', '300ms', '-W', '10s', '127.0.0.1', listener.port], wait=False)
        p.wait_for_line('"seq":1', 'stdout')
        began = time.monotonic()
        os.kill(listener.pid, signal.SIGSTOP)
        try:
            harness.wait_until(lambda: self.queued(listener.port), what='a probe in the queue')
            p.send_signal(signal.SIGSTOP)
        finally:
            os.kill(listener.pid, signal.SIGCONT)
        harness.wait_until(lambda: not self.queued(listener.port), what='the answer')
        time.sleep(0.2)  # the scheduling delay itself, not synchronisation
        took = time.monotonic() - began
        p.send_signal(signal.SIGCONT)
        self.assertEqual(p.wait(), 0)
        second = [json.loads(x) for x in p.stdout().splitlines() if '"seq":2' in x][0]
        self.assertEqual(second['clock'], 'kernel')
        self.assertLess(second['rtt_ns'] / 1e9, took - 0.1)

    def test_size_pattern_ttl_and_tos(self):
        server = Server(self, lambda data, n: [data])
        server.sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0xb8)
        out = self.ping('-c', 2, '-i', '1ms', '-s', 100, '-p', '00ff', '-t', 7, '-Q', 0x2a, '127.0.0.1', server.port)
        self.assertIn('100 bytes from', out)
        self.assertIn(' dscp=46 ecn=0 ', out)
        self.assertEqual(len(server.seen[0]), 100)
        self.assertRegex(server.seen[0], rb'^Ping 1 \d{10}\.\d{6} (\x00\xff)+')
        self.assertEqual(server.ttl, [7, 7])
        self.assertEqual(server.tos, [0x2a, 0x2a])

    def test_big_and_tiny_datagrams(self):
        listener = self.listener()
        for size in 0, 1, 6, 1472, 65507:
            _, summary = self.lines('-c', 3, '-i', '1ms', '-s', size, '127.0.0.1', listener.port)
            self.assertEqual((summary['received'], summary['foreign']), (3, 0), size)

    def test_several_hosts(self):
        one, two = self.listener(), self.listener()
        out = self.ping('-c', 2, '-i', '1ms', '127.0.0.1', one.port, '127.0.0.2', harness.free_port(socket.SOCK_DGRAM),
                        '127.0.0.1', two.port, status=1)
        self.assertEqual(len(re.findall(r'2 packets transmitted, 2 received', out)), 2)
        self.assertIn('From 127.0.0.2: refused', out)

    def test_pacing_does_not_drift(self):
        server = Server(self, lambda data, n: [data])
        _, summary = self.lines('-c', 101, '-i', '10ms', '127.0.0.1', server.port)
        self.assertEqual(summary['sent'], 101)
        self.assertAlmostEqual(server.came[-1] - server.came[0], 1 + summary['missed'] / 100, delta=0.03)

    def test_flood(self):
        listener = self.listener()
        start = time.monotonic()
        out = self.ping('-f', '-q', '-c', 5000, '127.0.0.1', listener.port)
        self.assertIn('5000 packets transmitted, 5000 received, 0% packet loss', out)
        self.assertLess(time.monotonic() - start, 20)


class Answers(Case):
    """What a server may do to an answer."""

    def test_upper_case_prefix_and_truncation(self):
        for change in (bytes.upper, lambda d: b'you said: ' + d, lambda d: d[:9]):
            server = Server(self, lambda data, n: [change(data)])
            lines, summary = self.lines('-c', 5, '-i', '1ms', '127.0.0.1', server.port)
            self.assertEqual([o['seq'] for o in lines], [1, 2, 3, 4, 5])
            self.assertEqual((summary['received'], summary['foreign']), (5, 0))

    def test_without_its_number_an_answer_goes_by_order(self):
        server = Server(self, lambda data, n: [b'pong'])
        lines, _ = self.lines('-c', 4, '-i', '5ms', '127.0.0.1', server.port)
        self.assertEqual([o['seq'] for o in lines], [1, 2, 3, 4])
        self.assertEqual(lines[0]['bytes'], 4)

    def test_duplicates_reordering_and_strays(self):
        kept = []

        def answer(data, n):
            if n == 2:
                kept.append(data)
                return [b'Ping 77 1.000000 ', b'Ping 1 1600000000.000000 ']  # never sent; of another run
            return [data, kept[0]] if n == 3 else [data, data] if n == 4 else [data]
        server = Server(self, answer)
        lines, summary = self.lines('-c', 5, '-i', '20ms', '127.0.0.1', server.port)
        self.assertEqual([(o['seq'], o['reordered'], o['duplicate']) for o in lines],
                         [(1, False, False), (3, False, False), (2, True, False), (4, False, False), (4, False, True),
                          (5, False, False)])
        self.assertEqual([summary[k] for k in ('received', 'duplicates', 'reordered', 'foreign', 'late', 'lost')],
                         [5, 1, 1, 2, 0, 0])

    def test_late_is_not_lost(self):
        held = []

        def answer(data, n):
            held.append(data)
            return [] if n < 3 else held[1:] if n == 3 else [data]
        server = Server(self, answer)
        out = self.ping('-c', 4, '-i', '600ms', '-W', '400ms', '127.0.0.1', server.port, status=0)
        self.assertEqual(re.findall(r'Request timed out: seq=(\d)', out), ['1', '2'])
        late = float(re.search(r'seq=2 ttl=64 time=(\d+\.\d+) ms \(late\)', out).group(1)) / 1000
        self.assertTrue(0.4 < late and server.came[2] - server.came[1] <= late < time.time() - server.came[1], late)
        self.assertIn('4 packets transmitted, 3 received, +1 late, 25% packet loss', out)

    def test_silence(self):
        server = Server(self, lambda data, n: [])
        out = self.ping('-c', 2, '-i', '10ms', '-W', '50ms', '127.0.0.1', server.port, status=1)
        self.assertIn('2 packets transmitted, 0 received, 100% packet loss', out)
        self.assertNotIn('rtt', out)


class Ends(Case):
    def test_refused_ends_at_once_without_cpu(self):
        port = harness.free_port(socket.SOCK_DGRAM)
        p = self.start(['ping', '-c', 0, '-i', '60s', '-W', '60s', '127.0.0.1', port], wait=False)
        self.assertEqual(p.wait(), 1)
        self.assertIn('From 127.0.0.1: refused', p.stdout())
        before = os.times()
        self.ping('-c', 0, '127.0.0.1', port, status=1)
        after = os.times()
        self.assertLess(after.children_user + after.children_system - before.children_user - before.children_system, 0.1)

    def test_waiting_costs_nothing(self):
        server = Server(self, lambda data, n: [data])
        p = self.start(['ping', '-c', 0, '-i', '60s', '127.0.0.1', server.port], wait=False)
        p.wait_for_line('seq=1', 'stdout')
        before = p.cpu()
        time.sleep(1)  # the time that is measured
        self.assertLessEqual(p.cpu() - before, 0.01)

    def test_interrupted_and_asked_in_between(self):
        listener = self.listener()
        p = self.start(['ping', '-c', 0, '-i', '20ms', '127.0.0.1', listener.port], wait=False)
        p.wait_for_line('seq=3 ', 'stdout')
        p.send_signal(signal.SIGQUIT)
        p.wait_for_line(r'127\.0\.0\.1: \d+/\d+ packets, 0% loss, min/avg/max = ')
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(), 0)
        self.assertRegex(p.stdout(), r'\d+ packets transmitted, \d+ received')

    def test_deadline(self):
        listener = self.listener()
        start = time.monotonic()
        self.ping('-c', 100, '-i', '100ms', '-w', '500ms', '127.0.0.1', listener.port, status=1)
        self.assertLess(time.monotonic() - start, 5)  # and not the ten seconds of a hundred probes

    def test_trace_shows_both_ends(self):
        log, peer_log = os.path.join(self.tmpdir, 'a'), os.path.join(self.tmpdir, 'b')
        listener = self.listener('--trace=' + log, stamp=True)
        self.ping('-c', 1, '--trace=' + peer_log, '127.0.0.1', listener.port)
        self.ping('--stamp', '-c', 1, '--trace=' + peer_log + '2', '127.0.0.1', listener.addr('stamp')[1])
        listener.stop()
        for path, who in (log, r'127\.0\.0\.1:\d+'), (peer_log, r'127\.0\.0\.1:%d' % listener.port):
            with open(path) as f:
                text = f.read()
            for side in 'CS':
                self.assertRegex(text, rf'(?m)^\d+\.\d+ {side}: {who} 32 bytes: Ping 1 \d+\.\d{{6}} abcdefg$')
        with open(peer_log + '2') as f:
            self.assertRegex(f.read(), r'C: \S+ STAMP test, 44 bytes: seq=0 T1=\d+\.\d{9} error=\d+ns ssid=\d+\n'
                                       r'.* S: \S+ STAMP reply, 44 bytes: seq=0 T2=\d+\.\d{9} T3=\d+\.\d{9} ssid=\d+ to test '
                                       r'seq=0 ttl=255\n')

    def test_usage(self):
        for args in (['-c', '-1'], ['-i', '1us'], ['-s', '70000'], ['-p', 'xyz'], ['--key-file', 'x'], ['-t', '300']):
            self.ping(*args, '127.0.0.1', status=2)
        self.ping('no-such-host.invalid', status=2)
        self.ping('--stamp', '--key-file', '/dev/null/absent', '127.0.0.1', status=2)


class Files(Case):
    def test_svg_hgrm_histogram_and_live(self):
        listener = self.listener('--loss', '3/10')
        svg, hgrm = os.path.join(self.tmpdir, 'a.svg'), os.path.join(self.tmpdir, 'a.hgrm')
        out = self.ping('-c', 50, '-i', '2ms', '-W', '1s', '--svg', svg, '--hgrm', hgrm, '--histogram', '127.0.0.1',
                        listener.port)
        self.assertEqual(sum(int(n) for n in re.findall(r' ms \|.* (\d+)$', out, re.M)), 35)
        drawing = xml.dom.minidom.parse(svg)
        self.assertEqual(drawing.documentElement.tagName, 'svg')
        with open(hgrm) as f:
            self.assertRegex(f.read(), r' 1\.000000000000 +35\n(?s:.*)Total count    = +35\]')
        out = self.ping('--live', '-c', 20, '-i', '1ms', '127.0.0.1', listener.port)
        self.assertRegex(out, '[\u2801-\u28ff]')
        self.ping('-c', 1, '--svg', '/dev/null/absent/x.svg', '127.0.0.1', self.listener().port, status=2)


class Truth(Case):
    """What ping reports equals what the listener knows that it did."""

    def test_ten_thousand_probes(self):
        listener = self.listener('--json', '--seed', 7, '--loss', '7%', '--loss-reply', '3/50', '--duplicate', '4%',
                                 '--reorder', '5%')
        _, got = self.lines('-q', '-c', 10000, '-i', '1ms', '-W', '3s', '127.0.0.1', listener.port)
        truth = self.truth(listener)
        self.assertEqual(got['sent'], 10000)
        self.assertEqual(truth['received'], 10000)
        self.assertEqual(got['lost'], truth['lost'] + truth['lost_reply'])
        self.assertEqual(got['duplicates'], truth['duplicated'])
        self.assertEqual(got['reordered'], truth['reordered'])
        self.assertEqual((got['late'], got['foreign'], got['errors']), (0, 0, 0))
        self.assertEqual(truth['lost_reply'] // 10, (10000 - truth['lost']) * 3 // 50 // 10)
        self.assertTrue(min(truth['lost'], truth['duplicated'], truth['reordered']) > 200, truth)

    def test_bursts_delay_and_jitter(self):
        listener = self.listener('--json', '--burst-loss', '20%,6', '--delay', '20ms', '--jitter', '5ms')
        lines, got = self.lines('-c', 400, '-i', '2ms', '127.0.0.1', listener.port)
        truth = self.truth(listener)
        self.assertEqual(got['lost'], truth['lost'])
        self.assertGreater(truth['lost'], 20)
        self.assertTrue(15e6 <= got['min_ns'] < 18e6 and got['max_ns'] > 22e6, got)  # 20 ms, 5 more or less; a busy machine adds

    def test_same_seed_same_losses(self):
        lost = []
        for seed in 3, 3, 4:
            lines, _ = self.lines('-c', 60, '-i', '1ms', '-W', '1s', '127.0.0.1',
                                  self.listener('--loss', '30%', '--seed', seed).port)
            lost.append([o['seq'] for o in lines if o['type'] == 'timeout'])
        self.assertEqual(lost[0], lost[1])
        self.assertNotEqual(lost[0], lost[2])

    def test_stamp_tells_the_direction(self):
        listener = self.listener('--json', '--stateful', '--loss', '6%', '--loss-reply', '9%', stamp=True)
        _, got = self.lines('--stamp', '-q', '-c', 3000, '-i', '1ms', '127.0.0.1', listener.addr('stamp')[1])
        truth = self.truth(listener)
        self.assertTrue(got['loss_direction_known'])
        self.assertEqual(got['lost_up'] + got['lost_down'] + got['lost_unknown'], got['lost'])
        self.assertLess(got['lost_unknown'], 10)
        self.assertTrue(0 <= truth['lost'] - got['lost_up'] <= got['lost_unknown'], (got, truth))
        self.assertTrue(0 <= truth['lost_reply'] - got['lost_down'] <= got['lost_unknown'], (got, truth))

    def test_stateless_reflectors_cannot_tell_and_that_is_said(self):
        listener = self.listener('--loss', '5/10', stamp=True)
        out = self.ping('--stamp', '-c', 20, '-i', '1ms', '-W', '1s', '127.0.0.1', listener.addr('stamp')[1])
        self.assertIn('in which direction probes were lost is not known', out)


class Learners(Case):
    """The exercise's own scripts, as people write them, at the other end."""
    CLIENT = '''
import sys, time
from socket import *
clientSocket = socket(AF_INET, SOCK_DGRAM)
clientSocket.settimeout(1)
for i in range(1, 12):
    start = time.time()
    message = 'Ping %d %s' % (i, start)
    clientSocket.sendto(message.encode(), ('127.0.0.1', int(sys.argv[1])))
    try:
        reply, address = clientSocket.recvfrom(1024)
        print('Reply from %s: %s, RTT = %fs' % (address[0], reply.decode(), time.time() - start))
    except timeout:
        print('Request timed out')
'''
    SERVER = '''
import random
from socket import *
random.seed(1)
serverSocket = socket(AF_INET, SOCK_DGRAM)
serverSocket.bind(('127.0.0.1', 0))
print('listening on 127.0.0.1:%d' % serverSocket.getsockname()[1], flush=True)
while True:
    rand = random.randint(0, 10)
    message, address = serverSocket.recvfrom(1024)
    message = message.upper()
    if rand < 4:
        continue
    serverSocket.sendto(message, address)
'''

    def test_their_client_against_the_textbook_server(self):
        listener = self.listener('--textbook')
        script = self.file('UDPPingerClient.py', self.CLIENT)
        code, out, err = harness.run([script, listener.port], program=sys.executable, timeout=30)
        self.assertEqual((code, err), (0, ''))
        self.assertEqual(out.count('Request timed out'), 4)
        self.assertEqual(len(re.findall(r'Reply from 127.0.0.1: PING \d+ \d+\.\d+, RTT = 0\.\d+s', out)), 7)

    def test_ping_against_their_server(self):
        script = self.file('UDPPingerServer.py', self.SERVER)
        server = self.start([script], program=sys.executable, wait=False)
        port = int(server.wait_for_line(r'listening on 127.0.0.1:(\d+)', 'stdout').group(1))
        lines, got = self.lines('-c', 40, '-i', '10ms', '-W', '1s', '127.0.0.1', port)
        self.assertTrue(5 <= got['lost'] <= 25, got)
        self.assertEqual(got['received'] + got['lost'], 40)
        self.assertEqual((got['foreign'], got['duplicates'], got['late']), (0, 0, 0))


if __name__ == '__main__':
    harness.main()
