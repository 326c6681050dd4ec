#include "coordinator/outcomes/outcome_checks.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include "coordinator/study/sweep_spec.h"

#include "proto/base/status_macros.h"

namespace bitsweep {
namespace {

std::string NameOf(const OutcomeCellKey& key) {
  std::string name = absl::StrCat(key.model, " ", key.precision);
  for (const std::string& part : {key.calibration, key.finetuned}) {
    if (part != kNone) {
      absl::StrAppend(&name, "-", part);
    }
  }
  return absl::StrCat(name, " ", key.language, key.seed == 0 ? "" : absl::StrCat(" seed ", key.seed));
}

std::string CountText(const OutcomeProblem& problem) {
  return absl::StrCat(problem.samples.size(), problem.samples.size() == 1 ? " sample" : " samples");
}

class PairingCheck {
 public:
  PairingCheck(const OutcomesFile& file, const std::string& origin) : file_(file), origin_(origin) {}

  absl::Status Run() {
    for (const OutcomeCell& cell : file_.cells) {
      BITSWEEP_RETURN_IF_ERROR(CheckSamples(cell));
      BITSWEEP_RETURN_IF_ERROR(CheckProblems(cell));
    }
    return CheckSeeds();
  }

 private:
  absl::Status Wrong(int line, const std::string& message) const {
    return absl::InvalidArgumentError(absl::StrCat(origin_, ":", line, ": ", message));
  }

  absl::Status CheckSamples(const OutcomeCell& cell) {
    // The count that most problems have is the right one: an odd one out is what is named.
    auto& usual = usual_[cell.key.benchmark];
    if (usual.second == nullptr) {
      std::map<std::size_t, int> counts;
      for (const OutcomeCell& other : file_.cells) {
        if (other.key.benchmark == cell.key.benchmark) {
          for (const OutcomeProblem& problem : other.problems) {
            ++counts[problem.samples.size()];
          }
        }
      }
      const auto most = std::max_element(counts.begin(), counts.end(), [](auto& a, auto& b) {
        return a.second < b.second;
      });
      for (const OutcomeCell& other : file_.cells) {
        for (const OutcomeProblem& problem : other.problems) {
          if (other.key.benchmark == cell.key.benchmark && usual.second == nullptr &&
              problem.samples.size() == most->first) {
            usual = {&other, &problem};
          }
        }
      }
    }
    const auto& [usual_cell, wanted] = usual;
    for (const OutcomeProblem& problem : cell.problems) {
      if (problem.samples.size() != wanted->samples.size()) {
        return Wrong(problem.line,
                     absl::StrCat("unequal sample counts: problem ",
                                  problem.problem,
                                  " of ",
                                  NameOf(cell.key),
                                  " has ",
                                  CountText(problem),
                                  ", others have ",
                                  wanted->samples.size(),
                                  " (problem ",
                                  wanted->problem,
                                  " of ",
                                  NameOf(usual_cell->key),
                                  "); the paired tests need the same number everywhere"));
      }
      for (std::size_t i = 0; i < problem.samples.size(); ++i) {
        if (problem.samples[i].sample != wanted->samples[i].sample) {
          return Wrong(problem.line,
                       absl::StrCat("problem ",
                                    problem.problem,
                                    " of ",
                                    NameOf(cell.key),
                                    " has sample ",
                                    problem.samples[i].sample,
                                    " where problem ",
                                    wanted->problem,
                                    " of ",
                                    NameOf(usual_cell->key),
                                    " has ",
                                    wanted->samples[i].sample));
        }
      }
    }
    return absl::OkStatus();
  }

  absl::Status CheckProblems(const OutcomeCell& cell) {
    const OutcomeCell*& first = first_[{cell.key.benchmark, cell.key.language}];
    if (first == nullptr) {
      first = &cell;
    }
    const auto lacks = [](const OutcomeCell& a, const OutcomeCell& b) -> const std::string* {
      for (std::size_t i = 0; i < b.problems.size(); ++i) {
        const auto found = std::lower_bound(
            a.problems.begin(),
            a.problems.end(),
            b.problems[i].problem,
            [](const OutcomeProblem& p, const std::string& name) { return p.problem < name; });
        if (found == a.problems.end() || found->problem != b.problems[i].problem) {
          return &b.problems[i].problem;
        }
      }
      return nullptr;
    };
    for (const auto& [without, with] : {std::pair(&cell, first), std::pair(first, &cell)}) {
      if (const std::string* problem = lacks(*without, *with)) {
        return Wrong(without->line,
                     absl::StrCat("unequal sample counts: problem ",
                                  *problem,
                                  " has no sample of ",
                                  NameOf(without->key),
                                  ", and ",
                                  NameOf(with->key),
                                  " has some; the paired tests need the same problems"));
      }
    }
    return absl::OkStatus();
  }

  absl::Status CheckSeeds() {
    std::set<std::int64_t> seeds;
    std::map<OutcomeCellKey, std::pair<std::set<std::int64_t>, const OutcomeCell*>> of;
    for (const OutcomeCell& cell : file_.cells) {
      seeds.insert(cell.key.seed);
      OutcomeCellKey key = cell.key;
      key.seed = 0;
      auto& [own, where] = of[key];
      own.insert(cell.key.seed);
      where = where == nullptr ? &cell : where;
    }
    for (const auto& [key, entry] : of) {
      for (const std::int64_t seed : seeds) {
        if (!entry.first.contains(seed)) {
          return Wrong(entry.second->line,
                       absl::StrCat(NameOf(key),
                                    " has no rows of seed ",
                                    seed,
                                    ", others have; a seed is only compared with itself"));
        }
      }
    }
    return absl::OkStatus();
  }

  const OutcomesFile& file_;
  const std::string& origin_;
  std::map<std::string, std::pair<const OutcomeCell*, const OutcomeProblem*>> usual_;
  std::map<std::pair<std::string, std::string>, const OutcomeCell*> first_;
};

}  // namespace

absl::Status CheckPairing(const OutcomesFile& file, const std::string& origin) {
  return PairingCheck(file, origin).Run();
}

OutcomeModel FamilyAndParams(const std::string& id) {
  const auto is_digit = [](char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); };
  // A word of the name that is a number and then b or m: "-6.7b-", "_350m".
  for (std::size_t begin = 1; begin < id.size(); ++begin) {
    if (!is_digit(id[begin]) || (id[begin - 1] != '-' && id[begin - 1] != '_')) {
      continue;
    }
    std::size_t end = begin;
    while (end < id.size() && (is_digit(id[end]) || id[end] == '.')) {
      ++end;
    }
    const bool unit = end < id.size() && (absl::ascii_tolower(static_cast<unsigned char>(id[end])) == 'b' ||
                                          absl::ascii_tolower(static_cast<unsigned char>(id[end])) == 'm');
    if (unit && (end + 1 == id.size() || id[end + 1] == '-' || id[end + 1] == '_')) {
      return {id, id.substr(0, begin - 1), absl::AsciiStrToUpper(id.substr(begin, end + 1 - begin))};
    }
  }
  return {id, id, ""};
}

}  // namespace bitsweep
