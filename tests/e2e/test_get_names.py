#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""From a name to an address as the machine is configured: /etc/hosts, the search list, a name server that is asked
once for what does not exist, one that keeps silent."""
import os
import socket
import struct
import threading
import time

import harness
from get_case import Get
from origin import Origin, answer


class Dns:
    """A name server on loopback: its zone maps names to an address, a list of them, or a function that gives one of these
    for the record type asked for (1 or 28); names that end in .silent get no answer."""

    def __init__(self, test, zone, ttl=60):
        self.zone, self.asked, self.ttl = zone, [], ttl
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(('127.0.0.1', 0))
        self.env = {'L7_NAMESERVERS': f'127.0.0.1:{self.socket.getsockname()[1]}', 'LOCALDOMAIN': ''}
        threading.Thread(target=self._serve, daemon=True).start()
        test.addCleanup(self.socket.close)

    def _serve(self):
        while True:
            try:
                query, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            at, labels = 12, []
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode())
                at += 1 + query[at]
            name, kind = '.'.join(labels).lower(), struct.unpack('>H', query[at + 1:at + 3])[0]
            self.asked.append((name, kind))
            if name.endswith('.silent'):
                continue
            records = self._records(name, kind)
            head = query[:2] + struct.pack('>HHHHH', 0x8180 | (0 if name in self.zone else 3), 1, len(records), 0, 0)
            self.socket.sendto(head + query[12:at + 5] + b''.join(records), peer)

    def _records(self, name, kind):
        found = self.zone.get(name)
        found = found(kind) if callable(found) else found
        family = {1: socket.AF_INET, 28: socket.AF_INET6}.get(kind)
        raw = [socket.inet_pton(family, a) for a in ([found] if isinstance(found, str) else found or [])
               if (':' in a) == (kind == 28)]
        return [b'\xc0\x0c' + struct.pack('>HHIH', kind, 1, self.ttl, len(r)) + r for r in raw]


class Names(Get):
    def setUp(self):
        self.origin = Origin(self, lambda c, r: c.sendall(answer(r.headers['host'])) or True)
        self.dns = Dns(self, {'www.example.test': '127.0.0.1', 'short.corp.test': '127.0.0.1'})

    def url(self, host):
        return f'http://{host}:{self.origin.port}/'

    def test_the_name_server(self):
        self.assertIn('www.example.test', self.ok(self.url('www.example.test'), env=self.dns.env))
        self.wait_until(lambda: len(self.dns.asked) >= 2, what='both questions')  # one answer may do
        self.assertEqual(sorted(self.dns.asked), [('www.example.test', 1), ('www.example.test', 28)])

    def test_the_search_list(self):
        env = {**self.dns.env, 'LOCALDOMAIN': 'nothing.test corp.test'}
        self.assertIn('short:', self.ok(self.url('short'), env=env))
        self.assertIn(('short.nothing.test', 1), self.dns.asked)
        self.fails('short.: .*|short', self.url('short.'), env=env)  # a final dot: exactly this name

    def test_what_does_not_exist_is_asked_for_once(self):
        got, _, err = self.get(*[self.url('none.example.test')] * 5, env=self.dns.env)
        self.assertEqual((got, err.count('\n'), err.count('host name not found')), (1, 5, 5), err)
        self.assertEqual(len([q for q in self.dns.asked if q == ('none.example.test', 1)]), 1)

    def test_a_silent_name_server(self):
        begin = time.monotonic()
        self.fails('looking up x.silent', '--connect-timeout', '0.3', self.url('x.silent'), env=self.dns.env)
        self.assertLess(time.monotonic() - begin, 5)

    def test_the_hosts_file(self):
        """In a mount namespace of its own, where /etc/hosts is ours."""
        hosts = self.file('hosts', '127.0.0.1 localhost\n127.0.0.1 by-hosts.test also.test # comment\n')
        for name in ('by-hosts.test', 'also.test'):
            script = f'mount --bind {hosts} /etc/hosts && exec {harness.L7} get {self.url(name)}'
            user = [] if os.getuid() == 0 else ['-r']
            got = harness.run(['-m', *user, 'sh', '-c', script], program='unshare', env=self.dns.env)
            self.assertEqual(got, (0, f'{name}:{self.origin.port}', ''))
        self.assertEqual([q for q in self.dns.asked if q[1] == 1], [])


if __name__ == '__main__':
    harness.main()
