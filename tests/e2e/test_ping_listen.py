# SPDX-License-Identifier: MIT
"""test_ping_listen.py -- l7 ping listen against clients of the test's own."""
import os
import random
import socket
import struct
import time

import harness
from ping_case import Case


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
            harness.wait_until(lambda: not self.queued(listener.port), what='an empty queue')
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
            if n % 100 == 99:
                harness.wait_until(lambda: not self.queued(listener.port), what='an empty queue')
        truth = self.truth(listener)
        self.assertEqual(truth['received'], 1000)
        self.assertTrue(50 <= truth['answered'] <= 150, truth)
        self.assertEqual(truth['limited'], 1000 - truth['answered'])

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


if __name__ == '__main__':
    harness.main()
