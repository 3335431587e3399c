# SPDX-License-Identifier: BSL-1.0
"""A search for hyper-parameters under a real SLURM: search_test.py search FIND_TRACKS SCRATCH. Skipped without root, slurm-wlm and munge, or Optuna.

One command submits an array of two workers. One of them is requeued in the midst of a trial, the other is cancelled for good in the midst of one: no
trial is lost or trained twice, the study is done, and its ranking is printed.
"""

import os
import re
import sys

from own_slurm import OwnSlurm, need_slurm
from slurm_test import Cluster

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "hpo"), os.path.join(HERE, "..", "support")]
from checks import check, need, work_in  # noqa: E402
from hpo_test import epochs_of, hpo, read, real_study, states  # noqa: E402

TRIALS, EPOCHS = 5, 40


def output(task):
    file = f"study/worker-{task}.out"
    return read(file) if os.path.exists(file) else ""


def workers(task):
    """The workers of a task, one in each of its allocations."""
    return set(re.findall(r"^\d\d:\d\d:\d\d (\S+): ", output(task), re.MULTILINE))


def trial_of(task):
    """The number of the trial that a task is in the midst of; None where it is not."""
    for number in range(TRIALS):
        claim = f"study/trial-{number:04}.claim"
        if os.path.exists(claim) and read(claim) in workers(task) and 5 <= epochs_of(f"study/trial-{number:04}") <= 1.5 * EPOCHS:
            return number
    return None


def in_the_midst(cluster, task):
    cluster.until(lambda: trial_of(task) is not None, f"task {task} is in the midst of a trial")
    return trial_of(task)


def search(find_tracks):
    need("optuna", "plotly")
    real_study(find_tracks, "study", TRIALS, EPOCHS)
    with OwnSlurm(cpus=2) as slurm:
        cluster = Cluster(slurm, find_tracks)
        submitted = hpo("submit", "study", "--tasks", "2", "--time", "5", "--cpus", "1", "--mem", "200M", "--save-seconds", "5", "--go", env=slurm.environment)
        job = re.search(r"Submitted batch job (\d+)", submitted)[1]
        cancelled, requeued = f"{job}_0", f"{job}_1"
        left = [in_the_midst(cluster, requeued)]
        slurm.call("scontrol", "requeue", requeued)
        cluster.wait_for_requeue(requeued)
        slurm.release(requeued)
        cluster.until(lambda: len(workers(requeued)) == 2, "the requeued task works again")
        left.append(in_the_midst(cluster, cancelled))
        slurm.call("scancel", cancelled)
        cluster.until(lambda: cluster.state(requeued) not in ("PENDING", "RUNNING", "COMPLETING"), "the study is done")
        for task in (cancelled, requeued):
            cluster.show(task)
            cluster.say(f"--- {task}\n{output(task)}")
        check(cluster.state(cancelled) == "CANCELLED", "one task is cancelled")
        check(cluster.state(requeued) == "COMPLETED" and slurm.job(requeued)["Restarts"] == "1", "the other is done in its second allocation")

    text = output(cancelled) + output(requeued)
    for number in left:
        check(re.search(rf"trial {number}: was left by its worker at [1-9]\d*%; goes on", text), f"trial {number} is gone on with by a worker that came later")
    check(states("study") == "C" * TRIALS, states("study"))
    for number in range(TRIALS):
        epochs = [int(epoch) for epoch in re.findall(r'"kind":"epoch","stage":"\w+","epoch":(\d+)', read(f"study/trial-{number:04}/log.jsonl"))]
        check(epochs == 2 * list(range(EPOCHS)), f"trial {number}: epochs are missing or doubled: {epochs}")
    for task in (cancelled, requeued):  # of both allocations, whatever number SLURM gives a task
        check(len(re.findall(r"; this allocation has (?:4 min \d\d|5 min 00) s left", output(task))) >= len(workers(task)), f"task {task} does not know its time")
    check("nothing limits this allocation" not in text, "a worker does not know its time")
    rest = [name for name in os.listdir("study") if name.endswith((".claim", ".lock", ".part"))]
    check(rest == [] and os.listdir("study/workers") == [], f"left behind: {rest} {os.listdir('study/workers')}")

    ranking = hpo("best", "study")
    check(ranking.startswith(f"# study: {TRIALS} of {TRIALS} trials: {TRIALS} finished, 0 ended early, 0 failed, 0 under way"), ranking)
    check(re.findall(r"^# +(\d+) +\d+ +\d\.\d{4} ", ranking, re.MULTILINE) == [str(rank + 1) for rank in range(TRIALS)], ranking)
    page = read(hpo("report", "study").strip())
    check(page.count("<tr><td>") == TRIALS and "plotly-graph-div" in page, "the report lacks the ranking")


def main():
    case, find_tracks, scratch = sys.argv[1:]
    need_slurm()
    find_tracks = os.path.abspath(find_tracks)
    work_in(scratch)
    {"search": search}[case](find_tracks)


if __name__ == "__main__":
    main()
