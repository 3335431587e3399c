# SPDX-License-Identifier: BSL-1.0
"""How much time an allocation has left, and whether a trial can finish in it."""

import math
import os
import subprocess
import time

QUANTILE = 0.9  # of the trials so far took at most what is expected of the next one …
SAFETY = 1.2  # … times this


class Allocation:
    """The end of the time that this process may run: SLURM's, or so many seconds from now, whichever comes first. SLURM's can move while a job runs."""

    ASK_EVERY_S, TRUSTED_S = 600, 10

    def __init__(self, stop_after=None, environment=os.environ, clock=time.time, ask=None):
        self.clock, self.ask, self.job = clock, ask or seconds_left_by_squeue, job_of(environment)
        self.own_end = math.inf if stop_after is None else clock() + stop_after
        self.slurms_end, self.asked_at = math.inf, clock()
        if environment.get("SLURM_JOB_END_TIME"):
            self.slurms_end = float(environment["SLURM_JOB_END_TIME"])
        elif self.job:
            self.hear()

    @property
    def end(self):
        return min(self.own_end, self.slurms_end)

    def left(self):
        """Seconds, as far as is known; infinite where nothing ends."""
        return self.end - self.clock()

    def left_for(self, needed):
        """The same, for who decides by it. SLURM is asked again every ten minutes, and before less than what is needed is said, unless that was known by
        an answer of the last ten seconds."""
        now = self.clock()
        too_short = self.slurms_end - now < needed <= self.own_end - now
        if self.job and now - self.asked_at >= (self.TRUSTED_S if too_short else self.ASK_EVERY_S):
            self.hear()
        return self.left()

    def doubt(self):
        """Whoever decides next asks first."""
        self.asked_at = -math.inf

    def hear(self):
        """Asks; without an answer the end stays where it was."""
        self.asked_at = self.clock()
        left = self.ask(self.job)
        if left is not None:
            self.slurms_end = self.clock() + left


def job_of(environment):
    """The job as squeue takes it; None outside SLURM. Of one task of an array: the number of a task can be that of the whole array."""
    array, task = environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else environment.get("SLURM_JOB_ID")


def seconds_left_by_squeue(job):
    """What SLURM says that a job has left; infinite without a limit, None without an answer."""
    try:
        said = subprocess.run(["squeue", "-h", "-j", job, "-o", "%L"], capture_output=True, text=True, timeout=20, check=True).stdout.strip()
        return math.inf if said in ("UNLIMITED", "NOT_SET", "INVALID") else float(slurm_seconds(said))
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


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

    def needs(self, share_done=0.0):
        """Seconds that a trial of which a share is done still takes; 0 while nothing is known."""
        return (self.seconds or 0) * (1 - share_done)

    def judge(self, left, reserve, share_done=0.0):
        """(whether a trial of which a share is done fits into what is left, less a reserve; why, as a sentence)."""
        if self.seconds is None:
            return left > reserve, f"no trial has finished yet, so that its time is not known; {self.time(left)}"
        needs = self.needs(share_done)
        what = f"what is left of a trial takes {duration(needs)}" if share_done else f"a trial takes {duration(needs)}"
        kept = "" if math.isinf(left) else f" and {duration(reserve)} are kept for saving"
        return needs <= left - reserve, f"{what} ({self.reason}){kept}; {self.time(left)}"

    @staticmethod
    def time(left):
        return "nothing limits this allocation" if math.isinf(left) else f"this allocation has {duration(max(0, left))} left"
