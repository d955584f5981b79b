# SPDX-License-Identifier: MIT
"""browser.py -- a real Chromium without a window, steered over its debugging pipe (Chrome DevTools Protocol).

    with browser.Browser(test) as b:        Browser(test, '--proxy-server=...') adds arguments
        page = b.open(url)              waits for the load event
        page.evaluate('document.title')
        page.reload()
        page.responses                  [(url, status, from_cache)], as the network layer saw them
"""
import json
import os
import subprocess
import threading

import harness
import peers


def program():
    """The binary itself: Debian's wrapper of the same name wants files in /etc."""
    path = peers.path('chromium')
    inner = os.path.join(os.path.dirname(os.path.dirname(path)), 'lib/chromium/chromium')
    return inner if os.path.exists(inner) else path


class Browser:
    def __init__(self, test, *args):
        to_read, self._to = os.pipe()
        self._from, from_write = os.pipe()
        # The browser reads descriptor 3 and writes descriptor 4.
        script = f'exec 3<&{to_read} 4>&{from_write}; exec "$0" "$@"'
        argv = ['bash', '-c', script, program(), '--headless=new', '--no-sandbox', '--disable-gpu',
                '--disable-dev-shm-usage', '--no-first-run', '--disable-background-networking',
                *(args or ['--no-proxy-server']),
                '--disable-crash-reporter', '--disable-breakpad', '--remote-debugging-pipe',
                '--user-data-dir=' + os.path.join(test.tmpdir, 'chromium'), 'about:blank']
        env = peers.env('chromium', {'HOME': test.tmpdir, 'XDG_CONFIG_HOME': test.tmpdir, 'XDG_CACHE_HOME': test.tmpdir,
                                     'DBUS_SESSION_BUS_ADDRESS': '/dev/null'})
        self._p = subprocess.Popen(argv, env=env, pass_fds=(to_read, from_write), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(to_read)
        os.close(from_write)
        self._changed, self._answers, self._events, self._next, self._over = threading.Condition(), {}, [], 0, False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        rest = b''
        while got := os.read(self._from, 1 << 16):
            *messages, rest = (rest + got).split(b'\0')
            with self._changed:
                for m in map(json.loads, messages):
                    if 'id' in m:
                        self._answers[m['id']] = m
                    else:
                        self._events.append(m)
                self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _wait(self, cond, what):
        with self._changed:
            if not self._changed.wait_for(lambda: cond() or self._over, 3 * harness.PATIENCE) or not cond():
                raise AssertionError(f'chromium: no {what}{" (it ended)" if self._over else ""}')
            return cond()

    def call(self, method, session=None, **params):
        with self._changed:
            self._next += 1
            number = self._next
        message = {'id': number, 'method': method, 'params': params, **({'sessionId': session} if session else {})}
        os.write(self._to, json.dumps(message).encode() + b'\0')
        answer = self._wait(lambda: self._answers.get(number), 'answer to ' + method)
        if 'error' in answer:
            raise AssertionError(f'chromium: {method}: {answer["error"]}')
        return answer['result']

    def open(self, url):
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        page = Page(self, session)
        for domain in ('Page', 'Network', 'Runtime'):
            page.call(domain + '.enable')
        page.load('Page.navigate', url=url)
        return page

    def close(self):
        os.close(self._to)
        try:
            self._p.wait(5)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self._p.pid, 9)
        except ProcessLookupError:
            pass
        self._p.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Page:
    def __init__(self, browser, session):
        self.browser, self.session = browser, session

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def events(self, name):
        return [e['params'] for e in self.browser._events if e.get('sessionId') == self.session and e['method'] == name]

    def load(self, method, **params):
        before = len(self.events('Page.loadEventFired'))
        self.call(method, **params)
        self.browser._wait(lambda: len(self.events('Page.loadEventFired')) > before, 'load event')

    def reload(self):
        self.load('Page.reload')

    def evaluate(self, expression):
        return self.call('Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True)['result'].get('value')

    @property
    def responses(self):
        """With the status that came over the network: a revalidated response is shown to pages as 200."""
        raw = {e['requestId']: e['statusCode'] for e in self.events('Network.responseReceivedExtraInfo')}
        return [(e['response']['url'], raw.get(e['requestId'], e['response']['status'])) for e in self.events('Network.responseReceived')]
