#include "worker/engine/finetune/code_moves.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace bitsweep::engine {
namespace {

// Candidates that are scored together.
constexpr std::int64_t kCandidatesOnCpu = std::int64_t{1} << 22;
constexpr std::int64_t kCandidatesOnDevice = std::int64_t{1} << 26;
constexpr int kRounds = 2;
// A row whose scale is nearer to zero than this has no code that says anything.
constexpr double kScaleFloor = 1e-12;

// The entries of codebook m that `codes` [...] name: [..., g].
at::Tensor Entries(const at::Tensor& codebooks, std::int64_t m, const at::Tensor& codes) {
  return at::embedding(codebooks.select(0, m), codes);
}

// The sums of entries that codes [n, M] stand for: [n, g].
at::Tensor SumsOf(const at::Tensor& codebooks, const at::Tensor& codes) {
  at::Tensor sum;
  for (std::int64_t m = 0; m < codebooks.size(0); ++m) {
    const at::Tensor part = Entries(codebooks, m, codes.select(1, m));
    sum = m == 0 ? part : sum + part;
  }
  return sum;
}

// Hypotheses of n groups: codes [n, b, M], and what their sums leave of the targets [n, b, g].
struct Beam {
  at::Tensor codes, left;
};

// [n, b]: whether an earlier hypothesis of the group has the same codes but for codebook m, so that
// exchanging that one gives the same candidates again.
at::Tensor IsRepeated(const at::Tensor& codes, std::int64_t m) {
  at::Tensor others = codes.clone();
  others.select(2, m).zero_();
  const at::Tensor equal = (others.unsqueeze(2) == others.unsqueeze(1)).all(3);  // [n, b, b]
  return equal.tril(-1).any(2);
}

// Exchanges the codes of codebook m. weights [n, 1, g].
Beam Exchange(const Beam& beam,
              const at::Tensor& weights,
              const at::Tensor& codebooks,
              std::int64_t m,
              std::int64_t width) {
  const std::int64_t n = beam.codes.size(0);
  const std::int64_t entries = codebooks.size(1);
  const std::int64_t g = codebooks.size(2);
  const at::Tensor book = codebooks.select(0, m);
  const at::Tensor base = beam.left + Entries(codebooks, m, beam.codes.select(2, m));
  // <weights, (base - c)^2> for every entry c, halved.
  at::Tensor distance = at::matmul(weights * base, book.t()).neg_();
  distance.add_(at::matmul(weights, book.square().t()), 0.5);
  distance.add_((weights * base.square()).sum(2, /*keepdim=*/true), 0.5);
  if (beam.codes.size(1) > 1) {
    distance.masked_fill_(IsRepeated(beam.codes, m).unsqueeze(2),
                          std::numeric_limits<float>::infinity());
  }
  const std::int64_t kept = std::min(width, distance.size(1) * entries);
  const at::Tensor flat = distance.view({n, -1});
  const at::Tensor chosen =
      kept == 1 ? flat.argmin(1, /*keepdim=*/true)
                : std::get<1>(flat.topk(kept, 1, /*largest=*/false, /*sorted=*/true));
  const at::Tensor from = chosen.div(entries, "floor").unsqueeze(2);
  const at::Tensor entry = chosen.remainder(entries);
  Beam next;
  next.codes = beam.codes.gather(1, from.expand({n, kept, codebooks.size(0)}));
  next.codes.select(2, m).copy_(entry);
  next.left = base.gather(1, from.expand({n, kept, g})) - at::embedding(book, entry);
  return next;
}

Recoded RecodeSome(const at::Tensor& targets,
                   const at::Tensor& weights,
                   const at::Tensor& codes,
                   const at::Tensor& codebooks,
                   std::int64_t width) {
  const std::int64_t books = codebooks.size(0);
  const at::Tensor by_group = weights.unsqueeze(1);
  const auto distances = [&](const Beam& beam) { return (by_group * beam.left.square()).sum(2); };
  Beam beam = {codes.unsqueeze(1), (targets - SumsOf(codebooks, codes)).unsqueeze(1)};
  const at::Tensor before = distances(beam).squeeze(1);
  for (int round = 0; round < (books == 1 ? 1 : kRounds); ++round) {
    for (std::int64_t m = 0; m < books; ++m) {
      beam = Exchange(beam, by_group, codebooks, m, books == 1 ? 1 : width);
    }
  }
  const auto [after, at] = distances(beam).min(1);
  const at::Tensor best =
      beam.codes.gather(1, at.view({-1, 1, 1}).expand({-1, 1, books})).squeeze(1);
  // Sums in another order may look nearer by rounding: that is no change.
  const at::Tensor is_better = (after < before).logical_and((best != codes).any(1));
  return {at::where(is_better.unsqueeze(1), best, codes),
          at::where(is_better, before - after, at::zeros_like(before))};
}

// Which of the re-coded groups are taken, by their numbers among those: what gains most first, as
// long as the whole move keeps within `limit` (squared). moved [n]: squared, of each.
at::Tensor TakeByGain(const at::Tensor& gains, const at::Tensor& moved, double limit) {
  const at::Tensor order =
      std::get<1>(gains.sort(/*stable=*/true, /*dim=*/0, /*descending=*/true));
  const at::Tensor fits = moved.index_select(0, order).cumsum(0) <= limit;
  return order.index_select(0, fits.logical_and(gains.index_select(0, order) > 0)
                                   .nonzero()
                                   .view({-1}));
}

}  // namespace

std::int64_t CandidatesAtOnce(bool on_cpu) {
  return on_cpu ? kCandidatesOnCpu : kCandidatesOnDevice;
}

Recoded RecodeGroups(const at::Tensor& targets,
                     const at::Tensor& weights,
                     const at::Tensor& codes,
                     const at::Tensor& codebooks,
                     std::int64_t beam) {
  const std::int64_t candidates = CandidatesAtOnce(targets.is_cpu());
  const std::int64_t chunk =
      std::max<std::int64_t>(1, candidates / (std::max<std::int64_t>(1, beam) * codebooks.size(1)));
  std::vector<at::Tensor> new_codes, gains;
  for (std::int64_t begin = 0; begin < targets.size(0); begin += chunk) {
    const std::int64_t count = std::min(chunk, targets.size(0) - begin);
    const Recoded part = RecodeSome(targets.narrow(0, begin, count),
                                    weights.narrow(0, begin, count),
                                    codes.narrow(0, begin, count),
                                    codebooks,
                                    beam);
    new_codes.push_back(part.codes);
    gains.push_back(part.gains);
  }
  return {at::cat(new_codes), at::cat(gains)};
}

std::int64_t MoveCodes(const at::Tensor& weight,
                       const at::Tensor& step,
                       const at::Tensor& curvature,
                       const at::Tensor& codebooks,
                       const at::Tensor& scales,
                       const CodeMoveOptions& options,
                       double reach,
                       const at::Tensor& codes) {
  const c10::NoGradGuard no_grad;
  const std::int64_t rows = codes.size(0);
  const std::int64_t groups = rows * codes.size(1);
  const std::int64_t g = codebooks.size(3);
  const at::Tensor books = codebooks.view({codebooks.size(0), codebooks.size(1), g});
  const at::Tensor steps = step.view({groups, g});
  const at::Tensor metric = options.metric == CodeMetric::kAdam
                                ? (curvature / curvature.mean()).view({groups, g})
                                : at::ones_like(steps);
  const auto count = std::clamp<std::int64_t>(
      static_cast<std::int64_t>(std::floor(options.change_max * static_cast<double>(groups))),
      1,
      groups);
  // A stable order: what comes first does not depend on how the device sorts.
  const at::Tensor chosen =
      std::get<1>((metric * steps.square())
                      .sum(1)
                      .sort(/*stable=*/true, /*dim=*/0, /*descending=*/true))
          .narrow(0, 0, count);
  const at::Tensor flat = codes.view({groups, codes.size(2)});
  const at::Tensor before = flat.index_select(0, chosen).to(at::kLong);
  const at::Tensor scale =
      scales.view({rows}).index_select(0, chosen.div(codes.size(1), "floor")).unsqueeze(1);
  const at::Tensor divisor = at::where(scale.abs() < kScaleFloor, at::ones_like(scale), scale);
  const at::Tensor targets =
      (weight.view({groups, g}) - steps).index_select(0, chosen).div_(divisor);
  const Recoded after =
      RecodeGroups(targets, metric.index_select(0, chosen), before, books, options.beam);
  const at::Tensor moved = (SumsOf(books, after.codes) - SumsOf(books, before)).mul_(scale);
  const double ratio = reach * options.trust_ratio;
  const double limit = ratio * ratio * weight.square().sum(at::kDouble).item<double>();
  const at::Tensor taken = TakeByGain(after.gains * scale.square().squeeze(1),
                                      moved.to(at::kDouble).square().sum(1),
                                      limit);
  if (taken.numel() > 0) {
    flat.index_copy_(
        0, chosen.index_select(0, taken), after.codes.index_select(0, taken).to(at::kInt));
  }
  return taken.numel();
}

}  // namespace bitsweep::engine
