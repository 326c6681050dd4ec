"""The whole path with a stand-in for the engine and the grader: sweep file -> stages -> worker -> database -> tables."""

import json
import subprocess
import unittest
import urllib.request

from harness import SMALL_SWEEP, EndToEnd


class Skeleton(EndToEnd):
    def setUp(self):
        super().setUp()
        self.start_coordinator()

    def get(self, path):
        with urllib.request.urlopen(f"http://{self.page}{path}", timeout=30) as response:
            return response.read().decode()

    def test_a_sweep_ends_in_a_table_and_the_second_run_is_cached(self):
        worker = self.start_worker()
        sweep = self.sweep_file(SMALL_SWEEP)
        self.cli("submit", sweep, "--watch")
        cells = self.query("SELECT precision, calibration, state, pass_at_1, problems, samples FROM cell_results ORDER BY precision")
        self.assertEqual([cell[:3] for cell in cells], [("2-bit", "code", "succeeded"), ("4-bit", "code", "succeeded"),
                                                        ("fp16", "none", "succeeded")])
        for cell in cells:
            self.assertTrue(0 <= cell[3] <= 1)
            self.assertEqual(cell[4:], (60, 2))
        # pass_at_1 is what the verdicts say, by independent arithmetic.
        verdicts = self.query("SELECT precision, avg(passed) FROM sample_outcomes GROUP BY precision ORDER BY precision")
        for cell, (precision, mean) in zip(cells, verdicts):
            self.assertEqual(cell[0], precision)
            self.assertAlmostEqual(cell[3], mean, 12)
        table = self.cli("tables", "small", "--question", "rq1")
        for words in ("Sparrow", "fp16", "4-bit", "2-bit"):
            self.assertIn(words, table)

        stages = self.query("SELECT count(*) FROM stage_history WHERE kind != 'inspect'")
        again = self.cli_json("submit", sweep)
        self.cli("watch", str(again["sweep"]))
        self.assertEqual(self.query("SELECT count(*) FROM stage_history WHERE kind != 'inspect'"), stages)
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(self.coordinator.stop(), 0)

    def test_a_plan_counts_without_starting_anything(self):
        plan = self.cli_json("plan", self.sweep_file(SMALL_SWEEP))
        self.assertEqual(plan["variants"], 3)
        self.assertEqual(plan["cells"], 3)
        self.assertEqual(plan["completions"], 360)
        self.assertEqual(plan["stages"], {"quantize": 2, "finetune": 0, "generate": 3, "grade": 3})
        self.assertEqual(self.query("SELECT count(*) FROM sweep"), [(0,)])

    def test_a_stage_that_waits_is_explained_and_a_cancelled_sweep_ends(self):
        self.cli("submit", self.sweep_file(SMALL_SWEEP))
        stage = self.query("SELECT stage FROM stage_history UNION SELECT key FROM stage")[0][0]
        self.assertIn("no worker", self.cli("explain", stage[:12]).lower())
        self.cli("cancel", "small")
        self.assertEqual(self.cli_json("status", "small")["summary"]["state"], "cancelled")

    def test_metrics_and_page_answer(self):
        self.start_worker()
        self.cli("submit", self.sweep_file(SMALL_SWEEP), "--watch")
        metrics = self.get("/metrics")
        self.assertIn('bitsweep_stages{kind="grade",state="succeeded"} 3', metrics)
        self.assertIn('bitsweep_workers{state="connected"} 1', metrics)
        self.assertIn("bitsweep_build_info{", metrics)
        self.assertEqual(json.loads(self.get("/healthz"))["status"], "ok")
        self.assertEqual(json.loads(self.get("/api/sweeps"))["sweeps"][0]["state"], "succeeded")
        self.assertIn("rq1", {table["question"] for table in json.loads(self.get("/api/sweeps/small/tables"))})
        self.assertIn("<html", self.get("/").lower())

    def test_an_unknown_sweep_is_not_found(self):
        result = self.cli_result("status", "nothing-of-that-name")
        self.assertEqual(result.returncode, 4)
        self.assertIn("nothing-of-that-name", result.stderr)

    def test_a_worker_that_stops_leaves_no_process_behind(self):
        worker = self.start_worker()
        self.cli("submit", self.sweep_file(SMALL_SWEEP), "--watch")
        worker.stop()
        left = subprocess.run(["pgrep", "-f", str(self.folder / "cache-w1")], capture_output=True, text=True, check=False)
        self.assertEqual(left.stdout, "")


if __name__ == "__main__":
    unittest.main(verbosity=2)
