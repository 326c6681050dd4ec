#include "worker/engine/finetune/code_choice.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <vector>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace bitsweep::engine {
namespace {

constexpr std::int64_t kCandidatesOnCpu = std::int64_t{1} << 22;
constexpr std::int64_t kCandidatesOnDevice = std::int64_t{1} << 26;
constexpr std::int64_t kMixedOnCpu = std::int64_t{1} << 20;
constexpr std::int64_t kMixedOnDevice = std::int64_t{1} << 26;
constexpr int kRounds = 2;
// What is so far away is never chosen, and infinity is no number to train.
constexpr double kLogitMin = -1e4;

// The entries of codebook m that `codes` [...] name: [..., g].
at::Tensor Entries(const at::Tensor& codebooks, std::int64_t m, const at::Tensor& codes) {
  return at::embedding(codebooks.select(0, m), codes.to(at::kLong));
}

// The sums of entries that codes [..., M] stand for: [..., g].
at::Tensor SumsOf(const at::Tensor& codebooks, const at::Tensor& codes) {
  at::Tensor sum;
  for (std::int64_t m = 0; m < codebooks.size(0); ++m) {
    const at::Tensor part = Entries(codebooks, m, codes.select(-1, m));
    sum = m == 0 ? part : sum.add_(part);
  }
  return sum;
}

// Hypotheses of n groups: codes [n, b, M], what their sums leave of the targets [n, b, g], and its
// square [n, b].
struct Beam {
  at::Tensor codes, left, distance;
};

// [n, b]: whether an earlier hypothesis of the group has the same codes but for codebook m, so that
// exchanging that one gives the same candidates again.
at::Tensor IsRepeated(const at::Tensor& codes, std::int64_t m) {
  at::Tensor others = codes.clone();
  others.select(2, m).zero_();
  const at::Tensor equal = (others.unsqueeze(2) == others.unsqueeze(1)).all(3);  // [n, b, b]
  return equal.tril(-1).any(2);
}

// Exchanges the codes of codebook m and keeps the `width` nearest sums that are different.
Beam Exchange(const Beam& beam, const at::Tensor& codebooks, std::int64_t m, std::int64_t width) {
  const std::int64_t n = beam.codes.size(0);
  const std::int64_t entries = codebooks.size(1);
  const std::int64_t g = codebooks.size(2);
  const at::Tensor book = codebooks.select(0, m);
  const at::Tensor base = beam.left + Entries(codebooks, m, beam.codes.select(2, m));
  at::Tensor distance = at::matmul(base, book.t()).mul_(-2.0);
  distance.add_(book.square().sum(1)).add_(base.square().sum(2, /*keepdim=*/true));
  distance.masked_fill_(IsRepeated(beam.codes, m).unsqueeze(2),
                        std::numeric_limits<float>::infinity());
  const std::int64_t kept = std::min(width, distance.size(1) * entries);
  const auto [nearest, chosen] =
      distance.view({n, -1}).topk(kept, 1, /*largest=*/false, /*sorted=*/true);
  const at::Tensor from = chosen.div(entries, "floor").unsqueeze(2);
  const at::Tensor entry = chosen.remainder(entries);
  Beam next;
  next.codes = beam.codes.gather(1, from.expand({n, kept, codebooks.size(0)}));
  next.codes.select(2, m).copy_(entry);
  next.left = base.gather(1, from.expand({n, kept, g})) - at::embedding(book, entry);
  next.distance = nearest.clamp_min(0.0);
  return next;
}

// The nearest sums to some targets, sorted.
Beam Search(const at::Tensor& targets,
            const at::Tensor& codes,
            const at::Tensor& codebooks,
            std::int64_t width) {
  const std::int64_t books = codebooks.size(0);
  Beam beam = {codes.unsqueeze(1), (targets - SumsOf(codebooks, codes)).unsqueeze(1), {}};
  for (int round = 0; round < (books == 1 ? 1 : kRounds); ++round) {
    for (std::int64_t m = 0; m < books; ++m) {
      beam = Exchange(beam, codebooks, m, width);
    }
  }
  return beam;
}

// Groups whose alternatives' sums are handled together.
std::int64_t GroupsAtOnce(const at::Tensor& alternatives, const at::Tensor& codebooks) {
  return std::max<std::int64_t>(
      1, MixedAtOnce(codebooks.is_cpu()) / (alternatives.size(1) * codebooks.size(2)));
}

}  // namespace

std::int64_t CandidatesAtOnce(bool on_cpu) {
  return on_cpu ? kCandidatesOnCpu : kCandidatesOnDevice;
}

std::int64_t MixedAtOnce(bool on_cpu) {
  return on_cpu ? kMixedOnCpu : kMixedOnDevice;
}

CodeAlternatives FindAlternatives(const at::Tensor& targets,
                                  const at::Tensor& codes,
                                  const at::Tensor& codebooks,
                                  const CodeChoiceOptions& options) {
  const c10::NoGradGuard no_grad;
  const std::int64_t width = options.alternatives;
  const std::int64_t chunk =
      std::max<std::int64_t>(1, CandidatesAtOnce(targets.is_cpu()) / (width * codebooks.size(1)));
  std::vector<at::Tensor> found, distances;
  for (std::int64_t begin = 0; begin < targets.size(0); begin += chunk) {
    const std::int64_t count = std::min(chunk, targets.size(0) - begin);
    const Beam beam =
        Search(targets.narrow(0, begin, count), codes.narrow(0, begin, count), codebooks, width);
    found.push_back(beam.codes);
    distances.push_back(beam.distance);
  }
  at::Tensor alternatives = at::cat(found);
  const at::Tensor distance = at::cat(distances);
  const at::Tensor is_found = (alternatives == codes.unsqueeze(1)).all(2).any(1);  // [n]
  at::Tensor last = alternatives.select(1, alternatives.size(1) - 1);
  last.copy_(at::where(is_found.unsqueeze(1), last, codes));
  const at::Tensor unit = distance.select(1, 0).mean().clamp_min(1e-12);
  const at::Tensor logits = (distance / unit).mul_(-options.sharpness).clamp_min(kLogitMin);
  return {alternatives.to(at::kInt), logits - std::get<0>(logits.max(1, /*keepdim=*/true))};
}

at::Tensor Mix(const at::Tensor& alternatives,
               const at::Tensor& shares,
               const at::Tensor& codebooks) {
  const std::int64_t chunk = GroupsAtOnce(alternatives, codebooks);
  std::vector<at::Tensor> parts;
  for (std::int64_t begin = 0; begin < shares.size(0); begin += chunk) {
    const std::int64_t count = std::min(chunk, shares.size(0) - begin);
    const at::Tensor sums = SumsOf(codebooks, alternatives.narrow(0, begin, count));
    parts.push_back(at::bmm(shares.narrow(0, begin, count).unsqueeze(1), sums).squeeze(1));
  }
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

void PullMix(const at::Tensor& alternatives,
             const at::Tensor& shares,
             const at::Tensor& codebooks,
             const at::Tensor& slope,
             at::Tensor* codebooks_gradient,
             at::Tensor* shares_gradient) {
  const std::int64_t g = codebooks.size(2);
  const std::int64_t chunk = GroupsAtOnce(alternatives, codebooks);
  *codebooks_gradient = at::zeros_like(codebooks);
  *shares_gradient = at::empty_like(shares);
  for (std::int64_t begin = 0; begin < shares.size(0); begin += chunk) {
    const std::int64_t count = std::min(chunk, shares.size(0) - begin);
    const at::Tensor codes = alternatives.narrow(0, begin, count);
    const at::Tensor at_groups = slope.narrow(0, begin, count);
    shares_gradient->narrow(0, begin, count)
        .copy_(at::bmm(SumsOf(codebooks, codes), at_groups.unsqueeze(2)).squeeze(2));
    const at::Tensor by_entry =
        (shares.narrow(0, begin, count).unsqueeze(2) * at_groups.unsqueeze(1)).view({-1, g});
    for (std::int64_t m = 0; m < codebooks.size(0); ++m) {
      // On a GPU this sorts by entry and sums in that order; index_add would race.
      codebooks_gradient->select(0, m).add_(at::embedding_dense_backward(
          by_entry, codes.select(2, m).reshape({-1}).to(at::kLong), codebooks.size(1), -1, false));
    }
  }
}

}  // namespace bitsweep::engine
