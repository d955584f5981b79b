#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Well and badly made responses: what l7 get makes of each, and curl beside it. Where the two differ, the row says why."""
import gzip
import os
import subprocess
import zlib

import harness
import peers
from get_case import Get
from origin import Origin

OK = b'HTTP/1.1 200 OK\r\n'
CHUNKED = OK + b'Transfer-Encoding: chunked\r\n\r\n'
TEXT = b'some text, ' * 1000


def coded(coding, data):
    return OK + b'Content-Encoding: ' + coding + b'\r\nContent-Length: %d\r\n\r\n' % len(data) + data


# name, response, the body (None: an error), does curl agree? (True, or the reason why not)
ROWS = [
    ('no length', OK + b'\r\nhello', b'hello', True),
    ('no fields at all', b'HTTP/1.1 200 OK\r\n\r\nhello', b'hello', True),
    ('HTTP/1.0', b'HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello', b'hello', True),
    ('HTTP/1.0 without length', b'HTTP/1.0 200 OK\r\n\r\nhello', b'hello', True),
    ('bare LF', b'HTTP/1.1 200 OK\nContent-Length: 5\nX: y\n\nhello', b'hello', True),
    ('bare LF without length', b'HTTP/1.1 200 OK\nContent-Type: text/html\n\nhello', b'hello', True),
    ('CRLF and LF mixed', b'HTTP/1.1 200 OK\r\nX: y\nContent-Length: 5\r\n\nhello', b'hello', True),
    ('no reason', b'HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello', b'hello', True),
    ('an empty reason', b'HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello', b'hello', True),
    ('a reason beyond ASCII', b'HTTP/1.1 200 \xc3\xa4\xff\r\nContent-Length: 5\r\n\r\nhello', b'hello', True),
    ('a status line that is none', b'HTTP/1.1 OK\r\n\r\nhello', None, True),
    ('status 99', b'HTTP/1.1 099 Low\r\nContent-Length: 5\r\n\r\nhello', None, True),
    ('HTTP/0.9', b'<html>hello', None, True),
    ('nothing', b'', None, True),
    ('a head cut short', OK + b'Content-Len', None, 'curl 7.88 takes the end for the end of the head'),
    ('a folded field', OK + b'X: a\r\n b\r\nContent-Length: 5\r\n\r\nhello', b'hello', True),
    ('folded 64 times', OK + b'X: a\r\n' + b' b\r\n' * 64 + b'Content-Length: 5\r\n\r\nhello', b'hello', True),
    ('folded 65 times', OK + b'X: a\r\n' + b' b\r\n' * 65 + b'Content-Length: 5\r\n\r\nhello', None,
     'curl has no limit; here each fold is a copy of what came before'),
    ('a folded length', OK + b'Content-Length:\r\n 5\r\n\r\nhello', b'hello', 'curl wants one line; RFC 9112 section 5.2 joins them'),
    ('a space before the colon', OK + b'X : a\r\nContent-Length: 5\r\n\r\nhello', b'hello', True),
    ('a line without a colon', OK + b'nonsense\r\nContent-Length: 5\r\n\r\nhello', b'hello',
     'curl refuses it; the servers of exercises write such lines'),
    ('an empty name', OK + b': x\r\nContent-Length: 5\r\n\r\nhello', b'hello', True),
    ('NUL in a field', OK + b'X: a\0b\r\nContent-Length: 5\r\n\r\nhello', None, True),
    ('upper and lower case', b'HTTP/1.1 200 OK\r\ncOnTeNt-LeNgTh: 5\r\n\r\nhello', b'hello', True),
    ('no space behind the colon', OK + b'Content-Length:5\r\n\r\nhello', b'hello', True),
    ('many fields', OK + b''.join(b'X-%d: y\r\n' % i for i in range(200)) + b'Content-Length: 5\r\n\r\nhello', b'hello', True),
    ('a field of 64 KiB', OK + b'X: ' + b'y' * 65536 + b'\r\nContent-Length: 5\r\n\r\nhello', b'hello', True),
    ('a head of 2 MiB', OK + (b'X: ' + b'y' * 4000 + b'\r\n') * 520 + b'Content-Length: 5\r\n\r\nhello', None, True),
    ('more than the length', OK + b'Content-Length: 5\r\n\r\nhello, and more', b'hello', True),
    ('less than the length', OK + b'Content-Length: 50\r\n\r\nhello', None, True),
    ('the same length twice', OK + b'Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello', b'hello', True),
    ('a list of one length', OK + b'Content-Length: 5, 5\r\n\r\nhello', b'hello', True),
    ('two lengths', OK + b'Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello', None, True),
    ('a length that is none', OK + b'Content-Length: five\r\n\r\nhello', None, True),
    ('a negative length', OK + b'Content-Length: -5\r\n\r\nhello', None, True),
    ('a length with a plus', OK + b'Content-Length: +5\r\n\r\nhello', None, 'curl ignores it'),
    ('a length beyond all', OK + b'Content-Length: 99999999999999999999\r\n\r\nhello', None, 'curl ignores it'),
    ('204 with a body', b'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello', b'', True),
    ('304 with a length', b'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n', b'', True),
    ('interim answers', b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n' + OK + b'Content-Length: 5\r\n\r\nhello',
     b'hello', True),
    ('interim answers and nothing', b'HTTP/1.1 100 Continue\r\n\r\n', None, True),
    ('chunks', CHUNKED + b'2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n', b'hello', True),
    ('chunks with extensions and trailers', CHUNKED + b'5;a=b;c="d"\r\nhello\r\n0;e\r\nX-T: 1\r\nX-U: 2\r\n\r\n', b'hello', True),
    ('chunk sizes in both cases and with zeros', CHUNKED + b'00A\r\nhellohello\r\n0a\r\nhellohello\r\n000\r\n\r\n', b'hello' * 4, True),
    ('chunked beside HTTP/1.0', b'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n', None,
     'curl takes it for chunked; RFC 9112 section 6.1 calls such framing faulty'),
    ('no last chunk', CHUNKED + b'5\r\nhello\r\n', None, True),
    ('a chunk cut short', CHUNKED + b'50\r\nhello', None, True),
    ('a chunk size that is none', CHUNKED + b'x\r\nhello\r\n0\r\n\r\n', None, True),
    ('a chunk size beyond all', CHUNKED + b'fffffffffffffffff\r\nhello\r\n0\r\n\r\n', None, True),
    ('chunk lines with LF only', CHUNKED + b'5\nhello\n0\n\n', None, 'curl lets it pass, RFC 9112 section 7.1 does not'),
    ('no end of the trailers', CHUNKED + b'5\r\nhello\r\n0\r\n', None, True),
    ('chunked and a length', OK + b'Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n', None,
     'curl drops the length; it smells of smuggling (RFC 9112 section 6.3)'),
    ('an unknown transfer coding', OK + b'Transfer-Encoding: rot13\r\n\r\nhello', b'hello',
     'curl refuses it; there is nothing to undo, and the body ends with the connection (section 6.3)'),
    ('gzip', coded(b'gzip', gzip.compress(TEXT)), TEXT, True),
    ('x-gzip', coded(b'x-gzip', gzip.compress(TEXT)), TEXT, True),
    ('deflate', coded(b'deflate', zlib.compress(TEXT)), TEXT, True),
    ('two codings', coded(b'deflate, gzip', gzip.compress(zlib.compress(TEXT))), TEXT, True),
    ('identity', coded(b'identity', TEXT), TEXT, True),
    ('two gzip members', coded(b'gzip', gzip.compress(TEXT) + gzip.compress(TEXT)), TEXT * 2, 'curl refuses what follows the first'),
    ('gzip cut short', coded(b'gzip', gzip.compress(os.urandom(5000))[:-900]), None, 'curl 7.88 does not miss the rest'),
    ('gzip without its check sum', coded(b'gzip', gzip.compress(TEXT)[:-8]), None, 'curl 7.88 does not miss it'),
    ('gzip damaged', coded(b'gzip', gzip.compress(TEXT)[:20] + b'\xff\xff\xff\xff' + gzip.compress(TEXT)[24:]), None, True),
    ('no gzip at all', coded(b'gzip', b'hello'), None, True),
    ('an unknown coding', coded(b'rot13', b'uryyb'), None, True),
]


class Heads(Get):
    def test_responses(self):
        at, theirs = os.path.join(self.tmpdir, 'l7'), os.path.join(self.tmpdir, 'curl')
        for name, response, body, agrees in ROWS:
            with self.subTest(name):
                origin = self.says(response)
                args = ['-s', '-S', '--compressed', '--max-time', '10', '-o']
                code, out, err = self.get(*args, at, origin.url(), timeout=15)
                got = self.take(at)
                self.assertEqual((code == 0, out), (body is not None, ''), err)
                if body is not None:
                    self.assertEqual((got, err), (body, ''))
                else:
                    self.assertIsNone(got, 'no file is left under the final name')
                    self.assertRegex(err, r'\Al7 get: http://127.0.0.1:\d+/: .{8,}\n\Z')
                curl = subprocess.run([peers.path('curl'), *args, theirs, origin.url()], capture_output=True, timeout=15)
                same = (curl.returncode == 0) == (body is not None) and (body is None or (self.take(theirs) or b'') == body)
                self.take(theirs)
                self.assertEqual(same, agrees is True, (curl, agrees))

    def take(self, path):
        if not os.path.exists(path):
            return None
        with open(path, 'rb') as f:
            data = f.read()
        os.unlink(path)
        return data


class Redirects(Get):
    """What is asked next: l7 get and curl say the same to the same server."""

    LOCATIONS = ['/to', 'to', './to', '../to', '../../../to', '?only', '//127.0.0.1:{port}/to', 'http://127.0.0.1:{port}/to', 'HTTP://127.0.0.1:{port}/to',
                 '/to#part', 'to?q#part', '/with space/and more', '/caf\xe9', '/%41%zz?5%', '/a/../b/./c', '/a//b', ' /to ', '/to?a=b c',
                 'http://127.0.0.1:{port}', 'http://127.0.0.1:{port}?q']

    # A stray % is made an escape, without which this is no URI; a space is %20 everywhere, as in browsers.
    DIFFERENT = {'/%41%zz?5%': '/%41%25zz?5%25', '/to?a=b c': '/to?a=b%20c'}

    def asked(self, location, status, argv, program=harness.L7):
        seen = []

        def handler(conn, request):
            seen.append((request.method, request.target, request.body))
            where = location.format(port=conn.getsockname()[1]).encode('latin-1')
            conn.sendall(b'HTTP/1.1 %d X\r\nLocation: ' % status + where + b'\r\nContent-Length: 0\r\n\r\n' if len(seen) == 1
                         else b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
            return True
        origin = Origin(self, handler)
        code, _, err = harness.run([*argv, '-s', '-S', '-L', origin.url('/x/from?old')], program=program)
        self.assertEqual(code, 0, err)
        return seen

    def test_locations(self):
        for location in self.LOCATIONS:
            with self.subTest(location):
                ours = self.asked(location, 302, ['get'])
                theirs = self.asked(location, 302, [], peers.path('curl'))
                self.assertEqual(ours[1][1].lower(), self.DIFFERENT.get(location, theirs[1][1]).lower())
                self.assertEqual((len(ours), len(theirs)), (2, 2))

    def test_methods(self):
        at = self.file('up', 'upload')
        for status in (301, 302, 303, 307, 308):
            for args in ([], ['-d', 'a=1'], ['-I'], ['-X', 'PUT', '-d', 'a=1'], ['-T', at], ['-X', 'DELETE']):
                with self.subTest(status=status, args=args):
                    ours = self.asked('/to', status, ['get', *args])
                    theirs = self.asked('/to', status, args, peers.path('curl'))
                    if args[:2] == ['-X', 'PUT'] and status < 307:  # curl keeps the method and drops the body: an empty PUT
                        self.assertEqual((theirs[1], ours[1]), (('PUT', '/to', b''), ('PUT', '/to', b'a=1')))
                    else:
                        self.assertEqual(ours, theirs)


if __name__ == '__main__':
    harness.main()
