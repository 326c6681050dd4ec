// How codes move (PV-tuning, arXiv 2405.14852): one step of a linear's codes towards where its
// weights would go if they were free. W^ - step is the point that a first-order optimizer asks for;
// only the groups that it moves furthest are coded again towards it, and only as much is taken as
// the limits allow, because a step small enough for the gradient to be true everywhere would change
// no code at all (the paper's linearised subspace). Thread rule: pure functions beside their output;
// any thread, also side by side for distinct linears.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace bitsweep::engine {

/// What "near" means where a group is coded again.
enum class CodeMetric {
  kEuclidean,
  kAdam  // Adam's own: an element's error counts by the root of its second moment, so that weights
         // with steep losses are held and the others pay.
};

/// When codes move, and the limits of one move of one linear.
struct CodeMoveOptions {
  double learning_rate = 1e-2;  // Of Adam at W^.
  std::int64_t every = 4;       // Steps.
  double change_max = 0.03;     // Groups that are coded again, as a share of all (at least one).
  double trust_ratio = 0.05;    // |change of W^| / |W^|, Frobenius.
  std::int64_t beam = 2;        // Hypotheses a group; with one codebook the arg-min is exact.
  CodeMetric metric = CodeMetric::kAdam;
};

/// Groups with a new code, and how much nearer it is.
struct Recoded {
  at::Tensor codes;  // [n, M] i64
  at::Tensor gains;  // [n]: weighted squared distance before, less that after; never negative.
};

/// Candidates that a search scores together.
std::int64_t CandidatesAtOnce(bool on_cpu);

/// targets [n, g], weights [n, g] of their elements' squared errors, codes [n, M] i64, codebooks
/// [M, K, g] -> codes whose sums of entries come nearer to the targets, or the given ones where the
/// search finds none nearer. A beam search over codebooks, twice through them: each round exchanges
/// one code of every hypothesis for every entry and keeps the `beam` nearest sums that are
/// different. Memory: a few floats for each of 2^22 candidates at a time on the CPU, 2^26 on a
/// device.
Recoded RecodeGroups(const at::Tensor& targets,
                     const at::Tensor& weights,
                     const at::Tensor& codes,
                     const at::Tensor& codebooks,
                     std::int64_t beam);

/// weight = W^ [O, I*g] of these codes, step [O, I*g] (what W^ is to lose), curvature [O, I*g]
/// (Adam's divisor of the step, positive), codebooks [M, K, 1, g], scales [O, 1, 1, 1], codes [O, I,
/// M] i32, changed in place. The `change_max` share of groups with the largest step in the metric
/// are coded again towards W^ - step; changes are taken in the order of what they gain in it, until
/// together they would move W^ by more than `reach` times `trust_ratio` of it. Returns the number of groups that
/// changed. Ties go to the lower group.
std::int64_t MoveCodes(const at::Tensor& weight,
                       const at::Tensor& step,
                       const at::Tensor& curvature,
                       const at::Tensor& codebooks,
                       const at::Tensor& scales,
                       const CodeMoveOptions& options,
                       double reach,
                       const at::Tensor& codes);

}  // namespace bitsweep::engine
