# SPDX-License-Identifier: MIT
"""l7 mail send --queue killed at 200 random moments: no message that was taken is lost."""
import os

os.environ.setdefault('L7_KILLS', '200')
from test_mail_queue import Queue  # noqa: E402, F401

if __name__ == '__main__':
    import harness
    harness.main()
