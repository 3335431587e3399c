#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Hyper-parameter search for a program made with dew's App, with Optuna, in a folder that all machines see. No server.

    hpo.py create STUDY --space space.toml --metric tracking.pt0.9.double_majority --trials 60 -- --events EVENTS --train 1-40 --validate 41-45 --epochs 8
    hpo.py work STUDY                                     a worker; as many as you like, on any machine, at any time
    hpo.py submit STUDY --tasks 16 --time 4:00:00 --go    the same as a SLURM array
    hpo.py best STUDY > best.toml                         the ranking, and the best configuration for --config
    hpo.py report STUDY                                   STUDY/report.html

A worker takes a trial, runs `find_tracks train` in STUDY/trial-NNNN, tells each epoch's figure, ends trials that fall behind, and takes the next one as
long as it can finish in what is left of the worker's allocation. A trial whose worker died is gone on with by another one. See docs/hyperparameters.md.
"""

import argparse
import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import optuna
from allocation import Allocation, Expectation, duration
from optuna.trial import TrialState
from shared_folder import Journal, Lock, SignsOfLife
from training import DiskFull, Run, Training, Trouble, asked_of, fixed_options, options_text, read_options, search_space, suggest, toml, work_of, write_aside

NAME = "study"  # of the one study in a journal
PRUNERS = {
    "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
    "halving": lambda: optuna.pruners.SuccessiveHalvingPruner(),
    "none": lambda: optuna.pruners.NopPruner(),
}


class Study:
    """The folder of a search: study.json (what is searched, with what), base.toml (options that all trials have), journal.log (Optuna's), and for each
    trial trial-NNNN.toml (its options), trial-NNNN.log (what the program said) and trial-NNNN (its run folder)."""

    def __init__(self, folder, lock_grace_s=30, say=lambda text: None):
        self.folder = os.path.abspath(folder)
        self.name = os.path.basename(self.folder)
        try:
            with open(self.path("study.json"), encoding="utf-8") as file:
                self.settings = json.load(file)
        except FileNotFoundError:
            raise Trouble(f"{folder}: is no study; hpo.py create makes one") from None
        self.base = read_options(self.path("base.toml"))
        self.metric, self.stage, self.space = self.settings["metric"], self.settings["stage"], self.settings["space"]
        self.storage = storage_of(self.folder, lock_grace_s, say)
        self.optuna = optuna.load_study(study_name=NAME, storage=self.storage, pruner=PRUNERS[self.settings["pruner"]]())

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, number):
        return Run(self.path(f"trial-{number:04}"))

    def trials(self, *states):
        return self.optuna.get_trials(deepcopy=False, states=states or None)

    def trial(self, number):
        """A trial that is under way, to go on with."""
        return optuna.trial.Trial(self.optuna, self.identity(number))

    def reported(self, number):
        """The epochs whose figure Optuna has."""
        return set(self.storage.get_trial(self.identity(number)).intermediate_values)

    def identity(self, number):
        """What the storage calls a trial."""
        return self.storage.get_trial_id_from_study_id_trial_number(self.storage.get_study_id_from_name(NAME), number)

    def new_trial(self):
        """Asks for a trial. To be called by one worker at a time: then equal histories give equal trials."""
        number = len(self.trials())
        self.optuna.sampler = optuna.samplers.TPESampler(seed=self.settings["seed"] + number, constant_liar=True)
        trial = self.optuna.ask()
        self.values(trial)
        return trial.number

    def values(self, trial):
        """The trial's value of each option that counts; those that it has stay."""
        return suggest(self.space, fixed_options(self.base, self.settings["arguments"]), asked_of(trial))

    def largest_work(self):
        """The most that a new trial can have to do, like an earlier one but with the longest training of the space; None before the first."""
        begun = [trial.number for trial in self.trials() if self.run(trial.number).begun()]
        if not begun:
            return None
        options = self.run(begun[-1]).options()
        for r in self.space:
            if r["option"] in ("epochs", "minutes") or r["option"].endswith(".fit.epochs"):
                options[r["option"]] = r["high"] if "high" in r else max(float(choice) for choice in r["choices"])
        return work_of(options)

    def expectation(self, work):
        """What a trial with so much work takes, from those that were before."""
        finished, unfinished = [], []
        for trial in self.trials(TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING):
            spent = trial.user_attrs.get("time")
            if not spent or spent["share"] < 0.1:
                continue
            whole = spent["seconds"] / spent["share"]
            if work and spent["work"] and work[0] == spent["work"][0] and spent["work"][1] > 0:
                whole *= work[1] / spent["work"][1]
            (finished if trial.state == TrialState.COMPLETE else unfinished).append(whole)
        return Expectation(finished, unfinished, self.settings["trial_seconds"])

    def ranking(self):
        """The trials with a result, the best first."""
        return sorted(self.trials(TrialState.COMPLETE), key=lambda t: (-t.value if self.settings["maximise"] else t.value, t.number))

    def counts(self):
        names = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "ended early", TrialState.FAIL: "failed", TrialState.RUNNING: "under way"}
        counted = {name: len(self.trials(state)) for state, name in names.items()}
        return f"{len(self.trials())} of {self.settings['trials']} trials: " + ", ".join(f"{n} {name}" for name, n in counted.items())


def storage_of(folder, lock_grace_s=30, say=lambda text: None):
    path = os.path.join(folder, "journal.log")
    try:
        return optuna.storages.JournalStorage(Journal(path, Lock(path, lock_grace_s, say)))
    except ValueError as error:
        raise Trouble(f"{path}: is no journal of Optuna: {error}") from error


def in_words(values):
    return ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items())


# ---- a worker ------------------------------------------------------------------------------------------------------------------------------
class Worker:
    """Takes trials and carries them out, one after the other."""

    def __init__(self, folder, allocation, save_seconds=60, heartbeat_s=180, lock_grace_s=30, poll_s=1.0):
        self.study = Study(folder, lock_grace_s, self.say)
        self.allocation, self.save_seconds, self.poll_s = allocation, save_seconds, poll_s
        self.claims = Lock(self.study.path("claims"), 2 * lock_grace_s, self.say)
        self.signs = SignsOfLife(self.study.path("workers"), heartbeat_s)
        self.stopped_by = None
        self.failures = 0

    def say(self, text):
        print(f"{time.strftime('%H:%M:%S')} {self.signs.name if hasattr(self, 'signs') else os.getpid()}: {text}", flush=True)

    def listen(self):
        """SIGTERM and Ctrl-C save the trial and end the worker. So does SIGUSR1, which SLURM sends up to a minute early: unless the clock says better."""

        def stop(number, _):
            left = self.allocation.left()
            if number != signal.SIGUSR1 or math.isinf(left) or left < self.save_seconds:
                self.stopped_by = signal.Signals(number).name
            else:
                self.allocation.doubt()  # the end may be nearer than it was when SLURM was asked

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, stop)

    def work(self):
        """Trials, until there is none that this worker can carry out. The exit status."""
        try:
            while (number := self.take()) is not None and self.carry_out(number):
                pass
            return 0
        except Trouble as trouble:
            self.say(str(trouble))
            return 1
        finally:
            self.signs.end()

    # -- who carries out what: a file trial-NNNN.claim holds the worker's name; changed under a lock
    def claim_file(self, number):
        return self.study.path(f"trial-{number:04}.claim")

    def holder(self, number):
        try:
            with open(self.claim_file(number), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def mine(self, number):
        return self.holder(number) == self.signs.name

    def release(self, number):
        with self.claims.held():
            if self.mine(number):
                os.remove(self.claim_file(number))

    def take(self):
        """A trial for this worker: one that another has left, or a new one. None: there is none, and it was said why."""
        first_signs = {}
        while True:
            if self.stopped_by:
                return self.end(f"{self.stopped_by}: ends")
            waiting, refused = False, []
            with self.claims.held():
                for trial in self.study.trials(TrialState.RUNNING):
                    holder = self.holder(trial.number)
                    if holder and self.signs.alive(holder):  # unless it dies in the next moments
                        sign = self.signs.last(holder)
                        waiting |= first_signs.setdefault(holder, sign) == sign
                    elif self.study.run(trial.number).trained_by_someone():  # its worker is dead, the program still saves
                        waiting = True
                    elif why_not := self.adopt(trial, holder):
                        refused.append(why_not)
                    else:
                        return trial.number
                if len(self.study.trials()) < self.study.settings["trials"]:
                    fits, why = self.judge(self.study.expectation(self.study.largest_work()))
                    if not fits:
                        return self.end("; ".join([*refused, f"takes no new trial: {why}"]))
                    number = self.study.new_trial()
                    self.claim(number)
                    self.say(f"trial {number}: new; {why}")
                    return number
            if not waiting:
                return self.end("; ".join([*refused, self.study.counts()]))
            time.sleep(min(1, self.signs.timeout_s / 6))

    def judge(self, expectation, share_done=0.0):
        """Whether a trial of which a share is done fits into what is left, and why."""
        left = self.allocation.left_for(expectation.needs(share_done) + self.save_seconds)
        return expectation.judge(left, self.save_seconds, share_done)

    def end(self, why):
        self.say(why)

    def claim(self, number):
        write_aside(self.claim_file(number), self.signs.name)

    def adopt(self, trial, holder):
        """Takes over a trial that has nobody; or says why not."""
        run = self.study.run(trial.number)
        work = work_of(run.options()) if run.begun() else self.study.largest_work()
        share = run.share_done()
        fits, why = self.judge(self.study.expectation(work), share)
        if not fits:
            return f"does not go on with trial {trial.number}: {why}"
        self.claim(trial.number)
        if holder:
            self.signs.forget(holder)
        self.say(f"trial {trial.number}: was left {f'by {holder}, which died,' if holder else 'by its worker'} at {share:.0%}; goes on. {why}")
        return None

    # -- one trial
    def carry_out(self, number):
        """Whether this worker may go on with another one."""
        study, run, trial = self.study, self.study.run(number), self.study.trial(number)
        values = study.values(trial)
        options_file = study.path(f"trial-{number:04}.toml")
        heading = f"trial {number} of {study.name}: " + ", ".join(f"{name} = {toml(value)}" for name, value in values.items())
        try:
            if not run.begun():
                write_aside(options_file, options_text({**study.base, **values}, heading))
            self.say(f"trial {number}: {in_words(values)}")
            training = Training(study.settings["program"], run.folder, options_file, study.settings["arguments"], study.settings["cwd"])
            try:
                return self.follow(trial, run, training)
            except optuna.exceptions.UpdateFinishedTrialError:
                self.say(f"trial {number}: another worker has finished it meanwhile")
                return True
            finally:
                training.stop(self.save_seconds)
        finally:
            self.release(number)

    def follow(self, trial, run, training):
        study, number = self.study, trial.number
        reported, share = study.reported(number), None
        spent_before, began = trial.user_attrs.get("time", {}).get("seconds", 0.0), time.monotonic()

        def note_time():
            nonlocal share
            done = run.share_done() if run.begun() else share
            if done != share:
                share, seconds = done, spent_before + time.monotonic() - began
                trial.set_user_attr("time", {"seconds": round(seconds, 3), "share": share, "work": work_of(run.options())})

        while True:
            ended = not training.running()
            if not self.mine(number):
                self.say(f"trial {number}: another worker goes on with it, as this one gave no sign of life for {self.signs.timeout_s} s")
                return True
            for epoch, value in run.reported(study.metric, study.stage):
                if epoch not in reported:
                    reported.add(epoch)
                    trial.report(value, epoch)
                    if not ended and trial.should_prune():
                        training.stop(self.save_seconds)
                        note_time()
                        study.optuna.tell(number, state=TrialState.PRUNED)
                        self.say(f"trial {number}: ended after epoch {epoch} with {study.metric} {value:.4f}: it falls behind")
                        return True
            note_time()
            if ended:
                return self.ended(trial, run, training)
            if self.stopped_by or self.allocation.left_for(self.save_seconds) < self.save_seconds:
                training.stop(self.save_seconds)
                if run.finished():
                    continue
                why = self.stopped_by or f"{duration(max(0, self.allocation.left()))} are left of the allocation"
                self.say(f"trial {number}: stopped at {run.share_done():.0%} ({why}); another worker can go on with it")
                return False
            time.sleep(self.poll_s)

    def ended(self, trial, run, training):
        """What a program that has ended leaves. Whether this worker may go on."""
        study, number, status, words = self.study, trial.number, training.process.returncode, training.last_words()
        if run.finished():
            try:
                value = run.result(study.metric, study.stage)
            except Trouble as trouble:
                return self.failed(trial, str(trouble))
            study.optuna.tell(number, value)
            self.failures = 0
            best = study.ranking()[0]
            self.say(f"trial {number}: {study.metric} {value:.4f}" + (", the best so far" if best.number == number else f"; the best is {best.value:.4f} (trial {best.number})"))
            return True
        if training.met_a_full_disk():
            raise DiskFull(f"trial {number}: {words}. Nothing is lost: make room, then start workers again; they go on with it")
        if status > 0 and "is training in this folder" in words:
            time.sleep(min(5, self.signs.timeout_s))  # left to the process that does
            return True
        if status in (1, 2):
            return self.failed(trial, words)
        # killed from outside, or stopped: another attempt, unless it never comes any further
        share, before = run.share_done(), trial.user_attrs.get("cut", {"share": -1, "times": 0})
        times = before["times"] + 1 if share <= before["share"] else 1
        trial.set_user_attr("cut", {"share": share, "times": times})
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        if times >= 3:
            return self.failed(trial, f"ended three times at {share:.0%} by {how}: {words}")
        self.say(f"trial {number}: ended at {share:.0%} by {how}; it will be gone on with")
        return not self.stopped_by

    def failed(self, trial, why):
        trial.set_user_attr("why", why)
        self.study.optuna.tell(trial.number, state=TrialState.FAIL)
        self.say(f"trial {trial.number}: failed: {why}")
        self.failures += 1
        if self.failures >= 3:
            raise Trouble("three trials in a row have failed: ends")
        return True


# ---- commands --------------------------------------------------------------------------------------------------------------------------------
def create(args):
    arguments, base = list(args.arguments), {}
    if "--config" in arguments:
        at = arguments.index("--config")
        base = read_options(arguments[at + 1])
        del arguments[at : at + 2]
    program = shutil.which(args.program)
    if program is None:
        raise Trouble(f"{args.program}: no such program; name it with --program")
    program = os.path.abspath(program)
    space = search_space(program, args.space)
    searched = [r["option"] for r in space]
    for word in arguments:
        name = word[2:].partition("=")[0] if word.startswith("--") else ""
        if name in searched:
            raise Trouble(f"--{name}: is searched, so that it cannot be a flag too")
        if name in ("out", "resume", "config", "force"):
            raise Trouble(f"--{name}: is set for each trial by the search" if name != "config" else "--config FILE is written with a blank, once")
    os.makedirs(args.study, exist_ok=True)
    if os.listdir(args.study):
        raise Trouble(f"{args.study}: is not empty")
    write_aside(os.path.join(args.study, "base.toml"), options_text(base, "options of all trials"))
    optuna.create_study(study_name=NAME, storage=storage_of(args.study), direction="minimize" if args.minimise else "maximize")
    settings = {"program": program, "arguments": arguments, "cwd": os.getcwd(), "metric": args.metric, "maximise": not args.minimise, "stage": args.stage,
                "trials": args.trials, "seed": args.seed, "pruner": args.pruner, "trial_seconds": args.trial_minutes and 60 * args.trial_minutes,
                "space": space}  # fmt: skip
    write_aside(os.path.join(args.study, "study.json"), json.dumps(settings, indent=2) + "\n")
    print(f"{args.study}: {args.trials} trials over {len(space)} options; start workers: hpo.py work {args.study}, or hpo.py submit {args.study}")


def work(args):
    allocation = Allocation(args.stop_after)
    worker = Worker(args.study, allocation, args.save_seconds, args.heartbeat, args.lock_grace, args.poll)
    worker.listen()
    return worker.work()


BATCH = """#!/bin/bash
# Workers of a hyper-parameter search, {tasks} of them; each carries out trials as long as they fit into its time.
#SBATCH --job-name={name}
#SBATCH --array=0-{last}
#SBATCH --time={time}
#SBATCH --cpus-per-task={cpus}
#SBATCH --mem={memory}
#SBATCH --output={study}/worker-%A_%a.out
# a worker whose node dies starts again; what it said before stays
#SBATCH --requeue --open-mode=append
# so long before the end the worker saves its trial and leaves it to the next one
#SBATCH --signal=B:USR1@{save}
{more}
export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK OMP_WAIT_POLICY=PASSIVE
# exec: the signal goes to this process alone, which has to be the worker
exec {python} {script} work {study} --save-seconds {save}
"""


def submit(args):
    study = Study(args.study)
    more = "".join(f"#SBATCH {line}\n" for line in args.sbatch)
    text = BATCH.format(tasks=args.tasks, last=args.tasks - 1, name=re.sub(r"\W+", "-", study.name), time=args.time, cpus=args.cpus,
                        memory=args.mem, study=shlex.quote(study.folder), more=more, python=shlex.quote(sys.executable),
                        script=shlex.quote(os.path.abspath(__file__)), save=args.save_seconds)  # fmt: skip
    script = study.path("workers.sbatch")
    write_aside(script, text)
    if not args.go:
        print(f"{text}\nwritten to {script}; submit it with: sbatch {shlex.quote(script)} (or --go)")
        return 0
    try:
        return subprocess.run(["sbatch", script], check=False).returncode
    except FileNotFoundError:
        raise Trouble(f"there is no sbatch on this machine; the script is {script}") from None


def best(args):
    study = Study(args.study)
    ranking = study.ranking()
    if not ranking:
        raise Trouble(f"{args.study}: no trial has a result yet; {study.counts()}")
    lines = [f"{study.name}: {study.counts()}", "", f"rank  trial  {study.metric}  time"]
    for rank, trial in enumerate(ranking[: args.top], 1):
        spent = duration(trial.user_attrs["time"]["seconds"])
        lines.append(f"{rank:4}  {trial.number:5}  {trial.value:{len(study.metric)}.4f}  {spent}  {in_words(trial.params)}")
    first = ranking[0]
    options = first.params if args.searched else study.run(first.number).options()
    print(options_text(options, "\n".join([*lines, "", f"the {'searched options' if args.searched else 'configuration'} of trial {first.number}:"])), end="")


def report(args):
    from report import page

    study = Study(args.study)
    if not study.ranking():
        raise Trouble(f"{args.study}: no trial has a result yet; {study.counts()}")
    out = args.out or study.path("report.html")
    write_aside(out, page(study))
    print(out)


def parse(words):
    end = words.index("--") if "--" in words else len(words)
    words, arguments = words[:end], words[end + 1 :]
    parser = argparse.ArgumentParser(prog="hpo.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(function, text):
        added = commands.add_parser(function.__name__, help=text, description=text)
        added.add_argument("study", metavar="STUDY", help="folder of the search, on a disk that all workers see")
        added.set_defaults(function=function)
        return added

    c = command(create, "make a study; behind -- stand the flags of find_tracks train that all trials have, --config FILE among them")
    c.add_argument("--space", required=True, metavar="FILE", help="TOML file of ranges")
    c.add_argument("--metric", required=True, metavar="NAME", help="figure of metrics.json that decides; 'loss' for the validation loss")
    c.add_argument("--minimise", action="store_true", help="the smallest is the best")
    c.add_argument("--trials", type=int, required=True, metavar="N")
    c.add_argument("--program", default="find_tracks", metavar="FILE", help="default: find_tracks")
    c.add_argument("--stage", metavar="NAME", help="the fit whose epochs are compared; default: the last one")
    c.add_argument("--pruner", choices=PRUNERS, default="median", help="how trials that fall behind are ended (median)")
    c.add_argument("--trial-minutes", type=float, metavar="M", help="what a trial takes, as long as none has finished; default: the first ones tell")
    c.add_argument("--seed", type=int, default=1, metavar="N")
    c = command(work, "carry out trials")
    c.add_argument("--stop-after", type=float, metavar="S", help="seconds that this worker may run, where SLURM does not say")
    c.add_argument("--save-seconds", type=int, default=60, metavar="S", help="seconds before the end that are kept for saving (60)")
    c.add_argument("--heartbeat", type=float, default=180, metavar="S", help="a worker without a sign for so long is dead (180; one machine alone: 10)")
    c.add_argument("--lock-grace", type=int, default=30, metavar="S", help="a lock on the journal that is older was left by a dead worker (30)")
    c.add_argument("--poll", type=float, default=1, metavar="S", help="seconds between two looks at the log (1)")
    c = command(submit, "write an array of workers for SLURM, STUDY/workers.sbatch; with --go submit it")
    c.add_argument("--tasks", type=int, default=8, metavar="N", help="workers (8)")
    c.add_argument("--time", default="4:00:00", help="of each (4:00:00)")
    c.add_argument("--cpus", type=int, default=2, metavar="N", help="of each (2)")
    c.add_argument("--mem", default="4G", help="of each (4G)")
    c.add_argument("--save-seconds", type=int, default=60, metavar="S", help="as of work")
    c.add_argument("--sbatch", action="append", default=[], metavar="FLAG", help="another flag of sbatch: --sbatch=--partition=short")
    c.add_argument("--go", action="store_true", help="submit it")
    c = command(best, "print the ranking and the best configuration, as a file for --config")
    c.add_argument("--top", type=int, default=20, metavar="N", help="so many of the ranking (20)")
    c.add_argument("--searched", action="store_true", help="of the configuration only the options that were searched")
    c = command(report, "write the study's plots as one HTML file")
    c.add_argument("--out", metavar="FILE", help="default: STUDY/report.html")
    args = parser.parse_args(words)
    if arguments and args.function is not create:
        parser.error("-- and flags behind it go with create alone")
    args.arguments = arguments
    return args


def main():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    args = parse(sys.argv[1:])
    try:
        return args.function(args) or 0
    except Trouble as trouble:
        print(f"hpo.py: {trouble}", file=sys.stderr)
    except OSError as error:
        print(f"hpo.py: {error.filename}: {error.strerror}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
