# SPDX-License-Identifier: BSL-1.0
"""Several processes by a real mpirun: processes_test.py NAME PROGRAM MPIRUN SCRATCH."""

import json
import math
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

NAME, PROGRAM, MPIRUN, SCRATCH = sys.argv[1:5]
EVENTS = os.path.join(SCRATCH, "events")
VALIDATE = "12-16"


def environment(**more):
    return {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", **more}


def alone(*arguments, **more):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, env=environment(**more), timeout=240)


def command(processes, *arguments):
    open_mpi = "Open MPI" in subprocess.run([MPIRUN, "--version"], capture_output=True, text=True).stdout
    flags = ["--allow-run-as-root", "--oversubscribe", "--bind-to", "none"] if open_mpi else []
    return [MPIRUN, *flags, "-n", str(processes), PROGRAM, *arguments]


def together(processes, *arguments):
    return subprocess.run(command(processes, *arguments), capture_output=True, text=True, env=environment(), timeout=240)


def done(result, status=0):
    assert result.returncode == status, f"exit status {result.returncode}\n{result.stdout}\n{result.stderr}"
    return result


def training(run, *more):
    """Eleven events in steps of four: no number of processes divides them."""
    return ["train", "--events", EVENTS, "--train", "1-11", "--validate", VALIDATE, "--out", path(run), *more]


def path(*names):
    return os.path.join(SCRATCH, *names)


def read(*names):
    with open(path(*names), "rb") as file:
        return file.read()


def log(run):
    return [json.loads(line) for line in read(run, "log.jsonl").splitlines()]


def numbers(value, name=""):
    """All numbers of a log or a JSON file, by name, but for times."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not key.startswith("time_"):
                yield from numbers(inner, f"{name}.{key}")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from numbers(inner, f"{name}[{i}]")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield name, float(value)


def weights(run):
    content = read(run, "model.safetensors")
    size = struct.unpack("<Q", content[:8])[0]
    out = {}
    for name, tensor in json.loads(content[8 : 8 + size]).items():
        if name != "__metadata__" and tensor["dtype"] == "F32":
            begin, end = tensor["data_offsets"]
            out[name] = struct.unpack(f"<{(end - begin) // 4}f", content[8 + size + begin : 8 + size + end])
    return out


def largest_difference(a, b):
    """But for the last bias of the latent space: losses know distances alone, so that its gradient is nothing but rounding, of which Adam makes steps."""
    assert a.keys() == b.keys()
    names = [name for name in a if name != "condenser.latent_head.layers.4.bias"]
    assert len(names) == len(a) - 1
    return max(abs(x - y) for name in names for x, y in zip(a[name], b[name], strict=True))


def ranks(folder):
    """The process of each rank that works in a folder, as mpirun has started them."""
    found = {}
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
            if words[0].decode() != PROGRAM or folder.encode() not in words:
                continue
            with open(f"/proc/{entry}/environ", "rb") as file:
                variables = dict(line.split(b"=", 1) for line in file.read().split(b"\0") if b"=" in line)
            rank = variables.get(b"OMPI_COMM_WORLD_RANK", variables.get(b"PMI_RANK"))
            if rank is not None:
                found[int(rank)] = int(entry)
        except (OSError, ValueError, IndexError):
            continue
    return found


def in_the_midst(run, processes, *more):
    """A training that has logged a few epochs, and the processes of its ranks."""
    started = subprocess.Popen(command(processes, *training(run, *more)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    until = time.time() + 120
    while not (os.path.exists(path(run, "log.jsonl")) and read(run, "log.jsonl").count(b"\n") >= 6):
        assert started.poll() is None, started.communicate()
        assert time.time() < until, "the training does not begin"
        time.sleep(0.02)
    found = ranks(path(run))
    assert sorted(found) == list(range(processes)), found
    return started, found


def ended_within(seconds, started, found):
    began = time.time()
    out, err = started.communicate(timeout=seconds)
    while any(os.path.exists(f"/proc/{process}") for process in found.values()):
        assert time.time() < began + seconds, f"still there after {seconds} s: {found}"
        time.sleep(0.05)
    print(f"all processes were gone after {time.time() - began:.1f} s")
    assert started.returncode != 0
    return out + err


# ---- the tests ------------------------------------------------------------------------------------------------------------------------------
def equal():
    """Weights and losses are those of one process with the same global batch, within rounding."""
    done(alone(*training("one")))
    for processes in (2, 4):
        run = f"of_{processes}"
        done(together(processes, *training(run)))
        difference = largest_difference(weights("one"), weights(run))
        print(f"{processes} processes: largest difference of a weight {difference:.3g}")
        assert 0 < difference < 2e-6, difference
        ours, theirs = log(run), log("one")
        assert len(ours) == len(theirs)
        worst = 0.0
        for mine, other in zip(ours, theirs, strict=True):
            mine, other = dict(numbers(mine)), dict(numbers(other))
            assert mine.keys() == other.keys()
            for name in mine:
                if "loss" in name:
                    assert math.isclose(mine[name], other[name], rel_tol=1e-5, abs_tol=1e-7), (name, mine[name], other[name])
                    worst = max(worst, abs(mine[name] - other[name]))
        print(f"{processes} processes: largest difference of a loss {worst:.3g}")
    done(together(4, *training("again")))
    assert read("of_4", "model.safetensors") == read("again", "model.safetensors"), "equal runs give equal bytes"
    for lines in zip(log("of_4"), log("again"), strict=True):
        assert dict(numbers(lines[0])) == dict(numbers(lines[1]))


def figures():
    """Validation figures of equal weights have the same bits, whoever measures which event."""
    done(alone(*training("run", "--epochs", "1")))
    evaluating = ["evaluate", "--run", path("run"), "--events", EVENTS, "--select", VALIDATE, "--quiet", "--json"]
    done(alone(*evaluating, path("one.json")))
    for processes in (2, 3, 4):
        result = done(together(processes, *evaluating, path("several.json")))
        assert read("several.json") == read("one.json")
        assert result.stdout.count("more: --tables") == 1, "one process speaks"


def killed():
    """kill -9 of one rank: all are gone, it is named, and the training goes on exactly."""
    done(together(3, *training("whole", "--epochs", "30")))
    started, found = in_the_midst("run", 3, "--epochs", "30")
    os.kill(found[1], signal.SIGKILL)
    text = ended_within(30, started, found)
    assert re.search(r"rank 1\b", text) and str(found[1]) in text and socket.gethostname().split(".")[0] in text, text
    assert not os.path.exists(path("run", "metrics.json"))
    done(together(3, "train", "--resume", path("run")))
    assert read("run", "model.safetensors") == read("whole", "model.safetensors")
    assert [dict(numbers(line)) for line in log("run")] == [dict(numbers(line)) for line in log("whole")]


def silent():
    """A rank that hangs without an end: after the timeout the others say its name and all are gone."""
    started, found = in_the_midst("run", 3, "--epochs", "1000", "--processes.timeout_s", "3")
    os.kill(found[2], signal.SIGSTOP)
    text = ended_within(40, started, found)
    assert f"rank 2 (process {found[2]} on {socket.gethostname()}) is lost, or busy for longer than 3 s" in text, text
    assert text.count("is lost") == 1, text


def stop():
    """Ctrl-C for one rank stops all after the same step; what is resumed ends as if nothing had been."""
    done(together(2, *training("whole", "--epochs", "30")))
    started, found = in_the_midst("run", 2, "--epochs", "30")
    os.kill(found[1], signal.SIGINT)
    text = ended_within(30, started, found)
    assert "stopped; go on with" in text and "requeue" not in text, text
    done(together(2, "train", "--resume", path("run")))
    assert read("run", "model.safetensors") == read("whole", "model.safetensors")


def requeue():
    """The batch system's signal for one rank stops all and requeues once; the same command goes on to the same bytes."""
    more = ("--epochs", "30", "--batch.requeue_command", f"echo again >> '{path('requeued')}'")
    done(together(2, *training("whole", "--epochs", "30")))
    started, found = in_the_midst("run", 2, *more)
    os.kill(found[1], signal.SIGUSR1)
    text = ended_within(30, started, found)
    assert text.count("requeued: goes on by itself") == 1, text
    assert read("requeued") == b"again\n"
    done(together(2, *training("run", *more)))
    assert read("run", "model.safetensors") == read("whole", "model.safetensors")


def clock():
    """Under a time budget all go by rank 0's clock: they do the same steps."""
    result = done(together(2, *training("run", "--minutes", "0.05")))
    assert os.path.exists(path("run", "metrics.json"))
    assert result.stdout.count("run folder:") == 1


def one_sentence():
    """An error of one process ends all; where MPI does not know of the others, that is said."""
    with open(os.path.join(EVENTS, "event000000006-hits.csv"), "a") as file:
        file.write("no number\n")
    result = together(3, *training("run"))
    assert result.returncode != 0 and "event000000006-hits.csv:" in result.stderr, result.stderr
    assert not os.path.exists(path("run", "config.toml"))
    result = done(alone(*training("run"), RANK="1", WORLD_SIZE="2", MASTER_ADDR="localhost"), 2)
    assert "this is process 2 of 2 that torchrun has started (WORLD_SIZE), and MPI knows of this process alone" in result.stderr, result.stderr
    assert not os.path.exists(path("run"))


def shards():
    """Prediction is divided among the ranks: together they write what one process writes, each event once."""
    done(alone(*training("run", "--epochs", "1")))
    for verb, ending in (("run", "-tracks.csv"), ("export", ".safetensors")):
        predicting = [verb, "--run", path("run"), "--events", EVENTS, "--select", "1-16", "--out"]
        done(alone(*predicting, path(verb + "_one")))
        result = done(together(3, *predicting, path(verb + "_shared")))
        for shard, events in ((1, 6), (2, 5), (3, 5)):
            assert f"shard {shard}/3: {events} events" in result.stdout, result.stdout
        names = sorted(os.listdir(path(verb + "_one")))
        assert names == sorted(os.listdir(path(verb + "_shared"))) and sum(name.endswith(ending) for name in names) == 16
        for name in names:
            assert read(verb + "_one", name) == read(verb + "_shared", name), name


def requeue_shards():
    """One rank of a prediction is stopped: the others do all that is theirs, then the last requeues once, and the same command does the rest."""
    done(alone(*training("run", "--epochs", "1")))
    done(alone("simulate", "--out", path("many"), "--select", "1-160", "--particles", "40", "--quiet"))
    predicting = ["run", "--run", path("run"), "--events", path("many"), "--out", path("tracks"), "--batch.requeue_command", f"echo again >> '{path('requeued')}'"]
    started = subprocess.Popen(command(2, *predicting), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())

    def of_rank(rank):
        ids = [int(name[5:14]) for name in os.listdir(path("tracks")) if name.endswith("-tracks.csv")] if os.path.exists(path("tracks")) else []
        return sum(id % 2 != rank for id in ids)  # event 1 is that of rank 0

    until = time.time() + 60
    while of_rank(1) < 3:
        assert started.poll() is None and time.time() < until, started.communicate()
        time.sleep(0.005)
    os.kill(ranks(path("tracks"))[1], signal.SIGUSR1)
    out, err = started.communicate(timeout=60)
    assert started.returncode == 75, f"{started.returncode}\n{out}\n{err}"
    assert of_rank(0) == 80 and 3 <= of_rank(1) < 80, f"{of_rank(0)} and {of_rank(1)} events\n{out}\n{err}"
    assert "shard 2/2: stopped by the signal to requeue" in out and out.count("requeued: goes on by itself") == 1, out
    assert read("requeued") == b"again\n"
    result = done(together(2, *predicting))
    assert "(80 events were there already)" in result.stdout and read("requeued") == b"again\n", result.stdout
    assert of_rank(0) == of_rank(1) == 80 and len(os.listdir(path("tracks"))) == 161, sorted(os.listdir(path("tracks")))[:3]


if __name__ == "__main__":
    shutil.rmtree(SCRATCH, ignore_errors=True)
    os.makedirs(SCRATCH)
    done(alone("simulate", "--out", EVENTS, "--select", "1-16", "--particles", "40", "--quiet"))
    {f.__name__: f for f in (equal, figures, killed, silent, stop, requeue, clock, one_sentence, shards, requeue_shards)}[NAME]()
    shutil.rmtree(SCRATCH, ignore_errors=True)
