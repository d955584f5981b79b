# SPDX-License-Identifier: MIT
"""l7 echo: both roles over TCP and UDP, and the programs that learners write for the exercise."""
import os
import socket
import subprocess
import sys
import threading

import harness
import peers

# The client of the exercise, over TCP: no line ends, one recv for each send.
LAB_TCP_CLIENT = """
import sys
from socket import *
s = socket(AF_INET, SOCK_STREAM)
s.connect(('127.0.0.1', int(sys.argv[1])))
print(s.recv(1024).decode().strip())
for word in ('hello', 'bye'):
    s.send(word.encode())
    print(s.recv(1024).decode())
print(repr(s.recv(1024)))
s.close()
"""
# The server of the exercise, over TCP.
LAB_TCP_SERVER = """
from socket import *
s = socket(AF_INET, SOCK_STREAM)
s.bind(('127.0.0.1', 0))
s.listen(1)
print('listening on 127.0.0.1:%d' % s.getsockname()[1], file=__import__('sys').stderr, flush=True)
conn, addr = s.accept()
conn.send(b'Welcome')
while True:
    text = conn.recv(1024).decode()
    if text == 'bye' or not text:
        break
    conn.send(text.upper().encode())
conn.close()
"""
LAB_UDP_SERVER = """
from socket import *
s = socket(AF_INET, SOCK_DGRAM)
s.bind(('127.0.0.1', 0))
print('listening on 127.0.0.1:%d' % s.getsockname()[1], file=__import__('sys').stderr, flush=True)
while True:
    text, client = s.recvfrom(2048)
    if text == b'bye':
        s.sendto(b'I see u.', client)
        break
    s.sendto(text.upper(), client)
"""


def peer(program, *args, input):
    """What a raw client of Debian's prints when it sends `input`."""
    code, out, err = harness.run([str(a) for a in args], input=input, program=peers.path(program), env=peers.env(program))
    if code:
        raise AssertionError(f'{program}: {err}')
    return out


class EchoTcp(harness.TestCase):
    def listen(self, *more):
        return self.start(['echo', 'listen', '--listen', '127.0.0.1:0', *more])

    def connect(self, server):
        s = socket.create_connection(('127.0.0.1', server.port), timeout=10)
        self.addCleanup(s.close)
        self.assertEqual(self.read(s, 8), b'Welcome\n')
        return s

    def read(self, s, n):
        got = b''
        while len(got) < n:
            piece = s.recv(n - len(got))
            self.assertTrue(piece, f'closed after {got!r}')
            got += piece
        return got

    def test_bytes_come_back_before_a_line_ends(self):
        s = self.connect(self.listen())
        s.sendall(b'abc\xc3\xa4z1')
        self.assertEqual(self.read(s, 7), b'ABC\xc3\xa4Z1')

    def test_bye_as_a_whole_line_in_pieces(self):
        s = self.connect(self.listen())
        for piece in (b'say bye now\nb', b'y', b'e\r', b'\nmore'):
            s.sendall(piece)
            upper = piece.upper()
            self.assertEqual(self.read(s, len(upper)), upper)
        self.assertEqual(s.recv(10), b'')

    def test_a_second_client_is_served_while_the_first_is_silent(self):
        server = self.listen('--workers', '1')
        self.connect(server)
        second = self.connect(server)
        second.sendall(b'x')
        self.assertEqual(self.read(second, 1), b'X')

    def test_more_clients_than_allowed_are_closed_at_once(self):
        server = self.listen('--workers', '4', '--max-connections', '2')  # of the process, whichever worker has them
        kept = [self.connect(server) for _ in range(2)]
        self.assertEqual(len(kept), 2)
        for _ in range(8):
            with socket.create_connection(('127.0.0.1', server.port), timeout=10) as s:
                self.assertEqual(s.recv(10), b'')

    def test_a_silent_client_is_dropped(self):
        s = self.connect(self.listen('--idle-timeout', '100ms'))
        self.assertEqual(s.recv(10), b'')

    def test_a_megabyte_both_ways(self):
        server = self.listen()
        data = os.urandom(1 << 20).replace(b'b', b'x').replace(b'\n', b'x')
        with harness.Conn(server.port) as c:
            t = threading.Thread(target=lambda: (c.send(data), c.finish()))
            t.start()
            got = c.recv_all()
            t.join()
        self.assertEqual(got, b'Welcome\n' + data.upper())

    def test_a_client_that_never_reads_holds_nobody_up(self):
        server = self.listen()
        with harness.Conn(server.port) as c:
            c.sock.settimeout(0.5)
            try:
                while True:
                    c.send(b'a' * 65536)
            except TimeoutError:
                pass
            self.assertEqual(harness.dialogue(server.port, b'bye'), b'Welcome\nBYE')

    def test_a_thousand_clients_and_no_descriptor_lost(self):
        server = self.listen()
        harness.dialogue(server.port, b'bye')
        before = server.fd_count()
        conns = [harness.Conn(server.port) for _ in range(1000)]
        for c in conns:
            c.send(b'abc\n')
        for c in conns:
            self.assertEqual(c.recv_exactly(12), b'Welcome\nABC\n')
        for i, c in enumerate(conns):
            c.reset() if i % 2 else c.close()
        self.wait_until(lambda: server.fd_count() <= before, what='the descriptors to be given back')

    def test_the_exercise_client(self):
        server = self.listen()
        got = subprocess.run([sys.executable, '-c', LAB_TCP_CLIENT, str(server.port)], capture_output=True, text=True,
                             timeout=20)
        self.assertEqual(got.stdout, "Welcome\nHELLO\nBYE\nb''\n")

    def test_our_client_in_a_pipe(self):
        server = self.listen()
        code, out, err = harness.run(['echo', '127.0.0.1', str(server.port)], input=b'one\ntwo')
        self.assertEqual((code, out, err), (0, 'Welcome\nONE\nTWO', ''))

    def test_our_client_ends_when_the_server_says_goodbye(self):
        server = self.listen()
        client = self.start(['echo', '127.0.0.1', server.port], wait=False)  # its input stays open
        client.send('bye\n')
        client.wait_for_line('BYE', stream='stdout')
        self.assertEqual(client.wait(), 0)

    def test_our_client_with_the_exercise_server(self):
        server = self.start(['-c', LAB_TCP_SERVER], program=sys.executable)
        code, out, _ = harness.run(['echo', '--no-newline', '127.0.0.1', str(server.port)], input=b'hello\nworld\nbye\n')
        self.assertEqual((code, out), (0, 'Welcome\nHELLO\nWORLD\n'))

    def test_raw_clients(self):
        port = self.listen().port
        for text, answer in (('hello\nbye\n', 'HELLO\nBYE\n'), ('hello', 'HELLO'), ('goodbye\n', 'GOODBYE\n'), ('', '')):
            self.assertEqual(peer('nc.openbsd', '-N', '127.0.0.1', port, input=text), 'Welcome\n' + answer)
            self.assertEqual(peer('socat', '-t5', '-', f'TCP:127.0.0.1:{port}', input=text), 'Welcome\n' + answer)

    def test_nobody_listens(self):
        code, out, err = harness.run(['echo', '127.0.0.1', str(harness.free_port())], input=b'x\n')
        self.assertEqual((code, out), (1, ''))
        self.assertIn('connection refused', err)

    def test_a_busy_port_is_an_error(self):
        server = self.listen()
        code, _, err = harness.run(['echo', 'listen', '--listen', f'127.0.0.1:{server.port}'])
        self.assertEqual(code, 1)
        self.assertIn('address already in use', err)


class EchoUdp(harness.TestCase):
    def listen(self, *more):
        return self.start(['echo', 'listen', '--udp', '--listen', '127.0.0.1:0', *more])

    def ask(self, port, text, timeout=10, bind=0):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(timeout)
            s.bind(('127.0.0.1', bind))
            s.sendto(text, ('127.0.0.1', port))
            return s.recvfrom(65536)[0]

    def test_upper_case_and_bye(self):
        server = self.listen()
        self.assertEqual(self.ask(server.port, b'hello'), b'HELLO')
        self.assertEqual(self.ask(server.port, b''), b'')
        self.assertEqual(self.ask(server.port, b'x' * 40000), b'X' * 40000)
        self.assertEqual(self.ask(server.port, b'bye'), b'I see u.')
        self.assertEqual(self.ask(server.port, b'still here'), b'STILL HERE')

    def test_once_ends_after_bye(self):
        server = self.listen('--once')
        self.assertEqual(self.ask(server.port, b'bye\n'), b'I see u.')
        self.assertEqual(server.wait(), 0)

    def test_two_servers_never_answer_each_other(self):
        server = self.listen()
        # A datagram that claims to come from the server's own port number on another address of this machine.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(('127.0.0.2', server.port))
            s.settimeout(0.2)
            s.sendto(b'loop', ('127.0.0.1', server.port))
            with self.assertRaises(socket.timeout):
                s.recvfrom(100)
        self.assertEqual(self.ask(server.port, b'ok'), b'OK')

    def socket(self, family=socket.AF_INET):
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.settimeout(harness.PATIENCE)
        self.addCleanup(s.close)
        return s

    def talk(self, s, data, port, host='127.0.0.1'):
        s.sendto(data, (host, port))
        return s.recv(65536)

    def test_answers_from_the_address_that_was_asked(self):
        server = self.start(['echo', 'listen', '--udp', '--listen', '0.0.0.0:0'])
        s = self.socket()
        s.connect(('127.0.0.2', server.port))  # only answers from 127.0.0.2 will be seen
        s.send(b'where')
        self.assertEqual(s.recv(100), b'WHERE')

    def test_ipv6(self):
        server = self.start(['echo', 'listen', '--udp', '--listen', '[::1]:0'])
        self.assertEqual(self.talk(self.socket(socket.AF_INET6), b'six', server.port, '::1'), b'SIX')

    def test_raw_clients(self):
        port = self.listen().port
        for text, answer in (('hello\n', 'HELLO\n'), ('bye\n', 'I see u.'), ('bye', 'I see u.')):
            self.assertEqual(peer('nc.openbsd', '-u', '-W', '1', '127.0.0.1', port, input=text), answer)
        self.assertEqual(peer('socat', '-t2', '-', f'UDP:127.0.0.1:{port}', input='bye'), 'I see u.')

    def test_rate_limit(self):
        server = self.start(['echo', 'listen', '--udp', '--listen', '127.0.0.1:0', '--rate-limit', '5'])
        s = self.socket()
        for _ in range(5):
            self.talk(s, b'x', server.port)
        for _ in range(100):
            s.sendto(b'y', ('127.0.0.1', server.port))
        s.settimeout(0.1)
        got = 0
        try:
            while True:
                s.recv(10)
                got += 1
        except TimeoutError:
            pass
        self.assertLess(got, 10)

    def test_our_client(self):
        server = self.listen()
        code, out, _ = harness.run(['echo', '-u', '127.0.0.1', str(server.port)], input=b'one\n\nbye\n')
        self.assertEqual((code, out), (0, 'ONE\n\nI see u.\n'))

    def test_our_client_with_the_exercise_server(self):
        server = self.start(['-c', LAB_UDP_SERVER], program=sys.executable)
        code, out, _ = harness.run(['echo', '-u', '127.0.0.1', str(server.port)], input=b'hello\nbye\n')
        self.assertEqual((code, out), (0, 'HELLO\nI see u.\n'))
        self.assertEqual(server.wait(), 0)

    def test_our_client_gives_up(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(('127.0.0.1', 0))
            code, _, err = harness.run(['echo', '-u', '--timeout', '200ms', '127.0.0.1', str(s.getsockname()[1])], input=b'x\n')
        self.assertEqual(code, 1)
        self.assertIn('no answer', err)


if __name__ == '__main__':
    harness.main()
