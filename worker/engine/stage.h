// What one engine process runs: a stage spec (proto/README.md) and the table of stage kinds. A room
// that implements a kind has `void Register<Room>Stages(StageRegistry&)` in its stages.h;
// engine_main.cc calls them all. Thread rule: the registry is filled in main before anything runs.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "worker/engine/events.h"

namespace bitsweep::engine {

/// The `numerics` of a spec. See numerics.h for the torch values of these.
struct Numerics {
  std::string device = "cpu";  // cpu | cuda
  std::string dtype = "f32";   // f32 | f16 | bf16
  int devices = 0;             // How many of the visible ones; 0: all (device_list.h).
};

/// A parsed spec: the common members, checked, and the kind's own, which the kind reads with a
/// StrictObject
/// (`StrictObject members(spec.members, spec.where)`; `members.Finish()` at the end refuses unknown
/// ones).
struct StageSpec {
  std::string where;  // The spec's file name, for messages.
  std::string kind;
  std::string stage;  // Key, or empty by hand.
  std::int64_t attempt = 0;
  Numerics numerics;
  int threads = 1;  // Already applied with at::set_num_threads.
  std::uint64_t seed = 0;
  std::string output_dir;  // Absolute; exists.
  nlohmann::json members;  // {"model": ..., "method": ...}: what remains of the spec without the
                           // common members.
};

/// Runs one stage and returns the `summary` of its `done` event. Throws EngineError; other
/// exceptions are classed by main.
using StageFunction = std::function<nlohmann::json(const StageSpec&, Events&)>;

class StageRegistry {
 public:
  void Add(const std::string& kind, StageFunction run) { stages_[kind] = std::move(run); }
  const std::map<std::string, StageFunction>& stages() const { return stages_; }

 private:
  std::map<std::string, StageFunction> stages_;
};

}  // namespace bitsweep::engine
