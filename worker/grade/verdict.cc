#include "worker/grade/verdict.h"

#include <array>
#include <csignal>
#include <random>

#include <absl/strings/str_format.h>

#include "worker/grade/text.h"

#include "proto/base/status_macros.h"

namespace bitsweep::grade {
namespace {

constexpr std::array<const char*, kVerdictCount> kVerdictNames = {"pass",
                                                                  "wrong",
                                                                  "exception",
                                                                  "syntax_error",
                                                                  "compile_error",
                                                                  "timeout",
                                                                  "memory_limit",
                                                                  "output_limit",
                                                                  "process_limit",
                                                                  "disk_limit",
                                                                  "forbidden"};
constexpr std::array<const char*, 4> kStudyNames = {"OK", "Timeout", "SyntaxError", "Exception"};

/// The letter of the driver's answer, 0 when there is none with the right nonce.
char Answer(std::string_view report, std::string_view nonce) {
  for (const std::string_view line : Split(report, '\n')) {
    if (line.size() == nonce.size() + 2 && line[1] == ' ' && line.substr(2) == nonce) {
      return line[0];
    }
  }
  return 0;
}

// The kernel counts ticks for the limit and time for the report, so a process that is ended for its
// CPU time may seem to have used less: the more so, the busier the machine.
constexpr double kKilledForTime = 0.75;
// At the wall clock's end: with less, another machine might have let it finish.
constexpr double kSpent = 0.98;

/// The kernel ended it for its CPU time. First SIGXCPU, then, and at once where both limits are the
/// same, SIGKILL.
bool TimeSpent(const JobResult& result) {
  return result.child.signal == SIGXCPU ||
         (result.child.signal == SIGKILL && result.cpu_share >= kKilledForTime &&
          !result.out_of_memory);
}

Verdict FromAnswer(char answer, const JobResult& result) {
  const bool ended_well = result.child.exit_code == 0;
  if (answer == 'P' && ended_well) {
    return Verdict::kPass;
  }
  if (result.out_of_memory || answer == 'M') {
    return Verdict::kMemoryLimit;
  }
  if (result.forks_refused || answer == 'L') {
    return Verdict::kProcessLimit;
  }
  switch (answer) {
    case 'W':
      return Verdict::kWrong;
    case 'Y':
      return Verdict::kSyntaxError;
    case 'D':
      return Verdict::kDiskLimit;
    case 'O':
      return Verdict::kOutputLimit;
    case 'F':
      return Verdict::kForbidden;
    default:
      break;
  }
  if (TimeSpent(result)) {
    return Verdict::kTimeout;
  }
  if (result.child.signal == SIGXFSZ) {
    return Verdict::kDiskLimit;
  }
  return ended_well ? Verdict::kForbidden : Verdict::kException;
}

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

StudyVerdict StudyVerdictOf(const JobResult& result, bool python) {
  const ChildResult& child = result.child;
  if (child.end == ChildEnd::kTimeout || child.end == ChildEnd::kAsleep || TimeSpent(result)) {
    return StudyVerdict::kTimeout;
  }
  if (child.end == ChildEnd::kEnded && child.exit_code == 0) {
    return StudyVerdict::kOk;
  }
  const bool syntax =
      Contains(child.error, "SyntaxError") || Contains(child.error_tail, "SyntaxError");
  return python && syntax ? StudyVerdict::kSyntaxError : StudyVerdict::kException;
}

/// Length of the UTF-8 character that begins `text`: 0 when it is not one, -1 when the text ends
/// inside it.
int CharacterLength(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) {
    return 1;
  }
  if (lead < 0xC2 || lead > 0xF4) {
    return 0;
  }
  const int length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // Overlong forms, surrogates and values past U+10FFFF show in the second byte.
  const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (int i = 1; i < length; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (at >= text.size()) {
      return -1;
    }
    if (byte(at) < (i == 1 ? low : 0x80) || byte(at) > (i == 1 ? high : 0xBF)) {
      return 0;
    }
  }
  return length;
}

/// Why the program did not come to its end, as its own process says: never a pass.
char Claim(std::string_view report) {
  const std::vector<std::string_view> lines = Split(report, '\n');
  return lines.size() > 1 && lines[1].size() == 1 && lines[1] != "P" ? lines[1][0] : '\0';
}

/// What decides without any answer.
std::optional<Verdict> FromLimits(const JobResult& result) {
  switch (result.child.end) {
    case ChildEnd::kTimeout:
    case ChildEnd::kAsleep:
      return result.out_of_memory   ? Verdict::kMemoryLimit
             : result.forks_refused ? Verdict::kProcessLimit
                                    : Verdict::kTimeout;
    case ChildEnd::kOutputLimit:
      return Verdict::kOutputLimit;
    default:
      return std::nullopt;
  }
}

/// An outcome without its verdict; the errors of Judge.
absl::StatusOr<Outcome> Measured(const JobResult& result, bool python) {
  const ChildResult& child = result.child;
  if (child.end == ChildEnd::kCancelled) {
    return absl::CancelledError("grading was stopped");
  }
  Outcome outcome;
  outcome.study = StudyVerdictOf(result, python);
  outcome.cpu = child.cpu;
  outcome.wall = child.wall;
  outcome.memory_bytes = child.memory_bytes;
  outcome.exit_code = child.exit_code;
  outcome.signal = child.signal;
  outcome.output = Printable(child.output);
  outcome.error = Printable(child.error);
  outcome.uncertain = (child.end == ChildEnd::kTimeout && result.cpu_share < kSpent) ||
                      (child.end == ChildEnd::kEnded && child.signal == SIGKILL &&
                       result.cpu_share < kKilledForTime);
  outcome.uncertain &= !result.out_of_memory && !result.forks_refused;
  if (!child.report.starts_with("S\n") && child.end != ChildEnd::kOutputLimit) {
    return absl::UnavailableError(
        Cat("the program's driver did not start (",
            child.end == ChildEnd::kTimeout ? "no answer in time" : "it ended",
            "): ",
            Trim(outcome.error)));
  }
  return outcome;
}

}  // namespace

const char* VerdictName(Verdict verdict) {
  return kVerdictNames.at(static_cast<std::size_t>(verdict));
}

const char* StudyVerdictName(StudyVerdict verdict) {
  return kStudyNames.at(static_cast<std::size_t>(verdict));
}

std::string MakeNonce() {
  std::random_device random;
  return absl::StrFormat("%08x%08x%08x%08x", random(), random(), random(), random());
}

absl::StatusOr<Outcome> Judge(const JobResult& result, std::string_view nonce, bool python) {
  BITSWEEP_ASSIGN_OR_RETURN(Outcome outcome, Measured(result, python));
  outcome.verdict =
      FromLimits(result).value_or(FromAnswer(Answer(result.child.report, nonce), result));
  return outcome;
}

absl::StatusOr<Outcome> JudgeApart(const JobResult& result, const TestAnswer& answer, bool python) {
  BITSWEEP_ASSIGN_OR_RETURN(Outcome outcome, Measured(result, python));
  outcome.weak_reason.clear();
  outcome.error += Printable(answer.text);
  // It may have waited for the next call, and the tests for a CPU.
  outcome.uncertain |= python && result.child.end == ChildEnd::kAsleep && !result.out_of_memory &&
                       !result.forks_refused;
  char letter = answer.letter;
  // Java's calls go on after a test that fails; in one process they would not have.
  const bool failed_before = !python && (letter == 'W' || letter == 'E');
  const std::optional<Verdict> limit = FromLimits(result);
  if (limit && !(failed_before && *limit == Verdict::kTimeout)) {
    outcome.verdict = *limit;
    return outcome;
  }
  if (letter == 'G') {
    letter = python ? Claim(result.child.report) : '\0';
    outcome.verdict = FromAnswer(letter, result);
    return outcome;
  }
  const bool tests_failed = letter != 'P';
  outcome.verdict = letter == 'E' && !result.out_of_memory && !result.forks_refused
                        ? Verdict::kException
                        : FromAnswer(letter, result);
  if (failed_before) {
    outcome.uncertain = false;
  }
  if (tests_failed && (outcome.study == StudyVerdict::kOk ||
                       (failed_before && outcome.study == StudyVerdict::kTimeout))) {
    // In one process the failed test would have ended it with code 1.
    outcome.study = StudyVerdict::kException;
    outcome.exit_code = 1;
  }
  return outcome;
}

Outcome BlamedOutcome(bool busy, const absl::Status& status) {
  Outcome blamed;
  blamed.verdict = busy ? Verdict::kTimeout : Verdict::kForbidden;
  blamed.study = busy ? StudyVerdict::kTimeout : StudyVerdict::kException;
  // Whoever kept the tests busy, a loaded machine may have had its part: once more, alone.
  blamed.uncertain = busy;
  blamed.weak_reason.clear();
  blamed.error = std::string(status.message());
  return blamed;
}

std::string Printable(std::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    const int length = CharacterLength(bytes);
    const auto byte = static_cast<unsigned char>(bytes[0]);
    const bool control = (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7F;
    // C1 controls (U+0080 to U+009F) act on terminals too.
    const bool c1 = length == 2 && byte == 0xC2 && static_cast<unsigned char>(bytes[1]) < 0xA0;
    if (length < 0) {
      break;
    }
    if (length == 0 || control || c1) {
      for (const char c : bytes.substr(0, c1 ? 2 : 1)) {
        absl::StrAppendFormat(&out, "\\x%02x", static_cast<unsigned char>(c));
      }
      bytes.remove_prefix(c1 ? 2 : 1);
    } else {
      out.append(bytes.substr(0, static_cast<std::size_t>(length)));
      bytes.remove_prefix(static_cast<std::size_t>(length));
    }
  }
  return out;
}

}  // namespace bitsweep::grade
