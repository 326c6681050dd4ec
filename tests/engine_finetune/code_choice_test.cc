#include "worker/engine/finetune/code_choice.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <random>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "worker/engine/finetune/linear_codes.h"
#include "worker/engine/finetune/trainer.h"
#include "worker/kernels/code_mixture.h"
#include "worker/kernels/codebook_gradient.h"

namespace bitsweep::engine {
namespace {

constexpr std::int64_t kEntries = 8, kGroup = 4;

at::Tensor NormalTensor(std::mt19937& random, const std::vector<std::int64_t>& shape) {
  at::Tensor out = at::empty(shape, at::kFloat);
  std::normal_distribution<float> normal;
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    out.data_ptr<float>()[i] = normal(random);
  }
  return out;
}

at::Tensor Codes(std::mt19937& random, const std::vector<std::int64_t>& shape) {
  at::Tensor out = at::empty(shape, at::kLong);
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    out.data_ptr<std::int64_t>()[i] = static_cast<std::int64_t>(random() % kEntries);
  }
  return out;
}

// Squared distance of a target [g] to the sum of the entries that codes [M] name.
double Distance(const at::Tensor& target, const at::Tensor& codes, const at::Tensor& books) {
  at::Tensor left = target.to(at::kDouble);
  for (std::int64_t m = 0; m < books.size(0); ++m) {
    left = left - books[m][codes[m].item<std::int64_t>()].to(at::kDouble);
  }
  return left.square().sum().item<double>();
}

// Of all sums, ascending.
std::vector<double> Distances(const at::Tensor& target, const at::Tensor& books) {
  std::vector<double> all;
  const std::int64_t second = books.size(0) == 2 ? kEntries : 1;
  for (std::int64_t a = 0; a < kEntries; ++a) {
    for (std::int64_t b = 0; b < second; ++b) {
      all.push_back(Distance(target, at::tensor({a, b}, at::kLong), books));
    }
  }
  std::sort(all.begin(), all.end());
  return all;
}

TEST(FindAlternativesTest, AreTheNearestSumsAndTheGroupsOwn) {
  std::mt19937 random(3);
  for (const std::int64_t count : {1, 2}) {
    const at::Tensor books = NormalTensor(random, {count, kEntries, kGroup});
    const at::Tensor targets = NormalTensor(random, {50, kGroup}) * 2.0;
    const at::Tensor codes = Codes(random, {50, count});
    // As wide a beam as a codebook is exhaustive.
    const CodeAlternatives found =
        FindAlternatives(targets, codes, books, {.alternatives = kEntries, .sharpness = 2.0});
    ASSERT_EQ(found.codes.sizes().vec(), (std::vector<std::int64_t>{50, kEntries, count}));
    double unit = 0.0;
    for (std::int64_t i = 0; i < 50; ++i) {
      unit += Distances(targets[i], books)[0] / 50.0;
    }
    int replaced = 0;
    for (std::int64_t i = 0; i < 50; ++i) {
      const std::vector<double> want = Distances(targets[i], books);
      EXPECT_TRUE((found.codes[i] == codes[i]).all(1).any().item<bool>()) << "its own";
      for (std::int64_t t = 0; t < kEntries; ++t) {
        const double distance = Distance(targets[i], found.codes[i][t], books);
        if (t + 1 == kEntries && (found.codes[i][t] == codes[i]).all().item<bool>()) {
          replaced += distance > want[static_cast<std::size_t>(t)] + 1e-4 ? 1 : 0;
          continue;
        }
        EXPECT_NEAR(distance, want[static_cast<std::size_t>(t)], 1e-4);
        EXPECT_NEAR(found.logits[i][t].item<double>(), -2.0 * (distance - want[0]) / unit, 1e-3);
      }
    }
    EXPECT_EQ(replaced > 0, count == 2) << "one codebook's alternatives are all there are";
  }
}

TEST(FindAlternativesTest, NoMoreThanThereAre) {
  std::mt19937 random(4);
  const at::Tensor books = NormalTensor(random, {1, kEntries, kGroup});
  const CodeAlternatives found = FindAlternatives(
      NormalTensor(random, {5, kGroup}), Codes(random, {5, 1}), books, {.alternatives = 20});
  EXPECT_EQ(found.codes.size(1), kEntries);
  EXPECT_EQ(std::get<0>(found.logits.max(1)).abs().max().item<double>(), 0.0);
  EXPECT_TRUE(found.logits.isfinite().all().item<bool>());
}

// One linear whose loss is |W^ x - W x|^2 by correlated x: what rounding group by group misses.
class Layer {
 public:
  static constexpr std::int64_t kRows = 12, kGroups = 6;
  explicit Layer(unsigned seed) : random_(seed) {
    weight_ = NormalTensor(random_, {kRows, kGroups * kGroup});
    const at::Tensor mixing = NormalTensor(random_, {kGroups * kGroup, 5});
    x_ = at::mm(NormalTensor(random_, {40, 5}), mixing.t()) +
         0.1 * NormalTensor(random_, {40, kGroups * kGroup});
    books_ = {
        "books", TrainedPart::kCodebooks, NormalTensor(random_, {2, kEntries, 1, kGroup}) * 0.7};
    scales_ = at::ones({kRows, 1, 1, 1});
    codes_.emplace(Codes(random_, {kRows, kGroups, 2}), kEntries, kGroup, at::kCPU);
    logits_ = {"logits", TrainedPart::kCodes, codes_->Offer(weight_, books_.value, scales_, {})};
    codes_->Settle();  // The nearest ones, where rounding starts.
    problem_.name = "a layer";
    problem_.parameters = {&books_, &logits_};
    problem_.train = {0, 1, 2, 3};
    problem_.measured = {0, 1, 2, 3};
    problem_.growth_floor = 1e9;
    problem_.pass = [this](const std::vector<std::int64_t>& sequences, Gradients* gradients) {
      return Pass(sequences, gradients);
    };
  }
  // The loss that is left.
  double Run(bool codes_move, TrainOptions options) {
    problem_.is_trained = {true, codes_move};
    if (codes_move) {
      problem_.codes = {.soften =
                            [this](double t) {
                              temperatures_.push_back(t);
                              is_soft_ = true;
                              codes_->Soften(t);
                            },
                        .settle =
                            [this] {
                              ++settled_;
                              is_soft_ = false;
                              codes_->Settle();
                            },
                        .restore = [this] { codes_->Restore(); }};
    }
    return Train(problem_, options, {}, {}).best;
  }

  std::vector<double> temperatures_;
  int settled_ = 0;
  bool is_soft_ = false;
  Parameter books_, logits_;
  at::Tensor scales_;
  std::optional<LinearCodes> codes_;
  TrainProblem problem_;

 private:
  double Pass(const std::vector<std::int64_t>& sequences, Gradients* gradients) {
    EXPECT_FALSE(is_soft_ && gradients == nullptr) << "a mixture was measured";
    double loss = 0.0;
    at::Tensor slope = at::zeros_like(weight_);
    const at::Tensor error = codes_->Decode(books_.value, scales_) - weight_;
    for (const std::int64_t s : sequences) {
      const at::Tensor x = x_.narrow(0, 10 * s, 10);
      const at::Tensor y = at::mm(x, error.t());
      const double share = 1.0 / static_cast<double>(10 * sequences.size());
      loss += y.square().sum().item<double>() * share;
      slope += at::mm(y.t(), x) * (2.0 * share);
    }
    if (gradients != nullptr) {
      gradients->resize(2);
      at::Tensor by_scales;
      codes_->Pull(slope,
                   books_.value,
                   scales_,
                   &(*gradients)[0],
                   &by_scales,
                   problem_.is_trained[1] ? &(*gradients)[1] : nullptr);
    }
    return loss;
  }

  std::mt19937 random_;
  at::Tensor weight_, x_;
};

const TrainOptions kLayerOptions = {.learning_rate = 1e-2,
                                    .epochs = 200,
                                    .early_stop = 0,
                                    .batch = 2,
                                    .code_learning_rate = 0.05,
                                    .code_settled = 0.2};

TEST(CodeChoiceTest, AnnealedCodesBeatThoseThatStay) {
  double with = 0.0, without = 0.0;
  for (const unsigned seed : {1U, 2U, 3U}) {
    Layer moves(seed), stays(seed);
    const at::Tensor before = moves.codes_->codes().clone();
    const double annealed = moves.Run(true, kLayerOptions);
    const double rounded = stays.Run(false, kLayerOptions);
    EXPECT_LT(annealed, rounded) << seed;
    EXPECT_FALSE(at::equal(moves.codes_->codes(), before));
    with += annealed;
    without += rounded;
  }
  EXPECT_LT(with, 0.7 * without);
}

TEST(CodeChoiceTest, TheTemperatureFallsAndCodesSettle) {
  Layer layer(4);
  TrainOptions options = kLayerOptions;
  options.epochs = 5;  // Of two steps.
  layer.Run(true, options);
  ASSERT_EQ(layer.temperatures_.size(), 8U) << "two of ten steps see settled codes";
  EXPECT_EQ(layer.settled_, 5) << "after four soft epochs, not again in the fifth, and in the end";
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_NEAR(layer.temperatures_[i], std::pow(0.05, static_cast<double>(i) / 8.0), 1e-9);
  }
  // What is left decodes as the codes that it says.
  const at::Tensor codes = layer.codes_->codes();
  const at::Tensor left = layer.codes_->Decode(layer.books_.value, layer.scales_);
  const LinearCodes plain(codes, kEntries, kGroup, at::kCPU);
  EXPECT_TRUE(at::equal(left, plain.Decode(layer.books_.value, layer.scales_)));
}

TEST(CodeChoiceTest, WhereNothingIsBetterTheFirstCodesComeBack) {
  Layer layer(5);
  layer.codes_->Restore();
  const at::Tensor before = layer.codes_->codes().clone();
  layer.problem_.pass = [](const std::vector<std::int64_t>&, Gradients* gradients) {
    if (gradients != nullptr) {
      *gradients = {at::zeros({2, kEntries, 1, kGroup}), at::zeros({12, 6, 8})};
    }
    return 1.0;
  };
  TrainOptions options = kLayerOptions;
  options.epochs = 2;
  layer.Run(true, options);
  EXPECT_TRUE(at::equal(layer.codes_->codes(), before));
}

TEST(CodeChoiceTest, AZeroScaleGivesNumbers) {
  std::mt19937 random(6);
  at::Tensor scales = at::ones({3, 1, 1, 1});
  scales[1].zero_();
  const at::Tensor books = NormalTensor(random, {2, kEntries, 1, kGroup});
  LinearCodes codes(Codes(random, {3, 2, 2}), kEntries, kGroup, at::kCPU);
  const at::Tensor logits = codes.Offer(NormalTensor(random, {3, 2 * kGroup}), books, scales, {});
  EXPECT_TRUE(logits.isfinite().all().item<bool>());
  codes.Soften(0.3);
  EXPECT_TRUE(codes.Decode(books, scales).isfinite().all().item<bool>());
}

// What a GPU's kernels are held against: the CPU's tensor operations are the same.
TEST(LinearCodesTest, AMixtureIsTheKernelsReference) {
  std::mt19937 random(7);
  constexpr std::int64_t kRows = 5, kGroups = 3, kBooks = 2;
  const at::Tensor codes = Codes(random, {kRows, kGroups, kBooks});
  const at::Tensor books = NormalTensor(random, {kBooks, kEntries, 1, kGroup});
  const at::Tensor scales = NormalTensor(random, {kRows, 1, 1, 1});
  const at::Tensor weight = NormalTensor(random, {kRows, kGroups * kGroup});
  const at::Tensor slope = NormalTensor(random, {kRows, kGroups * kGroup});
  LinearCodes linear(codes, kEntries, kGroup, at::kCPU);
  const at::Tensor logits = linear.Offer(weight, books, scales, {.alternatives = 6});
  logits.add_(NormalTensor(random, {kRows, kGroups, 6}));
  linear.Soften(0.4);
  const at::Tensor alternatives =
      FindAlternatives((weight / scales.view({kRows, 1})).view({-1, kGroup}),
                       codes.view({-1, kBooks}),
                       books.view({kBooks, kEntries, kGroup}),
                       {.alternatives = 6})
          .codes.contiguous();
  const kernels::CodeMixture mixture = {
      .shape = {.O = kRows, .I = kGroups, .M = kBooks, .K = kEntries, .g = kGroup},
      .T = 6,
      .alternatives = alternatives.data_ptr<std::int32_t>(),
      .logits = logits.data_ptr<float>(),
      .temperature = 0.4F,
      .codebooks = books.data_ptr<float>(),
      .scales = scales.data_ptr<float>()};
  const at::Tensor decoded = at::empty_like(weight);
  const at::Tensor shares = at::empty_like(logits);
  const at::Tensor dots = at::empty({kRows, kGroups});
  const at::Tensor logits_wanted = at::empty_like(logits);
  ASSERT_EQ(kernels::MixCodesRef(mixture, decoded.data_ptr<float>()), kernels::KernelStatus::kOk);
  ASSERT_EQ(kernels::PullMixtureRef(mixture,
                                    slope.data_ptr<float>(),
                                    {.entry_scales = shares.data_ptr<float>(),
                                     .dots = dots.data_ptr<float>(),
                                     .logits = logits_wanted.data_ptr<float>()}),
            kernels::KernelStatus::kOk);
  // Every alternative is a point of its own.
  const at::Tensor points = (shares.view({-1, 6, 1}) * slope.view({-1, 1, kGroup})).contiguous();
  kernels::CodeIndex index;
  index.Build({.O = kRows * kGroups * 6, .I = 1, .M = kBooks, .K = kEntries, .g = kGroup},
              mixture.alternatives,
              1);
  const at::Tensor books_wanted = at::empty_like(books);
  ASSERT_EQ(
      kernels::CodebookGradientRef(
          {.index = &index, .x = points.data_ptr<float>(), .out = books_wanted.data_ptr<float>()},
          mixture.alternatives),
      kernels::KernelStatus::kOk);
  at::Tensor by_books, by_scales, by_logits;
  linear.Pull(slope, books, scales, &by_books, &by_scales, &by_logits);
  EXPECT_TRUE(at::allclose(linear.Decode(books, scales), decoded, 1e-4, 1e-5));
  EXPECT_TRUE(at::allclose(by_books, books_wanted, 1e-4, 1e-5));
  EXPECT_TRUE(at::allclose(by_scales.view({-1}), dots.sum(1), 1e-4, 1e-5));
  EXPECT_TRUE(at::allclose(by_logits, logits_wanted, 1e-4, 1e-5));
}

}  // namespace
}  // namespace bitsweep::engine
