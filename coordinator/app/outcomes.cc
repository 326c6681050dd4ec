// The parts of Coordinator that import, test, compare and hand out outcomes.

#include <algorithm>

#include <absl/strings/str_cat.h>
#include <spdlog/spdlog.h>

#include "coordinator/app/coordinator.h"
#include "coordinator/domain/handlers.h"
#include "coordinator/domain/status.h"
#include "coordinator/outcomes/imported_sweep.h"
#include "coordinator/study/compare.h"
#include "coordinator/study/nearest.h"
#include "coordinator/study/question_tests.h"
#include "proto/base/status_macros.h"

namespace bitsweep {
namespace {

std::vector<VerdictRow> VerdictsOf(const OutcomeCell& cell) {
  std::vector<VerdictRow> rows;
  rows.reserve(cell.problems.size() * cell.problems.front().samples.size());
  for (const OutcomeProblem& problem : cell.problems) {
    for (const OutcomeSample& sample : problem.samples) {
      VerdictRow& row = rows.emplace_back();
      row.problem = problem.problem;
      row.sample = sample.sample;
      row.verdict = sample.verdict;
      row.passed = sample.passed;
      row.study_passed = sample.passed;
    }
  }
  return rows;
}

/// Rows of one cell by problem; samples become their rank, since tests pair by place.
std::vector<ProblemOutcomes> ByProblem(const std::vector<VerdictRow>& rows) {
  std::vector<ProblemOutcomes> problems;
  for (const VerdictRow& row : rows) {
    if (problems.empty() || problems.back().problem != row.problem) {
      problems.push_back({row.problem, {}});
    }
    problems.back().passed.push_back(row.passed);
  }
  return problems;
}

std::vector<std::string> QuestionNames(const SweepSpec& spec) {
  std::vector<std::string> names;
  for (const QuestionSpec& question : spec.questions) {
    names.push_back(question.name);
  }
  return names;
}

std::vector<DoneElsewhere> StagesOf(const OutcomesFile& file, ImportedSweep& sweep) {
  std::vector<DoneElsewhere> stages;
  for (ImportedStage& stage : sweep.stages) {
    DoneElsewhere& done = stages.emplace_back();
    done.definition = std::move(stage.definition);
    done.summary = std::move(stage.summary);
    if (stage.cell >= 0) {
      done.verdicts = VerdictsOf(file.cells[static_cast<std::size_t>(stage.cell)]);
    }
  }
  return stages;
}

}  // namespace

absl::StatusOr<ImportReceipt> Coordinator::Import(const ImportCommand& command) {
  if (!IsSweepName(command.name)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", command.name, "' is no name of a sweep; allowed: letters, digits, '.', '_', '-' and '+'"));
  }
  if (!blobs_->Has(command.digest)) {
    return absl::FailedPreconditionError(absl::StrCat("the bytes of ", command.file_name, " (sha256 ",
                                                      command.digest.value(), ") are not here; upload them first"));
  }
  BITSWEEP_ASSIGN_OR_RETURN(const OutcomesOptions options, ParseOutcomesOptions(command.maps, command.defaults));
  BITSWEEP_ASSIGN_OR_RETURN(std::string bytes, blobs_->ReadAll(command.digest, kOutcomesBytesMax));
  BITSWEEP_ASSIGN_OR_RETURN(const std::string text, OutcomesText(std::move(bytes), command.file_name));
  BITSWEEP_ASSIGN_OR_RETURN(const OutcomesFile file, ReadOutcomes(text, command.file_name, options));
  ImportedSweep sweep = MakeImportedSweep(
      file, {command.file_name, command.digest.value(), command.maps, command.defaults}, command.name);
  Submission submission;
  submission.request_id = command.request_id;
  submission.name = command.name;
  submission.user = command.user;
  submission.file_name = command.file_name;
  submission.spec_text = sweep.spec_text;
  submission.files = {{command.file_name, command.digest}};
  ImportReceipt receipt;
  receipt.rows = file.rows;
  receipt.questions = QuestionNames(sweep.spec);
  receipt.notes = file.notes;
  std::vector<DoneElsewhere> stages = StagesOf(file, sweep);
  const absl::StatusOr<SubmitReceipt> imported =
      strand_->Call<absl::StatusOr<SubmitReceipt>>([&](Context& context) {
        return OnImport(context.core, context.out, submission, sweep.cells, std::move(stages), context.now);
      });
  BITSWEEP_RETURN_IF_ERROR(imported.status());
  receipt.sweep = *imported;
  if (!receipt.sweep.existed) {
    spdlog::info("sweep {} \"{}\": imported {} cells, {} rows of {}", receipt.sweep.sweep.value(), receipt.sweep.name,
                 receipt.sweep.cells, receipt.rows, command.file_name);
  }
  return receipt;
}

absl::Status Coordinator::Outcomes(const std::string& sweep, const std::function<bool(const CellSamples&)>& sink) {
  BITSWEEP_ASSIGN_OR_RETURN(const std::vector<CellStatus> cells, Cells(sweep));
  for (const CellStatus& cell : cells) {
    if (cell.state != "succeeded" || !cell.definition.grade) {
      continue;
    }
    // One cell at a time: the strand has other work, and a finished cell's verdicts do not change.
    absl::StatusOr<std::vector<VerdictRow>> verdicts =
        strand_->Call<absl::StatusOr<std::vector<VerdictRow>>>(
            [&](Context& context) { return context.store.Verdicts(*cell.definition.grade); });
    BITSWEEP_RETURN_IF_ERROR(verdicts.status());
    if (!sink({cell, *std::move(verdicts)})) {
      return absl::CancelledError("the reader went away");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::pair<std::shared_ptr<const PlannedInputs>, std::vector<CellOutcomes>>> Coordinator::OutcomesOf(
    const std::string& sweep) {
  using Found = absl::StatusOr<std::pair<SweepId, Submission>>;
  const Found found = strand_->Call<Found>([&](Context& context) -> Found {
    BITSWEEP_ASSIGN_OR_RETURN(const SweepId id, ResolveSweep(context.core, sweep));
    return std::pair(id, context.core.FindSweep(id)->submission);
  });
  BITSWEEP_RETURN_IF_ERROR(found.status());
  BITSWEEP_ASSIGN_OR_RETURN(std::shared_ptr<const PlannedInputs> inputs, InputsOf(found->first, found->second));
  std::vector<CellOutcomes> outcomes;
  // By its number: "latest" may be another one by now.
  BITSWEEP_RETURN_IF_ERROR(Outcomes(absl::StrCat(found->first.value()), [&](const CellSamples& samples) {
    const CellDefinition& cell = samples.cell.definition;
    outcomes.push_back({cell.model, cell.family, cell.params, cell.precision, cell.calibration, cell.finetuned,
                        cell.benchmark, cell.language, cell.seed, ByProblem(samples.verdicts)});
    return true;
  }));
  return std::pair(std::move(inputs), std::move(outcomes));
}

absl::StatusOr<std::vector<RenderedStats>> Coordinator::Stats(const StatsQuery& query) {
  BITSWEEP_ASSIGN_OR_RETURN(const StatsFormat format, ParseStatsFormat(query.format));
  BITSWEEP_ASSIGN_OR_RETURN(const auto found, OutcomesOf(query.sweep));
  const SweepSpec& spec = found.first->spec;
  TestOptions options;
  options.seed = query.seed;
  options.permutations = query.permutations == 0 ? options.permutations : query.permutations;
  options.resamples = query.resamples == 0 ? options.resamples : query.resamples;
  std::vector<RenderedStats> stats;
  for (const QuestionSpec& question : spec.questions) {
    const bool uses = query.benchmark.empty() || std::find(question.benchmarks.begin(), question.benchmarks.end(),
                                                           query.benchmark) != question.benchmarks.end();
    if (query.question.empty() ? !uses : question.name != query.question) {
      continue;
    }
    BITSWEEP_ASSIGN_OR_RETURN(const TestTable table,
                              TestQuestion(spec, question.name, query.benchmark, found.second, options));
    stats.push_back({question.name, std::string(ToString(question.kind)), RenderTests(table, format)});
  }
  if (stats.empty()) {
    const std::vector<std::string> names = QuestionNames(spec);
    return absl::InvalidArgumentError(
        query.question.empty()
            ? absl::StrCat("sweep '", spec.name, "': no question uses the benchmark '", query.benchmark, "'")
            : absl::StrCat("sweep '", spec.name, "' has no question '", query.question, "'",
                           AllowedText(query.question, names)));
  }
  return stats;
}

absl::StatusOr<std::string> Coordinator::Compare(const std::string& sweep,
                                                 const std::string& with,
                                                 const std::string& format) {
  BITSWEEP_ASSIGN_OR_RETURN(const CompareFormat compare_format, ParseCompareFormat(format));
  struct Found {
    SweepId id;
    Submission submission;
    std::vector<CellResult> results;
  };
  const absl::StatusOr<Found> found =
      strand_->Call<absl::StatusOr<Found>>([&](Context& context) -> absl::StatusOr<Found> {
        BITSWEEP_ASSIGN_OR_RETURN(const SweepId id, ResolveSweep(context.core, sweep));
        BITSWEEP_ASSIGN_OR_RETURN(std::vector<CellResult> results, context.store.CellResults(id));
        return Found{id, context.core.FindSweep(id)->submission, std::move(results)};
      });
  BITSWEEP_RETURN_IF_ERROR(found.status());
  BITSWEEP_ASSIGN_OR_RETURN(const std::shared_ptr<const PlannedInputs> inputs,
                            InputsOf(found->id, found->submission));
  BITSWEEP_ASSIGN_OR_RETURN(const Comparison comparison,
                            CompareWithPublished(inputs->spec, found->results, with));
  return RenderComparison(comparison, compare_format);
}

absl::StatusOr<SweepRecord> Coordinator::Record(const std::string& sweep) {
  using Result = absl::StatusOr<SweepRecord>;
  return strand_->Call<Result>([&](Context& context) -> Result {
    BITSWEEP_ASSIGN_OR_RETURN(const SweepId id, ResolveSweep(context.core, sweep));
    const Sweep& found = *context.core.FindSweep(id);
    SweepRecord record{id, found.submission, found.state, found.created, IsImportedSpec(found.submission.spec_text), {}};
    BITSWEEP_ASSIGN_OR_RETURN(record.stages, context.store.Provenance(id));
    return record;
  });
}

}  // namespace bitsweep
