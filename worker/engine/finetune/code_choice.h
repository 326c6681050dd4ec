// How codes move with the end-to-end loss (the V of PV-tuning, arXiv 2405.14852): each group has a
// few alternatives, sums of entries near the original weights, and a logit for each. While it
// trains, a group stands for the mixture that softmax(logits / temperature) gives, so that a
// gradient reaches every choice; the temperature falls until one alternative is left. That learned
// rounding is annealed from a relaxation is of AdaRound (arXiv 2004.10568). Thread rule: pure
// functions; any thread.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace bitsweep::engine {

struct CodeChoiceOptions {
  double learning_rate = 0.05;    // Of Adam on the logits.
  std::int64_t alternatives = 8;  // Of a group.
  double sharpness = 6.0;  // Logits fall by it for each mean squared distance of the nearest.
  double settled = 0.2;    // Share of all steps, at the end, in which codes stay.
};

/// What groups may become, and where their choice starts.
struct CodeAlternatives {
  at::Tensor codes;   // [n, T, M] i32
  at::Tensor logits;  // [n, T] of the targets' dtype; the greatest of a group is 0.
};

/// Candidates that a search scores together.
std::int64_t CandidatesAtOnce(bool on_cpu);
/// Floats of alternatives' sums that exist together.
std::int64_t MixedAtOnce(bool on_cpu);

/// targets [n, g], codes [n, M] i64, codebooks [M, K, g] -> the sums nearest to each target,
/// nearest first, as a beam search over codebooks finds them, twice through (all of them, exactly,
/// with one codebook); `codes` are among them, in the last place where the search has not found
/// them. T is `alternatives`, or K where one codebook has no more. A logit is -sharpness * d /
/// (mean of d over the groups' nearest), d the squared distance.
CodeAlternatives FindAlternatives(const at::Tensor& targets,
                                  const at::Tensor& codes,
                                  const at::Tensor& codebooks,
                                  const CodeChoiceOptions& options);

/// alternatives [n, T, M] i32, shares [n, T], codebooks [M, K, g] -> sum over T of share times sum
/// of entries, [n, g].
at::Tensor Mix(const at::Tensor& alternatives,
               const at::Tensor& shares,
               const at::Tensor& codebooks);

/// The gradient `slope` [n, g] at Mix's result back to codebooks [M, K, g] and shares [n, T]. The
/// same bits every time on one device.
void PullMix(const at::Tensor& alternatives,
             const at::Tensor& shares,
             const at::Tensor& codebooks,
             const at::Tensor& slope,
             at::Tensor* codebooks_gradient,
             at::Tensor* shares_gradient);

}  // namespace bitsweep::engine
