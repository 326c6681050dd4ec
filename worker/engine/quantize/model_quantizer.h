// Quantizes a model block by block in depth order, each on what the already quantized blocks before
// it put out (arXiv 2401.06118, section 3; one chain of activations, as the study's reference ran).
//
//   X --> full-precision block --> H, Y        one pass, all seven linears' inputs tapped
//         codes, codebooks, scales per linear  independent given H: spread over devices or threads
//         refinement                           block fine-tuning where asked for; none by default
//         publish                              one final file, then the journal
//   X <-- the block as stored (f16) (X)        also what a resumed run reads
//
// Several devices: each holds the activations of its share of the sequences and computes on these,
// and the linears are spread over all of them; block fine-tuning runs on the first. Codes and files
// do not depend on the number of devices of one kind.
//
// Thread rule: one thread calls; the work uses `threads` threads, or one for each of several
// devices. Results do not depend on them up to the forward pass's own rounding.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/calibration/sampling.h"
#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/events.h"
#include "worker/engine/finetune/block_tuning.h"
#include "worker/engine/model/llama.h"
#include "worker/engine/quantize/linear_quantizer.h"

namespace bitsweep::engine {

/// A block between search and publication.
struct BlockRefinementInput {
  std::int64_t layer = 0;
  const ModelConfig* config = nullptr;
  const RopeTable* rope = nullptr;
  at::Tensor train_inputs, train_targets;  // X, Y [sequences, T, h]; Y of the unquantized block
  at::Tensor validation_inputs, validation_targets;  // Likewise; [0, T, h] without validation.
  BlockWeights* weights = nullptr;  // Norms to train; linears are still unquantized.
  std::map<std::string, QuantizedLinear>* linears =
      nullptr;  // Codes frozen; codebooks, scales to train.
};
/// Called once a block when set; what it returns stands in the report beside the block's linears.
/// Targets are computed only then.
using BlockRefinement = std::function<nlohmann::json(const BlockRefinementInput&)>;

struct ModelQuantizeOptions {
  LinearQuantizeOptions linear;
  std::uint64_t seed = 0;
  int threads = 1;
  at::ScalarType dtype = at::kFloat;  // Of the forward passes.
  std::vector<at::Device> devices = {at::kCPU};  // Of one type.
  std::optional<BlockTuneOptions> block_tuning;  // Off unless asked for.
  BlockRefinement refinement;                    // Instead of it.
};

/// Writes an AQLM checkpoint and report.json into `output_dir` (which exists) and returns the
/// totals:
/// {"relative_loss", "seconds", "seconds_forward", "seconds_search", "seconds_refinement",
/// "peak_memory_bytes", "tokens", "calibration_digest", "linear_count", "resumed_blocks",
/// "threads", "devices"}. Blocks that an earlier attempt of the same
/// identity published are read, not made again.
/// Throws kBadInput: the source is quantized already, a linear does not fit the group size, an id
/// is outside the vocabulary, sequences longer than the model's positions. kDiverged: NaN or a
/// growing loss, naming block, linear (or step) and epoch.
nlohmann::json QuantizeModel(std::shared_ptr<const Checkpoint> source,
                             const CalibrationSet& calibration,
                             const ModelQuantizeOptions& options,
                             const std::string& output_dir,
                             Events& events);

}  // namespace bitsweep::engine
