# SPDX-License-Identifier: MIT
"""l7 lab: every service answers on the address that it printed."""
import re
import signal
import socket
import time
import urllib.error
import urllib.request

import harness


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Lab(harness.TestCase):
    def setUp(self):
        self.lab = self.start(['lab', '--random-ports'])
        self.lab.wait_for_line('Ctrl-C ends it all', stream='stdout')

    def get(self, service, path, headers=None, method='GET'):
        host, port = self.lab.addr(service)
        opener = urllib.request.build_opener(NoRedirect, urllib.request.ProxyHandler({}))
        request = urllib.request.Request(f'http://{host}:{port}{path}', headers=headers or {}, method=method)
        try:
            with opener.open(request, timeout=harness.PATIENCE) as r:
                return r.status, r.headers, r.read()
        except urllib.error.HTTPError as e:
            return e.code, e.headers, e.read()

    def test_the_exercise_routes(self):
        status, headers, body = self.get('site', '/home')
        self.assertEqual((status, body), (200, b'hello, network.\n'))
        status, headers, _ = self.get('site', '/index')
        self.assertEqual((status, headers['Location']), (301, '/home'))
        status, _, body = self.get('site', '/missing')
        self.assertEqual(status, 404)
        self.assertIn(b'404', body)

    def test_every_file_that_the_pages_name_is_there(self):
        seen = set()
        for page in ('/', '/several.html'):
            status, headers, body = self.get('site', page)
            self.assertEqual((status, headers.get_content_type()), (200, 'text/html'))
            for name in re.findall(r'(?:src|href)="([^"#:]+)"', body.decode()):
                seen.add('/' + name.removeprefix('./').lstrip('/').split('?')[0])
        self.assertGreaterEqual(len(seen), 5)
        for path in seen - {'/missing', '/index'}:
            self.assertEqual(self.get('site', path)[0], 200, path)

    def test_a_reload_is_304(self):
        status, headers, body = self.get('site', '/layers.svg')
        self.assertEqual((status, headers.get_content_type()), (200, 'image/svg+xml'))
        status, again, nothing = self.get('site', '/layers.svg', {'If-None-Match': headers['ETag']})
        self.assertEqual((status, nothing, again['ETag']), (304, b'', headers['ETag']))
        status, head, nothing = self.get('site', '/layers.svg', method='HEAD')
        self.assertEqual((status, nothing, int(head['Content-Length'])), (200, b'', len(body)))

    def test_methods(self):
        status, headers, _ = self.get('site', '/home', method='DELETE')
        self.assertEqual((status, headers['Allow']), (405, 'GET, HEAD, OPTIONS'))
        status, headers, _ = self.get('site', '/home', method='OPTIONS')
        self.assertEqual((status, headers['Allow']), (204, 'GET, HEAD, OPTIONS'))

    def test_line_feeds_alone_are_taken(self):
        got = harness.dialogue(self.lab.addr('site')[1], b'GET /home HTTP/1.1\nHost: x\nConnection: close\n\n')
        self.assertTrue(got.startswith(b'HTTP/1.1 200 '), got)

    def test_the_overview_names_every_address(self):
        _, _, body = self.get('page', '/')
        for service in ('page', 'site', 'ping', 'stamp', 'heartbeat', 'echo', 'echo-udp'):
            host, port = self.lab.addr(service)
            self.assertIn(str(port), body.decode(), service)

    def test_the_clients_reach_their_servers(self):
        for service, args, expect in (
                ('ping', ['ping', '-c', '2', '-i', '10ms'], r'2 (packets )?(transmitted|sent).* 2 received'),
                ('stamp', ['ping', '--stamp', '-c', '2', '-i', '10ms'], r'2 (packets )?(transmitted|sent).* 2 received'),
                ('heartbeat', ['heartbeat', 'send', '--id', 'me', '--count', '1'], '^'),
                ('echo', ['echo'], 'HELLO'),
                ('echo-udp', ['echo', '--udp'], 'HELLO')):
            host, port = self.lab.addr(service)
            code, out, err = harness.run([*args, host, port], input='hello\n')
            self.assertEqual(code, 0, f'{service}: {out}{err}')
            self.assertRegex(out, expect, service)

    def test_a_beat_is_in_the_list(self):
        host, port = self.lab.addr('heartbeat')
        harness.run(['heartbeat', 'send', '--id', 'somebody', '--count', '1', host, port])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(harness.PATIENCE)
            s.sendto(b'online', (host, port))
            self.assertIn(b'somebody', s.recv(2000))

    def test_ends_at_once_on_ctrl_c(self):
        with harness.Conn(self.lab.addr('echo')[1]) as c:
            c.recv_until(b'Welcome')
            start = time.monotonic()
            self.assertEqual(self.lab.stop(signal.SIGINT), 0)
            self.assertLess(time.monotonic() - start, 5)


class Ports(harness.TestCase):
    def test_a_taken_port_is_named(self):
        with socket.socket() as s:
            try:
                s.bind(('127.0.0.1', 8007))
                s.listen()
            except OSError:
                pass  # somebody else holds it: as good
            code, out, err = harness.run(['lab'])
        self.assertEqual((code, out), (1, ''))
        self.assertIn('127.0.0.1:8007', err)
        self.assertIn('--random-ports', err)


if __name__ == '__main__':
    harness.main()
