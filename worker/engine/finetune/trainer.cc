#include "worker/engine/finetune/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <numeric>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "worker/engine/error.h"
#include "worker/engine/keyed_random.h"
#include "worker/engine/tasks.h"

namespace bitsweep::engine {
namespace {

constexpr double kEpsilon = 1e-8;
// Of the Adam of codes' logits; nobody's choice. Their gradients are small: a group is one of many.
constexpr double kCodeBeta1 = 0.9;
constexpr double kCodeBeta2 = 0.99;
constexpr double kCodeEpsilon = 1e-13;
// A stream of random numbers; its value is part of the semantics of `quantize` and `finetune`.
constexpr std::uint64_t kOrder = 201;

using Sequences = std::vector<std::int64_t>;

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.6g", value);
  return text;
}

// `sequences` cut into passes.
std::vector<Sequences> Passes(const Sequences& sequences, std::int64_t size) {
  std::vector<Sequences> passes;
  const auto step = static_cast<std::ptrdiff_t>(std::max<std::int64_t>(1, size));
  for (auto begin = sequences.begin(); begin != sequences.end();) {
    const auto end = begin + std::min(step, sequences.end() - begin);
    passes.emplace_back(begin, end);
    begin = end;
  }
  return passes;
}

// The mean loss over `sequences`, and the gradients of it added up pass by pass.
double RunPasses(const TrainProblem& problem,
                 const TrainOptions& options,
                 const Sequences& sequences,
                 Gradients* total) {
  const std::vector<Sequences> passes = Passes(sequences, options.pass_sequences);
  const auto wave = static_cast<std::size_t>(std::max(1, options.threads));
  double loss = 0.0;
  for (std::size_t first = 0; first < passes.size(); first += wave) {
    const std::size_t count = std::min(wave, passes.size() - first);
    std::vector<double> losses(count);
    std::vector<Gradients> gradients(count);
    RunTasks(static_cast<std::int64_t>(count), static_cast<int>(wave), [&](std::int64_t i) {
      const auto at = static_cast<std::size_t>(i);
      losses[at] = problem.pass(passes[first + at], total == nullptr ? nullptr : &gradients[at]);
    });
    const c10::NoGradGuard no_grad;
    for (std::size_t i = 0; i < count; ++i) {
      const double share =
          static_cast<double>(passes[first + i].size()) / static_cast<double>(sequences.size());
      loss += share * losses[i];
      for (std::size_t p = 0; total != nullptr && p < total->size(); ++p) {
        if (problem.is_trained[p]) {
          at::Tensor& sum = (*total)[p];
          if (passes.size() == 1) {
            sum = gradients[i][p];  // Its share is 1.
          } else {
            sum = sum.defined() ? sum.add_(gradients[i][p], share) : gradients[i][p] * share;
          }
        }
      }
    }
  }
  return loss;
}

class Training {
 public:
  Training(const TrainProblem& problem,
           const TrainOptions& options,
           TrainState state,
           const TrainObserver& observer)
      : problem_(problem), options_(options), state_(std::move(state)), observer_(observer) {}

  TrainState Run() {
    if (!state_.started()) {
      Start();
    }
    while (state_.epochs() < options_.epochs && !HasStopped() && state_.untrained > 0.0) {
      RunEpoch();
    }
    const c10::NoGradGuard no_grad;
    ForTrained([&](std::size_t p, at::Tensor& value) { value.copy_(state_.best_values[p]); });
    if (TrainsCodes()) {
      (state_.best_epoch == 0 ? problem_.codes.restore : problem_.codes.settle)();
    }
    return std::move(state_);
  }

 private:
  void ForTrained(const std::function<void(std::size_t, at::Tensor&)>& body) {
    for (std::size_t p = 0; p < problem_.parameters.size(); ++p) {
      if (problem_.is_trained[p]) {
        body(p, problem_.parameters[p]->value);
      }
    }
  }

  bool IsCodes(std::size_t p) const { return problem_.parameters[p]->part == TrainedPart::kCodes; }

  bool TrainsCodes() const { return static_cast<bool>(problem_.codes.settle); }

  // The share of all steps that is done.
  double Progress() const {
    const auto count = static_cast<std::int64_t>(problem_.train.size());
    const std::int64_t steps = (count + options_.batch - 1) / options_.batch * options_.epochs;
    return Steps() / static_cast<double>(steps);
  }

  bool HaveCodesSettled() const { return Progress() >= 1.0 - options_.code_settled; }

  // What the next step sees.
  void ChooseCodes() {
    if (!TrainsCodes()) {
      return;
    }
    if (HaveCodesSettled()) {
      Settle();
    } else {
      are_settled_ = false;
      problem_.codes.soften(
          std::pow(kCodeTemperatureEnd, Progress() / (1.0 - options_.code_settled)));
    }
  }

  // Logits move in soft steps only, so codes that have settled since are those.
  void Settle() {
    if (!are_settled_) {
      problem_.codes.settle();
      are_settled_ = true;
    }
  }

  bool HasStopped() const {
    return options_.early_stop > 0 && !TrainsCodes() &&
           state_.epochs() - state_.best_epoch >= options_.early_stop;
  }

  void Start() {
    const std::size_t count = problem_.parameters.size();
    state_.first_moments.resize(count);
    state_.second_moments.resize(count);
    state_.best_values.resize(count);
    ForTrained([&](std::size_t p, at::Tensor& value) {
      state_.first_moments[p] = at::zeros_like(value);
      state_.second_moments[p] = at::zeros_like(value);
      state_.best_values[p] = value.clone();
    });
    state_.untrained = MeasureLoss(problem_, options_, problem_.measured);
    if (!std::isfinite(state_.untrained)) {
      throw EngineError(FailureClass::kDiverged,
                        "fine-tuning of " + problem_.name + ": the loss is " +
                            Number(state_.untrained) + " before the first step");
    }
    state_.best = state_.untrained;
    if (observer_.on_epoch) {
      observer_.on_epoch(state_);
    }
  }

  void RunEpoch() {
    KeyedRandom random(
        {problem_.seed, kOrder, problem_.layer, static_cast<std::uint64_t>(state_.epochs())});
    Sequences order;
    for (const std::int32_t at :
         random.Permutation(static_cast<std::int64_t>(problem_.train.size()))) {
      order.push_back(problem_.train[static_cast<std::size_t>(at)]);
    }
    const std::vector<Sequences> batches = Passes(order, options_.batch);
    std::deque<double> recent;
    double sum = 0.0;
    for (std::size_t step = 0; step < batches.size(); ++step) {
      Gradients gradients(problem_.parameters.size());
      ChooseCodes();
      const double loss = RunPasses(problem_, options_, batches[step], &gradients);
      CheckLoss(loss, recent, step + 1, batches.size());
      sum += loss;
      Move(gradients);
      if (observer_.on_step) {
        observer_.on_step(state_.epochs() + 1,
                          static_cast<std::int64_t>(step + 1),
                          static_cast<std::int64_t>(batches.size()),
                          loss);
      }
    }
    FinishEpoch(sum / static_cast<double>(batches.size()), batches.size());
  }

  void FinishEpoch(double train_loss, std::size_t steps) {
    if (TrainsCodes()) {
      Settle();
    }
    const double measured = MeasureLoss(problem_, options_, problem_.measured);
    if (!std::isfinite(measured)) {
      Diverged("is " + Number(measured) + " after", steps, steps);
    }
    state_.curve.push_back({train_loss, measured});
    if (measured < state_.best) {
      state_.best = measured;
      state_.best_epoch = state_.epochs();
      const c10::NoGradGuard no_grad;
      ForTrained([&](std::size_t p, at::Tensor& value) { state_.best_values[p] = value.clone(); });
    }
    if (observer_.on_epoch) {
      observer_.on_epoch(state_);
    }
  }

  void CheckLoss(double loss, std::deque<double>& recent, std::size_t step, std::size_t steps) {
    if (!std::isfinite(loss)) {
      Diverged("is " + Number(loss) + " at", step, steps);
    }
    recent.push_back(loss);
    if (recent.size() > kGrowthSteps) {
      recent.pop_front();
    }
    const double mean =
        std::accumulate(recent.begin(), recent.end(), 0.0) / static_cast<double>(recent.size());
    const double u = state_.untrained;
    if (recent.size() >= std::min(kGrowthSteps, steps) &&
        mean > std::max(problem_.growth_factor * u, u + problem_.growth_floor)) {
      Diverged("has grown from " + Number(u) + " to " + Number(mean) + " at", step, steps);
    }
  }

  [[noreturn]] void Diverged(const std::string& what, std::size_t step, std::size_t steps) const {
    throw EngineError(
        FailureClass::kDiverged,
        "fine-tuning of " + problem_.name + ": the loss " + what + " epoch " +
            std::to_string(state_.epochs() + 1) + ", step " + std::to_string(step) + " of " +
            std::to_string(steps) + ", learning rate " + Number(options_.learning_rate) +
            (TrainsCodes() ? ", code learning rate " + Number(options_.code_learning_rate) : "") +
            "; a lower learning_rate may help");
  }

  // One step of Adam (Kingma and Ba 2015), without weight decay.
  void Move(const Gradients& gradients) {
    const c10::NoGradGuard no_grad;
    const double rate =
        options_.learning_rate * (1.0 - (1.0 - options_.learning_rate_end) * Progress());
    const bool codes_stay = HaveCodesSettled();
    ++state_.steps;
    Step(gradients, /*codes=*/false, {rate, options_.beta1, options_.beta2, kEpsilon});
    if (!codes_stay) {
      Step(gradients,
           /*codes=*/true,
           {options_.code_learning_rate, kCodeBeta1, kCodeBeta2, kCodeEpsilon});
    }
  }

  struct Adam {
    double rate, beta1, beta2, epsilon;
  };

  // Parameters that are moved together, so that a GPU is not asked for each small one alone. A
  // bundle holds no more values than the largest parameter, which is what the memory bound counts.
  struct Bundle {
    std::vector<at::Tensor> values, gradients, first, second;
    std::int64_t count = 0;
  };

  void Step(const Gradients& gradients, bool codes, const Adam& adam) {
    std::int64_t largest = 0;
    ForTrained(
        [&](std::size_t /*p*/, at::Tensor& value) { largest = std::max(largest, value.numel()); });
    Bundle bundle;
    ForTrained([&](std::size_t p, at::Tensor& value) {
      if (IsCodes(p) != codes) {
        return;
      }
      if (bundle.count > 0 && bundle.count + value.numel() > largest) {
        Step(bundle, adam);
        bundle = {};
      }
      bundle.values.push_back(value);
      bundle.gradients.push_back(gradients[p]);
      bundle.first.push_back(state_.first_moments[p]);
      bundle.second.push_back(state_.second_moments[p]);
      bundle.count += value.numel();
    });
    if (bundle.count > 0) {
      Step(bundle, adam);
    }
  }

  void Step(const Bundle& bundle, const Adam& adam) {
    at::_foreach_mul_(bundle.first, adam.beta1);
    at::_foreach_add_(bundle.first, bundle.gradients, 1.0 - adam.beta1);
    at::_foreach_mul_(bundle.second, adam.beta2);
    at::_foreach_addcmul_(bundle.second, bundle.gradients, bundle.gradients, 1.0 - adam.beta2);
    const std::vector<at::Tensor> divisor = at::_foreach_sqrt(bundle.second);
    at::_foreach_mul_(divisor, 1.0 / std::sqrt(1.0 - std::pow(adam.beta2, Steps())));
    at::_foreach_add_(divisor, adam.epsilon);
    at::_foreach_addcdiv_(
        bundle.values, bundle.first, divisor, -adam.rate / (1.0 - std::pow(adam.beta1, Steps())));
  }

  double Steps() const { return static_cast<double>(state_.steps); }

  const TrainProblem& problem_;
  const TrainOptions& options_;
  TrainState state_;
  const TrainObserver& observer_;
  bool are_settled_ = false;
};

}  // namespace

double MeasureLoss(const TrainProblem& problem,
                   const TrainOptions& options,
                   const std::vector<std::int64_t>& sequences) {
  return RunPasses(problem, options, sequences, nullptr);
}

TrainState Train(const TrainProblem& problem,
                 const TrainOptions& options,
                 TrainState state,
                 const TrainObserver& observer) {
  // What runs between the passes is as small as what runs in them.
  const OneTorchThread one_thread;
  return Training(problem, options, std::move(state), observer).Run();
}

}  // namespace bitsweep::engine
