#if defined(BITSWEEP_CUDA)

#include "worker/engine/quantize/linear_quantizer_cuda.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>

#include "worker/engine/check_kernel.h"
#include "worker/engine/error.h"
#include "worker/engine/keyed_random.h"
#include "worker/engine/quantize/code_beam_search.h"
#include "worker/engine/quantize/epoch_control.h"
#include "worker/kernels/code_search_panel.h"
#include "worker/kernels/codebook_gradient.h"
#include "worker/kernels/dequantize.h"
#include "worker/kernels/entry_solve.h"
#include "worker/kernels/nearest_centroid.h"

namespace bitsweep::engine {
namespace {

// Every 10th round of k-means asks whether its centroids still move, as on the CPU (kmeans.cc).
constexpr int kCheckEvery = 10;

const float* Floats(const at::Tensor& tensor) {
  return tensor.const_data_ptr<float>();
}

double Number(const at::Tensor& scalar) {
  return scalar.item<double>();
}

// sum of a * b in double; the products are f32.
at::Tensor Dot(const at::Tensor& a, const at::Tensor& b) {
  return at::sum(at::mul(a, b), at::kDouble);
}

at::Tensor RowDots(const at::Tensor& a, const at::Tensor& b) {
  return at::sum(at::mul(a, b), {1}, false, at::kDouble);
}

// The state of one linear on the device; names as in LinearState.
class CudaLinear {
 public:
  CudaLinear(const LinearTensors& tensors,
             const kernels::CodeShape& shape,
             const LinearQuantizeOptions& options,
             const LinearKey& key)
      : n_(shape),
        options_(options),
        key_(key),
        stream_(c10::cuda::getCurrentCUDAStream().stream()),
        weight_(tensors.weight),
        xtx_(tensors.xtx),
        weight_product_(at::mm(weight_, xtx_)),
        residual_(at::empty_like(weight_)),
        product_(at::empty_like(weight_)),
        codes_(at::zeros({n_.O, n_.I, n_.M}, weight_.options().dtype(at::kInt))),
        codebooks_(at::zeros({n_.M, n_.K, n_.g}, weight_.options())),
        scales_(at::empty({n_.O}, weight_.options())),
        workspace_(Bytes(std::max({kernels::CodeSearchWorkspaceBytes(n_),
                                   kernels::CodeIndexWorkspaceBytes(n_),
                                   kernels::NearestCentroidWorkspaceBytes(n_.K)}))),
        begins_(at::empty({n_.M, n_.K + 1}, codes_.options())),
        positions_(at::empty({n_.M, n_.O * n_.I}, codes_.options())) {}

  double Reference() const {
    return Number(Dot(weight_, weight_product_)) / static_cast<double>(n_.O);
  }

  // s_o = ||W_o||, then residual k-means on the rows divided by it.
  void Initialise() {
    const at::Tensor norms = at::sqrt(at::sum(at::square(weight_.to(at::kDouble)), {1}));
    scales_.copy_(norms + kNormFloor);
    at::Tensor left = at::div(weight_, scales_.unsqueeze(1)).view({n_.O * n_.I, n_.g});
    KeyedRandom random({key_.seed, key_.layer, key_.linear, kRandomOfKmeans});
    for (std::int64_t m = 0; m < n_.M; ++m) {
      const auto [centroids, assignment] = Kmeans(left, random);
      codebooks_[m].copy_(centroids);
      codes_.view({n_.O * n_.I, n_.M}).select(1, m).copy_(assignment);
      if (m + 1 < n_.M) {
        left.sub_(at::index_select(centroids, 0, assignment));
      }
    }
  }

  // Recomputes D and P from codes, codebooks and scales.
  void Refresh() {
    Decode(codebooks_, weight_.const_data_ptr<float>(), residual_);
    at::mm_out(product_, residual_, xtx_);
  }

  double Loss() const { return Number(Dot(residual_, product_)) / static_cast<double>(n_.O); }

  void LeastSquares();

  // Leaves codes and P up to date; D is stale until Refresh.
  void Search(int epoch) {
    KeyedRandom random({key_.seed,
                        key_.layer,
                        key_.linear,
                        kRandomOfSearch,
                        static_cast<std::uint64_t>(epoch)});
    for (int sweep = 0; sweep < options_.sweeps; ++sweep) {
      Sweep(random);
    }
  }

  // Until what was queued has run: a few microseconds a phase buy honest parts of the seconds.
  void Wait() const { c10::cuda::stream_synchronize(stream_); }

  void RoundToF16() {
    codebooks_ = codebooks_.to(at::kHalf).to(at::kFloat);
    scales_ = scales_.to(at::kHalf).to(at::kFloat);
  }

  void CopyTo(LinearResult* result) const {
    const at::Tensor codes = codes_.cpu();
    const at::Tensor codebooks = codebooks_.cpu();
    const at::Tensor scales = scales_.cpu();
    const auto* first = codes.const_data_ptr<std::int32_t>();
    result->codes.assign(first, first + codes.numel());
    result->codebooks.assign(Floats(codebooks), Floats(codebooks) + codebooks.numel());
    result->scales.assign(Floats(scales), Floats(scales) + scales.numel());
  }

 private:
  at::Tensor Bytes(std::int64_t count) const {
    return at::empty({count}, weight_.options().dtype(at::kByte));
  }

  at::Tensor ToDevice(const std::vector<std::int32_t>& values) const {
    at::Tensor host = at::empty({static_cast<std::int64_t>(values.size())}, at::kInt);
    std::copy(values.begin(), values.end(), host.data_ptr<std::int32_t>());
    return host.to(weight_.device());
  }

  // out = books' entries under the codes and scales, or `minuend` less those.
  void Decode(const at::Tensor& books, const float* minuend, at::Tensor& out) const {
    CheckKernel(kernels::DequantizeCuda({.shape = n_,
                                   .codes = codes_.const_data_ptr<std::int32_t>(),
                                   .codebooks = Floats(books),
                                   .scales = Floats(scales_),
                                   .out = out.data_ptr<float>()},
                                  minuend,
                                  stream_),
          "dequantize");
  }

  kernels::DeviceCodeIndex Index(const kernels::CodeShape& shape, const std::int32_t* codes) {
    const kernels::DeviceCodeIndex index{.shape = shape,
                                         .begins = begins_.data_ptr<std::int32_t>(),
                                         .positions = positions_.data_ptr<std::int32_t>()};
    CheckKernel(kernels::BuildCodeIndexCuda(index, codes, workspace_.data_ptr(), stream_), "code index");
    return index;
  }

  void Assign(const at::Tensor& points, const at::Tensor& centroids, at::Tensor& assignment) {
    CheckKernel(kernels::NearestCentroidCuda({.points = points.size(0),
                                        .centroids = n_.K,
                                        .group = n_.g,
                                        .x = Floats(points),
                                        .c = Floats(centroids),
                                        .assignment = assignment.data_ptr<std::int32_t>()},
                                       workspace_.data_ptr(),
                                       stream_),
          "nearest centroid");
  }

  // points [O*I, g] -> centroids [K, g] and the assignment [O*I] that belongs to them. The start
  // and the end of kmeans.cc.
  std::pair<at::Tensor, at::Tensor> Kmeans(const at::Tensor& points, KeyedRandom& random) {
    const std::int64_t count = points.size(0);
    const std::int64_t chosen = std::min(n_.K, count);
    at::Tensor centroids = at::zeros({n_.K, n_.g}, points.options());
    centroids.narrow(0, 0, chosen)
        .copy_(at::index_select(points, 0, ToDevice(random.Permutation(count, chosen))));
    at::Tensor assignment = at::empty({count}, codes_.options());
    at::Tensor sums = at::empty_like(centroids);
    kernels::CodeShape one = n_;
    one.M = 1;
    for (int iteration = 1; iteration <= options_.kmeans_iterations && chosen < count;
         ++iteration) {
      Assign(points, centroids, assignment);
      const kernels::DeviceCodeIndex index =
          Index(one, assignment.const_data_ptr<std::int32_t>());
      CheckKernel(kernels::CodebookGradientCuda(
                index, Floats(points), nullptr, sums.data_ptr<float>(), stream_),
            "codebook gradient");
      const at::Tensor begins = begins_.view(-1);
      const at::Tensor members =
          (begins.narrow(0, 1, n_.K) - begins.narrow(0, 0, n_.K)).to(at::kFloat).unsqueeze(1);
      const at::Tensor next =
          at::where(members > 0, at::div(sums, at::clamp_min(members, 1)), centroids);
      const bool still = iteration % kCheckEvery == 0 && iteration < options_.kmeans_iterations &&
                         at::allclose(centroids, next, 1e-6, 1e-8);
      centroids = next;
      if (still) {
        break;
      }
    }
    Assign(points, centroids, assignment);
    return {centroids, assignment};
  }

  void Sweep(KeyedRandom& random) {
    const std::vector<std::int32_t> order = random.Permutation(n_.I);
    std::vector<std::int32_t> packed = order;
    for (std::int64_t i = 0; i < n_.I; ++i) {
      const std::vector<std::int32_t> books = random.Permutation(n_.M);
      packed.insert(packed.end(), books.begin(), books.end());
    }
    if (options_.beam_size > 1) {
      BeamSearchSweep({.shape = n_,
                       .xtx = Floats(xtx_),
                       .codebooks = Floats(codebooks_),
                       .scales = Floats(scales_),
                       .group_order = packed.data(),
                       .codebook_order = packed.data() + n_.I,
                       .codes = codes_.data_ptr<std::int32_t>(),
                       .product = product_.data_ptr<float>()},
                      options_.beam_size,
                      weight_.device());
      return;
    }
    const at::Tensor orders = ToDevice(packed);
    const at::Tensor groups = orders.narrow(0, 0, n_.I);
    const at::Tensor columns =
        (groups.unsqueeze(1) * n_.g + at::arange(n_.g, groups.options())).view(-1);
    CheckKernel(kernels::CodeSearchPrepareCuda(n_, Floats(codebooks_), workspace_.data_ptr(), stream_),
          "code search");
    at::Tensor changes = at::empty({n_.O, kernels::kPanelColumns}, weight_.options());
    for (std::int64_t begin = 0; begin < n_.I; begin += kernels::kPanelGroups) {
      const std::int64_t count = std::min(kernels::kPanelGroups, n_.I - begin);
      const at::Tensor rows =
          at::index_select(xtx_, 0, columns.narrow(0, begin * n_.g, count * n_.g));
      const auto* first = orders.const_data_ptr<std::int32_t>();
      CheckKernel(kernels::CodeSearchPanelCuda({.shape = n_,
                                          .groups = count,
                                          .group_order = first + begin,
                                          .codebook_order = first + n_.I + begin * n_.M,
                                          .xtx_rows = Floats(rows),
                                          .product = Floats(product_),
                                          .codebooks = Floats(codebooks_),
                                          .scales = Floats(scales_),
                                          .codes = codes_.data_ptr<std::int32_t>(),
                                          .changes = changes.data_ptr<float>()},
                                         workspace_.data_ptr(),
                                         stream_),
            "code search");
      product_.addmm_(changes.narrow(1, 0, count * n_.g), rows);
    }
  }

  // H_jj of every group [I, g, g].
  at::Tensor DiagonalBlocks() const {
    return at::diagonal(xtx_.view({n_.I, n_.g, n_.I, n_.g}), 0, 0, 2)
        .permute({2, 0, 1})
        .contiguous();
  }

  void OptimalScales();

  const kernels::CodeShape n_;
  const LinearQuantizeOptions& options_;
  const LinearKey key_;
  const kernels::DeviceStream stream_;
  const at::Tensor weight_;          // W [O, I*g]
  const at::Tensor xtx_;             // H
  const at::Tensor weight_product_;  // W H
  at::Tensor residual_;              // D
  at::Tensor product_;               // P
  at::Tensor codes_;                 // [O, I, M]
  at::Tensor codebooks_;             // [M, K, g]
  at::Tensor scales_;                // [O]
  at::Tensor workspace_;             // Of one op at a time
  at::Tensor begins_, positions_;    // The code index
};

// As codebook_update_least_squares.cc: preconditioned conjugate gradients, then the scales.
void CudaLinear::LeastSquares() {
  const kernels::DeviceCodeIndex index = Index(n_, codes_.const_data_ptr<std::int32_t>());
  const at::Tensor diagonal = DiagonalBlocks();
  at::Tensor factors = at::empty({n_.M * n_.K, n_.g, n_.g}, weight_.options());
  CheckKernel(kernels::EntryFactorCuda({.shape = n_,
                                  .diagonal = Floats(diagonal),
                                  .scales = Floats(scales_),
                                  .factors = factors.data_ptr<float>()},
                                 index,
                                 stream_),
        "entry factor");
  at::Tensor descent = at::empty_like(codebooks_);
  at::Tensor conditioned = at::empty_like(codebooks_);
  at::Tensor direction = at::zeros_like(codebooks_);
  at::Tensor moved = at::empty_like(weight_);
  at::Tensor moved_product = at::empty_like(weight_);
  double last = 0.0;
  for (int step = 0; step < options_.least_squares_steps; ++step) {
    CheckKernel(kernels::CodebookGradientCuda(
              index, Floats(product_), Floats(scales_), descent.data_ptr<float>(), stream_),
          "codebook gradient");
    CheckKernel(kernels::EntrySolveCuda(n_.M * n_.K,
                                  Floats(factors),
                                  Floats(descent),
                                  conditioned.data_ptr<float>(),
                                  stream_),
          "entry solve");
    const double now = Number(Dot(descent, conditioned));
    direction.mul_(last > 0.0 ? now / last : 0.0).add_(conditioned);
    last = now;
    Decode(direction, nullptr, moved);
    at::mm_out(moved_product, moved, xtx_);
    const double curvature = Number(Dot(moved, moved_product));
    if (!(now > 0.0) || !(curvature > 0.0)) {
      break;
    }
    const double length = now / curvature;
    codebooks_.add_(direction, length);
    residual_.sub_(moved, length);
    product_.sub_(moved_product, length);
  }
  OptimalScales();
}

// s_o <- s_o <(W H)_o, W^_o> / <(W^ H)_o, W^_o>, where both are positive.
void CudaLinear::OptimalScales() {
  const at::Tensor decoded = weight_ - residual_;
  const at::Tensor decoded_product = weight_product_ - product_;
  const at::Tensor with_weight = RowDots(weight_product_, decoded);
  const at::Tensor with_itself = RowDots(decoded_product, decoded);
  const at::Tensor ratio = at::where((with_weight > 0).logical_and(with_itself > 0),
                                     with_weight / with_itself,
                                     at::ones_like(with_weight))
                               .to(at::kFloat);
  scales_.mul_(ratio);
  const at::Tensor column = ratio.unsqueeze(1);
  at::addcmul_out(residual_, weight_, decoded, column, -1);
  at::addcmul_out(product_, weight_product_, decoded_product, column, -1);
}

}  // namespace

LinearResult QuantizeLinearCuda(const LinearTensors& tensors,
                                const LinearQuantizeOptions& options,
                                const LinearKey& key,
                                const std::string& name) {
  const c10::NoGradGuard no_grad;
  PhaseClock whole;
  LinearResult result;
  result.shape = ShapeOf(tensors.weight.size(0), tensors.weight.size(1), options, name);
  CudaLinear linear(tensors, result.shape, options, key);
  result.reference = linear.Reference();
  EpochControl control(options, name, result.reference);
  PhaseClock clock;
  linear.Initialise();
  linear.Wait();
  clock.AddTo(&result.seconds_start);
  for (;;) {
    linear.Refresh();
    if (!control.Begin(linear.Loss())) {
      break;
    }
    clock = PhaseClock();
    linear.LeastSquares();
    linear.Wait();
    clock.AddTo(&result.seconds_update);
    linear.Search(control.epoch());
    linear.Wait();
    clock.AddTo(&result.seconds_search);
  }
  linear.RoundToF16();
  linear.Refresh();
  result.loss = control.Final(linear.Loss());
  result.epochs = control.epoch();
  result.epoch_losses = control.losses();
  linear.CopyTo(&result);
  whole.AddTo(&result.seconds);
  return result;
}

}  // namespace bitsweep::engine

#endif  // BITSWEEP_CUDA
