#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Something that behaves like `find_tracks train` and `find_tracks options`, with durations and ends that a test says.

The options file says how: epochs, epoch_s, and `trouble`: "fail", "die", "full" or "silent". The figure `edges.auc` of an epoch is x.
"""

import json
import os
import signal
import sys
import time
import tomllib

SPACE = [
    {"option": "part.x", "type": "float", "low": 0.0, "high": 1.0, "step": 0.0, "log": False, "if": [], "default": 0.5, "unit": "", "help": "", "range": "float 0..1"},
    {"option": "part.kind", "type": "choice", "choices": ["a", "b"], "if": [], "default": "a", "unit": "", "help": "", "range": "choice a b"},
    {"option": "part.n", "type": "int", "low": 2, "high": 8, "step": 2, "log": False, "if": [{"option": "part.kind", "values": ["b"], "default": "a"}],
     "default": 2, "unit": "", "help": "", "range": "int 2..8 step 2 if part.kind == b"},
]  # fmt: skip


def put(path, text, mode="w"):
    with open(path, mode, encoding="utf-8") as file:
        file.write(text)


def train(words):
    if "--resume" in words:
        run = words[words.index("--resume") + 1]
    else:
        run = words[words.index("--out") + 1]
        os.makedirs(run)
        with open(words[words.index("--config") + 1], encoding="utf-8") as file:
            put(os.path.join(run, "config.toml"), file.read())
    with open(os.path.join(run, "config.toml"), "rb") as file:
        options = tomllib.load(file)
    epochs, trouble = options["model"]["fit"]["epochs"], options.get("trouble", "")
    log = os.path.join(run, "log.jsonl")
    done = sum(1 for _ in open(log, "rb")) if os.path.exists(log) else 0
    for epoch in range(done, epochs):
        time.sleep(options["epoch_s"])
        if trouble == "fail":
            sys.exit("model: the loss is not finite")
        if trouble == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if trouble == "full":
            sys.exit(f"{log}: cannot be written: No space left on device")
        line = {"kind": "epoch", "stage": "model", "epoch": epoch, "step": epoch + 1, "loss": 1.0, "validation.edges.auc": options["part"]["x"], "time_s": 1.0}
        put(log, json.dumps(line, separators=(",", ":")) + "\n", "a")
    put(os.path.join(run, "model.safetensors"), "")
    put(os.path.join(run, "metrics.json"), json.dumps({} if trouble == "silent" else {"edges.auc": options["part"]["x"]}))


if __name__ == "__main__":
    if sys.argv[1] == "options":
        print(json.dumps({"space": SPACE}))
    else:
        train(sys.argv[2:])
