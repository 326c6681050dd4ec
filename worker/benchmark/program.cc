#include "worker/benchmark/program.h"

#include "worker/benchmark/stop.h"

namespace bitsweep::benchmark {

std::string_view CutCompletion(const Record& record,
                               std::string_view completion,
                               PostProcessing policy) {
  return PostProcess(record, CutAtStop(completion, record.stop_tokens), policy);
}

std::string AssembleProgram(const Record& record, std::string_view completion) {
  std::string program;
  program.reserve(record.prompt.size() + completion.size() + 1 + record.tests.size());
  program.append(record.prompt).append(completion).append("\n").append(record.tests);
  return program;
}

}  // namespace bitsweep::benchmark
