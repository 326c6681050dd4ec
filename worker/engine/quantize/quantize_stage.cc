#include <limits>

#include "worker/engine/calibration/sampling.h"
#include "worker/engine/checkpoint/measure.h"
#include "worker/engine/numerics.h"
#include "worker/engine/quantize/method_options.h"
#include "worker/engine/quantize/model_quantizer.h"
#include "worker/engine/quantize/stages.h"
#include "worker/engine/strict_object.h"
#include "worker/engine/tokenizer/tokenizer.h"

namespace bitsweep::engine {
namespace {

// More than any study needs, and far from overflowing sequences x length.
constexpr std::int64_t kCountMax = 1 << 24;

CalibrationSpec ReadCalibration(StrictObject calibration, std::uint64_t* seed) {
  CalibrationSpec spec;
  for (StrictObject& part : calibration.Objects("parts")) {
    CalibrationPart read;
    read.file = part.String("file");
    read.sequences = part.Int("sequences", 1, kCountMax);
    read.window = ParseWindowPolicy(part.ChoiceOr("window", {"random", "first", "pack"}, "pack"));
    read.min_tokens = part.IntOr("min_tokens", 0, kCountMax, 0);
    part.Finish();
    spec.parts.push_back(std::move(read));
  }
  spec.validation = calibration.IntOr("validation", 0, kCountMax, 0);
  spec.sequence_length = calibration.Int("sequence_length", 1, kCountMax);
  *seed = calibration.UnsignedOr("seed", *seed);
  calibration.Finish();
  return spec;
}

nlohmann::json RunQuantize(const StageSpec& stage, Events& events) {
  StrictObject members(stage.members, stage.where);
  StrictObject model = members.Object("model");
  const std::string model_dir = model.String("dir");
  model.Finish();
  ModelQuantizeOptions options;
  options.linear = ReadMethod(members.Object("method"));
  options.seed = stage.seed;
  options.threads = stage.threads;
  options.dtype = DtypeOf(stage.numerics);
  options.device = DeviceOf(stage.numerics);
  std::uint64_t calibration_seed = stage.seed;
  const CalibrationSpec calibration =
      ReadCalibration(members.Object("calibration"), &calibration_seed);
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
