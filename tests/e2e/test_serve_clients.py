# SPDX-License-Identifier: MIT
"""l7 serve and many clients: slow, silent, vanishing ones, limits, curl, wrk, Chromium."""
import concurrent.futures
import os
import re
import select
import signal
import statistics
import subprocess
import threading
import time

import browser
import harness
import peers
from serve_case import Answer, Serve, get


class Clients(Serve):
    def answered_at_once(self):
        """Most of them: it is the machine that keeps one waiting, the others would keep all."""
        def took():
            start = time.monotonic()
            self.assertEqual(self.ask('/a.txt').status, 200)
            return time.monotonic() - start
        self.assertLess(statistics.median(took() for _ in range(11)), 0.1)

    def test_one_byte_a_time_one_that_never_reads_and_ten_thousand_silent_ones(self):
        slow, deaf = self.conn(), self.conn()
        deaf.send(get('/big.bin') * 50)
        slow.send(b'GET /')
        silent = []
        for i in range(harness.many_descriptors(10000)):
            silent.append(self.conn())
            if i % 10 == 0:
                silent[-1].send(b'G')  # these have begun, and go no further
            if i % 500 == 0:
                slow.send(b'x')
                self.answered_at_once()
        for _ in range(20):
            slow.send(b'x')
            self.answered_at_once()
        silent[0].send(get('/a.txt')[1:])  # one of them was only slow
        silent[-1].send(get('/a.txt'))
        for c in silent[0], silent[-1]:
            self.assertEqual(Answer(c).body, b'0123456789')

    def test_ten_thousand_idle_connections(self):
        """Run by a child, whose descriptors are its own."""
        code = f'''
import resource, socket, statistics, time, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
def ask(c):
    c.sendall(b"GET /a.txt HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n")
    got = b""
    while not got.endswith(b"0123456789"):
        piece = c.recv(4096)
        assert piece, got
        got += piece
conns = [socket.create_connection(("127.0.0.1", {self.server.port})) for _ in range(min(10000, hard - 100))]
for c in conns:
    ask(c)
def took():
    start = time.monotonic()
    ask(socket.create_connection(("127.0.0.1", {self.server.port})))
    return time.monotonic() - start
assert statistics.median(took() for _ in range(11)) < 0.1  # it is the machine that keeps one waiting
for c in conns[::100]:
    ask(c)
print(len(conns))
'''
        p = subprocess.run(['python3', '-c', code], capture_output=True, text=True, timeout=100)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertGreater(int(p.stdout), 900)

    def test_out_of_descriptors(self):
        p = harness.Process(['sh', '-c', f'ulimit -n 60; exec {harness.L7} serve {self.root} --listen 127.0.0.1:0 --workers 1'])
        self.addCleanup(self._end, p)
        conns = []
        for _ in range(200):
            c = harness.Conn(p.port)
            self.addCleanup(c.close)
            c.send(get('/a.txt'))
            self.assertEqual(Answer(c).body, b'0123456789')  # the longest idle ones make room
            conns.append(c)
        for c in conns:
            c.close()
        self.assertEqual(self.ask('/a.txt', server=p).status, 200)

    def test_limits_of_connections(self):
        s = self.serve('--max-connections-per-client', '2')
        held = [self.conn(s) for _ in range(2)]
        for c in held:
            c.send(get('/a.txt'))
            self.assertEqual(Answer(c).status, 200)
        c = self.conn(s)
        c.send(get('/a.txt'))
        self.assertEqual(Answer(c).status, 503)

    def test_the_limit_of_connections_is_one_for_all_workers(self):
        s = self.serve('--max-connections', '6', '--workers', '3')
        held = [self.conn(s) for _ in range(30)]
        for c in held:
            c.send(b'GET /a.txt HTTP/1.1\r\nCookie: ' + b'c' * 3000 + b'\r\n')  # begun, so that none is idle and makes room
        def refused():
            return select.select([c.sock for c in held], [], [], 0)[0]
        self.wait_until(lambda: len(refused()) == 24, what='24 of 30 turned away')
        for c in held:
            status = 503
            if c.sock not in refused():
                c.send(b'Host: h\r\n\r\n')
                status = 200
            self.assertEqual(Answer(c).status, status)
            if status == 503:
                self.assertEqual(c.sock.recv(10), b'')  # the end, and no reset that could destroy the answer

    def test_serial_serves_one_at_a_time(self):
        s = self.serve('--serial')
        first = self.conn(s)
        first.send(b'GET /a.txt HT')
        second = self.conn(s)
        second.send(b'GET /a.txt HTTP/1.1\nHost: h\n\n')
        second.sock.settimeout(0.5)
        with self.assertRaises(TimeoutError):
            second.sock.recv(1)
        second.sock.settimeout(harness.PATIENCE)
        first.send(b'TP/1.1\r\nHost: h\r\n\r\n')
        self.assertEqual(Answer(first).head['connection'], 'close')
        self.assertEqual(Answer(second).body, b'0123456789')

    def test_curl(self):
        url = self.server.url
        out = os.path.join(self.tmpdir, 'out')
        rc, text, _ = harness.run(['-sS', '--compressed', url + '/a.txt', url + '/dir/', '-w', '%{http_code}/%{num_connects}\n'],
                                  program='curl')
        self.assertEqual(rc, 0)
        self.assertIn('01234567892', text.replace('\n', ''))
        self.assertIn('200/0', text)  # the second used the first one's connection
        rc, _, err = harness.run(['-sS', '-o', out, '-r', '100-199', url + '/big.bin'], program='curl')
        self.assertEqual((rc, os.path.getsize(out)), (0, 100), err)
        rc, _, err = harness.run(['-sS', '-o', out, '-C', '-', url + '/big.bin'], program='curl')
        self.assertEqual((rc, os.path.getsize(out)), (0, 1 << 20), err)
        body = self.file('body', 'x' * 2000000)
        rc, text, _ = harness.run(['-sS', '-d', '@' + body, '-o', '/dev/null', '-w', '%{http_code}', url + '/a.txt'], program='curl')
        self.assertEqual((rc, text), (0, '405'))

    def test_wrk(self):
        p = subprocess.run([peers.path('wrk'), '-t1', '-c50', '-d1s', self.server.url + '/a.txt'], env=peers.env('wrk'),
                           capture_output=True, text=True)
        self.assertNotRegex(p.stdout, r'Non-2xx|Socket errors')
        self.assertGreater(int(re.search(r'(\d+) requests in', p.stdout).group(1)), 100)


class Chromium(Serve):
    PNG = bytes.fromhex('89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63f8cfc0f01f0005000'
                        '1ff89993d1d0000000049454e44ae426082')

    def test_page_with_image_404_page_and_reload_with_304(self):
        self.file('site/p.png', self.PNG)
        self.file('site/page.html', '<!DOCTYPE html><title>page</title><img src="p.png"><link rel="stylesheet" href="s.css">')
        self.file('site/s.css', 'img{width:7px}')
        with browser.Browser(self) as b:
            page = b.open(self.server.url + '/page.html')
            self.assertEqual(page.evaluate('document.title'), 'page')
            self.assertEqual(page.evaluate('document.images[0].naturalWidth'), 1)
            self.assertEqual(page.evaluate('document.images[0].width'), 7)
            page.reload()
            self.assertIn((self.server.url + '/page.html', 304), page.responses)
            lost = b.open(self.server.url + '/nowhere')
            self.assertEqual(lost.evaluate('document.querySelector("h1").textContent'), '404 Not Found')
            listing = b.open(self.server.url + '/dir/')
            self.assertIn('b & c.txt', listing.evaluate('document.body.innerText'))


class Soak(Serve):
    """Requests while files are replaced, the server is reloaded and clients vanish. L7_SOAK is the number of requests."""

    def test_no_wrong_byte_and_nothing_leaked(self):
        total, workers = int(os.environ.get('L7_SOAK', '2000')), 16 if 'L7_SOAK' not in os.environ else 64
        stop, bad = threading.Event(), []

        def content(i):
            return (b'%08d' % i) * (16 + i % 3 * 20000)

        def write(name, i):
            new = self.file(f'site/.new-{name}', content(i))
            os.rename(new, os.path.join(self.root, name))

        def disturb():
            i = 0
            while not stop.is_set():
                i += 1
                write(f'f{i % 5}', i)
                if i % 20 == 0:
                    self.server.send_signal(signal.SIGHUP)
                stop.wait(0.02)

        def client(seed):
            c = None
            for i in range(total // workers):
                try:
                    if c is None:
                        c = harness.Conn(self.server.port)
                    if (i + seed) % 17 == 0:
                        c.send(get(f'/f{i % 5}'))
                        c.reset()
                        c = None
                        continue
                    c.send(get(f'/f{i % 5}'))
                    a = Answer(c)
                    number = int(a.body[:8])
                    if a.status != 200 or a.body != content(number):
                        bad.append((a.status, a.body[:20]))
                except Exception as e:  # a lost response on a live connection is a failure, whatever it shows as
                    bad.append(repr(e))
                    if c:
                        c.close()
                    c = None
            if c:
                c.close()

        for i in range(5):
            write(f'f{i}', i)
        self.ask('/f0')
        threading.Thread(target=disturb, daemon=True).start()
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            list(pool.map(client, range(workers)))
        stop.set()
        self.assertEqual(bad[:5], [])
        for i in range(5):
            os.unlink(os.path.join(self.root, f'f{i}'))
        self.server.send_signal(signal.SIGHUP)  # which empties the caches
        fresh = self.serve()
        # A worker that has sent a large file keeps a pipe for that, and /dev/null.
        self.wait_until(lambda: self.fds(lane=False) <= self.fds(fresh, lane=False) + 1, what='as few descriptors as in a new server')
        self.assertLessEqual(self.fds(lane=True), self.fds(fresh, lane=True) + 3 * os.cpu_count())

    def fds(self, server=None, *, lane):
        """How many descriptors are pipes or /dev/null (or, without `lane`, are not)."""
        folder, count = f'/proc/{(server or self.server).pid}/fd', 0
        for fd in os.listdir(folder):
            try:
                to = os.readlink(f'{folder}/{fd}')
            except FileNotFoundError:
                continue  # closed just now
            count += lane == (to.startswith('pipe:') or to == '/dev/null')
        return count


if __name__ == '__main__':
    harness.main()
