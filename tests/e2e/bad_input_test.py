"""Bad inputs: each a clear error that names its place, and nothing half-submitted."""

import json
import pathlib
import shutil
import socket
import struct
import subprocess
import unittest

from harness import BIN, DEMO, SMALL_SWEEP, EndToEnd


class BadSweepFiles(EndToEnd):
    def setUp(self):
        super().setUp()
        self.start_coordinator()

    def refused(self, text, *expected):
        """Submitting `text` fails as a usage error that mentions every one of `expected`; no sweep exists afterwards."""
        path = self.sweep_file(text)
        result = self.cli_result("submit", path)
        self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
        for words in expected:
            self.assertIn(words, result.stderr)
        self.assertEqual(self.query("SELECT count(*) FROM sweep"), [(0,)])

    def line_of(self, text, part):
        return 1 + text[:text.index(part)].count("\n")

    def test_a_misspelt_key_is_named_with_line_and_nearest_spelling(self):
        text = SMALL_SWEEP.replace("temperature:", "temperatur:")
        self.refused(text, f"sweep.yaml:{self.line_of(text, 'temperatur:')}", "temperatur", "temperature")

    def test_an_unknown_model_in_a_question_is_named(self):
        text = SMALL_SWEEP.replace("models: [sparrow-1m]", "models: [sparow-1m]")
        self.refused(text, f"sweep.yaml:{self.line_of(text, 'sparow-1m')}", "sparow-1m", "sparrow-1m")

    def test_a_benchmark_record_without_tests_is_named_by_file_and_line(self):
        records = (DEMO / "benchmark" / "python.jsonl").read_text().splitlines()
        broken = json.loads(records[2])
        del broken["tests"]
        records[2] = json.dumps(broken)
        benchmark = self.folder / "broken.jsonl"
        benchmark.write_text("\n".join(records) + "\n")
        self.refused(SMALL_SWEEP.replace(f"{DEMO}/benchmark/python.jsonl", str(benchmark)), "broken.jsonl:3", "tests")

    def test_a_missing_calibration_file_is_named_with_the_line_that_asks_for_it(self):
        text = SMALL_SWEEP.replace("calibration/code.jsonl", "calibration/cod.jsonl")
        self.refused(text, f"sweep.yaml:{self.line_of(text, 'cod.jsonl')}", "cod.jsonl")

    def test_a_calibration_file_that_is_too_short_is_refused_before_anything_runs(self):
        short = self.folder / "short.jsonl"
        short.write_text('{"text": "one line"}\n')
        self.refused(SMALL_SWEEP.replace(f"{DEMO}/calibration/code.jsonl", str(short)), "short.jsonl")


class BadServers(EndToEnd):
    def test_a_wrong_port_names_the_address_and_how_to_change_it(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{unused.getsockname()[1]}"
        result = self.cli_result("status", server=address)
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertIn(address, result.stderr)
        self.assertIn("--server", result.stderr)

    def test_a_second_coordinator_on_the_same_data_folder_is_refused(self):
        self.start_coordinator()
        second = subprocess.run([BIN / "bitsweepd", "--data-dir", self.folder / "data", "--listen", "127.0.0.1:0"],
                                capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(second.returncode, 1)
        self.assertIn(str(self.folder / "data"), second.stderr)


@unittest.skipUnless((BIN / "bitsweep-engine").exists(), "skipped: the engine is not built (BITSWEEP_TORCH=OFF)")
class BadModels(EndToEnd):
    """The engine by hand and through a sweep."""

    def model(self):
        copy = self.folder / "models" / "sparrow-1m"
        shutil.copytree(DEMO / "models" / "sparrow-1m", copy)
        return copy

    def engine(self, *arguments):
        return subprocess.run([BIN / "bitsweep-engine", *map(str, arguments)], capture_output=True, text=True, timeout=300,
                              check=False)

    def test_a_truncated_safetensors_file_says_so(self):
        model = self.model()
        weights = model / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1000])
        result = self.engine("inspect", model, "--output", "json")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("model.safetensors", result.stderr)
        self.assertIn("truncated", result.stderr)

    def test_a_missing_shard_is_named(self):
        model = self.model()
        weights = model / "model.safetensors"
        data = weights.read_bytes()
        header = json.loads(data[8:8 + struct.unpack("<Q", data[:8])[0]])
        names = [name for name in header if name != "__metadata__"]
        weights.rename(model / "model-00001-of-00002.safetensors")
        shard = {name: "model-00001-of-00002.safetensors" for name in names}
        shard[names[-1]] = "model-00002-of-00002.safetensors"
        (model / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": shard}))
        result = self.engine("inspect", model, "--output", "json")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("model-00002-of-00002.safetensors", result.stderr)

    def test_a_tokenizer_of_an_unsupported_type_is_named(self):
        model = self.model()
        path = model / "tokenizer.json"
        tokenizer = json.loads(path.read_text())
        tokenizer["model"]["type"] = "Unigram"
        path.write_text(json.dumps(tokenizer))
        result = subprocess.run([BIN / "bitsweep-engine", "tokenize", model], input='{"text": "a"}\n', capture_output=True,
                                text=True, timeout=300, check=False)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("Unigram", result.stderr)
        self.assertIn("tokenizer.json", result.stderr)

    def test_a_calibration_file_that_is_too_short_counts_its_tokens(self):
        short = self.folder / "short.jsonl"
        short.write_text('{"text": "one line"}\n')
        result = self.engine("quantize", self.model(), "--codebooks", 2, "--codebook-bits", 8, "--group-size", 8,
                             "--calibration", short, "--sequences", 4, "--sequence-length", 64, "--seed", 0, "--output",
                             self.folder / "out")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("short.jsonl", result.stderr)

    def test_a_broken_model_fails_its_cells_with_the_reason_and_a_retry_mends_it(self):
        model = self.model()
        weights = model / "model.safetensors"
        whole = weights.read_bytes()
        weights.write_bytes(whole[:-1000])
        self.start_coordinator()
        self.start_worker(fake=False, model_root=self.folder / "models")
        self.cli("submit", self.sweep_file(SMALL_SWEEP.replace("[fp16, 4-bit, 2-bit]", "[fp16]")), "--watch", code=1)
        self.assertIn("truncated", self.cli("status", "small"))
        self.assertIn("failed", self.cli("tables", "small"))
        weights.write_bytes(whole)
        self.cli("retry", "small")
        self.cli("watch", "small")
        self.assertEqual(self.query("SELECT state FROM cell_results"), [("succeeded",)])


if __name__ == "__main__":
    unittest.main(verbosity=2)
