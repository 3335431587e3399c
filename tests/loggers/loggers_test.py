# SPDX-License-Identifier: BSL-1.0
"""Tests of what a training writes for others, with the real packages: loggers_test.py CASE FIND_TRACKS SCRATCH.

sidecar and without_wandb need Python alone; tensorboard, wandb and osh are skipped where their packages are not there.
"""

import contextlib
import hashlib
import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
PATIENCE_S = 120
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from checks import check, need, wait, work_in  # noqa: E402


def until(happened, what):
    wait(happened, what, PATIENCE_S)


def json_lines(path):
    with open(path, encoding="utf-8") as text:
        return [json.loads(line) for line in text]


def script(path, text):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    os.chmod(path, 0o755)


def environment(options="", **more):
    """The environment of a training: `python3` is this Python, with these options."""
    script("bin/python3", f'#!/bin/sh\nexec "{sys.executable}" {options} "$@"\n')
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    return {**inherited, "PATH": f"{os.path.abspath('bin')}:{os.environ['PATH']}", **more}


def training(find_tracks, *flags, **more):
    """Starts a training on six small events, made once."""
    if not os.path.exists("events"):
        subprocess.run([find_tracks, "simulate", "--out", "events", "--select", "1-6", "--particles", "60", "--quiet"], check=True)
    small = ["--edge_classifier.hidden", "8", "--edge_classifier.layers", "1", "--condenser.hidden", "8", "--condenser.layers", "1"]
    return subprocess.Popen([find_tracks, "train", *flags, *([] if "--resume" in flags else ["--events", "events", "--train", "1-5", "--validate", "6", *small])],
                            text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **more)  # fmt: skip


def finish(process):
    """Waits for a training that has to end well; what it said."""
    said = process.communicate(timeout=PATIENCE_S)[1]
    check(process.returncode == 0, f"exit status {process.returncode}: {said}")
    return said


def kill_after_a_checkpoint(process, run):
    """Kills a training in its second fit, once it has logged more than its last checkpoint holds."""
    def far_enough():
        check(process.poll() is None, "the training ended before it was killed")
        log = os.path.join(run, "log.jsonl")
        return os.path.exists(log) and len([line for line in open(log, "rb") if b'"stage":"condenser"' in line and b'"kind":"epoch"' in line]) >= 3

    until(far_enough, "the training's third epoch of its second fit")
    process.kill()
    process.communicate()


# ---- TensorBoard -------------------------------------------------------------------------------------------------------------------------
def tensorboard_scalars(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for stage in os.listdir(os.path.join(run, "tensorboard")):
        events = EventAccumulator(os.path.join(run, "tensorboard", stage), size_guidance={"scalars": 0, "images": 0, "histograms": 0})
        events.Reload()
        for tag in events.Tags()["scalars"]:
            for event in events.Scalars(tag):
                check((stage, tag, event.step) not in found, f"{stage} {tag} has step {event.step} twice")
                found[stage, tag, event.step] = event.value
    return found


def expected_scalars(run):
    """What the JSON lines say, under TensorBoard's names."""
    expected, candidates = {}, {}
    for line in json_lines(os.path.join(run, "log.jsonl")):
        stage, kind = line["stage"], line["kind"]
        if kind == "scan":
            candidates[stage] = candidates.get(stage, 0) + 1
            if line["value"] is not None:
                expected[stage, "scan/value", candidates[stage]] = line["value"]
        if kind not in ("step", "epoch"):
            continue
        for name, value in line.items():
            if name in ("kind", "stage", "step", "epoch") or name.startswith("time_") or value is None:
                continue
            validation = name.startswith("validation.")
            expected[stage, "validation/" + name[11:] if validation else f"{kind}/{name}", line["step"]] = value
    return expected


def compare_scalars(run):
    found, expected = tensorboard_scalars(run), expected_scalars(run)
    check(set(found) == set(expected), f"only in one of both: {sorted(set(found) ^ set(expected))[:10]}")
    for key, value in expected.items():
        check(math.isclose(found[key], value, rel_tol=1e-6, abs_tol=1e-30), f"{key}: {found[key]} is not {value}")
    return len(expected)


def tensorboard(find_tracks):
    need("tensorboard", "PIL")
    import io

    from PIL import Image
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    flags = ["--tensorboard", "--log.histogram_epochs", "2", "--quiet"]
    finish(training(find_tracks, "--out", "whole", "--epochs", "4", "--condenser.fit.validate_every", "1", *flags))
    print(compare_scalars("whole"), "scalars are those of the JSON lines")
    for stage, pictures in {"edge_classifier": ["edge_scores", "edges_xy"], "condenser": ["beta", "latent_space"]}.items():
        events = EventAccumulator(os.path.join("whole", "tensorboard", stage), size_guidance={"images": 0, "histograms": 0})
        events.Reload()
        tags = events.Tags()
        for picture in pictures:
            check(f"event/{picture}" in tags["images"], f"{stage} has no picture {picture}, but {tags['images']}")
            for image in events.Images(f"event/{picture}"):
                pixels = Image.open(io.BytesIO(image.encoded_image_string))
                pixels.load()
                check(pixels.format == "PNG" and pixels.size == (image.width, image.height), f"{picture}: {pixels.format} {pixels.size}")
                check(len(pixels.convert("RGB").getcolors(1 << 20)) >= 2, f"{picture} is blank")
        weights = [tag for tag in tags["histograms"] if tag.startswith("weights/")]
        check(weights and all(tag.replace("weights/", "gradients/") in tags["histograms"] for tag in weights), f"histograms: {tags['histograms']}")
        for tag in tags["histograms"]:
            steps = [event.step for event in events.Histograms(tag)]
            check(steps == [10, 20], f"{tag}: steps {steps}")
            h = events.Histograms(tag)[-1].histogram_value
            check(sum(h.bucket) == h.num > 0 and h.bucket_limit[-1] == h.max >= h.min, f"{tag}: {h}")

    loaded = EventFileLoader(os.path.join("whole", "tensorboard", "condenser", "events.out.tfevents.0000000001.dew")).Load()  # as the server does
    kinds = {value.tag: value.metadata for event in loaded for value in event.summary.value}
    check(kinds["event/beta"].plugin_data.plugin_name == "images" and kinds["event/beta"].summary_description.startswith("Event 6. "), kinds["event/beta"])
    check(kinds["step/loss"].plugin_data.plugin_name == "scalars", kinds["step/loss"])

    killed = training(find_tracks, "--out", "parts", "--epochs", "25", *flags)
    kill_after_a_checkpoint(killed, "parts")
    before = json_lines("parts/log.jsonl")
    finish(training(find_tracks, "--resume", "parts", "--quiet"))
    print(compare_scalars("parts"), "scalars after", len(before), "lines, a kill and a new start")
    files = os.listdir("parts/tensorboard/condenser")
    check(len(files) == 2, f"one file for each of the two processes: {files}")


# ---- Weights & Biases, the real package ---------------------------------------------------------------------------------------------------
def records(directory):
    """The records of a run's .wandb file, by wandb's own reader."""
    text = subprocess.run([sys.executable, "-m", "wandb", "leet", "inspect", "--json", directory], check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in text.splitlines()]


def history(directory):
    return {item["step"]["num"]: item["item"] for item in (r["history"] for r in records(directory) if r["type"] == "history")}


def compare_history(run, directory):
    lines, rows = json_lines(os.path.join(run, "log.jsonl")), history(directory)
    steps = [r["history"]["step"]["num"] for r in records(directory) if r["type"] == "history"]
    check(steps == list(range(len(lines))), f"steps of {directory}: {steps}")
    for number, line in enumerate(lines):
        for name, value in line.items():
            if isinstance(value, (int, float)) and name != "step":
                key = f"{line['stage']}/{line['kind']}/{name}"
                check(math.isclose(rows[number][key], value, rel_tol=1e-12), f"line {number}: {key} is {rows[number].get(key)}, not {value}")
        if "step" in line:
            check(rows[number][f"{line['stage']}/step"] == line["step"], f"line {number}: {rows[number]}")
    return len(lines)


def offline_runs(run):
    folder = os.path.join(run, "wandb")
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.startswith("offline-run-"))


def wandb(find_tracks):
    need("wandb")
    env = environment()
    said = finish(training(find_tracks, "--out", "whole", "--epochs", "2", "--wandb-offline", "--wandb-project", "tracks", "--quiet", env=env))
    (directory,) = offline_runs("whole")
    check(said == f"wandb: {os.path.realpath(directory)}\n", said)
    print(compare_history("whole", directory), "lines are the history of", os.path.basename(directory))
    of = {r["type"]: r[r["type"]] for r in records(directory)}
    check(of["run"]["project"] == "tracks" and of["run"]["display_name"] == "whole", of["run"])
    check(of["exit"].get("exit_code", 0) == 0, of["exit"])
    config = of["run"]["config"]["update"]
    check(config["condenser.hidden"] == 8 and config["train"] == "1-5", config)
    metrics = json.load(open("whole/metrics.json", encoding="utf-8"))
    summary = {}
    for r in records(directory):
        if r["type"] == "summary":
            summary.update(r["summary"].get("update", {}))
    for name, value in metrics.items():
        if value is not None:
            check(summary[f"metrics/{name}"] == value, f"summary: {name} is {summary.get(f'metrics/{name}')}, not {value}")

    killed = training(find_tracks, "--out", "parts", "--epochs", "25", "--wandb-offline", "--quiet", env=env)
    until(lambda: os.path.exists("parts/wandb/id") and offline_runs("parts"), "a W&B run")
    kill_after_a_checkpoint(killed, "parts")
    identity = open("parts/wandb/id", encoding="utf-8").read().strip()
    finish(training(find_tracks, "--resume", "parts", "--quiet", env=env))
    check(open("parts/wandb/id", encoding="utf-8").read().strip() == identity, "the id has changed")
    first, second = offline_runs("parts")
    for directory in (first, second):
        check(directory.endswith(f"-{identity}"), directory)
    print(compare_history("parts", second), "lines after a kill and a new start, id", identity)
    check({r["type"]: r[r["type"]] for r in records(first)}["exit"]["exit_code"] == 1, "the killed process's part says that it failed")
    sent = sorted(history(first))
    check(sent == list(range(len(sent))) and sent, f"steps of the first part: {sent}")


def osh(find_tracks):
    need("wandb", "wandb_osh")
    # a wandb that notes where it is called, and marks the run as sent, as the real one does
    script("head/wandb", '#!/bin/sh\necho "$PWD $*" >> "$CALLS"\nfor file in *.wandb; do touch "$file.synced"; done\n')
    head = {**os.environ, "PATH": f"{os.path.abspath('head')}:{os.environ['PATH']}", "CALLS": os.path.abspath("calls")}
    farm = subprocess.Popen([sys.executable, "-m", "wandb_osh.cli", "--command-dir", "farm", "--wait", "0"], env=head, stderr=subprocess.DEVNULL)
    try:
        run = training(find_tracks, "--out", "run", "--epochs", "2", "--wandb-osh", "commands", "--wandb-osh-delay", "0.1", "--quiet", env=environment())
        finish(run)
        (directory,) = offline_runs("run")
        target = os.path.realpath(directory)
        name = hashlib.sha256(target.encode()).hexdigest()[:6] + ".command"
        check(os.listdir("commands") == [name], f"{os.listdir('commands')}, not {name}")
        with open(os.path.join("commands", name), "rb") as command:
            check(command.read() == target.encode(), "the command file holds something else")
        check([f for f in os.listdir(target) if f.endswith(".wandb")], f"{target} has no .wandb file")
        shutil.copytree("commands", "farm", dirs_exist_ok=True)
        until(lambda: os.path.exists("calls") and not os.listdir("farm"), "the farm's call")
        check(open("calls", encoding="utf-8").read() == f"{target} sync .\n", open("calls", encoding="utf-8").read())
    finally:
        farm.terminate()
        farm.wait()
    # the real wandb passes over a run that it has marked; once the sidecar has asked again, it does not
    def would_send():
        said = subprocess.run([sys.executable, "-m", "wandb", "sync", "--dry-run", "."], cwd=target, check=True, capture_output=True, text=True)
        return "Would sync 1 run" in said.stdout + said.stderr

    check(not would_send(), "wandb sends marked runs again: the marker needs no removing")
    shutil.rmtree("commands")
    finish(training(find_tracks, "--resume", "run", env=environment()))  # is finished already
    by_hand = [sys.executable, "run/wandb/sidecar.py", "run", "--osh", "commands"]
    subprocess.run(by_hand, env=environment(), stdin=subprocess.DEVNULL, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    target = os.path.realpath(offline_runs("run")[-1])
    check(would_send(), "a run that was asked for is passed over")
    check(len(history(target)) == len(json_lines("run/log.jsonl")), "a run sent by hand is not complete")


# ---- the sidecar by itself, with something that is called wandb ----------------------------------------------------------------------------
FAKE = '''
import json, os, subprocess

def note(**what):
    with open(os.environ["NOTES"], "a") as out:
        out.write(json.dumps(what) + "\\n")

class Settings:
    console = disable_git = disable_code = None
    def __init__(self, **given):
        note(settings=given)

class Run:
    def __init__(self, directory):
        self.dir, self.summary, self.url = os.path.join(directory, "files"), {}, "https://somewhere/" + os.path.basename(directory)
        self.step = int(os.environ.get("STEP", "0"))
        self.file = os.path.join(directory, "run-x.wandb")
        os.makedirs(self.dir, exist_ok=True)
        open(self.file, "w").close()
    def define_metric(self, name, step_metric=None):
        note(metric=name, over=step_metric)
    def log(self, values, step, commit):
        note(step=step, values=values)
        with open(self.file, "a") as out:
            out.write("x")
    def finish(self, exit_code):
        note(summary=self.summary, exit_code=exit_code)

def init(**given):
    settings = given.pop("settings")
    note(init=given)
    if os.environ.get("TROUBLE"):
        raise RuntimeError(os.environ["TROUBLE"] + "\\nand more of it")
    if os.environ.get("CHILD_S"):
        subprocess.Popen(["sleep", os.environ["CHILD_S"]])  # as wandb starts a process of its own
    return Run(os.path.join(given["dir"], "wandb", "offline-run-x-" + given["id"]))
'''


class Conversation:
    """The sidecar beside this process, which plays the training."""

    def __init__(self, *flags, **env):
        script("fake/wandb/__init__.py", FAKE)
        if os.path.exists("notes"):
            os.remove("notes")
        self.here, there = socket.socketpair()
        self.process = subprocess.Popen([sys.executable, "sidecar.py", "run", *flags], stdin=there, stdout=subprocess.DEVNULL, stderr=open("errors", "a"),
                                        env={**os.environ, "PYTHONPATH": os.path.abspath("fake"), "NOTES": os.path.abspath("notes"), **env})  # fmt: skip
        there.close()

    def end(self, word=None):
        """Ends the training; what the sidecar has said."""
        if word:
            self.here.sendall(word.encode() + b"\n")
        self.here.shutdown(socket.SHUT_WR)
        said = b""
        with contextlib.suppress(ConnectionResetError):  # the sidecar has left the last word unread
            while part := self.here.recv(4096):
                said += part
        check(self.process.wait(PATIENCE_S) == 0, f"the sidecar's status is {self.process.returncode}: {open('errors').read()}")
        return said.decode()


def notes(what):
    return [note for note in (json_lines("notes") if os.path.exists("notes") else []) if what in note]


def put(lines, mode="w"):
    os.makedirs("run", exist_ok=True)
    with open("run/log.jsonl", mode, encoding="utf-8") as log:
        log.write(lines)


def step_line(n, **more):
    return json.dumps({"kind": "step", "stage": "model", "epoch": 0, "step": 20 * n, "loss": 1 / n, "loss.none": None, **more}) + "\n"


def epoch_line(n, validation):
    return json.dumps({"kind": "epoch", "stage": "model", "epoch": n, "step": 20 * n, "loss": 0.5, "validation.loss": validation, "time_s": 3.5}) + "\n"


def sidecar(_):
    with open(os.path.join(ROOT, "include", "dew", "train", "wandb_sidecar.hpp"), encoding="utf-8") as header:
        script("sidecar.py", re.search(r'R"PYTHON\((.*)\)PYTHON"', header.read(), re.DOTALL).group(1))

    # offline: lines as they come, half ones when they are whole; asked for after each validated epoch and at the end
    put(step_line(1) + step_line(2)[:10])
    with_farm = Conversation("--osh", "farm/deep", "--project", "p", "--name", "n")
    until(lambda: len(notes("step")) == 1, "the first line")
    put(step_line(2)[10:] + "no JSON\n" + epoch_line(1, None), "a")
    until(lambda: len(notes("step")) == 3, "three lines")
    check(not os.path.exists("farm"), "the farm was asked without a validation")
    put(epoch_line(2, 0.25), "a")
    until(lambda: os.path.exists("farm/deep") and [f for f in os.listdir("farm/deep") if f.endswith(".command")], "a command")
    directory = os.path.realpath("run/wandb/offline-run-x-" + open("run/wandb/id", encoding="utf-8").read().strip())
    command = os.path.join("farm/deep", hashlib.sha256(directory.encode()).hexdigest()[:6] + ".command")
    check(os.listdir("farm/deep") == [os.path.basename(command)], os.listdir("farm/deep"))
    check(open(command, "rb").read() == directory.encode(), "the command's content")
    os.remove(command)
    open(os.path.join(directory, "run-x.wandb.synced"), "w").close()
    put(epoch_line(3, 0.2), "a")
    until(lambda: os.path.exists(command), "a second command")
    check(not os.path.exists(os.path.join(directory, "run-x.wandb.synced")), "the mark that the run was sent is still there")
    os.remove(command)
    with open("run/metrics.json", "w", encoding="utf-8") as metrics:
        metrics.write('{"tracking.x": 0.5}')
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        with_farm.process.send_signal(number)  # what a scheduler sends to all processes of a job
    put(json.dumps({"kind": "scanned", "stage": "dbscan", "best": "eps = 1", "value": 0.75}) + "\n", "a")
    check(with_farm.end("trained") == f"wandb: {directory}\n", "what it says")
    check(os.path.exists(command), "no command at the end")
    check([note["step"] for note in notes("step")] == [0, 1, 3, 4, 5, 6], notes("step"))
    check(notes("step")[0]["values"] == {"model/step": 20, "model/step/epoch": 0, "model/step/loss": 1.0}, notes("step")[0])
    check(notes("step")[3]["values"]["model/epoch/validation.loss"] == 0.25, notes("step")[3])
    check([(n["metric"], n["over"]) for n in notes("metric")] == [("model/step", None), ("model/*", "model/step")], notes("metric"))
    check(notes("exit_code") == [{"summary": {"dbscan/scanned/best": "eps = 1", "metrics/tracking.x": 0.5}, "exit_code": 0}], notes("exit_code"))
    (init,) = notes("init")
    check(init["init"]["mode"] == "offline" and init["init"]["resume"] is None and init["init"]["project"] == "p" and init["init"]["name"] == "n", init)
    check(notes("settings")[-1]["settings"] == {"console": "off", "disable_git": True, "disable_code": True}, "settings that this wandb knows")

    # without a log at first, and asked for once more after the end; a run has the name of its folder
    os.remove("run/log.jsonl")
    late = Conversation("--osh", "again", "--osh-delay", "1")
    until(lambda: notes("init"), "a run without a log")
    check(notes("init")[0]["init"]["name"] == "run", notes("init"))
    put(step_line(1))
    until(lambda: notes("step"), "the first line of a late log")
    late.here.sendall(b"trained\n")
    late.here.shutdown(socket.SHUT_WR)
    once = os.path.join("again", os.path.basename(command))
    until(lambda: os.path.exists(once), "a command at the end")
    os.remove(once)
    check(late.process.wait(PATIENCE_S) == 0 and os.path.exists(once), "no command after the delay")

    # online, going on: the server has six steps; the log was cut back to four lines and grows again. The training is killed
    os.makedirs("run/wandb", exist_ok=True)
    identity = open("run/wandb/id", encoding="utf-8").read().strip()
    put("".join(step_line(n) for n in range(1, 5)))
    online = Conversation(STEP="6")
    until(lambda: notes("init"), "a run")
    check(notes("init")[0]["init"]["id"] == identity and notes("init")[0]["init"]["resume"] == "allow", notes("init"))
    put("".join(step_line(n) for n in range(5, 9)), "a")
    until(lambda: len(notes("step")) == 2, "the seventh and the eighth line")
    put("".join(step_line(n) for n in range(1, 6)))  # cut back while it is read
    time.sleep(1.5)
    put("".join(step_line(n, time_s=123.25) for n in range(6, 11)), "a")  # values of a clock are others
    check(online.end() == f"wandb: https://somewhere/offline-run-x-{identity}\n", "the address")
    check([(note["step"], note["values"]["model/step"]) for note in notes("step")] == [(6, 140), (7, 160), (8, 180), (9, 200)], notes("step"))
    check(notes("exit_code")[0]["exit_code"] == 1, "a killed training's run has failed")

    # what wandb refuses is a sentence, and no failure
    refused = Conversation(TROUBLE="No API key")
    check(refused.end("stopped") == "wandb: No API key and more of it: nothing goes to Weights & Biases, the training goes on.\n", "what it says")

    # a second sidecar waits for the first
    first = Conversation("--offline", CHILD_S="20")
    until(lambda: notes("init"), "the first one's run")
    with open("run/wandb/id", "w", encoding="utf-8") as out:
        out.write("../bad\n")  # nobody's id
    env = {**os.environ, "PYTHONPATH": os.path.abspath("fake"), "NOTES": os.path.abspath("notes")}
    second = subprocess.Popen([sys.executable, "sidecar.py", "run", "--offline"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=env)
    time.sleep(1)
    check(len(notes("init")) == 1, "two sidecars at once")
    began = time.monotonic()
    first.end("stopped")
    check(time.monotonic() - began < 15, "the socket ends with what wandb has started, not with the sidecar")
    check(second.wait(PATIENCE_S) == 0 and len(notes("init")) == 2, "the second one's run")
    check(re.fullmatch(r"[0-9a-f]{8}", notes("init")[1]["init"]["id"]) is not None, notes("init")[1])
    check([note["exit_code"] for note in notes("exit_code")] == [0, 0], notes("exit_code"))


def without_wandb(find_tracks):
    bare = environment("-IS")  # neither installed packages nor PYTHONPATH
    for name, flags in {"offline": ["--wandb-offline"], "osh": ["--wandb-osh", "farm"]}.items():
        said = finish(training(find_tracks, "--out", name, "--epochs", "1", "--quiet", *flags, env=bare))
        check(said.count("\n") == 1 and said.startswith("wandb: python3 finds no package"), f"{name}: {said}")
        check(os.path.exists(f"{name}/metrics.json") and not os.path.exists("farm"), f"{name}: the training did not go on")


def main():
    case, find_tracks, scratch = sys.argv[1:]
    work_in(scratch)
    {"tensorboard": tensorboard, "wandb": wandb, "osh": osh, "sidecar": sidecar, "without_wandb": without_wandb}[case](find_tracks)


if __name__ == "__main__":
    main()
