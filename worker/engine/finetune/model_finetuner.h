// End-to-end fine-tuning: moves a quantized model's values until its next-token distributions come
// as near as they can to the full-precision model's, KL(teacher || student) on the calibration text
// (arXiv 2401.06118, section 3.4 and its end-to-end form; arXiv 2503.07103 for the settings). Codes
// move only with the objective that says so (PV-tuning, arXiv 2405.14852). Thread rule: one thread
// calls; the work uses `threads` threads. On the CPU the result does not depend on how many.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include <ATen/core/Tensor.h>

#include "worker/engine/calibration/sampling.h"
#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/events.h"
#include "worker/engine/finetune/finetune_options.h"

namespace bitsweep::engine {

struct ModelFinetuneOptions {
  FinetuneOptions method;
  std::uint64_t seed = 0;
  int threads = 1;
  at::Device device = at::kCPU;
  /// After each step (epoch from 1, step from 1); what it throws interrupts the training.
  std::function<void(std::int64_t epoch, std::int64_t step)> on_step;
};

/// Computes in f32. Writes an AQLM checkpoint of the quantize stage's form and report.json into
/// `output_dir` (which exists) and returns the totals: {"kl_before", "kl_after" (nats a token, of
/// the stored values), "kl_on" ("validation", or "train" where no sequences are held out),
/// "epochs", "best_epoch", "steps", "tokens", "calibration_digest", "resumed_epochs", "seconds",
/// "threads", and where codes move "codes_changed", the share of all}. An unfinished attempt of the
/// same identity is gone on with from its last epoch, a finished one is read. Throws kBadInput:
/// `student` is not quantized, `teacher` is or has another shape, an id is outside the vocabulary,
/// sequences longer than the model's positions. kDiverged: NaN or a growing loss, naming epoch,
/// step and learning rate.
nlohmann::json FinetuneModel(std::shared_ptr<const Checkpoint> student,
                             std::shared_ptr<const Checkpoint> teacher,
                             const CalibrationSet& calibration,
                             const ModelFinetuneOptions& options,
                             const std::string& output_dir,
                             Events& events);

}  // namespace bitsweep::engine
