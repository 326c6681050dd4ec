#include "coordinator/study/table_intervals.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <tuple>

#include "coordinator/study/paired_tests.h"

namespace bitsweep {
namespace {

constexpr double kConfidence = 0.95;
constexpr int kResamples = 10000;
constexpr std::uint64_t kSeed = 0;

using FigureKey = std::tuple<std::string, std::string, std::string, std::string, std::string>;

struct FigureOutcomes {
  std::set<std::int64_t> seeds;
  std::map<std::string, double> rate_sums;  // By problem, over seeds.
};

void AddCell(const CellOutcomes& cell, FigureOutcomes& figure) {
  figure.seeds.insert(cell.seed);
  for (const ProblemOutcomes& problem : cell.problems) {
    if (problem.passed.empty()) {
      continue;
    }
    const auto passed = std::count(problem.passed.begin(), problem.passed.end(), true);
    figure.rate_sums[problem.problem] +=
        static_cast<double>(passed) / static_cast<double>(problem.passed.size());
  }
}

}  // namespace

decltype(TableOptions::interval) IntervalsOf(const std::vector<CellOutcomes>& outcomes,
                                             std::string_view benchmark,
                                             std::size_t seeds) {
  const auto figures = std::make_shared<std::map<FigureKey, FigureOutcomes>>();
  for (const CellOutcomes& cell : outcomes) {
    if (cell.benchmark == benchmark) {
      AddCell(cell,
              (*figures)[{
                  cell.model, cell.precision, cell.calibration, cell.finetuned, cell.language}]);
    }
  }
  return [figures, seeds](const TableRow& row,
                          const std::string& language) -> std::optional<FigureInterval> {
    const auto found =
        figures->find({row.model, row.precision, row.calibration, row.finetuned, language});
    if (found == figures->end() || found->second.seeds.size() != seeds) {
      return std::nullopt;
    }
    std::vector<double> rates;
    for (const auto& [problem, sum] : found->second.rate_sums) {
      rates.push_back(sum / static_cast<double>(seeds));
    }
    const std::optional<Interval> interval =
        BootstrapInterval(rates, kConfidence, kResamples, kSeed);
    return interval ? std::optional(FigureInterval{interval->low, interval->high}) : std::nullopt;
  };
}

}  // namespace bitsweep
