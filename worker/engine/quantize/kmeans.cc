#include "worker/engine/quantize/kmeans.h"

#include <algorithm>
#include <cmath>

#include "worker/kernels/codebook_gradient.h"
#include "worker/kernels/nearest_centroid.h"

namespace bitsweep::engine {
namespace {

constexpr double kRelativeTolerance = 1e-6;
constexpr double kAbsoluteTolerance = 1e-8;
constexpr int kCheckEvery = 10;

bool AllClose(const std::vector<float>& before, const std::vector<float>& after) {
  for (std::size_t i = 0; i < before.size(); ++i) {
    const double limit =
        kAbsoluteTolerance + kRelativeTolerance * std::abs(static_cast<double>(after[i]));
    if (std::abs(static_cast<double>(before[i]) - static_cast<double>(after[i])) > limit) {
      return false;
    }
  }
  return true;
}

// One codebook: `shape` has M = 1. Leaves the assignment that belongs to the returned centroids.
std::vector<float> Kmeans(const kernels::CodeShape& shape,
                          const std::vector<float>& points,
                          int iterations,
                          KeyedRandom& random,
                          int threads,
                          std::vector<std::int32_t>* assignment) {
  const std::int64_t count = shape.O * shape.I;
  const std::int64_t g = shape.g;
  std::vector<float> centroids(static_cast<std::size_t>(shape.K * g), 0.0F);
  const std::int64_t chosen = std::min(shape.K, count);
  const std::vector<std::int32_t> start = random.Permutation(count, chosen);
  for (std::int64_t k = 0; k < chosen; ++k) {
    std::copy_n(
        points.data() + start[static_cast<std::size_t>(k)] * g, g, centroids.data() + k * g);
  }
  assignment->resize(static_cast<std::size_t>(count));
  const auto assign = [&] {
    kernels::NearestCentroid({.points = count,
                              .centroids = shape.K,
                              .group = g,
                              .x = points.data(),
                              .c = centroids.data(),
                              .assignment = assignment->data(),
                              .threads = threads});
  };
  kernels::CodeIndex index;
  std::vector<float> sums(centroids.size());
  for (int iteration = 1; iteration <= iterations && chosen < count; ++iteration) {
    assign();
    index.Build(shape, assignment->data(), threads);
    kernels::CodebookGradient(
        {.index = &index, .x = points.data(), .out = sums.data(), .threads = threads});
    for (std::int64_t k = 0; k < shape.K; ++k) {
      const std::int64_t members = index.Count(0, k);
      for (std::int64_t d = 0; d < g; ++d) {
        float& sum = sums[static_cast<std::size_t>(k * g + d)];
        sum = members > 0 ? sum / static_cast<float>(members)
                          : centroids[static_cast<std::size_t>(k * g + d)];
      }
    }
    centroids.swap(sums);
    if (iteration % kCheckEvery == 0 && AllClose(sums, centroids)) {
      break;
    }
  }
  assign();
  return centroids;
}

}  // namespace

KmeansStart ResidualKmeans(const kernels::CodeShape& shape,
                           const float* points,
                           int iterations,
                           KeyedRandom& random,
                           int threads) {
  const std::int64_t count = shape.O * shape.I;
  const std::int64_t g = shape.g;
  kernels::CodeShape one = shape;
  one.M = 1;
  KmeansStart start;
  start.codes.resize(static_cast<std::size_t>(count * shape.M));
  std::vector<float> left(points, points + count * g);
  std::vector<std::int32_t> assignment;
  for (std::int64_t m = 0; m < shape.M; ++m) {
    const std::vector<float> centroids =
        Kmeans(one, left, iterations, random, threads, &assignment);
    start.codebooks.insert(start.codebooks.end(), centroids.begin(), centroids.end());
    for (std::int64_t p = 0; p < count; ++p) {
      const std::int32_t code = assignment[static_cast<std::size_t>(p)];
      start.codes[static_cast<std::size_t>(p * shape.M + m)] = code;
      for (std::int64_t d = 0; d < g; ++d) {
        left[static_cast<std::size_t>(p * g + d)] -=
            centroids[static_cast<std::size_t>(code * g + d)];
      }
    }
  }
  return start;
}

}  // namespace bitsweep::engine
