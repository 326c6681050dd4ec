// Our figures beside published ones, cell by cell. Every published cell is a row, and one that the
// sweep lacks says so. Plain values and free functions: any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "coordinator/study/sweep_spec.h"
#include "coordinator/study/tables.h"

namespace bitsweep {

// ComparedFigure::state of a published cell that is no cell of the sweep.
inline constexpr std::string_view kNotInSweep = "not in this sweep";

/// One language of one row.
struct ComparedFigure {
  std::string language;
  std::string state;           // "succeeded", "running 3/5", "pending", kNotInSweep...
  std::optional<double> ours;  // Percent, unrounded, mean over seeds; only where all succeeded.
  double published = 0;        // Percent, as printed.
  std::optional<double> difference;  // Points: ours less the published figure, unrounded.
};

struct ComparisonRow {
  std::string benchmark, family, params, precision, calibration;  // The published labels.
  bool finetuned = false;
  std::string model;                       // The sweep's model; empty where it has none that fits.
  std::optional<std::int64_t> size_bytes;  // Ours.
  std::optional<double> size;              // Ours in `size_unit`.
  double published_size = 0;               // As printed.
  std::string size_unit;                   // "GB" (10^9 bytes) or "GiB" (2^30): of both.
  std::vector<ComparedFigure> figures;     // In the order of print.
};

struct Comparison {
  std::string sweep, with, title;
  std::vector<ComparisonRow> rows;    // By benchmark, in the order of print; each cell once.
  std::vector<std::string> notes;     // Footers, one sentence or two each.
  std::vector<std::string> findings;  // Slips of the published tables (CheckPublished), one each.
};

/// Puts the cells of `spec` beside the figures published under `name` ("arxiv:2503.07103").
///
/// Labels are normalised before they are matched: case, spaces and punctuation do not count; a
/// family fits by its name or the beginning of the model's id ("codellama-7b-hf"), a parameter
/// label by its nearest whole billion (the study prints 6.7B as 7B and 1.3B as 1B); "16bit" and
/// "bf16" are fp16, "2bit" is 2-bit; any fine-tuning is fine-tuning; calibration "unspecified"
/// (imports) stands for random where nothing else does. Instruction-tuned and Python variants of a
/// family are other models. Benchmarks fit by name alone.
///
/// NOT_FOUND: no such publication; the message lists what there is.
absl::StatusOr<Comparison> CompareWithPublished(const SweepSpec& spec,
                                                const std::vector<CellResult>& results,
                                                std::string_view name);

enum class CompareFormat {
  kText,
  kMarkdown,
  kCsv,   // One line per cell, full precision, no comments, units in the column names.
  kJson,  // {"sweep", "with", "title", "rows": [one per cell], "notes", "findings"}.
};
/// "text", "markdown", "csv", "json". INVALID_ARGUMENT lists them.
absl::StatusOr<CompareFormat> ParseCompareFormat(std::string_view name);

std::string RenderComparison(const Comparison& comparison, CompareFormat format);

}  // namespace bitsweep
