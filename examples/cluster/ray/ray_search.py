#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The search of ../hpo with Ray Tune: the same program as a trainable, the same space file, the same rule on time.

    ray_search.py RESULTS --space ../hpo/space.toml --metric tracking.pt0.9.double_majority --trials 60 -- --events EVENTS --train 1-40 --validate 41-45 --epochs 8

RESULTS is a folder on a disk that all nodes see. Started again with a RESULTS that is there, it goes on: trials that were cut off continue from their run
folders. On a cluster see ray.sbatch; on one machine Ray starts by itself. Needs ray[tune] and optuna.
"""

import argparse
import glob
import os
import shutil
import sys
import tempfile
import time

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from ray.tune.search.search_generator import SearchGenerator

HPO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "hpo")
sys.path.insert(0, HPO)
from allocation import Allocation, Expectation  # noqa: E402
from training import Run, Training, Trouble, asked_of, fixed_options, options_text, read_options, search_space, suggest  # noqa: E402

END = "DEW_SEARCH_END"  # of the allocation, in the environment of the driver


class CutOff(Exception):
    """A trial that was saved because its time is over. It is no failure: the next start goes on with it."""


# ---- the trainable -------------------------------------------------------------------------------------------------------------------------
def train(values, settings):
    """One trial: the program in a run folder, each epoch's figure reported with the folder as checkpoint."""
    run, before, began = Run(os.path.abspath("run")), 0.0, time.monotonic()  # Ray gives each trial a working directory
    metric, stage, reserve = settings["metric"], settings["stage"], settings["save_seconds"]
    if checkpoint := tune.get_checkpoint():  # it was cut off, perhaps on another node
        shutil.rmtree(run.folder, ignore_errors=True)
        with checkpoint.as_directory() as saved:
            shutil.copytree(saved, run.folder)
        with open(run.path("seconds"), encoding="utf-8") as file:
            before = float(file.read())
        share = run.share_done()
        fits, why = Expectation([], [before / share]).judge(settings["end"] - time.time(), reserve, share)
        if not fits:
            raise CutOff(why)
    with open("options.toml", "w", encoding="utf-8") as file:
        file.write(options_text({**settings["base"], **values}))
    training = Training(settings["program"], run.folder, os.path.abspath("options.toml"), settings["arguments"], settings["cwd"])

    def report(epoch, value):
        seconds = before + time.monotonic() - began
        with tempfile.TemporaryDirectory(dir=".") as saved:
            snapshot(run, saved)
            with open(os.path.join(saved, "seconds"), "w", encoding="utf-8") as file:
                file.write(f"{seconds}")
            told = {metric: value, "epoch": epoch, "seconds": seconds, "share": run.share_done()}
            tune.report(told, checkpoint=tune.Checkpoint.from_directory(saved))

    try:
        known = len(run.reported(metric, stage))
        while True:
            ended = not training.running()
            reported = run.reported(metric, stage)
            if ended and run.finished():
                report(len(reported) + 1, run.result(metric, stage))
                return
            for epoch, value in reported[known:]:
                report(epoch, value)
            known = max(known, len(reported))
            if ended:
                raise Trouble(training.last_words())
            if settings["end"] - time.time() < reserve:
                training.stop(reserve)
                if run.finished():
                    continue
                if reported := run.reported(metric, stage):
                    report(*reported[-1])
                raise CutOff(f"saved at {run.share_done():.0%}")
            time.sleep(settings["poll_s"])
    finally:
        training.stop(reserve)


def snapshot(run, to):
    """A copy of a run folder from which train --resume goes on, taken while it is written: checkpoints first, then the logs, which only grow."""
    os.makedirs(os.path.join(to, "checkpoints"))
    for name in ["config.toml", *(os.path.relpath(path, run.folder) for path in sorted(glob.glob(run.path("checkpoints/*.safetensors")))), "log.jsonl", "log.csv",
                 "run.json", "model.safetensors", "metrics.json"]:  # fmt: skip
        try:
            shutil.copy2(run.path(name), os.path.join(to, name))
        except FileNotFoundError:
            pass  # not there yet, or an older checkpoint that has just made way for a newer one


# ---- the rule on time ------------------------------------------------------------------------------------------------------------------------
class InTime(SearchGenerator):
    """Any searcher, that suggests no trial which cannot finish in what is left of the allocation. Where that is, the environment says: this object is
    saved, and goes on in other allocations."""

    def __init__(self, searcher, reserve, prior=None):
        super().__init__(searcher)
        self.reserve, self.prior = reserve, prior
        self.finished, self.unfinished = [], {}  # seconds of whole trials

    def create_trial_if_possible(self, experiment_spec):
        fits, why = Expectation(self.finished, self.unfinished.values(), self.prior).judge(float(os.environ[END]) - time.time(), self.reserve)
        if fits:
            return super().create_trial_if_possible(experiment_spec)
        print(f"takes no new trial: {why}", flush=True)
        self.set_finished()
        return None

    def on_trial_result(self, trial_id, result):
        if result.get("share", 0) >= 0.1:
            self.unfinished[trial_id] = result["seconds"] / result["share"]
        super().on_trial_result(trial_id, result)

    def on_trial_complete(self, trial_id, result=None, error=False):
        if error:
            return  # cut off, or failed: a trial that goes on is told when it has finished
        if result and result.get("share") == 1:
            self.finished.append(self.unfinished.pop(trial_id))
        super().on_trial_complete(trial_id, result, error)

    def get_state(self):
        return {**super().get_state(), "finished": False, "times": (self.finished, self.unfinished)}

    def set_state(self, state):
        self.finished, self.unfinished = state["times"]
        super().set_state(state)


# ---- the driver ------------------------------------------------------------------------------------------------------------------------------
class Space:
    """The search space, for Optuna: asks a trial for each option that counts."""

    def __init__(self, space, fixed):
        self.space, self.fixed = space, fixed

    def __call__(self, trial):
        suggest(self.space, self.fixed, asked_of(trial))


def parse(words):
    end = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", metavar="RESULTS")
    parser.add_argument("--space", required=True, metavar="FILE")
    parser.add_argument("--metric", required=True, metavar="NAME")
    parser.add_argument("--minimise", action="store_true")
    parser.add_argument("--trials", type=int, required=True, metavar="N")
    parser.add_argument("--program", default="find_tracks", metavar="FILE")
    parser.add_argument("--stage", metavar="NAME", help="the fit whose epochs are compared; default: the last one")
    parser.add_argument("--cpus", type=int, default=1, metavar="N", help="of each trial (1)")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--trial-minutes", type=float, metavar="M", help="what a trial takes, as long as none has finished")
    parser.add_argument("--stop-after", type=float, metavar="S", help="seconds that this search may run, where SLURM does not say")
    parser.add_argument("--save-seconds", type=int, default=60, metavar="S", help="seconds before the end that are kept for saving (60)")
    parser.add_argument("--address", help="of the head of a cluster; default: RAY_ADDRESS, or this machine alone")
    args = parser.parse_args(words[:end])
    args.arguments = words[end + 1 :]
    return args


def main():
    args = parse(sys.argv[1:])
    base = {}
    if "--config" in args.arguments:
        at = args.arguments.index("--config")
        base = read_options(args.arguments[at + 1])
        del args.arguments[at : at + 2]
    program = shutil.which(args.program)
    if program is None:
        raise Trouble(f"{args.program}: no such program")
    space = search_space(program, args.space)
    end = min(Allocation(args.stop_after).end, time.time() + 1e9)
    os.environ[END] = str(end)
    settings = {"program": os.path.abspath(program), "arguments": args.arguments, "base": base, "cwd": os.getcwd(), "metric": args.metric, "stage": args.stage,
                "end": end, "save_seconds": args.save_seconds, "poll_s": 0.5}  # fmt: skip
    ray.init(address=args.address, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join([HPO, os.environ.get("PYTHONPATH", "")])}})

    mode = "min" if args.minimise else "max"
    searcher = OptunaSearch(Space(space, fixed_options(base, args.arguments)), metric=args.metric, mode=mode, seed=args.seed)
    trainable = tune.with_resources(tune.with_parameters(train, settings=settings), {"cpu": args.cpus})
    results = os.path.abspath(args.results)
    if tune.Tuner.can_restore(results):
        tuner = tune.Tuner.restore(results, trainable, resume_unfinished=True, resume_errored=True)
    else:
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                metric=args.metric,
                mode=mode,
                num_samples=args.trials,
                search_alg=InTime(searcher, args.save_seconds, args.trial_minutes and 60 * args.trial_minutes),
                scheduler=ASHAScheduler(time_attr="epoch", grace_period=2, max_t=10000),
            ),
            run_config=tune.RunConfig(
                name=os.path.basename(results),
                storage_path=os.path.dirname(results),
                checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
                failure_config=tune.FailureConfig(max_failures=0),
                verbose=1,
            ),
        )
    grid = tuner.fit()
    done = [result for result in grid if not result.error and result.metrics]
    cut = sum("CutOff" in str(error) for error in grid.errors)
    print(f"{len(grid)} trials: {len(done)} done, {cut} cut off, which go on when this is started again, {len(grid.errors) - cut} failed")
    if done:
        best = grid.get_best_result(args.metric, mode)
        print(f"best: {best.metrics[args.metric]:.4f}\n{options_text({**base, **best.config})}", end="")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Trouble as trouble:
        sys.exit(f"ray_search.py: {trouble}")
