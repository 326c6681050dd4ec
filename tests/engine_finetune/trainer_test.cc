#include "worker/engine/finetune/trainer.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "worker/engine/error.h"

namespace bitsweep::engine {
namespace {

using testing::HasSubstr;

// Values that are to come near to the mean of the sequences' numbers: the loss of sequence s is
// (x - s)^2, averaged over the elements of x.
class Quadratic {
 public:
  Quadratic() {
    x_.name = "x";
    x_.value = at::tensor({10.0F, -10.0F, 0.0F});
    problem_.name = "the quadratic";
    problem_.parameters = {&x_};
    problem_.is_trained = {true};
    problem_.train = {0, 1, 2, 3, 4};
    problem_.measured = {2};
    problem_.pass = [this](const std::vector<std::int64_t>& sequences, Gradients* gradients) {
      return Pass(sequences, gradients);
    };
    options_ = {.learning_rate = 0.5, .epochs = 6, .early_stop = 0, .batch = 2};
  }

  TrainState Run(const TrainObserver& observer = {}) {
    return Train(problem_, options_, {}, observer);
  }
  // The message of the kDiverged that Run throws.
  std::string Divergence() {
    try {
      Run();
    } catch (const EngineError& error) {
      EXPECT_EQ(error.failure(), FailureClass::kDiverged);
      return error.what();
    }
    return "none";
  }

  Parameter x_;
  TrainProblem problem_;
  TrainOptions options_;
  double extra_ = 0.0;  // Of every loss.

 private:
  double Pass(const std::vector<std::int64_t>& sequences, Gradients* gradients) const {
    at::Tensor gradient = at::zeros_like(x_.value);
    double loss = 0.0;
    for (const std::int64_t s : sequences) {
      const at::Tensor difference = x_.value - static_cast<double>(s);
      loss += difference.square().mean().item<double>() / static_cast<double>(sequences.size());
      gradient += difference * (2.0 / (3.0 * static_cast<double>(sequences.size())));
    }
    if (gradients != nullptr) {
      *gradients = {gradient};
    }
    return loss + extra_;
  }
};

TEST(TrainerTest, AStepIsAdams) {
  Quadratic quadratic;
  quadratic.problem_.train = {2};
  quadratic.options_.epochs = 3;
  quadratic.Run();
  double x = 10.0, first = 0.0, second = 0.0;
  for (int step = 1; step <= 3; ++step) {
    const double gradient = 2.0 * (x - 2.0) / 3.0;
    first = 0.9 * first + 0.1 * gradient;
    second = 0.999 * second + 0.001 * gradient * gradient;
    x -= 0.5 * (first / (1.0 - std::pow(0.9, step))) /
         (std::sqrt(second / (1.0 - std::pow(0.999, step))) + 1e-8);
  }
  EXPECT_NEAR(quadratic.x_.value[0].item<double>(), x, 1e-5);
}

// Parameters are moved in groups; each by its own Adam, codes by theirs until they have settled.
TEST(TrainerTest, EveryParameterOfManyIsMovedByItsOwnAdam) {
  struct Wanted {
    TrainedPart part;
    bool is_trained;
    std::vector<double> values;
  };
  const std::vector<Wanted> wanted = {{TrainedPart::kCodebooks, true, {1, 2, 3, 4, 5}},
                                      {TrainedPart::kScales, true, {6, -7}},
                                      {TrainedPart::kNorms, false, {8, 9}},
                                      {TrainedPart::kCodes, true, {-1, 0.5, 2}},
                                      {TrainedPart::kNorms, true, {0.25, 11, -3}},
                                      {TrainedPart::kLmHead, true, {4}}};
  // Gradient of value x of parameter p: (p + 1) x.
  std::vector<Parameter> parameters;
  for (const Wanted& one : wanted) {
    parameters.push_back({"p", one.part, at::tensor(one.values, at::kFloat)});
  }
  TrainProblem problem;
  problem.name = "many";
  problem.train = problem.measured = {0};
  problem.growth_floor = 1e9;
  int measured = 0;
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    problem.parameters.push_back(&parameters[p]);
    problem.is_trained.push_back(wanted[p].is_trained);
  }
  problem.codes = {.soften = [](double) {}, .settle = [] {}, .restore = [] {}};
  problem.pass = [&](const std::vector<std::int64_t>&, Gradients* gradients) {
    for (std::size_t p = 0; gradients != nullptr && p < parameters.size(); ++p) {
      gradients->push_back(parameters[p].value * static_cast<double>(p + 1));
    }
    return gradients == nullptr ? 10.0 - measured++ : 1.0;  // The last state is the best.
  };
  const TrainOptions options = {.learning_rate = 0.1,
                                .epochs = 5,
                                .early_stop = 0,
                                .code_learning_rate = 0.3,
                                .code_settled = 0.4};
  Train(problem, options, {}, {});
  for (std::size_t p = 0; p < wanted.size(); ++p) {
    const Wanted& one = wanted[p];
    const bool is_codes = one.part == TrainedPart::kCodes;
    const double rate = is_codes ? 0.3 : 0.1, beta2 = is_codes ? 0.99 : 0.999;
    const int steps = !one.is_trained ? 0 : is_codes ? 3 : 5;
    for (std::size_t i = 0; i < one.values.size(); ++i) {
      double x = one.values[i], first = 0.0, second = 0.0;
      for (int step = 1; step <= steps; ++step) {
        const double gradient = static_cast<double>(p + 1) * x;
        first = 0.9 * first + 0.1 * gradient;
        second = beta2 * second + (1.0 - beta2) * gradient * gradient;
        x -= rate * (first / (1.0 - std::pow(0.9, step))) /
             (std::sqrt(second / (1.0 - std::pow(beta2, step))) + 1e-12);
      }
      EXPECT_NEAR(parameters[p].value[static_cast<std::int64_t>(i)].item<double>(), x, 1e-5)
          << "parameter " << p << ", value " << i;
    }
  }
}

TEST(TrainerTest, PassesAndThreadsDoNotChangeTheResult) {
  at::Tensor want;
  for (const int threads : {1, 3}) {
    Quadratic quadratic;
    quadratic.options_.batch = 4;
    quadratic.options_.threads = threads;
    const TrainState state = quadratic.Run();
    EXPECT_EQ(state.steps, 12) << "the last batch of an epoch is the rest";
    want = want.defined() ? want : quadratic.x_.value;
    EXPECT_TRUE(at::equal(quadratic.x_.value, want));
  }
  Quadratic together;
  together.options_.batch = 4;
  together.options_.pass_sequences = 3;
  together.Run();
  EXPECT_TRUE(at::allclose(together.x_.value, want, 1e-4, 1e-5));
}

TEST(TrainerTest, TheBestStateIsKeptAndTheUntrainedOneCounts) {
  Quadratic quadratic;
  quadratic.x_.value.fill_(2.0);  // The measured optimum.
  quadratic.options_.early_stop = 2;
  quadratic.problem_.growth_floor = 1e9;
  quadratic.extra_ = 0.5;
  TrainState state = quadratic.Run();
  EXPECT_EQ(state.best_epoch, 0);
  EXPECT_EQ(state.epochs(), 2) << "two epochs without a better loss";
  EXPECT_TRUE(at::equal(quadratic.x_.value, at::full({3}, 2.0F)));

  Quadratic better;
  state = better.Run();
  EXPECT_GT(state.best_epoch, 0);
  EXPECT_LT(state.best, state.untrained);
  EXPECT_NEAR(MeasureLoss(better.problem_, better.options_, {2}), state.best, 1e-6);
  for (const EpochLosses& epoch : state.curve) {
    EXPECT_GE(epoch.measured, state.best);
  }
}

TEST(TrainerTest, TheRateFallsToItsEnd) {
  Quadratic quadratic;
  quadratic.problem_.train = {2};
  quadratic.options_.epochs = 4;
  quadratic.options_.learning_rate_end = 0.2;
  quadratic.Run();
  double x = 10.0, first = 0.0, second = 0.0;
  for (int step = 1; step <= 4; ++step) {
    const double gradient = 2.0 * (x - 2.0) / 3.0;
    first = 0.9 * first + 0.1 * gradient;
    second = 0.999 * second + 0.001 * gradient * gradient;
    const double rate = 0.5 * (1.0 - 0.8 * (step - 1) / 4.0);
    x -= rate * (first / (1.0 - std::pow(0.9, step))) /
         (std::sqrt(second / (1.0 - std::pow(0.999, step))) + 1e-8);
  }
  EXPECT_NEAR(quadratic.x_.value[0].item<double>(), x, 1e-5);
}

TEST(TrainerTest, DivergenceIsNamed) {
  Quadratic quadratic;
  int passes = 0;
  const auto sound = quadratic.problem_.pass;
  quadratic.problem_.pass = [&](const std::vector<std::int64_t>& sequences, Gradients* gradients) {
    const double loss = sound(sequences, gradients);
    // One pass measures, five are the first epoch, one measures; two are the next epoch's first
    // step.
    return ++passes == 9 ? std::numeric_limits<double>::quiet_NaN() : loss;
  };
  EXPECT_THAT(quadratic.Divergence(),
              HasSubstr("fine-tuning of the quadratic: the loss is nan at epoch 2, step 1 of 3, "
                        "learning rate 0.5"));

  Quadratic growing;
  growing.x_.value.fill_(2.5);
  growing.options_.learning_rate = 20.0;
  EXPECT_THAT(growing.Divergence(), HasSubstr("the loss has grown from 0.25 to"));
}

TEST(TrainerTest, WhatIsNotTrainedStays) {
  Quadratic quadratic;
  quadratic.problem_.is_trained = {false};
  const at::Tensor before = quadratic.x_.value.clone();
  quadratic.Run();
  EXPECT_TRUE(at::equal(quadratic.x_.value, before));
}

}  // namespace
}  // namespace bitsweep::engine
