# SPDX-License-Identifier: MIT
"""l7 serve on a raw socket: preconditions and ranges (RFC 9110 sections 13 and 14)."""
import re

import harness
import raw
from raw import get, head, req, row

THEN, BEFORE, AFTER = 'Wed, 01 Jan 2020 00:00:00 GMT', 'Tue, 31 Dec 2019 23:59:59 GMT', 'Wed, 01 Jan 2020 00:00:01 GMT'
KEPT = {'etag': '"[!#-~]+"'}


def whole(section, name, *fields, **kw):
    return row(section, name, get(*fields, **kw), 200, close=False, body=b'0123456789', lacks=('content-range',))


def fresh(section, name, *fields):
    return row(section, name, get(*fields), 304, close=False, has=KEPT, lacks=('last-modified',))


def failed(section, name, *fields):
    return row(section, name, get(*fields), 412, close=False, lacks=('content-range',))


def part(section, name, value, first, last, *fields, **kw):
    return row(section, name, get(f'Range: {value}', *fields, **kw), 206, close=False, body=b'0123456789'[first:last + 1],
               has={'content-range': f'bytes {first}-{last}/10', 'content-length': str(last - first + 1)})


def outside(section, name, value, target='/a.txt', size=10):
    return row(section, name, get(f'Range: {value}', target=target), 416, close=False, has={'content-range': rf'bytes \*/{size}'})


class Preconditions(raw.Table):
    ROWS = [
        fresh('9110-13.1.2', 'If-None-Match with the tag', 'If-None-Match: ETAG'),
        fresh('9110-13.1.2', 'If-None-Match compares weakly', 'If-None-Match: W/ETAG'),
        fresh('9110-13.1.2', 'If-None-Match: *', 'If-None-Match: *'),
        fresh('9110-13.1.2', 'the tag last in a list', 'If-None-Match: "x", W/"y", ETAG'),
        fresh('9110-13.1.2', 'the tag first in a list', 'If-None-Match: ETAG, "x"'),
        fresh('9110-13.1.2', 'a list without spaces', 'If-None-Match: "x",ETAG,"y"'),
        fresh('9110-5.6.1', 'empty elements among the tags', 'If-None-Match: , ,"x",, ETAG ,'),
        fresh('9110-5.3', 'the tag in a second line', 'If-None-Match: "x"', 'If-None-Match: ETAG'),
        fresh('9110-8.8.3', 'a comma in another tag', 'If-None-Match: "a,b", ETAG'),
        fresh('9110-8.8.3', 'a backslash in another tag', 'If-None-Match: "a\\", ETAG'),
        fresh('9110-8.8.3', 'an empty tag beside it', 'If-None-Match: "", ETAG'),
        fresh('9110-8.8.3', '8 bits in another tag', 'If-None-Match: "\xe9", ETAG'),
        whole('9110-13.1.2', 'If-None-Match with another tag', 'If-None-Match: "x"'),
        whole('9110-13.1.2', 'If-None-Match with several others', 'If-None-Match: "x", "y", W/"z"'),
        whole('9110-8.8.3', 'W in lower case is no weak tag', 'If-None-Match: w/ETAG'),
        whole('9110-8.8.3', 'a tag without quotes', 'If-None-Match: x'),
        whole('9110-8.8.3', 'a tag whose quotes do not end', 'If-None-Match: "x'),
        whole('9110-13.1.2', 'an empty If-None-Match', 'If-None-Match:'),
        whole('9110-13.1.2', 'a tag with more in front', 'If-None-Match: "xETAG'),
        failed('9110-13.1.1', 'If-Match with another tag', 'If-Match: "x"'),
        failed('9110-13.1.1', 'If-Match with several others', 'If-Match: "x", "y"'),
        failed('9110-13.1.1', 'If-Match compares strongly', 'If-Match: W/ETAG'),
        failed('9110-13.1.1', 'If-Match with no tag at all', 'If-Match: x'),
        whole('9110-13.1.1', 'If-Match with the tag', 'If-Match: ETAG'),
        whole('9110-13.1.1', 'If-Match: *', 'If-Match: *'),
        whole('9110-13.1.1', 'If-Match with the tag in a list', 'If-Match: "x", ETAG'),
        whole('9110-13.1.1', 'If-Match with the tag in a second line', 'If-Match: "x"', 'If-Match: ETAG'),
        whole('9110-13.1.1', 'If-Match with the weak and the strong tag', 'If-Match: W/ETAG, ETAG'),
        fresh('9110-13.1.3', 'If-Modified-Since then', f'If-Modified-Since: {THEN}'),
        fresh('9110-13.1.3', 'If-Modified-Since after it', f'If-Modified-Since: {AFTER}'),
        fresh('9110-13.1.3', 'If-Modified-Since in the future', 'If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT'),
        fresh('9110-5.6.7', 'If-Modified-Since in the form of RFC 850', 'If-Modified-Since: Wednesday, 01-Jan-20 00:00:00 GMT'),
        fresh('9110-5.6.7', 'If-Modified-Since in the form of asctime', 'If-Modified-Since: Wed Jan  1 00:00:00 2020'),
        whole('9110-13.1.3', 'If-Modified-Since before it', f'If-Modified-Since: {BEFORE}'),
        whole('9110-5.6.7', 'If-Modified-Since before it, RFC 850', 'If-Modified-Since: Tuesday, 31-Dec-19 23:59:59 GMT'),
        whole('9110-5.6.7', 'If-Modified-Since before it, asctime', 'If-Modified-Since: Tue Dec 31 23:59:59 2019'),
        whole('9110-5.6.7', 'a two-digit year far in the future is past', 'If-Modified-Since: Wednesday, 01-Jan-97 00:00:00 GMT'),
        *[whole('9110-13.1.3', f'If-Modified-Since: {v} is ignored', f'If-Modified-Since: {v}')
          for v in ('yesterday', '0', '1577836800', '2020-01-01T00:00:00Z', 'Wed, 01 Jan 2020 00:00:00', 'Wed, 01 Jan 2020 00:00:00 UTC',
                    'Wed, 01 Jan 2020 00:00:00 +0000', 'Wed, 32 Jan 2030 00:00:00 GMT', 'Wed, 01 Foo 2030 00:00:00 GMT',
                    'Wed, 01 Jan 2030 24:00:00 GMT', 'Wed, 01 Jan 2030 00:60:00 GMT', 'Wed, 1 Jan 2030 00:00:00 GMT',
                    'Sun, 30 Feb 2031 00:00:00 GMT', 'Wed,  01 Jan 2030 00:00:00 GMT', 'wed, 01 jan 2030 00:00:00 gmt', '""', '*')],
        whole('9110-13.1.3', 'an empty If-Modified-Since is ignored', 'If-Modified-Since:'),
        whole('9110-13.1.3', 'two If-Modified-Since are ignored', f'If-Modified-Since: {THEN}', f'If-Modified-Since: {THEN}'),
        whole('9110-13.1.3', 'a list of dates is ignored', f'If-Modified-Since: {THEN}, {THEN}'),
        whole('9110-13.1.3', 'If-None-Match goes before If-Modified-Since', 'If-None-Match: "x"', f'If-Modified-Since: {THEN}'),
        fresh('9110-13.1.3', 'If-None-Match goes before an earlier date', 'If-None-Match: ETAG', f'If-Modified-Since: {BEFORE}'),
        failed('9110-13.1.4', 'If-Unmodified-Since before it', f'If-Unmodified-Since: {BEFORE}'),
        failed('9110-5.6.7', 'If-Unmodified-Since before it, RFC 850', 'If-Unmodified-Since: Tuesday, 31-Dec-19 23:59:59 GMT'),
        failed('9110-5.6.7', 'If-Unmodified-Since before it, asctime', 'If-Unmodified-Since: Tue Dec 31 23:59:59 2019'),
        whole('9110-13.1.4', 'If-Unmodified-Since then', f'If-Unmodified-Since: {THEN}'),
        whole('9110-13.1.4', 'If-Unmodified-Since after it', f'If-Unmodified-Since: {AFTER}'),
        whole('9110-13.1.4', 'a bad If-Unmodified-Since is ignored', 'If-Unmodified-Since: never'),
        whole('9110-13.1.4', 'two If-Unmodified-Since are ignored', f'If-Unmodified-Since: {BEFORE}', f'If-Unmodified-Since: {BEFORE}'),
        whole('9110-13.1.4', 'If-Match goes before If-Unmodified-Since', 'If-Match: ETAG', f'If-Unmodified-Since: {BEFORE}'),
        failed('9110-13.2.2', 'If-Match goes before If-None-Match', 'If-Match: "x"', 'If-None-Match: ETAG'),
        fresh('9110-13.2.2', 'If-Match that holds, then If-None-Match', 'If-Match: ETAG', 'If-None-Match: ETAG'),
        failed('9110-13.2.2', 'If-Unmodified-Since goes before If-None-Match', f'If-Unmodified-Since: {BEFORE}', 'If-None-Match: ETAG'),
        fresh('9110-13.2.2', 'If-Unmodified-Since that holds, then If-Modified-Since', f'If-Unmodified-Since: {THEN}', f'If-Modified-Since: {THEN}'),
        row('9110-13.1.2', 'HEAD with the tag', head('If-None-Match: ETAG'), 304, close=False, has=KEPT),
        row('9110-13.1.3', 'HEAD with the date', head(f'If-Modified-Since: {THEN}'), 304, close=False, has=KEPT),
        row('9110-13.1.1', 'HEAD with another tag', head('If-Match: "x"'), 412, close=False),
        row('9110-13.2.1', 'no precondition of what is not there', get('If-Match: *', target='/nope'), (404, 412), close=False),
        row('9110-13.2.1', 'no 304 of what is not there', get('If-None-Match: *', target='/nope'), 404, close=False),
        row('9110-13.2.1', 'no 412 of a redirection', get('If-Match: "x"', target='/index'), 301),
        row('9110-13.2.1', 'no 304 of a redirection', get('If-None-Match: *', target='/index'), 301),
        row('9110-13.2.1', 'no 304 of a folder without its slash', get('If-None-Match: *', target='/dir'), 301),
        row('9110-13.1.2', 'If-None-Match: * of a fixed answer', get('If-None-Match: *', target='/home'), 304),
        row('9110-13.1.1', 'If-Match: * of a fixed answer', get('If-Match: *', target='/home'), 200),
        row('9110-13.1.1', 'If-Match of a fixed answer, which has no tag', get('If-Match: "x"', target='/home'), 412),
        row('9110-13.1.3', 'If-Modified-Since of a fixed answer, which has no date', get(f'If-Modified-Since: {THEN}', target='/home'), 200),
        row('9110-13.1.2', 'If-None-Match: * of a listing', get('If-None-Match: *', target='/dir/'), 304),
        row('9110-13.1.1', 'If-Match of a listing, which has no tag', get('If-Match: "x"', target='/dir/'), 412),
        row('9110-15.4.5', '304 closes when asked to', get('If-None-Match: ETAG', 'Connection: close'), 304, close=True),
        row('9110-15.4.5', '304 in HTTP/1.0', get('If-None-Match: ETAG', version='1.0'), 304, close=True),
    ]

    def test_cache_control_goes_with_200_206_and_304(self):
        s = self.serve('--cache-control', 'max-age=60')
        for fields, status in (((), 200), (('Range: bytes=0-1',), 206), (('If-None-Match: ETAG',), 304),
                               (('Range: bytes=0-1', 'If-Range: ETAG'), 206)):
            with harness.Conn(s.port) as c:
                c.send(get(*fields).replace(b'ETAG', self.etag))
                a = raw.Answer(c, 'GET')
                self.assertEqual((a.status, a.get('cache-control'), a.get('etag').encode()), (status, 'max-age=60', self.etag))


class Ranges(raw.Table):
    SPLIT_MAX = 2000
    ROWS = [
        part('9110-14.1.2', 'from and to', 'bytes=2-4', 2, 4),
        part('9110-14.1.2', 'the first byte', 'bytes=0-0', 0, 0),
        part('9110-14.1.2', 'the last byte', 'bytes=9-9', 9, 9),
        part('9110-14.1.2', 'from', 'bytes=5-', 5, 9),
        part('9110-14.1.2', 'from the beginning', 'bytes=0-', 0, 9),
        part('9110-14.1.2', 'the last three', 'bytes=-3', 7, 9),
        part('9110-14.1.2', 'more of the end than there is', 'bytes=-50', 0, 9),
        part('9110-14.1.2', 'to beyond the end', 'bytes=5-50', 5, 9),
        part('9110-14.1.2', 'to beyond 64 bits', f'bytes=5-{2**70}', 5, 9),
        part('9110-14.1.2', 'more of the end than 64 bits', f'bytes=-{2**70}', 0, 9),
        part('9110-14.1.2', 'all of it', 'bytes=0-9', 0, 9),
        part('9110-14.1.2', 'zeros in front', 'bytes=002-004', 2, 4),
        part('9110-14.1', 'the unit in capitals', 'BYTES=2-4', 2, 4),
        part('9110-5.6.1', 'empty elements', 'bytes=,2-4, ,', 2, 4),
        part('9110-5.6.1', 'white space around the range', 'bytes= 2-4 ', 2, 4),
        part('9110-14.2', 'one range within and one beyond', 'bytes=2-4,50-60', 2, 4),
        part('9110-14.2', 'one range beyond and one within', 'bytes=50-,2-4', 2, 4),
        part('9110-14.2', 'with a precondition that holds', 'bytes=2-4', 2, 4, 'If-Match: ETAG'),
        part('9110-14.2', 'with a date that holds', 'bytes=2-4', 2, 4, f'If-Unmodified-Since: {THEN}'),
        part('9110-14.2', 'in a folder that a query follows', 'bytes=2-4', 2, 4, target='/a.txt?x'),
        part('9110-13.1.5', 'If-Range with the tag', 'bytes=2-4', 2, 4, 'If-Range: ETAG'),
        part('9110-13.1.5', 'If-Range with the date', 'bytes=2-4', 2, 4, f'If-Range: {THEN}'),
        part('9110-5.6.7', 'If-Range with the date of RFC 850', 'bytes=2-4', 2, 4, 'If-Range: Wednesday, 01-Jan-20 00:00:00 GMT'),
        outside('9110-14.2', 'from beyond the end', 'bytes=10-'),
        outside('9110-14.2', 'beyond the end', 'bytes=10-20'),
        outside('9110-14.2', 'beyond 64 bits', f'bytes={2**70}-'),
        outside('9110-14.1.2', 'the last none', 'bytes=-0'),
        outside('9110-14.2', 'several, all beyond the end', 'bytes=10-11,20-,-0'),
        outside('9110-14.1.2', 'of an empty file', 'bytes=0-0', target='/empty.txt', size=0),
        outside('9110-14.1.2', 'from of an empty file', 'bytes=0-', target='/empty.txt', size=0),
        *[whole('9110-14.2', f'Range: {v} is ignored', f'Range: {v}')
          for v in ('lines=2-4', 'x=2-4', 'byte=2-4', 'bytes', 'bytes=', 'bytes=-', 'bytes=4-2', 'bytes=a-b', 'bytes=2-x', 'bytes=2', 'bytes=--2',
                    'bytes=2--4', 'bytes=2-4-6', 'bytes=2-4;x', 'bytes=2-4,x', 'bytes=x,2-4', 'bytes=0x2-0x4', 'bytes=+2-4', 'bytes=2.0-4.0',
                    'bytes 2-4', 'bytes:2-4', 'bytes =2-4', '2-4', 'bytes=2 - 4', 'bytes=2-4 6-8', 'bytes="2-4"', 'bytes=*', ',', 'bytes=,')],
        whole('9110-14.2', 'an empty Range is ignored', 'Range:'),
        whole('9110-14.2', 'two Range fields', 'Range: bytes=2-4', 'Range: bytes=6-7'),
        whole('9110-14.2', 'many overlapping ranges', 'Range: bytes=' + ','.join(['0-9'] * 20)),
        whole('9110-17.15', 'very many ranges', 'Range: bytes=' + ','.join(['0-0', '2-2', '4-4', '6-6', '8-8'] * 100)),
        whole('9110-13.1.5', 'If-Range with another tag', 'Range: bytes=2-4', 'If-Range: "x"'),
        whole('9110-13.1.5', 'If-Range compares strongly', 'Range: bytes=2-4', 'If-Range: W/ETAG'),
        whole('9110-13.1.5', 'If-Range with a list', 'Range: bytes=2-4', 'If-Range: "x", ETAG'),
        whole('9110-13.1.5', 'If-Range with a star', 'Range: bytes=2-4', 'If-Range: *'),
        whole('9110-13.1.5', 'If-Range with an earlier date', 'Range: bytes=2-4', f'If-Range: {BEFORE}'),
        whole('9110-13.1.5', 'If-Range with a later date', 'Range: bytes=2-4', f'If-Range: {AFTER}'),
        whole('9110-13.1.5', 'If-Range with a bad date', 'Range: bytes=2-4', 'If-Range: then'),
        whole('9110-13.1.5', 'If-Range with nothing', 'Range: bytes=2-4', 'If-Range:'),
        whole('9110-13.1.5', 'If-Range without Range', 'If-Range: "x"'),
        whole('9110-13.2.2', 'If-Range that fails beyond the end', 'Range: bytes=50-', 'If-Range: "x"'),
        failed('9110-13.2.2', 'a precondition goes before Range', 'Range: bytes=2-4', 'If-Match: "x"'),
        failed('9110-13.2.2', 'a precondition goes before If-Range', 'Range: bytes=2-4', 'If-Range: ETAG', 'If-Match: "x"'),
        failed('9110-13.2.2', 'a precondition goes before 416', 'Range: bytes=50-', 'If-Match: "x"'),
        fresh('9110-13.2.2', '304 goes before Range', 'Range: bytes=2-4', 'If-None-Match: ETAG'),
        fresh('9110-13.2.2', '304 goes before 416', 'Range: bytes=50-', 'If-None-Match: ETAG'),
        row('9110-14.2', 'HEAD ignores Range', head('Range: bytes=2-4'), 200, has={'content-length': '10'}, lacks=('content-range',)),
        row('9110-14.2', 'HEAD ignores Range beyond the end', head('Range: bytes=50-'), 200, has={'content-length': '10'}),
        row('9110-14.2', 'PUT ignores Range', req('PUT', '/a.txt', 'Range: bytes=2-4'), 405),
        row('9110-14.2', 'Range of what is not there', get('Range: bytes=2-4', target='/nope'), 404),
        row('9110-14.2', 'Range of a redirection', get('Range: bytes=2-4', target='/index'), 301),
        row('9110-15.3.7', '206 has the fields of 200', get('Range: bytes=2-4'), 206,
            has={'content-type': 'text/plain; charset=utf-8', 'last-modified': THEN, **KEPT}),
        row('9110-15.3.7', '206 behind If-Range has what is needed and no more', get('Range: bytes=2-4', 'If-Range: ETAG'), 206, has=KEPT,
            lacks=('last-modified', 'content-type')),
        row('9110-15.5.17', '416 explains', get('Range: bytes=50-'), 416, close=False, lacks=('etag', 'last-modified')),
        row('9110-14.2', 'a range of a large file', get('Range: bytes=300000-300003', target='/large.bin'), 206,
            body=(bytes(range(256)) * 2048)[300000:300004], has={'content-range': 'bytes 300000-300003/524288'}),
        row('9110-14.2', 'the end of a large file', get('Range: bytes=-2', target='/large.bin'), 206, body=b'\xfe\xff'),
    ]

    def parts(self, value, *fields):
        """[(range, content)] of an answer in several parts, whose syntax is that of RFC 2046 section 5.1.1."""
        with harness.Conn(self.server.port) as c:
            c.send(get(f'Range: {value}', *fields).replace(b'ETAG', self.etag))
            a = raw.Answer(c, 'GET')
        self.assertEqual(a.status, 206)
        mark = re.fullmatch(r"multipart/byteranges; boundary=([0-9A-Za-z'()+_,./:=?-]{1,70})", a.get('content-type'))[1].encode()
        delimiter = b'\r\n--' + mark
        preamble, *parts, end = (b'\r\n' + a.body).split(delimiter)
        self.assertEqual((preamble, end.strip()), (b'', b'--'))
        got = []
        for p in parts:
            fields, content = p.removeprefix(b'\r\n').split(b'\r\n\r\n', 1)
            fields = dict(f.split(b': ', 1) for f in fields.split(b'\r\n'))
            self.assertEqual(fields[b'Content-Type'], b'text/plain; charset=utf-8')
            got.append((fields[b'Content-Range'].decode(), content))
        return got

    def test_several_parts(self):
        a, b, c = ('bytes 0-1/10', b'01'), ('bytes 4-5/10', b'45'), ('bytes 9-9/10', b'9')
        self.assertEqual(self.parts('bytes=0-1,4-5,-1'), [a, b, c])
        self.assertEqual(self.parts('bytes=9-9,0-1'), [c, a])  # in the order in which they were asked for (section 15.3.7.2)
        self.assertEqual(self.parts('bytes= 0-1 ,\t4-5,'), [a, b])
        self.assertEqual(self.parts('bytes=0-1,50-60,4-5'), [a, b])
        self.assertEqual(self.parts('bytes=0-1,4-5', 'If-Range: ETAG'), [a, b])

    def test_ranges_that_touch_come_as_one(self):
        for value in ('bytes=0-1,2-3', 'bytes=0-2,1-3'):
            with harness.Conn(self.server.port) as c:
                c.send(get(f'Range: {value}'))
                a = raw.Answer(c, 'GET')
                self.assertEqual((a.status, a.get('content-range'), a.body), (206, 'bytes 0-3/10', b'0123'))


if __name__ == '__main__':
    harness.main()
