# SPDX-License-Identifier: MIT
"""origin.py -- an HTTP/1 server in the hands of a test: it says exactly these bytes, well or badly.

    origin = Origin(self, lambda c, r: c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok'))
    origin.url('/a'), origin.requests[0].headers['host']

The handler is called for each request of a connection with the socket and the request (method, target, headers in
lower case, body, head as sent, raw: every byte). It returns true to be called again on the same connection, else that is closed.
"""
import socket
import ssl
import threading


class Request:
    def __init__(self, head, body):
        lines = head.decode('latin-1').split('\r\n')
        self.head = head
        self.method, self.target, self.version = lines[0].split(' ', 2)
        self.fields = [tuple(p.strip() for p in line.split(':', 1)) for line in lines[1:] if line]
        self.headers = {k.lower(): v for k, v in self.fields}
        self.body = body
        self.raw = head + b'\r\n\r\n' + body


def exactly(file, n):
    data = file.read(n)
    if len(data) < n:
        raise EOFError
    return data


def read_chunked(file, request):
    body, raw, n = [], [request.raw], -1
    while n:
        line = file.readline()
        n = int(line.split(b';')[0], 16)
        body.append(exactly(file, n))
        raw += line, body[-1], exactly(file, 2) if n else b''
    while line != b'\r\n':  # trailers
        line = file.readline()
        if not line:
            raise EOFError
        raw.append(line)
    request.body, request.raw = b''.join(body), b''.join(raw)


def read_request(file):
    head = b''
    while not head.endswith(b'\r\n\r\n'):
        line = file.readline()
        if not line:
            return None
        head += line
    request = Request(head[:-4], b'')
    if 'content-length' in request.headers:
        request.body = exactly(file, int(request.headers['content-length']))
        request.raw += request.body
    elif request.headers.get('transfer-encoding', '') == 'chunked':
        read_chunked(file, request)
    return request


class Origin:
    def __init__(self, test, handler, tls=None, family=socket.AF_INET, path=None):
        self.handler = handler
        self.tls = tls
        self.requests = []
        self.connections = 0
        self.socket = socket.socket(family)
        self.socket.bind(path or ('127.0.0.1' if family == socket.AF_INET else '::1', 0))
        self.socket.listen(64)
        self.port = None if path else self.socket.getsockname()[1]
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()
        test.addCleanup(self.close)

    def url(self, target='/', host='127.0.0.1'):
        return f'{"https" if self.tls else "http"}://{host}:{self.port}{target}'

    def close(self):
        for s in [self.socket] + self.open:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def _accept(self):
        while True:
            try:
                conn, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(conn)
            threading.Thread(target=self._serve, args=(conn, self.connections), daemon=True).start()

    def _serve(self, conn, number):
        try:
            if self.tls:
                conn = self.tls.wrap_socket(conn, server_side=True)
                self.open.append(conn)
            with conn.makefile('rb') as file:
                while True:
                    request = read_request(file)
                    if request is None:
                        break
                    request.connection = number
                    self.requests.append(request)
                    if not self.handler(conn, request):
                        break
        except (OSError, ssl.SSLError, ValueError, EOFError):
            pass
        try:
            conn.shutdown(socket.SHUT_WR)  # a close with unread bytes would be a reset
        except OSError:
            pass
        conn.close()


def answer(body=b'', status='200 OK', **fields):
    """A handler's whole answer; keyword names become field names (Content_Type='text/plain')."""
    if isinstance(body, str):
        body = body.encode()
    lines = [f'HTTP/1.1 {status}'] + [f'{k.replace("_", "-")}: {v}' for k, v in fields.items()]
    if not any(k.lower() == 'content_length' for k in fields):
        lines.append(f'Content-Length: {len(body)}')
    return '\r\n'.join(lines).encode() + b'\r\n\r\n' + body
