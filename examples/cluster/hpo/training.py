# SPDX-License-Identifier: BSL-1.0
"""A training as a program of its own: its options file, its process, what its run folder says. Needs Python >= 3.11 and nothing else."""

import ctypes
import difflib
import fcntl
import json
import math
import os
import re
import signal
import subprocess
import tomllib

# what a program that cannot write says, whoever says it
DISK_FULL = re.compile(r"No space left on device|Disk quota exceeded|File too large|is the disk full")


class Trouble(Exception):
    """Something that a user has to see to, as a sentence."""


class DiskFull(Trouble):
    """Nothing can be written: no trial is to blame."""


# ---- options ---------------------------------------------------------------------------------------------------------------------------
def flat(table, prefix=""):
    """A TOML table as option paths: {"condenser.hidden": 64, …}."""
    options = {}
    for name, value in table.items():
        options.update(flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value})
    return options


def read_options(path):
    """The options of a TOML file."""
    try:
        with open(path, "rb") as file:
            return flat(tomllib.load(file))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise Trouble(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def toml(value):
    """A value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def options_text(options, heading=""):
    """Options as TOML: those of the whole program first, then a section a part."""
    sections = {}
    for path, value in options.items():
        section, _, name = path.rpartition(".")
        sections.setdefault(section, []).append(f"{name} = {toml(value)}\n")
    text = "".join(f"# {line}".rstrip() + "\n" for line in heading.splitlines()) + "".join(sections.pop("", []))
    return text + "".join(f"\n[{section}]\n{''.join(lines)}" for section, lines in sorted(sections.items()))


def write_aside(path, text):
    """Writes a file so that others see the old one or the new one, whole."""
    aside = f"{path}.{os.uname().nodename}-{os.getpid()}.part"
    try:
        try:
            with open(aside, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        finally:
            if os.path.exists(aside):
                os.remove(aside)
    except OSError as error:
        raise trouble_of(error, path) from error


def trouble_of(error, path):
    text = f"{path}: cannot be written: {error.strerror}"
    return DiskFull(text) if DISK_FULL.search(text) else Trouble(text)


def search_space(program, file):
    """The search space of a TOML file, checked by the program that it is for."""
    asked = subprocess.run([program, "options", "--search-space", "json", "--config", file], capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        raise Trouble(asked.stderr.strip() or f"{program} options --search-space json: exit status {asked.returncode}")
    return json.loads(asked.stdout)["space"]


def fixed_options(base, arguments):
    """The options that are not searched, as far as a configuration file and flags say: --condenser.stack skip1, --epochs=3."""
    flags = {}
    for word, following in zip(arguments, [*arguments[1:], "--"]):
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            flags[name] = value if equals else following
    return {**base, **{name: value for name, value in flags.items() if not value.startswith("--")}}


def asked_of(trial):
    """For `suggest`: each value comes from an Optuna trial. One that the trial has already stays."""

    def pick(r):
        if r["type"] == "int":
            return trial.suggest_int(r["option"], r["low"], r["high"], step=max(1, r["step"]), log=r["log"])
        if r["type"] == "float":
            return trial.suggest_float(r["option"], r["low"], r["high"], step=r["step"] or None, log=r["log"])
        return trial.suggest_categorical(r["option"], [False, True] if r["type"] == "bool" else r["choices"])

    return pick


def suggest(space, fixed, pick):
    """Values for the options that count: pick(range) gives each, those that others depend on first."""
    searched, values = {range_["option"] for range_ in space}, {}

    def holds(condition):
        other = condition["option"]
        value = values.get(other) if other in searched else fixed.get(other, condition["default"])
        return value is not None and (toml(value) if isinstance(value, bool) else str(value)) in condition["values"]

    for range_ in space:
        if all(holds(condition) for condition in range_["if"]):
            values[range_["option"]] = pick(range_)
    return values


# ---- a run folder --------------------------------------------------------------------------------------------------------------------------
class Run:
    """What a run folder says, while it is trained and after."""

    def __init__(self, folder):
        self.folder = str(folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def begun(self):
        return os.path.exists(self.path("config.toml"))

    def finished(self):
        return os.path.exists(self.path("metrics.json")) and os.path.exists(self.path("model.safetensors"))

    def trained_by_someone(self):
        """Whether a process trains in the folder now: it holds the folder's lock."""
        try:
            with open(self.path("lock"), "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False  # no folder, no lock in it, or a file system without locks
        return False

    def epochs(self):
        """The log's lines of epochs. A line that is being written is left for later."""
        lines = []
        try:
            with open(self.path("log.jsonl"), "rb") as log:
                for line in log:
                    if line.endswith(b"\n") and b'"kind":"epoch"' in line:
                        lines.append(json.loads(line))
        except FileNotFoundError:
            pass
        return lines

    def options(self):
        return read_options(self.path("config.toml"))

    def share_done(self):
        """The share of the work that is done, in [0, 1]."""
        if self.finished():
            return 1.0
        epochs = self.epochs()
        if not epochs:
            return 0.0
        unit, work = work_of(self.options())
        done = len({(line["stage"], line["epoch"]) for line in epochs}) if unit == "epochs" else epochs[-1]["time_s"] / 60
        return min(1.0, done / work) if work > 0 else 0.0

    def reported(self, metric, stage=None):
        """[(epoch from 1, value)] of a validation figure, such as tracking.pt0.9.double_majority or loss, of a fit: the last one, or another's stage."""
        lines = [line for line in self.epochs() if line.get(f"validation.{metric}") is not None]
        stage = stage or (last_fit(self.options()) if lines else None)
        return [(line["epoch"] + 1, line[f"validation.{metric}"]) for line in lines if line["stage"] == stage]

    def result(self, metric, stage=None):
        """The figure of the finished run: from its score, or else of its last epoch."""
        with open(self.path("metrics.json"), encoding="utf-8") as file:
            score = json.load(file)
        value = score.get(metric)
        if value is None and metric not in score:
            reported = self.reported(metric, stage)
            if not reported:
                near = difflib.get_close_matches(metric, score, n=1, cutoff=0)
                raise Trouble(f"{self.folder}: there is no figure '{metric}'" + (f"; the nearest is '{near[0]}'" if near else ""))
            value = reported[-1][1]
        if value is None or not math.isfinite(value):
            raise Trouble(f"{self.folder}: {metric} is undefined")
        return value


def fit_epochs(options):
    """{stage: epochs} of what is trained, in the order of the plan."""
    fits = {path[: -len(".fit.epochs")]: value for path, value in options.items() if path.endswith(".fit.epochs") and value > 0}
    return {stage: options["epochs"] for stage in fits} if options.get("epochs", 0) > 0 else fits


def last_fit(options):
    return list(fit_epochs(options))[-1]


def work_of(options):
    """How much a run with these options trains: ("epochs", their number over all fits) or ("minutes", the budget)."""
    if options.get("minutes", 0) > 0:
        return "minutes", options["minutes"]
    return "epochs", sum(fit_epochs(options).values())


# ---- the process -----------------------------------------------------------------------------------------------------------------------------
class Training:
    """A training in a run folder: begun, or gone on with where it was. Its output is added to FOLDER.log."""

    def __init__(self, program, folder, options_file, arguments=(), cwd=None):
        self.run, self.log = Run(folder), f"{folder}.log"
        if self.run.begun():
            command = [program, "train", "--resume", self.run.folder]
        else:
            command = [program, "train", "--config", str(options_file), "--out", self.run.folder, *arguments]
        # inside a batch job the program would look after the job's end by itself, and requeue it; here that is the worker's business
        environment = {name: value for name, value in os.environ.items() if name == "SLURM_CPUS_PER_TASK" or not name.startswith(("SLURM_", "SBATCH_"))}
        environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        try:
            with open(self.log, "ab") as log:
                self.began_at = log.tell()
                self.process = subprocess.Popen(command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                preexec_fn=die_with_parent())  # fmt: skip
        except OSError as error:
            raise trouble_of(error, self.log) if error.filename == self.log else Trouble(f"{program}: {error.strerror}") from error

    def running(self):
        return self.process.poll() is None

    def stop(self, patience_s):
        """Asks it to save and end; ends it after that long."""
        if self.running():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()

    def last_words(self):
        """The last line that it said."""
        if self.process.returncode == -signal.SIGXFSZ:
            return "a file would have grown beyond this system's limit on sizes"
        with open(self.log, "rb") as log:
            log.seek(self.began_at)
            lines = log.read().decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else f"exit status {self.process.returncode}"

    def met_a_full_disk(self):
        return self.process.returncode == -signal.SIGXFSZ or (self.process.returncode != 0 and DISK_FULL.search(self.last_words()) is not None)


def die_with_parent():
    """For a child: SIGTERM, which saves, when its parent dies, however it dies."""
    parent, libc, pr_set_pdeathsig = os.getpid(), ctypes.CDLL(None, use_errno=True), 1

    def prepare():
        libc.prctl(pr_set_pdeathsig, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)  # it died meanwhile

    return prepare
