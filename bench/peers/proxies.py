# SPDX-License-Identifier: MIT
"""proxies.py -- starts the proxies that bench/proxy.py compares, each at its fastest honest setting (README.md)."""
import glob
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import serve  # noqa: E402
from serve import harness, peers  # noqa: E402

# What Varnish writes about each request into its shared memory, its access log: off like everybody else's.
VSL_OFF = ','.join('-' + tag for tag in (
    'Begin', 'Link', 'End', 'Timestamp', 'SessOpen', 'SessClose', 'ReqStart', 'ReqMethod', 'ReqURL', 'ReqProtocol', 'ReqHeader',
    'ReqUnset', 'ReqAcct', 'RespProtocol', 'RespStatus', 'RespReason', 'RespHeader', 'RespUnset', 'BereqMethod', 'BereqURL',
    'BereqProtocol', 'BereqHeader', 'BereqUnset', 'BereqAcct', 'BerespProtocol', 'BerespStatus', 'BerespReason', 'BerespHeader',
    'BerespUnset', 'BackendOpen', 'BackendClose', 'VCL_call', 'VCL_return', 'VCL_use', 'Hit', 'HitPass', 'HitMiss', 'TTL',
    'Storage', 'Length', 'Fetch_Body', 'Filters'))


def fill_in(conf, values, to):
    with open(os.path.join(HERE, conf)) as f:
        text = f.read()
    for key, value in values.items():
        text = text.replace(f'@{key}@', str(value))
    with open(to, 'w') as f:
        f.write(text)
    return to


class Proxy:
    """One proxy, on CPU 0 until closed: in front of the HTTP server on port `origin`, or for tunnels to it."""

    def __init__(self, name, origin, work, tunnel=False, size=1024):
        self.name, self.port, self.tunnel, self.size = name, harness.free_port(), tunnel, size
        self.work = os.path.join(work, f'{name}-{self.port}')
        os.makedirs(self.work)
        os.chmod(self.work, 0o777)
        self.values = {'PORT': self.port, 'ORIGIN': origin, 'WORK': self.work}
        argv, env = getattr(self, 'start_' + name)()
        self.log = os.path.join(self.work, 'output')
        with open(self.log, 'w') as out:
            self.p = subprocess.Popen(['taskset', '-c', '0', *argv], env=env, cwd=self.work, stdin=subprocess.DEVNULL,
                                      stdout=out, stderr=subprocess.STDOUT)
        try:
            harness.wait_until(self.up, what=name, timeout=30)
        except BaseException:
            self.close()
            raise

    def up(self):
        if self.p.poll() is not None:
            with open(self.log) as f:
                raise SystemExit(f'{self.name} ended at once:\n{f.read()[-2000:]}')
        return peers.answers(self.port)

    def conf(self, name):
        return fill_in(name, self.values, os.path.join(self.work, 'conf'))

    def start_l7(self):
        where = [] if self.tunnel else ['--origin', f'http://127.0.0.1:{self.values["ORIGIN"]}']
        return [harness.L7, 'proxy', '--listen', f'127.0.0.1:{self.port}', '--workers', '1', '--access-log', 'off',
                '--control', os.path.join(self.work, 'control'), '--idle-timeout', '10m', *where], None

    def start_limit(self):
        """No proxy at all: what the kernel asks for reading a request and writing a constant answer of that size."""
        return [os.path.join(harness.BUILD, 'bench', 'bench_limit'), str(self.port), str(self.size)], None

    def start_haproxy(self):
        conf = self.conf('haproxy-tcp.conf' if self.tunnel else 'haproxy-cache.conf')
        return [peers.path('haproxy'), '-db', '-f', conf], peers.env('haproxy')

    def start_nginx(self):
        return [peers.path('nginx'), '-c', self.conf('nginx-proxy.conf'), '-p', self.work, '-e', 'stderr'], peers.env('nginx')

    def start_varnish(self):
        return [peers.path('varnishd'), '-j', 'none', '-F', '-a', f'127.0.0.1:{self.port}', '-f', self.conf('varnish.vcl'),
                '-n', os.path.join(self.work, 'state'), '-s', 'malloc,512m', '-p', 'thread_pools=1',
                '-p', f'vsl_mask={VSL_OFF}', '-p', 'timeout_idle=600'], peers.env('varnishd')

    def start_squid(self):
        self.values['ROOT'] = peers.root('squid')
        conf = self.conf('squid-tunnel.conf' if self.tunnel else 'squid.conf')
        return [peers.path('squid'), '-N', '-n', f'l7bench{self.port}', '-f', conf], peers.env('squid')

    def start_tinyproxy(self):
        return [peers.path('tinyproxy'), '-d', '-c', self.conf('tinyproxy.conf')], peers.env('tinyproxy')

    def start_ats(self):
        """A run root of its own: its folders, and its own files but for three."""
        etc = os.path.join(self.work, 'etc')
        shutil.copytree(os.path.join(peers.root('traffic_server'), 'etc/trafficserver'), etc)
        fill_in('ats-records.config', self.values, os.path.join(etc, 'records.config'))
        with open(os.path.join(etc, 'remap.config'), 'w') as f:
            f.write(f'map / http://127.0.0.1:{self.values["ORIGIN"]}/\n')
        with open(os.path.join(etc, 'storage.config'), 'w') as f:
            f.write(f'{self.work}/cache 512M\n')
        folders = {'sysconfdir': 'etc', 'cachedir': 'cache', 'logdir': 'log', 'runtimedir': 'run', 'localstatedir': 'var'}
        layout = os.path.join(self.work, 'runroot.yaml')
        usr = os.path.join(peers.root('traffic_server'), 'usr')
        with open(layout, 'w') as f:
            f.write(f'prefix: {self.work}\nexec_prefix: {usr}\nbindir: {usr}/bin\nsbindir: {usr}/sbin\nlibdir: {usr}/lib\n'
                    f'libexecdir: {usr}/lib/trafficserver/modules\ndatadir: {self.work}\nincludedir: {self.work}\n')
            for key, folder in folders.items():
                os.makedirs(os.path.join(self.work, folder), exist_ok=True)
                f.write(f'{key}: {self.work}/{folder}\n')
        return [peers.path('traffic_server'), f'--run-root={layout}'], peers.env('traffic_server')

    def close(self):
        serve.end(self.p)
        for left in glob.glob(f'/dev/shm/l7bench{self.port}-*'):  # squid's
            os.remove(left)
