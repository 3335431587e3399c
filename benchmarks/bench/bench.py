# SPDX-License-Identifier: BSL-1.0
"""Runs dew and what a user would otherwise run on the same numbers, one beside the other, and writes bench.json, a table and plots.

The preset bench runs it: cmake --workflow --preset bench. A part of it, once that is built, with PYTHONPATH as the target bench has it:
    bench.py --ours build/bench/bin/bench_ours --out build/bench --rows graph oc_loss --sizes 1000 10000 --threads 2
"""
import argparse
import gzip
import json
import math
import os
import select
import statistics
import subprocess
import sys
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SIZES = (1000, 10000, 50000, 100000)
AIM_SIZE = 10000
PEER_SECONDS, ONCE_SECONDS, MEMORY_GB = 60, 10, 16
OURS_SECONDS = 120


@dataclass
class Row:
    name: str
    peers: list  # (what it is called, which side serves it, its row there, the aim at n = 10,000)
    d: int | None = None
    memory_aim: float | None = None  # ours at most the peer's by this
    recorded: tuple = ()  # sets of recorded events it runs on, too
    missed: str = ""  # why it misses an aim, as its profile shows


def plain(name):
    return ("LibTorch operations", "ours", name + ".reference", None)


def python(called, name, aim):
    return (called, "python", name, aim)


ROWS = [
    Row("read_csv", [python("pandas", "read_csv", 4)], recorded=("hipt", "full")),
    Row("read_csv_gzip", [python("pandas", "read_csv_gzip", 2)], recorded=("hipt", "full")),
    Row("features", [python("numpy", "features", None)]),
    Row("graph", [python("pandas merge", "graph", 300), python("pandas merge, lean", "graph.lean", None), plain("graph")], recorded=("hipt", "full")),
    Row("ec_inference", [python("torch_geometric", "ec_inference", 8), plain("ec_inference")], recorded=("hipt",), missed="three quarters of the time are in matrix products"),
    Row("ec_step", [python("torch_geometric", "ec_step", 6), plain("ec_step")], memory_aim=5, recorded=("hipt",), missed="the products are three quarters of the time; the backward pass makes the hidden layers again"),
    Row("oc_step", [python("torch_geometric", "oc_step", None)]),
    Row("oc_loss", [python("PyTorch, dense", "oc_loss", 40), plain("oc_loss")]),
    Row("oc_loss_untrained", [python("PyTorch, dense", "oc_loss_untrained", None)]),
    *(
        Row("neighbours", [python("scikit-learn", "neighbours", 3), python("faiss", "neighbours.faiss", 3 if d <= 8 else 1.5)] + [plain("neighbours")] * (d == 24), d=d, missed="boxes of a tree exclude little in many dimensions" if d == 24 else "")
        for d in (3, 8, 24)
    ),
    Row("dbscan", [python("scikit-learn", "dbscan", None)]),
    Row("eps_scan", [python("scikit-learn", "eps_scan", 50)]),
    Row("metrics", [python("pandas", "metrics", None)]),
    Row("event", [python("pandas, torch_geometric, scikit-learn", "event", None)], recorded=("hipt", "full")),
    Row("epoch", [python("torch_geometric", "epoch", None)]),
]  # fmt: skip
LONG_ROWS = ("ec_inference", "ec_step", "oc_step")
EVENT_AIM_SECONDS = 3  # of a recorded full event, with 2 threads


class Failed(Exception):
    """A child could not do what it was asked to; `kind`: time, memory, left out or other."""

    def __init__(self, kind, text):
        super().__init__(text)
        self.kind = kind


class Child:
    """A process that answers requests, one JSON object a line; ended when it takes too long, and started again when it is asked next."""

    def __init__(self, command, environment):
        self.command, self.environment, self.process = command, environment, None

    def ask(self, seconds, **request):
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.environment, bufsize=0)
            self.buffer = b""
            seconds += 60  # it has to load its libraries
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
        except BrokenPipeError as error:
            self.stop()
            raise Failed("other", "the process ended") from error
        end = time.monotonic() + seconds
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            if not ready:
                self.stop()
                raise Failed("time", f"over {seconds:.0f} s")
            got = os.read(self.process.stdout.fileno(), 1 << 16)
            if not got:
                status = self.process.wait()
                self.stop()
                raise Failed("memory" if status == -9 else "other", f"the process ended with status {status}")
            self.buffer += got
        line, self.buffer = self.buffer.split(b"\n", 1)
        answer = json.loads(line)
        if "error" in answer:
            text = answer["error"]
            memory = answer.get("memory") or "alloc" in text or "memory" in text
            raise Failed("memory" if memory else "other", text)
        return answer

    def release(self):
        """Gives back the memory of the last row."""
        if self.process is not None and self.process.poll() is None:
            self.ask(60, do="release")

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()
            self.process = None


# ---- the same result? -----------------------------------------------------------------------------------------------------------------------


def close(a, b, relative, absolute=0.0):
    """Whether a and b agree, relative to the largest element (gradients have elements near 0)."""
    import torch

    if not a.is_floating_point():
        return "" if torch.equal(a, b) else "other integers"
    a, b = a.to(torch.float64).flatten(), b.to(torch.float64).flatten()
    if a.shape != b.shape:
        return f"{len(a)} instead of {len(b)} values"
    if not torch.equal(a.isnan(), b.isnan()):
        return "NaN in other places"
    a, b = a.nan_to_num(), b.nan_to_num()
    off = (a - b).abs().max().item() if len(a) else 0.0
    scale = b.abs().max().item() if len(a) else 0.0
    return "" if off <= relative * scale + absolute else f"off by {off:.3g} where the largest is {scale:.3g}"


def edges_differ(ours, other):
    import torch

    n = int(max(ours["edge_index"].max(), other["edge_index"].max())) + 1
    a, order_a = torch.sort(ours["edge_index"][0] * n + ours["edge_index"][1])
    b, order_b = torch.sort(other["edge_index"][0] * n + other["edge_index"][1])
    both_a, both_b = torch.isin(a, b), torch.isin(b, a)
    differ = int((~both_a).sum() + (~both_b).sum())
    if differ > 1e-6 * len(a) + 2:  # a cut may fall on the other side of the last bit
        return f"{differ} of {len(a)} edges differ"
    order_a, order_b = order_a[both_a], order_b[both_b]
    wrong = int((ours["edge_truth"][order_a] != other["edge_truth"][order_b]).sum())
    if wrong > differ:
        return f"the truth of {wrong} edges differs"
    return close(ours["edge_features"][order_a], other["edge_features"][order_b], 1e-6)


def labels_differ(ours, other, share):
    """Whether more than a share of the hits are in clusters of other members; numbers of clusters do not count."""
    import numpy as np

    a, b = ours.numpy(), other.numpy()
    if len(a) != len(b):
        return f"{len(a)} instead of {len(b)} labels"
    if share == 0:
        return "" if (a == b).all() else f"{int((a != b).sum())} of {len(a)} labels differ"
    _, pair, count = np.unique(np.stack([a, b]), axis=1, return_inverse=True, return_counts=True)
    size_a, size_b = (np.unique(x, return_inverse=True, return_counts=True) for x in (a, b))
    same = (count[pair.ravel()] == size_a[2][size_a[1]]) & (count[pair.ravel()] == size_b[2][size_b[1]])
    return "" if (~same).mean() <= share else f"{(~same).mean():.1%} of the hits are in other clusters"


def difference(row, ours, other):
    """What is wrong with a result, as words; nothing where both agree."""
    if row.name == "graph":
        return edges_differ(ours, other)
    if row.name in ("dbscan", "event"):
        # a distance that falls on the other side of ε by rounding joins two clusters
        return labels_differ(ours["label"], other["label"], 0 if row.name == "dbscan" else 0.02)
    if row.name == "neighbours":
        # faiss takes differences of squares, so that the last neighbour of a few may be another one
        found = (ours["index"].sort(dim=1)[0] == other["index"].sort(dim=1)[0]).double().mean().item()
        return close(ours["distance"], other["distance"], 1e-4, 2e-3) or ("" if found > 0.99 else f"{1 - found:.1%} of the neighbours differ")
    for name in sorted(ours.keys() | other.keys()):
        if name not in ours or name not in other:
            return f"only one has {name}"
        relative = 2e-3 if name.startswith("grad.") else 1e-12 if row.name in ("read_csv", "read_csv_gzip", "metrics", "eps_scan") else 1e-4
        words = close(ours[name], other[name], relative, 1e-9 if name.startswith("grad.") else 0)
        if words:
            return f"{name}: {words}"
    return ""


# ---- the run ------------------------------------------------------------------------------------------------------------------------------


def growth(points):
    """The exponent p of time ~ n^p: the slope of a line through (log n, log t)."""
    if len(points) < 2:
        return math.nan
    x, y = [math.log(n) for n, _ in points], [math.log(t) for _, t in points]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y)) / sum((a - mean_x) ** 2 for a in x)


class Bench:
    def __init__(self, options):
        self.options = options
        self.out = Path(options.out)
        self.data = self.out / "data"
        self.scratch = self.out / "scratch"
        self.scratch.mkdir(parents=True, exist_ok=True)
        self.deadline = time.monotonic() + 60 * options.minutes
        environment = dict(os.environ)
        limited = ["bash", "-c", f'ulimit -d {MEMORY_GB << 20}; exec "$0" serve', options.ours]
        self.children = {
            "dew": Child([options.ours, "serve"], environment),
            "ours": Child(limited, environment),  # the plain references
            "python": Child([sys.executable, str(HERE / "peers.py")], environment),
        }
        self.rates = {}
        self.rows = []
        self.alone = {}  # (row, d, set, threads) → what dew took
        self.failed = {}  # (row, d, peer) → why, at which n: larger ones are left out
        self.slow = {}  # the same with the set → what came of a run with 2 threads, where that is the only one
        self.checked = set()
        self.too_long = {}  # (row, d) → what is said of dew where it took too long itself
        self.written = None  # what stands in dew's file of results
        self.long = {}  # (row, d, set, threads) → what dew's first run gave, where it took long

    def late(self):
        return time.monotonic() > self.deadline

    def make_data(self):
        program = Path(self.options.ours)
        complete = self.data / "complete"
        if complete.exists() and (self.options.keep_data or complete.stat().st_mtime > program.stat().st_mtime):
            return
        start = time.monotonic()
        print("Simulating the event, training two networks on it", flush=True)
        complete.unlink(missing_ok=True)
        subprocess.run([self.options.ours, "make-data", str(self.data), self.options.recorded], check=True)
        for folder in self.data.glob("*/csv"):
            packed = folder.parent / "gz"
            if packed.exists() or folder.parent.name == "epoch":
                continue
            packed.mkdir()
            for file in folder.iterdir():
                (packed / (file.name + ".gz")).write_bytes(gzip.compress(file.read_bytes(), 6, mtime=0))
        complete.touch()
        print(f"  in {time.monotonic() - start:.0f} s", flush=True)

    def measure_rates(self):
        for threads in self.options.threads:
            rates = self.children["dew"].ask(120, do="rates", threads=threads)
            self.rates[threads] = rates
            print(f"{threads} thread{'s' * (threads > 1)}: {rates['gemm'] / 1e9:.0f} GFLOP/s in GEMM, {rates['copy'] / 1e9:.1f} GB/s copied", flush=True)

    def limit(self, row, threads, cost, folder):
        """The least time that this machine could take."""
        rates = self.rates[threads]
        seconds = max(cost["flops"] / rates["gemm"], cost["bytes"] / rates["copy"])
        if row.name == "read_csv_gzip":
            inflate = 0.0
            for kind in ("hits", "truth", "particles"):
                packed = (folder / "gz" / f"event000000001-{kind}.csv.gz").read_bytes()
                inflate += min(self.inflated(packed) for _ in range(3))
            seconds = max(seconds, min(inflate, cost["seconds"]))
        return seconds or None

    @staticmethod
    def inflated(packed):
        start = time.perf_counter()
        zlib.decompress(packed, wbits=31)
        return time.perf_counter() - start

    def check(self, row, side, folder):
        """Compares the results of the last runs."""
        from safetensors.torch import load_file

        ours, other = (self.scratch / f"{child}.safetensors" for child in ("dew", side))
        current = (row.name, row.d, folder.name)
        if self.written != current:
            self.children["dew"].ask(300, do="result", file=str(ours))
            self.written = current
        self.children[side].ask(180, do="result", file=str(other))
        return difference(row, load_file(ours), load_file(other))

    def case(self, row, folder, peer, threads, n):
        """One entry of bench.json."""
        called, side, other_row, aim = peer
        key = (row.name, row.d, called)
        out = {"name": row.name, "n": n, "d": row.d, "threads": threads, "ours_s": None, "ours_mb": None, "other": called, "other_s": None,
               "other_mb": None, "ratio": None, "aim": aim if n == AIM_SIZE and folder.name.startswith("sim_") else None, "limit_s": None,
               "of_limit": None, "reason": None, "data": folder.name}  # fmt: skip
        if self.late():
            out["reason"] = "not run: the time was up"
            return out
        without = self.left_out(key, folder, threads, n or 0)
        alone = (row.name, row.d, folder.name, threads)
        if without and alone in self.alone:  # measured beside another peer's place already
            out.update(self.alone[alone], reason=without)
            return out
        try:
            cost, first = self.first_of_ours(row, folder, threads)
        except Failed as failed:
            out["reason"] = f"dew left out: {failed}" if failed.kind == "left out" else f"error: dew: {failed}"
            return out
        out["n"], out["ours_mb"] = cost["n"], round(first["mb"], 1)

        reasons = []
        once = self.first_of_peer(row, folder, peer, threads, cost["n"], reasons)
        if once is not None:
            out["other_mb"] = round(once["mb"], 1)

        # the rest of the repetitions, one beside the other
        ours_again, other_again = first["s"] <= ONCE_SECONDS, once is not None and once["s"] <= ONCE_SECONDS
        ours_times = [] if ours_again else [first["s"]]
        other_times = [once["s"]] if once is not None and not other_again else []
        pair = first["s"] * ours_again + once["s"] * other_again if once is not None else first["s"]
        repetitions = max(2 if pair > 4 else 3, min(15, int(self.options.seconds / max(pair, 1e-4))))
        try:
            for _ in range(repetitions if ours_again or other_again else 0):
                if ours_again:
                    ours_times += self.turn("dew", first["s"])
                if other_again:
                    other_times += self.turn(side, once["s"])
            if once is not None and (key, folder.name) not in self.checked:
                self.checked.add((key, folder.name))
                words = self.check(row, side, folder)
                if words:
                    reasons.append(f"error: not the same result as {called}: {words}")
        except Failed as failed:
            reasons.append(f"error: {failed}")
        if ours_times:
            out["ours_s"] = statistics.median(ours_times)
        if other_times:
            out["other_s"] = statistics.median(other_times)
            out["ratio"] = round(out["other_s"] / out["ours_s"], 2)
        out["limit_s"] = self.limit(row, threads, cost, folder)
        if out["limit_s"] and out["ours_s"]:
            out["of_limit"] = round(out["limit_s"] / out["ours_s"], 3)
        self.alone[alone] = {field: out[field] for field in ("n", "ours_s", "ours_mb", "limit_s", "of_limit")}
        self.judge(row, out, reasons)
        out["reason"] = "; ".join(reasons) or None
        return out

    def turn(self, child, seconds):
        """Times of some runs of one side, before it is the other's turn: several of short ones, so that threads are awake."""
        runs = max(1, min(8, int(0.05 / max(seconds, 1e-4))))
        return [self.children[child].ask(2 * PEER_SECONDS, do="run")["s"] for _ in range(runs)]

    def first_of_ours(self, row, folder, threads):
        """What the row costs, and a first run with its memory; one that takes long is not made again for another peer."""
        key = (row.name, row.d, folder.name, threads)
        if key in self.long:
            return self.long[key]
        with_two = self.long.get((row.name, row.d, folder.name, 2))
        if threads == 1 and with_two and with_two[1]["s"] > OURS_SECONDS / 4:
            raise Failed("left out", f"{with_two[1]['s']:.0f} s with 2 threads")
        if (row.name, row.d) in self.too_long and folder.name.startswith("sim_"):
            raise Failed("left out", self.too_long[row.name, row.d])
        ours = self.children["dew"]
        cost = ours.ask(300, do="prepare", set=str(folder), threads=threads, d=row.d or 0, row=row.name)
        try:
            first = ours.ask(OURS_SECONDS, do="run", memory=True)
        except Failed as failed:
            if failed.kind == "time":
                failed.kind = "left out"
                self.too_long[row.name, row.d] = f"over {OURS_SECONDS} s at n = {cost['n']:,}"
            raise
        if first["s"] > ONCE_SECONDS:
            self.long[key] = cost, first
        if first["mb"] > 1000:
            ours.ask(60, do="trim")  # room for the peer
        return cost, first

    def left_out(self, key, folder, threads, n):
        """Why a peer is not run, if it is not."""
        called = key[2]
        if key in self.failed and self.failed[key][1] <= n:
            return f"{called} left out: {self.failed[key][0]} at n = {self.failed[key][1]:,}"
        if (key, folder.name) in self.slow and threads == 1:
            return f"{called} ran once, with 2 threads: {self.slow[key, folder.name]}"
        return None

    def first_of_peer(self, row, folder, peer, threads, n, reasons):
        """A first run of the peer with its memory; nothing where it is left out, and `reasons` says why."""
        called, side, other_row, _ = peer
        key = (row.name, row.d, called)
        if without := self.left_out(key, folder, threads, n):
            reasons.append(without)
            return None
        for name, child in self.children.items():
            if name not in ("dew", side):
                child.release()
        other = self.children[side]
        try:
            other.ask(240, do="prepare", set=str(folder), threads=threads, d=row.d or 0, row=other_row)
            once = other.ask(PEER_SECONDS, do="run", memory=True)
        except Failed as failed:
            other.stop()
            why = {"time": f"over {PEER_SECONDS} s", "memory": f"over {MEMORY_GB} GB"}.get(failed.kind, f"error: {failed}")
            if folder.name.startswith("sim_") and failed.kind != "other":
                self.failed[key] = (why, n)
            self.slow[key, folder.name] = why
            reasons.append(f"{called}: {why}")
            return None
        if once["s"] > ONCE_SECONDS and threads == 2:
            self.slow[key, folder.name] = f"{once['s']:.1f} s"
        return once

    @staticmethod
    def judge(row, out, reasons):
        """Says what misses its aim, by how much, and what the machine's limit would allow."""
        if out["aim"] is not None and out["ratio"] is not None and out["ratio"] < out["aim"]:
            limit = f"; at the machine's limit the ratio would be {out['other_s'] / out['limit_s']:.0f}" if out["limit_s"] else ""
            reasons.append(f"misses the aim by a factor {out['aim'] / out['ratio']:.2f}{limit}")
        if out["aim"] is not None and row.memory_aim and out["other_mb"] and out["ours_mb"] > out["other_mb"] / row.memory_aim:
            reasons.append(f"misses the aim on memory: {out['ours_mb'] / out['other_mb']:.2f} of {out['other']}'s, not 1/{row.memory_aim:g}")
        if row.missed and any("misses" in reason for reason in reasons):
            reasons.append(row.missed)
        if row.name == "event" and out["data"] == "full" and out["threads"] == 2 and out["ours_s"]:
            words = "meets" if out["ours_s"] <= EVENT_AIM_SECONDS else "misses"
            reasons.append(f"{words} the aim of {EVENT_AIM_SECONDS} s for a full event")

    def sets(self):
        """The sets in the order in which they run: all rows on small ones first."""
        for n in self.options.sizes:
            yield f"sim_{n}", n
            if n == AIM_SIZE:
                yield from ((name, None) for name in ("hipt", "full") if (self.data / name / "settings.json").exists() and not self.options.simulated_only)

    def run(self):
        self.make_data()
        self.measure_rates()
        rows = [row for row in ROWS if not self.options.rows or row.name in self.options.rows]
        for name, n in self.sets():
            print(f"\n{name}\n{HEAD}", flush=True)
            # Whether a peer is slow is seen with 2 threads; what takes longest comes last, should the time be up.
            for threads in sorted(self.options.threads, reverse=True):
                for row in sorted(rows, key=lambda row: row.name in LONG_ROWS):
                    if n is None and name not in row.recorded:
                        continue
                    for peer in row.peers:
                        out = self.case(row, self.data / name, peer, threads, n)
                        self.rows.append(out)
                        print(line_of(out), flush=True)
                        self.write()
        for child in self.children.values():
            child.stop()

    def write(self):
        target = self.out / "bench.json"
        aside = target.with_suffix(".json.partial")
        aside.write_text("[\n" + ",\n".join(" " + json.dumps(row) for row in self.rows) + "\n]\n")
        aside.replace(target)

    # ---- afterwards -----------------------------------------------------------------------------------------------------------------------

    def curves(self):
        """(row, d, threads) → points (n, seconds) of ours, and the same of each peer."""
        ours, others = {}, {}
        for row in self.rows:
            if not row["data"].startswith("sim_"):
                continue
            key = (row["name"], row["d"], row["threads"])
            if row["ours_s"]:
                ours.setdefault(key, {}).setdefault(row["n"], row["ours_s"])
            if row["other_s"]:
                others.setdefault(key, {}).setdefault(row["other"], {})[row["n"]] = row["other_s"]
        return {k: sorted(v.items()) for k, v in ours.items()}, {k: {p: sorted(v.items()) for p, v in peers.items()} for k, peers in others.items()}

    def print_growth(self):
        ours, others = self.curves()
        print("\nGrowth: p in time ~ n^p, of dew from 1,000 and from 10,000 hits on, and of the others")
        for key, points in ours.items():
            name, d, threads = key
            if len(points) < 2:
                continue
            large = [p for p in points if p[0] >= AIM_SIZE]
            rest = ", ".join(f"{peer} {growth(p):.2f}" for peer, p in others.get(key, {}).items() if len(p) > 1)
            late = f"{growth(large):.2f}" if len(large) > 1 else "-"
            print(f"  {title(name, d):<22}{threads:>2}  {growth(points):5.2f} {late:>6}   {rest}")

    def plot(self):
        os.environ.setdefault("MPLCONFIGDIR", str(self.scratch))
        import matplotlib

        matplotlib.use("svg")
        import matplotlib.pyplot as plt

        ours, others = self.curves()
        names = sorted({key[:2] for key in ours}, key=lambda key: (key[0], key[1] or 0))
        if not names:
            return
        columns = 4
        height = math.ceil(len(names) / columns)
        figure, axes = plt.subplots(height, columns, figsize=(4 * columns, 3 * height), squeeze=False, layout="constrained")
        for axis, (name, d) in zip(axes.flat, names):
            for (row, dimensions, threads), points in sorted(ours.items(), key=lambda item: item[0][2]):
                if (row, dimensions) != (name, d):
                    continue
                style = "-" if threads == 2 else "--"
                axis.plot(*zip(*points), style, marker="o", color="C0", label="dew")
                for i, (peer, of_peer) in enumerate(others.get((row, dimensions, threads), {}).items()):
                    axis.plot(*zip(*of_peer), style, marker="s", color=f"C{i + 1}", label=peer)
            axis.set(xscale="log", yscale="log", title=title(name, d), xlabel="hits", ylabel="seconds")
            handles, labels = axis.get_legend_handles_labels()
            once = dict(zip(reversed(labels), reversed(handles)))  # of both numbers of threads the last, which is drawn solid
            axis.legend([once[label] for label in dict.fromkeys(labels)], dict.fromkeys(labels), fontsize="x-small", framealpha=0.6)
        for axis in list(axes.flat)[len(names) :]:
            axis.remove()
        figure.suptitle("Time against the number of hits: 2 threads solid, 1 thread dashed")
        figure.savefig(self.out / "bench.svg")
        print(f"\n{self.out / 'bench.json'}\n{self.out / 'bench.svg'}")


HEAD = f"{'row':<22}{'n':>8}{'thr':>4}{'dew s':>10}{'MB':>8}{'other s':>10}{'MB':>8}{'ratio':>9}{'aim':>6}{'of limit':>9}  other"


def title(name, d):
    return name if d is None else f"{name} d = {d}"


def line_of(row):
    def number(value, form):
        return "-" if value is None else format(value, form)

    return (f"{title(row['name'], row['d']):<22}{number(row['n'], ','):>8}{row['threads']:>4}{number(row['ours_s'], '.4g'):>10}{number(row['ours_mb'], '.0f'):>8}"
            f"{number(row['other_s'], '.4g'):>10}{number(row['other_mb'], '.0f'):>8}{number(row['ratio'], '.4g'):>9}{number(row['aim'], 'g'):>6}"
            f"{number(row['of_limit'], '.1%'):>9}  {row['other']}{'  (' + row['reason'] + ')' if row['reason'] else ''}")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True, help="the program bench_ours")
    parser.add_argument("--out", required=True, help="folder for bench.json, the plots and the data")
    parser.add_argument("--recorded", default="", help="folder with the sets hipt and full of recorded events in TrackML's layout")
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="only these: " + ", ".join(dict.fromkeys(row.name for row in ROWS)))
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, choices=SIZES, metavar="N", help="hits of the simulated sectors")
    parser.add_argument("--threads", nargs="+", type=int, default=(1, 2), choices=(1, 2), help="numbers of threads")
    parser.add_argument("--minutes", type=float, default=36, help="rows that have not begun by then are left out")
    parser.add_argument("--seconds", type=float, default=2, help="repeat a row for about so many seconds")
    parser.add_argument("--simulated-only", action="store_true", help="leave recorded events out")
    parser.add_argument("--keep-data", action="store_true", help="take the data that are there, though the program is newer")
    options = parser.parse_args()
    unknown = set(options.rows or ()) - {row.name for row in ROWS}
    if unknown:
        parser.error(f"there is no row {', '.join(sorted(unknown))}")
    start = time.monotonic()
    bench = Bench(options)
    try:
        bench.run()
    except KeyboardInterrupt:
        print("\nstopped; what is finished is in bench.json", file=sys.stderr)
        return 130
    finally:
        for child in bench.children.values():
            child.stop()
    bench.print_growth()
    bench.plot()
    print(f"{(time.monotonic() - start) / 60:.1f} minutes")
    bad = [row for row in bench.rows if row["reason"] and "error:" in row["reason"]]
    for row in bad:
        print("error in " + line_of(row), file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
