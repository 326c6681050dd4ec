"""Starts real bitsweep processes in a temporary folder, runs the CLI, and cleans up whatever happens.

Nothing here sleeps to wait for a result: it polls a condition with a deadline that only a broken build reaches.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import unittest

BIN = pathlib.Path(os.environ["BITSWEEP_BIN_DIR"])
FAKE = os.environ.get("BITSWEEP_FAKE_ENGINE", "")
ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = ROOT / "deploy" / "demo"
DEADLINE_SECONDS = 120  # Generous: a loaded two-core machine must not fail a right build.


def await_that(condition, what, deadline=DEADLINE_SECONDS):
    """Polls until condition() is true and returns its value; fails with `what` after the deadline."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {deadline} s: {what}")


class Process:
    """A child with its log in a file."""

    def __init__(self, name, arguments, folder, environment=None):
        self.name = name
        self.log_path = folder / f"{name}.log"
        log = open(self.log_path, "ab")
        self.offset = log.tell()
        self.process = subprocess.Popen([str(a) for a in arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                        env={**os.environ, **(environment or {})}, start_new_session=True)
        log.close()

    def log(self):
        with open(self.log_path, "rb") as file:
            file.seek(self.offset)
            return file.read().decode("utf-8", "replace")

    def await_line(self, pattern):
        def found():
            match = re.search(pattern, self.log())
            if not match and self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode} before '{pattern}':\n{self.log()}")
            return match
        return await_that(found, f"'{pattern}' in the log of {self.name}:\n{self.log()}")

    def kill(self):
        """kill -9, as a crash or the kernel would."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"{self.name} did not stop within 30 s of SIGTERM:\n{self.log()[-2000:]}") from None
        return self.process.returncode


class EndToEnd(unittest.TestCase):
    """One temporary folder per test: self.folder. Kept when the test fails and BITSWEEP_KEEP_LOGS is set."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bitsweep-e2e-"))
        self.processes = []
        self.server = None
        self.page = None
        self.coordinator = None

    def tearDown(self):
        failed = any(error for _, error in getattr(self._outcome, "errors", [])) or not getattr(self._outcome, "success", True)
        for process in reversed(self.processes):
            if process.process.poll() is None:
                process.process.kill()
                process.process.wait()
        if failed:
            for process in self.processes:
                print(f"--- {process.name}\n{process.log()[-3000:]}")
            keep = os.environ.get("BITSWEEP_KEEP_LOGS")
            if keep:
                shutil.copytree(self.folder, pathlib.Path(keep) / self.id(), dirs_exist_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    # Processes.

    def start_coordinator(self):
        """Starts or restarts the coordinator on the same data folder and the same port."""
        listen = self.server or "127.0.0.1:0"
        self.coordinator = Process("coordinator", [BIN / "bitsweepd", "--data-dir", self.folder / "data", "--listen", listen,
                                                   "--http", "127.0.0.1:0"], self.folder)
        self.processes.append(self.coordinator)
        self.server = self.coordinator.await_line(r"listening on (\S+)").group(1)
        self.page = self.coordinator.await_line(r"serving http on (\S+)").group(1)

    def start_worker(self, name="w1", fake=True, slots=2, model_root=DEMO / "models", environment=None, extra=()):
        arguments = [BIN / "bitsweep-worker", "--server", self.server, "--cache-dir", self.folder / f"cache-{name}",
                     "--model-root", model_root, "--slots", slots, "--name", name, *extra]
        if fake:
            arguments += ["--engine", FAKE, "--grader", FAKE]
        worker = Process(f"worker-{name}", arguments, self.folder, environment)
        self.processes.append(worker)
        worker.await_line("registered as")
        return worker

    # The CLI.

    def cli(self, *arguments, code=0, server=None):
        """Runs the CLI and returns its standard output; the exit code must be `code`."""
        result = self.cli_result(*arguments, server=server)
        self.assertEqual(result.returncode, code, f"bitsweep {arguments}\nstdout: {result.stdout}\nstderr: {result.stderr}")
        return result.stdout

    def cli_result(self, *arguments, server=None):
        return subprocess.run([str(BIN / "bitsweep"), "--server", server or self.server, *map(str, arguments)],
                              capture_output=True, text=True, timeout=DEADLINE_SECONDS * 3, cwd=self.folder, check=False)

    def cli_json(self, *arguments):
        return json.loads(self.cli(*arguments, "--output", "json"))

    # The database is an interface: tests read it as users do.

    def query(self, sql, *parameters):
        connection = sqlite3.connect(f"file:{self.folder}/data/bitsweep.db?mode=ro", uri=True)
        try:
            return connection.execute(sql, parameters).fetchall()
        finally:
            connection.close()

    def sweep_file(self, text, name="sweep.yaml"):
        path = self.folder / name
        path.write_text(text)
        return path


SMALL_SWEEP = f"""name: small
models:
  - {{id: sparrow-1m, family: Sparrow, params: 1M, path: sparrow-1m}}
precisions:
  4-bit: {{codebooks: 4, codebook_bits: 8, group_size: 8}}
  2-bit: {{codebooks: 2, codebook_bits: 8, group_size: 8}}
calibrations:
  code: {{path: {DEMO}/calibration/code.jsonl, sequences: 16, sequence_length: 256, window: pack}}
benchmarks:
  demo:
    format: multipl-e
    languages: {{python: {DEMO}/benchmark/python.jsonl}}
    sampling: {{samples: 2, temperature: 0.2, top_p: 0.95, max_tokens_total: 640}}
numerics: {{device: cpu, dtype: f32}}
questions:
  rq1: {{models: [sparrow-1m], precisions: [fp16, 4-bit, 2-bit], calibrations: [code]}}
"""
