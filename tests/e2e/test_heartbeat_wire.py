# SPDX-License-Identifier: MIT
"""The heartbeat protocol, byte by byte in both directions, against a coder and decoder of their own, written from
docs/heartbeat-protocol.md; many workers and many ports; ids of every kind."""
import hashlib
import hmac
import ipaddress
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import time

import harness
from heartbeat_case import SECRET, Heartbeat, beat, question

STATES = ['new', 'up', 'late', 'down', 'stopped']


def unseal(p, keys):
    """The datagram without its trailer, and the number of the key; `keys` is {number: secret}."""
    number = struct.unpack('>I', p[-20:-16])[0]
    tag = hmac.new(keys[number], p[:-16], hashlib.sha256).digest()[:16]
    if tag != p[-16:]:
        raise ValueError('not signed with the key that it names')
    return p[:-20], number


def decode_beat(p, keys=None):
    if p[:5] != b'L7HB\x01' or p[5] != 1 or p[6] & ~3:
        raise ValueError(f'no beat: {p[:8]}')
    flags, length, key = p[6], p[7], None
    if flags & 1:
        p, key = unseal(p, keys)
    incarnation, sequence, sent, interval = struct.unpack('>QQqq', p[8:40])
    if len(p) != 40 + length:
        raise ValueError(f'{len(p)} bytes for an id of {length}')
    return dict(key=key, goodbye=bool(flags & 2), incarnation=incarnation, sequence=sequence, sent=sent, interval=interval,
                id=p[40:].decode())


def decode_answer(p, keys=None):
    if p[:6] != b'L7HB\x01\x03' or p[7]:
        raise ValueError(f'no answer: {p[:8]}')
    signed = p[6] & 1
    if signed:
        p, _ = unseal(p, keys)
    head = dict(zip(('nonce', 'instance', 'first', 'next', 'slots', 'senders', 'zero', 'time', 'rows', 'zero2'),
                    struct.unpack('>QQIIIIqqHH', p[8:60])))
    head['signed'], rows, at = bool(signed), [], 60
    names = ('incarnation', 'sequence', 'received', 'lost', 'duplicates', 'reordered', 'restarts', 'since_ms', 'state_ms',
             'left_ms', 'interval_us', 'jitter_us', 'delay_us')
    for _ in range(head['rows']):
        length, state, flags, family = p[at:at + 4]
        host = {4: p[at + 4:at + 8], 6: p[at + 4:at + 20]}[family]
        row = dict(zip(names, struct.unpack('>QQQQIIIqqqqIq', p[at + 22:at + 110])))
        row.update(state=STATES[state], text=bool(flags & 1), flapping=bool(flags & 2), signed=bool(flags & 4),
                   peer=(str(ipaddress.ip_address(host)), struct.unpack('>H', p[at + 20:at + 22])[0]),
                   zero=p[at + 110:at + 113], id=p[at + 113:at + 113 + length].decode())
        rows.append(row)
        at += 113 + length
    if at != len(p):
        raise ValueError(f'{len(p) - at} bytes too many')
    return head, rows


class Sent(Heartbeat):
    """What our sender sends."""

    def receive(self, *more, beats=3, stop=signal.SIGTERM):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.bind(('127.0.0.1', 0))
        s.settimeout(20)
        sender = self.start(['heartbeat', 'send', '127.0.0.1', s.getsockname()[1], *more], wait=False)
        got = [s.recv(2048) for _ in range(beats)]
        if stop:
            self.assertEqual(sender.stop(stop), 0)
            s.setblocking(False)
            try:
                while True:
                    got.append(s.recv(2048))
            except BlockingIOError:
                pass
        return got

    def test_beats_and_goodbye(self):
        began = time.time_ns()
        got = [decode_beat(p) for p in self.receive('--id', 'router 7 ä', '--interval', '70ms')]
        ended = time.time_ns()
        byes = [b for b in got if b['goodbye']]
        beats = got[:-len(byes)]
        self.assertEqual([b['goodbye'] for b in got], [False] * len(beats) + [True] * 3)
        self.assertEqual(len({b['sequence'] for b in byes}), 1)
        numbers = [b['sequence'] for b in beats] + [byes[0]['sequence']]
        self.assertEqual(numbers[0], 1)
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertEqual({(b['id'], b['interval'], b['key']) for b in got}, {('router 7 ä', 70000000, None)})
        self.assertEqual(len({b['incarnation'] for b in got}), 1)
        self.assertTrue(began <= got[0]['incarnation'] <= got[0]['sent'] <= ended)
        self.assertEqual([b['sent'] for b in got], sorted(b['sent'] for b in got))

    def test_signed_with_the_first_key(self):
        keys = self.file('keys', b'# of this week\n9 hex:00ff10\n\n7 ' + SECRET + b'\n')
        got = [decode_beat(p, {9: b'\x00\xff\x10', 7: SECRET})
               for p in self.receive('--id', 'a', '--interval', '20ms', '--key-file', keys)]
        self.assertEqual({b['key'] for b in got}, {9})
        self.assertTrue(got[-1]['goodbye'])

    def test_usual_name_and_a_new_incarnation_each_time(self):
        first, second = [decode_beat(self.receive('--count', '1', beats=1, stop=None)[0]) for _ in range(2)]
        self.assertEqual(first['id'], socket.gethostname())
        self.assertEqual((first['sequence'], first['interval']), (1, 10**9))
        self.assertLess(first['incarnation'], second['incarnation'])

    def test_a_stopped_sender_does_not_catch_up(self):
        """What it could not send in time is missing from the numbers, and does not come in a burst."""
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.bind(('127.0.0.1', 0))
        s.settimeout(20)
        sender = self.start(['heartbeat', 'send', '127.0.0.1', s.getsockname()[1], '--interval', '100ms'], wait=False)
        last = decode_beat(s.recv(2048))
        sender.send_signal(signal.SIGSTOP)
        while select.select([s], [], [], 1.0)[0]:
            last = decode_beat(s.recv(2048))
        sender.send_signal(signal.SIGCONT)
        numbers = [decode_beat(s.recv(2048))['sequence'] for _ in range(3)]
        self.assertGreaterEqual(numbers[0] - last['sequence'], 9)
        self.assertLess(numbers[2] - numbers[0], 9)

    def test_text_and_no_goodbye(self):
        got = self.receive('--text', '--interval', '20ms')
        for k, p in enumerate(got):
            number, sent = p.split(b' ')
            self.assertGreaterEqual(int(number), k + 1)
            self.assertAlmostEqual(float(sent), time.time(), delta=20)


class Taken(Heartbeat):
    """What our listener makes of datagrams, told in answers that are decoded here."""

    def ask(self, s, **kw):
        s.send(question(nonce=99, **kw))
        return decode_answer(s.recv(4096), {0: SECRET})

    def test_every_field_of_an_answer(self):
        self.listen('--timeout', '30s', events=False)
        s, sent = self.socket(), time.time() - 5
        for i in (3, 7, 5, 5):
            s.send(beat('alpha', i, 9, sent=sent, interval=2))
        s.send(beat('alpha', 2, 10, sent=sent, interval=2))
        self.wait_for('alpha', received=4)
        head, (row,) = self.ask(s)
        self.assertEqual((head['nonce'], head['first'], head['next'], head['senders'], head['zero'], head['zero2'], head['signed']),
                         (99, 0, head['slots'], 1, 0, 0, False))
        self.assertAlmostEqual(head['time'] / 1e9, time.time(), delta=10)
        self.assertEqual(row['peer'], s.getsockname())
        # 3 to 7 with 3, 5 and 7 in hand, then 1 and 2 with 2 in hand
        for field, value in dict(state='up', text=False, flapping=False, signed=False, incarnation=10, sequence=2, received=4, lost=3,
                                 duplicates=1, reordered=1, restarts=1, interval_us=2000000, zero=bytes(3), id='alpha').items():
            self.assertEqual(row[field], value, field)
        self.assertTrue(0 <= row['since_ms'] <= row['state_ms'] < 20000, row)
        self.assertTrue(10000 < row['left_ms'] <= 30000, row)
        self.assertAlmostEqual(row['delay_us'] / 1e6, 5, delta=3)
        again, _ = self.ask(s)
        self.assertEqual(head['instance'], again['instance'])

    def test_an_answer_does_not_search_a_deserted_table(self):
        """Six thousand strangers came and were forgotten; a question costs a bounded look, and goes on where that ended."""
        self.listen('--timeout', '200ms', '--forget', '2s', events=False)
        s, many = self.socket(), 6000
        for i in range(many):
            s.send(beat(f'stranger {i}', 1, interval=1))
            if i % 100 == 99:
                self.ask(s)  # keeps pace: nothing is lost in the socket
        head = self.wait_until(lambda: (h := self.ask(s)[0])['senders'] == 0 and h, what='the last one to be forgotten')
        self.assertGreater(head['slots'], 4096)
        looked, at = [], 0
        while at < head['slots']:
            part, rows = self.ask(s, start=at)
            self.assertEqual(rows, [])
            looked.append(part['next'] - at)
            at = part['next']
        self.assertEqual(looked, [4096] * (head['slots'] // 4096) + [head['slots'] % 4096])

    def test_answers_over_ipv6_and_signed(self):
        keys = self.file('keys', SECRET + b'\n')
        listener = self.start(['heartbeat', 'listen', '--listen', '[::1]:0', '--quiet', '--key-file', keys])
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.settimeout(20)
        s.connect(('::1', listener.port))
        s.send(beat('six', 1, key=SECRET))

        def known():
            head, rows = self.ask(s, key=SECRET)
            self.assertTrue(head['signed'])
            return rows
        row, = self.wait_until(known, what='the sender')
        self.assertEqual((row['peer'], row['signed'], row['state']), (s.getsockname()[:2], True, 'up'))

    def test_a_signature_that_nobody_looked_at(self):
        self.listen(events=False)
        self.socket().send(beat('a', 1, key=b'whatever'))
        self.assertFalse(self.wait_for('a', received=1)['signed'])

    def test_jitter_is_the_mean_deviation(self):
        self.listen('--timeout', '30s', events=False)
        s = self.socket()
        due = time.monotonic()
        for i in range(1, 41):
            due += 0.05
            time.sleep(max(0, due + (0.02 if i % 2 else 0) - time.monotonic()))  # 10 ms around the mean
            s.send(beat('shaky', i, interval=0.05))
        self.wait_for('shaky', received=40)
        self.assertTrue(5 < self.table()['shaky']['jitter_ms'] < 20, self.table()['shaky'])

    def test_ids(self):
        self.listen('--key-file', self.file('keys', SECRET + b'\n'), '--accept-unsigned')
        good = ['x', 'a' * 64, 'ä' * 32, '好' * 21, ' ', 'a  b', '-rf', '../../etc', "'; DROP TABLE changes;--", '%s%n%x',
                '\u202eevil', '{"id":1}', '<b>']
        bad = [b'', b'a' * 65, b'\xff', b'\xc3', b'a\nb', b'a\0b', b'\x1b[2J', b'\x7f', b'\xc2\x9b31m', b'\xed\xa0\x80', b'\xc0\xaf']
        s = self.socket()
        for name in good:
            s.send(beat(name, 1))
        for name in bad:
            s.send(beat(name, 1))
        s.send(beat('end', 1))
        self.wait_for('end', received=1)
        self.assertEqual(sorted(self.table()), sorted([*good, 'end']))
        code, out, err = self.run_l7(['heartbeat', 'watch', f'127.0.0.1:{self.port}', '--count', '1'])
        self.assertEqual(code, 0, err)
        self.assertNotIn('\u202e', out)
        self.assertNotIn('\x1b', out)
        s.send(b'online')
        self.assertIn(b'a__b 1 ', s.recv(4096))

    def test_one_view_of_many_workers(self):
        """Two hundred senders, each from thirty ports in turn, so that every worker sees some of every sender's beats."""
        self.listen('--workers', '4', events=False)
        sockets = [self.socket() for _ in range(30)]
        r = random.Random(4)
        for i in range(1, 61):
            for n in range(200):
                if i in (1, 60) or (i + n) % 10:  # every tenth is left out
                    r.choice(sockets).send(beat(f'n{n}', i, interval=60))
            time.sleep(0.002)
        want = {f'n{n}': sum(1 for i in range(1, 61) if i in (1, 60) or (i + n) % 10) for n in range(200)}
        self.wait_until(lambda: {k: r['received'] for k, r in self.table().items()} == want)
        self.assertEqual({k: r['lost'] for k, r in self.table().items()}, {k: 60 - n for k, n in want.items()})
        self.assertEqual({(r['duplicates'], r['restarts'], r['state']) for r in self.table().values()}, {(0, 0, 'up')})


class Strangers(Heartbeat):
    """From an address that is no loopback one, in a network namespace of its own."""

    SETUP = """
import select, socket, struct, subprocess, sys
sys.path.insert(0, sys.argv[2])
from heartbeat_case import beat, question, SECRET
subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
subprocess.run(['ip', 'addr', 'add', '192.0.2.1/32', 'dev', 'lo'], check=True)
l = subprocess.Popen([sys.argv[1], 'heartbeat', 'listen', '--listen', '192.0.2.1:12002', '--quiet', *sys.argv[4:]], stderr=subprocess.PIPE)
l.stderr.readline()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('192.0.2.1', 0)); s.connect(('192.0.2.1', 12002)); s.settimeout(20)
signed = dict(key=SECRET) if '--key-file' in sys.argv else {}
for i in range(100):
    s.send(beat(f'node-{i:03d}', 1, **signed))
def ask(p, lines=0):
    '''What comes back for `p`; an answer always comes to the question behind it, but a whole list of `lines` may come later.'''
    s.send(p)
    s.send(question(start=1 << 20, size=200, **signed))
    got, marked = [], False
    while not marked or b''.join(got).count(b'\\n') < lines or select.select([s], [], [], 0.3)[0]:
        a = s.recv(65536)
        if a[:4] == b'L7HB' and a[24:28] == struct.pack('>I', 1 << 20):
            marked = True
        else:
            got.append(a)
    return got
try:
    lines = [b''.join(ask(b'online' + b' ' * pad, n)).count(b'\\n') for pad, n in zip((0, 1000), map(int, sys.argv[3].split()))]
    plain, own = (len(b''.join(ask(question(**kw)))) for kw in ({}, signed))
    print(*lines, plain > 0, own > 0)
finally:
    l.terminate(); l.wait(20)
"""

    def strangers(self, lines, *more):
        """How many lines come to `online` alone and with a thousand spaces, which are to be `lines`; are other questions answered?"""
        p = subprocess.run(['unshare', '-rn', sys.executable, '-c', self.SETUP, harness.L7, os.path.dirname(os.path.abspath(__file__)),
                            lines, *more], capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(p.stdout.split()[:2], lines.split())
        return p.stdout.split()[2:]

    def test_who_is_told_what(self):
        keys = self.file('keys', SECRET + b'\n')
        self.assertEqual(self.strangers('0 67'), ['True', 'True'])  # no line fits into six bytes
        self.assertEqual(self.strangers('0 67', '--trust', '198.51.100.0/24'), ['True', 'True'])
        self.strangers('100 100', '--trust', '192.0.2.0/24')
        self.assertEqual(self.strangers('0 0', '--key-file', keys), ['False', 'True'])  # signed questions only
        self.assertEqual(self.strangers('100 100', '--key-file', keys, '--trust', '192.0.2.1'), ['True', 'True'])


if __name__ == '__main__':
    harness.main()
