#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Draws the learning curve of a run of find_tracks: the losses, and what validation says of the tracks.

    python3 -m pip install matplotlib
    learning_curve.py RUN OUT.svg [OTHER_RUN ...]

Reads RUN/log.jsonl. Tracks of a validation are scored with the clusterer's options as they stand in the pipeline, before any scan: the last
point lies below the run's own score. Further runs are drawn paler.
"""
import json
import os
import sys

FIGURES = {"double_majority": "double majority", "perfect": "perfect", "fake_double_majority": "fakes (double majority)"}


def epochs(run):
    with open(os.path.join(run, "log.jsonl"), encoding="utf-8") as log:
        return [e for e in map(json.loads, log) if e["kind"] == "epoch"]


def draw_losses(axes, runs):
    for number, run in enumerate(runs):
        for stage in dict.fromkeys(e["stage"] for e in run):
            of_stage = [e for e in run if e["stage"] == stage]
            validated = [e for e in of_stage if e.get("validation.loss") is not None]
            alpha = 1 if number == 0 else 0.4
            line = axes.plot([e["time_s"] / 60 for e in of_stage], [e["loss"] for e in of_stage], alpha=alpha,
                             label=f"{stage}: training" if number == 0 else None)[0]
            axes.plot([e["time_s"] / 60 for e in validated], [e["validation.loss"] for e in validated], "o", markersize=4, color=line.get_color(),
                      alpha=alpha, label=f"{stage}: validation" if number == 0 else None)
    axes.set(xlabel="minutes", ylabel="loss", yscale="log", title="Losses")
    axes.legend()


def draw_tracks(axes, runs):
    for number, run in enumerate(runs):
        for group, style in (("tracking.pt0.9.", "-"), ("components.best.", "--")):
            for (figure, title), colour in zip(FIGURES.items(), ("C0", "C1", "C3")):
                name = f"validation.{group}{figure}"
                points = [(e["time_s"] / 60, e[name]) for e in run if e.get(name) is not None]
                what = "object condensation" if style == "-" else "the classifier's components"
                if points:
                    axes.plot(*zip(*points), style, marker=".", color=colour, alpha=1 if number == 0 else 0.4,
                              label=f"{title}, {what}" if number == 0 else None)
    axes.set(xlabel="minutes", ylabel="share", ylim=(0, 1), title="Tracks of validation events, pt ≥ 0.9 GeV")
    axes.legend(fontsize=8)


def main(arguments):
    if len(arguments) < 2 or arguments[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    try:
        import matplotlib
    except ImportError:
        print("learning_curve.py needs matplotlib: python3 -m pip install matplotlib", file=sys.stderr)
        return 1
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "dew"
    from matplotlib import pyplot
    try:
        runs = [epochs(run) for run in [arguments[0], *arguments[2:]]]
    except (OSError, ValueError, KeyError) as problem:
        print(f"learning_curve.py: {problem}", file=sys.stderr)
        return 1
    if not all(runs):
        print("learning_curve.py: a run without a finished epoch", file=sys.stderr)
        return 1
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    draw_losses(left, runs)
    draw_tracks(right, runs)
    figure.savefig(arguments[1], metadata={"Date": None})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
