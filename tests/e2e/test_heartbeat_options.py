# SPDX-License-Identifier: MIT
"""l7 heartbeat's options one by one, hooks, history and the terminal table; and that each option has a test at all."""
import fcntl
import glob
import http.server
import json
import os
import pty
import re
import select
import signal
import socket
import sqlite3
import struct
import termios
import threading
import time

import harness
from heartbeat_case import SECRET, Heartbeat, beat, seal
from test_get_session import certificates, server_context

HOUR = 3600  # so long an interval that nobody is late


class EveryOption(Heartbeat):
    COMMON = {'--config', '--help', '--version', '--user', '--drain'}  # of every daemon: test_daemon.py and others

    def test_has_a_test(self):
        """Each option that --help shows is given to the program in some test of the heartbeat."""
        used = set()
        for path in glob.glob(os.path.join(harness.ROOT, 'tests/e2e/*heartbeat*.py')):
            with open(path) as f:
                used |= set(re.findall(r"'(--[a-z][a-z-]*)[=']", f.read()))
        for role in ('listen', 'send', 'watch', 'simulate'):
            code, out, err = self.run_l7(['heartbeat', role, '--help'])
            self.assertEqual((code, err), (0, ''))
            self.assertEqual(set(re.findall(r'(?<![\w-])--[a-z][a-z-]*', out.split('\n\n  l7 ')[0])) - self.COMMON - used, set(), role)


class Listening(Heartbeat):
    def counted(self, *names):
        host, port = self.listener.addr('metrics')
        text = harness.dialogue(port, b'GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n').decode()
        return tuple(int(re.search(rf'^l7_heartbeat_{n} (\d+)', text, re.M).group(1)) for n in names)

    def test_report_late(self):
        self.listen('--report-late', '--timeout', '2s')
        s = self.socket()
        s.send(beat(sequence=1, interval=0.2))
        self.listener.wait_for_line('"event":"late".*"from":"up"', 'stdout')
        s.send(beat(sequence=2, interval=0.2))
        self.listener.wait_for_line('"event":"down".*"from":"late"', 'stdout')
        self.assertEqual([e['event'] for e in self.events()], ['up', 'late', 'up', 'late', 'down'])

    def test_damp(self):
        """Down again and again: muted from the sixth time on, unless damping is off."""
        for damp, downs in (('1h', 5), ('0', 9)):
            self.listen('--damp', damp, '--timeout', '100ms', '--metrics', '127.0.0.1:0')
            s = self.socket()
            for i in range(1, 10):
                s.send(beat(sequence=i, interval=0.05))
                self.wait_for('node', state='down', sequence=i)
            self.assertEqual(self.wait_for('node', state='down')['flapping'], damp != '0')
            down = lambda: sum((e['id'], e['event']) == ('node', 'down') for e in self.events())  # noqa: E731
            self.wait_until(lambda: down() == downs)
            s.send(beat('end', 1))
            self.listener.wait_for_line('"id":"end"', 'stdout')
            self.assertEqual(down(), downs)

    def test_forget(self):
        self.listen('--forget', '500ms', '--timeout', '200ms')
        s = self.socket()
        s.send(beat('gone', 1))
        self.listener.wait_for_line('"event":"down"', 'stdout')
        self.wait_until(lambda: 'gone' not in self.table(), what='that it is forgotten')

    def test_max_senders(self):
        self.listen('--max-senders', '32', '--metrics', '127.0.0.1:0', events=False)
        s = self.socket()
        for i in range(200):
            s.send(beat(f'n{i}', 1))
        self.wait_until(lambda: sum(self.counted('beats_fresh_total', 'beats_full_total')) == 200)
        self.assertEqual(len(self.table()), self.counted('beats_fresh_total')[0])
        self.assertLessEqual(len(self.table()), 32)

    def test_rate_limit(self):
        self.listen('--rate-limit', '50', '--workers', '1', '--metrics', '127.0.0.1:0', events=False)
        s = self.socket()
        for i in range(1, 301):
            s.send(beat('fast', i))
        self.wait_until(lambda: sum(self.counted('beats_fresh_total', 'beats_limited_total')) == 300)
        self.assertGreater(self.counted('beats_limited_total')[0], 150)

    def test_max_age(self):
        keys = self.file('keys', SECRET + b'\n')
        for age, names in (('1h', ['end', 'young']), ('0', ['end', 'old', 'young'])):
            self.listen('--key-file', keys, '--max-age', age)
            s = self.socket()
            s.send(beat('old', 1, sent=time.time() - 7200, key=SECRET))
            s.send(beat('young', 1, sent=time.time() - 1800, key=SECRET))
            s.send(beat('end', 1, key=SECRET))
            self.wait_for('end', received=1)
            self.assertEqual(sorted(self.table()), names)

    def test_several_addresses(self):
        listener = self.start(['heartbeat', 'listen', '--listen', '127.0.0.1:0', '--listen', '[::1]:0', '--json'])
        listener.wait_for_line(harness.LISTENING.pattern, count=2)
        ports = re.findall(r'listening on \S+?:(\d+)\s*$', listener.stderr(), re.M)
        for host, port, name in (('127.0.0.1', ports[0], 'four'), ('::1', ports[1], 'six')):
            code, _, err = self.run_l7(['heartbeat', 'send', host, port, '--id', name, '--count', '1'])
            self.assertEqual(code, 0, err)
            listener.wait_for_line(f'"id":"{name}"', 'stdout')

    def test_lines_for_people(self):
        listener = self.start(['heartbeat', 'listen', '--listen', '127.0.0.1:0', '--timeout', '300ms'])
        self.port = listener.port
        self.socket().send(beat('a\u202eb', 7))
        line = listener.wait_for_line(r'.* down .*', 'stdout').group(0)
        self.assertRegex(line, r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z  down +\S+ from 127\.0\.0\.1:\d+, silent for \d+\.\d{3} s, beat 7, 0 lost$')
        self.assertNotIn('\u202e', line)


class Hooks(Heartbeat):
    def test_every_variable(self):
        out = self.file('out')
        self.listen('--on-change', f'env | grep ^L7_ | sort >> {out}; echo >> {out}', '--timeout', '400ms')
        s, began = self.socket(), time.monotonic()
        for i in (2, 5):
            s.send(beat('v', i, 77))
        self.listener.wait_for_line('"event":"down"', 'stdout')

        def said():
            with open(out) as f:
                return f.read().strip('\n').split('\n\n')
        self.wait_until(lambda: len(said()) == 2 and 'L7_TO=down' in said()[1], what='two commands')
        up, down = (dict(x.split('=', 1) for x in part.splitlines()) for part in said())
        self.assertEqual((up['L7_EVENT'], up['L7_FROM'], up['L7_TO'], up['L7_SEQUENCE']), ('up', 'new', 'up', '2'))
        want = dict(L7_ID='v', L7_EVENT='down', L7_FROM='up', L7_TO='down', L7_PEER='127.0.0.1:%d' % s.getsockname()[1],
                    L7_INCARNATION='77', L7_SEQUENCE='5', L7_RECEIVED='2', L7_LOST='2')
        self.assertEqual({k: down[k] for k in want}, want)
        self.assertTrue(0.4 <= float(down['L7_SILENT']) <= time.monotonic() - began, down)
        self.assertAlmostEqual(float(down['L7_TIME']), time.time(), delta=20)
        self.assertEqual(set(down), {*want, 'L7_SILENT', 'L7_TIME'})

    def https(self, folder, answers):
        got = []

        class Server(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                got.append(json.loads(self.rfile.read(int(self.headers['Content-Length']))))
                self.send_response(answers.pop(0) if answers else 204)
                self.send_header('Content-Length', '0')
                self.end_headers()

            def log_message(self, *_):
                pass
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Server)
        server.socket = server_context(folder, 'good').wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server.server_address[1], got

    def test_webhook_over_tls(self):
        folder = certificates(self)
        port, got = self.https(folder, [404])
        self.listen('--webhook', f'https://127.0.0.1:{port}/', '--ca', f'{folder}/root.pem', '--timeout', '1h', '--metrics', '127.0.0.1:0')
        s = self.socket()
        s.send(beat('one', 1))
        self.listener.wait_for_line('hook for .one. .*404')  # said, and not tried again: it would not help
        s.send(beat('two', 1))
        self.wait_until(lambda: len(got) == 2)
        self.assertEqual([e['id'] for e in got], ['one', 'two'])

    def test_webhook_to_a_stranger(self):
        folder = certificates(self)
        port, got = self.https(folder, [])
        self.listen('--webhook', f'https://127.0.0.1:{port}/')
        self.socket().send(beat('one', 1))
        self.listener.wait_for_line('hook for .one. .*certificate', timeout=12)  # at once: five tries take fifteen seconds
        self.assertEqual(got, [])


class History(Heartbeat):
    def test_in_batches_and_bounded(self):
        """Six thousand changes at once: write-ahead log, a few transactions, and only so many rows kept."""
        path = os.path.join(self.tmpdir, 'h.db')
        self.listen('--history', path, '--history-max', '1500', '--timeout', '1h', events=False)
        s = self.socket()

        def written():
            with open(f'/proc/{self.listener.pid}/io') as f:
                return int(re.search(r'wchar: (\d+)', f.read()).group(1))
        before = written()
        for i in range(6000):
            s.send(beat(f'n{i}', 1))
            if i % 200 == 0:
                time.sleep(0.001)

        def newest():
            with sqlite3.connect(f'file:{path}?mode=ro', uri=True) as db:
                return db.execute('SELECT max(n), count(*) FROM changes').fetchone()
        self.wait_until(lambda: newest()[0] == 6000, what='the last change')
        self.assertTrue(1500 <= newest()[1] < 1500 + 2 * 1000, newest())
        with sqlite3.connect(path) as db:
            self.assertEqual(db.execute('PRAGMA journal_mode').fetchone(), ('wal',))
        self.assertLess(written() - before, 6000 * 4096)  # a transaction a row would write three pages or more each

    def test_killed_in_full_flow(self):
        """A change every few milliseconds, then kill -9: all but the last second of them are in the file."""
        path = os.path.join(self.tmpdir, 'h.db')
        self.listen('--history', path, '--timeout', '1h', events=False)
        s, sent, end = self.socket(), [], time.monotonic() + 3
        while time.monotonic() < end:
            sent.append((time.monotonic(), f'n{len(sent)}'))
            s.send(beat(sent[-1][1], 1))
            time.sleep(0.003)
        self.listener.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        self.listener.wait()
        with sqlite3.connect(path) as db:
            self.assertEqual(db.execute('PRAGMA integrity_check').fetchone(), ('ok',))
            kept = {x for x, in db.execute('SELECT id FROM changes')}
        self.assertEqual([n for t, n in sent if t < killed - 1 and n not in kept], [])

    def test_what_is_no_database(self):
        code, _, err = self.run_l7(['heartbeat', 'listen', '--listen', '127.0.0.1:0', '--history', self.file('x', b'no database\n' * 100)])
        self.assertEqual(code, 2, err)
        self.assertIn('not a database', err)


class Watching(Heartbeat):
    def terminal(self, *more, lines=24, columns=80):
        """`watch` on a terminal of that size: (send keys, read up to what is awaited)."""
        pid, main = pty.fork()
        if pid == 0:
            os.execve(harness.L7, [harness.L7, 'heartbeat', 'watch', f'127.0.0.1:{self.port}', *more],
                      harness.environment({'TERM': 'xterm'}))
        self.addCleanup(os.close, main)
        self.addCleanup(lambda: os.waitpid(pid, 0))
        fcntl.ioctl(main, termios.TIOCSWINSZ, struct.pack('HHHH', lines, columns, 0, 0))
        self.seen = b''

        def until(pattern):
            """The text of the first frame from here on in which `pattern` is found."""
            end = time.monotonic() + harness.PATIENCE
            while True:
                for frame in re.findall(rb'\x1b\[\?2026h\x1b\[H(.*?)\x1b\[J\x1b\[\?2026l', self.seen, re.S):
                    if re.search(pattern, frame, re.M):
                        self.seen = b''
                        return frame.replace(b'\x1b[K', b'').decode().split('\r\n')
                if not select.select([main], [], [], max(0, end - time.monotonic()))[0]:
                    self.fail(f'no frame with {pattern}: {self.seen[-3000:]}')
                self.seen += os.read(main, 65536)

        def keys(text):
            self.seen = b''
            os.write(main, text)
        self.addCleanup(lambda: os.write(main, b'q'))
        return pid, keys, until

    def thousand(self):
        self.listen('--timeout', '1h', events=False)
        s = self.socket()
        for i in range(1000):
            s.send(beat(f'node-{i:04d}', 2, interval=HOUR))
            s.send(beat(f'node-{i:04d}', 2 + i % 7, interval=HOUR))
            if i % 50 == 0:
                time.sleep(0.002)
        self.wait_until(lambda: sum(r['sequence'] for r in self.table().values()) == sum(2 + i % 7 for i in range(1000)))

    def test_keys_sort_filter_and_page(self):
        self.thousand()
        pid, keys, until = self.terminal('--interval', '1h')
        frame = until(rb'by state')
        self.assertIn('1000 senders, 1000 up', frame[0])
        self.assertEqual([x.split()[0] for x in frame[2:21]], [f'node-{i:04d}' for i in range(19)])
        self.assertIn('Unknown: losses before the first and after the last beat', frame[-2])
        self.assertTrue(all(len(x) <= 84 + 12 for x in frame))
        keys(b's')
        until(rb'by name')
        keys(b'ss')
        frame = until(rb'by loss')
        self.assertEqual(frame[2].split()[0], 'node-0006')  # five of six missing
        keys(b'r')
        frame = until(rb'by loss, reversed')
        self.assertEqual(frame[2].split()[0], 'node-0995')
        keys(b'rsss')
        until(rb'by name')
        keys(b' ')
        until(rb'^node-0019')
        keys(b'b')
        until(rb'^node-0000')
        keys(b'j')
        until(rb'^node-0019')
        keys(b'k')
        until(rb'^node-0000')
        keys(b'\x1b[6~')  # page down, arrows down and up, page up
        until(rb'^node-0019')
        keys(b'\x1b[B')
        until(rb'^node-0020')
        keys(b'\x1b[A')
        until(rb'^node-0019')
        keys(b'\x1b[5~')
        until(rb'^node-0000')
        keys(b'/e-099\r')
        frame = until(rb"10 senders.*with 'e-099'")
        self.assertEqual(sum(x.startswith('node-099') for x in frame), 10)
        keys(b'/\r')
        until(rb'1000 senders')
        keys(b'd')
        until(rb': 0 senders')

    def test_a_thousand_rows_are_smooth(self):
        """Thirty frames after thirty keys: drawn in place, each no larger than the screen, in a moment."""
        self.thousand()
        pid, keys, until = self.terminal('--interval', '1h', lines=50, columns=120)
        until(rb'by state')

        def cpu():
            with open(f'/proc/{pid}/stat') as f:
                fields = f.read().rsplit(')', 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
        before = cpu()
        for _ in range(15):
            for key, what in ((b's', rb'by (?!state)'), (b'ssss', rb'by state')):
                keys(key)
                frame = until(what)
                self.assertEqual(len(frame), 49)
                self.assertLess(sum(map(len, frame)), 50 * 130)
        self.assertLess(cpu() - before, 30 * 0.05)

    def test_interval_count_and_filter_in_a_pipe(self):
        self.listen(events=False)
        s = self.socket()
        for name in ('Router-1', 'switch-1'):
            s.send(beat(name, 1))
        self.wait_for('switch-1', received=1)
        began = time.monotonic()
        code, out, err = self.run_l7(['heartbeat', 'watch', '127.0.0.1', self.port, '--interval', '300ms', '--count', '3',
                                      '--filter', 'ROUTER'])
        self.assertEqual(code, 0, err)
        self.assertGreaterEqual(time.monotonic() - began, 0.6)
        self.assertEqual(out.count('\nRouter-1 '), 3)
        self.assertNotIn('switch', out)
        self.assertEqual(out.count('Unknown: losses before the first'), 3)

    def test_every_order(self):
        self.listen('--timeout', '1500ms')
        s, number = self.socket(), 4
        for name, last in (('a', number), ('b', 9)):
            s.send(beat(name, 1, interval=0.1))
            s.send(beat(name, last, interval=0.1))
        self.listener.wait_for_line('"event":"down"', 'stdout', count=2)
        for order, first in (('state', 'b'), ('name', 'a'), ('seen', 'b'), ('loss', 'b')):
            number += 1
            s.send(beat('a', number, interval=60))  # up from here on for longer than it takes to look
            self.wait_for('a', state='up', sequence=number)
            self.assertEqual(next(iter(self.table('--sort', order))), first, order)
        self.assertEqual(len(self.table('--sort', 'jitter')), 2)

    def test_who_has_not_the_key(self):
        self.listen('--key-file', self.file('keys', SECRET + b'\n'), events=False)
        code, _, err = self.run_l7(['heartbeat', 'watch', '127.0.0.1', self.port, '--count', '1', '--key-file', self.file('other', b'wrong\n')])
        self.assertEqual(code, 1)
        self.assertIn(f'127.0.0.1:{self.port}', err)
        self.socket().send(beat('a', 1, key=SECRET))
        self.wait_for('a', received=1)  # from loopback the table may be seen without

    def test_answers_that_are_not_signed_are_not_believed(self):
        """Somebody who has not the key answers in the listener's place, an empty table, in time and with the right nonce."""
        keys = self.file('keys', SECRET + b'\n')

        def answer(p, key):
            a = b'L7HB' + bytes([1, 3, 1 if key else 0, 0]) + p[8:16] + bytes(8) + p[16:20] + bytes(4 * 3 + 8 * 2 + 4)
            return seal(a, key) if key else a
        for key, status in ((None, 1), (b'wrong', 1), (SECRET, 0)):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.bind(('127.0.0.1', 0))
                asked = []

                def serve():
                    while True:
                        p, who = s.recvfrom(4096)
                        if p == b'end':
                            return
                        asked.append(p)
                        s.sendto(answer(p, key), who)
                t = threading.Thread(target=serve)
                t.start()
                code, _, err = self.run_l7(['heartbeat', 'watch', '127.0.0.1', s.getsockname()[1], '--count', '1', '--key-file', keys])
                s.sendto(b'end', s.getsockname())
                t.join()
            self.assertEqual(code, status, err)
            self.assertTrue(asked)

    def test_nobody_answers(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(('127.0.0.1', 0))
            code, _, err = self.run_l7(['heartbeat', 'watch', '127.0.0.1', s.getsockname()[1], '--count', '1'])
        self.assertEqual(code, 1)
        self.assertIn('127.0.0.1', err)


if __name__ == '__main__':
    harness.main()
