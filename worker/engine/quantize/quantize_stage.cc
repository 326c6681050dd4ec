#include "worker/engine/calibration/read_spec.h"
#include "worker/engine/checkpoint/measure.h"
#include "worker/engine/device_list.h"
#include "worker/engine/numerics.h"
#include "worker/engine/quantize/method_options.h"
#include "worker/engine/quantize/model_quantizer.h"
#include "worker/engine/quantize/stages.h"
#include "worker/engine/strict_object.h"
#include "worker/engine/tokenizer/tokenizer.h"

namespace bitsweep::engine {
namespace {

nlohmann::json RunQuantize(const StageSpec& stage, Events& events) {
  StrictObject members(stage.members, stage.where);
  StrictObject model = members.Object("model");
  const std::string model_dir = model.String("dir");
  model.Finish();
  ModelQuantizeOptions options;
  options.linear = ReadMethod(members.Object("method"), &options.block_tuning);
  options.seed = stage.seed;
  options.threads = stage.threads;
  options.dtype = DtypeOf(stage.numerics);
  options.devices = DevicesOf(stage.numerics);
  std::uint64_t calibration_seed = stage.seed;
  const CalibrationSpec calibration =
      ReadCalibrationSpec(members.Object("calibration"), &calibration_seed);
  members.Finish();
  // The cheap checks come first: a bad file is found before the weights are looked at.
  const auto tokenizer = Tokenizer::Load(model_dir);
  const CalibrationSet set = SampleCalibration(calibration, *tokenizer, calibration_seed);
  nlohmann::json summary =
      QuantizeModel(Checkpoint::Open(model_dir), set, options, stage.output_dir, events);
  // The size of a variant is what its files hold, whatever its label says.
  const CheckpointSize size = MeasureCheckpoint(*Checkpoint::Open(stage.output_dir));
  summary["weights_bytes"] = size.stored_bytes;
  summary["effective_bits"] = size.packed_effective_bits;
  summary["effective_bits_stored"] = size.stored_effective_bits;
  return summary;
}

}  // namespace

void RegisterQuantizeStages(StageRegistry& registry) {
  registry.Add("quantize", RunQuantize);
}

}  // namespace bitsweep::engine
