# SPDX-License-Identifier: MIT
"""l7 heartbeat while somebody sets the clock: a step of the wall clock by an hour, forwards or backwards, at the listener or
at the senders, changes nothing but displayed dates.

The program runs with shift_clock.c preloaded, so only its own wall clock steps.
"""
import datetime
import mmap
import os
import signal
import sqlite3
import struct
import time
import unittest

import harness
from heartbeat_case import SECRET, Heartbeat, beat

HOUR = 3600
TIMEOUT = 0.8
SENDERS = ('plain', 'signed', 'text')


class Clock:
    """The wall clock of those that are started with `environment`."""

    def __init__(self, path, preload):
        with open(path, 'wb') as f:
            f.write(bytes(24))
        with open(path, 'r+b') as f:
            self.shared = mmap.mmap(f.fileno(), 24)
        self.ahead = 0
        self.environment = {'L7_CLOCK': path, **preload}

    def step(self, seconds):
        before, self.ahead = self.ahead, self.ahead + int(seconds * 10**9)
        self.shared[:] = struct.pack('@qqq', time.time_ns(), before, self.ahead)


class Steps(Heartbeat):
    @classmethod
    def setUpClass(cls):
        cls.shift = cls.preload('shift_clock')

    def clock(self, name):
        return Clock(os.path.join(self.tmpdir, name), self.shift)

    def begin(self):
        """A listener and three senders, each side with a clock that can be set."""
        self.listeners_clock, self.senders_clock = self.clock('listener'), self.clock('senders')
        self.keys = self.file('keys', b'7 ' + SECRET + b'\n')
        self.history = os.path.join(self.tmpdir, 'history.db')
        self.more = ['--key-file', self.keys, '--accept-unsigned', '--max-age', '30m', '--timeout', f'{TIMEOUT * 1000:.0f}ms',
                     '--history', self.history, '--state', os.path.join(self.tmpdir, 'state')]
        self.listener = self.listen('0')
        self.port, self.senders = self.listener.port, {}
        for name in SENDERS:
            kind = {'signed': ['--key-file', self.keys], 'text': ['--text'], 'plain': []}[name]
            self.senders[name] = self.start(['heartbeat', 'send', '127.0.0.1', self.port, '--id', name, '--interval', '30ms',
                                             '--verbose', *kind], wait=False, env=self.senders_clock.environment)
        self.wait_until(lambda: len(self.rows()) == 3 and min(r['received'] for r in self.rows().values()) > 10)

    def listen(self, port):
        return self.start(['heartbeat', 'listen', '--listen', f'127.0.0.1:{port}', '--json', *self.more],
                          env=self.listeners_clock.environment)

    def rows(self):
        return {'text' if r['text'] else r['id']: r for r in self.table('--key-file', self.keys).values()}

    def beats_on(self, beats=1.2 * TIMEOUT / 0.03):
        """Wait for so many more of each, and find nothing unusual."""
        before = self.rows()
        self.wait_until(lambda: all(self.rows()[n]['received'] >= before[n]['received'] + beats for n in SENDERS))
        for name in SENDERS:
            row = self.wait_until(lambda: (r := self.rows()[name])['state'] == 'up' and r, what=f'{name} up')  # not late just now
            self.assertEqual((row['restarts'], row['duplicates'], row['reordered']), (0, 0, 0), name)
            # What a sender says of it may come a moment later than its next beat.
            self.wait_until(lambda: row['lost'] <= self.left_out(self.senders[name]), what=f'no beat of {name} lost')
            self.assertTrue(0 <= row['seen_ms'] < TIMEOUT * 1000 and 0 <= row['state_ms'] < 600000, row)

    def kept(self):
        with sqlite3.connect(self.history) as db:
            return db.execute('SELECT event, time FROM changes ORDER BY n').fetchall()

    def test_the_listeners_clock(self):
        self.begin()
        for step in (HOUR, -HOUR, -HOUR):
            self.listeners_clock.step(step)
            self.beats_on()
        self.assertEqual([e['event'] for e in self.events()], ['up'] * 3)

    def test_the_senders_clock(self):
        self.begin()
        for step in (HOUR, -HOUR, -HOUR):
            self.senders_clock.step(step)
            self.beats_on()
        self.assertEqual([e['event'] for e in self.events()], ['up'] * 3)

    def test_only_dates_and_the_delay_follow(self):
        self.begin()
        self.listeners_clock.step(HOUR)
        self.beats_on()
        for row in self.rows().values():
            self.assertAlmostEqual(row['delay_ms'], HOUR * 1000, delta=5000)
            self.assertLess(row['jitter_ms'], 1000)
        s = self.socket()
        s.send(beat('later', 1))
        self.wait_until(lambda: len(self.kept()) == 4 and len(self.events()) == 4)
        dates = [t for _, t in self.kept()]
        self.assertLess(max(dates[:3]), dates[3])
        self.assertAlmostEqual(dates[3] - time.time(), HOUR, delta=30)
        said = datetime.datetime.fromisoformat(self.events()[3]['time'].replace('Z', '+00:00')).timestamp()
        self.assertAlmostEqual(said, dates[3], delta=0.01)

    def test_set_while_the_listener_was_stopped(self):
        """What waits in the socket was stamped by the clock as it was before."""
        self.begin()
        for step in (HOUR, -HOUR):
            before = self.rows()
            self.listener.send_signal(signal.SIGSTOP)
            time.sleep(2 * TIMEOUT)
            self.listeners_clock.step(step)
            self.listener.send_signal(signal.SIGCONT)
            self.beats_on()
            enough = before['plain']['received'] + 3 * TIMEOUT / 0.03
            self.wait_until(lambda: self.rows()['plain']['received'] > enough, what='what waited in the socket, and more')
        self.assertEqual([e['event'] for e in self.events()], ['up'] * 3)

    def test_set_between_two_runs(self):
        """Killed, its clock set, started again: the table goes on and nobody is reported."""
        self.begin()
        for step in (HOUR, -2 * HOUR):
            self.listener.send_signal(signal.SIGKILL)
            self.listener.wait()
            self.listeners_clock.step(step)
            time.sleep(1.5 * TIMEOUT)
            self.listener = self.listen(self.port)
            self.beats_on()
            self.assertEqual(self.listener.stdout(), '')
        self.assertEqual([e for e, _ in self.kept()], ['up'] * 3)

    def test_single_beats_after_the_clock_was_set_back(self):
        """As from cron, each with an incarnation of its own, which --state makes grow whatever the clock does."""
        self.begin()
        state = os.path.join(self.tmpdir, 'cron')

        def run(*more):
            code, _, err = self.run_l7(['heartbeat', 'send', '127.0.0.1', self.port, '--id', 'cron', '--count', '1', '--key-file',
                                        self.keys, *more], env=self.senders_clock.environment)
            self.assertEqual(code, 0, err)
        run('--state', state)
        self.senders_clock.step(-HOUR / 4)
        for n in (2, 3):
            run('--state', state)
            self.wait_until(lambda: self.rows()['cron']['received'] == n)
        self.assertEqual(self.rows()['cron']['restarts'], 2)
        code, _, err = self.run_l7(['heartbeat', 'send', '127.0.0.1', self.port, '--count', '1', '--state', self.keys])
        self.assertEqual(code, 2, err)
        self.assertIn('remove it', err)

    def test_deaths_are_seen_as_soon(self):
        self.begin()
        s = self.socket()

        def die(name):
            for i in range(1, 6):
                s.send(beat(name, i, interval=0.03))
            if name == 'm5':  # in the midst of everybody's silence
                self.listener.wait_for_line('"event":"up".*"id":"m5"', 'stdout')
                self.listeners_clock.step(-HOUR)
        self.deaths(TIMEOUT * 1000, die)
        self.beats_on()

    def test_a_replay_is_one_by_any_clock(self):
        self.begin()
        s = self.socket()
        recorded = [beat('r', i, 5, key=SECRET, key_id=7) for i in range(1, 201)]
        for p in recorded:
            s.send(p)
        self.wait_until(lambda: self.rows().get('r', {}).get('received') == 200)
        for step in (HOUR, -HOUR):
            self.listeners_clock.step(step)
            for p in recorded:
                s.send(p)
            s.send(beat(f'after {step}', 1))
            self.wait_until(lambda: f'after {step}' in self.rows())
        row = self.rows()['r']
        self.assertEqual((row['received'], row['restarts'], row['sequence']), (200, 0, 200))


if __name__ == '__main__':
    harness.main()
