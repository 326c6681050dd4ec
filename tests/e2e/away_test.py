"""A bundle that was moved runs a study's stages, and another coordinator goes on from the archive of its data folder."""

import os
import re
import shutil
import subprocess
import unittest

from harness import BIN, DEMO, FAKE, ROOT, SMALL_SWEEP, EndToEnd


@unittest.skipIf("TSAN_OPTIONS" in os.environ,
                 "skipped: the bundle's own loader hides from ThreadSanitizer which library a frame is of")
class Away(EndToEnd):
    def run_script(self, script, *arguments):
        # What the bundle needs it must bring: no library path, and no commands beside the system's.
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.folder)}
        result = subprocess.run([ROOT / script, *map(str, arguments)], capture_output=True, text=True, timeout=240,
                                cwd=self.folder, env=environment, check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result.stdout

    def test_a_study_is_computed_by_a_bundle_and_graded_elsewhere(self):
        sweep = self.sweep_file(SMALL_SWEEP)
        self.run_script("deploy/bundle/pack.sh", BIN, self.folder / "bundle.tar")
        subprocess.run(["tar", "-C", self.folder, "-xf", self.folder / "bundle.tar"], check=True)
        moved = self.folder / "some where else"
        os.rename(self.folder / "bitsweep", moved)
        self.assertFalse((moved / "bin" / "bitsweep-grade").exists())
        text = self.run_script("deploy/demo/away.sh", "compute", "--bin", moved / "bin", "--engine", FAKE, "--sweep", sweep,
                               "--model-root", DEMO / "models", "--workers", 2, "--part-size", "100K",
                               "--output", self.folder / "there")
        self.assertRegex(text, r"\d+ succeeded\n")
        parts = sorted((self.folder / "there" / "parts").iterdir())
        self.assertTrue(parts)
        shutil.rmtree(moved)

        home = self.folder / "home-bin"
        home.mkdir()
        for name in ("bitsweepd", "bitsweep-worker", "bitsweep"):
            shutil.copy2(BIN / name, home / name)
        shutil.copy2(FAKE, home / "bitsweep-grade")
        text = self.run_script("deploy/demo/away.sh", "grade", "--bin", home, "--sweep", sweep, "--output", self.folder / "home",
                               *parts)
        self.assertIn("succeeded", text)
        rows = [line for line in text.splitlines() if re.match(r"\| Sparrow ", line)]
        self.assertEqual(len(rows), 3, text)
        for row in rows:
            self.assertRegex(row, r"\d+\.\d", "a figure")


if __name__ == "__main__":
    unittest.main()
