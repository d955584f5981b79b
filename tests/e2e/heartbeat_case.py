# SPDX-License-Identifier: MIT
"""heartbeat_case.py -- what the tests of l7 heartbeat share.

Packets are built here from docs/heartbeat-protocol.md, not by the program under test.
"""
import hashlib
import hmac
import json
import re
import socket
import struct
import time

import harness

SECRET = b'correct horse battery staple'


def beat(name='node', sequence=1, incarnation=1, sent=None, interval=0.1, goodbye=False, key=None, key_id=0):
    name = name.encode() if isinstance(name, str) else name
    flags = (1 if key else 0) | (2 if goodbye else 0)
    sent = time.time() if sent is None else sent
    p = b'L7HB' + bytes([1, 1, flags, len(name)]) + struct.pack('>QQqq', incarnation, sequence, int(sent * 1e9),
                                                                 int(interval * 1e9)) + name
    return seal(p, key, key_id) if key else p


def seal(p, key, key_id=0):
    p += struct.pack('>I', key_id)
    return p + hmac.new(key, p, hashlib.sha256).digest()[:16]


def question(start=0, nonce=7, size=1232, key=None):
    p = b'L7HB' + bytes([1, 2, 1 if key else 0, 0]) + struct.pack('>QI', nonce, start)
    p += bytes(size - len(p) - (20 if key else 0))
    return seal(p, key) if key else p


class Heartbeat(harness.TestCase):
    def listen(self, *more, events=True):
        self.listener = self.start(['heartbeat', 'listen', '--listen', '127.0.0.1:0', '--workers', '2',
                                    *(['--json'] if events else ['--quiet']), *more])
        self.port = self.listener.port
        return self.listener

    def socket(self):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(10)
        s.connect(('127.0.0.1', self.port))
        self.addCleanup(s.close)
        return s

    def table(self, *more):
        code, out, err = self.run_l7(['heartbeat', 'watch', f'127.0.0.1:{self.port}', '--json', '--count', '1', *more])
        self.assertEqual(code, 0, err)
        return {r['id']: r for r in map(json.loads, out.splitlines())}

    def wait_for(self, name, **fields):
        def right():
            row = self.table().get(name)
            return row if row and all(row[k] == v for k, v in fields.items()) else None
        return self.wait_until(right, what=f'{name} with {fields}')

    def left_out(self, sender):
        """Beats that a sender (with --verbose) missed because the machine was busy: those are rightly counted as lost."""
        sent = [int(n) for n in re.findall(r'sent (\d+)', sender.stdout())]
        return sent[-1] - len(set(sent))  # a goodbye is said three times

    def deaths(self, timeout_ms, die, names=('m1', 'm2', 'm3', 'm4', 'm5')):
        """`die(name)` sends the last beats of each, one after the other. None is reported down too early, none said to have
        been silent for longer than it was, and the best of them is as good as the machine may be when it is not busy."""
        began, silent = {}, {}
        for name in names:
            began[name] = time.monotonic()
            die(name)
            time.sleep(timeout_ms / 1000 / len(names))  # apart, so that not all of them fall into one pause of the machine
        for name in names:
            line = self.listener.wait_for_line(f'"event":"down".*"id":"{name}".*', 'stdout').string
            silent[name] = json.loads(line)['silent_ms']
            self.assertTrue(timeout_ms <= silent[name] <= (time.monotonic() - began[name]) * 1000, (name, silent))
        self.assertLess(min(silent.values()), timeout_ms + 200)

    def events(self, listener=None):
        return [json.loads(line) for line in (listener or self.listener).stdout().split('\n')[:-1]]
