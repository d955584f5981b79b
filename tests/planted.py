#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Silence proves nothing: in a sanitizer build, bugs planted inside fibers must be reported with the right frames.

usage: tests/planted.py BUILD_DIR address|thread
"""
import subprocess
import sys

EXPECT = {
    "address": {
        "": (True, []),
        "overflow": (False, ["heap-buffer-overflow", "planted_overflow", "fiber_boot"]),
        "leak": (False, ["LeakSanitizer", "byte(s) leaked", "planted_leak"]),
        "kept": (True, []),  # memory that only a suspended fiber's stack holds is not lost
    },
    "thread": {
        "": (True, []),
        "race": (False, ["data race", "planted_race", "fiber_boot"]),
    },
}


def main():
    build, kind = sys.argv[1:3]
    failed = 0
    for mode, (clean, words) in EXPECT[kind].items():
        run = subprocess.run([f"{build}/tests/unit/rt_planted_test", *([mode] if mode else [])],
                             capture_output=True, text=True, timeout=120)
        text = run.stdout + run.stderr
        good = (run.returncode == 0) == clean and all(w in text for w in words)
        failed += not good
        print(f"{'ok' if good else 'not ok'} - {kind}: {mode or 'nothing planted'}")
        if not good:
            print(text)
    sys.exit(failed != 0)


main()
