#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mail.py -- l7 mail against smtp-source, curl, msmtp, swaks and s-nail, interleaved in one run, into the same null sink.

    bench/mail.py [session] [big] [memory] [process] [sink] [--rounds N] [--messages N] [--mib N]

session  messages a second on one connection                                at least 3 x smtp-source and curl
big      one message with an attachment: rate, CPU time, peak memory          at least 5 x the best peer, 6 MiB
memory   peak with 30 MiB and 1 GiB, plain and by STARTTLS                    at most 6 MiB, under TLS 12
process  one process a message                                                at least 2 x curl
sink     messages a second of smtp-source into l7 mail sink, delivery off     at least 1 x smtp-sink
The null sink is bench/smtp_null.c: it offers PIPELINING, 8BITMIME and SIZE to all, and throws away what comes. `session`
and `big` have a second table into Postfix's smtp-sink, which is slower than a fast sender and so hides differences.
Each figure is the median over the rounds with the least and the greatest; the ratio is to the best peer that composes
its messages as l7 does ("ready": it is handed the finished text).
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'e2e'))
import harness  # noqa: E402
import peers    # noqa: E402

class Server:
    """A receiving server; `stop` gives the CPU time that it used."""

    def __init__(self, argv, port, env):
        self.port = port
        self.p = subprocess.Popen([str(a) for a in argv], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.wait_until(lambda: peers.answers(port), what=f'{argv[0]} on port {port}')

    def cpu(self):
        with open(f'/proc/{self.p.pid}/stat') as f:
            fields = f.read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def stop(self):
        self.p.terminate()
        self.p.wait()


def null_sink():
    port = harness.free_port()
    return Server([os.path.join(harness.BUILD, 'bench', 'bench_smtp_null'), port], port, harness.environment())


def postfix_sink():
    port = harness.free_port()
    return Server([peers.path('smtp-sink'), '-u', 'root', f'127.0.0.1:{port}', 1000], port, peers.env('smtp-sink'))


def l7_sink(*args):
    port = harness.free_port()
    return Server([harness.L7, 'mail', 'sink', '-q', '--workers', 1, '--listen', f'127.0.0.1:{port}', *args], port, harness.environment())


def run(argv, env=None, stdin='/dev/null'):
    """Run to the end: wall seconds, CPU seconds."""
    with open(stdin or '/dev/null') as source:
        start = time.monotonic()
        p = subprocess.Popen([str(a) for a in argv], env=env or harness.environment(), stdin=source, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(p.pid, 0)
        wall = time.monotonic() - start
    p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode:
        raise SystemExit(f'{argv[0]} failed with status {p.returncode}')
    return wall, usage.ru_utime + usage.ru_stime


def peak(argv, env=None, stdin=None):
    """Peak resident memory in MiB, by a small program that starts it."""
    helper = os.path.join(harness.BUILD, 'bench', 'bench_peak')
    p = subprocess.run([helper, *map(str, argv)], env=env or harness.environment(), stdin=open(stdin or '/dev/null'),
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return float(p.stderr.split()[-1])


def spread(values, digits=1):
    return f'{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})'


def table(title, results, unit, target=None, digits=0):
    """results: name -> values, more is better."""
    print(f'\n{title}')
    # A client that is handed a ready message has no part of the work of composing it.
    best = max((n for n in results if n != 'l7' and 'ready' not in n), key=lambda n: statistics.median(results[n]))
    for name, values in results.items():
        print(f'  {name:14} {spread(values, digits):>28} {unit}')
    ratio = statistics.median(results['l7']) / statistics.median(results[best])
    print(f'  l7 / {best}: {ratio:.2f}' + (f'; target {target}' if target else ''))


def name_of(server):
    return os.path.basename(server.p.args[0])


def session(o, tmp):
    n = o.messages
    batch, conf, body = (os.path.join(tmp, x) for x in ('batch', 'curl.conf', 'body'))
    text = 'This is a line of the message.\n' * 10
    with open(body, 'w') as f:
        f.write('From: a@b.example\r\nTo: c@d.example\r\nSubject: x\r\n\r\n' + text.replace('\n', '\r\n'))
    with open(batch, 'w') as f:
        for i in range(n):
            f.write(json.dumps({'to': 'c@d.example', 'subject': f'n {i}', 'text': text}) + '\n')
    for sink, target in ((null_sink(), 3), (postfix_sink(), None)):
        session_into(o, sink, target, text, batch, conf, body)
        sink.stop()


def session_into(o, sink, target, text, batch, conf, body):
    n = o.messages
    with open(conf, 'w') as f:
        for i in range(n):
            f.write(('next\n' if i else '') + f'url = smtp://127.0.0.1:{sink.port}\nmail-from = a@b.example\nmail-rcpt = c@d.example\n'
                    f'upload-file = {body}\nsilent\n')
    ways = {
        'l7': ([harness.L7, 'mail', 'send', '-q', '--server', f'127.0.0.1:{sink.port}', '-f', 'a@b.example', '--batch', batch], None),
        'smtp-source': ([peers.path('smtp-source'), '-s', 1, '-m', n, '-l', len(text) + 60, f'127.0.0.1:{sink.port}'],
                        peers.env('smtp-source')),
        'curl': ([peers.path('curl'), '-K', conf], peers.env('curl')),
    }
    rate, cpu = {w: [] for w in ways}, {w: [] for w in ways}
    for _ in range(o.rounds):
        for name, (argv, env) in ways.items():
            wall, used = run(argv, env)
            rate[name].append(n / wall)
            cpu[name].append(used / n * 1e6)
    table(f'session: {n} messages on one connection into {name_of(sink)}', rate, 'messages/s', target)
    print('  CPU a message, us: ' + ', '.join(f'{w} {spread(v)}' for w, v in cpu.items()))


def big(o, tmp):
    data, eml = os.path.join(tmp, 'data.bin'), os.path.join(tmp, 'data.eml')
    with open(data, 'wb') as f:
        f.write(os.urandom(o.mib << 20))
    for sink, target in ((null_sink(), 5), (postfix_sink(), None)):
        at = f'127.0.0.1:{sink.port}'
        send = [harness.L7, 'mail', 'send', '-q', '--server', at, '-f', 'a@b.example', '-t', 'c@d.example', '-s', 'x', '-a', data]
        with open(eml, 'wb') as f:
            f.write(subprocess.run(send + ['-n'], stdout=subprocess.PIPE, check=True, env=harness.environment()).stdout)
        ways = {
            'l7': (send, None, None),
            'curl': ([peers.path('curl'), '-s', f'smtp://{at}', '--mail-from', 'a@b.example', '--mail-rcpt', 'c@d.example', '-F', 'x=hi',
                      '-F', f'f=@{data};encoder=base64'], peers.env('curl'), None),
            'curl (ready)': ([peers.path('curl'), '-s', f'smtp://{at}', '--mail-from', 'a@b.example', '--mail-rcpt', 'c@d.example', '-T', eml],
                             peers.env('curl'), None),
            'swaks': ([peers.path('swaks'), '--server', '127.0.0.1', '--port', sink.port, '--from', 'a@b.example', '--to', 'c@d.example',
                       '--attach', '@' + data, '--silent', 3], peers.env('swaks'), None),
            's-nail': ([peers.path('s-nail'), '-n', '-S', f'mta=smtp://{at}', '-S', 'v15-compat', '-S', 'smtp-auth=none', '-S',
                        'from=a@b.example', '-a', data, '-s', 'x', 'c@d.example'], peers.env('s-nail'), '/dev/null'),
            'msmtp (ready)': ([peers.path('msmtp'), '--host=127.0.0.1', f'--port={sink.port}', '--from=a@b.example', 'c@d.example'],
                              peers.env('msmtp'), eml),
        }
        rate, cpu = {w: [] for w in ways}, {w: [] for w in ways}
        for _ in range(o.rounds):
            for name, (argv, env, stdin) in ways.items():
                wall, used = run(argv, env, stdin)
                rate[name].append(o.mib / wall)
                cpu[name].append(used * 1e3)
        table(f'big: {o.mib} MiB attachment into {name_of(sink)}', rate, 'MiB/s', target)
        print('  CPU, ms:  ' + ', '.join(f'{w} {spread(v, 0)}' for w, v in cpu.items()))
        print('  peak, MiB: ' + ', '.join(f'{w} {peak(argv, env, stdin):.1f}' for w, (argv, env, stdin) in ways.items()))
        sink.stop()


def memory(o, tmp):
    """The largest resident set of the sender; the sink's certificate is verified against its own authority."""
    os.environ['XDG_STATE_HOME'] = tmp
    plain, tls = l7_sink(), l7_sink('--tls-auto')
    ca = os.path.join(tmp, 'l7', 'tls', 'ca.pem')
    print('\nmemory: peak of the sender, MiB; target 6, under TLS 12')
    for mib in (o.mib, 1024):
        data = os.path.join(tmp, f'{mib}.bin')
        with open(data, 'wb') as f:
            f.truncate(mib << 20)
        for name, sink, more in (('plain', plain, ['--no-tls']), ('STARTTLS', tls, ['--starttls', '--ca', ca])):
            argv = [harness.L7, 'mail', 'send', '-q', '--server', f'127.0.0.1:{sink.port}', '-f', 'a@b.example', '-t', 'c@d.example', '-s', 'x',
                    '-a', data, *more]
            run(argv)  # fails loudly
            print(f'  {mib} MiB, {name}: {peak(argv):.1f}')
    plain.stop()
    tls.stop()


def process(o, tmp):
    sink, n = null_sink(), 40
    body = os.path.join(tmp, 'body')
    with open(body, 'w') as f:
        f.write('From: a@b.example\r\nTo: c@d.example\r\nSubject: x\r\n\r\nHello\r\n')
    ways = {
        'l7': ([harness.L7, 'mail', 'send', '-q', '--server', f'127.0.0.1:{sink.port}', '-f', 'a@b.example', '-t', 'c@d.example', '-s', 'x',
                '--text', 'Hello'], None),
        'curl': ([peers.path('curl'), '-s', f'smtp://127.0.0.1:{sink.port}', '--mail-from', 'a@b.example', '--mail-rcpt', 'c@d.example', '-T',
                  body], peers.env('curl')),
    }
    rate, cpu = {w: [] for w in ways}, {w: [] for w in ways}
    for _ in range(o.rounds):
        for name, (argv, env) in ways.items():
            got = [run(argv, env) for _ in range(n)]
            rate[name].append(n / sum(w for w, _ in got))
            cpu[name].append(sum(c for _, c in got) / n * 1e3)
    sink.stop()
    table('process: one process a message', rate, 'messages/s', 2)
    print('  CPU a message, ms: ' + ', '.join(f'{w} {spread(v, 2)}' for w, v in cpu.items()))


def into_sink(o, tmp):
    rate, cpu = {'l7': [], 'smtp-sink': []}, {'l7': [], 'smtp-sink': []}
    servers = {'l7': l7_sink(), 'smtp-sink': postfix_sink()}
    for _ in range(o.rounds):
        for name, server in servers.items():
            before = server.cpu()
            wall, _ = run([peers.path('smtp-source'), '-s', 4, '-m', o.messages, '-l', 1000, f'127.0.0.1:{server.port}'],
                          peers.env('smtp-source'))
            rate[name].append(o.messages / wall)
            cpu[name].append((server.cpu() - before) / o.messages * 1e6)
    for server in servers.values():
        server.stop()
    table('sink: smtp-source with 4 connections, delivery off', rate, 'messages/s', 1)
    print('  CPU of the server a message, us: ' + ', '.join(f'{w} {spread(v)}' for w, v in cpu.items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', nargs='*', default=['session', 'big', 'memory', 'process', 'sink'])
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--messages', type=int, default=5000)
    parser.add_argument('--mib', type=int, default=30)
    o = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix='l7-bench-') as tmp:
        for what in o.what:
            {'session': session, 'big': big, 'memory': memory, 'process': process, 'sink': into_sink}[what](o, tmp)


if __name__ == '__main__':
    main()
