#include "worker/engine/run/bench_verb.h"

#include <CLI/CLI.hpp>
#include <utility>
#include <vector>

namespace bitsweep::engine {

void RegisterBenchVerb(VerbRegistry& verbs, const BenchRegistry& benches) {
  const auto configure = [rows = benches.benches()](CLI::App& app) -> DirectVerb {
    app.require_subcommand(1);
    std::vector<std::pair<CLI::App*, DirectVerb>> bound;
    for (const BenchRegistry::Bench& row : rows) {
      CLI::App* sub = app.add_subcommand(row.name, row.description);
      sub->fallthrough();  // --device and the other options of every verb may follow the name.
      bound.emplace_back(sub, row.configure(*sub));
    }
    return [bound](const VerbContext& context) {
      for (const auto& [sub, run] : bound) {
        if (sub->parsed()) {
          run(context);
        }
      }
    };
  };
  verbs.AddDirect("bench", "Measure this machine with synthetic weights", configure);
}

}  // namespace bitsweep::engine
