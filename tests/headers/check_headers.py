# SPDX-License-Identifier: BSL-1.0
"""Compiles every public header alone and twice in a row (syntax only), and prints what each costs in time and memory.

A header that includes one of BASES, itself or through others, is compiled behind that base's precompiled header. It sees what it sees alone: the base
comes with its own includes in any case, and these are compiled alone too. With --table each is measured by itself, without precompiled headers.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time

# What most of a header's time goes to, the largest first.
BASES = ("dew/core/torch_nn.hpp", "dew/event/schema.hpp", "dew/core/torch.hpp")

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--build", type=pathlib.Path, required=True, help="a configured build folder: its compile command is used")
parser.add_argument("--include", type=pathlib.Path, required=True, help="the folder that holds dew/")
parser.add_argument("--jobs", type=int, default=2)
parser.add_argument("--table", type=pathlib.Path, help="write the table here as Markdown")
arguments = parser.parse_args()

commands = json.loads((arguments.build / "compile_commands.json").read_text())
entry = next(c for c in commands if c["file"].endswith("tests/headers/all_headers.cpp"))
words = shlex.split(entry["command"])
command = [w for i, w in enumerate(words) if w not in ("-c", "-o", entry["file"]) and words[i - 1] != "-o"]
if pathlib.Path(command[0]).name == "ccache":
    command = command[1:]
headers = sorted(str(p.relative_to(arguments.include)) for p in arguments.include.glob("dew/**/*.hpp"))


def included(header):
    """The headers of dew that it includes itself, whatever is defined."""
    found, conditions = [], 0
    for line in (arguments.include / header).read_text().splitlines():
        if re.match(r"\s*#\s*if", line):
            conditions += 1
        elif re.match(r"\s*#\s*endif", line):
            conditions -= 1
        elif conditions == 0 and (include := re.match(r'\s*#\s*include\s*["<](dew/[^">]+)', line)):
            found.append(include[1])
    return found


def all_included(header):
    seen, rest = set(), included(header)
    while rest:
        if (one := rest.pop()) not in seen:
            seen.add(one)
            rest += included(one)
    return seen


def base_of(header):
    """The precompiled header behind which it is compiled, if any."""
    behind = all_included(header) - {header}
    return next((base for base in BASES if base in behind), None)


def run(words, output):
    """Status, time [s] and memory [MB] of a compiler."""
    start = time.monotonic()
    with output.open("w") as sink:
        process = subprocess.Popen([*command, *words], cwd=entry["directory"], stdout=sink, stderr=sink)
        _, status, usage = os.wait4(process.pid, 0)  # the peak of the largest of the compiler's processes
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, time.monotonic() - start, usage.ru_maxrss / 1000


def place_of(base, folder):
    return folder / base.replace("/", "_")


def precompile(base, folder):
    place = place_of(base, folder)
    place.write_text(f"#include <{base}>\n")
    run(["-x", "c++-header", str(place), "-o", f"{place}.gch"], folder / f"{place.name}.output")  # without it the text is included


def check(header, bases):
    """Time [s], memory [MB] and the compiler's complaint, if any."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "twice.cpp"
        source.write_text(f"#include <{header}>\n#include <{header}>\n")
        output = pathlib.Path(folder) / "output"
        base = base_of(header) if bases else None
        behind = ["-include", str(place_of(base, bases))] if base else []
        failed, seconds, megabytes = run([*behind, "-fsyntax-only", str(source)], output)
        return seconds, megabytes, (output.read_text() or f"exit status {failed}") if failed else ""


failed = []
rows = []
with tempfile.TemporaryDirectory(dir=arguments.build) as folder, concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
    bases = None if arguments.table else pathlib.Path(folder).resolve()
    if bases:
        list(pool.map(lambda base: precompile(base, bases), BASES))
    for header, (seconds, megabytes, complaint) in zip(headers, pool.map(lambda h: check(h, bases), headers)):
        print(f"{seconds:6.1f} s {megabytes:6.0f} MB  {header}{'  FAILED' if complaint else ''}", flush=True)
        rows.append(f"| `{header}` | {seconds:.1f} | {megabytes:.0f} |")
        if complaint:
            print(complaint, flush=True)
            failed.append(header)

if arguments.table:
    compiler = subprocess.run([command[0], "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    arguments.table.parent.mkdir(parents=True, exist_ok=True)
    arguments.table.write_text(
        "# What each header costs\n\nTime and peak memory of a file that includes this header only, syntax check without optimisation or precompiled\n"
        f"header, one compiler at a time ({compiler}). Made by `cmake --build build/test --target headers_table`.\n\n"
        "| header | s | MB |\n|---|---:|---:|\n" + "\n".join(rows) + "\n"
    )
print(f"{len(headers) - len(failed)} of {len(headers)} headers compile alone and twice" + ("; not: " + ", ".join(failed) if failed else ""))
sys.exit(bool(failed))
