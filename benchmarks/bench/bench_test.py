# SPDX-License-Identifier: BSL-1.0
"""The driver's own tests, with children that are made up; needs no package."""
import math
import sys
import tempfile
import types
import unittest
from pathlib import Path

from bench import Bench, Child, Failed, Row, growth, line_of, python

CHILD = """
import json, sys, time
seconds, limit = float(sys.argv[1]), int(sys.argv[2])
for line in sys.stdin:
    request = json.loads(line)
    out = {}
    if request["do"] == "prepare":
        n = int(request["set"].rsplit("_", 1)[1])
        out = {"n": n, "flops": 0, "bytes": 1e9}
    if request["do"] == "run":
        out = {"error": "MemoryError", "memory": True} if n > limit else {"s": seconds * n, "mb": 1}
    if request["do"] == "sleep":
        time.sleep(60)
    print(json.dumps(out), flush=True)
"""


def child(seconds, limit=10**9):
    return Child([sys.executable, "-c", CHILD, str(seconds), str(limit)], None)


class DriverTest(unittest.TestCase):
    def bench(self, peer):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        bench = Bench(types.SimpleNamespace(out=folder.name, minutes=1, ours="none", seconds=0.1))
        bench.children = {"dew": child(1e-4), "python": peer}
        for made in bench.children.values():
            self.addCleanup(made.stop)
        bench.rates = {1: {"gemm": 1e9, "copy": 1e9}, 2: {"gemm": 1e9, "copy": 1e9}}
        bench.check = lambda *_: ""
        return bench

    def case(self, bench, n, threads=2, aim=4):
        return bench.case(Row("row", []), Path(f"sim_{n}"), python("peer", "row", aim), threads, n)

    def test_growth_is_the_exponent(self):
        self.assertAlmostEqual(growth([(n, 3e-5 * n**1.5) for n in (1000, 10000, 50000)]), 1.5)
        self.assertTrue(math.isnan(growth([(1000, 1.0)])))

    def test_ratio_and_limit(self):
        out = self.case(self.bench(child(5e-4)), 10000)
        self.assertAlmostEqual(out["ratio"], 5)
        self.assertEqual((out["aim"], out["limit_s"], out["of_limit"], out["reason"]), (4, 1, 1, None))
        self.assertIn("10,000", line_of(out))

    def test_a_missed_aim_has_its_reason(self):
        out = self.case(self.bench(child(2e-4)), 10000)
        self.assertIn("misses the aim by a factor 2.00", out["reason"])
        self.assertIsNone(self.case(self.bench(child(2e-4)), 1000)["aim"])

    def test_a_slow_peer_runs_once_with_two_threads(self):
        bench = self.bench(child(2e-3))
        self.assertEqual(self.case(bench, 10000, 2)["other_s"], 20)
        out = self.case(bench, 10000, 1)
        self.assertIsNone(out["other_s"])
        self.assertIn("ran once, with 2 threads", out["reason"])

    def test_too_much_memory_leaves_larger_n_out(self):
        bench = self.bench(child(5e-4, limit=10000))
        self.assertIsNotNone(self.case(bench, 10000)["ratio"])
        self.assertIn("over 16 GB", self.case(bench, 50000)["reason"])
        out = self.case(bench, 100000)
        self.assertEqual((out["other_s"], out["ratio"], out["reason"]), (None, None, "peer left out: over 16 GB at n = 50,000"))
        self.assertIsNotNone(out["ours_s"])

    def test_a_row_without_its_peers_is_measured_once(self):
        bench = self.bench(child(5e-4, limit=10000))
        first, second = self.case(bench, 50000), self.case(bench, 100000)
        asked = bench.children["dew"].ask
        bench.children["dew"].ask = lambda *_, **__: self.fail("dew was asked again")
        out = self.case(bench, 100000)
        self.assertEqual({**out, "reason": ""}, {**second, "reason": ""})
        self.assertNotEqual(out["ours_s"], first["ours_s"])
        bench.children["dew"].ask = asked
        self.assertIsNotNone(self.case(bench, 100000, threads=1)["ours_s"])

    def test_short_runs_come_several_in_a_turn(self):
        bench = self.bench(child(5e-4))
        bench.children["dew"].ask(5, do="prepare", set="sim_10")
        self.assertEqual(len(bench.turn("dew", 1e-3)), 8)
        self.assertEqual(len(bench.turn("dew", 0.02)), 2)
        self.assertEqual(len(bench.turn("dew", 20)), 1)

    def test_another_result_is_an_error(self):
        bench = self.bench(child(5e-4))
        bench.check = lambda *_: "off by 1"
        self.assertIn("error: not the same result as peer: off by 1", self.case(bench, 1000)["reason"])

    def test_out_of_time(self):
        bench = self.bench(child(5e-4))
        bench.deadline = 0
        self.assertIn("not run", self.case(bench, 1000)["reason"])

    def test_dew_itself_may_take_too_long(self):
        bench = self.bench(child(5e-4))
        bench.children["dew"].ask = lambda *_, **request: {"n": 10000} if request["do"] == "prepare" else self.too_late()
        for _ in range(2):
            self.assertIn("dew left out: over", self.case(bench, 10000)["reason"])

    def too_late(self):
        raise Failed("time", "over 120 s")

    def test_a_child_that_takes_too_long_is_ended(self):
        made = child(1)
        made.ask(5, do="prepare", set="sim_1")
        with self.assertRaises(Failed) as raised:
            made.ask(0.1, do="sleep")
        self.assertEqual(raised.exception.kind, "time")
        self.assertIsNone(made.process)


if __name__ == "__main__":
    unittest.main()
