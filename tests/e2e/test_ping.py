# SPDX-License-Identifier: MIT
"""test_ping.py -- l7 ping against servers of the test's own, and its listener against clients of the test's own."""
import json
import os
import random
import re
import signal
import socket
import struct
import sys
import threading
import time
import xml.dom.minidom

import harness
import peers
import stamp_check

IP_RECVTTL = 12  # Linux's number, which Python's socket module lacks


class Server:
    """A UDP server in a thread: `answer(data, n)` gives the list of datagrams to send back; n counts from 1."""

    def __init__(self, test, answer, family=socket.AF_INET):
        self.answer, self.seen, self.tos, self.ttl = answer, [], [], []
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        self.sock.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        self.sock.bind(('127.0.0.1', 0))
        self.port = self.sock.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        test.addCleanup(self.close)

    def run(self):
        while True:
            try:
                data, control, _, peer = self.sock.recvmsg(65536, 256)
            except OSError:
                return
            if data == b'stop' and peer[1] == self.port:
                return
            for level, kind, value in control:
                if kind == socket.IP_TOS:
                    self.tos.append(value[0])
                elif kind == socket.IP_TTL:
                    self.ttl.append(struct.unpack('i', value[:4])[0])
            self.seen.append(data)
            for reply in self.answer(data, len(self.seen)):
                self.sock.sendto(reply, peer)

    def close(self):
        self.sock.sendto(b'stop', ('127.0.0.1', self.port))
        self.thread.join(5)
        self.sock.close()


class Case(harness.TestCase):
    def listener(self, *args, stamp=False):
        more = ['--stamp', '127.0.0.1:0'] if stamp else []
        return self.start(['ping', 'listen', '--listen', '127.0.0.1:0', *more, *args])

    def ping(self, *args, status=0, timeout=60):
        code, out, err = self.run_l7(['ping', *args], timeout=timeout)
        self.assertEqual(code, status, out + err)
        return out

    def lines(self, *args, **kw):
        """The objects of ping --json: (all but the summaries, the last summary)."""
        objects = [json.loads(line) for line in self.ping('--json', *args, **kw).splitlines()]
        return [o for o in objects if o['type'] != 'summary'], objects[-1]

    def truth(self, listener):
        """The listener's own counters, which it prints at its end."""
        self.assertEqual(listener.stop(), 0)
        return json.loads(listener.stdout())

    def client(self, port=0, host='127.0.0.1'):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((host, port))
        s.settimeout(harness.PATIENCE)
        self.addCleanup(s.close)
        return s


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
        """The reply is read 100 ms after it came (SIGSTOP), and is still timed in microseconds."""
        listener = self.listener()
        p = self.start(['ping', '--json', '-c', 3, '-i', '300ms', '127.0.0.1', listener.port], wait=False)
        p.wait_for_line('"seq":1', 'stdout')
        os.kill(listener.pid, signal.SIGSTOP)
        try:
            harness.wait_until(lambda: self.queued(listener.port), what='a probe in the queue')
            p.send_signal(signal.SIGSTOP)
        finally:
            os.kill(listener.pid, signal.SIGCONT)
        harness.wait_until(lambda: not self.queued(listener.port), what='the answer')
        time.sleep(0.1)  # the scheduling delay itself, not synchronisation
        p.send_signal(signal.SIGCONT)
        self.assertEqual(p.wait(), 0)
        second = [json.loads(x) for x in p.stdout().splitlines() if '"seq":2' in x][0]
        self.assertEqual(second['clock'], 'kernel')
        self.assertLess(second['rtt_ns'], 90_000_000)

    def queued(self, port):
        total = 0
        with open('/proc/net/udp') as f:
            for line in f:
                fields = line.split()
                if fields[1].endswith(f':{port:04X}'):
                    total += int(fields[4].split(':')[1], 16)
        return total

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
        times = []
        server = Server(self, lambda data, n: times.append(time.monotonic()) or [data])
        _, summary = self.lines('-c', 101, '-i', '10ms', '127.0.0.1', server.port)
        self.assertEqual(summary['sent'], 101)
        self.assertAlmostEqual(times[-1] - times[0], 1 + summary['missed'] / 100, delta=0.03)

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
        out = self.ping('-c', 4, '-i', '150ms', '-W', '50ms', '127.0.0.1', server.port, status=0)
        self.assertEqual(re.findall(r'Request timed out: seq=(\d)', out), ['1', '2'])
        self.assertRegex(out, r'seq=2 ttl=64 time=1[45]\d\.\d+ ms \(late\)')
        self.assertIn('4 packets transmitted, 3 received, +1 late, 25% packet loss', out)

    def test_silence(self):
        server = Server(self, lambda data, n: [])
        out = self.ping('-c', 2, '-i', '10ms', '-W', '50ms', '127.0.0.1', server.port, status=1)
        self.assertIn('2 packets transmitted, 0 received, 100% packet loss', out)
        self.assertNotIn('rtt', out)


class Ends(Case):
    def test_refused_ends_at_once_without_cpu(self):
        port = harness.free_port(socket.SOCK_DGRAM)
        p = self.start(['ping', '-c', 0, '127.0.0.1', port], wait=False)
        start = time.monotonic()
        self.assertEqual(p.wait(5), 1)
        self.assertLess(time.monotonic() - start, 1)
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
        self.assertLess(time.monotonic() - start, 2)

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
        out = self.ping('-c', 50, '-i', '2ms', '-W', '100ms', '--svg', svg, '--hgrm', hgrm, '--histogram', '127.0.0.1',
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
        self.assertTrue(15e6 <= got['min_ns'] and got['median_ns'] < 30e6, got)

    def test_same_seed_same_losses(self):
        lost = []
        for seed in 3, 3, 4:
            lines, _ = self.lines('-c', 60, '-i', '1ms', '-W', '200ms', '127.0.0.1',
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
        out = self.ping('--stamp', '-c', 20, '-i', '1ms', '-W', '100ms', '127.0.0.1', listener.addr('stamp')[1])
        self.assertIn('in which direction probes were lost is not known', out)


class Stamp(Case):
    KEY = b'correct horse battery staple'

    def key_file(self, key=KEY):
        path = self.file('key-%d' % random.randrange(10**9), key + b'\n')
        os.chmod(path, 0o600)
        return path

    def test_the_sender_byte_by_byte(self):
        for auth in False, True:
            for ptp in False, True:
                key = self.KEY if auth else None
                got = []

                def answer(data, n):
                    received = time.time()
                    got.append(stamp_check.test(data, key))
                    return [stamp_check.make_reply(data, got[-1]['seq'], received, time.time(), key)]
                server = Server(self, answer)
                size = 150 if ptp else 44
                lines, summary = self.lines(
                    '--stamp', *(['--key-file', self.key_file()] if auth else []), *(['--ptp'] if ptp else []), '-c', 3,
                    '-i', '10ms', '-s', size, '127.0.0.1', server.port)
                self.assertEqual([t['seq'] for t in got], [0, 1, 2])
                self.assertEqual(len({t['ssid'] for t in got}), 1)
                self.assertTrue(got[0]['ssid'])
                self.assertEqual(server.ttl, [255] * 3)
                self.assertLess(abs(got[0]['t1'] - time.time()), 10)
                self.assertEqual(bool(got[0]['err'] & 0x4000), ptp)
                self.assertEqual(len(server.seen[0]), max(size, 112 if auth else 44))
                self.assertEqual([t[1] for t in got[0]['tlvs']], [1] if ptp else [])
                self.assertEqual(summary['received'], 3)
                for o in lines:
                    self.assertEqual(o['rtt_ns'], o['up_ns'] + o['down_ns'])

    def test_the_reflector_byte_by_byte(self):
        for key in None, self.KEY:
            args = ['--key-file', self.key_file()] if key else []
            listener = self.listener('--stateful', *args, stamp=True)
            s = self.client()
            s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 33)
            s.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
            padding = b'\x80\x01\x00\x06......' + b'\x80\xc8\x00\x02ab'
            for n, (err, extra) in enumerate([(0x8001, b''), (0x0a7f, padding), (0x4001, b'\0' * 3)]):
                t1 = random.getrandbits(64)
                before = time.time()
                s.sendto(stamp_check.make_test(1000 + 2 * n, t1, err, 0xbeef, key, extra), listener.addr('stamp'))
                data, control, _, _ = s.recvmsg(2000, 64)
                after = time.time()
                r = stamp_check.reply(data, key)
                self.assertEqual(len(data), (112 if key else 44) + len(extra))
                self.assertEqual((r['seq'], r['sender_seq'], r['t1_raw'], r['sender_err'], r['ssid'], r['ttl']),
                                 (n, 1000 + 2 * n, t1, err, 0xbeef, 33))
                self.assertTrue(before - 0.001 <= r['t2'] <= r['t3'] <= after + 0.001, (before, r, after))
                self.assertEqual(struct.unpack('i', control[0][2][:4])[0], 255)
                self.assertEqual(r['tlvs'], [(0, 1, b'......'), (0x80, 200, b'ab')] if extra == padding else [])

    def test_tshark_reads_both_packets_without_a_warning(self):
        """Debian 12's tshark knows STAMP by its elder brother's name: TWAMP-Test has the unauthenticated layout."""
        listener, found = self.listener('--stateful', stamp=True), []
        self.lines('--stamp', '-c', 1, '-W', '50ms', '127.0.0.1', Server(self, lambda d, n: found.append(d) or []).port,
                   status=1)
        s = self.client()
        s.sendto(found[0], listener.addr('stamp'))
        found.append(s.recv(2000))
        want = stamp_check.reply(found[1])
        capture = struct.pack('<IHHiIII', 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101)  # raw IPv4
        for n, data in enumerate(found):
            ports = (40000, 862) if n == 0 else (862, 40000)
            packet = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 28 + len(data), n, 0x4000, 255, 17, 0, b'\x7f\0\0\1',
                                 b'\x7f\0\0\1') + struct.pack('!HHHH', *ports, 8 + len(data), 0) + data
            capture += struct.pack('<IIII', n, 0, len(packet), len(packet)) + packet
        path = self.file('stamp.pcap', capture)
        fields = ['twamp.test.seq_number', 'twamp.test.sender_seq_number', 'twamp.test.sender_ttl']
        code, out, err = harness.run(
            ['-r', path, '-d', 'udp.port==862,twamp.test', '-T', 'fields', '-E', 'separator=;',
             *(x for f in [*fields, '_ws.expert', '_ws.malformed'] for x in ('-e', f))],
            program=peers.path('tshark'), env=peers.env('tshark'), timeout=60)
        self.assertEqual(code, 0, err)
        rows = [line.split(';') for line in out.splitlines()]
        self.assertEqual([r[0] for r in rows], ['0', str(want['seq'])], out)
        self.assertEqual(rows[1][1:3], [str(want['sender_seq']), str(want['ttl'])])
        self.assertEqual([r[3:] for r in rows], [['', ''], ['', '']])

    def test_stateless_copies_the_number(self):
        listener = self.listener(stamp=True)
        s = self.client()
        for seq in 7, 4000000000, 7:
            s.sendto(stamp_check.make_test(seq, 5), listener.addr('stamp'))
            self.assertEqual(stamp_check.reply(s.recv(2000))['seq'], seq)

    def test_wrong_keys_are_not_answered_nor_believed(self):
        listener = self.listener('--json', '--key-file', self.key_file(), stamp=True)
        port = listener.addr('stamp')[1]
        self.ping('--stamp', '--key-file', self.key_file(), '-c', 2, '-i', '1ms', '127.0.0.1', port)
        self.ping('--stamp', '--key-file', self.key_file(b'wrong'), '-c', 2, '-i', '1ms', '-W', '50ms', '127.0.0.1', port,
                  status=1)
        self.assertEqual(self.truth(listener)['forged'], 2)
        liar = Server(self, lambda data, n: [stamp_check.make_reply(data, 0, 1, 2, b'wrong')])
        out = self.ping('--stamp', '--key-file', self.key_file(), '-c', 2, '-i', '1ms', '-W', '50ms', '127.0.0.1',
                        liar.port, status=1)
        self.assertIn('2 replies with a wrong HMAC were ignored', out)

    def test_offset_and_one_way_delays(self):
        """A reflector whose clock is 100 s ahead: the round trip does not care and the offset is found."""
        def answer(data, n):
            t = time.time() + 100
            return [stamp_check.make_reply(data, n - 1, t, t)]
        _, got = self.lines('--stamp', '-c', 20, '-i', '2ms', '127.0.0.1', Server(self, answer).port)
        self.assertAlmostEqual(got['clock_offset_ns'] / 1e9, 100, delta=0.01)
        self.assertLess(got['median_ns'], 50e6)
        self.assertGreater(got['up']['min_ns'], 99e9)


class Listener(Case):
    def test_answers_are_never_longer_than_questions(self):
        listener = self.listener('--duplicate', '1/1', stamp=True)
        s = self.client()
        for size in 0, 1, 43, 44, 45, 60, 200, 1472:
            s.sendto(b'x' * size, listener.addr())
            self.assertEqual(s.recv(65536), b'x' * size)
            self.assertEqual(s.recv(65536), b'x' * size)  # the duplicate that was asked for
            s.sendto(b'\0' * size, listener.addr('stamp'))
            if size >= 44:
                self.assertEqual(len(s.recv(65536)), size)
                self.assertEqual(len(s.recv(65536)), size)
        s.sendto(b'last', listener.addr())
        self.assertEqual(s.recv(100), b'last')

    def test_who_is_not_answered(self):
        listener = self.listener('--json', stamp=True)
        friend = self.client()
        for stranger in (self.client(listener.port, '127.0.0.2'),              # the port of the listener itself
                         self.client(listener.addr('stamp')[1], '127.0.0.2'),  # and its other one
                         self.client(19, '127.0.0.3')):                        # chargen
            stranger.sendto(b'Ping 1 ', listener.addr())
            friend.sendto(b'Ping 2 ', listener.addr())
            self.assertEqual(friend.recv(100), b'Ping 2 ')
            stranger.setblocking(False)
            harness.wait_until(lambda: not Echo.queued(self, listener.port), what='an empty queue')
            self.assertRaises(BlockingIOError, stranger.recv, 100)
        self.assertEqual(self.truth(listener)['ignored'], 3)

    def test_broadcasts_are_not_answered(self):
        listener = self.start(['ping', 'listen', '--json', '--listen', '0.0.0.0:0', '--workers', 1])
        friend = self.client()
        friend.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        friend.sendto(b'Ping 3 ', ('127.255.255.255', listener.port))
        friend.sendto(b'Ping 4 ', ('127.0.0.1', listener.port))
        self.assertEqual(friend.recv(100), b'Ping 4 ')
        self.assertEqual(self.truth(listener)['ignored'], 1)

    def test_two_reflectors_do_not_talk_for_ever(self):
        one, two = self.listener('--json'), self.listener('--json')
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
            data = b'round and round'
            raw.sendto(struct.pack('!HHHH', two.port, one.port, 8 + len(data), 0) + data, ('127.0.0.1', 0))
        harness.wait_until(lambda: 'another reflector' in one.stderr() + two.stderr(), 60, 'the end of the loop')
        before = one.cpu() + two.cpu()
        time.sleep(0.3)  # in which nothing may happen
        self.assertLessEqual(one.cpu() + two.cpu() - before, 0.02)
        self.assertEqual(self.truth(one)['ignored'] + self.truth(two)['ignored'], 1)

    def test_rate_limit(self):
        listener = self.listener('--json', '--rate-limit', 50)
        s = self.client()
        for n in range(1000):
            s.sendto(b'%d' % n, listener.addr())
        harness.wait_until(lambda: self.drained(listener), what='an empty queue')
        truth = self.truth(listener)
        self.assertEqual(truth['received'], 1000)
        self.assertTrue(50 <= truth['answered'] <= 150, truth)
        self.assertEqual(truth['limited'], 1000 - truth['answered'])

    def drained(self, listener):
        with open('/proc/net/udp') as f:
            return all(not x.split()[1].endswith(f':{listener.port:04X}') or x.split()[4].endswith(':00000000') for x in f)

    def test_garbage_changes_nothing(self):
        """20,000 datagrams here; L7_SOAK=1000000 is the long run."""
        listener = self.listener('--json', '--stateful', stamp=True)
        total, chance = int(os.environ.get('L7_SOAK', 20000)), random.Random(5)
        s = self.client()
        s.settimeout(0)
        targets = [listener.addr(), listener.addr('stamp')]
        pieces = [chance.randbytes(chance.choice((0, 1, 7, 43, 44, 45, 111, 112, 300, 1400))) for _ in range(997)]

        def memory():
            with open(f'/proc/{listener.pid}/statm') as f:
                return int(f.read().split()[1]) * 4096
        fds = listener.fd_count()
        for n in range(total):
            s.sendto(pieces[n % len(pieces)], targets[n & 1])
            if n == total // 10:
                early = memory()
            if n % 64 == 0:
                try:
                    while True:
                        s.recv(2000)
                except BlockingIOError:
                    pass
        self.assertIn(', 10 received, 0% packet loss',
                      self.ping('-c', 10, '-i', '1ms', '127.0.0.1', listener.port))
        self.assertIn(', 10 received, 0% packet loss',
                      self.ping('--stamp', '-c', 10, '-i', '1ms', '127.0.0.1', targets[1][1]))
        self.assertEqual(listener.fd_count(), fds)
        self.assertLess(memory() - early, 2 << 20)
        self.assertEqual(self.truth(listener)['forged'], 0)

    def test_port_taken(self):
        listener = self.listener()
        code, _, err = self.run_l7(['ping', 'listen', '--listen', f'127.0.0.1:{listener.port}'])
        self.assertEqual(code, 1)
        self.assertIn('address already in use', err)

    def test_usage(self):
        for args in (['--loss', '12/11'], ['--burst-loss', '90%,2'], ['--stateful'], ['--rate-limit', 'x']):
            self.assertEqual(self.run_l7(['ping', 'listen', '--listen', '127.0.0.1:0', *args])[0], 2, args)


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
        lines, got = self.lines('-c', 40, '-i', '10ms', '-W', '200ms', '127.0.0.1', port)
        self.assertTrue(5 <= got['lost'] <= 25, got)
        self.assertEqual(got['received'] + got['lost'], 40)
        self.assertEqual((got['foreign'], got['duplicates'], got['late']), (0, 0, 0))


if __name__ == '__main__':
    harness.main()
