# SPDX-License-Identifier: BSL-1.0
"""What the tests of programs in Python share."""

import importlib.util
import os
import shutil
import sys
import time


def need(*packages):
    """Ends the test as skipped where a package is not there."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            if os.environ.get("DEW_PYTHON_REQUIRED"):
                raise ImportError(package)
            print(f"[skipped] this Python has no {package}")
            sys.exit(0)


def work_in(folder):
    """Goes to a folder that is made anew, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    os.chdir(folder)


def check(ok, what):
    if not ok:
        raise AssertionError(what)


def wait(happened, what, seconds):
    """Waits for something that another process does."""
    end = time.monotonic() + seconds
    while not happened():
        check(time.monotonic() < end, f"waited in vain: {what}")
        time.sleep(0.02)
