#include "worker/engine/quantize/code_beam_search.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace bitsweep::engine {
namespace {

// Scores at a time: what a core's cache holds, and what fills a GPU.
constexpr std::int64_t kScoresOnCpu = std::int64_t{1} << 20;
constexpr std::int64_t kScoresOnDevice = std::int64_t{1} << 28;

// The hypotheses of all rows; B of them, H of which are in use (1 at first).
class Beam {
 public:
  Beam(const kernels::CodeSearchArgs& args, int beam, at::Device device)
      : n_(args.shape),
        beam_(beam),
        width_(n_.I * n_.g),
        scores_max_(device.is_cpu() ? kScoresOnCpu : kScoresOnDevice),
        xtx_(View(args.xtx, {width_, width_}, device)),
        codebooks_(View(args.codebooks, {n_.M, n_.K, n_.g}, device)),
        scales_(View(args.scales, {n_.O, 1, 1}, device)),
        given_codes_(at::from_blob(args.codes,
                                   {n_.O, n_.I * n_.M},
                                   at::TensorOptions().dtype(at::kInt).device(device))),
        given_product_(View(args.product, {n_.O, width_}, device)),
        codes_(given_codes_.unsqueeze(1).clone()),
        product_(given_product_.unsqueeze(1).clone()),
        gains_(at::zeros({n_.O, 1}, xtx_.options())) {}

  // One code of every hypothesis for every entry of codebook m at group j.
  void Visit(std::int64_t j, std::int64_t m) {
    const std::int64_t place = j * n_.M + m;
    const at::Tensor books = codebooks_[m];                                     // [K, g]
    const at::Tensor rows = xtx_.narrow(0, j * n_.g, n_.g);                     // [g, width]
    const at::Tensor square = rows.narrow(1, j * n_.g, n_.g);                   // H_jj
    const at::Tensor norms = (at::mm(books, square) * books).sum(1);            // [K]
    const at::Tensor now = codes_.select(2, place).to(at::kLong);               // [O, H]
    const at::Tensor entry = at::embedding(books, now);                         // [O, H, g]
    const at::Tensor slope =
        product_.narrow(2, j * n_.g, n_.g) + scales_ * at::matmul(entry, square);  // T
    // Up to what all entries share: a candidate's s^2 n_k - 2 s T . C_k, less the present one's.
    const at::Tensor s = scales_.squeeze(2);
    const at::Tensor before = s * (s * norms.index_select(0, now.reshape({-1})).view(now.sizes()) -
                                   2.0 * (slope * entry).sum(2));
    const auto [scores, entries] = Lowest(norms, books, slope);                 // [O, H, B'] each
    Keep(place, gains_.unsqueeze(2) + scores - before.unsqueeze(2), entries);
    const at::Tensor chosen = codes_.select(2, place).to(at::kLong);
    const at::Tensor step = (at::embedding(books, chosen) - OfParents(entry)) * scales_;
    product_.sub_(at::matmul(step, rows));
  }

  void Take() {
    const at::Tensor best = gains_.argmin(1, /*keepdim=*/true).unsqueeze(2);
    given_codes_.copy_(codes_.gather(1, best.expand({n_.O, 1, n_.I * n_.M})).squeeze(1));
    given_product_.copy_(product_.gather(1, best.expand({n_.O, 1, width_})).squeeze(1));
  }

 private:
  static at::Tensor View(const float* data, at::IntArrayRef sizes, at::Device device) {
    return at::from_blob(
        const_cast<float*>(data), sizes, at::TensorOptions().dtype(at::kFloat).device(device));
  }

  // [O, H, ...] of the hypotheses' parents.
  at::Tensor OfParents(const at::Tensor& values) const {
    return values.gather(
        1, parents_.unsqueeze(2).expand({parents_.size(0), parents_.size(1), values.size(2)}));
  }

  // The lowest scores of each hypothesis, and their entries.
  std::pair<at::Tensor, at::Tensor> Lowest(const at::Tensor& norms,
                                           const at::Tensor& books,
                                           const at::Tensor& slope) const {
    const std::int64_t count = std::min<std::int64_t>(beam_, n_.K);
    const std::int64_t chunk =
        std::max<std::int64_t>(1, scores_max_ / (n_.K * slope.size(1)));
    std::vector<at::Tensor> values;
    std::vector<at::Tensor> places;
    for (std::int64_t begin = 0; begin < n_.O; begin += chunk) {
      const std::int64_t rows = std::min(chunk, n_.O - begin);
      const at::Tensor s = scales_.narrow(0, begin, rows);
      const at::Tensor scores =
          s * (s * norms - 2.0 * at::matmul(slope.narrow(0, begin, rows), books.t()));
      auto [lowest, where] = scores.topk(count, 2, /*largest=*/false);
      values.push_back(std::move(lowest));
      places.push_back(std::move(where));
    }
    return {at::cat(values), at::cat(places)};
  }

  // Of the candidates [O, H, C] the best. They are all different, since every place is visited once
  // and the hypotheses differ in places that were visited before.
  void Keep(std::int64_t place, const at::Tensor& gains, const at::Tensor& entries) {
    const at::Tensor candidates = gains.view({n_.O, -1});
    const std::int64_t count = std::min<std::int64_t>(beam_, candidates.size(1));
    const auto [lowest, from] = candidates.topk(count, 1, /*largest=*/false);
    parents_ = from.div(gains.size(2), "floor");
    gains_ = lowest;
    codes_ = OfParents(codes_);
    product_ = OfParents(product_);
    codes_.select(2, place).copy_(entries.view({n_.O, -1}).gather(1, from));
  }

  const kernels::CodeShape n_;
  const std::int64_t beam_;
  const std::int64_t width_;
  const std::int64_t scores_max_;
  const at::Tensor xtx_, codebooks_, scales_;
  const at::Tensor given_codes_, given_product_;
  at::Tensor codes_;    // [O, H, I*M] i32
  at::Tensor product_;  // P [O, H, width]
  at::Tensor gains_;    // Loss less the given codes' [O, H]
  at::Tensor parents_;  // [O, H] i64: of the latest visit
};

}  // namespace

void BeamSearchSweep(const kernels::CodeSearchArgs& args, int beam, at::Device device) {
  const c10::NoGradGuard no_grad;
  const kernels::CodeShape& n = args.shape;
  Beam hypotheses(args, beam, device);
  for (std::int64_t i = 0; i < n.I; ++i) {
    for (std::int64_t step = 0; step < n.M; ++step) {
      hypotheses.Visit(args.group_order[i], args.codebook_order[i * n.M + step]);
    }
  }
  hypotheses.Take();
}

}  // namespace bitsweep::engine
