# SPDX-License-Identifier: MIT
"""harness.py -- what every end-to-end test stands on: it starts the real program, finds the address that it
printed, talks to it over real sockets, and always ends what it started, by process id.

    import harness

    class Echo(harness.TestCase):
        def test_greets(self):
            server = self.start(['echo', 'listen', '--listen', '127.0.0.1:0'])
            self.assertEqual(harness.dialogue(server.port, b'bye\\n'), b'Welcome\\r\\nbye\\r\\n')

A daemon prints "listening on ADDR:PORT" on stderr for each address, with a name in brackets behind all but its main
one: "listening on 127.0.0.1:9100 (metrics)". Ask for port 0 and read the real one from Process.addr(name).
Nothing here sleeps to synchronise: it waits for lines, for bytes, or polls a condition with a deadline.
"""
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get('L7_BUILD', os.path.join(ROOT, 'build')))
L7 = os.path.join(BUILD, 'l7')
LISTENING = re.compile(r'listening on (\S+?)(?: \(([\w-]+)\))?\s*$')
REPORTS = ('AddressSanitizer', 'ThreadSanitizer', 'LeakSanitizer', 'runtime error:', 'l7: bug:')
with open(os.path.join(BUILD, 'meson-info', 'intro-buildoptions.json'), encoding='utf-8') as built:
    SANITIZED = next(o['value'] for o in json.load(built) if o['name'] == 'b_sanitize') != 'none'
PATIENCE = float(os.environ.get('L7_PATIENCE', '20'))  # seconds; raised for sanitizer builds


def wait_until(cond, timeout=PATIENCE, what='the condition'):
    """Poll `cond` until it gives something true, and return that; the last look is taken when the time is over."""
    end = time.monotonic() + timeout
    while True:
        over = time.monotonic() > end
        got = cond()
        if got:
            return got
        if over:
            raise AssertionError(f'{what} did not come true within {timeout:g} s')
        time.sleep(0.01)


CLAIMS = []  # of the ports that free_port gave


def free_port(kind=socket.SOCK_STREAM):
    """A loopback port that nobody holds, for peers that cannot choose one themselves and for where nobody shall listen.

    It is kept for this process until its end: it lies below those that the kernel gives to whoever asks for any, and a
    local socket with its number in the name keeps it from other tests.
    """
    with open('/proc/sys/net/ipv4/ip_local_port_range', encoding='ascii') as f:
        lowest = int(f.read().split()[0])
    while True:
        port, claim = random.randrange(16384, max(lowest, 20000)), socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f'\0l7-test-port-{port}')
            with socket.socket(socket.AF_INET, kind) as s:
                s.bind(('127.0.0.1', port))
        except OSError:
            claim.close()
            continue
        CLAIMS.append(claim)
        return port


def many_descriptors(wanted):
    """Let this process hold `wanted` more of them, or as many as it may; how many that is (at least 900)."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    got = min(wanted, hard - 100)
    if got < 900:
        raise AssertionError(f'the descriptor limit is too low for this test: {hard}')
    return got


def split_addr(text):
    """'127.0.0.1:80' or '[::1]:80' -> (host, port)"""
    host, port = text.rsplit(':', 1)
    return host.strip('[]'), int(port)


class Process:
    """A running program; its output is collected by threads from the start."""

    def __init__(self, argv, env=None, cwd=None, stdin=None, name=None, pass_fds=()):
        self.argv = argv
        self.name = name or os.path.basename(argv[0])
        self._p = subprocess.Popen(argv, stdin=subprocess.PIPE if stdin is None else stdin, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=env, cwd=cwd, start_new_session=True, pass_fds=pass_fds)
        self.pid = self._p.pid
        self._changed = threading.Condition()
        self._data = {'stdout': bytearray(), 'stderr': bytearray()}
        self._open = 2
        self._readers = [threading.Thread(target=self._collect, args=(w,), daemon=True) for w in self._data]
        for r in self._readers:
            r.start()

    def _collect(self, which):
        pipe = getattr(self._p, which)
        while True:
            got = os.read(pipe.fileno(), 65536)
            with self._changed:
                if got:
                    self._data[which] += got
                else:
                    self._open -= 1
                self._changed.notify_all()
            if not got:
                return

    def stdout(self):
        return self._data['stdout'].decode('utf-8', 'replace')

    def stderr(self):
        return self._data['stderr'].decode('utf-8', 'replace')

    def stdout_bytes(self):
        return bytes(self._data['stdout'])

    def wait_for_line(self, pattern, stream='stderr', timeout=PATIENCE, count=1):
        """The match of the `count`-th whole line that `pattern` (searched for) is found in."""
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                text = self._data[stream].decode('utf-8', 'replace')
                lines = text.split('\n')[:-1] if self._open else text.split('\n')
                found = [m for m in (re.search(pattern, line) for line in lines) if m]
                if len(found) >= count:
                    return found[count - 1]
                if not self._open:
                    raise AssertionError(f'{self} ended without the line {pattern!r}:\n{self.stdout()}{self.stderr()}')
                if not self._changed.wait(max(0, end - time.monotonic())) and time.monotonic() > end:
                    raise AssertionError(f'{self}: no line {pattern!r} in {timeout:g} s:\n{self.stdout()}{self.stderr()}')

    def addr(self, name=None, timeout=PATIENCE):
        """(host, port) of the address printed as "listening on ADDR:PORT (name)"; None: the first one without a name."""
        tail = rf' \({re.escape(name)}\)' if name else ''
        return split_addr(self.wait_for_line(rf'listening on (\S+){tail}\s*$', timeout=timeout).group(1))

    @property
    def port(self):
        return self.addr()[1]

    @property
    def url(self):
        host, port = self.addr()
        return f'http://{"[%s]" % host if ":" in host else host}:{port}'

    def send(self, data):
        self._p.stdin.write(data if isinstance(data, bytes) else data.encode())
        self._p.stdin.flush()

    def close_stdin(self):
        if self._p.stdin:
            self._p.stdin.close()

    def send_signal(self, sig):
        os.kill(self.pid, sig)

    def alive(self):
        return self._p.poll() is None

    def wait(self, timeout=PATIENCE):
        """Wait for the end; the exit status (negative: the signal)."""
        code = self._p.wait(timeout)
        for r in self._readers:
            r.join(timeout)
        return code

    def stop(self, sig=signal.SIGTERM, timeout=PATIENCE):
        """End it with `sig`, the hard way when that does not help; the exit status."""
        if self.alive():
            self.send_signal(sig)
        try:
            code = self._p.wait(timeout)
        except subprocess.TimeoutExpired:
            self._p.kill()
            code = self._p.wait()
        try:
            os.killpg(self.pid, signal.SIGKILL)  # children that it left behind (its own session)
        except (ProcessLookupError, PermissionError):
            pass
        for r in self._readers:
            r.join(timeout)
        for pipe in (self._p.stdin, self._p.stdout, self._p.stderr):
            if pipe:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass
        return code

    def fd_count(self):
        return len(os.listdir(f'/proc/{self.pid}/fd'))

    def peak_memory(self):
        """The most it has had resident so far, in MiB. Sanitizers multiply it."""
        with open(f'/proc/{self.pid}/status', encoding='ascii') as f:
            return int(next(line for line in f if line.startswith('VmHWM')).split()[1]) / 1024

    def cpu(self):
        """User and system time used so far, in seconds."""
        with open(f'/proc/{self.pid}/stat') as f:
            fields = f.read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def __str__(self):
        return f'{self.name} (pid {self.pid}: {" ".join(map(str, self.argv[1:]))[:120]})'


def environment(extra=None):
    """A clean environment: no proxies, no user configuration, C locale with UTF-8."""
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith('_proxy')}
    env.update(LC_ALL='C.UTF-8', XDG_CONFIG_HOME='/proc/nonexistent', NO_COLOR='1')
    env.pop('SSLKEYLOGFILE', None)
    env.pop('NOTIFY_SOCKET', None)
    env.update(extra or {})
    return env


def run(args, input=None, timeout=PATIENCE, env=None, cwd=None, program=L7, text=True):
    """Run `l7 ARGS` (or another program) to its end: (exit status, stdout, stderr)."""
    if isinstance(input, str):
        input = input.encode()
    p = subprocess.run([program, *map(str, args)], input=input if input is not None else b'', timeout=timeout,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(env), cwd=cwd)
    err = p.stderr.decode('utf-8', 'replace')
    if program == L7:
        check_report(f'l7 {" ".join(map(str, args))}', p.returncode, err)
    return p.returncode, p.stdout.decode('utf-8', 'replace') if text else p.stdout, err


def check_report(what, code, err):
    if code in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGILL, -signal.SIGFPE) or any(
            r in err for r in REPORTS):
        raise AssertionError(f'{what} crashed or was reported (status {code}):\n{err}')


class Conn:
    """One raw TCP connection, for saying exactly these bytes."""

    def __init__(self, port, host='127.0.0.1', timeout=PATIENCE):
        self.sock = socket.create_connection((host, port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b''

    def send(self, data):
        self.sock.sendall(data)

    def finish(self):
        self.sock.shutdown(socket.SHUT_WR)

    def recv_until(self, mark):
        """The bytes up to and with `mark`; what follows stays for the next call."""
        while mark not in self.rest:
            got = self.sock.recv(65536)
            if not got:
                raise AssertionError(f'closed before {mark!r} came: {self.rest!r}')
            self.rest += got
        head, _, self.rest = self.rest.partition(mark)
        return head + mark

    def recv_exactly(self, n):
        have = bytearray(self.rest)
        while len(have) < n:
            got = self.sock.recv(65536)
            if not got:
                raise AssertionError(f'closed after {len(have)} of {n} bytes')
            have += got
        self.rest = bytes(have[n:])
        return bytes(have[:n])

    def recv_all(self):
        """Everything until the other side closes; a reset counts as the end."""
        have, self.rest = bytearray(self.rest), b''
        try:
            while got := self.sock.recv(65536):
                have += got
        except ConnectionResetError:
            pass
        return bytes(have)

    def reset(self):
        """Close with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        self.sock.close()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def dialogue(port, data, until=None, host='127.0.0.1', timeout=PATIENCE, finish=False):
    """Connect, send `data` (bytes, or a list sent piece by piece), read to the end or to `until`; the bytes read."""
    with Conn(port, host, timeout) as c:
        for piece in [data] if isinstance(data, bytes) else data:
            c.send(piece)
        if finish:
            c.finish()
        return c.recv_until(until) if until else c.recv_all()


class TestCase(unittest.TestCase):
    """Cleans up after itself; a crash or a sanitizer's report of any started l7 fails the test."""
    maxDiff = 4000

    def start(self, args, wait=True, env=None, cwd=None, program=L7, stdin=None, ours=True):
        """Start `l7 ARGS`; with `wait`, return once it has printed an address. How a peer (not `ours`) ends is its affair."""
        p = Process([program, *map(str, args)], env=environment(env), cwd=cwd, stdin=stdin)
        self.addCleanup(self._end if ours else Process.stop, p)
        if wait:
            p.wait_for_line(LISTENING.pattern)
        return p

    def _end(self, p):
        code = p.stop()
        check_report(str(p), code, p.stderr())

    def run_l7(self, args, **kw):
        return run(args, **kw)

    @property
    def tmpdir(self):
        """A folder of this test's own."""
        if not getattr(self, '_tmpdir', None):
            self._tmpdir = tempfile.mkdtemp(prefix='l7-e2e-')
            os.chmod(self._tmpdir, 0o755)  # for peers that give up root
            self.addCleanup(shutil.rmtree, self._tmpdir, ignore_errors=True)
        return self._tmpdir

    @staticmethod
    def preload(name):
        """The environment in which a program runs with tests/e2e/NAME.c preloaded, which is built here."""
        library = os.path.join(BUILD, name + '.so')
        source, new = os.path.join(ROOT, 'tests', 'e2e', name + '.c'), f'{library}.{os.getpid()}'
        subprocess.run(['cc', '-O1', '-Wall', '-Werror', '-shared', '-fPIC', '-o', new, source], check=True)
        os.replace(new, library)  # another test may be loading it
        return {'LD_PRELOAD': library, 'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'}

    def file(self, name, content=b''):
        """Write a file below tmpdir; its path."""
        path = os.path.join(self.tmpdir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as f:
            f.write(content.encode() if isinstance(content, str) else content)
        return path

    def wait_until(self, cond, timeout=PATIENCE, what='the condition'):
        return wait_until(cond, timeout, what)


def main():
    """For `python3 tests/e2e/test_x.py [Class.test]`."""
    unittest.main(module=sys.modules['__main__'], verbosity=2)
