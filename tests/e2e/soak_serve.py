# SPDX-License-Identifier: MIT
"""20,000 requests by 64 clients while files are replaced, the server is reloaded and clients vanish."""
import os

os.environ.setdefault('L7_SOAK', '20000')
from test_serve_clients import Soak  # noqa: E402, F401

if __name__ == '__main__':
    import harness
    harness.main()
