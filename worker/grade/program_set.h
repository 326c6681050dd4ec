// What a run grades: the distinct programs that its completions make. Equal programs are run once.
// Thread rule: a value; immutable once its forms are set.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "worker/benchmark/program.h"
#include "worker/benchmark/record.h"
#include "worker/grade/completions.h"
#include "worker/grade/test_runner.h"

namespace bitsweep::grade {

struct Program {
  std::string text;  // prompt + completion + "\n" + tests
  const benchmark::Record* record = nullptr;
  std::size_t record_number = 0;  // Among the run's records.
  std::int64_t uses = 0;          // Completions that make it.

  /// The text without the tests, which are its end.
  std::string_view WithoutTests() const {
    return std::string_view(text).substr(0, text.size() - record->tests.size());
  }
};

struct ProgramSet {
  std::vector<Program> programs;
  std::vector<std::size_t> program_of;  // Of each completion.
  std::vector<TestForm> forms;          // Of each record; those that no program has stay empty.

  const TestForm& FormOf(std::size_t index) const { return forms[programs[index].record_number]; }
  TestForm& FormOf(std::size_t index) { return forms[programs[index].record_number]; }
  /// Tests of all records run in the program's process, for this reason.
  void KeepTestsTogether(const std::string& reason);
};

/// Why tests are not apart where that was asked for.
inline constexpr const char* kAsInTheStudy = "asked for: grading as in the study";

/// INVALID_ARGUMENT: a program above kProgramBytesMax. `records` must outlive the result.
absl::StatusOr<ProgramSet> AssemblePrograms(const std::vector<benchmark::Record>& records,
                                            const std::vector<Completion>& completions,
                                            benchmark::PostProcessing post_processing);

}  // namespace bitsweep::grade
