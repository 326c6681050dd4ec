#include "worker/engine/generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <string>

#include <ATen/ATen.h>

#include "worker/engine/error.h"

namespace bitsweep::engine {
namespace {

// Tokens further below the best than this (in units of temperature) have no weight: e^-60 of a
// vocabulary of 2^20 is still far below the last bit of a double sum.
constexpr double kNegligible = 60.0;

// Candidates of a row that a GPU sends. At the study's temperature a nucleus rarely has ten.
constexpr std::int64_t kCandidatesMax = 256;

struct Candidate {
  double weight;  // exp((logit - greatest) / temperature)
  std::int64_t id;
};

// Heap order: the top is the greatest weight, the lowest id among equals.
bool After(const Candidate& a, const Candidate& b) {
  return a.weight < b.weight || (a.weight == b.weight && a.id > b.id);
}

std::int64_t Greatest(const float* logits, std::int64_t vocab) {
  std::int64_t best = 0;
  bool nan = false;
  for (std::int64_t i = 0; i < vocab; ++i) {
    nan = nan || std::isnan(logits[i]);
    best = logits[i] > logits[best] ? i : best;
  }
  if (nan || std::isinf(logits[best])) {
    throw EngineError(
        FailureClass::kDiverged,
        nan ? "the model's logits hold NaN" : "the model's greatest logit is infinite");
  }
  return best;
}

// The token that `draw` picks among `kept`, in their order.
std::int64_t Pick(const std::vector<Candidate>& kept, double draw) {
  double total = 0.0;
  for (const Candidate& candidate : kept) {
    total += candidate.weight;
  }
  double reached = 0.0;
  for (const Candidate& candidate : kept) {
    reached += candidate.weight;
    if (draw * total < reached) {
      return candidate.id;
    }
  }
  return kept.back().id;
}

std::vector<std::int64_t> ChooseOnDevice(const at::Tensor& logits,
                                         const SamplingOptions& options,
                                         const std::vector<double>& draws) {
  const std::int64_t width = std::min(kCandidatesMax, logits.size(1));
  const at::Tensor scaled = logits.to(at::kDouble) / options.temperature;
  const auto [top, ids] = scaled.topk(width, -1);
  const at::Tensor share = at::exp(top - at::logsumexp(scaled, -1, /*keepdim=*/true)).cpu();
  const at::Tensor host_ids = ids.cpu();
  std::vector<std::int64_t> chosen;
  for (std::size_t row = 0; row < draws.size(); ++row) {
    const double* shares = share.data_ptr<double>() + static_cast<std::int64_t>(row) * width;
    const std::int64_t* row_ids =
        host_ids.data_ptr<std::int64_t>() + static_cast<std::int64_t>(row) * width;
    std::vector<Candidate> kept;
    double reached = 0.0;
    for (std::int64_t i = 0; i < width && (kept.empty() || reached < options.top_p); ++i) {
      kept.push_back({shares[i], row_ids[i]});
      reached += shares[i];
    }
    if (std::isnan(reached)) {
      throw EngineError(FailureClass::kDiverged, "the model's logits hold NaN or infinity");
    }
    if (reached < options.top_p && width < logits.size(1)) {
      const at::Tensor whole = logits[static_cast<std::int64_t>(row)].cpu();
      chosen.push_back(ChooseToken(whole.data_ptr<float>(), whole.size(0), options, draws[row]));
    } else {
      chosen.push_back(Pick(kept, draws[row]));
    }
  }
  return chosen;
}

}  // namespace

std::int64_t ChooseToken(const float* logits,
                         std::int64_t vocab,
                         const SamplingOptions& options,
                         double draw) {
  const std::int64_t best = Greatest(logits, vocab);
  if (options.temperature == 0.0) {
    return best;
  }
  const double greatest = static_cast<double>(logits[best]);
  const double cutoff = greatest - kNegligible * options.temperature;
  std::vector<Candidate> candidates;
  double total = 0.0;
  for (std::int64_t i = 0; i < vocab; ++i) {
    const double logit = static_cast<double>(logits[i]);
    if (logit >= cutoff) {
      candidates.push_back({std::exp((logit - greatest) / options.temperature), i});
      total += candidates.back().weight;
    }
  }
  // A heap rather than a sort: the nucleus is a few tokens of thousands.
  std::make_heap(candidates.begin(), candidates.end(), After);
  std::vector<Candidate> kept;
  double reached = 0.0;
  while (!candidates.empty() && (kept.empty() || reached < options.top_p * total)) {
    std::pop_heap(candidates.begin(), candidates.end(), After);
    kept.push_back(candidates.back());
    candidates.pop_back();
    reached += kept.back().weight;
  }
  return Pick(kept, draw);
}

std::vector<std::int64_t> ChooseTokens(const at::Tensor& logits,
                                       const SamplingOptions& options,
                                       const std::vector<double>& draws) {
  if (!logits.device().is_cpu() && options.temperature > 0.0) {
    return ChooseOnDevice(logits, options, draws);
  }
  std::vector<std::int64_t> chosen(draws.size());
  if (!logits.device().is_cpu()) {
    const at::Tensor best = logits.argmax(-1).cpu();
    std::copy_n(best.data_ptr<std::int64_t>(), draws.size(), chosen.begin());
    return chosen;
  }
  for (std::size_t row = 0; row < draws.size(); ++row) {
    chosen[row] =
        ChooseToken(logits.data_ptr<float>() + static_cast<std::int64_t>(row) * logits.size(1),
                    logits.size(1),
                    options,
                    draws[row]);
  }
  return chosen;
}

}  // namespace bitsweep::engine
