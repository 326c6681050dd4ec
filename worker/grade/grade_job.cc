#include "worker/grade/grade_job.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <unistd.h>
#include <utility>

#include "bitsweep_generated/semantics.h"
#include "worker/grade/statement.h"
#include "worker/grade/text.h"
#include "worker/grade/unique_fd.h"

#include "proto/base/status_macros.h"

namespace bitsweep::grade {
namespace {

using benchmark::Language;
using nlohmann::json;
using nlohmann::ordered_json;

/// Reads members of a spec; the first mistake is kept.
class SpecReader {
 public:
  SpecReader(const json& root, const std::string& origin) : root_(root), origin_(origin) {}

  const json* Find(const char* pointer, bool required) {
    const json::json_pointer place(pointer);
    if (!root_.contains(place)) {
      if (required) {
        Complain(pointer, "is missing");
      }
      return nullptr;
    }
    return &root_.at(place);
  }

  std::string Text(const char* pointer, bool required, const std::string& otherwise = "") {
    const json* member = Find(pointer, required);
    if (member != nullptr && !member->is_string()) {
      Complain(pointer, Cat("must be a string, found ", member->type_name()));
      return otherwise;
    }
    return member != nullptr ? member->get<std::string>() : otherwise;
  }

  double Number(const char* pointer, bool required, double otherwise, double low, double high) {
    const json* member = Find(pointer, required);
    if (member == nullptr) {
      return otherwise;
    }
    if (!member->is_number() || member->get<double>() < low || member->get<double>() > high) {
      Complain(pointer,
               Cat("must be a number from ", low, " to ", high, ", found ", member->dump()));
      return otherwise;
    }
    return member->get<double>();
  }

  void Complain(const char* pointer, const std::string& what) {
    status_.Update(absl::InvalidArgumentError(Cat(origin_, ": member ", pointer, " ", what)));
  }
  const absl::Status& status() const { return status_; }

 private:
  const json& root_;
  const std::string& origin_;
  absl::Status status_;
};

ordered_json VerdictLine(const benchmark::Record& record,
                         const Completion& completion,
                         const Outcome& outcome,
                         const Statement& statement,
                         const std::string& statement_id) {
  const auto number = [](const std::optional<int>& value) {
    return value ? ordered_json(*value) : ordered_json();
  };
  return {{"name", record.name},
          {"sample", completion.sample},
          {"verdict", VerdictName(outcome.verdict)},
          {"passed", outcome.verdict == Verdict::kPass},
          {"study_verdict", StudyVerdictName(outcome.study)},
          {"study_passed", outcome.study == StudyVerdict::kOk},
          {"cpu_seconds", absl::ToDoubleSeconds(outcome.cpu)},
          {"wall_seconds", absl::ToDoubleSeconds(outcome.wall)},
          {"memory_bytes", outcome.memory_bytes},
          {"exit_code", number(outcome.exit_code)},
          {"signal", number(outcome.signal)},
          {"stdout", outcome.output},
          {"stderr", outcome.error},
          {"isolation", statement.mode},
          {"sandbox", statement_id},
          {"witness", outcome.weak_reason.empty() ? "strong" : "weak"},
          {"witness_reason", outcome.weak_reason},
          // It was ended by the wall clock or by somebody else, and run again alone: this is that verdict.
          {"rerun", outcome.rerun},
          // And the two differ.
          {"flaky", outcome.flaky}};
}

/// Writes beside `path` and renames: a reader sees the whole file or none.
absl::Status WriteWhole(const std::string& path, std::string_view text) {
  const std::string partial = Cat(path, ".partial-", getpid());
  const auto failed = [&](const char* what) {
    const std::string message = Cat(partial, ": ", what, ": ", strerror(errno));
    const bool full = errno == ENOSPC || errno == EDQUOT;
    unlink(partial.c_str());
    return full ? absl::ResourceExhaustedError(message) : absl::InvalidArgumentError(message);
  };
  UniqueFd file(open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file.valid()) {
    return failed("cannot be made");
  }
  while (!text.empty()) {
    const ssize_t count = write(file.get(), text.data(), text.size());
    if (count < 0 && errno != EINTR) {
      return failed("cannot be written");
    }
    text.remove_prefix(count > 0 ? static_cast<std::size_t>(count) : 0);
  }
  if (fsync(file.get()) != 0 && errno != EINVAL) {
    return failed("cannot be written");
  }
  if (rename(partial.c_str(), path.c_str()) != 0) {
    return failed("cannot be renamed");
  }
  return absl::OkStatus();
}

ordered_json LimitsJson(const Limits& limits) {
  ordered_json object = {{"wall_seconds", absl::ToDoubleSeconds(limits.wall)},
                         {"cpu_seconds", absl::ToDoubleSeconds(limits.cpu)}};
  for (const LimitOption& option : kLimitOptions) {
    object[option.name] = limits.*option.member;
  }
  return object;
}

ordered_json Summary(const GradeJob& job,
                     const Grader& grader,
                     const GradeReport& report,
                     const Statement& statement) {
  ordered_json verdicts = ordered_json::object();
  for (int i = 0; i < kVerdictCount; ++i) {
    const std::int64_t count = report.by_verdict.at(static_cast<std::size_t>(i));
    if (count > 0) {
      verdicts[VerdictName(static_cast<Verdict>(i))] = count;
    }
  }
  const auto total = static_cast<std::int64_t>(report.outcome_of.size());
  return {{"passed", report.passed},
          {"total", total},
          {"study_passed", report.study_passed},
          {"programs", report.outcomes.size()},
          // Samples that took the verdict of an identical program.
          {"copied_verdicts", report.outcome_of.size() - report.outcomes.size()},
          {"by_verdict", verdicts},
          {"weak_witnesses", report.weak_witnesses},
          {"reruns", report.reruns},
          {"flaky", report.flaky},
          {"wall_seconds", absl::ToDoubleSeconds(report.wall)},
          {"cpu_seconds", absl::ToDoubleSeconds(report.cpu)},
          {"peak_memory_bytes", report.peak_memory_bytes},
          {"isolation", IsolationName(grader.sandbox().isolation())},
          {"post_processing", benchmark::PostProcessingName(job.options.post_processing)},
          {"limits", LimitsJson(job.options.limits)},
          {"limits_not_enforced", report.limits_not_enforced},
          {"sandbox", statement.ToJson()}};
}

/// /grading/limits: what one benchmark (and so one language) needs otherwise than by default.
void ReadLimits(SpecReader& spec, Limits* limits) {
  for (const LimitOption& option : kLimitOptions) {
    const std::string pointer = Cat("/grading/limits/", option.name);
    std::int64_t& value = limits->*option.member;
    value = static_cast<std::int64_t>(spec.Number(pointer.c_str(),
                                                  false,
                                                  static_cast<double>(value),
                                                  static_cast<double>(option.low),
                                                  static_cast<double>(option.high)));
  }
  if (const json* members = spec.Find("/grading/limits", false)) {
    for (const auto& member : members->items()) {
      const std::string& name = member.key();
      const bool known = std::any_of(kLimitOptions.begin(),
                                     kLimitOptions.end(),
                                     [&](const LimitOption& option) { return name == option.name; });
      if (!known) {
        spec.Complain(Cat("/grading/limits/", name).c_str(), "is not a limit");
      }
    }
  }
}

absl::StatusOr<std::vector<benchmark::Record>> ReadRecords(const GradeJob& job) {
  std::vector<benchmark::Record> records;
  try {
    records = benchmark::ReadBenchmark(job.benchmark);
  } catch (const benchmark::BenchmarkError& error) {
    return absl::InvalidArgumentError(error.what());
  }
  if (job.language && records.front().language != *job.language) {
    return absl::InvalidArgumentError(Cat(job.benchmark,
                                          ": its language is ",
                                          benchmark::LanguageName(records.front().language),
                                          ", the spec says ",
                                          benchmark::LanguageName(*job.language)));
  }
  return records;
}

}  // namespace

absl::StatusOr<GradeJob> ParseSpec(std::string_view text, const std::string& origin) {
  const json root = json::parse(text, nullptr, false);
  if (root.is_discarded() || !root.is_object()) {
    return absl::InvalidArgumentError(Cat(origin, ": not a JSON object"));
  }
  SpecReader spec(root, origin);
  if (spec.Number("/protocol", true, 1, 0, 1e9) != 1) {
    spec.Complain("/protocol", "must be 1");
  }
  if (const std::string kind = spec.Text("/kind", true, "grade"); kind != "grade") {
    spec.Complain("/kind", Cat("must be \"grade\", found \"", kind, "\""));
  }
  const int ours = SemanticsOf("grade");
  if (const double theirs = spec.Number("/semantics", true, ours, 0, 1e9); theirs != ours) {
    spec.Complain("/semantics",
                  Cat("is ", static_cast<std::int64_t>(theirs), ", this tool has ", ours));
  }
  GradeJob job;
  job.benchmark = spec.Text("/benchmark/file", true);
  job.completions = spec.Text("/completions/file", true);
  job.output = (std::filesystem::path(spec.Text("/output/dir", true)) / "verdicts.jsonl").string();
  // Making and clearing away a sandbox waits for the kernel about a quarter of the time; a second
  // program on each core fills that.
  job.options.jobs = 2 * static_cast<int>(spec.Number("/threads", false, 1, 1, 1024));
  if (const std::string language = spec.Text("/benchmark/language", false); !language.empty()) {
    job.language = benchmark::ParseLanguage(language);
    if (!job.language) {
      spec.Complain("/benchmark/language", Cat("must be python or java, found \"", language, "\""));
    }
  }
  const std::string policy = spec.Text("/grading/post_processing", false, "study");
  if (const auto known = benchmark::ParsePostProcessing(policy)) {
    job.options.post_processing = *known;
  } else {
    spec.Complain("/grading/post_processing",
                  Cat("must be study, keep_helpers or none, found \"", policy, "\""));
  }
  const std::string isolation = spec.Text("/grading/isolation", false, "bubblewrap");
  if (const auto known = ParseIsolation(isolation)) {
    job.options.isolation = *known;
  } else {
    spec.Complain("/grading/isolation",
                  Cat("must be bubblewrap, landlock or none, found \"", isolation, "\""));
  }
  const std::string grading = spec.Text("/grading/tests", false, "apart");
  job.options.tests_apart = grading != "study";
  if (grading != "apart" && grading != "study") {
    spec.Complain("/grading/tests", Cat("must be apart or study, found \"", grading, "\""));
  }
  const double seconds = spec.Number("/grading/timeout_seconds", false, 15, 0.1, 3600);
  job.options.limits.cpu = absl::Seconds(seconds);
  job.options.limits.wall = kWallPerCpu * absl::Seconds(seconds);
  ReadLimits(spec, &job.options.limits);
  BITSWEEP_RETURN_IF_ERROR(spec.status());
  return job;
}

absl::StatusOr<GradeJob> ReadSpec(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    return absl::NotFoundError(Cat(path, ": the spec cannot be opened"));
  }
  std::ostringstream text;
  text << file.rdbuf();
  return ParseSpec(text.str(), path);
}

absl::Status RunGradeJob(const GradeJob& job,
                         GradeEvents& events,
                         const Cancellation& cancellation) {
  BITSWEEP_ASSIGN_OR_RETURN(const std::vector<benchmark::Record> records, ReadRecords(job));
  BITSWEEP_ASSIGN_OR_RETURN(
      const std::vector<Completion> completions,
      job.canonical ? CanonicalCompletions(records) : ReadCompletions(job.completions, records));
  BITSWEEP_ASSIGN_OR_RETURN(const std::unique_ptr<Grader> grader,
                            Grader::Open(job.options, records.front().language));
  Grader::Observer observer;
  observer.on_progress = [&](std::int64_t done, std::int64_t total, std::int64_t passed) {
    events.Progress(done, total, passed);
  };
  observer.on_log = [&](const std::string& level, const std::string& message) {
    events.Log(level, message);
  };
  BITSWEEP_ASSIGN_OR_RETURN(const GradeReport report,
                            grader->Grade(records, completions, observer, cancellation));
  const Statement statement = StateMeasures(
      grader->sandbox(), job.options.limits, DetectCgroups(job.options.limits));
  const std::string id = statement.Id();
  std::string lines;
  for (std::size_t i = 0; i < completions.size(); ++i) {
    const Outcome& outcome = report.outcomes[report.outcome_of[i]];
    lines +=
        VerdictLine(records[completions[i].record], completions[i], outcome, statement, id).dump();
    lines += '\n';
  }
  BITSWEEP_RETURN_IF_ERROR(WriteWhole(job.output, lines));
  const ordered_json summary = Summary(job, *grader, report, statement);
  events.Done(summary);
  std::fprintf(stderr,
               "%lld of %lld pass (%zu distinct programs, %.1f s, isolation %s): %s\n",
               static_cast<long long>(report.passed),
               static_cast<long long>(completions.size()),
               report.outcomes.size(),
               absl::ToDoubleSeconds(report.wall),
               IsolationName(grader->sandbox().isolation()),
               summary["by_verdict"].dump().c_str());
  return absl::OkStatus();
}

}  // namespace bitsweep::grade
