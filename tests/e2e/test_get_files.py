# SPDX-License-Identifier: MIT
"""test_get_files.py -- what l7 get writes where, and how it goes on with what is there."""
import hashlib
import os
import threading

import harness
from get_case import Get
from origin import Origin, answer


class Files(Get):
    def test_names(self):
        origin = self.says(answer('x', Content_Disposition='attachment; filename="../evil name.txt"'))
        self.ok('-O', '--output-dir', self.tmpdir, origin.url('/dir/a%20b.txt?q'))
        self.ok('-O', '-J', '--output-dir', self.tmpdir, origin.url('/dir/c'))
        self.ok('-o', os.path.join(self.tmpdir, 'deep/er/f'), '--create-dirs', origin.url())
        self.assertEqual(sorted(os.listdir(self.tmpdir)), ['a b.txt', 'deep', 'evil name.txt'])
        self.fails('no file name', '-O', origin.url('/dir/'), code=2)
        self.ok('-O', '--no-clobber', '--output-dir', self.tmpdir, origin.url('/a%20b.txt'))

    def test_several_urls_and_input(self):
        origin = Origin(self, lambda c, r: c.sendall(answer(r.target)) or True)
        at = self.file('urls', ''.join(origin.url(f'/{i}\n') for i in range(30)) + '# comment\n\n')
        for extra, connections in [([], 1), (['-Z', '--parallel-max', '5'], 5)]:
            out = os.path.join(self.tmpdir, f'out{len(extra)}')
            os.mkdir(out)
            before = origin.connections
            self.ok('-O', '--output-dir', out, '--input', at, *extra)
            self.assertEqual(sorted(os.listdir(out), key=int), [str(i) for i in range(30)])
            self.assertTrue(all(open(os.path.join(out, n)).read() == '/' + n for n in os.listdir(out)))
            self.assertLessEqual(origin.connections - before, connections)

    def test_outputs_in_order(self):
        origin = Origin(self, lambda c, r: c.sendall(answer(r.target)) or True)
        a, b = os.path.join(self.tmpdir, 'a'), os.path.join(self.tmpdir, 'b')
        self.ok('-o', a, '-o', b, origin.url('/1'), origin.url('/2'))
        self.assertEqual((open(a).read(), open(b).read()), ('/1', '/2'))

    def test_remote_time(self):
        origin = self.says(answer('x', Last_Modified='Wed, 09 Jun 2021 10:18:14 GMT'))
        at = os.path.join(self.tmpdir, 'f')
        self.ok('-R', '-o', at, origin.url())
        self.assertEqual(os.stat(at).st_mtime, 1623233894)

    def test_checksum(self):
        origin = self.says(answer('content'))
        at = os.path.join(self.tmpdir, 'f')
        for name in ['sha256', 'sha512', 'sha1', 'md5']:
            self.ok('-o', at, '--checksum', f'{name}:{hashlib.new(name, b"content").hexdigest()}', origin.url())
        os.unlink(at)
        self.fails('checksum is wrong', '-o', at, '--checksum', 'sha256:' + '0' * 64, origin.url())
        self.assertEqual(os.listdir(self.tmpdir), [])
        self.fails("algorithm 'crc'", '--checksum', 'crc:1', origin.url(), code=2)

    def test_a_full_or_missing_place(self):
        origin = self.says(answer('x'))
        self.fails('not found', '-o', os.path.join(self.tmpdir, 'no/such'), origin.url())
        self.fails('no space left', '-o', '/dev/full', origin.url())


class Resume(Get):
    """An interrupted download leaves no file under the final name, and is continued byte for byte."""

    def setUp(self):
        self.content = os.urandom(3 << 20)
        self.cut = 2 << 20
        self.etag = '"v1"'
        self.ranges = True
        self.at = os.path.join(self.tmpdir, 'file')
        self.origin = Origin(self, self.handle)

    def handle(self, conn, request):
        body, start = self.content, 0
        fields = {'ETag': self.etag} if self.etag else {}
        asked = request.headers.get('range') if self.ranges else None
        if asked and request.headers.get('if-range', self.etag) == self.etag:
            start = int(asked[6:].split('-')[0])
            if start >= len(body):
                conn.sendall(answer('', '416 Range Not Satisfiable', Content_Range=f'bytes */{len(body)}', **fields))
                return True
            fields['Content_Range'] = f'bytes {start}-{len(body) - 1}/{len(body)}'
        raw = answer(body[start:], '206 Partial Content' if start else '200 OK', **fields)
        if self.cut:
            conn.sendall(raw[:self.cut])
            self.cut = 0
            return False
        conn.sendall(raw)
        return True

    def interrupted(self):
        self.fails('bytes came', '-o', self.at, self.origin.url())
        self.assertFalse(os.path.exists(self.at))
        self.assertTrue(os.path.exists(self.at + '.part'))

    def whole(self):
        self.assertEqual(hashlib.sha256(open(self.at, 'rb').read()).digest(), hashlib.sha256(self.content).digest())
        self.assertEqual(os.listdir(self.tmpdir), ['file'])

    def test_continues(self):
        self.interrupted()
        self.ok('-C', '-', '-o', self.at, self.origin.url())
        self.whole()
        self.assertGreater(int(self.origin.requests[-1].headers['range'][6:-1]), 1 << 20)
        self.assertEqual(self.origin.requests[-1].headers['if-range'], '"v1"')

    def test_continues_after_a_kill(self):
        self.cut = 0
        stop = threading.Event()
        self.addCleanup(stop.set)

        def slow(conn, request):
            if 'range' in request.headers:
                return self.handle(conn, request)
            conn.sendall(answer(self.content, ETag=self.etag)[:self.content and 2 << 20])
            stop.wait(20)
        self.origin.handler = slow
        p = self.start(['get', '-o', self.at, self.origin.url()], wait=False)
        self.wait_until(lambda: os.path.exists(self.at + '.part.info') and os.path.getsize(self.at + '.part.info'))
        p.stop(9)
        stop.set()
        self.assertFalse(os.path.exists(self.at))
        self.ok('-C', '-', '-o', self.at, self.origin.url())
        self.whole()

    def test_refuses_when_the_validator_changed(self):
        self.interrupted()
        self.etag = '"v2"'
        self.fails('another version', '-C', '-', '-o', self.at, self.origin.url())
        self.assertFalse(os.path.exists(self.at))
        self.ok('-o', self.at, self.origin.url())
        self.whole()

    def test_a_server_that_ignores_if_range_is_caught(self):
        self.interrupted()

        def careless(conn, request):
            n = int(request.headers['range'][6:-1])
            conn.sendall(answer(self.content[n:], '206 Partial Content', ETag='"v2"',
                                Content_Range=f'bytes {n}-{len(self.content) - 1}/{len(self.content)}'))
        self.origin.handler = careless
        self.fails('another version', '-C', '-', '-o', self.at, self.origin.url())

    def test_starts_anew_without_ranges(self):
        self.interrupted()
        self.ranges = False
        self.ok('-C', '-', '-o', self.at, self.origin.url())
        self.whole()

    def test_wrong_part_of_the_file(self):
        self.interrupted()
        self.origin.handler = lambda c, r: c.sendall(answer('xxxx', '206 Partial Content', ETag='"v1"',
                                                            Content_Range='bytes 0-3/4'))
        self.fails('asked for bytes from', '-C', '-', '-o', self.at, self.origin.url())

    def test_everything_is_there_already(self):
        self.cut = 0
        self.ok('-o', self.at, self.origin.url())
        before = len(self.origin.requests)
        self.ok('-C', '-', '-o', self.at, self.origin.url())
        self.assertEqual(len(self.origin.requests), before)

    def test_retry_continues(self):
        want = 'sha256:' + hashlib.sha256(self.content).hexdigest()
        code, _, err = self.get('--retry', '2', '--retry-delay', '0.01', '--checksum', want, '-o', self.at, self.origin.url())
        self.assertEqual(code, 0, err)
        self.assertIn('trying again', err)
        self.whole()
        self.assertIn('range', self.origin.requests[-1].headers)

    def test_retry_for_a_passing_status_only(self):
        seen = []

        def handler(conn, request):
            seen.append(request.target)
            status = '503 Busy' if request.target == '/busy' and len(seen) < 3 else '404 No' if request.target == '/no' else '200 OK'
            conn.sendall(answer('x', status, Retry_After='0'))
            return True
        origin = Origin(self, handler)
        code, out, err = self.get('-f', '--retry', '5', '--retry-delay', '0.01', origin.url('/busy'))
        self.assertEqual((code, out, len(seen)), (0, 'x', 3), err)
        self.assertEqual(self.get('-f', '--retry', '5', '--retry-delay', '0.01', origin.url('/no'))[0], 1)
        self.assertEqual(len(seen), 4)

    def test_offset(self):
        self.cut = 0
        open(self.at, 'wb').write(self.content[:1000])
        self.ok('-C', '1000', '-o', self.at, self.origin.url())
        self.whole()

    def test_cancel_keeps_the_part_only(self):
        import signal
        self.cut = 0
        self.origin.handler = lambda c, r: c.sendall(answer(self.content, ETag=self.etag)[:100000]) or c.recv(1)
        p = self.start(['get', '-o', self.at, self.origin.url()], wait=False)
        self.wait_until(lambda: os.path.exists(self.at + '.part') and os.path.getsize(self.at + '.part') > 50000)
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(), 1)
        self.assertEqual(sorted(os.listdir(self.tmpdir)), ['file.part', 'file.part.info'])


if __name__ == '__main__':
    harness.main()
