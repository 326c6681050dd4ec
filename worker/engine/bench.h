// What `bitsweep-engine bench` can measure. A room that has something to measure has `void
// Register<Room>Benches(BenchRegistry&)` in its benches.h. Thread rule: main only.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "worker/engine/verb.h"

namespace bitsweep::engine {

class BenchRegistry {
 public:
  struct Bench {
    std::string name;
    std::string description;
    std::function<DirectVerb(CLI::App&)> configure;  // As of a direct verb (verb.h).
  };

  void Add(const std::string& name,
           const std::string& description,
           std::function<DirectVerb(CLI::App&)> configure) {
    benches_.push_back({name, description, std::move(configure)});
  }
  const std::vector<Bench>& benches() const { return benches_; }

 private:
  std::vector<Bench> benches_;
};

}  // namespace bitsweep::engine
