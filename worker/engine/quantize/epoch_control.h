// What every quantizer of a linear shares whatever it computes on: the sizes it works with, the keys
// of its random numbers, and when its epochs end. It exists so that the CPU's and the GPU's
// quantizer cannot drift apart in them.
// Thread rule: one owner.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "worker/engine/quantize/linear_quantizer.h"

namespace bitsweep::engine {

/// Added to a row's norm so that an all-zero row can be divided by it (the reference's constant).
inline constexpr double kNormFloor = 1e-9;

/// What a stream of random numbers of one linear is for; the values are part of the `quantize`
/// semantics.
enum RandomPurpose : std::uint64_t {
  kRandomOfKmeans = 1,
  kRandomOfSearch = 2
};

/// Throws kBadInput as QuantizeLinear does.
kernels::CodeShape ShapeOf(std::int64_t out_features,
                           std::int64_t in_features,
                           const LinearQuantizeOptions& options,
                           const std::string& name);

/// Seconds since it was made or last asked.
class PhaseClock {
 public:
  void AddTo(double* seconds) {
    const auto now = std::chrono::steady_clock::now();
    *seconds += std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

/// The rule that ends the epochs, and the losses it saw.
class EpochControl {
 public:
  /// `reference` is <W H, W> / O. Throws kDiverged where it is not finite.
  EpochControl(const LinearQuantizeOptions& options, std::string name, double reference);

  /// `loss` is that of an epoch's start. Whether the epoch is to run. Throws kDiverged, naming
  /// linear and epoch: NaN, or a loss above twice the first.
  bool Begin(double loss);
  /// The loss of the rounded result, if it is finite. Throws kDiverged otherwise.
  double Final(double loss) const;

  /// Of the latest Begin; epochs before it ran.
  int epoch() const { return epoch_; }
  const std::vector<double>& losses() const { return losses_; }

 private:
  const LinearQuantizeOptions& options_;
  const std::string name_;
  const double reference_;
  int epoch_ = -1;
  double lowest_ = 0.0;
  std::vector<double> losses_;
};

}  // namespace bitsweep::engine
