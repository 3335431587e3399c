# SPDX-License-Identifier: BSL-1.0
"""find_tracks under a real SLURM: slurm_test.py FIND_TRACKS SCRATCH. Skipped without root, slurm-wlm and munge.

A training that needs three allocations at least (one ended by a signal, one by the guard of the wall time) ends with one log and the same bytes as
one without interruption. SLURM's own signal before the end of a job's time requeues it. A time limit that is raised and lowered again while a job runs
is noticed. The tasks of an array train apart; one of them is requeued. Two ranks find tracks; one is stopped, and the other requeues the job.
What SLURM and the program said stands in SCRATCH/transcript.txt.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time

from own_slurm import OwnSlurm, need_slurm

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from checks import check, work_in  # noqa: E402

PATIENCE_S = 120
EPOCHS = "200"  # some 20 s on one core
SMALL = ["--events", "events", "--train", "1-5", "--validate", "6", "--threads", "1", "--edge_classifier.hidden", "16", "--edge_classifier.layers", "1",
         "--condenser.hidden", "16", "--condenser.layers", "1"]  # fmt: skip


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def timeless(*path):
    """The lines of a log without what a clock said."""
    lines = [json.loads(line) for line in read(*path).splitlines()]
    return [{name: value for name, value in line.items() if not name.startswith("time_")} for line in lines]


def same_run(a, b):
    check(timeless(a, "log.jsonl") == timeless(b, "log.jsonl"), f"the logs of {a} and {b} differ")
    for name in ("model.safetensors", "metrics.json", "config.toml"):
        check(read(a, name) == read(b, name), f"{name} of {a} and {b} differ")


class Cluster:
    """Jobs on a SLURM of one node, and a transcript of what happens to them."""

    def __init__(self, slurm, find_tracks):
        self.slurm, self.find_tracks = slurm, find_tracks
        self.began = time.monotonic()
        self.lines = []

    def say(self, text):
        for line in text.splitlines():
            self.lines.append(f"[{time.monotonic() - self.began:5.1f} s] {line}")
            print(self.lines[-1], flush=True)

    def submit(self, *arguments):
        """`find_tracks submit … --go -- …`; the job's number."""
        said = self.slurm.call(self.find_tracks, "submit", "--cpus", "1", "--go", *arguments)
        self.say(f"$ find_tracks submit --cpus 1 --go {' '.join(arguments)}\n{said}")
        return re.search(r"submitted as job (\d+)", said)[1]

    def until(self, happened, what):
        end = time.monotonic() + PATIENCE_S
        while not (answer := happened()):
            check(time.monotonic() < end, f"waited in vain: {what}\n{self.slurm.call('squeue')}")
            time.sleep(0.1)
        return answer

    def state(self, job):
        return self.slurm.job(job)["JobState"]

    def show(self, job):
        self.say(self.slurm.call("squeue", "--jobs", job.split("_")[0], "--states=all", "--format=%.8i %.12j %.12T %.6M %.8l %.12r"))
        told = self.slurm.job(job)
        self.say(f"job {job}: JobState={told['JobState']} Restarts={told['Restarts']} ExitCode={told['ExitCode']} RunTime={told['RunTime']}")

    def wait_for_logs(self, run, lines):
        self.until(lambda: os.path.exists(f"{run}/log.jsonl") and len(read(run, "log.jsonl").splitlines()) >= lines, f"{lines} lines of {run}'s log")

    def wait_for_requeue(self, job):
        """Until the job waits in the queue again; that it has stopped well is for the caller to see."""
        self.until(lambda: self.state(job) == "PENDING", f"job {job} is requeued")
        self.show(job)


def seconds_of(*command):
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def three_allocations(cluster, whole_s):
    """By a signal first, then by the guard, which leaves half of the time without interruption."""
    slurm = cluster.slurm
    job = cluster.submit("--time", "1", "--signal-before", "0", "--job-name", "three", "--", "train", *SMALL, "--epochs", EPOCHS, "--out", "run",
                         "--batch.reserve_s", f"{60 - whole_s / 2:.1f}")  # fmt: skip
    cluster.wait_for_logs("run", 40)
    slurm.call("scancel", "--signal=USR1", job)
    cluster.say(f"$ scancel --signal=USR1 {job}")
    while True:
        cluster.until(lambda: cluster.state(job) in ("PENDING", "COMPLETED", "FAILED", "TIMEOUT"), f"job {job} stops")
        cluster.show(job)
        if cluster.state(job) != "PENDING":
            break
        check(int(slurm.job(job)["Restarts"]) < 12, "no end of allocations")
        slurm.release(job)
        cluster.say(f"$ scontrol update JobId={job} StartTime=now")
        cluster.until(lambda: cluster.state(job) != "PENDING", f"job {job} starts again")
    output = read(f"three-{job}.out").decode()
    cluster.say(f"--- three-{job}.out\n{output}")
    check(cluster.state(job) == "COMPLETED", f"job {job} has failed")
    check(int(slurm.job(job)["Restarts"]) >= 2, "there were fewer than three allocations")
    check(output.count("stopped by the signal to requeue") == 1, "one allocation ends by the signal")
    check(output.count("stopped in time, with ") >= 1, "one allocation ends by the guard")
    check(output.count("task 0: Exited with exit code 75") == int(slurm.job(job)["Restarts"]), "the program ends by itself, also after its requeue")
    check(output.count(f"requeued: job {job} goes on by itself") == int(slurm.job(job)["Restarts"]), "each requeue is the program's own")
    check("starts over" not in output, "the training has started over")
    same_run("run", "whole")


def slurms_own_signal(cluster, job):
    """The job of a minute that is signalled 57 s before its end."""
    cluster.wait_for_requeue(job)
    output = read(f"endless-{job}.out").decode()
    cluster.say(f"--- endless-{job}.out\n{output}")
    check("stopped by the signal to requeue" in output, "SLURM's signal has come")
    cluster.slurm.call("scancel", job)


def limit_that_moves(cluster):
    """The guard would stop this training after ten seconds. The limit is raised meanwhile, and lowered behind that."""
    slurm = cluster.slurm
    job = cluster.submit("--time", "1", "--signal-before", "0", "--job-name", "moved", "--", "train", *SMALL, "--epochs", "100000", "--out", "moved",
                         "--batch.reserve_s", "50", "--batch.ask_every_s", "3")  # fmt: skip
    cluster.wait_for_logs("moved", 1)

    def limit(minutes):
        slurm.call("scontrol", "update", f"JobId={job}", f"TimeLimit={minutes}")
        cluster.say(f"$ scontrol update JobId={job} TimeLimit={minutes}")

    limit(10)
    cluster.until(lambda: cluster.state(job) != "RUNNING" or slurm.job(job)["RunTime"] >= "00:00:13", "thirteen seconds of training")
    check(cluster.state(job) == "RUNNING", "the raised limit was noticed")
    limit(1)
    cluster.wait_for_requeue(job)
    output = read(f"moved-{job}.out").decode()
    cluster.say(f"--- moved-{job}.out\n{output}")
    check(re.search(rf"SLURM has moved the end of job {job}: 0:09:\d\d left\n(.*\n)*SLURM has moved the end of job {job}: 0:00:[34]\d left\n", output), "both limits are said")
    check(re.search(r"stopped in time, with 0:00:[34]", output), "the guard has stopped it")
    slurm.call("scancel", job)


def array_of_seeds(cluster):
    slurm = cluster.slurm
    job = cluster.submit("--time", "5", "--array", "0-1", "--job-name", "seeds", "--", "train", *SMALL, "--epochs", "50", "--out", "seeds", "--array", "seeds")
    cluster.wait_for_logs("seeds/task-0001", 2)
    slurm.call("scancel", "--signal=USR1", f"{job}_1")
    cluster.say(f"$ scancel --signal=USR1 {job}_1")
    cluster.wait_for_requeue(f"{job}_1")
    slurm.release(f"{job}_1")
    for task in (0, 1):
        cluster.until(lambda: cluster.state(f"{job}_{task}") not in ("PENDING", "RUNNING", "COMPLETING"), f"task {task} ends")
        cluster.show(f"{job}_{task}")
        cluster.say(f"--- seeds-{job}_{task}.out\n{read(f'seeds-{job}_{task}.out').decode()}")
        check(cluster.state(f"{job}_{task}") == "COMPLETED", f"task {task} has failed")
        same_run(f"seeds/task-{task:04}", f"seed{task + 1}")
    check(slurm.job(f"{job}_1")["Restarts"] == "1", "task 1 was requeued once")
    check(read("seeds/task-0000/model.safetensors") != read("seeds/task-0001/model.safetensors"), "the seeds differ")


def two_ranks_that_find_tracks(cluster):
    """srun starts two. One is stopped in its midst; the other does all that is its own, and then requeues the job for both."""
    slurm, events = cluster.slurm, 200
    subprocess.run([cluster.find_tracks, "simulate", "--out", "many", "--select", f"1-{events}", "--particles", "100", "--quiet"], check=True)
    job = cluster.submit("--time", "5", "--sbatch=--ntasks=2", "--job-name", "ranks", "--", "run", "--run", "whole", "--events", "many", "--out", "tracks", "--threads", "1")

    def done_by(rank):
        found = [re.fullmatch(r"event(\d+)-tracks.csv", name) for name in os.listdir("tracks")] if os.path.exists("tracks") else []
        return sum((int(name[1]) - 1) % 2 == rank for name in found if name)

    end = time.monotonic() + PATIENCE_S
    while done_by(1) < 2:
        check(time.monotonic() < end, "waited in vain for the first events")
        time.sleep(0.005)
    os.kill(process_of(cluster.find_tracks, {"SLURM_JOB_ID": job, "SLURM_PROCID": "1"}), signal.SIGUSR1)
    cluster.wait_for_requeue(job)
    check(done_by(0) == events // 2 and 2 <= done_by(1) < events // 2, f"{done_by(0)} and {done_by(1)} events are done")
    slurm.release(job)
    cluster.until(lambda: cluster.state(job) not in ("PENDING", "RUNNING", "COMPLETING"), f"job {job} ends")
    cluster.show(job)
    output = read(f"ranks-{job}.out").decode()
    cluster.say(f"--- ranks-{job}.out\n{output}")
    check(cluster.state(job) == "COMPLETED" and slurm.job(job)["Restarts"] == "1", "the job ends in its second allocation")
    check(output.count(f"requeued: job {job} goes on by itself") == 1, "one process requeues")
    check(f"({events // 2} events were there already)" in output and len(os.listdir("tracks")) == events + 1, "every event is done once, and nothing else is left")


def process_of(program, variables):
    """The process of a program whose environment has these variables."""
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            if read("/proc", process, "cmdline").split(b"\0")[0].decode() != os.path.realpath(program):
                continue
            lines = read("/proc", process, "environ").decode().split("\0")
        except OSError:
            continue
        if all(f"{name}={value}" in lines for name, value in variables.items()):
            return int(process)
    raise AssertionError(f"no {program} with {variables}")


def main(find_tracks, scratch):
    need_slurm()
    find_tracks = os.path.abspath(find_tracks)
    work_in(scratch)
    subprocess.run([find_tracks, "simulate", "--out", "events", "--select", "1-6", "--particles", "300", "--quiet"], check=True)
    train = [find_tracks, "train", *SMALL, "--quiet"]
    whole_s = seconds_of(*train, "--epochs", EPOCHS, "--out", "whole")
    for seed in (1, 2):
        seconds_of(*train, "--epochs", "50", "--seed", str(seed), "--out", f"seed{seed}")
    with OwnSlurm(cpus=2) as slurm:
        cluster = Cluster(slurm, find_tracks)
        cluster.say(f"a training of {whole_s:.1f} s without interruption")
        try:
            endless = cluster.submit("--time", "1", "--signal-before", "57", "--job-name", "endless", "--", "train", *SMALL, "--epochs", "100000",
                                     "--out", "endless", "--batch.reserve_s", "0")  # fmt: skip
            three_allocations(cluster, whole_s)
            slurms_own_signal(cluster, endless)
            limit_that_moves(cluster)
            array_of_seeds(cluster)
            two_ranks_that_find_tracks(cluster)
            cluster.say(f"--- SLURM's record of every allocation\n{slurm.record()}")
        finally:
            with open("transcript.txt", "w", encoding="utf-8") as out:
                out.write("\n".join(cluster.lines) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
