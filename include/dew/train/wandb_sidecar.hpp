// SPDX-License-Identifier: BSL-1.0
// The Python script that a training starts for Weights & Biases, as text: an installed program needs no source folder.
#pragma once
#include <string_view>

namespace dew {

/// `RUN/wandb/sidecar.py`; see `WandbLog`. What it prints goes to `sidecar.log`, what it says over its socket to the terminal of the training.
inline constexpr std::string_view wandb_sidecar = R"PYTHON(# SPDX-License-Identifier: BSL-1.0
"""Turns the log of a training into a Weights & Biases run.

The training starts this script beside itself and talks to it over a socket, its standard input; by hand, for a run that is over:

    python3 RUN/wandb/sidecar.py RUN [--offline] [--project NAME] [--entity NAME] [--name NAME] < /dev/null

It reads RUN/log.jsonl while that grows. A line's number is its W&B step, so that a line that was sent before a training went on from a checkpoint
is not sent twice. Needs Python 3.9 and wandb.
"""

import argparse
import contextlib
import fcntl
import glob
import hashlib
import importlib.util
import json
import os
import re
import secrets
import select
import signal
import socket
import stat
import sys
import time

POLL_S = 1.0  # between two looks at the log
FLUSH_S = 30.0  # wandb has written everything to its file within this time


def write_aside(path, text, aside):
    """Writes a file so that whoever looks sees it whole or not at all."""
    with open(aside, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.replace(aside, path)


class Training:
    """The training at the other end of the socket. Its last word says how it ended; without one it was killed."""

    def __init__(self):
        self.word = None
        self.over = not stat.S_ISSOCK(os.fstat(0).st_mode)
        self.by_hand = self.over
        if self.by_hand:
            self.word = "trained"
            return
        self.socket = socket.socket(fileno=os.dup(0))
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)  # what this process starts must not keep the socket open
        os.close(nothing)

    def say(self, sentence):
        """One sentence for whoever watches the training."""
        sentence = " ".join(sentence.split())
        print(sentence, flush=True)
        if not self.by_hand:
            with contextlib.suppress(OSError):
                self.socket.sendall(f"{sentence}\n".encode())

    def wait(self, seconds):
        """Waits, at most until the training has something to say."""
        if self.over:
            return
        if select.select([self.socket], [], [], seconds)[0]:
            words = b""
            with contextlib.suppress(OSError):
                words = self.socket.recv(4096)
            if words:
                self.word = words.decode(errors="replace").split()[-1]
            else:
                self.over = True


class Log:
    """The whole lines of a file that grows, and that may be cut back and grow again."""

    def __init__(self, path):
        self.path, self.offset, self.number = path, 0, 0

    def new_lines(self):
        """Pairs of a line's number, from 0, and what it holds, of the lines since the last call."""
        try:
            if os.path.getsize(self.path) < self.offset:
                self.offset = self.number = 0
            with open(self.path, "rb") as log:
                log.seek(self.offset)
                text = log.read()
        except FileNotFoundError:
            return
        whole = text[: text.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.splitlines():
            number, self.number = self.number, self.number + 1
            try:
                entry = json.loads(line)
            except ValueError:
                print(f"line {number + 1} of {self.path} is no JSON: left out", flush=True)
                continue
            yield number, entry


class Run:
    """The W&B run."""

    def __init__(self, arguments, wandb):
        self.folder = os.path.join(arguments.run, "wandb")
        self.axes = set()
        config = {}
        with contextlib.suppress(FileNotFoundError), open(os.path.join(self.folder, "config.json"), encoding="utf-8") as text:
            config = json.load(text)
        known = wandb.Settings()
        wanted = {"console": "off", "disable_git": True, "disable_code": True, "x_stats_pid": os.getppid()}
        self.run = wandb.init(
            mode="offline" if arguments.offline else "online",
            dir=arguments.run,
            id=self.identity(),
            resume=None if arguments.offline else "allow",
            project=arguments.project,
            entity=arguments.entity,
            name=arguments.name or os.path.basename(os.path.realpath(arguments.run)),
            config=config,
            settings=wandb.Settings(**{name: value for name, value in wanted.items() if hasattr(known, name)}),
        )
        self.next_step = 0 if arguments.offline else self.run.step  # a run that is gone on with has the steps before

    def identity(self):
        """The run's id: made once, kept for every job that goes on with the training."""
        path = os.path.join(self.folder, "id")
        with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as text:
            identity = text.read().strip()
            if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", identity):
                return identity
        identity = secrets.token_hex(4)
        write_aside(path, identity + "\n", f"{path}.{os.getpid()}.part")
        return identity

    def log(self, number, entry):
        """Sends a line of the log, unless it was sent before."""
        if number < self.next_step:
            return
        self.next_step = number + 1
        stage, kind = entry.get("stage", "training"), entry.get("kind", "line")
        axis = f"{stage}/step"
        values = {} if "step" not in entry else {axis: entry["step"]}
        for name, value in entry.items():
            if name not in ("stage", "kind", "step") and isinstance(value, (int, float)):
                values[f"{stage}/{kind}/{name}"] = value
            elif kind == "scanned" and isinstance(value, str) and name != "stage" and name != "kind":
                self.run.summary[f"{stage}/{kind}/{name}"] = value
        if axis in values and axis not in self.axes:
            self.axes.add(axis)
            self.run.define_metric(axis)
            self.run.define_metric(f"{stage}/*", step_metric=axis)
        self.run.log(values, step=number, commit=True)

    def directory(self):
        """The folder with the run's .wandb file."""
        return os.path.realpath(os.path.dirname(self.run.dir))

    def finish(self, word):
        """Ends the run as the training ended."""
        if word == "trained":
            with contextlib.suppress(OSError, ValueError), open(os.path.join(self.folder, "..", "metrics.json"), encoding="utf-8") as text:
                for name, value in json.load(text).items():
                    self.run.summary[f"metrics/{name}"] = value
        self.run.finish(exit_code=0 if word in ("trained", "stopped") else 1)


def bytes_of(directory):
    """The size of the .wandb files in a run's directory."""
    return sum(os.path.getsize(path) for path in glob.glob(os.path.join(glob.escape(directory), "*.wandb")))


class Farm:
    """The folder that wandb-osh watches on a node with internet; None for nobody."""

    def __init__(self, folder):
        self.folder = folder and os.path.expanduser(folder)
        self.due = None

    def ask_soon(self, size_before):
        """Asks when the run's file has grown: wandb writes it every 15 s. `size_before`: its bytes before the figures were sent."""
        if not self.due:
            self.due = (time.monotonic() + FLUSH_S, size_before)

    def ask_if_due(self, directory):
        """Does what `ask_soon` put off."""
        if self.due and (time.monotonic() > self.due[0] or bytes_of(directory) > self.due[1]):
            self.ask(directory)

    def ask(self, directory):
        """Asks for a `wandb sync` in a run's directory."""
        self.due = None
        if not self.folder:
            return
        for marker in glob.glob(os.path.join(glob.escape(directory), "*.wandb.synced")):
            with contextlib.suppress(OSError):
                os.remove(marker)  # wandb passes over what it has synced once, also when it has grown since
        name = hashlib.sha256(directory.encode()).hexdigest()[:6]
        try:
            os.makedirs(self.folder, exist_ok=True)
            write_aside(os.path.join(self.folder, f"{name}.command"), directory, os.path.join(self.folder, f"{name}.{os.getpid()}.part"))
        except OSError as problem:
            print(f"wandb-osh: {problem}", flush=True)


def hold(path):
    """Waits until no other sidecar is at work on the run. The lock is held while the file that is returned is open."""
    lock = open(path, "w", encoding="utf-8")
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            time.sleep(POLL_S)
        except OSError:
            return lock  # a file system without locks


def main():
    parser = argparse.ArgumentParser(description="Turns the log of a training into a Weights & Biases run.")
    parser.add_argument("run", help="run folder of the training")
    parser.add_argument("--offline", action="store_true", help="write the run to RUN/wandb/offline-run-..., send nothing")
    parser.add_argument("--project", help="W&B project")
    parser.add_argument("--entity", help="W&B user or team")
    parser.add_argument("--name", help="name of the run; default: that of the folder")
    parser.add_argument("--osh", metavar="DIR", help="folder that wandb-osh watches; implies --offline")
    parser.add_argument("--osh-delay", type=float, default=0, metavar="S", help="ask wandb-osh once more so many seconds after the end")
    arguments = parser.parse_args()
    arguments.offline = arguments.offline or bool(arguments.osh)

    training = Training()
    if not training.by_hand:  # what ends a job goes to all its processes; this one ends with the training
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
    os.makedirs(os.path.join(arguments.run, "wandb"), exist_ok=True)

    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") not in (here, os.path.dirname(here))]
    found = importlib.util.find_spec("wandb")
    if found is None or found.origin is None:
        training.say("wandb: python3 finds no package of this name (pip install wandb): nothing goes to Weights & Biases, the training goes on.")
        return
    lock = hold(os.path.join(arguments.run, "wandb", "lock"))
    try:
        import wandb

        run = Run(arguments, wandb)
    except (Exception, SystemExit) as problem:
        reason = " ".join(str(problem).split())[:200] or type(problem).__name__
        training.say(f"wandb: {reason}: nothing goes to Weights & Biases, the training goes on.")
        return
    training.say(f"wandb: {run.directory() if arguments.offline else run.run.url}")

    farm, log = Farm(arguments.osh), Log(os.path.join(arguments.run, "log.jsonl"))
    while True:
        over = training.over  # asked before the log is read: what stands there at the end is sent
        validated, size = False, bytes_of(run.directory())
        for number, entry in log.new_lines():
            run.log(number, entry)
            validated = validated or (entry.get("kind") == "epoch" and entry.get("validation.loss") is not None)
        if over:
            break
        if validated:
            farm.ask_soon(size)
        farm.ask_if_due(run.directory())
        training.wait(POLL_S)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # from here on nobody but the network decides how long it takes
    run.finish(training.word)
    farm.ask(run.directory())
    if arguments.osh and arguments.osh_delay > 0:
        time.sleep(arguments.osh_delay)
        farm.ask(run.directory())
    lock.close()


if __name__ == "__main__":
    main()
)PYTHON";

}  // namespace dew
