# SPDX-License-Identifier: MIT
"""ping_case.py -- what the tests of l7 ping share."""
import json
import socket
import struct
import threading

import harness


IP_RECVTTL = 12  # Linux's numbers, which Python's socket module lacks
SO_TIMESTAMPNS = 35


class Server:
    """A UDP server in a thread: `answer(data, n)` gives the list of datagrams to send back; n counts from 1. `came` says when
    the kernel got each, in seconds since 1970."""

    def __init__(self, test, answer, family=socket.AF_INET):
        self.answer, self.seen, self.tos, self.ttl, self.came = answer, [], [], [], []
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        self.sock.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.sock.bind(('127.0.0.1', 0))
        self.port = self.sock.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        test.addCleanup(self.close)

    def run(self):
        while True:
            try:
                data, control, _, peer = self.sock.recvmsg(65536, 256)
            except OSError:
                return
            if data == b'stop' and peer[1] == self.port:
                return
            for level, kind, value in control:
                if (level, kind) == (socket.IPPROTO_IP, socket.IP_TOS):
                    self.tos.append(value[0])
                elif (level, kind) == (socket.IPPROTO_IP, socket.IP_TTL):
                    self.ttl.append(struct.unpack('i', value[:4])[0])
                elif (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
                    s, ns = struct.unpack('@ll', value)
                    self.came.append(s + ns / 1e9)
            self.seen.append(data)
            for reply in self.answer(data, len(self.seen)):
                self.sock.sendto(reply, peer)

    def close(self):
        self.sock.sendto(b'stop', ('127.0.0.1', self.port))
        self.thread.join(5)
        self.sock.close()


class Case(harness.TestCase):
    def listener(self, *args, stamp=False):
        more = ['--stamp', '127.0.0.1:0'] if stamp else []
        return self.start(['ping', 'listen', '--listen', '127.0.0.1:0', *more, *args])

    def ping(self, *args, status=0, timeout=60):
        code, out, err = self.run_l7(['ping', *args], timeout=timeout)
        self.assertEqual(code, status, out + err)
        return out

    def lines(self, *args, **kw):
        """The objects of ping --json: (all but the summaries, the last summary)."""
        objects = [json.loads(line) for line in self.ping('--json', *args, **kw).splitlines()]
        return [o for o in objects if o['type'] != 'summary'], objects[-1]

    def truth(self, listener):
        """The listener's own counters, which it prints at its end."""
        self.assertEqual(listener.stop(), 0)
        return json.loads(listener.stdout())

    def client(self, port=0, host='127.0.0.1'):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((host, port))
        s.settimeout(harness.PATIENCE)
        self.addCleanup(s.close)
        return s

    def queued(self, port):
        total = 0
        with open('/proc/net/udp') as f:
            for line in f:
                fields = line.split()
                if fields[1].endswith(f':{port:04X}'):
                    total += int(fields[4].split(':')[1], 16)
        return total
