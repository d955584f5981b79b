# SPDX-License-Identifier: MIT
"""l7 heartbeat: what follows from an event (commands, webhooks, history, state that survives), metrics and recorded paths."""
import http.server
import json
import os
import signal
import socket
import sqlite3
import threading
import time

import harness
from heartbeat_case import Heartbeat, beat


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
        more = ['--state', state, '--history', path, '--timeout', '1s']
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
        time.sleep(2)  # longer than the deadline
        second = self.start(['heartbeat', 'listen', '--listen', f'127.0.0.1:{port}', '--json', *more])
        self.wait_until(lambda: all(r['received'] > received + 20 for r in self.table().values()))
        table = self.table()
        self.assertEqual(len(table), 100)
        self.wait_until(lambda: {r['state'] for r in self.table().values()} == {'up'}, what='nobody late')
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


if __name__ == '__main__':
    harness.main()
