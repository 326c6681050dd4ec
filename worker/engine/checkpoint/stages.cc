#include "worker/engine/checkpoint/stages.h"

#include <string>

#include "worker/engine/checkpoint/atomic_file.h"
#include "worker/engine/checkpoint/manifest.h"
#include "worker/engine/checkpoint/measure.h"
#include "worker/engine/strict_object.h"

namespace bitsweep::engine {
namespace {

nlohmann::json RunInspect(const StageSpec& spec, Events& events) {
  StrictObject members(spec.members, spec.where);
  StrictObject model = members.Object("model");
  const std::string dir = model.String("dir");
  model.Finish();
  members.Finish();

  const auto checkpoint = Checkpoint::Open(dir);
  const nlohmann::json manifest = MakeManifest(*checkpoint, events);
  WriteFileAtomically(spec.output_dir + "/manifest.json", manifest.dump(2) + "\n");
  events.CheckpointFile("manifest.json");
  const CheckpointSize size = MeasureCheckpoint(*checkpoint);
  return {{"digest", manifest["digest"]},
          {"parameters", size.parameters},
          {"weights_bytes", size.stored_bytes},
          {"effective_bits", size.packed_effective_bits},
          {"effective_bits_stored", size.stored_effective_bits}};
}

}  // namespace

void RegisterCheckpointStages(StageRegistry& registry) {
  registry.Add("inspect", RunInspect);
}

}  // namespace bitsweep::engine
