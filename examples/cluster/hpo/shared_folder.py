# SPDX-License-Identifier: BSL-1.0
"""What workers on many machines share without a server: a journal, locks, signs of life. All of it are files in one folder."""

import contextlib
import json
import os
import secrets
import threading
import time

from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from training import trouble_of


class Lock(JournalFileOpenLock):
    """A lock that one worker holds for moments: a file that only one can create, on NFS (from version 3) and Lustre too. One that stays longer than
    `grace_s` was left by a worker that was killed meanwhile, and is removed."""

    def __init__(self, path, grace_s, say=lambda text: None):
        super().__init__(path, grace_period=grace_s)
        self.path, self.grace_s, self.say = f"{path}.lock", grace_s, say

    def acquire(self):
        began = time.monotonic()
        try:
            super().acquire()
        except OSError as error:
            raise trouble_of(error, self.path) from error
        if time.monotonic() - began >= self.grace_s:
            self.say(f"{self.path} had not changed for {self.grace_s} s: a worker that died has left it; it was removed")
        return True

    @contextlib.contextmanager
    def held(self):
        self.acquire()
        try:
            yield
        finally:
            try:
                self.release()
            except RuntimeError:
                self.say(f"{self.path} was gone before it was released: this worker stood still for longer than {self.grace_s} s")


class Journal(JournalFileBackend):
    """The study's journal: whole lines alone. What a killed worker or a full disk has left of a line is cut off."""

    def __init__(self, path, lock):
        try:
            super().__init__(path, lock_obj=lock)
        except OSError as error:
            raise trouble_of(error, path) from error
        self.path, self.lock = path, lock

    def append_logs(self, logs):
        lines = b"".join(json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs)
        with self.lock.held():
            descriptor = os.open(self.path, os.O_RDWR)
            try:
                whole = length_of_whole_lines(descriptor)
                os.ftruncate(descriptor, whole)
                try:
                    os.lseek(descriptor, whole, os.SEEK_SET)
                    while lines:
                        lines = lines[os.write(descriptor, lines) :]
                    os.fsync(descriptor)
                except OSError as error:
                    os.ftruncate(descriptor, whole)
                    raise trouble_of(error, self.path) from error
            finally:
                os.close(descriptor)


def length_of_whole_lines(descriptor):
    """The length of a file up to the end of its last whole line."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        begin = max(0, end - 65536)
        newline = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if newline >= 0:
            return begin + newline + 1
        end = begin
    return 0


class SignsOfLife:
    """A file that a worker touches while it lives. Times are those of the file system, one clock for all machines.

    A worker without a sign for `timeout_s` is dead. On NFS a sign is seen up to a minute late (attributes are cached), so that less than two minutes
    are for one machine alone.
    """

    def __init__(self, folder, timeout_s):
        os.makedirs(folder, exist_ok=True)
        self.folder, self.timeout_s = folder, timeout_s
        self.name = f"{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(2)}"
        self.beat()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.live, daemon=True)
        self.thread.start()

    def path(self, name):
        return os.path.join(self.folder, name)

    def beat(self):
        with contextlib.suppress(OSError):  # a sign that fails comes with the next one
            with open(self.path(self.name), "ab"):
                os.utime(self.path(self.name))

    def live(self):
        while not self.ended.wait(self.timeout_s / 6):
            self.beat()

    def last(self, name):
        """When a worker gave its last sign; None: it has ended, or never was."""
        try:
            return os.stat(self.path(name)).st_mtime
        except FileNotFoundError:
            return None

    def alive(self, name):
        self.beat()
        then, now = self.last(name), self.last(self.name)
        return then is not None and now is not None and now - then < self.timeout_s

    def forget(self, name):
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.path(name))

    def end(self):
        self.ended.set()
        self.thread.join()
        self.forget(self.name)
