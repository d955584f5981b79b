# SPDX-License-Identifier: MIT
"""l7 serve on a raw socket: how requests with a body are framed, chunks, expectations (RFC 9112 sections 6 and 7, RFC 9110
section 10.1.1)."""
import harness
import raw
from raw import get, head, req, row

CHUNKED = 'Transfer-Encoding: chunked'
SMUGGLED = get(target='/smuggled')  # 404 if it is ever taken for a request


def put(*fields, body=b'', **kw):
    return req('PUT', '/a.txt', *fields, body=body, **kw)


def chunks(data, *fields, method='PUT'):
    """A chunked request, its body given as it stands on the wire."""
    return req(method, '/a.txt', CHUNKED, *fields, body=data)


def refused(section, name, data):
    """400, and what follows is not taken for a request."""
    return row(section, name, data + SMUGGLED, 400, close=True)


def length(section, name, *fields):
    return refused(section, name, put(*fields, body=b'hello'))


def coding(section, name, *fields, status=(400, 501), **kw):
    return row(section, name, put(*fields, body=b'5\r\nhello\r\n0\r\n\r\n', **kw) + SMUGGLED, status, close=True)


def bad_chunks(section, name, data):
    return refused(section, name, chunks(data))


def good_chunks(section, name, data):
    return row(section, name, chunks(data) + get(), 405, then=[200], close=False)


class Length(raw.Table):
    SPLIT_MAX = 2000
    ROWS = [
        row('9112-6.3', 'no framing field: no body', get() + get(), 200, then=[200], close=False),
        row('9112-6.3', 'PUT without a framing field: no body', put() + get(), 405, then=[200], close=False),
        row('9112-6.2', 'a body is read to its end', put('Content-Length: 5', body=b'hello') + get(), 405, then=[200], close=False),
        row('9112-6.2', 'a body that looks like a request', put(f'Content-Length: {len(SMUGGLED)}', body=SMUGGLED) + get(), 405,
            then=[200], close=False),
        row('9112-6.2', 'GET with a body', get('Content-Length: 5', body=b'hello') + get(), 200, then=[200], close=False),
        row('9112-6.2', 'GET with a body that looks like a request', get(f'Content-Length: {len(SMUGGLED)}', body=SMUGGLED) + get(), 200,
            then=[200], close=False),
        row('9112-6.2', 'DELETE with a body', req('DELETE', '/a.txt', 'Content-Length: 5', body=b'hello') + get(), 405, then=[200], close=False),
        row('9112-6.2', 'a body of 60000 bytes', put('Content-Length: 60000', body=b'x' * 60000) + get(), 405, then=[200], close=False),
        row('9112-6.2', 'length 0', put('Content-Length: 0') + get(), 405, then=[200], close=False),
        row('9112-6.2', 'a length with zeros in front', put('Content-Length: 0005', body=b'hello') + get(), 405, then=[200], close=False),
        row('9110-15.5.14', 'a length beyond the limit', put('Content-Length: 99999999999'), (405, 413), close=True),
        row('9110-8.6', 'the largest length of 63 bits', put(f'Content-Length: {2**63 - 1}'), (400, 405, 413), close=True),
        length('9110-8.6', 'a length of 63 bits and one', f'Content-Length: {2**63}'),
        length('9110-8.6', 'a length that would be 5 in 64 bits', f'Content-Length: {2**64 + 5}'),
        length('9110-8.6', 'a length of 100 digits', 'Content-Length: ' + '9' * 100),
        length('9112-6.3', 'two lengths that differ', 'Content-Length: 5', 'Content-Length: 6'),
        length('9112-6.3', 'two lengths, the first 0', 'Content-Length: 0', 'Content-Length: 5'),
        length('9112-6.3', 'a list of lengths that differ', 'Content-Length: 5, 6'),
        row('9112-6.3', 'two equal lengths', put('Content-Length: 5', 'Content-Length: 5', body=b'hello'), (400, 405)),
        row('9112-6.3', 'a list of equal lengths', put('Content-Length: 5, 5', body=b'hello'), (400, 405)),
        *[length('9112-6.3', f'the length {v!r}', f'Content-Length: {v}')
          for v in ('+5', '-5', '-0', '5 5', '5,', ',5', '5;q=1', '0x5', '5h', '5.0', '5e0', '"5"', "'5'", 'five', 'NaN', '\xb2', '5\t5', '5\x0b')],
        length('9112-6.3', 'an empty length', 'Content-Length:'),
        length('9112-6.3', 'a length of white space', 'Content-Length: \t '),
        refused('9112-6.3', 'a bad length with GET', get('Content-Length: x', body=b'hello')),
        refused('9112-6.3', 'a bad length in HTTP/1.0', put('Content-Length: x', version='1.0', body=b'hello')),
        row('9112-6.2', 'a length with white space around', put('Content-Length: \t 5\t ', body=b'hello') + get(), 405, then=[200], close=False),
        row('9112-9.3', 'HTTP/1.0 with keep-alive and a body', put('Connection: keep-alive', 'Content-Length: 5', version='1.0', body=b'hello') +
            get(), 405, then=[200], close=False),
        row('9112-9.6', 'close with a body', put('Connection: close', 'Content-Length: 5', body=b'hello') + get(), 405, close=True,
            split=False),
    ]

    def test_a_body_that_ends_early_is_no_request(self):
        for data in (put('Content-Length: 5', body=b'hell'), get('Content-Length: 5', body=b'hell'), chunks(b'5\r\nhel'), chunks(b'5\r\nhello\r\n'),
                     chunks(b'0\r\n'), chunks(b'')):
            with self.subTest(data), harness.Conn(self.server.port) as c:
                c.send(data)
                c.finish()
                a = raw.Answer(c, 'PUT')
                self.assertEqual((a.status, a.get('connection'), c.recv_all()), (400, 'close', b''))


class Coding(raw.Table):
    ROWS = [
        row('9112-6.1', 'chunked', chunks(b'5\r\nhello\r\n0\r\n\r\n') + get(), 405, then=[200], close=False),
        row('9112-6.1', 'chunked GET', chunks(b'5\r\nhello\r\n0\r\n\r\n', method='GET') + get(), 200, then=[200], close=False),
        row('9112-7', 'chunked in capitals', put('Transfer-Encoding: CHUNKED', body=b'0\r\n\r\n') + get(), 405, then=[200], close=False),
        row('9112-7', 'chunked with white space around', put('Transfer-Encoding: \t chunked \t', body=b'0\r\n\r\n') + get(), 405, then=[200]),
        row('9110-5.6.1', 'chunked behind empty elements', put('Transfer-Encoding: , chunked,', body=b'0\r\n\r\n'), (400, 405)),
        refused('9112-6.3', 'both framings, the length first', put('Content-Length: 5', CHUNKED, body=b'0\r\n\r\n')),
        refused('9112-6.3', 'both framings, chunked first', put(CHUNKED, 'Content-Length: 5', body=b'0\r\n\r\n')),
        refused('9112-6.3', 'both framings, length 0', put('Content-Length: 0', CHUNKED, body=b'0\r\n\r\n')),
        refused('9112-6.3', 'both framings with GET', get('Content-Length: 5', CHUNKED, body=b'0\r\n\r\n')),
        refused('9112-6.3', 'both framings, the coding unknown', put('Content-Length: 5', 'Transfer-Encoding: x', body=b'hello')),
        refused('9112-6.3', 'both framings, the coding empty', put('Content-Length: 5', 'Transfer-Encoding:', body=b'hello')),
        refused('9112-6.3', 'both framings in HTTP/1.0', put('Content-Length: 5', CHUNKED, body=b'hello', version='1.0')),
        refused('9112-6.1', 'a coding in HTTP/1.0', put(CHUNKED, version='1.0', body=b'0\r\n\r\n')),
        refused('9112-6.1', 'a coding in HTTP/1.0 that is to stay', put(CHUNKED, 'Connection: keep-alive', version='1.0', body=b'0\r\n\r\n')),
        refused('9112-6.3', 'chunked is not last', put('Transfer-Encoding: chunked, gzip', body=b'0\r\n\r\n')),
        refused('9112-6.3', 'chunked is not last, over two lines', put(CHUNKED, 'Transfer-Encoding: gzip', body=b'0\r\n\r\n')),
        refused('9112-6.1', 'chunked twice', put('Transfer-Encoding: chunked, chunked', body=b'0\r\n\r\n')),
        refused('9112-6.1', 'chunked in two lines', put(CHUNKED, CHUNKED, body=b'0\r\n\r\n')),
        refused('9112-6.1', 'chunked, then identity', put('Transfer-Encoding: chunked, identity', body=b'0\r\n\r\n')),
        row('9112-6.1', 'gzip, chunked', put('Transfer-Encoding: gzip, chunked', body=b'0\r\n\r\n') + SMUGGLED, 501, close=True),
        row('9112-6.1', 'gzip, chunked over two lines', put('Transfer-Encoding: gzip', CHUNKED, body=b'0\r\n\r\n') + SMUGGLED, 501, close=True),
        row('9112-6.1', 'an unknown coding, chunked', put('Transfer-Encoding: foo, chunked', body=b'0\r\n\r\n') + SMUGGLED, 501, close=True),
        coding('9112-6.1', 'identity, chunked', 'Transfer-Encoding: identity, chunked'),
        *[coding('9112-6.3', f'the coding {v!r}', f'Transfer-Encoding: {v}')
          for v in ('identity', 'gzip', 'xchunked', 'chunkedx', 'chunke', 'x chunked', 'chunked foo', 'chunked;a=b', 'chunked;', '"chunked"',
                    "'chunked'", 'chunked\xa0', '\xa0chunked', 'chunked/1', '{chunked}', 'chunked.', ';chunked', 'chun\tked')],
        refused('9112-5.5', 'a coding behind a vertical tab', put('Transfer-Encoding: \x0bchunked', body=b'0\r\n\r\n')),
        refused('9112-5.5', 'a coding behind NUL', put('Transfer-Encoding: \0chunked', body=b'0\r\n\r\n')),
        coding('9112-6.1', 'an empty coding', 'Transfer-Encoding:'),
        coding('9112-6.1', 'a coding of commas', 'Transfer-Encoding: ,,'),
        refused('9112-5.1', 'a coding with a space before the colon', put('Transfer-Encoding : chunked', body=b'0\r\n\r\n')),
        row('9112-6.1', 'another field with a similar name', get('Transfer_Encoding: chunked', 'Content_Length: 5') + get(), 200, then=[200]),
        row('9112-6.1', 'both framings of HEAD', head('Content-Length: 5', CHUNKED, body=b'0\r\n\r\n'), 400, close=True),
    ]


class Chunks(raw.Table):
    SPLIT_MAX = 2000
    ROWS = [
        good_chunks('9112-7.1', 'no chunk', b'0\r\n\r\n'),
        good_chunks('9112-7.1', 'three chunks', b'1\r\na\r\n2\r\nbc\r\nA\r\n0123456789\r\n0\r\n\r\n'),
        good_chunks('9112-7.1', 'hexadecimal digits in both cases', b'a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n'),
        good_chunks('9112-7.1', 'zeros in front of a size', b'0005\r\nhello\r\n0\r\n\r\n'),
        good_chunks('9112-7.1', 'many zeros in front of a size', b'0' * 30 + b'5\r\nhello\r\n0\r\n\r\n'),
        good_chunks('9112-7.1', 'a last chunk of several zeros', b'5\r\nhello\r\n000\r\n\r\n'),
        good_chunks('9112-7.1', 'a last chunk of many zeros', b'5\r\nhello\r\n' + b'0' * 40 + b'\r\n\r\n'),
        good_chunks('9112-7.1', 'CR LF in the data', b'4\r\n\r\n\r\n\r\n0\r\n\r\n'),
        good_chunks('9112-7.1', 'data that looks like a request', b'%x\r\n%s\r\n0\r\n\r\n' % (len(SMUGGLED), SMUGGLED)),
        good_chunks('9112-7.1', 'data that looks like the last chunk', b'5\r\n0\r\n\r\n\r\n0\r\n\r\n'),
        good_chunks('9112-7.1', 'a chunk of 20000 bytes', b'4e20\r\n' + b'x' * 20000 + b'\r\n0\r\n\r\n'),
        good_chunks('9112-7.1.1', 'an extension', b'5;a\r\nhello\r\n0\r\n\r\n'),
        good_chunks('9112-7.1.1', 'an extension with a value', b'5;a=b\r\nhello\r\n0;c=d\r\n\r\n'),
        good_chunks('9112-7.1.1', 'an extension with a quoted value', b'5;a="b;c, d"\r\nhello\r\n0\r\n\r\n'),
        good_chunks('9112-7.1.1', 'an extension with an escape in its value', b'5;a="b\\"c"\r\nhello\r\n0\r\n\r\n'),
        good_chunks('9112-7.1.1', 'several extensions', b'5;a;b=c;d="e"\r\nhello\r\n0\r\n\r\n'),
        good_chunks('9112-7.1.1', 'white space around the parts of an extension', b'5 ; a = b \r\nhello\r\n0\r\n\r\n'),
        good_chunks('9112-7.1.2', 'a trailer', b'5\r\nhello\r\n0\r\nX: y\r\n\r\n'),
        good_chunks('9112-7.1.2', 'several trailers', b'0\r\nX: y\r\nDigest: z\r\nE:\r\n\r\n'),
        good_chunks('9110-6.5.1', 'a trailer that would change the framing', b'0\r\nContent-Length: 50\r\nTransfer-Encoding: x\r\n\r\n'),
        good_chunks('9110-6.5.1', 'a trailer that would change the routing', b'0\r\nHost: other\r\nConnection: close\r\n\r\n'),
        bad_chunks('9112-7.1', 'no size', b'\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'a size that is no number', b'xyz\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'a size with 0x', b'0x5\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'a size with h', b'5h\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'a size with _', b'0_5\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'a size with a plus', b'+5\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'a negative size', b'-5\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'a size with a fraction', b'5.0\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'a size with a comma', b'5,5\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'a size with white space in front', b' 5\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'a size with white space behind', b'5 \r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'a size with a tab behind', b'5\t\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'two sizes', b'5 5\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'a size in quotes', b'"5"\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'NUL behind a size', b'5\0\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', '8 bits in a size', b'5\xff\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'a size beyond 64 bits', b'ffffffffffffffffff\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'a size that would be 5 in 64 bits', b'10000000000000005\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'a size of 64 bits', b'ffffffffffffffff\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'a chunk shorter than its size', b'6\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'a chunk longer than its size', b'4\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'no CR LF behind the data', b'5\r\nhello0\r\n\r\n'),
        bad_chunks('9112-7.1', 'LF behind the data', b'5\r\nhello\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'CR behind the data', b'5\r\nhello\r0\r\n\r\n'),
        bad_chunks('9112-7.1', 'LF behind the size', b'5\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'CR behind the size', b'5\rhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'CR CR LF behind the size', b'5\r\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1', 'LF behind the last size', b'5\r\nhello\r\n0\n\r\n'),
        bad_chunks('9112-7.1', 'LF at the very end', b'5\r\nhello\r\n0\r\n\n'),
        bad_chunks('9112-7.1', 'an empty line before a size', b'5\r\nhello\r\n\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1.1', 'LF in an extension', b'5;a\nb\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1.1', 'CR in an extension', b'5;a\rb\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1.1', 'LF at the end of an extension', b'5;a\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1.1', 'NUL in an extension', b'5;a\0\r\nhello\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1.1', 'CR LF in a quoted value', b'5;a="b\r\nhello"\r\n0\r\n\r\n'),
        bad_chunks('9112-7.1.2', 'a trailer without a colon', b'0\r\nX\r\n\r\n'),
        bad_chunks('9112-7.1.2', 'a trailer with a space before its colon', b'0\r\nX : y\r\n\r\n'),
        bad_chunks('9112-7.1.2', 'a trailer without a name', b'0\r\n: y\r\n\r\n'),
        bad_chunks('9112-7.1.2', 'a folded trailer', b'0\r\nX: y\r\n z\r\n\r\n'),
        bad_chunks('9112-7.1.2', 'NUL in a trailer', b'0\r\nX: \0\r\n\r\n'),
        bad_chunks('9112-7.1.2', 'LF in a trailer', b'0\r\nX: y\nZ: w\r\n\r\n'),
        bad_chunks('9112-7.1.2', 'CR in a trailer', b'0\r\nX: y\rZ: w\r\n\r\n'),
        bad_chunks('9112-7.1.2', 'a request where the trailers should be', b'5\r\nhello\r\n0\r\n'),
        row('9112-7.1.1', 'an extension that is too long', chunks(b'5;' + b'a' * 20000 + b'\r\nhello\r\n0\r\n\r\n') + SMUGGLED, (400, 413, 431), close=True),
        row('9112-7.1.1', 'extensions that are too long together', chunks((b'1;' + b'a' * 200 + b'\r\nx\r\n') * 500 + b'0\r\n\r\n') + SMUGGLED,
            (400, 413, 431), close=True),
        row('9110-6.5', 'trailers that are too long', chunks(b'0\r\nX: ' + b'y' * 60000 + b'\r\n\r\n') + SMUGGLED, (400, 413, 431), close=True),
        row('9112-7.1', 'bad chunks with GET', chunks(b'xyz\r\n', method='GET') + SMUGGLED, 400, close=True),
    ]

    def test_every_cut_gives_the_same_answers(self):
        data = chunks(b'5;a="b"\r\nhello\r\n0\r\nX: y\r\n\r\n') + get('Connection: close')
        for i in range(1, len(data)):
            with harness.Conn(self.server.port) as c:
                c.send(data[:i])
                c.send(data[i:])
                self.assertEqual([raw.Answer(c, 'PUT').status for _ in range(2)], [405, 200])
                self.assertEqual(c.recv_all(), b'')


class Expect(raw.Table):
    WAITS = 'Expect: 100-continue'
    ROWS = [
        row('9110-10.1.1', 'an expectation, with the body', put(WAITS, 'Content-Length: 5', body=b'hello'), 405),
        row('9110-10.1.1', 'an expectation, without waiting', put(WAITS, 'Content-Length: 5'), 405, close=True),
        row('9110-10.1.1', 'an expectation, chunked', put(WAITS, CHUNKED), 405, close=True),
        row('9110-10.1.1', 'an expectation in capitals', put('Expect: 100-Continue', 'Content-Length: 5'), 405, close=True),
        row('9110-10.1.1', 'an expectation without a body', get(WAITS), 200, close=False),
        row('9110-10.1.1', 'an expectation with length 0', get(WAITS, 'Content-Length: 0'), 200, close=False),
        row('9110-10.1.1', 'an expectation in HTTP/1.0', get(WAITS, version='1.0'), 200, close=True),
        row('9110-10.1.1', 'an expectation with a body in HTTP/1.0', put(WAITS, 'Content-Length: 5', version='1.0', body=b'hello'), 405, close=True),
        row('9110-10.1.1', 'an unknown expectation', get('Expect: wonders'), 417),
        row('9110-10.1.1', 'an unknown expectation beside the known one', get('Expect: 100-continue, wonders'), 417),
        row('9110-10.1.1', 'an unknown expectation in HTTP/1.0', get('Expect: wonders', version='1.0'), 200, close=True),
        row('9110-10.1.1', 'an expectation with parameters', get('Expect: 100-continue;x=y'), (200, 417)),
        row('9110-5.6.1', 'an expectation behind an empty element', get('Expect: , 100-continue'), 200),
        row('9110-10.1.1', 'an expectation of a bad request', put(WAITS, 'Content-Length: x'), 400, close=True),
        row('9110-10.1.1', 'an expectation of too much', put(WAITS, 'Content-Length: 99999999999'), (405, 413), close=True),
    ]


if __name__ == '__main__':
    harness.main()
