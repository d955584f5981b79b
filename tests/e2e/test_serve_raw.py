# SPDX-License-Identifier: MIT
"""l7 serve on a raw socket: request line, version, Host, field syntax, connection, methods (RFC 9112 sections 2 to 5 and 9,
RFC 9110 sections 6 to 10)."""
import socket
import time

import harness
import raw
from raw import get, head, req, row

METHODS = 'GET, HEAD, OPTIONS'


def line(text):
    """A request whose request line is these bytes."""
    return (text if isinstance(text, bytes) else text.encode('latin-1')) + b'\r\nHost: h\r\n\r\n'


def field(text):
    """A request with this raw field line."""
    return b'GET /a.txt HTTP/1.1\r\nHost: h\r\n' + (text if isinstance(text, bytes) else text.encode('latin-1')) + b'\r\n\r\n'


def refused(section, name, data):
    return row(section, name, data, 400, close=True)


class RequestLine(raw.Table):
    SPLIT_MAX = 2000
    ROWS = [
        row('9112-3', 'a plain request', get(), 200, body=b'0123456789', close=False, lines='HTTP/1.1 200 OK'),
        row('9112-2.2', 'an empty line before the request line', b'\r\n' + get(), 200, close=False),
        row('9112-2.2', 'several empty lines before the request line', b'\r\n\r\n\r\n' + get(), 200, close=False),
        row('9112-2.2', 'empty lines between requests', get() + b'\r\n\r\n' + get(), 200, then=[200], close=False),
        refused('9112-2.2', 'bare LF behind the request line', b'GET /a.txt HTTP/1.1\nHost: h\r\n\r\n'),
        refused('9112-2.2', 'bare LF behind a field', b'GET /a.txt HTTP/1.1\r\nHost: h\n\r\n'),
        refused('9112-2.2', 'bare LF as the empty line', b'GET /a.txt HTTP/1.1\r\nHost: h\r\n\n'),
        refused('9112-2.2', 'bare CR behind the request line', b'GET /a.txt HTTP/1.1\rHost: h\r\n\r\n'),
        refused('9112-2.2', 'bare CR in the request line', line(b'GET /a.txt\r HTTP/1.1')),
        refused('9112-2.2', 'CR CR LF', b'GET /a.txt HTTP/1.1\r\r\nHost: h\r\n\r\n'),
        refused('9112-2.2', 'white space before the request line', line(' GET /a.txt HTTP/1.1')),
        refused('9112-2.2', 'white space between request line and fields', b'GET /a.txt HTTP/1.1\r\n Host: h\r\n\r\n'),
        refused('9112-2.2', 'a tab between request line and fields', b'GET /a.txt HTTP/1.1\r\n\tHost: h\r\n\r\n'),
        refused('9112-2.2', 'white space alone before the fields', b'GET /a.txt HTTP/1.1\r\n \r\nHost: h\r\n\r\n'),
        refused('9112-2.2', 'a TLS hello', b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + b'x' * 50),
        refused('9112-2.2', 'a response instead of a request', b'HTTP/1.1 200 OK\r\nHost: h\r\n\r\n'),
        refused('9112-2.2', 'SSH', b'SSH-2.0-OpenSSH_9.2\r\n\r\n'),
        refused('9112-2.2', 'NUL before the request line', b'\0' + get()),
        refused('9112-3', 'two spaces before the target', line('GET  /a.txt HTTP/1.1')),
        refused('9112-3', 'two spaces behind the target', line('GET /a.txt  HTTP/1.1')),
        refused('9112-3', 'a tab before the target', line('GET\t/a.txt HTTP/1.1')),
        refused('9112-3', 'a tab behind the target', line('GET /a.txt\tHTTP/1.1')),
        refused('9112-3', 'a vertical tab before the target', line('GET\x0b/a.txt HTTP/1.1')),
        refused('9112-3', 'a form feed behind the target', line('GET /a.txt\x0cHTTP/1.1')),
        refused('9112-3', 'a space behind the version', line('GET /a.txt HTTP/1.1 ')),
        refused('9112-3', 'a tab behind the version', line('GET /a.txt HTTP/1.1\t')),
        refused('9112-3', 'a fourth word', line('GET /a.txt HTTP/1.1 x')),
        refused('9112-3', 'a space in the target', line('GET /a b.txt HTTP/1.1')),
        refused('9112-3', 'only a method', line('GET')),
        refused('9112-3', 'no target', line('GET HTTP/1.1')),
        refused('9112-3', 'an empty target', line('GET  HTTP/1.1')),
        refused('9112-3', 'no version', line('GET /a.txt')),
        refused('9112-3', 'HTTP/0.9', b'GET /a.txt\r\n\r\n'),
        row('9112-3.1', 'an unknown method', req('BREW', '/a.txt'), 501, close=False),
        row('9112-3.1', 'a method in lower case is another one', req('get', '/a.txt'), 501),
        row('9112-3.1', 'a method in mixed case is another one', req('Get', '/a.txt'), 501),
        row('9112-3.1', 'a method longer than any known', req('M' * 500, '/a.txt'), 501),
        row('9112-3.1', 'a method with every character of tokens', req("!#$%&'*+.^_`|~09Az-", '/a.txt'), 501),
        refused('9112-3.1', 'a method that is no token', line('GE(T /a.txt HTTP/1.1')),
        refused('9112-3.1', 'a method with a colon', line('GET: /a.txt HTTP/1.1')),
        refused('9112-3.1', 'a method in quotes', line('"GET" /a.txt HTTP/1.1')),
        refused('9112-3.1', 'a method with 8 bits', line('G\xc9T /a.txt HTTP/1.1')),
        refused('9112-3.1', 'NUL in the method', line('GE\0T /a.txt HTTP/1.1')),
        row('9112-3', 'a request line of 8000 octets', get(target='/' + 'x' * 7985), 404, close=False),
        row('9112-3.1', 'a target that is too long', get(target='/' + 'x' * 9000), 414, close=True),
        row('9112-3.1', 'a query that is too long', get(target='/a.txt?' + 'x' * 9000), 414, close=True),
        row('9112-3.1', 'an endless target', b'GET /' + b'x' * 60000, 414, close=True),
    ]


class Target(raw.Table):
    ROWS = [
        row('9112-3.2.1', 'a query is no part of the name', get(target='/a.txt?x=1&y=/../z'), 200, body=b'0123456789'),
        row('9112-3.2.1', 'an empty query', get(target='/a.txt?'), 200),
        row('9112-3.2.1', 'question marks in the query', get(target='/a.txt?a?b'), 200),
        refused('9112-3.2', 'a path without its slash', line('GET a.txt HTTP/1.1')),
        refused('9112-3.2', 'a query only', line('GET ?x HTTP/1.1')),
        refused('9112-3.2', 'a fragment', line('GET /a.txt#x HTTP/1.1')),
        refused('9112-3.2', 'an empty fragment', line('GET /a.txt# HTTP/1.1')),
        refused('9112-3.2', 'a fragment in the query', line('GET /a.txt?q#x HTTP/1.1')),
        refused('9112-3.2', 'raw UTF-8', line('GET /\u4e2d.txt HTTP/1.1'.encode())),
        refused('9112-3.2', 'raw Latin-1', line('GET /\xe9 HTTP/1.1')),
        refused('9112-3.2', 'NUL in the target', line('GET /a\0.txt HTTP/1.1')),
        refused('9112-3.2', 'DEL in the target', line('GET /a\x7f.txt HTTP/1.1')),
        refused('9112-3.2', 'ESC in the target', line('GET /a\x1b[1m HTTP/1.1')),
        refused('9112-3.2', 'a backslash', line('GET /dir\\b.txt HTTP/1.1')),
        refused('9112-3.2', 'a quotation mark', line('GET /"a" HTTP/1.1')),
        refused('9112-3.2', 'angle brackets', line('GET /<a> HTTP/1.1')),
        refused('3986-2.1', '% without digits', line('GET /a%zz HTTP/1.1')),
        refused('3986-2.1', '% with one digit', line('GET /a%2 HTTP/1.1')),
        refused('3986-2.1', '% at the end', line('GET /a% HTTP/1.1')),
        row('3986-2.1', 'an escaped letter', get(target='/%61.txt'), 200, body=b'0123456789'),
        row('3986-2.1', 'escapes in both cases', get(target='/a%2etx%74'), 200),
        row('3986-2.1', 'an escaped space', get(target='/a%20b.txt'), 200, body=b'space'),
        row('3986-2.1', 'an escaped UTF-8 name', get(target='/%E4%B8%AD.txt'), 200, body=b'han'),
        row('3986-2.1', '+ is no space', get(target='/a+b.txt'), 404),
        row('3986-2.1', 'decoded once only', get(target='/%2561.txt'), 404),
        row('9110-17.1', '%00', get(target='/a.txt%00'), 400),
        row('9110-17.1', '%00.html', get(target='/a.txt%00.html'), 400),
        row('9110-17.1', 'an escaped slash', get(target='/dir%2fb.txt'), (400, 404)),
        row('9110-17.1', 'an escaped backslash', get(target='/dir%5cb.txt'), 404),
        row('9110-17.1', 'dot segments inside', get(target='/dir/../a.txt'), 200, body=b'0123456789'),
        row('9110-17.1', 'a dot segment', get(target='/./a.txt'), 200),
        row('9110-17.1', 'escaped dot segments inside', get(target='/dir/%2e%2E/a.txt'), (200, 400)),
        row('9110-17.1', 'dot segments that lead out', get(target='/../secret.txt'), (400, 403, 404)),
        row('9110-17.1', 'dot segments that lead out and in', get(target='/../site/a.txt'), (400, 403, 404)),
        row('9110-17.1', 'escaped dot segments that lead out', get(target='/%2e%2e/secret.txt'), (400, 403, 404)),
        row('9110-17.1', 'half escaped dot segments that lead out', get(target='/.%2e/secret.txt'), (400, 403, 404)),
        row('9110-17.1', 'an escaped slash that leads out', get(target='/..%2fsecret.txt'), (400, 403, 404)),
        row('9110-17.1', 'many dot segments', get(target='/' + '../' * 50 + 'etc/passwd'), (400, 403, 404)),
        row('9110-17.1', 'an absolute path behind two slashes', get(target='//etc/passwd'), 404),
        row('9110-17.1', 'overlong UTF-8 dots', get(target='/%c0%ae%c0%ae/secret.txt'), 404),
        row('9110-17.1', 'a dot-file', get(target='/.hidden'), (403, 404)),
        row('9110-17.1', 'a name that begins with two dots', get(target='/..txt'), (403, 404)),
        row('3986-6', 'two slashes', get(target='//a.txt'), (200, 301, 404)),
        row('9110-15.5.5', 'a file with a slash behind it', get(target='/a.txt/'), 404),
        row('9110-15.5.5', 'a name that is too long for a file', get(target='/' + 'n' * 300), (404, 414)),
        row('9112-3.2.2', 'the absolute form', get(target='http://h/a.txt'), 200, body=b'0123456789', close=False),
        row('9112-3.2.2', 'the absolute form goes before Host', get(target='http://other:99/a.txt'), 200),
        row('9112-3.2.2', 'the absolute form with its scheme in capitals', get(target='HTTP://H/a.txt'), 200),
        row('9112-3.2.2', 'the absolute form without a path', get(target='http://h'), 200, body=raw.FILES['index.html']),
        row('9112-3.2.2', 'the absolute form with a query and no path', get(target='http://h?x'), 200),
        row('9112-3.2.2', 'the absolute form with an IPv6 address', get(target='http://[::1]:8005/a.txt'), 200),
        row('9112-3.2.2', 'the absolute form with HEAD', head(target='http://h/a.txt'), 200),
        refused('9112-3.2', 'the absolute form without Host', get(target='http://h/a.txt', host=None)),
        refused('9110-4.2.1', 'the absolute form with an empty host', get(target='http:///a.txt')),
        refused('9110-4.2.1', 'the absolute form with a port only', get(target='http://:80/a.txt')),
        refused('9110-4.2.4', 'the absolute form with a user', get(target='http://u:p@h/a.txt')),
        refused('9112-3.2.2', 'the absolute form with a bad port', get(target='http://h:99999/a.txt')),
        refused('9112-3.2.2', 'the absolute form with a fragment', get(target='http://h/a.txt#x')),
        row('9110-7.4', 'https over an open connection', get(target='https://h/a.txt'), (400, 421)),
        row('9110-7.4', 'a scheme that is not served', get(target='ftp://h/a.txt'), (400, 404, 421)),
        row('9110-7.4', 'a URN', get(target='urn:a.txt'), (400, 404, 421)),
        row('9112-3.2.3', 'the authority form with GET', get(target='h:80'), 400),
        row('9112-3.2.4', 'the asterisk form with GET', get(target='*'), 400),
        row('9112-3.2.4', 'the asterisk form with HEAD', head(target='*'), 400),
        row('9112-3.2.4', 'an asterisk with a query', req('OPTIONS', '*?x'), 400),
        row('9112-3.2.4', 'an asterisk in a path', get(target='/*'), 404),
    ]


class Version(raw.Table):
    ROWS = [
        row('9112-9.3', 'HTTP/1.0 closes', get(version='1.0'), 200, close=True, body=b'0123456789'),
        row('9112-9.3', 'HTTP/1.0 with keep-alive stays', get('Connection: keep-alive', version='1.0'), 200, close=False,
            has={'connection': 'keep-alive'}),
        row('9112-9.3', 'HTTP/1.0 with Keep-Alive in capitals', get('Connection: Keep-Alive', version='1.0'), 200, close=False),
        row('9112-9.3', 'HTTP/1.0 with close', get('Connection: close', version='1.0'), 200, close=True),
        row('9112-3.2', 'HTTP/1.0 needs no Host', get(version='1.0', host=None), 200, close=True),
        row('9112-6.1', 'HTTP/1.0 gets no chunks', get(version='1.0', target='/dir/'), 200, lacks=('transfer-encoding',)),
        row('9110-2.5', 'HTTP/1.0 is answered with 1.1', get(version='1.0'), 200, lines='HTTP/1.1 200 .*'),
        row('9110-2.5', 'HTTP/1.2 is answered as 1.1', get(version='1.2'), 200, close=False),
        row('9110-2.5', 'HTTP/1.9 is answered as 1.1', get(version='1.9'), 200, close=False),
        row('9110-15.6.6', 'HTTP/2.0', get(version='2.0'), 505, close=True, lines='HTTP/1.1 505 .*'),
        row('9110-15.6.6', 'HTTP/3.0', get(version='3.0'), 505),
        row('9110-15.6.6', 'HTTP/9.9', get(version='9.9'), 505),
        row('9110-15.6.6', 'HTTP/0.9 spelled out', get(version='0.9'), (400, 505), close=True),
        row('9112-2.3', 'the preface of HTTP/2', b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', (400, 505), close=True),
        refused('9112-2.3', 'the name in lower case', line('GET /a.txt http/1.1')),
        refused('9112-2.3', 'another name', line('GET /a.txt HTTPS/1.1')),
        refused('9112-2.3', 'a short name', line('GET /a.txt HTP/1.1')),
        refused('9112-2.3', 'no minor version', line('GET /a.txt HTTP/1')),
        refused('9112-2.3', 'an empty minor version', line('GET /a.txt HTTP/1.')),
        refused('9112-2.3', 'two digits', line('GET /a.txt HTTP/1.10')),
        refused('9112-2.3', 'a leading zero', line('GET /a.txt HTTP/01.1')),
        refused('9112-2.3', 'a comma', line('GET /a.txt HTTP/1,1')),
        refused('9112-2.3', 'a sign', line('GET /a.txt HTTP/+1.1')),
        refused('9112-2.3', 'a letter', line('GET /a.txt HTTP/1.x')),
        refused('9112-2.3', 'no number', line('GET /a.txt HTTP/')),
        refused('9112-2.3', 'a space in it', line('GET /a.txt HTTP/ 1.1')),
    ]


class Host(raw.Table):
    ROWS = [
        refused('9112-3.2', 'no Host', get(host=None)),
        refused('9112-3.2', 'two Host fields', get('Host: h')),
        refused('9112-3.2', 'two Host fields that differ', get('Host: other')),
        refused('9112-3.2', 'two Host fields in HTTP/1.0', get('Host: other', version='1.0')),
        refused('9112-3.2', 'two Host fields, one in capitals', get('HOST: h')),
        refused('9112-3.2', 'a list of hosts', get(host='h, other')),
        refused('9112-3.2', 'a space in Host', get(host='h h')),
        refused('9112-3.2', 'a slash in Host', get(host='h/x')),
        refused('9112-3.2', 'a whole URL in Host', get(host='http://h/')),
        refused('9112-3.2', 'a user in Host', get(host='u@h')),
        refused('9112-3.2', 'a question mark in Host', get(host='h?x')),
        refused('9112-3.2', 'a fragment in Host', get(host='h#x')),
        refused('9112-3.2', 'quotes in Host', get(host='"h"')),
        refused('9112-3.2', 'angle brackets in Host', get(host='<h>')),
        refused('9112-3.2', 'a backslash in Host', get(host='h\\x')),
        refused('9112-3.2', '8 bits in Host', get(host='h\xe9')),
        refused('9112-3.2', 'a bad escape in Host', get(host='h%zz')),
        refused('9112-3.2', 'a port that is no number', get(host='h:http')),
        refused('9112-3.2', 'a port with a sign', get(host='h:+80')),
        refused('9112-3.2', 'a port out of range', get(host='h:65536')),
        refused('9112-3.2', 'two ports', get(host='h:80:80')),
        refused('9112-3.2', 'an unfinished IPv6 address', get(host='[::1')),
        refused('9112-3.2', 'an IPv6 address without brackets', get(host='::1')),
        refused('9112-3.2', 'bytes behind an IPv6 address', get(host='[::1]x')),
        refused('9112-3.2', 'an empty pair of brackets', get(host='[]')),
        refused('9112-3.2', 'a bad Host beside the absolute form', get(target='http://h/a.txt', host='a b')),
        row('9112-3.2', 'any name', get(host='www.example.org'), 200, close=False),
        row('9112-3.2', 'a name in capitals', get(host='WWW.EXAMPLE.ORG'), 200),
        row('9112-3.2', 'a name with a port', get(host='h:8005'), 200),
        row('9112-3.2', 'a name with an empty port', get(host='h:'), 200),
        row('9112-3.2', 'a name with a dot at its end', get(host='example.org.'), 200),
        row('9112-3.2', 'an underscore', get(host='a_b'), 200),
        row('9112-3.2', 'an IPv4 address', get(host='127.0.0.1:80'), 200),
        row('9112-3.2', 'an IPv6 address', get(host='[::1]:80'), 200),
        row('9112-3.3', 'an empty Host', get(host=''), (200, 400)),
        row('9112-3.2', 'Host behind other fields', get('Accept: */*', 'Host: h', host=None), 200),
        row('9112-5.1', 'Host without a space', b'GET /a.txt HTTP/1.1\r\nHost:h\r\n\r\n', 200),
        row('9112-5.1', 'Host with white space around', b'GET /a.txt HTTP/1.1\r\nhOsT: \t h\t \r\n\r\n', 200),
    ]


class Fields(raw.Table):
    SPLIT_MAX = 2000
    ROWS = [
        refused('9112-5.1', 'a space before the colon', field('A : b')),
        refused('9112-5.1', 'a tab before the colon', field('A\t: b')),
        refused('9112-5.1', 'a space before the colon of a length', field('Content-Length : 0')),
        refused('9112-5.1', 'a space in a name', field('A B: c')),
        refused('9112-5.2', 'a folded line', field('A: b\r\n c')),
        refused('9112-5.2', 'a line folded with a tab', field('A: b\r\n\tc')),
        refused('9112-5.2', 'a folded line of white space', field('A: b\r\n \t ')),
        refused('9112-5.2', 'a folded Host', b'GET /a.txt HTTP/1.1\r\nHost:\r\n h\r\n\r\n'),
        refused('9112-5.2', 'a folded Transfer-Encoding', field('Transfer-Encoding:\r\n chunked')),
        refused('9110-5.1', 'an empty name', field(': b')),
        refused('9110-5.1', 'no colon', field('nonsense')),
        refused('9110-5.1', 'no colon in the last field', b'GET /a.txt HTTP/1.1\r\nHost: h\r\nX\r\n\r\n'),
        *[refused('9110-5.1', f'{c!r} in a name', field(f'A{c}B: c')) for c in '()<>@,;\\"/[]?={}\x7f\xe9\x01'],
        refused('9110-5.1', 'NUL in a name', field('A\0B: c')),
        refused('9110-5.5', 'NUL in a value', field('A: b\0c')),
        refused('9110-5.5', 'NUL at the end of a value', field('A: b\0')),
        refused('9110-5.5', 'a bare CR in a value', field('A: b\rc')),
        refused('9110-5.5', 'a bare CR in a value that hides a field', field('A: b\rContent-Length: 5')),
        refused('9110-5.5', 'a bare LF in a value', field('A: b\nc: d')),
        refused('9110-5.5', 'a bare LF in a value that hides a field', field('A: b\nTransfer-Encoding: chunked')),
        row('9110-5.5', 'ESC in a value', field('A: \x1b[31m'), (200, 400)),
        row('9110-5.5', 'DEL in a value', field('A: \x7f'), (200, 400)),
        row('9110-5.5', '8 bits in a value', field('A: \xe9\xff'), 200, close=False),
        row('9110-5.5', 'UTF-8 in a value', field('A: \u4e2d'.encode()), 200),
        row('9110-5.5', 'an empty value', field('A:'), 200),
        row('9110-5.5', 'a value of white space', field('A: \t '), 200),
        row('9110-5.5', 'a tab in a value', field('A: b\tc'), 200),
        row('9112-5.1', 'white space around a value', field('Accept:  \t */* \t '), 200),
        row('9110-5.1', 'every character of tokens in a name', field("!#$%&'*+-.^_`|~09Az: b"), 200),
        row('9110-5.1', 'unknown fields are ignored', get('X-Unknown: 1', 'Foo: bar'), 200, close=False),
        row('9110-5.1', 'names in any case', get('iF-nOnE-mAtCh: ETAG'), 304),
        row('9110-5.3', 'one name several times', get(*['Accept: text/plain'] * 5), 200),
        row('9110-5.4', '50 fields', get(*[f'X-{i}: {i}' for i in range(50)]), 200, close=False),
        row('9110-5.4', 'a value of 8000 bytes', get('Cookie: ' + 'c' * 8000), 200, close=False),
        row('9110-5.4', 'a value that is too long', get('Cookie: ' + 'c' * 40000), 431, close=True),
        row('9110-5.4', 'a name that is too long', get('N' * 40000 + ': x'), 431, close=True),
        row('9110-5.4', 'an endless value', b'GET /a.txt HTTP/1.1\r\nHost: h\r\nA: ' + b'x' * 60000, 431, close=True),
        row('9110-5.4', 'an endless name', b'GET /a.txt HTTP/1.1\r\nHost: h\r\n' + b'x' * 60000, (400, 431), close=True),
        row('9110-5.4', 'too many fields', get(*['A: b'] * 1000), 431, close=True),
        row('9110-5.4', 'too many fields, together too long', get(*['A: ' + 'b' * 90] * 2000), 431, close=True),
        row('9110-9.3.2', 'an error without content for HEAD', head(host=None), 400, close=True),
        row('9110-9.3.2', 'a bad field without content for HEAD', b'HEAD /a.txt HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n', 400, close=True),
        row('9110-9.3.2', 'a bad target without content for HEAD', head(target='*'), 400, close=True),
        row('9110-9.3.2', '505 without content for HEAD', head(version='2.0'), 505, close=True),
    ]


class Connection(raw.Table):
    SPLIT_MAX = 2000
    ROWS = [
        row('9112-9.3', 'HTTP/1.1 stays open', get(), 200, close=False),
        row('9112-9.6', 'close', get('Connection: close'), 200, close=True),
        row('9112-9.6', 'close in capitals', get('Connection: CLOSE'), 200, close=True),
        row('9112-9.6', 'close in a list', get('Connection: foo, close'), 200, close=True),
        row('9112-9.6', 'close first in a list', get('Connection: close,foo'), 200, close=True),
        row('9112-9.6', 'close in a second line', get('Connection: foo', 'Connection: close'), 200, close=True),
        row('9112-9.3', 'close goes before keep-alive', get('Connection: keep-alive, close'), 200, close=True),
        row('9110-5.6.1', 'close behind empty elements', get('Connection: ,, ,close,'), 200, close=True),
        row('9112-9.6', 'close is a whole word', get('Connection: closed'), 200, close=False),
        row('9112-9.3', 'keep-alive', get('Connection: keep-alive'), 200, close=False),
        row('9110-7.6.1', 'an unknown option', get('Connection: foo'), 200, close=False),
        row('9110-7.6.1', 'an empty option', get('Connection:'), 200, close=False),
        row('9112-9.6', 'nothing behind close is answered', get('Connection: close') + get(), 200, close=True, split=False),
        row('9112-9.6', 'close with a body that nobody reads', get('Connection: close', 'Content-Length: 5', body=b'hello'), 200,
            close=True),
        row('9112-9.3.2', 'pipelined requests are answered in order', get(target='/nope') + head() + req('PUT', '/a.txt') +
            get('Connection: close'), 404, then=[200, 405, 200], close=True),
        row('9112-9.3.2', '200 pipelined requests', get() * 200, 200, then=[200] * 199, close=False),
        row('9110-7.8', 'Upgrade to what is not spoken is ignored', get('Connection: Upgrade', 'Upgrade: foo/2'), 200, close=False),
        row('9110-7.8', 'Upgrade to h2c is ignored', get('Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'),
            200, close=False),
        row('9110-7.8', 'Upgrade to websocket is ignored', get('Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Key: x'), 200),
        row('9110-7.8', 'Upgrade in HTTP/1.0 is ignored', get('Connection: Upgrade', 'Upgrade: foo', version='1.0'), 200, close=True),
        row('9110-10.1.4', 'TE is no offence', get('TE: trailers, deflate;q=0.5', 'Connection: TE'), 200, close=False),
        row('9110-7.6.2', 'Max-Forwards means nothing here', get('Max-Forwards: 0'), 200, close=False),
        row('9112-9.3', 'an error of the client keeps the connection', get(target='/nope'), 404, close=False),
        row('9112-9.3', '405 keeps the connection', req('DELETE', '/a.txt'), 405, close=False),
    ]

    def check(self, r, c, data):
        if r['name'].startswith('pipelined'):  # answers to several methods
            statuses = [raw.Answer(c, m).status for m in ('GET', 'HEAD', 'PUT', 'GET')]
            self.assertEqual((statuses, c.recv_all()), ([404, 200, 405, 200], b''))
        else:
            super().check(r, c, data)

    def test_the_answer_outlives_what_was_not_read(self):
        """Closing with bytes unread resets the connection and can destroy the answer (RFC 9112 section 9.6)."""
        for data in (b'\0' + b'x' * 500000, get('Connection: close') + get() * 5000,
                     req('PUT', '/a.txt', 'Content-Length: 50000000', body=b'x' * 50000000),
                     req('PUT', '/a.txt', 'Content-Length: 3000000', 'Connection: close', body=b'x' * 300000),
                     get('Content-Length: 400000', version='1.0', body=b'x' * 400000)):
            with self.subTest(data[:60]), harness.Conn(self.server.port) as c:
                try:
                    c.send(data)
                except (BrokenPipeError, ConnectionResetError):
                    self.fail('reset while the request was being sent')
                a = raw.Answer(c, 'GET')
                self.assertEqual(a.get('connection'), 'close')
                self.assertEqual(c.sock.recv(10), b'')  # the end, and no reset

    def test_half_closed_clients_are_answered(self):
        for data, statuses in ((get(), [200]), (get() * 3, [200] * 3), (get('Connection: close'), [200])):
            with harness.Conn(self.server.port) as c:
                c.send(data)
                c.finish()
                self.assertEqual([raw.Answer(c, 'GET').status for _ in statuses], statuses)
                self.assertEqual(c.recv_all(), b'')

    def test_a_head_that_ends_early_is_no_request(self):
        for data in (b'GET', b'GET /a.txt HTTP/1.1\r\n', get()[:-2], get()[:-1]):
            with self.subTest(data), harness.Conn(self.server.port) as c:
                c.send(data)
                c.finish()
                self.assertNotIn(b' 200 ', c.recv_all())

    def test_every_cut_gives_the_same_answer(self):
        data = get('Range: bytes=2-4', 'Connection: close')
        for i in range(1, len(data)):
            with harness.Conn(self.server.port) as c:
                c.send(data[:i])
                c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                c.send(data[i:])
                a = raw.Answer(c, 'GET')
                self.assertEqual((a.status, a.body), (206, b'234'))


class Methods(raw.Table):
    ROWS = [
        row('9110-9.3.1', 'GET', get(), 200, body=b'0123456789', has={'content-length': '10', 'content-type': 'text/plain; charset=utf-8',
            'accept-ranges': 'bytes', 'last-modified': 'Wed, 01 Jan 2020 00:00:00 GMT', 'etag': '"[!#-~]+"'}),
        row('9110-9.3.1', 'GET of an empty file', get(target='/empty.txt'), 200, body=b'', has={'content-length': '0'}),
        row('9110-9.3.1', 'GET of a folder', get(target='/dir/'), 200, has={'content-type': 'text/html; charset=utf-8'}),
        row('9110-9.3.1', 'GET of the root', get(target='/'), 200, body=raw.FILES['index.html']),
        row('9110-9.3.2', 'HEAD', head(), 200, close=False, has={'content-length': '10', 'accept-ranges': 'bytes', 'etag': '"[!#-~]+"'}),
        row('9110-9.3.2', 'HEAD of what is not there', head(target='/nope'), 404, close=False),
        row('9110-9.3.2', 'HEAD of a folder', head(target='/dir/'), 200, close=False),
        row('9110-9.3.2', 'HEAD of a redirection', head(target='/index'), 301, has={'location': '/home'}),
        row('9110-9.3.2', 'HEAD of a fixed answer', head(target='/home'), 200, has={'content-length': '15'}),
        row('9110-9.3.2', 'HEAD in HTTP/1.0', head(version='1.0'), 200, close=True),
        row('9110-9.3.2', 'HEAD with a body', head('Content-Length: 5', body=b'hello'), 200, close=False),
        row('9110-9.3.7', 'OPTIONS *', req('OPTIONS', '*'), (200, 204), close=False, has={'allow': METHODS}),
        row('9110-9.3.7', 'OPTIONS of a file', req('OPTIONS', '/a.txt'), (200, 204), close=False, has={'allow': METHODS}),
        row('9110-9.3.7', 'OPTIONS with a body', req('OPTIONS', '/a.txt', 'Content-Type: text/plain', 'Content-Length: 2', body=b'hi'),
            (200, 204), close=False),
        row('9110-9.3.7', 'OPTIONS with Max-Forwards', req('OPTIONS', '*', 'Max-Forwards: 0'), (200, 204)),
        row('9110-13.2.1', 'OPTIONS ignores preconditions', req('OPTIONS', '/a.txt', 'If-Match: "x"'), (200, 204)),
        row('9110-14.2', 'OPTIONS ignores Range', req('OPTIONS', '/a.txt', 'Range: bytes=0-1'), (200, 204)),
        *[row('9110-9.1', f'{m} is not allowed', req(m, '/a.txt'), 405, close=False, has={'allow': METHODS})
          for m in ('POST', 'PUT', 'DELETE', 'PATCH', 'TRACE')],
        *[row('9110-9.1', f'{m} with a body is not allowed', req(m, '/a.txt', 'Content-Length: 5', body=b'hello'), 405, close=False)
          for m in ('POST', 'PUT', 'DELETE', 'PATCH')],
        row('9110-9.1', 'POST to a fixed answer', req('POST', '/home', 'Content-Length: 0'), 405, has={'allow': METHODS}),
        row('9110-13.2.1', '405 goes before preconditions', req('PUT', '/a.txt', 'If-Match: "x"', 'Content-Length: 0'), 405),
        row('9110-14.5', 'PUT with Content-Range', req('PUT', '/a.txt', 'Content-Range: bytes 0-1/10', 'Content-Length: 2', body=b'ab'), (400, 405)),
        row('9110-9.3.6', 'CONNECT', req('CONNECT', 'h:443'), (400, 405, 501), lacks=('transfer-encoding',)),
        row('9110-9.3.6', 'CONNECT without a port', req('CONNECT', 'h'), 400),
        row('9110-9.3.6', 'CONNECT to an empty port', req('CONNECT', 'h:'), 400),
        row('9110-9.3.6', 'CONNECT to port 0', req('CONNECT', 'h:0'), 400),
        row('9110-9.3.6', 'CONNECT out of range', req('CONNECT', 'h:70000'), 400),
        row('9110-9.3.6', 'CONNECT to a path', req('CONNECT', '/a.txt'), 400),
        row('9110-9.3.6', 'CONNECT to a URL', req('CONNECT', 'http://h:80/'), 400),
        *[row('9110-9.1', f'{m} is not known', req(m, '/a.txt'), 501) for m in ('LINK', 'PROPFIND', 'MKCOL', 'SEARCH', 'X')],
        row('9110-15.4.2', 'a folder without its slash', get(target='/dir'), (301, 308), has={'location': '/dir/'}),
        row('9110-15.4.2', 'a folder without its slash keeps the query', get(target='/dir?x=1&y'), (301, 308), has={'location': r'/dir/\?x=1&y'}),
        row('9110-15.4.2', 'a folder behind two slashes is no other host', get(target='//dir'), (301, 308, 404), has={'location': '/dir/'}),
        row('9110-15.4.2', 'a redirection', get(target='/index'), 301, close=False, has={'location': '/home', 'content-type': 'text/html.*'}),
        row('9110-15.5.5', 'what is not there', get(target='/nope'), 404, close=False, lacks=('etag', 'last-modified')),
        row('9110-12.5.1', 'Accept that nothing fits', get('Accept: image/png'), (200, 406)),
        row('9110-12.5.3', 'Accept-Encoding that is empty', get('Accept-Encoding:'), 200, lacks=('content-encoding',)),
        row('9110-12.5.3', 'Accept-Encoding: identity', get('Accept-Encoding: identity'), 200, lacks=('content-encoding',)),
        row('9110-12.5.3', 'Accept-Encoding: gzip', get('Accept-Encoding: gzip'), 200),
        row('9110-12.5.3', 'Accept-Encoding that forbids all', get('Accept-Encoding: identity;q=0, *;q=0'), (200, 406)),
        row('9110-12.5.4', 'Accept-Language that nothing fits', get('Accept-Language: tlh'), (200, 406)),
        row('9110-10.1.2', 'From is no access control', get('From: somebody@example.org'), 200),
        row('9110-11.4', 'Authorization that nobody asked for', get('Authorization: Basic eDp5'), 200),
        row('9110-14.5', 'Content-Range is ignored with GET', get('Content-Range: bytes 0-1/10'), 200, body=b'0123456789'),
        row('9110-8.4', 'Content-Encoding without content', get('Content-Encoding: gzip'), 200),
    ]

    def test_head_has_the_fields_of_get(self):
        fields = ((), ('If-None-Match: "x"',), ('If-None-Match: ETAG',), ('If-Match: "x"',))
        for target in ('/a.txt', '/', '/dir/', '/dir', '/home', '/index', '/nope', '/empty.txt', '/large.bin'):
            for more in fields:
                answers = []
                for ask, method in ((get, 'GET'), (head, 'HEAD')):
                    with harness.Conn(self.server.port) as c:
                        c.send(ask(*more, target=target).replace(b'ETAG', self.etag))
                        answers.append(raw.Answer(c, method))
                a, b = answers
                a.fields.pop('date'), b.fields.pop('date')
                self.assertEqual((a.status, a.fields), (b.status, b.fields), (target, more))

    def test_own_error_pages_keep_the_fields_of_the_error(self):
        self.file('site/sorry.html', '<p>sorry, this did not work')
        s = self.serve('--error-page', '4xx=/sorry.html')
        for data, status in ((req('PUT', '/a.txt'), 405), (get('Range: bytes=99-'), 416), (get(target='/nope'), 404)):
            with harness.Conn(s.port) as c:
                c.send(data)
                a = raw.Answer(c, 'GET')  # which looks for Allow and Content-Range
                self.assertEqual((a.status, a.body), (status, b'<p>sorry, this did not work'))

    def test_date_moves_on(self):
        def date():
            with harness.Conn(self.server.port) as c:
                c.send(get())
                return raw.Answer(c, 'GET').get('date')
        first = date()
        self.wait_until(lambda: date() != first, 5, 'another second')
        self.assertLess(abs(time.time() - raw.seconds(date())), 2)


if __name__ == '__main__':
    harness.main()
