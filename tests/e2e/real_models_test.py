"""Real models through every real part: tokenizer, forward pass, AQLM, generation, sandboxed grading, tables."""

import unittest

from harness import DEMO, SMALL_SWEEP, EndToEnd

GREEDY_SWEEP = SMALL_SWEEP.replace("samples: 2, temperature: 0.2", "samples: 1, temperature: 0").replace(
    "sequences: 16, sequence_length: 256", "sequences: 64, sequence_length: 512").replace(
    "languages: {python: ", f"languages: {{java: {DEMO}/benchmark/java.jsonl, python: ")


class RealModels(EndToEnd):
    def test_the_study_s_findings_show_on_the_smallest_model(self):
        self.start_coordinator()
        self.start_worker(fake=False)
        self.cli("submit", self.sweep_file(GREEDY_SWEEP), "--watch")
        rows = self.query("SELECT precision, language, pass_at_1, size_bytes, effective_bits FROM cell_results")
        result = {(row[0], row[1]): row[2] for row in rows}
        self.assertEqual(len(result), 6)
        # fp16 was trained for these problems; one problem of 60 is 1.7 points.
        self.assertGreaterEqual(result["fp16", "python"], 0.95)
        self.assertGreaterEqual(result["4-bit", "python"], result["fp16", "python"] - 0.05)
        self.assertLess(result["2-bit", "python"], result["fp16", "python"])
        # 2x8 really costs 4.39 bits a weight in so small a model, because of its codebooks.
        bits = {row[0]: row[4] for row in rows}
        self.assertAlmostEqual(bits["2-bit"], 4.39, 2)
        self.assertEqual(bits["fp16"], 16)
        self.assertIn("| 2-bit", self.cli("tables", "small"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
