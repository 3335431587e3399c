# SPDX-License-Identifier: BSL-1.0
"""Tests of the search in examples/cluster/hpo: hpo_test.py CASE FIND_TRACKS SCRATCH.

rules needs Python alone; the others are skipped where Optuna is not there.
"""

import contextlib
import json
import math
import os
import re
import resource
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
HPO = os.path.join(HERE, "..", "..", "examples", "cluster", "hpo")
FAKE = os.path.join(HERE, "fake_tracks.py")
PATIENCE_S = 150
sys.path[:0] = [HPO, os.path.join(HERE, "..", "support")]
from checks import check, need, wait, work_in  # noqa: E402


def until(happened, what):
    wait(happened, what, PATIENCE_S)


def put(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def hpo(*words, status=0, **more):
    """Runs hpo.py; what it said."""
    done = subprocess.run([sys.executable, os.path.join(HPO, "hpo.py"), *words], capture_output=True, text=True, timeout=PATIENCE_S, check=False, **more)
    check(done.returncode == status, f"hpo.py {words}: exit status {done.returncode}, not {status}: {done.stdout}{done.stderr}")
    return done.stdout + (done.stderr if status else "")


def worker(study, *words, **more):
    """Starts a worker in a process group of its own, as on a machine of its own. Its output: worker.txt."""
    with open("worker.txt", "ab") as out:
        return subprocess.Popen([sys.executable, os.path.join(HPO, "hpo.py"), "work", study, "--heartbeat", "3", "--lock-grace", "3", "--poll", "0.1", *words],
                                stdout=out, stderr=out, start_new_session=True, **more)  # fmt: skip


def said():
    return read("worker.txt")


def fake_study(name, trials, epochs=4, epoch_s=0.0, trouble="", *words):
    """A study over fake_tracks.py."""
    put("base.toml", f'epoch_s = {float(epoch_s)}\ntrouble = "{trouble}"\n[model.fit]\nepochs = {epochs}\n')
    put("space.toml", "")
    hpo("create", name, "--program", FAKE, "--space", "space.toml", "--metric", "edges.auc", "--trials", str(trials), "--pruner", "none", *words, "--", "--config", "base.toml")


def trials(study):
    """Optuna's trials of a study."""
    from hpo import Study

    return Study(study).trials()


def states(study):
    return "".join(trial.state.name[0] for trial in trials(study))  # C, P(runed), F, R


# ---- without any package -----------------------------------------------------------------------------------------------------------------------
def rules(_):
    need("tomllib")
    from allocation import Allocation, Expectation, duration, job_of, slurm_seconds
    from training import Run, Trouble, fixed_options, options_text, read_options, suggest, work_of, write_aside

    # time that is left
    check(Allocation(None, {}).left() == math.inf, "nothing limits")
    check(Allocation(100, {}, clock=lambda: 5.0).end == 105, "seconds from now")
    check(Allocation(100, {"SLURM_JOB_END_TIME": "50"}, clock=lambda: 5.0).left() == 45, "SLURM's end comes first")
    check(Allocation(10, {"SLURM_JOB_END_TIME": "50"}, clock=lambda: 5.0).left() == 10, "what was given comes first")
    task = {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}
    end_that_moves(task)
    check([job_of(task), job_of({"SLURM_JOB_ID": "8"}), job_of({})] == ["7_3", "8", None], "the number of the last task is that of the array")
    check([slurm_seconds(t) for t in ("4:05:06", "05:06\n", "1-04:05:06")] == [14706, 306, 101106], "SLURM's times")
    check([duration(s) for s in (41.7, 425, 12000)] == ["42 s", "7 min 05 s", "3 h 20 min"], "times for people")

    # planted durations: nine tenths of ten take at most 90 s, so that 108 s are expected, and 10 s are kept
    known = Expectation([10 * n for n in range(1, 11)])
    check(math.isclose(known.seconds, 108), known.seconds)
    check(known.judge(118.5, 10)[0] and not known.judge(117.5, 10)[0], "what fits is decided by quantile, safety and reserve")
    check(known.judge(64.5, 10, share_done=0.5)[0] and not known.judge(63.5, 10, share_done=0.5)[0], "half of a trial takes half of its time")
    fits, why = known.judge(117, 10)
    check(why == "a trial takes 1 min 48 s (90% of 10 trials take at most 1 min 30 s, times 1.2) and 10 s are kept for saving; this allocation has 1 min 57 s left", why)
    check(math.isclose(Expectation([100, 100, 100], [900]).seconds, 120), "three finished trials count alone")
    check(math.isclose(Expectation([100, 100], [200]).seconds, 240), "fewer count with those under way")
    check(Expectation([], [], 60).seconds == 60 and Expectation([50], [], 60).seconds == 60, "what is measured replaces what was stated")
    check(not Expectation([], [], 60).judge(65, 10)[0] and Expectation([], [], 60).judge(70, 10)[0], "what was stated")
    fits, why = Expectation([]).judge(20, 10)
    check(fits and "no trial has finished yet" in why and not Expectation([]).judge(5, 10)[0], why)

    # options: written and read again, options that count, what is fixed
    options = {"epochs": 3, "part.on": True, "part.rate": 1e-5, "part.name": 'a "b" é', "part.list": [1, 2], "other.fit.epochs": 4}
    write_aside("o.toml", options_text(options, "a heading\nof two lines"))
    check(read_options("o.toml") == options and read("o.toml").startswith("# a heading\n# of two lines\n"), read("o.toml"))
    check(os.listdir(".") == ["o.toml"], os.listdir("."))
    put("bad.toml", "a = = 1\n")
    for file in ("bad.toml", "absent.toml"):
        with contextlib.suppress(Trouble):
            read_options(file)
            check(False, f"{file} is taken")
    space = [{"option": "a.kind", "if": []}, {"option": "b", "if": [{"option": "a.kind", "values": ["x"], "default": "x"}]},
             {"option": "c", "if": [{"option": "b", "values": ["true"], "default": False}, {"option": "d", "values": ["1"], "default": "0"}]}]  # fmt: skip
    chosen = {"a.kind": "x", "b": True, "c": 7}
    check(suggest(space, {"d": 1}, lambda r: chosen[r["option"]]) == chosen, "all count")
    check(suggest(space, {}, lambda r: chosen[r["option"]]) == {"a.kind": "x", "b": True}, "what is not searched keeps its default")
    check(suggest(space, {"a.kind": "x", "d": 1}, lambda r: {**chosen, "a.kind": "y"}[r["option"]]) == {"a.kind": "y"}, "what does not count decides nothing")
    check(fixed_options({"a": 1, "b": 2}, ["--b", "3", "--quiet", "--c=x y"]) == {"a": 1, "b": "3", "c": "x y"}, "flags override the file")

    # a run folder: half a line, two fits, work and share
    fit = {"a.fit.epochs": 2, "b.fit.epochs": 6, "none.fit.epochs": 0}
    check(work_of(fit) == ("epochs", 8) and work_of({**fit, "epochs": 3}) == ("epochs", 6) and work_of({**fit, "minutes": 2.5}) == ("minutes", 2.5), "work")
    os.makedirs("run")
    put("run/config.toml", options_text(fit))
    line = lambda stage, epoch, value: json.dumps({"kind": "epoch", "stage": stage, "epoch": epoch, "validation.loss": value, "time_s": 30.0}, separators=(",", ":"))  # noqa: E731
    put("run/log.jsonl", "\n".join([line("a", 0, 5), line("a", 1, 4), line("b", 0, None), line("b", 1, 2), line("b", 2, 1)]))
    run = Run("run")
    check(run.reported("loss") == [(2, 2)] and run.reported("loss", "a") == [(1, 5), (2, 4)] and run.reported("x") == [], run.reported("loss"))
    check(run.share_done() == 0.5 and not run.finished(), run.share_done())
    put("run/metrics.json", '{"edges.auc": 0.75, "edges.f1": null}')
    put("run/model.safetensors", "")
    check(run.share_done() == 1 and run.result("edges.auc") == 0.75 and run.result("loss") == 2, "the score, or else the last epoch")
    for metric, words in {"edges.acu": "the nearest is 'edges.auc'", "edges.f1": "undefined"}.items():
        try:
            check(False, run.result(metric))
        except Trouble as trouble:
            check(words in str(trouble), trouble)
    import fcntl

    put("run/lock", "")
    check(not run.trained_by_someone(), "a file is no lock")
    with open("run/lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        check(run.trained_by_someone(), "a lock that is held")


def end_that_moves(task):
    """SLURM is asked again every ten minutes, and before a worker takes time for too short; not more often."""
    from allocation import Allocation

    now, answer, asked = 1000.0, 3600.0, []

    def ask(job):
        asked.append((job, now))
        return answer

    allocation = Allocation(None, task, lambda: now, ask)
    check(asked == [("7_3", 1000)] and allocation.left() == 3600, asked)
    now = 1599.0
    check(allocation.left_for(3001) == 3001 and len(asked) == 1, "what is enough is not asked for")
    answer, now = 600.0, 1600.0
    check(allocation.left() == 3000 and allocation.left_for(10) == 600 and asked[1:] == [("7_3", 1600)], "a limit that was lowered is heard of within ten minutes")
    now = 1609.0
    check(allocation.left_for(600) == 591 and len(asked) == 2, "an answer is trusted for ten seconds")
    answer, now = 7200.0, 1610.0
    check(allocation.left_for(600) == 7200 and len(asked) == 3, "before an end it is asked again")
    answer = 7190.0
    allocation.doubt()
    check(allocation.left_for(600) == 7190 and len(asked) == 4, "what is doubted is asked for")
    answer, now = None, 8790.0
    check(allocation.left_for(60) == 10 and len(asked) == 5, "without an answer the end stays")
    answer, now = math.inf, 8811.0
    check(allocation.left_for(60) == math.inf and allocation.end == math.inf, "a limit that is gone")
    answer = 100.0
    allocation = Allocation(50, {**task, "SLURM_JOB_END_TIME": "8911"}, lambda: now, ask)
    check(len(asked) == 6 and allocation.left() == 50, "the environment knows the first end")
    now = 8851.0
    check(allocation.left_for(70) == 10 and len(asked) == 6, "SLURM cannot move an end of one's own")


# ---- the shared folder ---------------------------------------------------------------------------------------------------------------------------
def folder(_):
    need("optuna")
    from optuna.storages import JournalStorage
    from shared_folder import Journal, Lock, SignsOfLife, length_of_whole_lines
    from training import DiskFull

    # a torn line in the journal, as a worker leaves that is killed while it writes
    fake_study("torn", 2)
    with open("torn/journal.log", "ab") as journal:
        journal.write(b'{"op_code":4,"wor')
    hpo("work", "torn")
    check(states("torn") == "CC", states("torn"))
    check(all(line.endswith("}") for line in read("torn/journal.log").splitlines()), "a torn line stays in the journal")
    descriptor = os.open("long", os.O_RDWR | os.O_CREAT)
    os.write(descriptor, b"a\n" + b"x" * 200000)
    check(length_of_whole_lines(descriptor) == 2, "a long torn line")
    os.ftruncate(descriptor, 1)
    check(length_of_whole_lines(descriptor) == 0, "no whole line")

    # locks that dead workers have left
    fake_study("stale", 1)
    for name in ("journal.log.lock", "claims.lock"):
        put(f"stale/{name}", "")
    text = hpo("work", "stale", "--lock-grace", "3")
    check(text.count("a worker that died has left it; it was removed") == 2, text)
    check(states("stale") == "C" and not [name for name in os.listdir("stale") if name.endswith((".lock", ".claim", ".part"))], os.listdir("stale"))

    # a journal that cannot grow: its lines stay, the words are clear
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        os.close(read_end)
        size = os.path.getsize("stale/journal.log")
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, size + 10))
        heard = "nothing"
        try:
            JournalStorage(Journal("stale/journal.log", Lock("stale/journal.log", 3))).set_study_user_attr(0, "a", 1)
        except DiskFull as full:
            heard = str(full)
        os.write(write_end, f"{heard}|{os.path.getsize('stale/journal.log') - size}".encode())
        os._exit(0)
    os.wait()
    check(os.read(read_end, 1000).decode() == "stale/journal.log: cannot be written: File too large|0", "a full disk")
    check(states("stale") == "C", "the journal after a full disk")

    # signs of life
    one, other = SignsOfLife("workers", 0.6), SignsOfLife("workers", 0.6)
    time.sleep(1)
    check(one.alive(other.name) and not one.alive("nobody"), "who lives")
    other.ended.set()  # no more signs
    other.thread.join()
    until(lambda: not one.alive(other.name), "a worker without a sign")
    one.forget(other.name)
    one.end()
    check(os.listdir("workers") == [], "files of workers that ended")


# ---- how trials end, with a program that does as it is told -------------------------------------------------------------------------------------
def endings(_):
    need("optuna")
    fake_study("failing", 5, 1, 0, "fail")
    text = hpo("work", "failing", "--poll", "0.05", status=1)
    check(states("failing") == "FFF" and text.count("failed: model: the loss is not finite") == 3 and "three trials in a row have failed" in text, text)

    fake_study("dying", 1, 1, 0, "die")
    text = hpo("work", "dying", "--poll", "0.05")
    check(states("dying") == "F" and text.count("ended at 0% by SIGKILL; it will be gone on with") == 2 and "three times at 0%" in text, text)

    fake_study("full", 1, 1, 0, "full")
    text = hpo("work", "full", "--poll", "0.05", status=1)
    check(states("full") == "R" and "No space left on device. Nothing is lost: make room" in text, text)

    fake_study("silent", 1, 0, 0, "silent")
    check("there is no figure 'edges.auc'" in hpo("work", "silent", "--poll", "0.05"), "a figure that is not there")

    # trials that fall behind are ended; equal histories give equal trials
    for name in ("pruned", "again"):
        fake_study(name, 12, 3, 0.1, "", "--pruner", "median", "--seed", "7")
        hpo("work", name, "--poll", "0.02")
    check("P" in states("pruned") and set(states("pruned")) == {"C", "P"}, states("pruned"))
    check([t.params for t in trials("pruned")][:5] == [t.params for t in trials("again")][:5], "the same seed gives other trials")
    check(len({tuple(t.params.values()) for t in trials("pruned")}) == 12, "the same trial twice")
    for trial in trials("pruned"):
        check(("part.n" in trial.params) == (trial.params["part.kind"] == "b"), f"a condition: {trial.params}")

    # a worker that is stopped leaves its trial, at once and without waiting for signs of life
    fake_study("stopped", 1, 8, 0.2)
    process = worker("stopped")
    until(lambda: os.path.exists("stopped/trial-0000/log.jsonl"), "an epoch")
    process.send_signal(signal.SIGTERM)
    check(process.wait(PATIENCE_S) == 0 and states("stopped") == "R", said())
    check("(SIGTERM); another worker can go on with it" in said() and not os.path.exists("stopped/trial-0000.claim"), said())
    text = hpo("work", "stopped", "--poll", "0.05")
    check("was left by its worker at" in text and states("stopped") == "C", text)
    check([json.loads(line)["epoch"] for line in read("stopped/trial-0000/log.jsonl").splitlines()] == list(range(8)), "epochs are missing or doubled")

    # a worker that stood still finds its trial in other hands
    fake_study("still", 1, 20, 0.3)
    process = worker("still")
    until(lambda: os.path.exists("still/trial-0000/log.jsonl"), "an epoch")
    process.send_signal(signal.SIGSTOP)
    before = len(said())
    second = worker("still")
    until(lambda: "which died, at" in said()[before:], "another worker")
    process.send_signal(signal.SIGCONT)
    until(lambda: "another worker goes on with it" in said()[before:], "the first one's insight")
    check(process.wait(PATIENCE_S) == 0 and second.wait(PATIENCE_S) == 0 and states("still") == "C", said())

    # what create, submit, best refuse
    for words, expected in {("--part.x", "1"): "--part.x: is searched", ("--out", "x"): "--out: is set for each trial"}.items():
        text = hpo("create", "refused", "--program", FAKE, "--space", "space.toml", "--metric", "m", "--trials", "1", "--", *words, status=1)
        check(expected in text, text)
    check("is not empty" in hpo("create", "full", "--program", FAKE, "--space", "space.toml", "--metric", "m", "--trials", "1", status=1), "an old study is overwritten")
    check("is no study" in hpo("work", "nowhere", status=1) and "no trial has a result yet" in hpo("best", "full", status=1), "what is not there")
    script = hpo("submit", "full", "--tasks", "3", "--time", "1:30:00", "--sbatch=--partition=short")
    for line in ("#SBATCH --array=0-2\n", "#SBATCH --time=1:30:00\n", "#SBATCH --partition=short\n", "#SBATCH --signal=B:USR1@60\n"):
        check(line in script and line in read("full/workers.sbatch"), script)
    subprocess.run(["bash", "-n", "full/workers.sbatch"], check=True)
    check("there is no sbatch" in hpo("submit", "full", "--go", status=1, env={**os.environ, "PATH": "/nowhere"}), "no sbatch")


# ---- no trial is accepted that cannot finish ---------------------------------------------------------------------------------------------------------
def time_left(_):
    need("optuna")
    # by what was stated
    fake_study("stated", 4, 2, 0.1, "", "--trial-minutes", "1")
    text = hpo("work", "stated", "--stop-after", "40", "--save-seconds", "1")
    check("takes no new trial: a trial takes 1 min 00 s (as stated)" in text and states("stated") == "", text)

    # by what trials took: about 1 s each. A worker with 10 s ends before the last one that would not fit; nothing is cut off
    fake_study("measured", 40, 4, 0.25)
    text = hpo("work", "measured", "--stop-after", "10", "--save-seconds", "2", "--poll", "0.05")
    check(set(states("measured")) == {"C"} and 1 <= len(states("measured")) < 10, f"{states('measured')}: {text}")
    check(re.search(r"takes no new trial: a trial takes \d+ s \(90% of \d+ trials take at most \d+ s, times 1.2\) and 2 s are kept for saving; this allocation has \d+ s left", text), text)

    # where the number of epochs is searched, the longest trial of the space counts
    from hpo import Study

    study = Study("measured")
    once = study.expectation(study.largest_work()).seconds
    study.space = [*study.space, {"option": "model.fit.epochs", "low": 2, "high": 8}]
    check(math.isclose(study.expectation(study.largest_work()).seconds, 2 * once), "eight epochs take twice as long as four")

    # SLURM's end counts too
    before = states("measured")
    text = hpo("work", "measured", "--save-seconds", "2", env={**os.environ, "SLURM_JOB_END_TIME": str(time.time() + 2.5)})
    check("takes no new trial" in text and states("measured") == before, text)

    # a first trial, of which nothing is known, is cut off. What is left of it is gone on with when there is time for it
    fake_study("cut", 2, 10, 0.4)
    text = hpo("work", "cut", "--stop-after", "4", "--save-seconds", "1", "--poll", "0.05")
    check("no trial has finished yet, so that its time is not known" in text and re.search(r"stopped at \d0% \(\d s are left of the allocation\)", text), text)
    check(states("cut") == "R", states("cut"))
    text = hpo("work", "cut", "--stop-after", "2", "--save-seconds", "1")
    check("does not go on with trial 0: what is left of a trial takes" in text and "takes no new trial" in text and states("cut") == "R", text)
    text = hpo("work", "cut", "--stop-after", "9", "--save-seconds", "1", "--poll", "0.05")
    check("trial 0: was left by its worker at" in text and states("cut")[0] == "C", text)
    check([json.loads(line)["epoch"] for line in read("cut/trial-0000/log.jsonl").splitlines()] == list(range(10)), "epochs are missing or doubled")


# ---- the real program -----------------------------------------------------------------------------------------------------------------------------
SPACE = """
[edge_classifier]
hidden = "int 4..12 log"
stack = ["prenorm", "skip1"]
alpha = "float 0.2..0.8 if edge_classifier.stack == skip1"
fit.learning_rate = "float 1e-3..2e-2 log"
loss.focal.gamma = "float 0..3"
"""


def real_study(find_tracks, name, trials_, epochs):
    subprocess.run([find_tracks, "simulate", "--out", "events", "--select", "1-6", "--particles", "60", "--quiet", "--force"], check=True, capture_output=True)
    put("space.toml", SPACE)
    put("base.toml", "threads = 1\n[edge_classifier]\nlayers = 1\n[condenser]\nhidden = 8\nlayers = 1\n")
    hpo("create", name, "--program", find_tracks, "--space", "space.toml", "--metric", "edges.auc", "--stage", "edge_classifier", "--pruner", "none", "--trials", str(trials_),
        "--", "--config", "base.toml", "--events", "events", "--train", "1-5", "--validate", "6", "--epochs", str(epochs), "--edge_classifier.fit.validate_every", "1")  # fmt: skip


def epochs_of(run):
    with contextlib.suppress(FileNotFoundError):
        return read(os.path.join(run, "log.jsonl")).count('"kind":"epoch"')
    return 0


def search(find_tracks):
    need("optuna", "plotly")
    from training import Run

    put("wrong.toml", '\nedge_classifier.hiden = "int 4..12"\n')
    text = hpo("create", "wrong", "--program", find_tracks, "--space", "wrong.toml", "--metric", "m", "--trials", "1", status=1)
    check("wrong.toml:2: there is no option 'edge_classifier.hiden'; the nearest is 'edge_classifier.hidden'" in text, text)

    real_study(find_tracks, "study", 6, 20)
    killed = worker("study")  # kill -9 of a worker alone: its program ends with it
    until(lambda: epochs_of("study/trial-0000") >= 5, "some epochs of the first trial")
    killed.kill()
    killed.wait()
    first = Run("study/trial-0000")
    until(lambda: not first.trained_by_someone(), "the end of a program whose worker is dead")
    check(not first.finished(), "a program outlives its worker")
    node = worker("study")  # a machine that is switched off: the worker and its program at once
    until(lambda: epochs_of("study/trial-0001") >= 25, "the second fit of the second trial")
    os.killpg(node.pid, signal.SIGKILL)
    node.wait()
    check(states("study") in ("RR", "CR"), states("study"))
    workers = [worker("study"), worker("study")]
    check([w.wait(PATIENCE_S) for w in workers] == [0, 0], said())
    check(states("study") == "CCCCCC", f"{states('study')}: {said()}")
    resumed = dict(re.findall(r"trial (\d): was left by \S+, which died, at (\d+)%; goes on", said()))
    check(set(resumed) == {"0", "1"} and int(resumed["0"]) > 0 and int(resumed["1"]) > 50, said())
    check(read("study/trial-0001.log").count("edge_classifier epoch 1/20") == 1, "a trial that was left began again")
    check(len(set(re.findall(r"^\S+ (\S+): trial", said(), re.MULTILINE))) == 4, f"the two workers do not share the trials: {said()}")
    left = [name for name in os.listdir("study") if name.endswith((".claim", ".lock", ".part"))]
    check(left == [] and os.listdir("study/workers") == [], f"left behind: {left} {os.listdir('study/workers')}")
    for trial in trials("study"):
        check(len(trial.intermediate_values) == 20 and ("edge_classifier.alpha" in trial.params) == (trial.params["edge_classifier.stack"] == "skip1"), trial)

    # the best configuration trains again to the same score; a trial that was cut off has the bytes of one that was not
    put("best.toml", hpo("best", "study"))
    check(read("best.toml").startswith("# study: 6 of 6 trials: 6 finished"), read("best.toml"))
    subprocess.run([find_tracks, "train", "--config", "best.toml", "--out", "again", "--quiet"], check=True, capture_output=True)
    best = max(trials("study"), key=lambda t: t.value)
    check(json.loads(read("again/metrics.json"))["edges.auc"] == best.value, "the best configuration trains to another score")
    subprocess.run([find_tracks, "train", "--config", "study/trial-0001/config.toml", "--out", "whole", "--quiet"], check=True, capture_output=True)
    with open("whole/model.safetensors", "rb") as whole, open("study/trial-0001/model.safetensors", "rb") as pieces:
        check(whole.read() == pieces.read(), "a trial that was cut off has other weights")
    check("edge_classifier]\nhidden = " in hpo("best", "study", "--searched"), "the searched options")

    # one page with four plots, which loads nothing
    check(hpo("report", "study").strip() == os.path.abspath("study/report.html"), "where the page is")
    page = read("study/report.html")
    body = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    check([re.search(f"<h2>{heading}</h2>", body) is not None for heading in ("History", "Importance", "Parallel coordinates", "Slices")] == [True] * 4, body[:2000])
    check(body.count("plotly-graph-div") == 4 and "Best Value" in page, "plots are missing")
    check(re.search(r"<script[^>]*\ssrc=", page) is None and re.search(r"<[^>]*(src|href)=", body) is None, "the page loads something")


def disk(find_tracks):
    """A full disk is nobody's fault: the trial goes on when there is room. A small disk where this process may mount one, else a limit on files."""
    need("optuna")
    os.makedirs("small")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", "small"], capture_output=True, check=False).returncode == 0
    print("on a disk of its own" if mounted else "by a limit on the size of files")
    try:
        real_study(find_tracks, "small/study", 1, 2)
        limit = {}
        if mounted:
            with open("small/filler", "wb") as filler, contextlib.suppress(OSError):
                space = os.statvfs("small")
                filler.write(b"x" * (space.f_bavail * space.f_bsize - 60000))
        else:
            limit["preexec_fn"] = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))
        text = hpo("work", "small/study", status=1, **limit)
        check(states("small/study") == "R" and "Nothing is lost: make room" in text, text)
        if mounted:
            os.remove("small/filler")
        text = hpo("work", "small/study")
        check(states("small/study") == "C" and "goes on" in text, text)
    finally:
        if mounted:
            subprocess.run(["umount", "-l", "small"], check=True)


def main():
    case, find_tracks, scratch = sys.argv[1:]
    find_tracks = os.path.abspath(find_tracks)
    work_in(scratch)
    {"rules": rules, "folder": folder, "endings": endings, "time": time_left, "search": search, "disk": disk}[case](find_tracks)


if __name__ == "__main__":
    main()
