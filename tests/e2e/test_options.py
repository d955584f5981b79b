# SPDX-License-Identifier: MIT
"""Every option of serve, echo and lab: a test that fails when the option does nothing, and one clear line for a wrong value."""
import glob
import os
import re
import signal
import socket
import time

import harness
import raw
from raw import get, head, req
from serve_case import Serve

# Where an option is tested when it is not here; `Options.test_every_option_has_a_test` holds this against --help.
ELSEWHERE = {
    'serve': {
        'listing': 'Files.test_listing_escapes_and_leads_to_the_file', 'dotfiles': 'Files.test_dotfiles_when_asked',
        'respond': 'Fixed.test_fixed_routes', 'redirect': 'Fixed.test_fixed_routes', 'error-page': 'Fixed.test_error_page',
        'spa': 'Fixed.test_spa_answers_for_what_does_not_exist', 'cache-control': 'Fixed.test_cache_control',
        'serial': 'Clients.test_serial_serves_one_at_a_time', 'accept-lf': 'Strictness.test_accept_lf',
        'max-connections': 'Clients.test_the_limit_of_connections_is_one_for_all_workers',
        'max-connections-per-client': 'Clients.test_limits_of_connections', 'access-log': 'Running.test_access_log',
        'log-format': 'Running.test_access_log_as_json', 'tls-cert': 'Tls.test_requests_over_one_connection_and_a_large_file',
        'tls-key': 'Tls.test_requests_over_one_connection_and_a_large_file', 'tls-auto': 'Tls.test_automatic_certificate',
        'metrics': 'Running.test_metrics', 'user': 'Files.test_unreadable_file'},
    'echo': {'udp': 'EchoUdp.test_our_client', 'no-newline': 'EchoTcp.test_our_client_with_the_exercise_server',
             'timeout': 'EchoUdp.test_our_client_gives_up'},
    'echo listen': {
        'udp': 'EchoUdp.test_upper_case_and_bye', 'once': 'EchoUdp.test_once_ends_after_bye', 'rate-limit': 'EchoUdp.test_rate_limit',
        'max-connections': 'EchoTcp.test_more_clients_than_allowed_are_closed_at_once',
        'idle-timeout': 'EchoTcp.test_a_silent_client_is_dropped', 'user': 'Daemon.test_gives_up_root', 'metrics': 'Daemon.test_metrics'},
    'lab': {'random-ports': 'Lab.test_a_clash_is_named'},
}
COMMON = {'config': 'Daemon.test_configuration_file', 'help': 'Daemon.test_help_and_version', 'version': 'Daemon.test_help_and_version'}


def options(role):
    """The long options in --help."""
    text = harness.run([*role.split(), '--help'])[1]
    return set(re.findall(r'(?<![\w(])--([a-z][a-z-]+)', text.split('\n\n', 1)[1].rsplit('Common:', 1)[0])) | COMMON.keys()


def threads(process):
    return len(os.listdir(f'/proc/{process.pid}/task'))


def answer(port, data, method='GET'):
    with harness.Conn(port) as c:
        c.send(data)
        return raw.Answer(c, method)


class Options(harness.TestCase):
    def test_every_option_has_a_test(self):
        there = set()
        for path in glob.glob(os.path.join(harness.ROOT, 'tests/e2e/test_*.py')):
            holder = None
            with open(path) as f:
                for line in f:
                    if m := re.match(r'class (\w+)|    def (test_\w+)', line):
                        holder = m[1] or holder
                        there.add(f'{holder}.{m[2]}')
        classes = {'serve': ServeOptions, 'echo': EchoOptions, 'echo listen': EchoListenOptions, 'lab': LabOptions}
        for role, tests in classes.items():
            elsewhere = {**COMMON, **ELSEWHERE[role]}
            found = options(role)
            self.assertGreater(len(found), 5)
            for option in found:
                here = 'test_' + option.replace('-', '_')
                self.assertTrue(hasattr(tests, here) != (option in elsewhere), f'l7 {role} --{option} wants one test')
                self.assertTrue(hasattr(tests, here) or elsewhere[option] in there, f'{elsewhere.get(option)} does not exist')
            self.assertLessEqual(set(elsewhere), found)

    def wrong(self, status, args, words):
        with self.subTest(args):
            code, out, err = harness.run(args)
            self.assertEqual((code, out, err.count('\n')), (status, '', 1), err)
            self.assertTrue(err.startswith('l7'), err)
            self.assertIn(words, err)

    def test_wrong_values_of_serve(self):
        for option, values in {
                'max-connections': ('x', '-1', '1.5'), 'max-connections-per-client': ('x', '-1'), 'max-header': ('x', '1', '1G', '-1K'),
                'max-body': ('x', '-1', '1X'), 'header-timeout': ('x', '0', '-1s', '5 parsecs'), 'body-timeout': ('x', '0'),
                'idle-timeout': ('x', '0s'), 'log-format': ('xml', ''), 'workers': ('x', '-1', '2x'), 'drain': ('x', '-1s'),
                'error-page': ('404', '40=/x', '404=x', '200=/x', '=/x'), 'respond': ('x', 'x=y', ''), 'redirect': ('/x', '/x=', 'x=/y'),
                'cache-control': ('a\nb', 'a\r\nX: y'), 'tls-cert': ('/x',), 'tls-key': ('/x',), 'keylog': ('/x',),
                'listen': ('x', ':x', '127.0.0.1:99999', '1.2.3.4.5:1', ''), 'metrics': ('x', '127.0.0.1:99999'),
                'user': ('no-such-user',)}.items():
            for value in values:
                self.wrong(2, ['serve', self.tmpdir, '--listen', '127.0.0.1:0', f'--{option}={value}'], '')

    def test_wrong_values_of_echo(self):
        for args in (['listen', '--max-connections', 'x'], ['listen', '--idle-timeout', '0'], ['listen', '--idle-timeout', 'x'],
                     ['listen', '--rate-limit', '5'], ['listen', '--once'], ['listen', '--udp', '--rate-limit', 'x'], ['listen', '--workers=x'],
                     ['listen', 'x'], [], ['h', '0'], ['h', '65536'], ['h', 'x'], ['h', '1', 'x'], ['h', '--timeout', 'x'], ['h', '--timeout', '0']):
            self.wrong(2, ['echo', *args], '')

    def test_wrong_usage_of_lab(self):
        for args in (['x'], ['--workers', 'x'], ['--drain', 'x'], ['--listen', ':1']):
            self.wrong(2, ['lab', *args], '')

    def test_what_cannot_be_served(self):
        path, other = self.file('file'), os.path.join(self.tmpdir, 'absent')
        self.wrong(2, ['serve', other], f'{other}: there is no such folder')
        self.wrong(2, ['serve', path], f'{path}: this is not a folder')
        self.wrong(2, ['serve', self.tmpdir, 'more'], 'too many arguments')
        self.wrong(1, ['serve', self.tmpdir, '--access-log', '/dev/null/x'], '/dev/null/x')
        self.wrong(1, ['serve', self.tmpdir, '--trace=/dev/null/x'], '/dev/null/x')
        self.wrong(1, ['serve', self.tmpdir, '--listen', '127.0.0.1:0', '--tls-cert', other, '--tls-key', other], other)
        self.wrong(2, ['serve', '--config', other], other)

    def test_a_port_that_somebody_holds(self):
        for args in (['serve', self.tmpdir, '--listen', '127.0.0.1:0'], ['echo', 'listen', '--listen', '127.0.0.1:0']):
            held = self.start(args)
            for again in (['serve', self.tmpdir], ['echo', 'listen'], ['serve', self.tmpdir, '--listen', '127.0.0.1:0', '--metrics']):
                address = f'127.0.0.1:{held.port}'
                self.wrong(1, [*again, *([address] if again[-1] == '--metrics' else ['--listen', address])], f'{address}: address already in use')
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            s.listen()
            self.wrong(1, ['serve', self.tmpdir, '--listen', f'127.0.0.1:{s.getsockname()[1]}'], 'address already in use')

    def test_did_you_mean(self):
        for args, words in ((['serv'], 'serve'), (['serve', '--lisen=:1'], '--listen'), (['serve', '--dot-files'], '--dotfiles'),
                            (['help', 'serv'], 'serve'), (['echo', 'listen', '--onec'], '--once'), (['lab', '--random-prots'], '--random-ports')):
            self.wrong(2, args, f'(did you mean {words}?)')

    def test_help_is_that_of_the_option(self):
        for role in ELSEWHERE:
            code, out, err = harness.run(['help', *role.split()])
            self.assertEqual((code, err), (0, ''))
            self.assertEqual(out, harness.run([*role.split(), '--help'])[1])
        self.assertIn('serve', harness.run(['help'])[1])

    def test_no_colour_in_a_pipe_and_none_when_asked_for_none(self):
        for env in ({'NO_COLOR': '', 'TERM': 'xterm'}, {'NO_COLOR': '1', 'TERM': 'xterm', 'CLICOLOR_FORCE': '1'}):
            for args in (['help'], ['serve', '--help'], ['serve', '--nonsense']):
                self.assertNotIn('\x1b', ''.join(harness.run(args, env=env)[1:]))


class ServeOptions(Serve):
    def test_index(self):
        self.file('site/first.html', '<p>first')
        self.file('site/dir/second.html', '<p>second')
        s = self.serve('--index', 'first.html', '--index', 'second.html')
        self.assertEqual(self.ask('/', server=s).body, b'<p>first')
        self.assertEqual(self.ask('/dir/', server=s).body, b'<p>second')

    def test_max_header(self):
        s = self.serve('--max-header', '1K')
        self.assertEqual(answer(s.port, get('A: ' + 'x' * 900)).status, 200)
        self.assertEqual(answer(s.port, get('A: ' + 'x' * 1100)).status, 431)
        self.assertEqual(answer(self.server.port, get('A: ' + 'x' * 30000)).status, 200)
        self.assertEqual(answer(self.serve('--max-header', '64K').port, get('A: ' + 'x' * 60000)).status, 200)

    def test_max_body(self):
        s = self.serve('--max-body', '10')
        self.assertEqual(answer(s.port, get('Content-Length: 10', body=b'x' * 10)).status, 200)
        self.assertEqual(answer(s.port, get('Content-Length: 11', body=b'x' * 11)).status, 413)
        self.assertEqual(answer(s.port, get('Content-Length: 1000000')).status, 413)  # at once
        self.assertEqual(answer(s.port, get('Transfer-Encoding: chunked', body=b'b\r\n' + b'x' * 11 + b'\r\n0\r\n\r\n')).status, 413)

    def ends_after(self, seconds, server, data, status):
        start = time.monotonic()
        with harness.Conn(server.port) as c:
            c.send(data)
            if status:
                self.assertEqual(raw.Answer(c, 'GET').status, status)
            self.assertEqual(c.recv_all(), b'')
        self.assertGreater(time.monotonic() - start, seconds * 0.9)
        self.assertLess(time.monotonic() - start, seconds + 5)

    def test_header_timeout(self):
        self.ends_after(0.3, self.serve('--header-timeout', '300ms'), b'GET / HT', 408)

    def test_body_timeout(self):
        self.ends_after(0.3, self.serve('--body-timeout', '300ms'), get('Content-Length: 9', body=b'x'), 408)

    def test_idle_timeout(self):
        self.ends_after(0.3, self.serve('--idle-timeout', '300ms'), get(), 200)

    def test_keylog(self):
        path = os.path.join(self.tmpdir, 'keys')
        state = {'XDG_STATE_HOME': self.tmpdir + '/state', 'HOME': self.tmpdir}
        s = self.start(['serve', self.root, '--listen', '127.0.0.1:0', '--tls-auto', '--keylog', path], env=state)
        code, out, err = harness.run(['-sSk', f'https://127.0.0.1:{s.port}/a.txt'], program='curl')
        self.assertEqual((code, out), (0, '0123456789'), err)
        with open(path) as f:
            self.assertRegex(f.read(), r'(?m)^SERVER_TRAFFIC_SECRET_0 [0-9a-f]{64} [0-9a-f]{64,}$')

    def dialogue(self, *options):
        """What a trace to a file holds of one request with a secret."""
        path = os.path.join(self.tmpdir, 'trace')
        s = self.serve(f'--trace={path}', *options)
        answer(s.port, get('Authorization: Basic c2VjcmV0', 'Connection: close'))
        s.stop()
        with open(path) as f:
            return f.read()

    def test_trace(self):
        text = self.dialogue()
        for part in (r'C: GET /a\.txt HTTP/1\.1', r'S: HTTP/1\.1 200 OK', r'C: Authorization: '):
            self.assertRegex(text, part)
        self.assertNotIn('c2VjcmV0', text)
        s = self.serve('--trace')
        answer(s.port, get())
        s.wait_for_line(r'C: GET /a\.txt')

    def test_trace_secrets(self):
        self.assertIn('c2VjcmV0', self.dialogue('--trace-secrets'))

    def test_listen(self):
        s = self.start(['serve', self.root, '-l', '127.0.0.1:0', '--listen', '[::1]:0', '--listen', f'127.0.0.2:{(port := harness.free_port())}'])
        s.wait_for_line(r'listening on 127\.0\.0\.2')
        hosts = [harness.split_addr(a) for a in re.findall(r'listening on (\S+)', s.stderr())]
        self.assertEqual([h for h, _ in hosts], ['127.0.0.1', '::1', '127.0.0.2'])
        self.assertEqual(hosts[2][1], port)
        for host, port in hosts:
            self.assertIn(b'0123456789', harness.dialogue(port, get('Connection: close'), host=host))

    def test_workers(self):
        self.assertEqual(threads(self.serve('--workers', '4')) - threads(self.serve('--workers', '1')), 3)

    def test_drain(self):
        self.file('site/huge', b'x' * (64 << 20))
        for options, least, most in ((('--drain', '300ms'), 0.25, 5), ((), None, None)):
            s = self.serve(*options)
            c = self.conn(s)
            c.send(get(target='/huge'))
            c.recv_until(b'\r\n\r\n')
            start = time.monotonic()
            s.send_signal(signal.SIGTERM)
            if least is None:  # 30 s by default: the second signal does not wait for them
                self.wait_until(lambda: self.refuses(s.port), what='no more connections')
                self.assertTrue(s.alive())
                s.send_signal(signal.SIGTERM)
            self.assertEqual(s.wait(10), 0)
            took = time.monotonic() - start
            self.assertTrue(least is None or least < took < most, took)

    def refuses(self, port):
        try:
            socket.create_connection(('127.0.0.1', port), 5).close()
        except ConnectionRefusedError:
            return True
        return False

    def test_every_long_option_is_a_key(self):
        """One of each kind in l7.conf: text, list, flag, number, size, duration, choice."""
        log = os.path.join(self.tmpdir, 'log')
        conf = self.file('l7.conf', f"""
[serve]
listen = 127.0.0.1:0
workers = 1
respond = /home=hello, network.
respond = /away=bye
redirect = /index=/home
listing = no
dotfiles = yes
cache-control = max-age=7
max-header = 1K
header-timeout = 1s
log-format = json
access-log = {log}
""")
        s = self.start(['serve', self.root, '--config', conf])
        self.assertEqual(self.ask('/home', server=s).body, b'hello, network.')
        self.assertEqual(self.ask('/away', server=s).body, b'bye')
        self.assertEqual(self.ask('/index', server=s).head['location'], '/home')
        self.assertEqual(self.ask('/dir/', server=s).status, 404)
        self.assertEqual(self.ask('/.hidden', server=s).body, b'secret')
        self.assertEqual(self.ask('/a.txt', server=s).head['cache-control'], 'max-age=7')
        self.assertEqual(answer(s.port, get('A: ' + 'x' * 1100)).status, 431)
        self.ends_after(1, s, b'GET', 408)
        self.assertEqual(s.stop(), 0)
        with open(log) as f:
            self.assertTrue(f.readline().startswith('{'))

    def test_options_together(self):
        lost = b'<p>lost and never found'
        self.file('site/lost.html', lost)
        s = self.serve('--spa', 'index.html', '--error-page', '4xx=/lost.html', '--no-listing', '--cache-control', 'no-store',
                       '--respond', '/eq=a=b&c=d', '--respond', '/page=<p>hi', '--redirect', '/out=https://example.org/?a=b')
        self.assertIn(b'home', self.ask('/some/route', server=s).body)
        self.assertEqual((self.ask('/lost.js', server=s).status, self.ask('/lost.js', server=s).body), (404, lost))
        self.assertEqual(self.ask('/eq', server=s).body, b'a=b&c=d')
        self.assertEqual(self.ask('/page', server=s).head['content-type'], 'text/html; charset=utf-8')
        self.assertEqual(self.ask('/out', server=s).head['location'], 'https://example.org/?a=b')
        self.assertEqual(answer(s.port, head(target='/page'), 'HEAD').get('content-length'), '5')
        self.assertEqual(answer(s.port, req('PUT', '/eq'), 'PUT').body, lost)
        serial = self.serve('--serial', '--workers', '4')
        self.assertEqual(threads(serial), threads(self.serve('--workers', '1')))  # one at a time means one worker
        os.unlink(os.path.join(self.root, 'index.html'))
        for dotfiles, shown in ((), False), (('--dotfiles',), True):
            self.assertEqual(b'.hidden' in self.ask('/', server=self.serve(*dotfiles)).body, shown)

    def test_access_log_off_and_on_stderr(self):
        off = self.serve('--access-log', 'off')
        self.ask('/a.txt', server=off)
        self.ask('/a.txt')
        self.server.wait_for_line('"GET /a.txt HTTP/1.1" 200 10')
        off.stop()
        self.assertNotIn('GET /a.txt', off.stderr())


class EchoOptions(harness.TestCase):
    def test_trace(self):
        s = self.start(['echo', 'listen', '--listen', '127.0.0.1:0'])
        code, out, err = harness.run(['echo', '127.0.0.1', s.port, '--trace'], input='hello\n')
        self.assertEqual((code, out), (0, 'Welcome\nHELLO\n'))
        self.assertRegex(err, r'C: hello\n(.|\n)*S: HELLO')


class EchoListenOptions(harness.TestCase):
    def listen(self, *options):
        return self.start(['echo', 'listen', '--listen', '127.0.0.1:0', *options])

    def test_trace(self):
        path = os.path.join(self.tmpdir, 'trace')
        s = self.listen(f'--trace={path}')
        harness.dialogue(s.port, b'bye\n')
        s.stop()
        with open(path) as f:
            self.assertRegex(f.read(), r'S: Welcome\n(.|\n)*C: bye\n(.|\n)*S: BYE')

    def test_listen(self):
        for kind, options in ((socket.SOCK_STREAM, ()), (socket.SOCK_DGRAM, ('--udp',))):
            s = self.start(['echo', 'listen', *options, '-l', '127.0.0.1:0', '--listen', '[::1]:0'])
            s.wait_for_line('listening on .*::1')
            for host, port in (harness.split_addr(a) for a in re.findall(r'listening on (\S+)', s.stderr())):
                with socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET, kind) as c:
                    c.settimeout(harness.PATIENCE)
                    c.connect((host, port))
                    c.send(b'hello')
                    got = b''
                    while not got.endswith(b'HELLO'):
                        got += c.recv(100)

    def test_workers(self):
        self.assertEqual(threads(self.listen('--workers', '4')) - threads(self.listen('--workers', '1')), 3)

    def test_drain(self):
        s = self.listen('--drain', '300ms')
        with harness.Conn(s.port) as c:
            c.send(b'hello')
            self.assertEqual(c.recv_exactly(13), b'Welcome\nHELLO')
            start = time.monotonic()
            s.send_signal(signal.SIGTERM)
            self.assertEqual(s.wait(10), 0)
            self.assertLess(time.monotonic() - start, 5)

    def test_no_limit_of_connections(self):
        s = self.listen('--max-connections', '0')
        self.assertEqual(harness.dialogue(s.port, b'bye'), b'Welcome\nBYE')


class LabOptions(harness.TestCase):
    def lab(self, *options):
        env = {'TMPDIR': self.tmpdir, 'XDG_STATE_HOME': os.path.join(self.tmpdir, 'state')}
        lab = self.start(['lab', *(options if '--config' in options else ('--random-ports', *options))], env=env)
        lab.wait_for_line('', stream='stdout')
        return lab

    def test_workers(self):
        self.assertEqual(threads(self.lab('--workers', '4')) - threads(self.lab('--workers', '1')), 3)

    def test_configuration_file(self):
        lab = self.lab('--config', self.file('l7.conf', '[lab]\nrandom-ports = yes\nworkers = 1\n'))
        self.assertNotEqual(lab.addr('web')[1], 8005)
        self.assertEqual(threads(lab), threads(self.lab('--workers', '1')))

    def test_drain(self):
        lab = self.lab('--drain', '300ms')
        with harness.Conn(lab.addr('echo')[1]) as c:
            self.assertEqual(c.recv_exactly(8), b'Welcome\n')
            start = time.monotonic()
            lab.send_signal(signal.SIGTERM)
            self.assertEqual(lab.wait(10), 0)
            self.assertLess(time.monotonic() - start, 5)


if __name__ == '__main__':
    harness.main()
