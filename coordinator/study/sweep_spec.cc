#include "coordinator/study/sweep_spec.h"

#include <algorithm>
#include <array>
#include <utility>

#include <absl/strings/str_cat.h>

namespace bitsweep {
namespace {

constexpr std::array<std::pair<QuestionKind, std::string_view>, 4> kQuestionKinds = {{
    {QuestionKind::kRq1, "rq1"},
    {QuestionKind::kRq1Finetune, "rq1-finetune"},
    {QuestionKind::kRq2, "rq2"},
    {QuestionKind::kRq3, "rq3"},
}};

template <typename Entry>
const Entry* Find(const std::vector<Entry>& entries,
                  std::string Entry::*name,
                  std::string_view wanted) {
  const auto found = std::find_if(
      entries.begin(), entries.end(), [&](const Entry& entry) { return entry.*name == wanted; });
  return found == entries.end() ? nullptr : &*found;
}

}  // namespace

std::int64_t CalibrationSpec::sequences() const {
  std::int64_t sum = 0;
  for (const CalibrationPart& part : parts) {
    sum += part.sequences;
  }
  return sum;
}

std::string_view ToString(QuestionKind kind) {
  for (const auto& [value, name] : kQuestionKinds) {
    if (value == kind) {
      return name;
    }
  }
  return "";
}

std::optional<QuestionKind> ParseQuestionKind(std::string_view name) {
  for (const auto& [value, text] : kQuestionKinds) {
    if (text == name) {
      return value;
    }
  }
  return std::nullopt;
}

const ModelSpec* SweepSpec::FindModel(std::string_view id) const {
  return Find(models, &ModelSpec::id, id);
}
const PrecisionSpec* SweepSpec::FindPrecision(std::string_view label) const {
  return Find(precisions, &PrecisionSpec::label, label);
}
const CalibrationSpec* SweepSpec::FindCalibration(std::string_view calibration_name) const {
  return Find(calibrations, &CalibrationSpec::name, calibration_name);
}
const FinetuneSpec* SweepSpec::FindFinetune(std::string_view finetune_name) const {
  return Find(finetunes, &FinetuneSpec::name, finetune_name);
}
const BenchmarkSpec* SweepSpec::FindBenchmark(std::string_view benchmark_name) const {
  return Find(benchmarks, &BenchmarkSpec::name, benchmark_name);
}
const QuestionSpec* SweepSpec::FindQuestion(std::string_view question_name) const {
  return Find(questions, &QuestionSpec::name, question_name);
}

std::vector<ReferencedFile> ReferencedFiles(const SweepSpec& spec) {
  std::vector<ReferencedFile> files;
  const auto place = [&](int line) { return absl::StrCat(spec.file_name, ":", line); };
  for (const CalibrationSpec& calibration : spec.calibrations) {
    for (const CalibrationPart& part : calibration.parts) {
      files.push_back(
          {part.path, ReferencedFile::Role::kCalibration, calibration.name, "", place(part.line)});
    }
  }
  for (const BenchmarkSpec& benchmark : spec.benchmarks) {
    for (const BenchmarkFileSpec& file : benchmark.files) {
      files.push_back({file.path,
                       ReferencedFile::Role::kBenchmark,
                       benchmark.name,
                       file.language,
                       place(file.line)});
    }
  }
  return files;
}

}  // namespace bitsweep
