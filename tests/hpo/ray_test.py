# SPDX-License-Identifier: BSL-1.0
"""Test of examples/cluster/ray on one machine: ray_test.py FIND_TRACKS SCRATCH. Not run by ctest: Ray takes minutes and 0.5 GB.

    python3 -m venv VENV && VENV/bin/pip install 'ray[tune]' optuna
    VENV/bin/python tests/hpo/ray_test.py build/test/bin/find_tracks SCRATCH
"""

import glob
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from checks import check, work_in  # noqa: E402

SEARCH = os.path.join(HERE, "..", "..", "examples", "cluster", "ray", "ray_search.py")
SPACE = """
[edge_classifier]
hidden = "int 4..12 log"
stack = ["prenorm", "skip1"]
alpha = "float 0.2..0.8 if edge_classifier.stack == skip1"
fit.learning_rate = "float 1e-3..2e-2 log"
"""


def search(find_tracks, *words):
    command = [sys.executable, SEARCH, "results", "--program", find_tracks, "--space", "space.toml", "--metric", "edges.auc", "--stage", "edge_classifier", "--trials", "6",
               *words, "--", "--events", "events", "--train", "1-5", "--validate", "6", "--epochs", "40", "--threads", "1", "--edge_classifier.fit.validate_every", "1",
               "--condenser.hidden", "8", "--condenser.layers", "1"]  # fmt: skip
    print("$", *command[2:], flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, check=False)
    print(done.stdout, flush=True)
    check(done.returncode == 0, f"exit status {done.returncode}")
    return done.stdout


def main():
    find_tracks, scratch = os.path.abspath(sys.argv[1]), sys.argv[2]
    work_in(scratch)
    subprocess.run([find_tracks, "simulate", "--out", "events", "--select", "1-6", "--particles", "60", "--quiet"], check=True)
    with open("space.toml", "w", encoding="utf-8") as file:
        file.write(SPACE)

    # an allocation that ends in the first trials: they are saved, and none is begun that cannot finish
    text = search(find_tracks, "--stop-after", "25", "--save-seconds", "12")
    check("takes no new trial: " in text and re.search(r"[1-9]\d* cut off", text), "the end of an allocation")
    # the next one goes on with them, and does the rest
    text = search(find_tracks, "--save-seconds", "5")
    check("6 trials: 6 done, 0 cut off" in text and "best: " in text, "the second allocation")
    for log in glob.glob("results/*/checkpoint_*/log.jsonl"):
        with open(log, encoding="utf-8") as lines:
            epochs = [(line["stage"], line["epoch"]) for line in map(json.loads, lines) if line["kind"] == "epoch"]
        check(len(epochs) == len(set(epochs)), f"{log}: an epoch is there twice")
    print("ray_test: passed")


if __name__ == "__main__":
    main()
