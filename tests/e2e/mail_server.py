# SPDX-License-Identifier: MIT
"""mail_server.py -- SMTP servers that follow a script, for what no real server would do."""
import socket
import threading

STOP_READING = object()  # leave the connection open and read nothing more, until the test ends


class Scripted:
    """Serves one connection. A script is a list: a string is said; (PREFIX, ANSWER) waits for a line that starts with
    PREFIX ('' for any bytes) and answers."""

    def __init__(self, test, script):
        self.script, self.bytes = script, bytearray()
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        test.addCleanup(self.close)

    def run(self):
        try:
            conn, _ = self.listener.accept()
        except OSError:
            return
        with conn:
            try:
                self.play(conn)
            except OSError:
                pass

    def play(self, conn):
        rest = b''
        for step in self.script:
            if step is STOP_READING:
                self.over.wait(30)
                return
            if isinstance(step, tuple):
                prefix, answer = step
                while b'\n' not in rest:
                    got = conn.recv(4096)
                    if not got:
                        return
                    self.bytes += got
                    rest += got
                line, _, rest = rest.partition(b'\n')
                if not line.startswith(prefix.encode()):
                    return
                step = answer
            conn.sendall(step.encode() + b'\r\n')
        while True:
            got = conn.recv(4096)
            if not got:
                return
            self.bytes += got

    def heard(self):
        """What the client said, once it has closed."""
        self.thread.join(10)
        return bytes(self.bytes)

    def close(self):
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)  # an accept that waits would outlive a close
        self.listener.close()
        self.thread.join(10)
