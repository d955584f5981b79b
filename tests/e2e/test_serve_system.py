# SPDX-License-Identifier: MIT
"""l7 serve and what the system may do to it: full disks, rotated logs, closed descriptors, odd names, sizes and times."""
import html
import os
import re
import resource
import shutil
import signal
import socket
import time
from urllib.parse import urljoin

import harness
from serve_case import Answer, Serve, get


class Names(Serve):
    NAMES = (b'%41', b'a?b', b'a#b', b'a"b', b"a'b", b'a\nb', b'a\tb', b'a\x1bb', b'a\x7fb', b'<script>', b'a&amp;b', b'a\xffb', b'\xc3\xa4', b'a b', b' ',
             b'a\\b', b'a:b', b'javascript:alert(1)', b'+', b';', b'x' * 255, b'\xe2\x80\xaex.txt', b'a.', b'~', b'*')

    def test_a_listing_leads_to_every_name_and_shows_none_of_them_raw(self):
        folder = os.path.join(self.root, 'odd').encode()
        for name in self.NAMES:
            os.makedirs(os.path.join(folder, name))
            with open(os.path.join(folder, name, b'f'), 'wb') as f:
                f.write(name)
        page = self.ask('/odd/').body
        self.assertNotRegex(page.decode(), r'[\0-\x09\x0b-\x1f\x7f\u202e]|<script|&(?!amp;|lt;|gt;|quot;|#39;)')
        found = []
        for link in re.findall(r'href="(\./[^"]*)"', page.decode()):
            path = urljoin('http://h/odd/', html.unescape(link)).removeprefix('http://h')
            self.assertEqual(self.ask(path[:-1]).head['location'], path)
            found.append(self.ask(path + 'f').body)
        self.assertEqual(sorted(found), sorted(self.NAMES))

    def test_no_redirection_leads_to_another_host(self):
        os.makedirs(os.path.join(self.root, 'evil.example/dir'))
        for path in ('//evil.example', '///evil.example', '/%2Fevil.example', '/./evil.example', '/.//evil.example', '//evil.example/dir', '/x/..//evil.example',
                     'http://other//evil.example', '/%5Cevil.example', '/evil.example?x=//y', '//evil.example?//z', '/evil.example/../evil.example',
                     '/evil.example%2F', '/evil.example%0d%0aX:y', '/evil.example/dir/..'):
            a = self.ask(path)
            if a.status == 301:
                self.assertRegex(a.head['location'], r'\A/[^/\\]', path)
                self.assertEqual(urljoin('http://here/', a.head['location'])[:12], 'http://here/')
            else:
                self.assertIn(a.status, (200, 400, 404), path)

    def test_a_folder_of_very_many_names(self):
        many = os.path.join(self.root, 'many')
        os.mkdir(many)
        for i in range(10050):
            os.close(os.open(f'{many}/{i:05d}', os.O_CREAT | os.O_WRONLY))
        a = self.ask('/many/')
        names = re.findall(rb'href="\./(\d{5})"', a.body)
        self.assertEqual((a.status, len(set(names)), names), (200, 10000, sorted(names)))
        self.assertIn(b'Only the first 10000 names are shown.', a.body)


class Sizes(Serve):
    def test_ranges_of_a_tebibyte(self):
        size = 1 << 40
        path = self.file('site/tib')
        os.truncate(path, size)
        with open(path, 'r+b') as f:
            f.seek(1 << 39)
            f.write(b'middle')
        self.assertEqual(self.ask('/tib', method='HEAD').head['content-length'], str(size))
        for spec, first, last, body in ((f'{1 << 39}-{(1 << 39) + 5}', 1 << 39, (1 << 39) + 5, b'middle'), ('-3', size - 3, size - 1, bytes(3)),
                                        (f'{size - 2}-', size - 2, size - 1, bytes(2)), (f'{size - 1}-{1 << 70}', size - 1, size - 1, bytes(1))):
            a = self.ask('/tib', f'Range: bytes={spec}')
            self.assertEqual((a.status, a.head['content-range'], a.body), (206, f'bytes {first}-{last}/{size}', body))
        for spec in (f'{size}-', f'{1 << 64}-', f'{1 << 65}-{1 << 66}'):
            self.assertEqual(self.ask('/tib', f'Range: bytes={spec}').status, 416)
        c = self.conn()
        c.send(get('/tib', f'Range: bytes=0-{1 << 70}'))
        self.assertIn(f'bytes 0-{size - 1}/{size}'.encode(), c.recv_until(b'\r\n\r\n'))
        c.reset()  # nobody waits for all of it

    def test_time_stamps_far_from_now(self):
        """Some file systems hold any number of seconds; others cut what they are given to what they can hold."""
        for folder in {self.tmpdir, '/dev/shm' if os.path.isdir('/dev/shm') else self.tmpdir}:
            root = harness.tempfile.mkdtemp(dir=folder)
            self.addCleanup(shutil.rmtree, root)
            for i, t in enumerate((-1, -1e9, -62135596801, 0, 253402300800, 9.3e9, 1e12, 2 ** 55, 2 ** 58, -2 ** 55)):
                with open(f'{root}/{i}', 'w') as f:
                    f.write('x')
                os.utime(f.name, (t, t))
            s = self.serve(root=root)
            self.assertEqual(len(re.findall(rb'<td>1 B</td><td>(?:-?\d+-\d\d-\d\d \d\d:\d\d)?</td>', self.ask('/', server=s).body)), 10)
            for i in range(10):
                a = self.ask(f'/{i}', server=s)
                self.assertRegex(a.head['last-modified'], r'^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$')
                self.assertEqual(self.ask(f'/{i}', f'If-None-Match: {a.head["etag"]}', server=s).status, 304)
                if os.stat(f'{root}/{i}').st_mtime < time.time():
                    self.assertEqual(self.ask(f'/{i}', f'If-Modified-Since: {a.head["last-modified"]}', server=s).status, 304)

    def test_media_types(self):
        for name, kind in (('A.HTML', 'text/html'), ('b.PnG', 'image/png'), ('c.tar.gz', 'application/gzip'), ('Makefile', 'application/octet-stream'),
                           ('.png', None), ('d.unknown', 'application/octet-stream')):
            self.file('site/' + name, 'x')
            a = self.ask('/' + name)
            self.assertEqual((a.head.get('content-type') if a.status == 200 else None or '').split(';')[0] or None, kind, name)


    def test_who_never_reads_is_cut_off_whatever_the_size(self):
        """Sent from pages in memory, and from the file itself; both more than all queues hold."""
        s = self.serve('--body-timeout', '500ms', '--log-format', 'json')
        for name, size in (('copied', 15 << 20), ('watched', 200 << 20)):
            os.truncate(self.file('site/' + name), size)
            self.conn(s).send(get('/' + name))
            s.wait_for_line(rf'"target":"/{name}".*"complete":false,"error":"timed out"')

    def test_a_large_body_that_nobody_wants_is_not_waited_for(self):
        for length in ('Content-Length: 1000000', 'Expect: 100-continue\r\nContent-Length: 10'):
            c = self.conn()
            c.send(get('/a.txt', length))
            start = time.monotonic()
            a = Answer(c)
            self.assertEqual((a.body, a.head['connection']), (b'0123456789', 'close'))
            self.assertLess(time.monotonic() - start, 10)  # and not the 60 s that a body may pause


class Logs(Serve):
    def setUp(self):
        super().setUp()
        os.mkdir(os.path.join(self.tmpdir, 'logs'), 0o700)
        self.log = os.path.join(self.tmpdir, 'logs/log')

    def lines(self, path):
        with open(path) as f:
            return re.findall(r'"GET (\S+) ', f.read())

    def test_a_full_disk_is_told_once_and_nobody_is_held_up(self):
        s = self.serve('--access-log', '/dev/full')
        for _ in range(50):
            self.assertEqual(self.ask('/a.txt', server=s).status, 200)
        s.wait_for_line('log file /dev/full: lines are lost: No space left on device')
        for _ in range(50):
            self.assertEqual(self.ask('/a.txt', server=s).status, 200)
        self.assertEqual(s.stop(), 0)
        self.assertEqual(s.stderr().count('lines are lost'), 1)

    def rotate(self, *options):
        s = self.serve('--access-log', self.log, *options)
        self.ask('/a.txt?1', server=s)
        self.wait_until(lambda: self.lines(self.log), what='the line')
        os.rename(self.log, self.log + '.1')
        self.ask('/a.txt?2', server=s)
        self.wait_until(lambda: len(self.lines(self.log + '.1')) == 2, what='the second line, in the old file')
        s.send_signal(signal.SIGHUP)
        s.wait_for_line('reloaded')
        self.ask('/a.txt?3', server=s)
        self.assertEqual(s.stop(), 0)
        return s

    def test_rotation(self):
        self.rotate()
        self.assertEqual(self.lines(self.log + '.1'), ['/a.txt?1', '/a.txt?2'])
        self.assertEqual(self.lines(self.log), ['/a.txt?3'])

    def test_rotation_that_fails_is_told(self):
        if os.geteuid() == 0:
            s = self.rotate('--user', 'nobody')  # who may not make a file there
            self.assertIn(f'log file {self.log} stays as it was: Permission denied', s.stderr())
            self.assertEqual(self.lines(self.log + '.1'), ['/a.txt?1', '/a.txt?2', '/a.txt?3'])
        else:
            self.assertEqual(self.run_l7(['serve', '--access-log', '/log'])[0], 1)

    def test_what_cannot_be_a_log(self):
        code, _, err = self.run_l7(['serve', self.root, '--access-log', self.tmpdir])
        self.assertEqual((code, err), (1, f'l7 serve: log file {self.tmpdir}: this is a folder\n'))


class Descriptors(Serve):
    def test_closed_standard_descriptors_are_not_taken_by_others(self):
        for closed in ('0<&-', '2>&-', '0<&- 1>&- 2>&-'):
            port = harness.free_port()
            p = harness.Process(['sh', '-c', f'exec "$0" "$@" {closed}', harness.L7, 'serve', self.root, '--listen', f'127.0.0.1:{port}'])
            self.addCleanup(p.stop)

            def up():
                try:
                    return harness.dialogue(port, get('/a.txt', 'Connection: close'))
                except ConnectionRefusedError:
                    return None
            self.assertIn(b'0123456789', self.wait_until(up, what='the server'))
            for fd in range(3):
                to = os.readlink(f'/proc/{p.pid}/fd/{fd}')
                self.assertTrue(to == '/dev/null' if f'{fd}<' in closed or f'{fd}>' in closed else to.startswith('pipe:'), (closed, fd, to))
            self.assertEqual(p.stop(), 0)

    def test_the_limit_of_descriptors_is_raised(self):
        p = harness.Process(['sh', '-c', 'ulimit -S -n 64; exec "$0" "$@"', harness.L7, 'serve', self.root, '--listen', '127.0.0.1:0', '--workers', '1'])
        self.addCleanup(p.stop)
        self.assertTrue(p.port)
        soft, hard = resource.prlimit(p.pid, resource.RLIMIT_NOFILE)
        self.assertEqual(soft, hard)

    def test_output_that_nobody_can_take_is_an_error(self):
        for redirection in ('1>&-', '>/dev/full'):
            code, _, _ = harness.run(['-c', f'exec "$0" help {redirection}', harness.L7], program='sh')
            self.assertEqual(code, 1, redirection)

    def test_wrong_sockets_from_systemd(self):
        for kind, words in ((socket.SOCK_DGRAM, 'of the wrong kind: ListenStream= is wanted'), (socket.SOCK_STREAM, 'does not listen'), (None, 'no socket')):
            with open('/dev/null') if kind is None else socket.socket(socket.AF_INET, kind) as passed:
                if kind:
                    passed.bind(('127.0.0.1', 0))
                os.set_inheritable(passed.fileno(), True)
                script = f'exec 3<&{passed.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" serve "$1"'
                p = harness.Process(['sh', '-c', script, harness.L7, self.root], env=harness.environment(), pass_fds=[passed.fileno()])
                self.addCleanup(p.stop)
                self.assertEqual(p.wait(), 2)
                self.assertRegex(p.stderr(), rf'\Al7 serve: systemd passed descriptor 3, which .*{words}.*\n\Z')

    def test_a_local_socket_from_systemd(self):
        path = os.path.join(self.tmpdir, 'socket')
        with socket.socket(socket.AF_UNIX) as passed:
            passed.bind(path)
            passed.listen()
            os.set_inheritable(passed.fileno(), True)
            script = f'exec 3<&{passed.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" serve "$1"'
            p = harness.Process(['sh', '-c', script, harness.L7, self.root], env=harness.environment(), pass_fds=[passed.fileno()])
            self.addCleanup(p.stop)
            p.wait_for_line(f'listening on unix:{path}')
            code, out, err = harness.run(['-sS', '--unix-socket', path, 'http://h/a.txt'], program='curl')
            self.assertEqual((code, out), (0, '0123456789'), err)
            self.assertEqual(p.stop(), 0)
            self.assertTrue(os.path.exists(path))  # systemd's, not ours

    def refuses(self):
        try:
            socket.create_connection(('127.0.0.1', self.server.port), harness.PATIENCE).close()
        except ConnectionRefusedError:
            return True
        return False

    def test_a_reload_while_draining_does_nothing(self):
        self.file('site/huge', b'x' * (64 << 20))
        c = self.conn()
        c.send(get('/huge'))
        c.recv_until(b'\r\n\r\n')
        self.server.send_signal(signal.SIGTERM)
        self.wait_until(self.refuses, what='the drain begun')  # of signals that wait together, the lowest number is taken first
        self.server.send_signal(signal.SIGHUP)
        self.server.send_signal(signal.SIGUSR2)
        self.server.wait_for_line(r'^\d+ fibers')  # the signals before it have been taken
        self.assertEqual(len(c.recv_exactly(64 << 20)), 64 << 20)
        self.assertEqual(self.server.wait(), 0)
        self.assertNotIn('reload', self.server.stderr())


if __name__ == '__main__':
    harness.main()
