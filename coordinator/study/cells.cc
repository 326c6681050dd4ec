#include "coordinator/study/cells.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "proto/base/digest.h"

namespace bitsweep {
namespace {

bool Holds(const std::vector<std::string>& names, const std::string& name) {
  return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::vector<VariantCoordinates> QuestionVariants(const QuestionSpec& question, std::int64_t seed) {
  std::vector<VariantCoordinates> out;
  for (const std::string& model : question.models) {
    for (const std::string& precision : question.precisions) {
      if (precision == kFp16) {
        out.push_back({model, precision, std::string(kNone), std::string(kNone), seed});
        continue;
      }
      for (const std::string& calibration : question.calibrations) {
        for (const std::string& finetune : question.finetunes) {
          out.push_back({model, precision, calibration, finetune, seed});
        }
      }
    }
  }
  return out;
}

bool Excludes(const ExcludeRule& rule, const std::string& question, const CellCoordinates& at) {
  return Holds(rule.questions, question) && Holds(rule.models, at.variant.model) &&
         Holds(rule.precisions, at.variant.precision) &&
         Holds(rule.calibrations, at.variant.calibration) &&
         Holds(rule.finetunes, at.variant.finetuned) && Holds(rule.benchmarks, at.benchmark) &&
         Holds(rule.languages, at.language);
}

std::vector<GridCell> ExpandGrid(const SweepSpec& spec) {
  std::vector<GridCell> grid;
  std::map<CellCoordinates, std::size_t> known;
  const auto add = [&](const QuestionSpec& question, CellCoordinates at) {
    for (const ExcludeRule& rule : spec.excludes) {
      if (Excludes(rule, question.name, at)) {
        return;
      }
    }
    const auto [entry, fresh] = known.try_emplace(at, grid.size());
    if (fresh) {
      grid.push_back({std::move(at), {}});
    }
    grid[entry->second].questions.push_back(question.name);
  };
  for (const QuestionSpec& question : spec.questions) {
    for (const std::int64_t seed : spec.seeds) {
      for (const VariantCoordinates& variant : QuestionVariants(question, seed)) {
        for (const std::string& name : question.benchmarks) {
          const BenchmarkSpec* benchmark = spec.FindBenchmark(name);
          for (std::size_t i = 0; benchmark != nullptr && i < benchmark->files.size(); ++i) {
            add(question, {variant, name, benchmark->files[i].language});
          }
        }
      }
    }
  }
  return grid;
}

std::vector<VariantCoordinates> GridVariants(const std::vector<GridCell>& grid) {
  std::vector<VariantCoordinates> out;
  std::set<VariantCoordinates> known;
  for (const GridCell& cell : grid) {
    if (known.insert(cell.at.variant).second) {
      out.push_back(cell.at.variant);
    }
  }
  return out;
}

std::string CellId(const CellCoordinates& at) {
  constexpr std::size_t kCellIdDigits = 16;
  return Sha256Hex(CanonicalJson({{"model", at.variant.model},
                                  {"precision", at.variant.precision},
                                  {"calibration", at.variant.calibration},
                                  {"finetuned", at.variant.finetuned},
                                  {"seed", at.variant.seed},
                                  {"benchmark", at.benchmark},
                                  {"language", at.language}}))
      .substr(0, kCellIdDigits);
}

}  // namespace bitsweep
