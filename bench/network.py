# SPDX-License-Identifier: MIT
"""network.py -- the congestion control that all servers of a run start from.

On a system whose default is BBR `l7` chooses Reno for listeners on loopback, which the peers cannot be told to do.
`--congestion reno` runs everything in a network namespace of its own, where that is the default: then all have the same.
"""
import os
import sys


def add_option(parser):
    parser.add_argument('--congestion', default='', help='congestion control for all; default: what the system has')


def enter(name):
    """Start again in a network namespace where `name` is the default; then say what is in force."""
    if name and 'L7_BENCH_NETWORK' not in os.environ:
        os.environ['L7_BENCH_NETWORK'] = name
        ready = 'ip link set lo up && echo "$L7_BENCH_NETWORK" > /proc/sys/net/ipv4/tcp_congestion_control && exec "$@"'
        os.execvp('unshare', ['unshare', '-n' if os.geteuid() == 0 else '-rn', 'sh', '-c', ready, 'sh', sys.executable]
                  + sys.argv)
    with open('/proc/sys/net/ipv4/tcp_congestion_control') as f:
        print('congestion control:', f.read().strip())
