// CompareWithPublished: which cell of ours each published cell is, and what a reader must know of
// the two before comparing them. Text is compare_text.cc's.
#include "coordinator/study/compare.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <set>
#include <tuple>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include "coordinator/study/cells.h"
#include "coordinator/study/published.h"
#include "coordinator/study/published_labels.h"
#include "coordinator/study/question_tests.h"

#include "proto/base/status_macros.h"

namespace bitsweep {
namespace {

constexpr double kGigabyte = 1e9;
constexpr double kGibibyte = 1024.0 * 1024 * 1024;

/// A cell without its seed, under published labels: benchmark, family, params, precision,
/// calibration, fine-tuned, language; names made plain.
using CellKey =
    std::tuple<std::string, std::string, std::string, std::string, std::string, bool, std::string>;

/// The cells of ours that a key stands for: one a seed of the sweep.
struct OurCells {
  VariantCoordinates variant;              // The first one's.
  std::vector<const CellResult*> results;  // nullptr: nothing known yet.
};

CellKey KeyOf(const PublishedRow& row, const std::string& language) {
  return {PlainLabel(row.benchmark),
          row.family,
          row.params,
          row.precision,
          row.calibration,
          row.finetuned,
          language};
}

std::string StateText(const CellResult* result) {
  if (result == nullptr) {
    return "pending";
  }
  if (result->state == "running" && result->stages_total > 0) {
    return absl::StrCat("running ", result->stages_done, "/", result->stages_total);
  }
  if (result->state == "failed" && !result->failure_class.empty()) {
    return absl::StrCat("failed: ", result->failure_class);
  }
  return result->state == "succeeded" && !result->pass_at_1 ? "succeeded, no figure"
                                                            : result->state;
}

class Comparer {
 public:
  Comparer(const SweepSpec& spec,
           const std::vector<CellResult>& results,
           const PublishedStudy& study)
      : spec_(spec), study_(study) {
    for (const CellResult& result : results) {
      results_[{{result.model, result.precision, result.calibration, result.finetuned, result.seed},
                result.benchmark,
                result.language}] = &result;
    }
  }

  Comparison Compare() {
    IndexOurs();
    Comparison comparison;
    comparison.sweep = spec_.name;
    comparison.with = study_.name;
    comparison.title = study_.title;
    AddRows(comparison);
    AddNotes(comparison);
    AddFindings(comparison);
    return comparison;
  }

 private:
  /// The published key of a grid cell; nullopt where the study has no such model.
  std::optional<CellKey> KeyOfOurs(const CellCoordinates& at) {
    const ModelSpec* model = spec_.FindModel(at.variant.model);
    const auto published = model == nullptr ? std::nullopt : PublishedModelOf(*model, study_.rows);
    if (!published) {
      return std::nullopt;
    }
    std::string calibration = PlainLabel(at.variant.calibration);
    if (at.variant.calibration == kUnspecified) {
      calibration = "random";
      unspecified_ = true;
    }
    return CellKey{BenchmarkOf(at),
                   published->family,
                   published->params,
                   PublishedPrecisionOf(at.variant.precision),
                   calibration,
                   at.variant.finetuned != kNone,
                   at.language};
  }

  /// An import that names no benchmark is known by how many problems it has in the language.
  std::string BenchmarkOf(const CellCoordinates& at) {
    const auto result = results_.find(at);
    if (at.benchmark == kUnspecified && result != results_.end()) {
      for (const PublishedBenchmark& study : study_.benchmarks) {
        if (study.language == at.language && study.problems == result->second->problems) {
          unnamed_.insert(study.benchmark);
          return PlainLabel(study.benchmark);
        }
      }
    }
    return PlainLabel(at.benchmark);
  }

  /// A grid cell joins its key unless another variant has it already. Calibrations that are named
  /// come before those that are not.
  void IndexOurs() {
    std::vector<GridCell> grid = ExpandGrid(spec_);
    std::stable_partition(grid.begin(), grid.end(), [](const GridCell& cell) {
      return cell.at.variant.calibration != kUnspecified;
    });
    for (const GridCell& cell : grid) {
      const std::optional<CellKey> key = KeyOfOurs(cell.at);
      if (!key) {
        ++unmatched_;
        continue;
      }
      VariantCoordinates variant = cell.at.variant;
      variant.seed = 0;
      const auto [entry, fresh] = ours_.try_emplace(*key);
      if (fresh) {
        entry->second.variant = variant;
      } else if (entry->second.variant != variant) {
        shadowed_.insert(absl::StrCat(variant.model,
                                      " ",
                                      variant.precision,
                                      " ",
                                      variant.calibration,
                                      " ",
                                      variant.finetuned));
        continue;
      }
      const auto result = results_.find(cell.at);
      entry->second.results.push_back(result == results_.end() ? nullptr : result->second);
    }
  }

  ComparedFigure Figure(const PublishedRow& row,
                        const PublishedFigure& published,
                        ComparisonRow& out) {
    ComparedFigure figure;
    figure.language = published.language;
    figure.published = published.pass_at_1;
    figure.state = std::string(kNotInSweep);
    const auto found = ours_.find(KeyOf(row, published.language));
    if (found == ours_.end()) {
      return figure;
    }
    used_.insert(found->first);
    out.model = found->second.variant.model;
    figure.state = "succeeded";
    double sum = 0;
    for (const CellResult* result : found->second.results) {
      const std::string state = StateText(result);
      if (state != "succeeded") {
        figure.state = state;
        continue;
      }
      sum += *result->pass_at_1;
      if (result->size_bytes) {
        out.size_bytes = result->size_bytes;
      }
      NoteCounts(row.benchmark, *result);
    }
    if (figure.state == "succeeded") {
      figure.ours = 100 * sum / static_cast<double>(found->second.results.size());
      figure.difference = *figure.ours - figure.published;
    }
    return figure;
  }

  void NoteCounts(const std::string& benchmark, const CellResult& result) {
    for (const PublishedBenchmark& study : study_.benchmarks) {
      if (study.benchmark == benchmark && study.language == result.language &&
          (study.problems != result.problems || study.samples != result.samples)) {
        other_counts_.insert(fmt::format("{} {}: {} problems x {} samples here, {} x {} there",
                                         benchmark,
                                         result.language,
                                         result.problems,
                                         result.samples,
                                         study.problems,
                                         study.samples));
      }
    }
  }

  void AddRows(Comparison& comparison) {
    std::set<CellKey> known;
    std::vector<std::string> benchmarks;
    for (const PublishedRow& row : study_.rows) {
      if (std::find(benchmarks.begin(), benchmarks.end(), row.benchmark) == benchmarks.end()) {
        benchmarks.push_back(row.benchmark);
      }
    }
    for (const std::string& benchmark : benchmarks) {
      for (const PublishedRow& row : study_.rows) {
        if (row.benchmark == benchmark && known.insert(KeyOf(row, "")).second) {
          comparison.rows.push_back(MakeRow(row));
        }
      }
    }
  }

  ComparisonRow MakeRow(const PublishedRow& row) {
    ComparisonRow out;
    out.benchmark = row.benchmark;
    out.family = row.family;
    out.params = row.params;
    out.precision = row.precision;
    out.calibration = row.calibration;
    out.finetuned = row.finetuned;
    out.published_size = row.size;
    out.size_unit = row.size_unit;
    for (const PublishedFigure& published : row.figures) {
      out.figures.push_back(Figure(row, published, out));
    }
    if (out.size_bytes) {
      out.size =
          static_cast<double>(*out.size_bytes) / (row.size_unit == "GiB" ? kGibibyte : kGigabyte);
    }
    return out;
  }

  void AddNotes(Comparison& comparison) const {
    int cells = 0, ours = 0, compared = 0;
    for (const ComparisonRow& row : comparison.rows) {
      for (const ComparedFigure& figure : row.figures) {
        ++cells;
        ours += figure.state != kNotInSweep ? 1 : 0;
        compared += figure.difference ? 1 : 0;
      }
    }
    std::vector<std::string>& notes = comparison.notes;
    notes.push_back(
        absl::StrCat("pass@1 in percent; difference in points, ours unrounded less the "
                     "published figure as printed. ",
                     compared,
                     " of ",
                     cells,
                     " published cells are compared; ",
                     cells - ours,
                     " are not in this sweep."));
    notes.push_back(
        "Sizes are in the unit that the printed figure is in: GB is 10^9 bytes, GiB is 2^30. The "
        "tables print 'GB' throughout, but fp16 of the 13B, 34B, 33B and 1B models (24.25, 62.74, "
        "62.16, 2.57) is near GiB only, and a little off there (24.24, 62.85, 62.11, 2.51), and "
        "0.61 of the 1B at 2 bits is GiB. Published checkpoints store codes as int16.");
    AddDesignNotes(notes);
  }

  /// What keeps two figures from measuring the same thing.
  void AddDesignNotes(std::vector<std::string>& notes) const {
    std::vector<std::string> precisions;
    for (const PublishedPrecision& study : study_.precisions) {
      for (const PrecisionSpec& ours : spec_.precisions) {
        // An imported sweep does not say what is behind its labels.
        if (ours.method != "imported" && PublishedPrecisionOf(ours.label) == study.label &&
            std::tuple(ours.codebooks, ours.codebook_bits, ours.group_size) !=
                std::tuple(study.codebooks, study.codebook_bits, study.group_size)) {
          precisions.push_back(fmt::format("{} is {}x{} in groups of {} here, {}x{} in {} there",
                                           study.label,
                                           ours.codebooks,
                                           ours.codebook_bits,
                                           ours.group_size,
                                           study.codebooks,
                                           study.codebook_bits,
                                           study.group_size));
        }
      }
    }
    if (!used_.empty() && !precisions.empty()) {
      notes.push_back(absl::StrCat(
          "Codebooks x bits behind a label differ: ", absl::StrJoin(precisions, "; "), "."));
    }
    if (!other_counts_.empty()) {
      notes.push_back(absl::StrCat(
          "Sizes of the benchmarks differ: ", absl::StrJoin(other_counts_, "; "), "."));
    }
    if (unspecified_) {
      notes.push_back("Calibration 'unspecified' is compared with the study's random calibration.");
    }
    if (!unnamed_.empty()) {
      notes.push_back(absl::StrCat("Benchmark 'unspecified' is taken for ",
                                   absl::StrJoin(unnamed_, ", "),
                                   ", by its number of problems."));
    }
    if (!shadowed_.empty()) {
      notes.push_back(
          absl::StrCat("Another variant of this sweep has the same published labels, "
                       "so these are left out: ",
                       absl::StrJoin(shadowed_, "; "),
                       "."));
    }
    const std::size_t other = ours_.size() - used_.size();
    if (unmatched_ > 0 || other > 0) {
      notes.push_back(absl::StrCat(
          "Cells of this sweep that the study does not have: ",
          unmatched_,
          " of models that it does not have, ",
          other,
          other == 1 ? " other (its seeds joined)." : " others (their seeds joined)."));
    }
  }

  void AddFindings(Comparison& comparison) const {
    const PublishedCheck check = CheckPublished(study_.rows);
    comparison.notes.push_back(fmt::format(
        "The published tables against their own printed figures: {} of {} Dec (%) and {} of {} "
        "marks recompute, {} marks stand between figures that print alike.",
        check.decs_agree,
        check.decs,
        check.arrows_agree,
        check.arrows,
        check.ties));
    for (const PublishedFinding& finding : check.findings) {
      comparison.findings.push_back(absl::StrCat(finding.place, ": ", finding.text, "."));
    }
  }

  const SweepSpec& spec_;
  const PublishedStudy& study_;
  std::map<CellCoordinates, const CellResult*> results_;
  std::map<CellKey, OurCells> ours_;
  std::set<CellKey> used_;
  std::set<std::string> shadowed_, other_counts_;
  std::set<std::string> unnamed_;  // Benchmarks that an import's cells were taken for.
  int unmatched_ = 0;
  bool unspecified_ = false;
};

}  // namespace

absl::StatusOr<Comparison> CompareWithPublished(const SweepSpec& spec,
                                                const std::vector<CellResult>& results,
                                                std::string_view name) {
  BITSWEEP_ASSIGN_OR_RETURN(const PublishedStudy* study, FindPublished(name));
  return Comparer(spec, results, *study).Compare();
}

}  // namespace bitsweep
