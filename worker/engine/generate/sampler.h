// Chooses the next token of each row of logits: greedy at temperature 0, else temperature and top-p
// (nucleus) sampling. Thread rule: free functions without state; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace bitsweep::engine {

struct SamplingOptions {
  double temperature = 0.0;  // 0: the greatest logit, the lowest id among equals.
  double top_p =
      1.0;  // (0, 1]: the fewest tokens, most probable first, whose probabilities reach it.
};

/// One row of V logits. Tokens are ordered by logit, then by id; a token is kept while the
/// probability of those before it is below top_p; `draw` in [0, 1) picks among the kept. Sums are
/// in double. Throws kDiverged when a logit is NaN or the greatest is infinite.
std::int64_t ChooseToken(const float* logits,
                         std::int64_t vocab,
                         const SamplingOptions& options,
                         double draw);

/// ChooseToken for logits [n, V] f32 on any device; draws[i] belongs to row i. On a GPU only the
/// most probable tokens travel to the host, and a whole row only where they do not reach top_p.
std::vector<std::int64_t> ChooseTokens(const at::Tensor& logits,
                                       const SamplingOptions& options,
                                       const std::vector<double>& draws);

}  // namespace bitsweep::engine
