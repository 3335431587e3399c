# SPDX-License-Identifier: BSL-1.0
"""Compiles every public header alone and twice in a row (syntax only), and prints what each costs in time and memory."""
import argparse
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--build", type=pathlib.Path, required=True, help="a configured build folder: its compile command is used")
parser.add_argument("--include", type=pathlib.Path, required=True, help="the folder that holds dew/")
parser.add_argument("--jobs", type=int, default=2)
parser.add_argument("--table", type=pathlib.Path, help="write the table here as Markdown")
arguments = parser.parse_args()

commands = json.loads((arguments.build / "compile_commands.json").read_text())
entry = next(c for c in commands if c["file"].endswith("tests/headers/all_headers.cpp"))
words = shlex.split(entry["command"])
command = [w for i, w in enumerate(words) if w not in ("-c", "-o", entry["file"]) and words[i - 1] != "-o"] + ["-fsyntax-only"]
if pathlib.Path(command[0]).name == "ccache":
    command = command[1:]
headers = sorted(str(p.relative_to(arguments.include)) for p in arguments.include.glob("dew/**/*.hpp"))


def check(header):
    """Time [s], memory [MB] and the compiler's complaint, if any."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "twice.cpp"
        source.write_text(f"#include <{header}>\n#include <{header}>\n")
        output = pathlib.Path(folder) / "output"
        start = time.monotonic()
        with output.open("w") as sink:
            process = subprocess.Popen([*command, str(source)], cwd=entry["directory"], stdout=sink, stderr=sink)
            _, status, usage = os.wait4(process.pid, 0)  # the peak of the largest of the compiler's processes
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - start
        return seconds, usage.ru_maxrss / 1000, output.read_text() if process.returncode else ""


failed = []
rows = []
with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
    for header, (seconds, megabytes, complaint) in zip(headers, pool.map(check, headers)):
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
