// Quantizes one linear layer: the additive codes, codebooks and scales that minimise <(W - W^) H, W
// - W^> / O (arXiv 2401.06118, sections 3.1 to 3.3, without block fine-tuning). It knows no tensor
// library and no files, so that tests and the `quantize-linear` verb drive exactly what the model
// quantizer uses. Thread rule: free functions; each call owns its state and may use `threads`
// threads. The result has the same bits for any number of threads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "worker/kernels/dequantize.h"

namespace bitsweep::engine {

/// How codebooks and scales are moved between two searches.
enum class CodebookUpdate {
  kLeastSquares,  // Conjugate gradients on the codebooks (a convex quadratic for fixed codes), then
                  // each scale in closed form.
  kAdam,          // What the study ran: `adam_steps` steps of AMSGrad on both.
};

/// What codes and codebooks start from.
enum class Initialisation {
  kKmeans,          // Residual k-means on the normalised rows, as the study ran it.
  kWeightedKmeans,  // The same, an element's error weighted by s_o^2 H_ii: the objective with H's
                    // diagonal for H.
};

/// The `method` member of a quantize stage. Defaults are what README.md of this room measured.
struct LinearQuantizeOptions {
  int codebooks = 2;      // M
  int codebook_bits = 8;  // B, K = 2^B
  int group_size = 8;     // g
  Initialisation initialisation = Initialisation::kKmeans;
  // At most, per codebook. The study ran 100; the search repairs what fewer leave (README.md).
  int kmeans_iterations = 10;
  // Stop when an epoch gained less than this share of the loss.
  double relative_mse_tolerance = 0.003;
  // Stop where the loss is below this share of <W H, W>: outputs are then right to 0.3%. Many
  // codebooks on a small matrix get there and would go on for nothing.
  double relative_loss_floor = 1e-5;
  int epochs_max = 100;
  CodebookUpdate codebook_update = CodebookUpdate::kLeastSquares;
  int least_squares_steps = 2;  // Conjugate-gradient steps an epoch.
  int sweeps = 2;               // Searches over all codes an epoch.
  int beam_size = 1;            // Hypotheses a row in a search; the study ran 1.
  int adam_steps = 100;
  double adam_learning_rate = 1e-4;  // betas (0, 0.95), eps 1e-8, as in the study's reference run.
};

/// Throws kBadInput naming the option, its value and what is allowed.
void CheckOptions(const LinearQuantizeOptions& options);

/// What random numbers of a linear are keyed by, beside the epoch.
struct LinearKey {
  std::uint64_t seed = 0;
  std::uint64_t layer = 0;
  std::uint64_t linear = 0;  // Index in ModelConfig::LinearNames().
};

struct LinearProblem {
  std::int64_t out_features = 0;  // O
  std::int64_t in_features = 0;   // I * g
  const float* weight = nullptr;  // [O, I*g]
  const float* xtx = nullptr;     // H = X^T X / tokens [I*g, I*g], symmetric
};

struct LinearResult {
  kernels::CodeShape shape;
  std::vector<std::int32_t> codes;  // [O, I, M]
  std::vector<float> codebooks;     // [M, K, g], values that f16 holds exactly
  std::vector<float> scales;        // [O], values that f16 holds exactly
  double loss = 0.0;                // <dW H, dW> / O of exactly these values
  double reference = 0.0;           // <W H, W> / O
  int epochs = 0;
  double seconds = 0.0;         // Of the whole call, and its parts:
  double seconds_start = 0.0;   // k-means
  double seconds_update = 0.0;  // Codebooks and scales
  double seconds_search = 0.0;  // Codes
  std::vector<double>
      epoch_losses;  // At each epoch's start; the last is the loss before rounding to f16.
  double relative_loss() const { return reference > 0.0 ? loss / reference : 0.0; }
};

/// `name` appears in error messages. K larger than the number of groups O*I is allowed (the
/// reference cannot start there): every group is then a centroid of the first codebook, and entries
/// beyond are zero until the updates move them. Throws kBadInput: in_features not a multiple of g,
/// codebook_bits outside 1..16, options outside their ranges. Throws kDiverged (naming linear and
/// epoch): NaN, or a loss above that of the initialisation's.
LinearResult QuantizeLinear(const LinearProblem& problem,
                            const LinearQuantizeOptions& options,
                            const LinearKey& key,
                            const std::string& name,
                            int threads);

/// <(W - W^) H, W - W^> / O for given codes: what LinearResult::loss is, in f32 products and a
/// double sum.
double LinearLoss(const LinearProblem& problem,
                  const kernels::CodeShape& shape,
                  const std::int32_t* codes,
                  const float* codebooks,
                  const float* scales,
                  int threads);

}  // namespace bitsweep::engine
