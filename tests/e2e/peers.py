# SPDX-License-Identifier: MIT
"""peers.py -- real peers from Debian's packages, unpacked below build/peers and never installed.

    peers.path('nginx')              the program; downloads and unpacks it with its missing libraries the first time
    peers.env('nginx')               an environment in which it finds its libraries and files
    peers.root('nginx')              the folder that stands for / of that package
    peers.start_nginx(test, root)    running on a free loopback port, ended by the test's cleanup

What is installed anyway is used as it is. A lock file a peer lets several tests (and several work trees, with
L7_PEERS pointing at one folder) ask at once. Add a start function for a peer where its first test needs one.
"""
import fcntl
import glob
import os
import re
import shutil
import subprocess
import sys
import time

import harness

HOME = os.path.abspath(os.environ.get('L7_PEERS', os.path.join(harness.BUILD, 'peers')))

# Where the name of the program is not the name of the package, or more packages are wanted with it.
PACKAGES = {
    'squid': ['squid'], 'varnishd': ['varnish'], 'traffic_server': ['trafficserver'], 'tshark': ['tshark'],
    'apache2': ['apache2', 'apache2-bin'], 'chromium': ['chromium'], 'chromedriver': ['chromium-driver', 'chromium'],
    'dovecot': ['dovecot-core'], 'h2load': ['nghttp2-client'], 'nghttp': ['nghttp2-client'],
    'nghttpd': ['nghttp2-server'], 'nghttpx': ['nghttp2-proxy'], 'aria2c': ['aria2'], 'openssl': ['openssl'],
    'nc.openbsd': ['netcat-openbsd'], 'aiosmtpd': ['python3-aiosmtpd'], 'doveconf': ['dovecot-core'],
    'exim4': ['exim4-daemon-light'], 'smtp-source': ['postfix'], 'smtp-sink': ['postfix'], 's-nail': ['s-nail'], 'xmllint': ['libxml2-utils'],
}


def packages(peer):
    return PACKAGES.get(peer, [peer])


def _missing(names):
    """The packages that apt would have to install for `names`, `names` included; versions that are there stay."""
    out = _apt(['apt-get', 'install', '-s', '--no-install-recommends', *names])
    new = re.findall(r'^Inst (\S+) \(', out, re.M)
    return sorted(set(new) | set(names))


def _apt(argv, **kw):
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       env=dict(os.environ, LC_ALL='C', DEBIAN_FRONTEND='noninteractive'), **kw)
    if p.returncode:
        raise AssertionError(f'{" ".join(argv)}:\n{p.stdout}')
    return p.stdout


def root(peer):
    """The unpacked packages of `peer`; the first call downloads them."""
    where = os.path.join(HOME, '+'.join(packages(peer)))
    done = os.path.join(where, '.done')
    if os.path.exists(done):
        return where
    os.makedirs(HOME, exist_ok=True)
    with open(where + '.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(done):
            _unpack(packages(peer), where)
            open(done, 'w').close()
    return where


def _unpack(names, where):
    debs = where + '.debs'
    for folder in (where, debs):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
    os.chmod(debs, 0o777)  # apt drops to its own user for downloads
    wanted = _missing(names)
    print(f'peers: downloading {" ".join(wanted)}', file=sys.stderr)
    for last in (False, True):
        try:
            _apt(['apt-get', 'download', '-q', *wanted], cwd=debs)
            break
        except AssertionError:
            if last:
                raise
            time.sleep(1)
    for deb in sorted(glob.glob(debs + '/*.deb')):
        _apt(['dpkg-deb', '-x', deb, where])
    shutil.rmtree(debs)


def path(peer):
    """The program itself: the installed one, else the unpacked one."""
    installed = shutil.which(peer, path=os.environ.get('PATH', '') + ':/usr/sbin:/sbin')
    if installed:
        return installed
    at = root(peer)
    for folder in ('usr/sbin', 'usr/bin', 'sbin', 'bin', 'usr/lib/*', 'usr/libexec/*', 'usr/share/*', 'usr/games'):
        for found in glob.glob(os.path.join(at, folder, peer)):
            if os.path.isfile(found):
                return found
    raise AssertionError(f'no program {peer} in {at}')


def _library_folders(at):
    """The multiarch folders first, then every folder below usr/lib that holds a shared library."""
    first = [os.path.join(at, d) for d in ('usr/lib/x86_64-linux-gnu', 'usr/lib/aarch64-linux-gnu', 'usr/lib',
                                           'lib/x86_64-linux-gnu', 'lib/aarch64-linux-gnu')]
    found = {os.path.dirname(f) for depth in ('*', '*/*', '*/*/*', '*/*/*/*')
             for f in glob.glob(os.path.join(at, 'usr/lib', depth + '.so*'))}
    return [d for d in first if os.path.isdir(d)] + sorted(found - set(first))


def env(peer, extra=None):
    e = harness.environment(extra)
    if not shutil.which(peer, path=os.environ.get('PATH', '') + ':/usr/sbin:/sbin'):
        at = root(peer)
        e['LD_LIBRARY_PATH'] = ':'.join(_library_folders(at))
        e['PATH'] = ':'.join(os.path.join(at, d) for d in ('usr/sbin', 'usr/bin', 'sbin', 'bin')) + ':' + e['PATH']
        e['XDG_DATA_DIRS'] = os.path.join(at, 'usr/share') + ':/usr/local/share:/usr/share'
    return e


def answers(port, host='127.0.0.1'):
    """Does somebody accept connections there?"""
    try:
        harness.Conn(port, host, 2).close()
        return True
    except OSError:
        return False


def start(test, peer, args, port=None, cwd=None, extra_env=None, program=None):
    """Start `peer ARGS`; with `port`, return once that port answers."""
    p = test.start(args, wait=False, program=program or path(peer), env=env(peer, extra_env), cwd=cwd, ours=False)
    p.peer_port = port
    if port:
        def up():
            if not p.alive():
                raise AssertionError(f'{peer} ended at once:\n{p.stdout()}{p.stderr()}')
            return answers(port)
        harness.wait_until(up, what=f'{peer} on port {port}')
    return p


def start_nginx(test, folder, http='', server='', location=''):
    """nginx serving `folder`; extra directives go where the arguments say. The port is .peer_port, and is opened last."""
    port = harness.free_port()
    work = os.path.join(test.tmpdir, f'nginx-{port}')
    for d in ('client', 'proxy', 'fastcgi', 'uwsgi', 'scgi'):
        os.makedirs(os.path.join(work, d))
    conf = test.file(f'nginx-{port}/nginx.conf', f'''
        daemon off; master_process off; worker_processes 1; pid {work}/pid; error_log stderr warn;
        events {{ worker_connections 4096; }}
        http {{
            access_log off; default_type application/octet-stream;
            types {{ text/html html; text/plain txt; text/css css; image/png png; }}
            client_body_temp_path {work}/client; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/fastcgi;
            uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
            {http}
            server {{ {server} listen 127.0.0.1:{port}; root {folder}; location / {{ {location} }} }}
        }}''')
    return start(test, 'nginx', ['-c', conf, '-p', work, '-e', 'stderr'], port)


def start_lighttpd(test, folder, more=''):
    port = harness.free_port()
    conf = test.file(f'lighttpd-{port}.conf', f'''
        server.document-root = "{folder}"
        server.bind = "127.0.0.1"
        server.port = {port}
        server.modules = ( {'"mod_indexfile", "mod_staticfile"' if not more else ''} )
        mimetype.assign = ( ".html" => "text/html", ".txt" => "text/plain", "" => "application/octet-stream" )
        {more}''')
    modules = os.path.join(root('lighttpd'), 'usr/lib/lighttpd')
    return start(test, 'lighttpd', ['-D', '-f', conf, '-m', modules], port)


def start_apache(test, ports, modules, conf):
    """Apache on these loopback ports, with the few modules that every use wants and those named."""
    at = os.path.join(root('apache2'), 'usr/lib/apache2/modules')
    wanted = ['mpm_event', 'authz_core', 'mime', *modules]
    text = test.file(f'apache-{ports[0]}.conf', f'''
        ServerRoot {test.tmpdir}
        ServerName localhost
        {chr(10).join(f"Listen 127.0.0.1:{p}" for p in ports)}
        PidFile {test.tmpdir}/apache-{ports[0]}.pid
        ErrorLog /dev/stderr
        Mutex posixsem
        User #{os.getuid() or 65534}
        Group #{os.getgid() or 65534}
        {chr(10).join(f"LoadModule {m}_module {at}/mod_{m}.so" for m in wanted)}
        TypesConfig /dev/null
        {conf}
        ''')
    return start(test, 'apache2', ['-X', '-f', text], ports[0])


def start_h2o(test, folder, more=''):
    port = harness.free_port()
    conf = test.file(f'h2o-{port}.conf', f'''
listen: {{host: 127.0.0.1, port: {port}}}
num-threads: 1
hosts:
  default:
    paths:
      "/": {{file.dir: "{folder}"}}
{more}''')
    return start(test, 'h2o', ['-c', conf], port)
