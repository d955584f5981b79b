# SPDX-License-Identifier: MIT
"""get_case.py -- what the tests of l7 get share."""
import json

import harness
from origin import Origin, answer


def echo(conn, request):
    """Answers with what it was asked, as JSON."""
    body = json.dumps({'method': request.method, 'target': request.target, 'fields': request.fields,
                       'body': request.body.decode('latin-1')}).encode()
    conn.sendall(answer(body, Content_Type='application/json'))
    return True


class Get(harness.TestCase):
    def get(self, *args, **kw):
        return harness.run(['get', *args], **kw)

    def ok(self, *args, **kw):
        code, out, err = self.get(*args, **kw)
        self.assertEqual((code, err), (0, ''), out)
        return out

    def fails(self, pattern, *args, code=1, **kw):
        got, out, err = self.get(*args, **kw)
        self.assertEqual(got, code, err + str(out))
        self.assertRegex(err, pattern)
        self.assertEqual(err.count('\n'), 1, 'one clear message: ' + err)
        return out

    def asked(self, *args, **kw):
        """What the echoing origin was asked."""
        origin = Origin(self, echo)
        code, out, err = self.get(*[a.replace('ORIGIN', origin.url('')) for a in args], **kw)
        self.assertEqual((code, err), (0, ''))
        got = json.loads(out)
        got['headers'] = {k.lower(): v for k, v in got['fields']}
        return got

    def says(self, data):
        """An origin that says these bytes to whatever it is asked, and closes."""
        return Origin(self, lambda c, r: c.sendall(data) and False)
