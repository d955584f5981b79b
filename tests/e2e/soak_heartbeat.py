# SPDX-License-Identifier: MIT
"""l7 heartbeat listen for long: ten million hostile datagrams change nothing; of a thousand senders two hundred die, and
those are the ones that are reported."""
import datetime
import heapq
import os
import random
import re
import statistics
import threading
import time

import harness
from heartbeat_case import SECRET, Heartbeat, beat

DATAGRAMS = int(os.environ.get('L7_DATAGRAMS', '10000000'))
WAVE = 400        # sent before the queue is looked at
SENDERS, DEATHS = 1000, 200
INTERVAL, TIMEOUT = 0.1, 0.6


def queues(port):
    """(bytes that wait, datagrams dropped) of all sockets on `port`."""
    with open('/proc/net/udp') as f:
        rows = [line.split() for line in f.read().splitlines()[1:]]
    mine = [r for r in rows if int(r[1].split(':')[1], 16) == port]
    return sum(int(r[4].split(':')[1], 16) for r in mine), sum(int(r[-1]) for r in mine)


class Hostile(Heartbeat):
    def counted(self):
        host, port = self.listener.addr('metrics')
        text = harness.dialogue(port, b'GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n').decode()
        return sum(int(n) for n in re.findall(r'^l7_heartbeat_beats_\w+_total (\d+)', text, re.M))

    def bad(self, r, good, now):
        """A few thousand different ones: random, truncated, a bit flipped, replayed out of order, forged."""
        made = [beat('a', 300 + i, 50, now, key=b'wrong', key_id=7) for i in range(500)]
        made += [beat(f'b{i}', 1, 1, now, key=b'wrong', key_id=7) for i in range(500)]
        made += [r.randbytes(r.randrange(200)) for _ in range(1000)]
        for _ in range(2000):
            p = bytearray(r.choice(good))
            if r.random() < 0.5:
                p = p[:r.randrange(len(p))]
            else:
                p[r.randrange(len(p))] ^= 1 << r.randrange(8)
            made.append(bytes(p))
        made += good * 5
        r.shuffle(made)
        return made

    def test_ten_million_change_nothing(self):
        keys = self.file('keys', f'7 {SECRET.decode()}\n')
        os.chmod(keys, 0o600)
        self.listen('--key-file', keys, '--timeout', '1h', '--metrics', '127.0.0.1:0', events=False)
        s, r, now = self.socket(), random.Random(3), time.time()
        good = [beat('a', i, 50, now, interval=3600, key=SECRET, key_id=7) for i in range(1, 201)]
        for p in good:
            s.send(p)
        before = self.wait_for('a', received=200)
        made, started = self.bad(r, good, now), self.counted()
        sent = 0
        while sent < DATAGRAMS:
            at = r.randrange(len(made) - WAVE)
            for p in made[at:at + WAVE]:
                s.send(p)
            sent += WAVE
            while queues(self.port)[0] > 100000:
                time.sleep(0.0005)
        self.wait_until(lambda: queues(self.port)[0] == 0, what='everything read')
        self.assertEqual(queues(self.port)[1], 0)  # none was lost in front of the listener
        self.wait_until(lambda: self.counted() - started >= sent, what='all of them counted')
        s.send(beat('end', 1, 1, now, key=SECRET, key_id=7))
        self.wait_for('end', received=1)
        table = self.table()
        self.assertEqual(sorted(table), ['a', 'end'])
        for field in ('state', 'sequence', 'received', 'lost', 'incarnation', 'restarts', 'reordered'):
            self.assertEqual(before[field], table['a'][field], field)


class Path:
    """What the network does to beats that leave at once: 2 % lost, 1 % doubled, 10 ms and exponential 5 ms of delay, 1 %
    of them an interval later, behind their successors."""

    def __init__(self, seed, send):
        self.r, self.send, self.flying = random.Random(seed), send, []

    def put(self, now, packet):
        for _ in range(0 if self.r.random() < 0.02 else 2 if self.r.random() < 0.01 else 1):
            held = INTERVAL if self.r.random() < 0.01 else 0
            heapq.heappush(self.flying, (now + held + 0.010 + self.r.expovariate(200), packet))

    def deliver(self, now):
        while self.flying and self.flying[0][0] <= now:
            self.send(heapq.heappop(self.flying)[1])


class Deaths(Heartbeat):
    def live(self, beats, died, stop):
        """Every sender beats once an interval, spread over it, until it is among the dead."""
        s, names = self.socket(), sorted(beats)
        path, start, k = Path(11, s.send), time.monotonic(), 0
        while not stop.is_set():
            now = time.monotonic()
            while k < (now - start) / INTERVAL * len(names):
                name = names[k % len(names)]
                k += 1
                if name not in died:
                    beats[name] += 1
                    path.put(now, beat(name, beats[name], interval=INTERVAL))
            path.deliver(now)
            time.sleep(0.001)

    def test_the_dead_are_reported_and_nobody_else(self):
        """Over a path that loses, doubles, delays and reorders every death is seen in time, and the others never go down."""
        self.listen('--timeout', f'{int(TIMEOUT * 1000)}ms', '--damp', '0')
        beats, died, stop = {f'n{i}': 0 for i in range(SENDERS)}, {}, threading.Event()
        t = threading.Thread(target=self.live, args=(beats, died, stop))
        t.start()
        self.addCleanup(t.join)
        self.addCleanup(stop.set)
        self.wait_until(lambda: self.listener.stdout().count('"event":"up"') == SENDERS, what='all up')
        for name in random.Random(12).sample(sorted(beats), DEATHS):
            died[name] = time.time()
            stop.wait(0.05)
        self.wait_until(lambda: self.listener.stdout().count('"event":"down"') >= DEATHS, what='all deaths')
        time.sleep(2 * TIMEOUT)  # somebody might follow
        down = {e['id']: e for e in self.events() if e['event'] == 'down'}
        self.assertEqual(sorted(down), sorted(died))
        took = [datetime.datetime.fromisoformat(e['time'].replace('Z', '+00:00')).timestamp() - died[n] for n, e in down.items()]
        print(f'deaths are seen after {statistics.median(took) * 1000:.0f} ms (median), {max(took) * 1000:.0f} at most', flush=True)
        self.assertLess(statistics.median(took), TIMEOUT + 0.1)


if __name__ == '__main__':
    harness.main()
