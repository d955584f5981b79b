# SPDX-License-Identifier: MIT
"""l7 proxy as the proxy of a real Chromium: a page with images, a login by POST with cookies, HTTPS by CONNECT, a
WebSocket."""
import base64
import hashlib
import re
import struct
import subprocess
import zlib

import browser
import harness
from test_get_session import certificates
from test_proxy import Origin, Proxy


def png(colour):
    """A picture of one pixel."""
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 1, 1, 8, 2, 0, 0, 0)) +
            chunk(b'IDAT', zlib.compress(b'\0' + bytes(colour))) + chunk(b'IEND', b''))


def page(title, body=''):
    return f'<!doctype html><title>{title}</title>{body}'.encode()


HTML = {'Content-Type': 'text/html; charset=utf-8'}


def login(h):
    form = h.rfile.read(int(h.headers['Content-Length'])).decode()
    if form != 'user=ann&password=secret':
        return h.reply(403, page('refused'), HTML)
    h.reply(303, b'', {'Location': '/inside', 'Set-Cookie': 'session=42; Path=/; HttpOnly'})


def inside(h):
    known = 'session=42' in h.headers.get('Cookie', '')
    h.reply(200 if known else 403, page('welcome' if known else 'who?'), {**HTML, 'Cache-Control': 'private'})


def websocket(h):
    """Accepts, and sends the first message of the browser back in upper case."""
    key = h.headers['Sec-WebSocket-Key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
    h.wfile.write(b'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
                  b'Sec-WebSocket-Accept: ' + base64.b64encode(hashlib.sha1(key.encode()).digest()) + b'\r\n\r\n')
    h.wfile.flush()
    _, n = h.rfile.read(2)
    mask, data = h.rfile.read(4), h.rfile.read(n & 127)
    text = bytes(b ^ mask[i % 4] for i, b in enumerate(data)).upper()
    h.wfile.write(bytes([0x81, len(text)]) + text)
    h.close_connection = True


def routes():
    pictures = ''.join(f'<img src="/{n}.png">' for n in range(4))
    made = {'/': lambda h: h.reply(200, page('pictures', pictures), {**HTML, 'Cache-Control': 'max-age=60'}),
            '/form': lambda h: h.reply(200, page('form', '<form method="post" action="/login"><input name="user" '
                                                 'value="ann"><input name="password" value="secret"></form>'), HTML),
            '/login': login, '/inside': inside, '/ws': websocket}
    for n in range(4):
        made[f'/{n}.png'] = lambda h, n=n: h.reply(200, png((n * 60, 0, 0)),
                                                  {'Content-Type': 'image/png', 'Cache-Control': 'max-age=60'})
    return made


class Chromium(Proxy):
    def open_browser(self, *args):
        self.p = self.proxy()
        return browser.Browser(self, f'--proxy-server={self.p.url}', '--proxy-bypass-list=<-loopback>', *args)

    def test_page_login_and_websocket(self):
        origin = Origin(self, routes())
        base = f'http://127.0.0.1:{origin.port}'
        with self.open_browser() as b:
            p = b.open(base + '/')
            self.assertEqual(p.evaluate('document.title'), 'pictures')
            self.assertEqual(p.evaluate('[...document.images].map(i => i.naturalWidth).join()'), '1,1,1,1')
            for n in range(4):
                self.assertEqual(origin.count(f'/{n}.png'), 1)
            again = b.open(base + '/')
            self.assertEqual(again.evaluate('document.title'), 'pictures')
            self.assertEqual(origin.count('/'), 1, 'the second page came out of a cache')
            p = b.open(base + '/form')
            p.load('Runtime.evaluate', expression='document.forms[0].submit()')
            self.assertEqual(p.evaluate('document.title'), 'welcome')
            self.assertTrue(p.evaluate('location.href').endswith('/inside'))
            self.assertEqual(p.evaluate(f'''new Promise((done, failed) => {{
                const s = new WebSocket('ws://127.0.0.1:{origin.port}/ws');
                s.onopen = () => s.send('through the proxy'); s.onmessage = m => done(m.data);
                s.onerror = () => done('error'); }})'''), 'THROUGH THE PROXY')
        for command, path, headers in origin.seen:
            if path not in ('/ws', '/favicon.ico'):
                self.assertEqual(headers['Via'], '1.1 l7', 'everything came through the proxy')

    def test_https_by_connect(self):
        folder = certificates(self)
        origin = Origin(self, routes(), tls=(f'{folder}/good.pem', f'{folder}/good.key'))
        key = subprocess.run(['openssl', 'x509', '-in', f'{folder}/good.pem', '-noout', '-pubkey'], check=True,
                             capture_output=True, text=True).stdout
        der = base64.b64decode(''.join(re.findall(r'^[^-].*', key, re.M)))
        pin = base64.b64encode(hashlib.sha256(der).digest()).decode()
        with self.open_browser('--ignore-certificate-errors-spki-list=' + pin) as b:
            p = b.open(f'https://127.0.0.1:{origin.port}/')
            self.assertEqual(p.evaluate('document.title'), 'pictures')
            self.assertEqual(p.evaluate('[...document.images].map(i => i.naturalWidth).join()'), '1,1,1,1')
        self.assertNotIn('Via', origin.seen[0][2], 'a tunnel changes nothing')
        self.p.wait_for_line(rf'CONNECT 127.0.0.1:{origin.port} .*"tunnel"')


if __name__ == '__main__':
    harness.main()
