# SPDX-License-Identifier: MIT
"""l7 heartbeat: beats, signatures, states, the watch protocol, and the learners' scripts."""
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import harness
from heartbeat_case import SECRET, Heartbeat, beat, question

# What learners write for the exercise: the client sends "SEQ TIME" once a second (here faster), the server reads them.
LAB_CLIENT = """
import sys, time
from socket import *
s = socket(AF_INET, SOCK_DGRAM)
for seq in range(int(sys.argv[2])):
    s.sendto(('%d %s' % (seq, time.time())).encode(), ('127.0.0.1', int(sys.argv[1])))
    time.sleep(float(sys.argv[3]))
"""
LAB_SERVER = """
import sys, time
from socket import *
s = socket(AF_INET, SOCK_DGRAM)
s.bind(('127.0.0.1', 0))
print('listening on 127.0.0.1:%d' % s.getsockname()[1], file=sys.stderr, flush=True)
while True:
    data, addr = s.recvfrom(1024)
    seq, sent = data.decode().split()
    print('Heartbeat', int(seq), 'took', '%.3f' % (time.time() - float(sent)), flush=True)
"""
LAB_MONITOR = """
import sys, time
from socket import *
s = socket(AF_INET, SOCK_DGRAM)
s.settimeout(2)
for _ in range(3):
    s.sendto(b'online', ('127.0.0.1', int(sys.argv[1])))
    data, _ = s.recvfrom(2048)
    for line in data.decode().splitlines():
        name, seq, left = line.split()
        print(name, int(seq), float(left), flush=True)
    time.sleep(0.2)
"""


class Beats(Heartbeat):
    def test_send_and_stop(self):
        self.listen()
        sender = self.start(['heartbeat', 'send', '127.0.0.1', self.port, '--id', 'alpha', '--interval', '50ms',
                             '--verbose'], wait=False)
        self.listener.wait_for_line('"event":"up".*"id":"alpha"', 'stdout')
        self.wait_until(lambda: self.table()['alpha']['received'] >= 5)
        row = self.wait_for('alpha', state='up')
        self.assertEqual(row['interval_ms'], 50)
        self.assertLess(abs(row['delay_ms']), 1000)
        self.assertEqual(sender.stop(), 0)
        self.listener.wait_for_line('"event":"stopped".*"id":"alpha"', 'stdout')
        self.assertEqual(self.table()['alpha']['lost'], self.left_out(sender))
        self.assertNotIn('"down"', self.listener.stdout())

    def test_one_beat_from_cron(self):
        self.listen()
        for _ in range(2):
            code, _, err = self.run_l7(['heartbeat', 'send', '127.0.0.1', self.port, '--id', 'cron', '--count', '1'])
            self.assertEqual(code, 0, err)
        row = self.wait_for('cron', received=2)
        self.assertEqual((row['state'], row['restarts'], row['lost']), ('up', 1, 0))

    def test_death_is_seen_in_time(self):
        self.listen('--timeout', '400ms')
        s = self.socket()

        def die(name):
            for i in range(1, 6):
                s.send(beat(name, i, interval=0.1))
        self.deaths(400, die)
        s.send(beat('m1', 6))
        self.listener.wait_for_line('"event":"up".*"from":"down"', 'stdout')

    def test_killed_process_is_down_not_stopped(self):
        self.listen('--timeout', '300ms')
        sender = self.start(['heartbeat', 'send', '127.0.0.1', self.port, '--id', 'k', '--interval', '50ms'], wait=False)
        self.listener.wait_for_line('"event":"up"', 'stdout')
        sender.send_signal(signal.SIGKILL)
        self.listener.wait_for_line('"event":"down".*"id":"k"', 'stdout')

    def test_loss_duplicates_reordering_restarts(self):
        self.listen()
        s, r, truth = self.socket(), random.Random(5), 0
        duplicates = 0
        for incarnation in range(1, 6):
            order = list(range(1, 1001))
            lost = {i for i in order if 1 < i < 1000 and r.random() < 0.2}
            truth += len(lost)
            order = [i for i in order if i not in lost]
            for k in range(10, len(order) - 10, 50):
                order[k], order[k + 1] = order[k + 1], order[k]
            for k, i in enumerate(order):
                s.send(beat('x', i, incarnation))
                if k % 97 == 5:
                    s.send(beat('x', i, incarnation))
                    duplicates += 1
                if k % 50 == 0:
                    time.sleep(0.002)  # keeps the burst below the socket's buffer
        row = self.wait_for('x', received=5000 - truth)
        self.assertEqual((row['lost'], row['duplicates'], row['restarts']), (truth, duplicates, 4))
        self.assertGreater(row['reordered'], 50)

    def test_false_alarms_learns_a_short_deadline(self):
        self.listen('--false-alarms', '2/minute')
        s, sent = self.socket(), []
        for i in range(1, 400):
            sent.append(time.monotonic())
            s.send(beat(sequence=i, interval=0.01))
            time.sleep(0.01)
        longest = max(b - a for a, b in zip(sent, sent[1:]))  # a machine that is busy does not send evenly
        self.assertLess(self.table()['node']['left_ms'], max(2, 20 * longest) * 1000)
        self.listener.wait_for_line('"event":"down"', 'stdout')

    def test_a_stopped_listener_buries_nobody(self):
        self.listen('--timeout', '1s')
        self.start(['heartbeat', 'send', '127.0.0.1', self.port, '--id', 'a', '--interval', '50ms'], wait=False)
        self.listener.wait_for_line('"event":"up"', 'stdout')
        self.listener.send_signal(signal.SIGSTOP)
        time.sleep(2)  # longer than the deadline: beats gather in the socket
        self.listener.send_signal(signal.SIGCONT)
        received = self.table()['a']['received']
        self.wait_until(lambda: self.table()['a']['received'] > received + 5)
        self.assertNotIn('"down"', self.listener.stdout())

    def test_ipv6(self):
        listener = self.start(['heartbeat', 'listen', '--listen', '[::1]:0', '--json'])
        code, _, err = self.run_l7(['heartbeat', 'send', '::1', listener.port, '--id', 'six', '--count', '1'])
        self.assertEqual(code, 0, err)
        self.assertIn('[::1]:', listener.wait_for_line('"id":"six".*', 'stdout').group(0))

    def test_wrong_usage(self):
        for args, word in ((['listen', '--false-alarms', 'often'], '1/day'), (['listen', '--trust', 'nobody'], 'nobody'),
                           (['send', 'localhost', '99999'], 'port'), (['send', '127.0.0.1', '--id', 'a' * 65], '64'),
                           (['watch', '127.0.0.1', '--quorum', '2'], 'quorum')):
            code, _, err = self.run_l7(['heartbeat', *args])
            self.assertEqual(code, 2, err)
            self.assertIn(word, err)


class Keys(Heartbeat):
    def key_file(self, text=b'7 ' + SECRET + b'\n'):
        return self.file('keys', text)

    def test_signed_sender_and_watch(self):
        keys = self.key_file()
        self.listen('--key-file', keys)
        self.start(['heartbeat', 'send', '127.0.0.1', self.port, '--id', 'a', '--interval', '50ms', '--key-file', keys],
                   wait=False)
        self.listener.wait_for_line('"event":"up"', 'stdout')
        self.assertTrue(self.table('--key-file', keys)['a']['signed'])

    def test_forged_replayed_and_random_change_nothing(self):
        self.listen('--key-file', self.key_file(), '--timeout', '1h')
        s, r = self.socket(), random.Random(1)
        now = time.time()
        good = [beat('a', i, 50, now, interval=3600, key=SECRET, key_id=7) for i in range(1, 201)]
        for p in good:
            s.send(p)
        before = self.wait_for('a', received=200)
        bad = [beat('a', 201, 50, now), beat('a', 201, 50, now, key=b'wrong', key_id=7),
               beat('a', 201, 50, now, key=SECRET, key_id=8), beat('b', 1, 1, now, key=b'wrong', key_id=7),
               beat('a', 1, 49, now, key=SECRET, key_id=7),            # an earlier start
               beat('old', 1, 1, now - 7 * 86400, key=SECRET, key_id=7),  # recorded a week ago
               b'201 %f' % now, b'', b'L7HB']
        for i in range(20000):
            kind = r.randrange(4)
            p = bytearray(r.choice(good))
            if kind == 0:
                p = bytearray(r.randbytes(r.randrange(200)))
            elif kind == 1:
                p = p[:r.randrange(len(p))]
            elif kind == 2:
                p[r.randrange(len(p))] ^= 1 << r.randrange(8)
            s.send(bytes(p))
            if i % 50 == 0:
                time.sleep(0.001)
        for p in bad:
            s.send(p)
        s.send(beat('a', 201, 50, now, goodbye=True, key=b'wrong', key_id=7))
        s.send(beat('end', 1, 1, now, key=SECRET, key_id=7))
        self.wait_for('end', received=1)
        table = self.table()
        self.assertEqual(sorted(table), ['a', 'end'])
        after = table['a']
        for field in ('state', 'sequence', 'received', 'lost', 'incarnation', 'restarts', 'reordered'):
            self.assertEqual(before[field], after[field], field)
        self.assertGreaterEqual(after['seen_ms'], before['seen_ms'])

    def test_keys_rotate(self):
        self.listen('--key-file', self.key_file(b'1 old\n2 new\n'))
        s = self.socket()
        s.send(beat('a', 1, 1, key=b'old', key_id=1))
        s.send(beat('a', 2, 1, key=b'new', key_id=2))
        s.send(beat('a', 3, 1, key=b'new', key_id=1))
        s.send(beat('b', 1, 1, key=b'new', key_id=2))
        self.wait_for('b', received=1)
        self.assertEqual(self.table()['a']['received'], 2)

    def test_accept_unsigned(self):
        self.listen('--key-file', self.key_file(), '--accept-unsigned')
        s = self.socket()
        s.send(beat('plain', 1))
        s.send(b'1 %f' % time.time())
        s.send(beat('forged', 1, key=b'wrong', key_id=7))
        s.send(beat('end', 1, key=SECRET, key_id=7))
        self.wait_for('end', received=1)
        self.assertEqual(len(self.table()), 3)


class Answers(Heartbeat):
    def test_the_list_is_whole_for_loopback(self):
        self.listen(events=False)
        s = self.socket()
        for i in range(300):
            s.send(beat(f'node-{i:03d}', 1))
        self.wait_until(lambda: len(self.table()) == 300)
        s.send(b'online')
        lines = b''
        while lines.count(b'\n') < 300:
            part = s.recv(65536)
            self.assertLessEqual(len(part), 1024)
            self.assertTrue(part.endswith(b'\n'))
            lines += part
        self.assertEqual(sorted(x.split()[0] for x in lines.splitlines()), sorted(b'node-%03d' % i for i in range(300)))

    def test_nobody_alive_is_an_empty_datagram(self):
        self.listen(events=False)
        s = self.socket()
        s.send(b'online\r\n')
        self.assertEqual(s.recv(2048), b'')

    def test_strangers_never_get_more_than_they_sent(self):
        """In a network namespace of its own, through an address that is not a loopback one."""
        setup = """
import socket, struct, subprocess, sys
subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
subprocess.run(['ip', 'addr', 'add', '192.0.2.1/32', 'dev', 'lo'], check=True)
l = subprocess.Popen([sys.argv[1], 'heartbeat', 'listen', '--listen', '192.0.2.1:12002', '--quiet'], stderr=subprocess.PIPE)
l.stderr.readline()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('192.0.2.1', 0)); s.connect(('192.0.2.1', 12002)); s.settimeout(5)
for i in range(200):
    n = b'node-%03d' % i
    s.send(b'L7HB' + bytes([1, 1, 0, len(n)]) + struct.pack('>QQqq', 1, 1, 0, 10**9) + n)
def ask(p):
    s.send(p)
    s.send(b'L7HB' + bytes([1, 2, 0, 0]) + struct.pack('>QI', 1, 1 << 20) + bytes(100))  # an answer always comes to this
    got = []
    while True:
        a = s.recv(65536)
        if a[:4] == b'L7HB' and a[24:28] == struct.pack('>I', 1 << 20):
            return got
        got.append(a)
try:
    for p in (b'online', b'online' + b' ' * 20, b'online' + b' ' * 800):
        got = ask(p)
        assert sum(map(len, got)) <= len(p), (p, got)
    assert len(got) == 1 and got[0].count(b'\\n') >= 40, got
    for size in (20, 32, 60, 79, 80, 81, 200, 500, 1232, 2000):
        p = b'L7HB' + bytes([1, 2, 0, 0]) + struct.pack('>QI', 1, 0) + bytes(size - 20)
        got = ask(p)
        assert sum(map(len, got)) <= size, (size, got)
    print('right')
finally:
    l.terminate(); l.wait(20)
"""
        p = subprocess.run(['unshare', '-rn', sys.executable, '-c', setup, harness.L7], capture_output=True, text=True, timeout=60)
        self.assertEqual(p.stdout.strip(), 'right', p.stderr)

    def test_watch_pages_through_a_thousand(self):
        self.listen(events=False)
        s = self.socket()
        for i in range(1000):
            s.send(beat(f'node-{i:04d}', i + 1))
            if i % 50 == 0:
                time.sleep(0.002)
        self.wait_until(lambda: len(self.table()) == 1000)
        table = self.table('--sort', 'name')
        self.assertEqual(list(table), [f'node-{i:04d}' for i in range(1000)])
        self.assertEqual([r['sequence'] for r in table.values()], list(range(1, 1001)))
        self.assertEqual(list(self.table('--sort', 'name', '--filter', 'E-003')), [f'node-003{i}' for i in range(10)])

    def test_answer_as_documented(self):
        self.listen(events=False)
        s = self.socket()
        s.send(beat('alpha', 5, 9, interval=2))
        self.wait_for('alpha', received=1)
        s.send(question(nonce=1234))
        a = s.recv(4096)
        self.assertLessEqual(len(a), 1232)
        self.assertEqual(a[:7], b'L7HB\x01\x03\x00')
        nonce, _, start, after, slots, senders = struct.unpack_from('>QQIIII', a, 8)
        self.assertEqual((nonce, start, after, senders), (1234, 0, slots, 1))
        self.assertEqual(struct.unpack_from('>H', a, 56)[0], 1)
        row = a[60:]
        self.assertEqual((row[0], row[1], row[113:]), (5, 1, b'alpha'))
        incarnation, sequence, received, lost = struct.unpack_from('>QQQQ', row, 22)
        self.assertEqual((incarnation, sequence, received, lost), (9, 5, 1, 0))

    def test_a_terminal_gets_one_frame_in_place(self):
        self.listen(events=False)
        self.socket().send(beat('on-screen', 1))
        self.wait_for('on-screen', received=1)
        main, sub = os.openpty()
        self.addCleanup(os.close, main)
        p = subprocess.Popen([harness.L7, 'heartbeat', 'watch', f'127.0.0.1:{self.port}'], stdin=sub, stdout=sub,
                             stderr=subprocess.PIPE, env=harness.environment({'TERM': 'xterm'}))
        os.close(sub)
        seen = b''
        while b'on-screen' not in seen:
            seen += os.read(main, 65536)
        os.write(main, b'q')
        try:
            while b'\x1b[?1049l' not in seen:
                seen += os.read(main, 65536)
        finally:
            self.assertEqual(p.wait(20), 0)
            p.stderr.close()
        self.assertIn(b'\x1b[?1049h', seen)
        self.assertEqual(seen.count(b'\x1b[2J'), 1)  # cleared once; frames are drawn over one another

    def test_quorum(self):
        ports = []
        for _ in range(3):
            self.listen('--timeout', '300ms')
            ports.append(self.port)
        everyone = [f'127.0.0.1:{p}' for p in ports]

        def states(*more):
            code, out, err = self.run_l7(['heartbeat', 'watch', *everyone, '--json', '--count', '1', *more])
            self.assertEqual(code, 0, err)
            return {r['id']: (r['state'] == 'down', r['say_down']) for r in map(json.loads, out.splitlines())}
        stop = threading.Event()
        reach = [ports[:1], ports[:2]]  # `one` is heard by one listener in the end, `two` by two

        def send():
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sequence = 0
            while not stop.wait(0.03):
                sequence += 1
                for name, where in zip(('one', 'two'), reach if sequence > 5 else (ports, ports)):
                    for port in where:
                        s.sendto(beat(name, sequence), ('127.0.0.1', port))
            s.close()
        t = threading.Thread(target=send)
        t.start()
        self.addCleanup(t.join)
        self.addCleanup(stop.set)
        self.wait_until(lambda: states() == {'one': (True, 2), 'two': (False, 1)}, what='a majority')
        for quorum, want in (('3', {'one': (False, 2), 'two': (False, 1)}), ('1', {'one': (True, 2), 'two': (True, 1)})):
            self.wait_until(lambda: states('--quorum', quorum) == want, what=f'a quorum of {quorum}')


class Learners(Heartbeat):
    def test_their_client_and_monitor_our_listener(self):
        self.listen()
        client = self.start(['-c', LAB_CLIENT, self.port, '1000', '0.05'], program=sys.executable, wait=False)
        self.listener.wait_for_line('"event":"up".*"id":"127.0.0.1:', 'stdout')
        code, out, err = harness.run(['-c', LAB_MONITOR, self.port], program=sys.executable)
        self.assertEqual(code, 0, err)
        seen = [line.split() for line in out.splitlines()]
        self.assertEqual(len(seen), 3)
        self.assertLess(int(seen[0][1]), int(seen[2][1]))
        self.assertEqual(len({name for name, _, _ in seen}), 1)
        client.stop(signal.SIGKILL)

    def test_their_client_dies(self):
        self.listen('--timeout', '500ms')
        code, _, err = harness.run(['-c', LAB_CLIENT, self.port, '5', '0.05'], program=sys.executable)
        self.assertEqual(code, 0, err)
        self.listener.wait_for_line('"event":"down".*"sequence":4', 'stdout')

    def test_our_sender_their_server(self):
        server = self.start(['-c', LAB_SERVER], program=sys.executable)
        code, _, err = self.run_l7(['heartbeat', 'send', '127.0.0.1', server.port, '--text', '--count', '3', '--interval', '20ms'])
        self.assertEqual(code, 0, err)
        got = [server.wait_for_line(r'^Heartbeat (\d+) took (-?[\d.]+)', 'stdout', count=i) for i in (1, 2, 3)]
        numbers = [int(m[1]) for m in got]  # one that could not be sent in time is left out
        self.assertEqual((numbers[0], numbers), (1, sorted(set(numbers))))
        self.assertLess(max(abs(float(m[2])) for m in got), 5)


if __name__ == '__main__':
    harness.main()
