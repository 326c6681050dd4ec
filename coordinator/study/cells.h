// The grid: questions -> normalised, distinct cells. One implementation for planning, counting,
// checking and tables. Pure free functions: any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/study/sweep_spec.h"

namespace bitsweep {

/// A model variant at one seed, normalised: fp16 has calibration "none" and finetuned "none".
struct VariantCoordinates {
  std::string model, precision, calibration, finetuned;
  std::int64_t seed = 0;
  friend auto operator<=>(const VariantCoordinates&, const VariantCoordinates&) = default;
};

struct CellCoordinates {
  VariantCoordinates variant;
  std::string benchmark, language;
  friend auto operator<=>(const CellCoordinates&, const CellCoordinates&) = default;
};

struct GridCell {
  CellCoordinates at;
  std::vector<std::string> questions;  // In the file's order.
};

/// Distinct variants of one question over one seed, in the order of its lists (model, precision,
/// calibration, finetune). Exclude rules are not applied.
std::vector<VariantCoordinates> QuestionVariants(const QuestionSpec& question, std::int64_t seed);

/// Whether `rule` takes the cell out of `question`. Coordinates are the normalised ones.
bool Excludes(const ExcludeRule& rule, const std::string& question, const CellCoordinates& at);

/// Every cell of the sweep once, in the order of questions, seeds, variants, benchmarks and
/// languages of the file.
std::vector<GridCell> ExpandGrid(const SweepSpec& spec);

/// Distinct variants of the grid in order of first appearance.
std::vector<VariantCoordinates> GridVariants(const std::vector<GridCell>& grid);

/// 16 hexadecimal digits of SHA-256 over the coordinates: CellDefinition::id.
std::string CellId(const CellCoordinates& at);

}  // namespace bitsweep
