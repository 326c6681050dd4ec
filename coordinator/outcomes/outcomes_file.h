// A file of somebody's outcomes (CSV, may be gzipped) as cells with their verdicts: checked as a
// whole, so that what is made of it can be paired and tested. A mistake is reported with file and
// line, and then there are no cells at all. Plain values and free functions: any thread.
//
// Columns: model, quantization, language, problem, pass; and, where wanted, sample, calibration,
// finetuned, benchmark, family, params, seed, size_bytes, verdict. Their order does not matter.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "coordinator/outcomes/variant_label.h"

namespace bitsweep {

// More text or rows than any study has; a coordinator holds a file in memory while it reads it.
inline constexpr std::int64_t kOutcomesBytesMax = std::int64_t{512} << 20;
inline constexpr std::int64_t kOutcomesRowsMax = 4'000'000;
// More than a screenful of mistakes helps nobody.
inline constexpr std::size_t kOutcomesErrorsMax = 10;

/// How a file is to be read, as the command line says it.
struct OutcomesOptions {
  LabelMaps labels;
  /// Column -> the value where the file has no such column, or the field is empty.
  std::map<std::string, std::string> defaults;
};

/// `maps` are texts of --map, `defaults` of --default (COLUMN=VALUE). INVALID_ARGUMENT as
/// AddLabelMap; a column that has no default.
absl::StatusOr<OutcomesOptions> ParseOutcomesOptions(const std::vector<std::string>& maps,
                                                     const std::vector<std::string>& defaults);

struct OutcomeSample {
  int sample = 0;  // As in the file; from 0 by order where it has none.
  bool passed = false;
  std::string verdict;  // "pass" or "fail" where the file does not say more.
  friend bool operator==(const OutcomeSample&, const OutcomeSample&) = default;
};

struct OutcomeProblem {
  std::string problem;
  std::vector<OutcomeSample> samples;  // By index.
  int line = 0;                        // Its first.
};

/// Normalised: fp16 has calibration and finetuned "none"; a calibration that is not given is
/// "unspecified".
struct OutcomeCellKey {
  std::string model, precision, calibration, finetuned, benchmark, language;
  std::int64_t seed = 0;
  friend auto operator<=>(const OutcomeCellKey&, const OutcomeCellKey&) = default;
};

struct OutcomeCell {
  OutcomeCellKey key;
  std::vector<OutcomeProblem> problems;    // By name.
  std::optional<std::int64_t> size_bytes;  // Of the variant.
  int line = 0;                            // Its first.
};

struct OutcomeModel {
  std::string id, family, params;
};

struct OutcomesFile {
  std::vector<OutcomeModel> models;  // In the file's order.
  std::vector<OutcomeCell> cells;    // In the file's order.
  std::int64_t rows = 0;
  std::vector<std::string> notes;  // What a person must know of how labels were read.
};

/// The text of a file that may be gzipped; `name` decides that, so that a damaged file is not taken
/// for text. INVALID_ARGUMENT as Gunzip.
absl::StatusOr<std::string> OutcomesText(std::string bytes, const std::string& name);

/// Reads and checks everything. `origin` is used in messages only. INVALID_ARGUMENT: one line per
/// mistake, `origin:line: what was found; what is allowed`, at most kOutcomesErrorsMax.
///
/// Beyond single rows: all cells of a benchmark have the same samples of the same problems in every
/// language and seed, because the tests pair them; a (problem, sample) comes once in a cell; rows of
/// one model agree on family and params, rows of one variant on size_bytes.
absl::StatusOr<OutcomesFile> ReadOutcomes(std::string_view text,
                                          const std::string& origin,
                                          const OutcomesOptions& options);

}  // namespace bitsweep
