"""Fine-tuned rows: beside the plain ones in tables, cached by what decides them, resumed after kill -9, refused when they make no sense."""

import json
import re
import unittest

from harness import BIN, DEMO, SMALL_SWEEP, EndToEnd, await_that

KL = "kl: {learning_rate: 2.0e-4, epochs: 3, batch: 2}"


def tuned(kl=KL):
    """The small sweep with the 2-bit model fine-tuned, in both tables that the study has for it."""
    text = SMALL_SWEEP.replace("sequences: 16,", "sequences: 16, validation: 4,").replace(
        "benchmarks:\n", f"finetunes:\n  {kl}\nbenchmarks:\n")
    return text + """  rq1-finetune: {models: [sparrow-1m], precisions: [fp16, 2-bit], calibrations: [code], finetunes: [none, kl]}
  rq3: {models: [sparrow-1m], precisions: [fp16, 2-bit], calibrations: [code], finetunes: [none, kl]}
"""


class Tuned(EndToEnd):
    def setUp(self):
        super().setUp()
        self.start_coordinator()

    def stages(self, kind):
        return dict(self.query("SELECT stage, max(attempt) FROM stage_history WHERE kind = ? GROUP BY stage", kind))

    def finetuned_cells(self):
        return self.query("SELECT precision, finetuned, state FROM cell_results WHERE finetuned != 'none'")


class Finetune(Tuned):
    def test_a_fine_tuned_row_stands_beside_its_plain_one(self):
        self.start_worker()
        plan = self.cli_json("plan", self.sweep_file(tuned()))
        self.assertEqual((plan["variants"], plan["cells"]), (4, 4))
        self.assertEqual(plan["stages"], {"quantize": 2, "finetune": 1, "generate": 4, "grade": 4})
        self.assertEqual(plan["finetunes"][0]["batch"], 2)
        self.cli("submit", self.sweep_file(tuned()), "--watch")
        cells = self.query("SELECT precision, finetuned, state, problems FROM cell_results WHERE calibration = 'code' ORDER BY 1, 2")
        self.assertEqual(cells, [("2-bit", "kl", "succeeded", 60), ("2-bit", "none", "succeeded", 60),
                                 ("4-bit", "none", "succeeded", 60)])
        for question in ("rq1-finetune", "rq3"):
            table = self.cli("tables", "small", "--question", question)
            self.assertRegex(table, r"\| 2-bit +\|")
            self.assertRegex(table, r"\| 2-bit \+ kl +\|")
            self.assertIn("+ kl: teacher-kl, learning rate 0.0002, at most 3 epochs, early stop 3, batch 2; trains codebooks", table)
            csv = self.cli("tables", "small", "--question", question, "--format", "csv").splitlines()
            finetuned = csv[0].split(",").index("finetuned")
            self.assertEqual([row.split(",")[finetuned] for row in csv[1:]], ["none", "none", "kl"])
        self.assertIn("2-bit-code-kl", self.cli("cells", "small"))

        # Another batch is another fine-tuning of the same quantization; how it is computed is not.
        before = self.stages("quantize"), self.stages("finetune")
        self.cli("submit", self.sweep_file(tuned(KL.replace("batch: 2", "batch: 2, gradient_checkpointing: on"))), "--watch")
        self.assertEqual((self.stages("quantize"), self.stages("finetune")), before)
        self.cli("submit", self.sweep_file(tuned(KL.replace("batch: 2", "batch: 4, train: [norms]"))), "--watch")
        self.assertEqual(self.stages("quantize"), before[0])
        added = set(self.stages("finetune")) - set(before[1])
        self.assertEqual(len(added), 1)
        explanation = self.cli("explain", added.pop()[:12])
        self.assertIn("/method/batch: 4 here, 2 there", explanation)
        self.assertIn("/method/train/0: \"norms\" here, absent there", explanation)

    def test_a_killed_worker_s_fine_tuning_goes_on(self):
        gate = self.folder / "gate"  # The stand-in waits after the first epoch until this file is there.
        environment = {"BITSWEEP_FAKE_WAIT_KIND": "finetune", "BITSWEEP_FAKE_WAIT_FILE": str(gate)}
        worker = self.start_worker(environment=environment)
        self.cli("submit", self.sweep_file(tuned()))
        await_that(lambda: list((self.folder / "cache-w1").rglob("finetune-state.safetensors")), "an epoch is done")
        worker.kill()
        gate.touch()
        self.start_worker(environment=environment)
        self.cli("watch", "small")
        self.assertEqual(self.finetuned_cells(), [("2-bit", "kl", "succeeded")])
        self.assertEqual(self.query("SELECT attempt, state, failure_class FROM stage_history WHERE kind = 'finetune' ORDER BY 1"),
                         [(1, "failed", "worker_lost"), (2, "succeeded", None)])
        stage = self.query("SELECT stage FROM stage_history WHERE kind = 'finetune'")[0][0]
        self.assertIn("going on after epoch 1", self.cli("logs", stage[:12]))
        self.assertEqual(self.query("SELECT count(*) FROM sample_outcomes WHERE finetuned = 'kl'"), [(120,)])

    def test_what_makes_no_sense_is_refused_with_its_place(self):
        for kl, words in (("kl: {train: []}", "train: found an empty list; allowed: at least one of codebooks"),
                          ("kl: {train: [codes]}", "train: found 'codes'; allowed: codebooks"),
                          ("kl: {objective: none}", "`finetunes: [none, ...]`"),
                          ("kl: {batches: 2}", "unknown key 'batches'")):
            text = tuned(kl)
            line = 1 + text[:text.index(kl)].count("\n")
            result = self.cli_result("submit", self.sweep_file(text))
            self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
            self.assertIn(f"sweep.yaml:{line}: finetune 'kl': ", result.stderr)
            self.assertIn(words, result.stderr)
        result = self.cli_result("submit", self.sweep_file(tuned().replace("[fp16, 2-bit]", "[fp16]")))
        self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
        self.assertIn("fp16 alone, which is not fine-tuned", result.stderr)
        self.assertEqual(self.query("SELECT count(*) FROM sweep"), [(0,)])


@unittest.skipUnless((BIN / "bitsweep-engine").exists(), "skipped: the engine is not built (BITSWEEP_TORCH=OFF)")
class RealFinetune(Tuned):
    """The engine itself, on few problems and few tokens."""

    def await_progress(self, stage, pattern, beyond):
        def is_beyond():
            found = re.search(pattern, self.cli("explain", stage[:12]))
            return found and int(found.group(1)) > beyond
        await_that(is_beyond, f"more than {beyond} of {pattern}")

    def test_a_fine_tuning_that_was_killed_goes_on_and_lowers_the_loss(self):
        benchmark = self.folder / "few.jsonl"
        benchmark.write_text("".join((DEMO / "benchmark" / "python.jsonl").read_text().splitlines(keepends=True)[:6]))
        text = tuned("kl: {learning_rate: 2.0e-4, epochs: 8, early_stop: 0, batch: 2}").replace(
            f"{DEMO}/benchmark/python.jsonl", str(benchmark)).replace("samples: 2", "samples: 1").replace(
            "[fp16, 4-bit, 2-bit]", "[fp16, 2-bit]")
        worker = self.start_worker(fake=False)
        self.cli("submit", self.sweep_file(text))
        running = "SELECT stage FROM stage_history WHERE kind = 'finetune' AND state = 'running'"
        stage = await_that(lambda: self.query(running), "the fine-tuning runs")[0][0]
        # 12 sequences train: one that is beyond them belongs to the second epoch, and the first one's state is on the disk.
        self.await_progress(stage, r"finetune (\d+)/96 sequences", 12)
        worker.kill()
        self.start_worker(fake=False)
        self.cli("watch", "small")
        self.assertEqual(self.finetuned_cells(), [("2-bit", "kl", "succeeded")])
        self.assertEqual(self.stages("finetune"), {stage: 2})
        self.assertRegex(self.cli("logs", stage[:12]), r"going on after epoch [1-8]")
        summary = json.loads(self.query("SELECT summary FROM stage WHERE key = ?", stage)[0][0])
        self.assertLess(summary["kl_after"], summary["kl_before"])
        self.assertEqual(summary["epochs"], 8)
        bits = dict(self.query("SELECT finetuned, effective_bits FROM cell_results WHERE precision = '2-bit'"))
        self.assertEqual(bits["kl"], bits["none"], "codes and their bits stay")


if __name__ == "__main__":
    unittest.main(verbosity=2)
