// The chain of stages behind one cell, with keys, specs, inputs and needs. Internal to this room;
// plan.h is the way in. One builder per model and plan; not thread-safe.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "coordinator/study/cells.h"
#include "coordinator/study/facts.h"
#include "coordinator/study/needs.h"
#include "coordinator/study/plan.h"
#include "coordinator/study/sizes.h"
#include "coordinator/study/sweep_spec.h"

#include "proto/contract/cell.h"

namespace bitsweep {

/// A model as the leaf of its chains.
struct ModelLeaf {
  std::string path;
  std::string
      digest;  // The manifest's; when stages are only counted, any text that tells models apart.
  std::int64_t bytes = 0;
  std::optional<ModelShape> shape;  // Absent when stages are only counted.
};

/// `{kind, semantics, parameters, upstream}` -> key, and the common members of the spec.
StageDefinition MakeStage(StageKind kind,
                          const nlohmann::json& parameters,
                          std::vector<StageKey> upstream);

/// The inspect stage of a model path.
StageDefinition InspectStage(const std::string& model_path, const PlanOptions& options);

class ChainBuilder {
 public:
  /// Stages go to `plan`, each key once. `files` may lack files when stages are only counted; their
  /// path then stands for their digest. Borrows everything.
  ChainBuilder(const SweepSpec& spec,
               const FileFactsByPath& files,
               const Numerics& numerics,
               SweepPlan& plan);

  /// Sets quantize, finetune, generate and grade of `cell`, whose coordinates are `at`.
  void Complete(const ModelLeaf& model, const CellCoordinates& at, CellDefinition& cell);

 private:
  struct Context;  // One cell on its way.

  StageKey Quantize(const Context& context);
  StageKey Finetune(const Context& context, const StageKey& quantize);
  StageKey Generate(const Context& context, const std::optional<StageKey>& checkpoint);
  StageKey Grade(const Context& context, const StageKey& generate);
  StageKey Add(StageDefinition stage);
  std::string DigestOf(const std::string& path) const;
  int ProblemsOf(const BenchmarkFileSpec& file) const;
  nlohmann::json NumericsJson() const;
  nlohmann::json CalibrationJson(const CalibrationSpec& calibration, bool with_digests) const;
  StageLoad LoadOf(const Context& context) const;

  const SweepSpec& spec_;
  const FileFactsByPath& files_;
  const Numerics numerics_;
  SweepPlan& plan_;
  std::set<StageKey> known_;
};

}  // namespace bitsweep
