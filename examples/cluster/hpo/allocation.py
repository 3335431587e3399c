# SPDX-License-Identifier: BSL-1.0
"""How much time an allocation has left, and whether a trial can finish in it."""

import math
import os
import subprocess
import time

QUANTILE = 0.9  # of the trials so far took at most what is expected of the next one …
SAFETY = 1.2  # … times this


class Allocation:
    """The end of the time that this process may run: SLURM's, or so many seconds from now, whichever comes first."""

    def __init__(self, stop_after=None, environment=os.environ, clock=time.time):
        self.clock = clock
        ends = [clock() + stop_after] if stop_after is not None else []
        if environment.get("SLURM_JOB_END_TIME"):
            ends.append(float(environment["SLURM_JOB_END_TIME"]))
        elif job := job_of(environment):
            ends.extend(end_by_squeue(job, clock))
        self.end = min(ends, default=math.inf)

    def left(self):
        """Seconds; infinite where nothing ends."""
        return self.end - self.clock()


def job_of(environment):
    """The job as squeue takes it; None outside SLURM. Of one task of an array: the number of a task can be that of the whole array."""
    array, task = environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else environment.get("SLURM_JOB_ID")


def end_by_squeue(job, clock):
    """When a job ends, from SLURMs whose jobs are not told by their environment."""
    try:
        said = subprocess.run(["squeue", "-h", "-j", job, "-o", "%L"], capture_output=True, text=True, timeout=60, check=True).stdout
        return [clock() + slurm_seconds(said)]
    except (OSError, subprocess.SubprocessError, ValueError):
        return []  # without a limit, or without an answer


def slurm_seconds(text):
    """4:05:06, 05:06 and 1-04:05:06 (days) as seconds."""
    days, _, rest = text.strip().rpartition("-")
    seconds = 0
    for part in rest.split(":"):
        seconds = 60 * seconds + int(part)
    return seconds + 86400 * int(days or 0)


def duration(seconds):
    """Seconds for people: 42 s, 7 min 05 s, 3 h 20 min."""
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    return f"{s // 60} min {s % 60:02} s" if s < 3600 else f"{s // 3600} h {s % 3600 // 60:02} min"


class Expectation:
    """What a whole trial takes, in seconds, and how that is known; None while nothing is known.

    `finished` are the durations of whole trials, `unfinished` those that trials would have taken which were pruned or still run: by the share of
    their epochs. These count until three trials have finished: an epoch of one fit takes longer than one of another. Without any, `prior` is
    what somebody said.
    """

    def __init__(self, finished, unfinished=(), prior=None):
        known = sorted(finished if len(finished) >= 3 else [*finished, *unfinished])
        if known:
            most = known[math.ceil(QUANTILE * len(known)) - 1]
            self.seconds = SAFETY * most
            self.reason = f"{QUANTILE:.0%} of {len(known)} trials take at most {duration(most)}, times {SAFETY}"
        else:
            self.seconds, self.reason = prior, "as stated" if prior else "nothing is known yet"

    def judge(self, left, reserve, share_done=0.0):
        """(whether a trial of which a share is done fits into what is left, less a reserve; why, as a sentence)."""
        if self.seconds is None:
            return left > reserve, f"no trial has finished yet, so that its time is not known; {self.time(left)}"
        needs = self.seconds * (1 - share_done)
        what = f"what is left of a trial takes {duration(needs)}" if share_done else f"a trial takes {duration(needs)}"
        kept = "" if math.isinf(left) else f" and {duration(reserve)} are kept for saving"
        return needs <= left - reserve, f"{what} ({self.reason}){kept}; {self.time(left)}"

    @staticmethod
    def time(left):
        return "nothing limits this allocation" if math.isinf(left) else f"this allocation has {duration(max(0, left))} left"
