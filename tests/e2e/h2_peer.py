# SPDX-License-Identifier: MIT
"""h2_peer.py -- an HTTP/2 server in the hands of a test: it reads frames and sends exactly these, well or badly.

    def script(c):                       # a fiber's worth of conversation with one client
        sid = c.request()                # the first HEADERS; SETTINGS are exchanged before
        c.headers(sid, [(':status', '200')])
        c.data(sid, b'hello', end=True)
    H2Peer(self, script).url()
"""
import socket
import struct
import threading

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
WINDOW = 65535


def literal(name, value):
    """RFC 7541 section 6.2.2: never indexed, no Huffman; lengths below 127."""
    name, value = name.encode(), value.encode()
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


def block(fields):
    return b''.join(literal(*f) for f in fields)


class Client:
    """The connection as the server sees it."""

    def __init__(self, sock, settings):
        self.sock, self.file = sock, sock.makefile('rb')
        self.windows = {}      # granted by WINDOW_UPDATE, a stream (0: the connection)
        self.received = []     # every frame: (type, flags, stream, payload)
        assert self.file.read(len(PREFACE)) == PREFACE
        self.frame(SETTINGS, 0, 0, b''.join(struct.pack('>HI', *s) for s in settings))

    def frame(self, kind, flags, stream, payload=b''):
        self.sock.sendall(struct.pack('>I', len(payload))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + payload)

    def read(self):
        """The next frame; SETTINGS are acknowledged and windows counted on the way."""
        head = self.file.read(9)
        if len(head) < 9:
            raise EOFError
        length, (kind, flags), stream = int.from_bytes(head[:3], 'big'), head[3:5], int.from_bytes(head[5:], 'big')
        payload = self.file.read(length)
        self.received.append((kind, flags, stream, payload))
        if kind == SETTINGS and not flags & ACK:
            for i in range(0, length, 6):
                if payload[i:i + 2] == b'\0\4':
                    self.initial_window = int.from_bytes(payload[i + 2:i + 6], 'big')
            self.frame(SETTINGS, ACK, 0)
        if kind == WINDOW_UPDATE:
            self.windows[stream] = self.windows.get(stream, 0) + int.from_bytes(payload, 'big')
        return self.received[-1]

    def until(self, kind, stream=None):
        while True:
            got = self.read()
            if got[0] == kind and stream in (None, got[2]):
                return got

    def request(self):
        return self.until(HEADERS)[2]

    def headers(self, stream, fields, end=False, flags=END_HEADERS):
        self.frame(HEADERS, flags | (END_STREAM if end else 0), stream, block(fields))

    def data(self, stream, data, end=False):
        self.frame(DATA, END_STREAM if end else 0, stream, data)

    def credit(self, stream, increment):
        self.frame(WINDOW_UPDATE, 0, stream, struct.pack('>I', increment))

    def ended(self):
        """Read on until the client closes; how it said goodbye: [(type, stream, code)]."""
        try:
            while True:
                self.read()
        except (EOFError, OSError):
            pass
        return [(k, s, int.from_bytes(p[-4:] if k == RST_STREAM else p[4:8], 'big'))
                for k, _, s, p in self.received if k in (RST_STREAM, GOAWAY)]


class H2Peer:
    def __init__(self, test, script, settings=(), tls=None):
        self.script, self.settings, self.tls = script, settings, tls
        if tls:
            tls.set_alpn_protocols(['h2'])
        self.errors, self.connections = [], 0
        self.socket = socket.create_server(('127.0.0.1', 0))
        self.threads = []
        threading.Thread(target=self._accept, daemon=True).start()
        test.addCleanup(self.socket.close)
        test.addCleanup(self.socket.shutdown, socket.SHUT_RDWR)  # an accept that waits would outlive a close

    def url(self, target='/'):
        return f'{"https" if self.tls else "http"}://127.0.0.1:{self.socket.getsockname()[1]}{target}'

    def _accept(self):
        while True:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            self.threads.append(threading.Thread(target=self._serve, args=(sock,), daemon=True))
            self.threads[-1].start()

    def _serve(self, sock):
        sock.settimeout(20)
        with sock:
            try:
                sock = self.tls.wrap_socket(sock, server_side=True) if self.tls else sock
                self.script(Client(sock, self.settings))
            except (EOFError, OSError):
                pass
            except Exception as e:  # told by check()
                self.errors.append(repr(e))

    def check(self, test):
        for t in self.threads:
            t.join(20)
        test.assertEqual(self.errors, [])
