"""Other people's outcomes: import, tables, tests, export and back, restart; bad files; the study's own outcomes."""

import csv
import gzip
import hashlib
import json
import math
import os
import pathlib
import random
import sys
import threading
import time
import unittest

from harness import ROOT, SMALL_SWEEP, EndToEnd

SHARED = pathlib.Path(os.environ.get("BITSWEEP_SHARED", ROOT.parent / "shared"))
HEADER = "model,quantization,language,problem,pass\n"


def small_csv():
    """Two models, fp16 and 2-bit, two languages, 12 problems x 4 samples; 2-bit is worse."""
    draw = random.Random(7)
    rows = [HEADER]
    for model in ("tiny-1b", "tiny-3b"):
        for label, rate in (("16bit", 0.7), ("2bit-mixed", 0.3)):
            for language in ("py", "java"):
                for problem in range(12):
                    rows += [f"{model},{label},{language},p{problem},{int(draw.random() < rate)}\n" for _ in range(4)]
    return "".join(rows)


def exact_mcnemar(b, c):
    n = b + c
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(min(b, c) + 1)) / 2 ** n) if n else 1.0


class Outcomes(EndToEnd):
    def setUp(self):
        super().setUp()
        self.start_coordinator()

    def file(self, name, text):
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def test_an_import_is_a_sweep_like_any_other(self):
        path = self.file("rows.csv", small_csv())
        out = self.cli("import-outcomes", path, "--name", "theirs")
        self.assertIn("384 rows in 8 cells; questions: rq1, rq3", out)
        cells = self.query("SELECT model, precision, calibration, finetuned, benchmark, language, problems, samples, state,"
                           " pass_at_1, size_bytes, effective_bits FROM cell_results WHERE sweep_name = 'theirs'")
        self.assertEqual(len(cells), 8)
        self.assertEqual({cell[:4] for cell in cells}, {(m, p, c, "none") for m in ("tiny-1b", "tiny-3b")
                                                         for p, c in (("fp16", "none"), ("2-bit", "mixed"))})
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        for cell in cells:
            self.assertEqual(cell[4:9], ("unspecified", cell[5], 12, 4, "succeeded"))
            label = {"fp16": "16bit", "2-bit": "2bit-mixed"}[cell[1]]
            mine = [int(row["pass"]) for row in rows if row["model"] == cell[0] and row["quantization"] == label
                    and row["language"] == cell[5].replace("python", "py")]
            self.assertAlmostEqual(cell[9], sum(mine) / len(mine), 12)
            self.assertEqual(cell[10:], (None, 16.0 if cell[1] == "fp16" else None))
        samples = self.query("SELECT problem, sample, passed, verdict FROM sample_outcomes WHERE model = 'tiny-1b'"
                             " AND precision = 'fp16' AND language = 'python' AND problem = 'p3' ORDER BY sample")
        order = [int(row["pass"]) for row in rows if (row["model"], row["quantization"], row["language"], row["problem"])
                 == ("tiny-1b", "16bit", "py", "p3")]
        self.assertEqual(samples, [("p3", i, p, "pass" if p else "fail") for i, p in enumerate(order)])
        self.assertEqual(self.query("SELECT count(*) FROM stage_history"), [(0,)])
        # Provenance.
        spec, digest = self.query("SELECT spec_text, sha256 FROM sweep JOIN sweep_file USING (sweep_id)")[0]
        self.assertEqual(digest, hashlib.sha256(path.read_bytes()).hexdigest())
        self.assertEqual(json.loads(spec)["imported"]["sha256"], digest)

        before = self.cli("tables", "theirs"), self.cli("stats", "theirs", "--output", "json"), self.cli("cells", "theirs")
        self.assertIn("fp16", before[0])
        self.coordinator.kill()
        self.start_coordinator()
        self.assertEqual((self.cli("tables", "theirs"), self.cli("stats", "theirs", "--output", "json"),
                          self.cli("cells", "theirs")), before)
        status = self.cli_json("status", "theirs")
        self.assertEqual(status["summary"]["state"], "succeeded")
        self.assertEqual(status["summary"]["cells_done"], 8)
        grade = self.cli_json("cells", "theirs")["cells"][0]["grade_stage"]
        self.assertIn("imported", self.cli("explain", grade))
        self.assertIn("rows.csv", self.cli("logs", grade))

    def test_the_tests_are_the_studys(self):
        path = self.file("rows.csv.gz", gzip.compress(small_csv().encode()))
        self.cli("import-outcomes", path, "--name", "theirs")
        rows = self.cli_json("stats", "theirs", "--question", "rq1")["rows"]
        self.assertEqual(len(rows), 4)
        passed = {}
        for line in small_csv().splitlines()[1:]:
            model, label, language, problem, bit = line.split(",")
            passed.setdefault((model, label, language.replace("py", "python")), []).append((problem, int(bit)))
        for row in rows:
            self.assertEqual((row["baseline"], row["treatment"], row["benchmark"]), ("fp16", "2-bit-mixed", "unspecified"))
            full = [bit for _, bit in passed[row["model"], "16bit", row["language"]]]
            low = [bit for _, bit in passed[row["model"], "2bit-mixed", row["language"]]]
            b = sum(1 for q, f in zip(low, full) if not q and f)
            c = sum(1 for q, f in zip(low, full) if q and not f)
            self.assertEqual((row["b"], row["c"], row["problems"], row["samples"]), (b, c, 12, 4))
            self.assertAlmostEqual(row["p_value"] / exact_mcnemar(b, c), 1, 9)
            self.assertAlmostEqual(row["difference"], (sum(low) - sum(full)) / 48, 12)
        text = self.cli("stats", "theirs", "--question", "rq1")
        self.assertIn("tiny-3b", text)
        self.assertTrue(self.cli("stats", "theirs", "--format", "csv").count("\n") > 4)
        wrong = self.cli_result("stats", "theirs", "--question", "rq9")
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("rq3", wrong.stderr)
        compared = self.cli("compare", "theirs", "--with", "arxiv:2503.07103")
        self.assertIn("CodeLlama", compared)
        self.assertEqual(self.cli_result("compare", "theirs", "--with", "arxiv:1").returncode, 4)

    def test_an_export_reads_back(self):
        self.cli("import-outcomes", self.file("rows.csv", small_csv()), "--name", "theirs")
        out = self.folder / "export"
        self.cli("export", "theirs", "--out", out)
        for name in ("README.md", "versions.json", "imported.json", "cells.csv", "outcomes.csv", "SHA256SUMS"):
            self.assertTrue((out / name).is_file(), name)
        self.assertEqual({p.suffix for p in (out / "tables").glob("rq1-unspecified.*")}, {".md", ".csv", ".json", ".tex", ".html"})
        self.assertEqual({p.suffix for p in (out / "stats").glob("rq1.*")}, {".txt", ".md", ".csv", ".json"})
        sums = dict(reversed(line.split("  ")) for line in (out / "SHA256SUMS").read_text().splitlines())
        files = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()} - {"SHA256SUMS"}
        self.assertEqual(set(sums), files)
        for name, digest in sums.items():
            self.assertEqual(hashlib.sha256((out / name).read_bytes()).hexdigest(), digest, name)
        self.assertEqual(self.cli_result("export", "theirs", "--out", out).returncode, 5)
        self.cli("export", "theirs", "--out", out, "--force")

        self.cli("import-outcomes", out / "outcomes.csv", "--name", "again")
        columns = "model, family, params, precision, calibration, finetuned, benchmark, language, problems, samples, pass_at_1, seed"
        both = [self.query(f"SELECT {columns} FROM cell_results WHERE sweep_name = ? ORDER BY {columns}", name)
                for name in ("theirs", "again")]
        self.assertEqual(*both)
        self.assertEqual(self.cli("tables", "again"), self.cli("tables", "theirs"))
        self.assertEqual(self.cli("stats", "again", "--output", "json"), self.cli("stats", "theirs", "--output", "json"))

    def test_an_export_of_a_real_sweep_has_cards_and_reads_back(self):
        self.start_worker()
        sweep = self.sweep_file(SMALL_SWEEP)
        self.cli("submit", sweep, "--watch")
        out = self.folder / "export"
        self.cli("export", "small", "--out", out)
        self.assertEqual((out / "sweep.yaml").read_text(), SMALL_SWEEP)
        cards = sorted(p.stem for p in (out / "models").glob("*.md"))
        self.assertEqual(cards, ["sparrow-1m-AQLM-2-bit-code-2x8", "sparrow-1m-AQLM-4-bit-code-4x8"])
        cell = next(c for c in self.cli_json("cells", "small")["cells"] if c["precision"] == "2-bit")
        card = (out / "models" / (cards[0] + ".md")).read_text()
        self.assertIn(cell["quantize_stage"], card)
        self.assertIn(f"{cell['size_bytes']:,} bytes", card)
        self.assertIn(hashlib.sha256((ROOT / "deploy/demo/calibration/code.jsonl").read_bytes()).hexdigest(), card)
        versions = json.loads((out / "versions.json").read_text())
        self.assertEqual([w["name"] for w in versions["workers"]], ["w1"])
        self.assertEqual(set(versions["builds"]), {"inspect", "quantize", "generate", "grade"})
        self.cli("import-outcomes", out / "outcomes.csv", "--name", "again")
        columns = "model, family, params, precision, calibration, benchmark, language, problems, samples, pass_at_1, size_bytes"
        both = [self.query(f"SELECT {columns} FROM cell_results WHERE sweep_name = ? ORDER BY {columns}", name)
                for name in ("small", "again")]
        self.assertEqual(*both)
        verdicts = [self.query("SELECT model, precision, problem, sample, verdict, passed FROM sample_outcomes"
                               " WHERE sweep_name = ? ORDER BY 1, 2, 3, 4", name) for name in ("small", "again")]
        self.assertEqual(*verdicts)

    def test_unfinished_cells_have_no_figures(self):
        self.cli("submit", self.sweep_file(SMALL_SWEEP))
        rows = self.cli_json("stats", "small")["rows"]
        self.assertEqual([row["p_value"] for row in rows], [None] * len(rows))
        out = self.folder / "export"
        self.cli("export", "small", "--out", out)
        self.assertEqual(len((out / "outcomes.csv").read_text().splitlines()), 1)
        self.assertFalse((out / "models").exists())

    def test_bad_files_are_named_and_nothing_is_imported(self):
        good = HEADER + "m,16bit,py,p,1\nm,16bit,py,q,1\n"
        cases = {
            "not-gzip.csv.gz": (b"model,pass\n", ["not-gzip.csv.gz", "not a gzip file"]),
            "cut.csv.gz": (gzip.compress(small_csv().encode())[:-20], ["cut.csv.gz", "cut short"]),
            "empty.csv": (b"", ["empty.csv:1", "empty"]),
            "column.csv": (good.replace("quantization", "quantisation"), ["column.csv:1", "quantisation", "'quantization'"]),
            "pass.csv": (good + "m,2bit,py,p,yes!\n", ["pass.csv:4", "yes!"]),
            "label.csv": (good + "m,2bit-rnd,py,p,1\n", ["label.csv:4", "2bit-rnd", "--map"]),
            "samples.csv": (good + "m,2bit,py,p,1\nm,2bit,py,p,1\nm,2bit,py,q,1\n", ["samples.csv:4", "unequal sample counts", "problem p"]),
            "missing.csv": (good + "m,2bit,py,p,1\n", ["missing.csv:4", "problem q"]),
            "fields.csv": (good + "m,2bit,py,p,1,1\n", ["fields.csv:4", "6 fields"]),
            "newline.csv": (good + 'm,2bit,py,"a\nb",1\n', ["newline.csv:4", "line feed"]),
            "quote.csv": (good + 'm,2bit,py,"a,1\n', ["quote.csv:4", "never"]),
            "twice.csv": ("model,quantization,language,problem,pass,sample\nm,fp16,py,p,1,0\nm,fp16,py,p,1,0\n",
                          ["twice.csv:3", "comes twice"]),
        }
        for name, (text, expected) in cases.items():
            with self.subTest(name):
                result = self.cli_result("import-outcomes", self.file(name, text), "--name", "bad")
                self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
                for words in expected:
                    self.assertIn(words, result.stderr)
        self.assertEqual(self.query("SELECT count(*) FROM sweep"), [(0,)])
        # What only looks odd is read: a byte order mark, CRLF, quotes, a mapped label.
        odd = b"\xef\xbb\xbf" + (good + 'm,2bit-rnd,py,"p",1\nm,2bit-rnd,py,q,0\n').replace("\n", "\r\n").encode()
        self.cli("import-outcomes", self.file("odd.csv", odd), "--name", "odd", "--map", "quantization=2bit-rnd=2-bit,random")
        self.assertEqual(self.query("SELECT precision, calibration FROM cell_results ORDER BY precision"),
                         [("2-bit", "random"), ("fp16", "none")])

    def test_a_coordinator_killed_in_the_middle_has_all_of_it_or_nothing(self):
        draw = random.Random(1)
        rows = [HEADER] + [f"m,{label},py,p{problem},{draw.getrandbits(1)}\n" for label in ("16bit", "4bit", "2bit")
                           for problem in range(2000) for _ in range(20)]
        path = self.file("many.csv", "".join(rows))
        result = []
        importing = threading.Thread(target=lambda: result.append(self.cli_result("import-outcomes", path, "--name", "many")))
        importing.start()
        wal = self.folder / "data" / "bitsweep.db-wal"
        end = time.monotonic() + 60
        # The transaction has begun to write when the log grows; a kill at any moment must do.
        while importing.is_alive() and time.monotonic() < end and (not wal.exists() or wal.stat().st_size < 1 << 20):
            time.sleep(0.002)
        self.coordinator.kill()
        self.start_coordinator()
        importing.join(120)
        # The CLI repeats its request: one sweep, whole.
        self.assertEqual(result[0].returncode, 0, result[0].stderr)
        self.assertEqual(self.query("SELECT count(*) FROM sweep"), [(1,)])
        self.assertEqual(self.query("SELECT count(*) FROM verdict"), [(120000,)])
        self.assertEqual(self.cli_json("status", "many")["summary"]["cells_done"], 3)

    def test_the_same_name_twice_is_two_sweeps(self):
        path = self.file("rows.csv", small_csv())
        first = self.cli_json("import-outcomes", path, "--name", "n")
        second = self.cli_json("import-outcomes", path, "--name", "n")
        self.assertNotEqual(first["sweep"], second["sweep"])
        self.assertEqual(self.query("SELECT count(*) FROM verdict"), [(384,)])  # Equal outcomes are kept once.
        self.assertEqual(self.cli_json("status", "n")["summary"]["sweep"], second["sweep"])

    def test_the_studys_own_outcomes_give_its_own_tests(self):
        outcomes = SHARED / "paper" / "rq1_outcomes.csv.gz"
        if not outcomes.exists():
            print(f"skipped: no {outcomes} (BITSWEEP_SHARED names a folder that has it)", file=sys.stderr)
            return
        begin = time.monotonic()
        self.cli("import-outcomes", outcomes, "--name", "paper", "--default", "benchmark=multipl-e")
        print(f"import of 63,800 rows: {time.monotonic() - begin:.2f} s", file=sys.stderr)
        self.assertEqual(self.query("SELECT count(*) FROM verdict"), [(63800,)])
        begin = time.monotonic()
        rows = self.cli_json("stats", "paper", "--question", "rq1")["rows"]
        print(f"stats of 16 pairs: {time.monotonic() - begin:.2f} s", file=sys.stderr)
        ours = {(row["model"], row["language"], row["treatment"]): row for row in rows}
        with open(SHARED / "paper" / "rq1_statistics.csv", newline="") as file:
            published = list(csv.DictReader(file))
        self.assertEqual((len(published), len(rows)), (16, 16))
        for row in published:
            mine = ours[row["model"], row["lng"].replace("py", "python"), row["quant_precision"].replace("bit", "-bit")]
            self.assertTrue(math.isclose(mine["p_adjusted"], float(row["p.value"]), rel_tol=1e-9), (row, mine))
            self.assertTrue(math.isclose(mine["odds_ratio"], float(row["OR"]), rel_tol=1e-9), (row, mine))
        java = ours["codellama-7b", "java", "4-bit"]
        self.assertAlmostEqual(java["p_adjusted"], 0.01997, 5)
        self.assertEqual((java["b"], java["c"], java["problems"], java["samples"]), (211, 163, 158, 20))
        self.assertAlmostEqual(100 * java["difference"], -1.52, 2)
        self.assertAlmostEqual(java["p_problem"], 0.18, delta=0.03)
        compared = self.cli_json("compare", "paper", "--with", "arxiv:2503.07103")
        found = [row for row in compared["rows"] if row.get("ours_percent") is not None]
        self.assertGreaterEqual(len(found), 20)


if __name__ == "__main__":
    unittest.main(verbosity=2)
