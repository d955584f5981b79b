# SPDX-License-Identifier: MIT
"""test_mail_queue.py -- l7 mail --queue and flush, accounts in l7.conf, and l7 as sendmail."""
import email
import fcntl
import glob
import json
import os
import pathlib
import random
import resource
import subprocess

import harness
from mail_case import Case


class Queue(Case):
    def setUp(self):
        self.dir = os.path.join(self.tmpdir, 'queue')

    def entries(self):
        return [json.loads(l) for l in self.run_l7(['mail', 'queue', '--queue', self.dir, '--json'])[1].splitlines()]

    def flush(self, port, *args, check=0):
        code, out, err = self.run_l7(['mail', 'flush', '--queue', self.dir, '--server', f'127.0.0.1:{port}', '--timeout', '5s', *args])
        self.assertEqual(code, check, out + err)
        return out

    def test_waits_for_the_server(self):
        port = harness.free_port()
        _, _, err = self.send(port, '-s', 'x', '-a', self.file('f', bytes(range(256)) * 500), '--queue', self.dir)
        self.assertIn('kept as', err)
        entry, = self.entries()
        self.assertEqual((entry['from'], entry['to'], entry['attempts']), ('ann@example.org', ['bob@example.org'], 1))
        self.assertGreater(entry['next'], entry['age'])
        server = self.sink()
        self.assertEqual(self.flush(server.port), '')  # not due yet
        self.assertIn('accepted', self.flush(server.port, '--all'))
        self.assertEqual(next(self.message().iter_attachments()).get_payload(decode=True), bytes(range(256)) * 500)
        self.assertEqual((self.entries(), os.listdir(self.dir)), ([], ['lock']))

    def test_sent_at_once(self):
        server = self.sink()
        self.send(server.port, '--text', 'hi', '--queue', self.dir)
        self.assertEqual((len(self.raw()), self.entries()), (1, []))

    def test_long_input_where_every_file_has_a_name(self):
        server = self.sink()
        text = 'a line of text\n' * 30000
        self.send(server.port, '--body', '-', input=text, env={**self.preload('no_tmpfile'), 'TMPDIR': self.tmpdir})
        self.assertEqual(self.message().get_content(), text)
        self.assertEqual([f for f in os.listdir(self.tmpdir) if f.startswith('l7.')], [])

    def test_only_those_who_wait_are_tried_again(self):
        server = self.sink('--fault', 'rcpt=later:450', '--fault', 'rcpt=bad:550')
        self.send(server.port, '--text', 'hi', '--queue', self.dir, to=['now@x', 'later@x', 'bad@x'], check=3)
        self.assertEqual(self.entries()[0]['to'], ['later@x'])
        server = self.sink()
        self.flush(server.port, '--all')
        self.assertEqual(self.raw()[0].count(b'Delivered-To: later@x'), 1)
        self.assertEqual(self.raw()[0].count(b'Delivered-To'), 1)

    def test_refused_for_good(self):
        self.send(self.sink('--fault', 'rcpt:550').port, '--text', 'hi', '--queue', self.dir, check=69)
        self.assertEqual(self.entries(), [])
        self.assertTrue([f for f in os.listdir(self.dir) if f.endswith('.failed')])

    def test_what_was_not_taken_leaves_nothing(self):
        """The disk takes the message, and not the envelope of a thousand recipients."""
        to = [a for i in range(1000) for a in ('--bcc', f'somebody{i}@example.org')]
        p = subprocess.run([harness.L7, 'mail', 'send', '--server', f'127.0.0.1:{harness.free_port()}', '-f', 'a@b', *to, '--text', 'x',
                            '--queue', self.dir], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=harness.environment(),
                           restore_signals=False, timeout=harness.PATIENCE,
                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
        self.assertNotEqual(p.returncode, 0)
        self.assertIn(b'writing to the queue', p.stderr)
        self.assertEqual([f for f in os.listdir(self.dir) if f != 'lock'], [])

    def test_an_entry_that_names_somebody_twice(self):
        """Edited by hand: the fates are told by their places, so it is not sent."""
        self.send(harness.free_port(), '--text', 'hi', '--queue', self.dir, to=['one@x', 'two@x'])
        name, = glob.glob(self.dir + '/*.env')
        text = pathlib.Path(name).read_text()
        pathlib.Path(name).write_text(text.replace('two@x', 'one@x'))
        self.assertIn('names a recipient twice', self.flush(self.sink().port, '--all', check=65))
        self.assertEqual((self.raw(), self.entries()[0]['to']), ([], ['one@x', 'one@x']))

    def test_one_flush_at_a_time(self):
        self.send(harness.free_port(), '--queue', self.dir)
        with open(os.path.join(self.dir, 'lock'), 'w') as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            self.flush(harness.free_port(), check=75)

    def killed(self, args, most):
        """Run `l7 mail ARGS` and kill it after a random time; True when it had ended well before."""
        p = subprocess.Popen([harness.L7, 'mail', *args, '--queue', self.dir], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             env=harness.environment())
        try:
            p.wait(random.uniform(0, most))
        except subprocess.TimeoutExpired:
            p.kill()
        return p.wait() == 0

    def delivered(self):
        return [email.message_from_bytes(r)['subject'] for r in self.raw()]

    def queued(self):
        found = [pathlib.Path(self.dir, e['id'] + '.eml').read_bytes() for e in self.entries()]
        return {email.message_from_bytes(f)['subject'] for f in found}

    def test_killed_at_any_moment(self):
        """What was taken (the status said so, or it stands in the queue) is not lost; an attempt that is killed doubles
        at most the one message that was on its way."""
        rounds = int(os.environ.get('L7_KILLS', '12'))
        server = self.sink()
        taken, kills = set(), 0
        for i in range(rounds):
            args = ['send', '--server', f'127.0.0.1:{server.port}', '-f', 'a@b', '-t', 'c@d', '-s', f'n{i}', '--text', 'x' * 3000]
            if self.killed(args, 0.03):
                taken.add(f'n{i}')
            else:
                kills += 1
        if os.path.isdir(self.dir):
            taken |= self.queued()
        nobody = harness.free_port()
        for i in range(10):
            self.send(nobody, '-s', f'later{i}', '--text', 'x', '--queue', self.dir)
            taken.add(f'later{i}')
        for _ in range(rounds):
            kills += not self.killed(['flush', '--all', '--server', f'127.0.0.1:{server.port}'], 0.05)
        self.flush(server.port, '--all')
        subjects = self.delivered()
        self.assertEqual(taken - set(subjects), set())
        self.assertLessEqual(len(subjects) - len(set(subjects)), kills)
        self.assertEqual(self.entries(), [])


class Accounts(Case):
    def test_named(self):
        work, home = self.sink(), self.sink()
        conf = self.file('l7.conf', f"""[mail]
from = ann@example.org
server = 127.0.0.1:{home.port}
[mail account work]
server = 127.0.0.1:{work.port}
from = ann@work.example
[mail account broken]
timeout = soon
""")
        def send(*args):
            return self.run_l7(['mail', 'send', '--config', conf, '-t', 'bob@example.org', '--text', 'x', *args])
        self.assertEqual(send()[0], 0)
        self.assertEqual(json.loads(home.wait_for_line('peer', 'stdout').string)['from'], 'ann@example.org')
        self.assertEqual(send('--account', 'work')[0], 0)
        self.assertEqual(json.loads(work.wait_for_line('peer', 'stdout').string)['from'], 'ann@work.example')
        self.assertEqual(send('--account', 'work', '-f', 'me@x.example')[0], 0)
        self.assertEqual(json.loads(work.wait_for_line('peer', 'stdout', count=2).string)['from'], 'me@x.example')
        code, _, err = send('--account', 'nobody')
        self.assertEqual(code, 78)
        self.assertIn('[mail account nobody]', err)
        self.assertEqual(send('--account', 'broken')[0], 78)


class Sendmail(Case):
    def sendmail(self, *args, input='', check=0, argv0=False):
        conf = self.file('l7.conf', f'[mail]\nserver = 127.0.0.1:{self.server.port}\n')
        program, first = harness.L7, ['mail', 'sendmail']
        if argv0:
            program, first = os.path.join(self.tmpdir, 'sendmail'), []
            os.path.exists(program) or os.symlink(harness.L7, program)
        code, out, err = harness.run([*first, '--config', conf, *args], input=input, program=program)
        self.assertEqual(code, check, out + err)
        return err

    def setUp(self):
        self.server = self.sink()

    def test_recipients_from_headers(self):
        self.sendmail('-t', '-oi', '-f', 'bounce@x.example', '-F', 'Cron Job', argv0=True,
                      input='To: A <a@x.example>,\n b@y.example\nCc: c@z.example\nBcc: d@w.example\nSubject: x\n\nbody\n.\nmore\n')
        m = self.message()
        self.assertEqual(m.get_all('delivered-to'), ['a@x.example', 'b@y.example', 'c@z.example', 'd@w.example'])
        self.assertEqual(m['return-path'], '<bounce@x.example>')
        self.assertEqual(m['from'], 'Cron Job <bounce@x.example>')
        self.assertIsNone(m['bcc'])
        self.assertTrue(m['date'] and m['message-id'])
        self.assertEqual(m.get_content(), 'body\n.\nmore\n')

    def test_a_dot_ends_without_i(self):
        self.sendmail('-f', 'a@b', 'c@d', input='Subject: x\n\nbody\n.\nmore\n')
        self.assertEqual(self.message().get_content(), 'body\n')

    def test_message_without_header(self):
        self.sendmail('-i', '-f', 'a@b', '-O', 'DeliveryMode=b', 'c@d', 'e@f', input='just text\n')
        self.assertEqual(self.message().get_content(), 'just text\n')

    def test_a_header_beyond_ascii_is_encoded(self):
        self.server = self.sink('--without', 'smtputf8')
        self.sendmail('-t', '-f', 'a@b', input='From: Zoë <zoe@x.example>\nTo: c@d\nSubject: Grüße an 你\n\nx\n')
        m = self.message()
        self.assertEqual((m['from'].addresses[0].display_name, m['subject']), ('Zoë', 'Grüße an 你'))
        self.raw()[0].partition(b'\n\n')[0].decode('ascii')

    def test_reports_are_asked_for(self):
        self.sendmail('-N', 'failure', '-V', 'job 7', '-f', 'a@b', 'c@d', input='x\n')
        self.assertEqual(json.loads(self.server.wait_for_line('peer', 'stdout').string)['envid'], 'job+207')

    def test_usage(self):
        self.sendmail('-t', '-f', 'a@b', input='Subject: x\n\n', check=64)
        self.sendmail('-bs', check=64)
        self.sendmail('-t', '-f', 'a@b', input='To: a b@c\n\n', check=65)


if __name__ == '__main__':
    harness.main()
