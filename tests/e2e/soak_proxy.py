# SPDX-License-Identifier: MIT
"""An upload of 10 GiB, streamed through. And l7 proxy killed under load, again and again: it starts again within a
second, no damaged or mixed object is ever served (each body carries its own hash), what was on disk is found again, and
the disk limit is kept."""
import hashlib
import http.client
import os
import random
import signal
import threading
import time

import harness
from test_proxy import Origin, Proxy
from test_proxy_options import Case

KILLS = int(os.environ.get('L7_KILLS', '50'))
LIMIT = 8 << 20


def body_of(path):
    rng = random.Random(path)
    data = rng.randbytes(rng.choice([100, 3000, 20000, 150000]))
    return hashlib.sha256(path.encode() + data).hexdigest().encode() + data


def whole(path, body):
    return len(body) >= 64 and hashlib.sha256(path.encode() + body[64:]).hexdigest().encode() == body[:64]


class Client(threading.Thread):
    def __init__(self, port, seed):
        super().__init__(daemon=True)
        self.port, self.rng, self.done, self.bad = port, random.Random(seed), False, []
        self.answers = self.hits = 0

    def run(self):
        while not self.done:
            path = f'/o{self.rng.randrange(400)}'
            try:
                c = http.client.HTTPConnection('127.0.0.1', self.port, timeout=10)
                c.request('GET', path)
                r = c.getresponse()
                body = r.read()
                c.close()
            except (OSError, http.client.HTTPException):
                continue  # killed meanwhile
            if r.status != 200 or not whole(path, body):
                self.bad.append((path, r.status, len(body)))
            self.answers += 1
            self.hits += 'l7; hit' in (r.getheader('Cache-Status') or '')


class Upload(Case):
    def test_10_gib(self):
        began, size = time.monotonic(), 10 << 30
        memory = self.upload(size)
        self.assertLess(memory, 48)
        print(f'10 GiB up in {time.monotonic() - began:.1f} s, at most {memory:.1f} MiB of memory')


class Killed(Proxy):
    def test_kill_9_under_load(self):
        def answer(h):
            h.reply(200, body_of(h.path), {'Cache-Control': 'max-age=86400'})
        origin = Origin(self, {f'/o{i}': answer for i in range(400)})
        folder, port = os.path.join(self.tmpdir, 'cache'), harness.free_port()
        slowest, largest, answers, hits = 0, 0, 0, 0
        for round_ in range(KILLS):
            began = time.monotonic()
            p = harness.Process([harness.L7, 'proxy', '--listen', f'127.0.0.1:{port}', '--origin',
                                 f'http://127.0.0.1:{origin.port}', '--cache-dir', folder, '--cache-size', str(LIMIT),
                                 '--cache-memory', '2M', '--workers', '2', '--access-log', 'off'],
                                env=harness.environment())
            try:
                p.wait_for_line(harness.LISTENING.pattern)
                slowest = max(slowest, time.monotonic() - began)
                clients = [Client(port, round_ * 10 + i) for i in range(4)]
                for c in clients:
                    c.start()
                until = time.monotonic() + 0.4 + (round_ % 5) * 0.1
                while time.monotonic() < until:
                    largest = max(largest, self.disk_bytes(p, folder))
                    time.sleep(0.02)  # a load, not a wait: it runs between the stops
            finally:
                p.send_signal(signal.SIGKILL)
                p.wait()
            for c in clients:
                c.done = True
            for c in clients:
                c.join(20)
                self.assertEqual(c.bad, [])
                answers += c.answers
                hits += c.hits
        self.assertLess(slowest, 1.0)
        self.assertLessEqual(largest, LIMIT * 1.01)
        self.assertGreater(hits, 0)
        fetched = len(origin.seen)
        self.assertLess(fetched, answers)
        print(f'{KILLS} kills: {answers} answers, {hits} hits, {fetched} fetches, slowest start {slowest:.2f} s, '
              f'at most {largest} of {LIMIT} bytes on disk')


if __name__ == '__main__':
    harness.main()
