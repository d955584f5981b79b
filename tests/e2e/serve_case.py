# SPDX-License-Identifier: MIT
"""serve_case.py -- what the tests of l7 serve share."""
import os

import harness


def get(path, *fields, method='GET', version='1.1', host=True):
    head = [f'{method} {path} HTTP/{version}', *(['Host: h'] if host else []), *fields]
    return ('\r\n'.join(head) + '\r\n\r\n').encode()


class Answer:
    def __init__(self, c, method='GET'):
        head = c.recv_until(b'\r\n\r\n').decode('latin-1')
        lines = head.split('\r\n')[:-2]
        self.line, self.status = lines[0], int(lines[0].split()[1])
        self.fields = [tuple(f.split(': ', 1)) for f in lines[1:]]
        self.head = dict((k.lower(), v) for k, v in self.fields)
        self.body = b''
        if method == 'HEAD' or self.status in (204, 304):
            return
        if 'content-length' in self.head:
            self.body = c.recv_exactly(int(self.head['content-length']))
        elif self.head.get('transfer-encoding') == 'chunked':
            while n := int(c.recv_until(b'\r\n'), 16):
                self.body += c.recv_exactly(n)
                c.recv_exactly(2)
            c.recv_until(b'\r\n')
        else:
            self.body = c.recv_all()


class Serve(harness.TestCase):
    args = ()

    def setUp(self):
        self.root = os.path.join(self.tmpdir, 'site')
        self.file('site/index.html', '<!DOCTYPE html><title>home</title>')
        self.file('site/a.txt', '0123456789')
        self.file('site/big.bin', bytes(range(256)) * 4096)
        self.file('site/dir/b & c.txt', 'b')
        self.file('site/.hidden', 'secret')
        self.file('outside.txt', 'secret')
        self.server = self.serve(*self.args)

    def serve(self, *args, root=None):
        return self.start(['serve', root or self.root, '--listen', '127.0.0.1:0', *args])

    def conn(self, server=None):
        c = harness.Conn((server or self.server).port)
        self.addCleanup(c.close)
        return c

    def ask(self, path, *fields, method='GET', server=None, **kw):
        c = self.conn(server)
        c.send(get(path, *fields, 'Connection: close', method=method, **kw))
        return Answer(c, method)
