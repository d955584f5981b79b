# SPDX-License-Identifier: MIT
"""test_ping_stamp.py -- STAMP (RFC 8762, RFC 8972): l7 ping --stamp and the reflector, against a second implementation."""
import os
import random
import socket
import struct
import time

import harness
import peers
import stamp_check
from ping_case import IP_RECVTTL, Case, Server


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
        harness.wait_until(lambda: found, what='the probe')
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
        out = self.ping('--stamp', '--key-file', self.key_file(), '-c', 2, '-i', '1ms', '-W', '500ms', '127.0.0.1',
                        liar.port, status=1)
        self.assertIn('2 replies with a wrong HMAC were ignored', out)

    def test_offset_and_one_way_delays(self):
        """A reflector whose clock is 100 s ahead: the round trip does not care and the offset is found."""
        def answer(data, n):
            t = time.time() + 100
            return [stamp_check.make_reply(data, n - 1, t, t)]
        _, got = self.lines('--stamp', '-c', 20, '-i', '2ms', '127.0.0.1', Server(self, answer).port)
        self.assertAlmostEqual(got['clock_offset_ns'] / 1e9, 100, delta=0.01)
        self.assertTrue(got['min_ns'] < 50e6 and got['max_ns'] < 50e9, got)
        self.assertGreater(got['up']['min_ns'], 99e9)


if __name__ == '__main__':
    harness.main()
