// What is said of one program, and how it follows from what its process did.
// Thread rule: values and free functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include "worker/grade/sandbox.h"

namespace bitsweep::grade {

enum class Verdict {
  kPass,
  kWrong,         // An assertion of the tests (or of the program) failed.
  kException,     // Any other uncaught exception, a signal, or a code that is not 0.
  kSyntaxError,   // Python does not compile.
  kCompileError,  // Java does not compile.
  kTimeout,
  kMemoryLimit,
  kOutputLimit,
  kProcessLimit,
  kDiskLimit,
  kForbidden,  // Ended with code 0 before its tests were through: a success that was not earned.
};
inline constexpr int kVerdictCount = 11;

/// "pass", "wrong", ...: the spelling of verdicts.jsonl.
const char* VerdictName(Verdict verdict);

/// The study's own statuses, from exit codes alone: its pass is kOk.
enum class StudyVerdict {
  kOk,
  kTimeout,
  kSyntaxError,
  kException,
};

/// "OK", "Timeout", "SyntaxError", "Exception".
const char* StudyVerdictName(StudyVerdict verdict);

/// The judgement of one program with what was measured of its process.
struct Outcome {
  Verdict verdict = Verdict::kException;
  StudyVerdict study = StudyVerdict::kException;
  absl::Duration cpu;
  absl::Duration wall;
  std::int64_t memory_bytes = 0;
  std::optional<int> exit_code;
  std::optional<int> signal;
  std::string output;  // First 2 KiB, as Printable makes them.
  std::string error;
  // Its end may have been the machine's doing: the wall clock ended it before its CPU time was
  // spent, or a SIGKILL that is not ours.
  bool uncertain = false;
  // It was uncertain, and run again with nothing beside it; this is what came of it.
  bool rerun = false;
  bool flaky = false;  // And the verdict was another one then.
  std::string weak_reason = "the tests ran in the program's process";  // Empty: a strong witness.
};

/// What tests in a process of their own say (test_runner.h).
struct TestAnswer {
  // P W E M D L as in python/driver.py; G the program's process ended before its tests, F what it
  // sent is no answer, O it sent too much.
  char letter = 'G';
  std::string text;  // The failing line and its error.
};

/// A fresh secret of 32 hex digits.
std::string MakeNonce();

/// Judges a program whose driver (python/driver.py, java/BitsweepHarness.java) reported with
/// `nonce`. UNAVAILABLE: the driver never came to start the program: the sandbox's fault.
/// CANCELLED: the run was stopped.
absl::StatusOr<Outcome> Judge(const JobResult& result, std::string_view nonce, bool python);

/// Judges a program whose tests ran apart from it, and answered. The study's verdict is derived:
/// the code that program and tests in one process would have ended with, for a program that leaves
/// the tests alone. Errors as of Judge.
absl::StatusOr<Outcome> JudgeApart(const JobResult& result, const TestAnswer& answer, bool python);

/// What a program gets whose answers the tests' process did not survive; `busy` where that was
/// still at them. `status` is the error's text.
Outcome BlamedOutcome(bool busy, const absl::Status& status);

/// `bytes` as valid UTF-8: bytes that are not, and control characters other than newline and tab,
/// become \xNN. A character that the end cuts in two is dropped.
std::string Printable(std::string_view bytes);

}  // namespace bitsweep::grade
