// The verbs of bitsweep-engine by hand. A verb adds a CLI11 subcommand and either runs directly
// (tokenize, logits, quantize-linear) or builds a stage spec (quantize, generate, inspect), which
// is run by the one implementation that `bitsweep-engine run SPEC.json` uses. A room has `void
// Register<Room>Verbs(VerbRegistry&)` in its verbs.h. Thread rule: main only.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "worker/engine/stage.h"

namespace CLI {
class App;
}

namespace bitsweep::engine {

/// The options that every verb has (--device, --devices, --dtype, --threads, --events),
/// parsed; main has applied the threads.
struct VerbContext {
  Numerics numerics;
  int threads = 1;
  Events& events;
};

/// What a stage verb asks for. main adds protocol, semantics, numerics and threads.
struct StageRequest {
  std::string kind;
  std::uint64_t seed = 0;
  std::string output_dir;  // Made absolute and created by main. Empty: a temporary folder, removed
                           // after `finish`.
  nlohmann::json members;  // The kind's own members; paths are best given absolute (AbsolutePath).
  /// Called after success with the `done` summary and the output folder: move or print what the
  /// hand verb promises.
  std::function<void(const nlohmann::json& summary, const std::string& output_dir)> finish;
};

/// For members that are paths: a relative path of the command line, made absolute and lexically
/// normal.
std::string AbsolutePath(const std::string& path);

/// Adds the verb's own options to its subcommand (keep them in a shared_ptr'd struct) and returns
/// what to do once they are parsed.
using DirectVerb = std::function<void(const VerbContext&)>;
using StageVerb = std::function<StageRequest()>;

class VerbRegistry {
 public:
  struct Verb {
    std::string name;
    std::string description;
    std::function<DirectVerb(CLI::App&)> direct;  // Exactly one of the two is set.
    std::function<StageVerb(CLI::App&)> stage;
  };

  void AddDirect(const std::string& name,
                 const std::string& description,
                 std::function<DirectVerb(CLI::App&)> configure) {
    verbs_.push_back({name, description, std::move(configure), nullptr});
  }
  void AddStage(const std::string& name,
                const std::string& description,
                std::function<StageVerb(CLI::App&)> configure) {
    verbs_.push_back({name, description, nullptr, std::move(configure)});
  }
  const std::vector<Verb>& verbs() const { return verbs_; }

 private:
  std::vector<Verb> verbs_;
};

}  // namespace bitsweep::engine
