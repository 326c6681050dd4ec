#include "worker/grade/program_set.h"

#include <unordered_map>
#include <utility>

#include "worker/grade/limits.h"
#include "worker/grade/text.h"

namespace bitsweep::grade {

void ProgramSet::KeepTestsTogether(const std::string& reason) {
  for (std::size_t i = 0; i < programs.size(); ++i) {
    FormOf(i).reason = reason;
  }
}

absl::StatusOr<ProgramSet> AssemblePrograms(const std::vector<benchmark::Record>& records,
                                            const std::vector<Completion>& completions,
                                            benchmark::PostProcessing post_processing) {
  ProgramSet set;
  set.forms.resize(records.size());
  std::unordered_map<std::string, std::size_t> known;
  for (const Completion& completion : completions) {
    const benchmark::Record& record = records[completion.record];
    std::string text = benchmark::AssembleProgram(
        record, benchmark::CutCompletion(record, completion.text, post_processing));
    if (static_cast<std::int64_t>(text.size()) > kProgramBytesMax) {
      return absl::InvalidArgumentError(Cat("the program of \"",
                                            record.name,
                                            "\" has ",
                                            text.size(),
                                            " bytes, allowed are ",
                                            kProgramBytesMax));
    }
    // The same text, and the tests begin at the same place.
    const auto [at, fresh] =
        known.emplace(Cat(record.tests.size(), ":", text), set.programs.size());
    if (fresh) {
      set.programs.push_back({std::move(text), &record, completion.record});
    }
    ++set.programs[at->second].uses;
    set.program_of.push_back(at->second);
  }
  return set;
}

}  // namespace bitsweep::grade
