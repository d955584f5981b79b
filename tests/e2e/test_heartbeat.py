# SPDX-License-Identifier: MIT
"""l7 heartbeat: beats, signatures, states, events, state that survives, the watch protocol, and the learners' scripts.

Packets are built here from docs/heartbeat-protocol.md, not by the program under test.
"""
import hashlib
import hmac
import http.server
import json
import os
import random
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time

import harness

SECRET = b'correct horse battery staple'

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


def beat(name='node', sequence=1, incarnation=1, sent=None, interval=0.1, goodbye=False, key=None, key_id=0):
    name = name.encode() if isinstance(name, str) else name
    flags = (1 if key else 0) | (2 if goodbye else 0)
    sent = time.time() if sent is None else sent
    p = b'L7HB' + bytes([1, 1, flags, len(name)]) + struct.pack('>QQqq', incarnation, sequence, int(sent * 1e9),
                                                                 int(interval * 1e9)) + name
    return seal(p, key, key_id) if key else p


def seal(p, key, key_id=0):
    p += struct.pack('>I', key_id)
    return p + hmac.new(key, p, hashlib.sha256).digest()[:16]


def question(start=0, nonce=7, size=1232, key=None):
    p = b'L7HB' + bytes([1, 2, 1 if key else 0, 0]) + struct.pack('>QI', nonce, start)
    p += bytes(size - len(p) - (20 if key else 0))
    return seal(p, key) if key else p


class Heartbeat(harness.TestCase):
    def listen(self, *more, events=True):
        self.listener = self.start(['heartbeat', 'listen', '--listen', '127.0.0.1:0', '--workers', '2',
                                    *(['--json'] if events else ['--quiet']), *more])
        self.port = self.listener.port
        return self.listener

    def socket(self):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(10)
        s.connect(('127.0.0.1', self.port))
        self.addCleanup(s.close)
        return s

    def table(self, *more):
        code, out, err = self.run_l7(['heartbeat', 'watch', f'127.0.0.1:{self.port}', '--json', '--count', '1', *more])
        self.assertEqual(code, 0, err)
        return {r['id']: r for r in map(json.loads, out.splitlines())}

    def wait_for(self, name, **fields):
        def right():
            row = self.table().get(name)
            return row if row and all(row[k] == v for k, v in fields.items()) else None
        return self.wait_until(right, what=f'{name} with {fields}')

    def events(self, listener=None):
        return [json.loads(line) for line in (listener or self.listener).stdout().splitlines()]


class Beats(Heartbeat):
    def test_send_and_stop(self):
        self.listen()
        sender = self.start(['heartbeat', 'send', '127.0.0.1', self.port, '--id', 'alpha', '--interval', '50ms'], wait=False)
        self.listener.wait_for_line('"event":"up".*"id":"alpha"', 'stdout')
        self.wait_until(lambda: self.table()['alpha']['received'] >= 5)
        row = self.table()['alpha']
        self.assertEqual((row['state'], row['lost'], row['interval_ms']), ('up', 0, 50))
        self.assertLess(abs(row['delay_ms']), 1000)
        self.assertEqual(sender.stop(), 0)
        self.listener.wait_for_line('"event":"stopped".*"id":"alpha"', 'stdout')
        self.assertEqual(self.table()['alpha']['lost'], 0)
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
        for i in range(1, 6):
            s.send(beat(sequence=i, interval=0.1))
        died = time.monotonic()
        self.listener.wait_for_line('"event":"down"', 'stdout')
        self.assertLess(time.monotonic() - died, 2)
        silent = self.events()[-1]['silent_ms']
        self.assertGreaterEqual(silent, 400)
        self.assertLess(silent, 600)
        s.send(beat(sequence=6))
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
        s = self.socket()
        for i in range(1, 400):
            s.send(beat(sequence=i, interval=0.01))
            time.sleep(0.01)
        left = self.table()['node']['left_ms']
        self.assertLess(left, 2000)
        self.listener.wait_for_line('"event":"down"', 'stdout')

    def test_a_stopped_listener_buries_nobody(self):
        self.listen('--timeout', '500ms')
        self.start(['heartbeat', 'send', '127.0.0.1', self.port, '--id', 'a', '--interval', '50ms'], wait=False)
        self.listener.wait_for_line('"event":"up"', 'stdout')
        self.listener.send_signal(signal.SIGSTOP)
        time.sleep(1.5)  # longer than the deadline: beats gather in the socket
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
        self.assertEqual(states('--quorum', '3'), {'one': (False, 2), 'two': (False, 1)})
        self.assertEqual(states('--quorum', '1'), {'one': (True, 2), 'two': (True, 1)})


class Events(Heartbeat):
    def test_command_gets_variables_and_no_injection(self):
        out, evil = os.path.join(self.tmpdir, 'out'), '$(touch pwned) `touch pwned` ; touch pwned \' "'
        self.listen('--on-change', f'printf "%s|%s|%s|%s\\n" "$L7_ID" "$L7_EVENT" "$L7_FROM" "$L7_SEQUENCE" >> {out}',
                    '--timeout', '300ms')
        s = self.socket()
        s.send(beat(evil, 3))
        s.send(beat('bad\nname', 1))
        self.wait_until(lambda: os.path.exists(out) and open(out).read().count('\n') >= 2, what='two commands')
        self.assertEqual(open(out).read(), f'{evil}|up|new|3\n{evil}|down|up|3\n')
        self.assertFalse(os.path.exists('pwned'))

    def test_commands_are_bounded_in_number_and_time(self):
        count = os.path.join(self.tmpdir, 'count')
        self.listen('--on-change', f'echo $$ >> {count}; exec sleep 100', '--jobs', '2', '--job-limit', '500ms')
        s = self.socket()
        for i in range(6):
            s.send(beat(f'n{i}', 1))

        def running():
            pids = [int(x) for x in open(count).read().split()] if os.path.exists(count) else []
            return pids, [p for p in pids if os.path.exists(f'/proc/{p}')]

        def done():
            self.assertLessEqual(len(running()[1]), 2)
            return len(running()[0]) == 6 and not running()[1]
        self.wait_until(done, what='six commands, killed in turn')
        self.listener.wait_for_line("hook for 'n", count=6)

    def test_history(self):
        path = os.path.join(self.tmpdir, 'changes.db')
        self.listen('--history', path, '--timeout', '300ms')
        s = self.socket()
        for i in range(50):
            s.send(beat(f'n{i}', 1))

        def rows():
            try:
                with sqlite3.connect(f'file:{path}?mode=ro', uri=True) as db:
                    return db.execute('SELECT id, old, new FROM changes').fetchall()
            except sqlite3.OperationalError:
                return []
        self.wait_until(lambda: len(rows()) == 100, what='up and down of fifty')
        self.assertEqual(rows().count(('n7', 'new', 'up')), 1)
        self.assertEqual(rows().count(('n7', 'up', 'down')), 1)

    def test_kill_and_restart(self):
        """kill -9: no false alarm afterwards, counts go on, and the history has lost nothing older than a second."""
        state, path = os.path.join(self.tmpdir, 'state'), os.path.join(self.tmpdir, 'h.db')
        more = ['--state', state, '--history', path, '--timeout', '600ms']
        first = self.listen(*more)
        port = self.port
        stop = threading.Event()

        def send():
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sequence = 0
            while not stop.wait(0.05):
                sequence += 1
                for i in range(100):
                    try:
                        s.sendto(beat(f'n{i}', sequence), ('127.0.0.1', port))
                    except OSError:
                        pass  # nobody listens just now
            s.close()
        t = threading.Thread(target=send)
        t.start()
        self.addCleanup(t.join)
        self.addCleanup(stop.set)
        self.wait_until(lambda: first.stdout().count('"event":"up"') == 100, what='all up')
        self.wait_until(lambda: sqlite3.connect(path).execute('SELECT count(*) FROM changes').fetchone()[0] == 100)
        received = self.table()['n5']['received']
        first.send_signal(signal.SIGKILL)
        first.wait()
        time.sleep(1.5)  # longer than the deadline
        second = self.start(['heartbeat', 'listen', '--listen', f'127.0.0.1:{port}', '--json', *more])
        self.wait_until(lambda: all(r['received'] > received + 20 for r in self.table().values()))
        table = self.table()
        self.assertEqual(len(table), 100)
        self.assertEqual({r['state'] for r in table.values()}, {'up'})
        self.assertEqual(sum(r['lost'] for r in table.values()), 0)
        self.assertEqual(second.stdout(), '')
        self.assertEqual(sqlite3.connect(path).execute('SELECT count(*) FROM changes').fetchone()[0], 100)

    def test_webhook_is_retried_and_in_order(self):
        got = []

        class Server(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_POST(self):
                body = self.rfile.read(int(self.headers['Content-Length']))
                got.append((self.path, self.headers['Content-Type'], json.loads(body)))
                self.send_response(503 if len(got) == 1 else 204)
                self.send_header('Content-Length', '0')
                self.end_headers()

            def log_message(self, *_):
                pass
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.listen('--webhook', f'http://127.0.0.1:{server.server_address[1]}/hook?a=b', '--timeout', '300ms')
        self.socket().send(beat('w', 4))
        self.wait_until(lambda: len(got) >= 3, what='two events, one of them twice')
        self.assertEqual([(e['id'], e['event']) for _, _, e in got], [('w', 'up'), ('w', 'up'), ('w', 'down')])
        self.assertEqual({(path, kind) for path, kind, _ in got}, {('/hook?a=b', 'application/json')})

    def test_metrics(self):
        self.listen('--metrics', '127.0.0.1:0')
        s = self.socket()
        for i in (1, 2, 2, 5):
            s.send(beat('a', i, interval=60))
        s.send(b'what is this')
        self.wait_for('a', received=3)
        host, port = self.listener.addr('metrics')

        def metrics():
            text = harness.dialogue(port, b'GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n').decode()
            return dict(line.split() for line in text.splitlines() if line.startswith('l7_heartbeat'))
        m = self.wait_until(lambda: metrics().get('l7_heartbeat_senders_up') == '1' and metrics(), what='the gauge')
        self.assertEqual((m['l7_heartbeat_beats_fresh_total'], m['l7_heartbeat_beats_duplicate_total'],
                          m['l7_heartbeat_beats_malformed_total']), ('3', '1', '1'))


class Simulate(Heartbeat):
    def test_a_recorded_path(self):
        """Ten minutes of two senders at 10 Hz; one loses every hundredth beat, the other none."""
        lines = []
        for i in range(1, 6001):
            at = 10**12 + i * 10**8
            lines.append(f'{at} steady 1 {i} {at} 100000000')
            if i % 100:
                lines.append(f'{at + 10**6} lossy 1 {i} {at} 100000000')
        record = self.file('record', '\n'.join(lines) + '\n5 cut')
        code, out, err = self.run_l7(['heartbeat', 'simulate', record, '--json', '--timeout', '150ms', '--timeout', '250ms',
                                      '--false-alarms', '1/hour'])
        self.assertEqual(code, 0, err)
        short, long, learned = map(json.loads, out.splitlines())
        self.assertEqual((short['false_alarms'], long['false_alarms']), (59, 0))
        self.assertAlmostEqual(long['detection_median_s'], 0.2, delta=0.01)
        self.assertLessEqual(learned['false_alarms'], 3)
        self.assertLess(learned['detection_median_s'], 0.4)
        code, _, err = self.run_l7(['heartbeat', 'simulate', self.file('bad', 'hello\n')])
        self.assertEqual(code, 1)
        self.assertIn('line 1', err)

    def test_what_the_listener_records(self):
        record = os.path.join(self.tmpdir, 'record')
        self.listen('--record', record)
        s = self.socket()
        for i in range(1, 101):
            s.send(beat('a b', i, interval=0.01))
        self.wait_for('a b', received=100)
        self.assertEqual(self.listener.stop(), 0)
        code, out, err = self.run_l7(['heartbeat', 'simulate', record])
        self.assertEqual(code, 0, err)
        self.assertIn('1 senders, 100 beats', out)


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
        took = [float(server.wait_for_line(rf'^Heartbeat {i} took (-?[\d.]+)', 'stdout').group(1)) for i in (1, 2, 3)]
        self.assertLess(max(map(abs, took)), 5)


if __name__ == '__main__':
    harness.main()
