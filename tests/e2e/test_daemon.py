# SPDX-License-Identifier: MIT
"""What every daemon does, shown with the smallest one: addresses, signals, privileges, l7.conf, systemd."""
import glob
import os
import re
import signal
import socket

import harness


class Daemon(harness.TestCase):
    """What every daemon does, shown with the smallest one."""
    LISTEN = ['echo', 'listen', '--listen', '127.0.0.1:0']

    def test_help_and_version(self):
        code, out, err = harness.run(['echo', 'listen', '--help'])
        self.assertEqual((code, err), (0, ''))
        self.assertIn('--idle-timeout TIME', out)
        self.assertLess(out.count('\n'), 50)
        self.assertRegex(harness.run(['--version'])[1], r'^l7 \d+\.\d+\.\d+\n$')

    def test_every_role_is_listed(self):
        defined, shown = set(), harness.run(['help'])[1]
        for f in glob.glob(os.path.join(harness.ROOT, 'src/cmd/*.c')):
            with open(f) as source:
                text = source.read()
            for body in re.findall(r'^const struct opt_role \w+ = \{(.*?)^\};', text, re.M | re.S):
                tool, role = (re.search(rf'\.{k} = "([\w-]+)"', body) for k in ('tool', 'role'))
                defined.add(f'{tool[1]} {role[1]}' if role else tool[1])
        self.assertGreater(len(defined), 5)
        for name in defined:
            self.assertRegex(shown, rf'(?m)^  {name}  ')
            self.assertEqual(harness.run([*name.split(), '--help'])[0], 0)

    def test_help_about_what_is_not_there(self):
        self.assertEqual(harness.run(['help', 'help']), harness.run(['help']))
        for words, message in ((['serve', 'extra'], 'l7: serve has no roles: l7 help serve\n'), (['echo', 'lisen'], "l7: echo has no 'lisen' (did you mean listen?)\n"),
                               (['echo', 'nope'], 'l7: echo wants one of: listen\n'), (['nope'], "l7: there is no tool 'nope' (l7 help lists them)\n")):
            self.assertEqual(harness.run(['help', *words]), (2, '', message))

    def test_help_man_page_and_completion_know_the_same_options(self):
        def options(text):
            return set(re.findall(r'(?<![\w(-])--([a-z][a-z0-9-]+)', text.replace('\\', '')))
        for name in (line[2:21].split() for line in harness.run(['help'])[1].split('\n') if line.startswith('  ')):
            shown = options(harness.run([*name, '--help'])[1].split('\n\n', 1)[1])
            offered = options(harness.run(['help', '--words', *name])[1])
            self.assertGreater(len(offered), 3, name)
            self.assertLessEqual(offered, shown, name)
            self.assertLessEqual(offered, options(harness.run(['help', '--man', name[0]])[1]), name)

    def test_completion(self):
        script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); compopt() { :; }; _l7; printf "%s\\n" "${COMPREPLY[@]}"'
        for typed, offered in ((['ser'], 'serve'), (['serve', '--lis'], '--listen=\n--listing'), (['echo', 'lis'], 'listen'), (['echo', 'listen', '--onc'], '--once'),
                               (['help', 'he'], 'heartbeat\nhelp'), (['heartbeat', 'send', '--i'], '--interval=\n--id=')):
            code, out, err = harness.run(['-c', script, 'bash', os.path.join(harness.ROOT, 'completions/l7.bash'), harness.L7, *typed], program='bash')
            self.assertEqual((code, sorted(out.split()), err), (0, sorted(offered.split()), ''), typed)

    def test_every_help_fits_one_screen(self):
        for line in harness.run(['help'])[1].split('\n'):
            if line.startswith('  '):
                name = line[2:21].split()
                text = harness.run([*name, '--help'], env={'COLUMNS': '100'})[1]
                self.assertLessEqual(text.count('\n'), 52, f'{name}: {text}')

    def test_usage_errors(self):
        for args, message in (
                (['echo', 'listen', '--lisen', ':1'], 'l7 echo listen: there is no option --lisen (did you mean --listen?)\n'),
                (['ehco', 'listen'], "l7: there is no tool 'ehco' (did you mean echo?)\n"),
                (['echo', 'listen', 'x'], 'too many arguments'),
                (['echo', 'listen', '--workers', '-1'], '--workers'),
                (['echo', 'listen', '--listen', 'nonsense:1'], "'nonsense"),
                (['echo', 'listen', '--user', 'no-such-user', '--listen', '127.0.0.1:0'], 'no-such-user')):
            code, out, err = harness.run(args)
            self.assertEqual((code, out), (2, ''), args)
            self.assertIn(message, err)
            self.assertEqual(err.count('\n'), 1, err)

    def test_a_port_in_use(self):
        first = self.start(self.LISTEN)
        code, _, err = harness.run(['echo', 'listen', '--listen', f'127.0.0.1:{first.port}'])
        self.assertEqual(code, 1)
        self.assertIn(f'127.0.0.1:{first.port}: address already in use', err)
        self.assertEqual(harness.dialogue(first.port, b'bye'), b'Welcome\nBYE')

    def test_starts_again_at_once(self):
        port = harness.free_port()
        for _ in range(3):
            s = self.start(['echo', 'listen', '--listen', f'127.0.0.1:{port}'])
            harness.dialogue(port, b'bye')
            self.assertEqual(s.stop(), 0)

    def test_stops_on_each_signal(self):
        for sig in (signal.SIGTERM, signal.SIGINT):
            s = self.start(self.LISTEN)
            with harness.Conn(s.port) as c:
                c.recv_exactly(8)
                self.assertEqual(s.stop(sig), 0)

    def test_gives_up_root(self):
        if os.getuid() != 0:
            return self.assertNotEqual(harness.run([*self.LISTEN, '--user', 'nobody'])[0], 0)
        s = self.start([*self.LISTEN, '--user', 'nobody'])
        with open(f'/proc/{s.pid}/status') as f:
            status = f.read()
        self.assertNotIn('0', status.split('Uid:')[1].split()[:4])
        self.assertRegex(status, r'NoNewPrivs:\s*1')
        self.assertEqual(harness.dialogue(s.port, b'bye'), b'Welcome\nBYE')

    def test_configuration_file(self):
        conf = self.file('l7.conf', '# a comment\n[echo listen]\nlisten = 127.0.0.1:0\nworkers = 1\nmax-connections = 1\n')
        s = self.start(['echo', 'listen', '--config', conf])
        with harness.Conn(s.port) as c:
            c.recv_exactly(8)
            self.assertEqual(harness.dialogue(s.port, []), b'')
        s = self.start(['echo', 'listen', '--config', conf, '--max-connections', '2'])  # the command line wins
        with harness.Conn(s.port) as c:
            c.recv_exactly(8)
            self.assertEqual(harness.dialogue(s.port, b'bye'), b'Welcome\nBYE')

    def test_configuration_is_found(self):
        self.file('conf/l7.conf', '[echo]\nlisten = 127.0.0.1:0\n')
        self.start(['echo', 'listen'], env={'XDG_CONFIG_HOME': self.tmpdir + '/conf'})

    def test_configuration_errors(self):
        for text, message in (('[echo]\n\nlistne = 1\n', ":3: there is no key 'listne' in [echo] (did you mean 'listen'?)"),
                              ('[ecko]\nlisten = 1\n', ':2: there is no tool for section [ecko]'),
                              ('listen = 1\n', ":1: 'listen' stands before the first [section]"),
                              ('[echo]\nnonsense\n', ":2: neither '[section]' nor 'key = value'"),
                              ('[echo]\nconfig = x\n', ":2: there is no key 'config'"),
                              ('[echo]\nidle-timeout = soon\n', ":2: --idle-timeout: 'soon' is not a duration")):
            conf = self.file('bad.conf', text)
            code, _, err = harness.run(['echo', 'listen', '--config', conf])
            self.assertEqual(code, 2, err)
            self.assertIn(conf + message, err)
        code, _, err = harness.run(['echo', 'listen', '--config', '/dev/null/absent'])
        self.assertEqual((code, err), (2, 'l7 echo listen: /dev/null/absent: not found\n'))
        code, _, err = harness.run(['echo', 'listen', '--config', self.tmpdir])
        self.assertEqual((code, err), (2, f'l7 echo listen: {self.tmpdir}: this is a folder\n'))

    def test_speaks_to_systemd(self):
        path = os.path.join(self.tmpdir, 'notify')
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as n:
            n.bind(path)
            n.settimeout(harness.PATIENCE)
            s = self.start(self.LISTEN, env={'NOTIFY_SOCKET': path})
            self.assertEqual(n.recv(100), b'READY=1')
            s.send_signal(signal.SIGHUP)
            self.assertRegex(n.recv(100), rb'^RELOADING=1\nMONOTONIC_USEC=\d+$')
            self.assertEqual(n.recv(100), b'READY=1')
            self.assertEqual(s.stop(), 0)
            self.assertEqual(n.recv(100), b'STOPPING=1')

    def test_socket_activation(self):
        with socket.socket() as passed:
            passed.bind(('127.0.0.1', 0))
            passed.listen()
            # sh makes the pid that LISTEN_PID must name, and hands the socket on as descriptor 3
            script = f'exec 3<&{passed.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" echo listen'
            os.set_inheritable(passed.fileno(), True)
            p = harness.Process(['sh', '-c', script, harness.L7], env=harness.environment(), pass_fds=[passed.fileno()])
            self.addCleanup(p.stop)
            self.assertEqual(p.port, passed.getsockname()[1])
            self.assertEqual(harness.dialogue(p.port, b'bye'), b'Welcome\nBYE')
            self.assertEqual(p.stop(), 0)

    def test_a_passed_socket_outlives_the_server(self):
        with socket.socket() as passed:
            passed.bind(('127.0.0.1', 0))
            passed.listen()
            port = passed.getsockname()[1]
            os.set_inheritable(passed.fileno(), True)
            script = f'exec 3<&{passed.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" serve "$1"'
            for _ in range(2):  # what came while the first was away is served by the second
                p = harness.Process(['sh', '-c', script, harness.L7, self.tmpdir], env=harness.environment(), pass_fds=[passed.fileno()])
                self.addCleanup(p.stop)
                self.assertEqual(p.port, port)
                with harness.Conn(port) as c:
                    c.send(b'GET / HTTP/1.1\r\nHost: h\r\n\r\n')
                    self.assertIn(b'200 OK', c.recv_until(b'\r\n'))
                self.assertEqual(p.stop(), 0)
                harness.Conn(port).close()

    def test_metrics(self):
        s = self.start([*self.LISTEN, '--metrics', '127.0.0.1:0'])
        harness.dialogue(s.port, b'bye')
        port = s.addr('metrics')[1]
        self.assertNotEqual(port, s.port)
        got = harness.dialogue(port, b'GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n').decode()
        head, body = got.split('\r\n\r\n', 1)
        self.assertIn('HTTP/1.1 200 ', head)
        self.assertIn('application/openmetrics-text; version=1.0.0', head)
        self.assertIn('l7_connections_accepted_total', body)
        self.assertTrue(body.endswith('# EOF\n'), body)
        got = harness.dialogue(port, b'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
        self.assertIn(b' 404 ', got.split(b'\r\n')[0])
        got = harness.dialogue(port, b'POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
        self.assertIn(b' 405 ', got.split(b'\r\n')[0])
        self.assertEqual(s.stop(), 0)

    def test_fibers_are_listed(self):
        s = self.start(self.LISTEN)
        with harness.Conn(s.port) as c:
            c.recv_exactly(8)
            s.send_signal(signal.SIGUSR2)
            s.wait_for_line('echo')


if __name__ == '__main__':
    harness.main()
