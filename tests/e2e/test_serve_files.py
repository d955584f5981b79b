# SPDX-License-Identifier: MIT
"""What l7 serve makes of files that change under its hands, and of a kernel without openat2."""
import email.utils
import errno
import os
import random
import socket
import sys
import threading
import time

import harness
import test_serve
from serve_case import Answer, Serve, get

KIB, MIB = 1 << 10, 1 << 20


def date_of(answer):
    return email.utils.parsedate_to_datetime(answer.head['date']).timestamp()


class Changes(Serve):
    def replace(self, name, content):
        os.rename(self.file('site/.new', content), os.path.join(self.root, name))

    def test_served_anew_within_a_second(self):
        for content in (b'new', b'longer than before', b'x' * 300000):
            self.ask('/a.txt')
            self.replace('a.txt', content)
            self.wait_until(lambda: self.ask('/a.txt').body == content, 1.0, 'the new content')
        with open(os.path.join(self.root, 'a.txt'), 'r+b') as f:
            f.write(b'y')
        self.wait_until(lambda: self.ask('/a.txt').body[:1] == b'y', 1.0, 'the change in place')
        os.unlink(os.path.join(self.root, 'a.txt'))
        self.wait_until(lambda: self.ask('/a.txt').status == 404, 1.0, '404')

    def read_by_server(self):
        with open(f'/proc/{self.server.pid}/io') as f:
            return int(f.read().split()[1])

    def test_read_once_for_all(self):
        """However many ask for it at once, and again after it was looked whether it is still the same."""
        self.server = self.serve('--workers', '1')
        content = os.urandom(10 * MIB)
        self.replace('once', content)
        before = self.read_by_server()
        for _ in range(3):
            conns = [self.conn() for _ in range(16)]
            for c in conns:
                c.send(get('/once', 'Connection: close'))
            for c in conns:
                self.assertEqual(c.recv_all().partition(b'\r\n\r\n')[2], content)
            time.sleep(0.6)  # longer than an answer is believed
        self.assertLess(self.read_by_server() - before, 11 * MIB)

    def test_more_than_there_is_room_for(self):
        """What does not fit in memory is sent from the disk, and copied when others have made room."""
        self.server = self.serve('--workers', '1')
        for i in range(5):
            self.replace(str(i), bytes([i]) * (15 * MIB))
        for _ in range(2):
            conns = [self.conn() for _ in range(5)]
            for i, c in enumerate(conns):
                c.send(get(f'/{i}', 'Connection: close'))
            for i, c in enumerate(conns):
                self.assertEqual(c.recv_all().partition(b'\r\n\r\n')[2], bytes([i]) * (15 * MIB))
            time.sleep(0.6)

    def large(self, byte):
        return byte * (30 << 20)

    def test_replaced_by_rename_while_sending_stays_the_old_one(self):
        self.replace('large', self.large(b'a'))
        c = self.conn()
        c.send(get('/large'))
        head = c.recv_until(b'\r\n\r\n')
        self.replace('large', self.large(b'b'))
        self.assertIn(b'200 OK', head)
        self.assertEqual(c.recv_exactly(30 << 20), self.large(b'a'))

    def test_rewritten_in_place_while_sending_breaks_off(self):
        self.replace('large', self.large(b'a'))
        c = self.conn()
        c.send(get('/large'))
        c.recv_until(b'\r\n\r\n')
        with open(os.path.join(self.root, 'large'), 'r+b') as f:
            f.write(b'b' * 1000)
        got = c.recv_all()
        self.assertLess(len(got), 30 << 20)

    def test_cut_short_while_sending_breaks_off(self):
        self.replace('large', self.large(b'a'))
        c = self.conn()
        c.send(get('/large'))
        c.recv_until(b'\r\n\r\n')
        os.truncate(os.path.join(self.root, 'large'), 1 << 20)
        self.assertLess(len(c.recv_all()), 30 << 20)
        self.assertEqual(self.ask('/a.txt').status, 200)


    def test_dated_when_it_is_sent(self):
        """The head is kept with the file, its date for a second: nobody gets an old one, also while the file is being
        sent to somebody, whose head then stays as it is."""
        self.server = self.serve('--workers', '1')
        content = os.urandom(30 * KIB)
        self.replace('dated', content)
        slow = self.conn()
        slow.send(get('/dated') * 400)  # more than the queues take: the server waits within one of them
        for _ in range(4):
            before = int(time.time())
            answer = self.ask('/dated')
            self.assertTrue(before <= date_of(answer) <= time.time(), answer.head['date'])
            self.assertEqual(answer.body, content)
            self.wait_until(lambda: int(time.time()) > before, 2.0, 'the next second')
        known = {k: v for k, v in answer.head.items() if k not in ('date', 'connection')}
        for _ in range(400):
            answer = Answer(slow)
            self.assertTrue(date_of(answer))
            self.assertEqual({k: v for k, v in answer.head.items() if k != 'date'}, known)
            self.assertEqual(answer.body, content)

    def test_written_to_without_a_pause_is_to_be_asked_for_later(self):
        stop = threading.Event()
        os.truncate(os.path.join(self.root, 'a.txt'), 256 * MIB)  # so large that a pause must last 0.4 s to be one

        def write():
            with open(os.path.join(self.root, 'a.txt'), 'r+b', buffering=0) as f:
                while not stop.is_set():
                    os.pwrite(f.fileno(), b'x', 0)
                    stop.wait(0.005)
        writer = threading.Thread(target=write)
        writer.start()
        try:
            a = self.ask('/a.txt')
            self.assertEqual((a.status, a.head.get('retry-after')), (503, '1'))
        finally:
            stop.set()
            writer.join()
        self.wait_until(lambda: self.ask('/a.txt', method='HEAD').status == 200, what='the file at rest')


class Rewriting(Serve):
    """A body that arrives whole is the file as it was at one moment, whenever and however slowly it is read."""
    COPIED = (64 * KIB, 256 * KIB, MIB, 10 * MIB)
    WATCHED = (24 * MIB, 80 * MIB)

    def rewrite(self, size):
        """The next version of the file of that size: all of it is one byte, another one each time."""
        path = os.path.join(self.root, str(size))
        version = self.versions[size] = self.versions.get(size, 0) % 250 + 1
        with open(path, 'r+b' if os.path.exists(path) else 'wb', buffering=0) as f:
            f.write(bytes([version]) * size)

    def setUp(self):
        super().setUp()
        self.versions = {}

    def read_while_rewritten(self, size, after, small_queue):
        """The body, of which `after` bytes were read before the file was rewritten."""
        c = self.conn()
        if small_queue:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * KIB)
        c.send(get(f'/{size}', 'Connection: close'))
        self.assertIn(b' 200 ', c.recv_until(b'\r\n\r\n'))
        got = c.recv_exactly(after)
        self.rewrite(size)
        return got + c.recv_all()

    def check(self, size, after, small_queue):
        """Whether it came whole. Then it is of one version."""
        with self.subTest(size=size, after=after, small_queue=small_queue):
            body = self.read_while_rewritten(size, after, small_queue)
            if len(body) == size:
                self.assertEqual(body.count(body[:1]), size, 'old and new in one body')
            return len(body) == size

    def test_copied_files_stay_what_they_were(self):
        for size in self.COPIED:
            self.rewrite(size)
            for after in (0, 1000, size // 2, size - 1):
                self.assertTrue(self.check(size, after, True))
                self.assertTrue(self.check(size, after, False))

    def test_watched_files_are_broken_off(self):
        for size in self.WATCHED:
            self.rewrite(size)
            self.assertFalse(self.check(size, 1000, True))
            self.assertFalse(self.check(size, size // 2, True))
            self.check(size, 1000, False)
            self.check(size, size - 1, False)

    def test_while_somebody_writes_all_the_time(self):
        for size in (*self.COPIED, self.WATCHED[0]):
            with self.subTest(size=size):
                self.rewrite(size)
                done = threading.Event()
                writer = threading.Thread(target=self.write_on, args=(size, done))
                writer.start()
                try:
                    whole = self.read_on(size, time.monotonic() + 1.5)
                finally:
                    done.set()
                    writer.join()
                if size in self.COPIED:
                    self.assertGreater(whole, 0)

    def write_on(self, size, done):
        dice = random.Random(size)
        while not done.wait(dice.random() * 0.25):
            self.rewrite(size)

    def read_on(self, size, until):
        """How many came whole until then."""
        whole = 0
        while time.monotonic() < until:
            with harness.Conn(self.server.port) as c:
                c.send(get(f'/{size}', 'Connection: close'))
                head, _, body = c.recv_all().partition(b'\r\n\r\n')
            if head.startswith(b'HTTP/1.1 200') and len(body) == size:
                self.assertEqual(body.count(body[:1]), size, 'old and new in one body')
                whole += 1
        return whole


# Run the arguments as a program for which the kernel has no openat2: the call fails with the errno in argv[1].
REFUSE = r'''
import ctypes, os, struct, sys
filter = b''.join(struct.pack('HBBI', *i) for i in (
    (0x20, 0, 0, 0),                             # load the number of the call
    (0x15, 0, 1, 437),                           # openat2 has one number on all machines
    (0x06, 0, 0, 0x00050000 | int(sys.argv[1])), # fail with that errno
    (0x06, 0, 0, 0x7fff0000)))                   # allow
code = ctypes.create_string_buffer(filter)
program = ctypes.create_string_buffer(struct.pack('HxxxxxxP', 4, ctypes.addressof(code)))
prctl = ctypes.CDLL(None, use_errno=True).prctl
assert prctl(38, 1, 0, 0, 0) == 0 and prctl(22, 2, program, 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[2], sys.argv[2:])
'''


class WithoutOpenat2(test_serve.Files):
    """As some containers have it: refused with EPERM. Everything must be answered as with it."""
    errno = errno.EPERM

    def serve(self, *args, root=None):
        return self.start(['-c', REFUSE, self.errno, harness.L7, 'serve', root or self.root, '--listen', '127.0.0.1:0', *args],
                          program=sys.executable)

    def test_links(self):
        """As many kinds of links as there are, with and without the call."""
        os.makedirs(os.path.join(self.root, 'x/y'))
        self.file('site/x/y/deep', 'deep')
        links = {'up': 'x/y/../../a.txt', 'x/y/back': '../../a.txt', 'folder': 'x/y', 'x/dots': './y/./deep', 'loop': 'loop',
                 'out': '..', 'out2': 'x/../../outside.txt', 'x/y/out3': '../../../outside.txt', 'gone': 'nothing',
                 'two': 'folder/back', 'root': '/', 'dot': './../site/a.txt', 'slash': 'x//y///deep', 'file': 'a.txt/',
                 'null': '/dev/null'}
        for name, to in links.items():
            os.symlink(to, os.path.join(self.root, name))
        usual = Serve.serve(self)
        paths = [*links, 'folder/', 'folder/deep', 'folder/back', 'out/outside.txt', 'loop/a.txt', 'root/etc/passwd', 'up/',
                 'a.txt/x', 'x' * 300, 'x/' * 30 + 'a', 'x/y/../dots', 'dir']
        for path in paths:
            with self.subTest(path):
                a, b = self.ask('/' + path), self.ask('/' + path, server=usual)
                self.assertEqual((a.status, a.body), (b.status, b.body))
                self.assertNotIn(b'secret', a.body)
        self.assertEqual([self.ask('/' + p).body for p in ('up', 'x/y/back', 'two')], [b'0123456789'] * 3)
        self.assertEqual([self.ask('/' + p).body for p in ('x/dots', 'folder/deep', 'slash')], [b'deep'] * 3)


class AbsentOpenat2(WithoutOpenat2):
    """As old kernels and valgrind have it: it does not exist."""
    errno = errno.ENOSYS


if __name__ == '__main__':
    harness.main()
