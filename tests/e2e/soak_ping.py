# SPDX-License-Identifier: MIT
"""soak_ping.py -- the long runs of test_ping_listen.py: 1,000,000 datagrams of garbage change nothing."""
import os

os.environ.setdefault('L7_SOAK', '1000000')

import harness           # noqa: E402
import ping_case         # noqa: E402
import test_ping_listen  # noqa: E402


class Garbage(ping_case.Case):
    test_a_million_datagrams = test_ping_listen.Listener.test_garbage_changes_nothing


if __name__ == '__main__':
    harness.main()
