#include "worker/engine/quantize/epoch_control.h"

#include <algorithm>
#include <cmath>

#include "worker/engine/error.h"

namespace bitsweep::engine {
namespace {

[[noreturn]] void ThrowDiverged(const std::string& name,
                                std::size_t epoch,
                                double loss,
                                const std::string& limit) {
  throw EngineError(FailureClass::kDiverged,
                    name + ": epoch " + std::to_string(epoch) + ": loss " + std::to_string(loss) +
                        ", allowed: " + limit);
}

}  // namespace

kernels::CodeShape ShapeOf(std::int64_t out_features,
                           std::int64_t in_features,
                           const LinearQuantizeOptions& options,
                           const std::string& name) {
  CheckOptions(options);
  if (out_features <= 0 || in_features <= 0 || in_features % options.group_size != 0) {
    ThrowBadInput(name + ": in_features " + std::to_string(in_features) +
                  " is not a positive multiple of group_size " +
                  std::to_string(options.group_size));
  }
  return {.O = out_features,
          .I = in_features / options.group_size,
          .M = options.codebooks,
          .K = std::int64_t{1} << options.codebook_bits,
          .g = options.group_size};
}

EpochControl::EpochControl(const LinearQuantizeOptions& options,
                           std::string name,
                           double reference)
    : options_(options), name_(std::move(name)), reference_(reference) {
  if (!std::isfinite(reference)) {
    ThrowDiverged(
        name_, 0, reference, "a finite <W H, W>: the weights or the inputs hold NaN or infinity");
  }
}

bool EpochControl::Begin(double loss) {
  losses_.push_back(loss);
  ++epoch_;
  if (!std::isfinite(loss)) {
    ThrowDiverged(name_, losses_.size() - 1, loss, "a finite number");
  }
  // Twice the start: searches and updates lower the loss, and a start near zero may grow by
  // rounding alone.
  if (loss > 2.0 * losses_.front() && loss > 1e-6 * reference_) {
    ThrowDiverged(name_,
                  losses_.size() - 1,
                  loss,
                  "at most twice the start's " + std::to_string(losses_.front()));
  }
  const bool stalled = epoch_ > 0 && loss > (1.0 - options_.relative_mse_tolerance) * lowest_;
  lowest_ = epoch_ == 0 ? loss : std::min(lowest_, loss);
  return !stalled && epoch_ != options_.epochs_max &&
         loss > options_.relative_loss_floor * reference_;
}

double EpochControl::Final(double loss) const {
  if (!std::isfinite(loss)) {
    ThrowDiverged(name_, losses_.size(), loss, "values that fit f16");
  }
  return loss;
}

}  // namespace bitsweep::engine
