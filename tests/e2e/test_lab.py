# SPDX-License-Identifier: MIT
"""l7 lab: every part answers on its own port, and nothing is left behind."""
import glob
import os
import signal
import socket
import unittest

import harness


class Lab(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = harness.tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.state = folder.name  # one authority for all tests: making it takes a while

    def lab(self):
        temp = self.enterContext(harness.tempfile.TemporaryDirectory())
        return self.start(['lab', '--random-ports'], env={'TMPDIR': temp, 'XDG_STATE_HOME': self.state}), temp

    def fetch(self, lab, path):
        head = f'GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'.encode()
        return harness.dialogue(lab.addr('web')[1], head)

    def test_the_exercise_routes(self):
        lab, _ = self.lab()
        self.assertTrue(self.fetch(lab, '/home').endswith(b'hello, network.\n'))
        moved = self.fetch(lab, '/index')
        self.assertTrue(moved.startswith(b'HTTP/1.1 301 '))
        self.assertIn(b'\r\nLocation: /home\r\n', moved)
        self.assertTrue(self.fetch(lab, '/missing').startswith(b'HTTP/1.1 404 '))

    def test_the_site(self):
        lab, _ = self.lab()
        for name in ('index.html', 'several.html', 'several.js', 'style.css', 'layers.svg'):
            with open(os.path.join(harness.ROOT, 'src/web/site', name), 'rb') as f:
                self.assertTrue(self.fetch(lab, f'/{name}').endswith(b'\r\n\r\n' + f.read()), name)
        self.assertIn(b'The application layer', self.fetch(lab, '/'))

    def test_line_feeds_of_the_exercise_clients(self):
        lab, _ = self.lab()
        got = harness.dialogue(lab.addr('web')[1], b'GET /home HTTP/1.1\nHost: localhost\nConnection: close\n\n')
        self.assertTrue(got.startswith(b'HTTP/1.1 200 '))

    def ask_udp(self, port, text):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(10)
            s.sendto(text, ('127.0.0.1', port))
            return s.recv(2000)

    def test_every_part_answers(self):
        lab, _ = self.lab()
        self.assertEqual(harness.dialogue(lab.addr('echo')[1], b'bye\n'), b'Welcome\nBYE\n')
        self.assertEqual(self.ask_udp(lab.addr('echo-udp')[1], b'hello'), b'HELLO')
        self.assertEqual(self.ask_udp(lab.addr('ping')[1], b'Ping 1 0.5'), b'Ping 1 0.5')
        port = lab.addr('heartbeat')[1]
        code, _, err = harness.run(['heartbeat', 'send', '127.0.0.1', port, '--id', 'tester', '--count', '1'])
        self.assertEqual((code, err), (0, ''))
        harness.wait_until(lambda: b'tester' in self.ask_udp(port, b'online'), what='the beat in the list')

    def test_the_proxy_fetches_from_the_web_server(self):
        lab, _ = self.lab()
        web = '%s:%d' % lab.addr('web')
        head = f'GET http://{web}/home HTTP/1.1\r\nHost: {web}\r\nConnection: close\r\n\r\n'.encode()
        self.assertTrue(harness.dialogue(lab.addr('proxy')[1], head).endswith(b'hello, network.\n'))

    def test_https_with_the_local_authority(self):
        lab, _ = self.lab()
        ca = os.path.join(self.state, 'l7/tls/ca.pem')
        code, out, err = harness.run(['get', '-s', '--ca', ca, f'https://localhost:{lab.addr("https")[1]}/home'])
        self.assertEqual((code, out), (0, 'hello, network.\n'), err)

    def test_mail_is_taken(self):
        lab, _ = self.lab()
        code, _, err = harness.run(['mail', 'send', '--server', '%s:%d' % lab.addr('mail'), '--from', 'a@example.org',
                                    '--to', 'b@example.org', '--subject', 'hello', '--body', '-'], input='hello\n')
        self.assertEqual(code, 0, err)
        lab.wait_for_line('b@example.org', stream='stdout')

    def test_nothing_is_left_behind(self):
        lab, temp = self.lab()
        self.assertEqual(len(glob.glob(temp + '/l7-lab-*')), 1)
        lab.send_signal(signal.SIGINT)
        self.assertEqual(lab.wait(), 0)
        self.assertEqual(os.listdir(temp), [])

    def test_a_clash_is_named(self):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier lab in TIME_WAIT
            try:
                s.bind(('127.0.0.1', 8005))
                s.listen()
            except OSError:
                pass  # somebody else holds the port: as good
            code, _, err = harness.run(['lab'])
        self.assertEqual(code, 1)
        self.assertIn('127.0.0.1:8005', err)
        self.assertIn('--random-ports', err)


if __name__ == '__main__':
    unittest.main()
