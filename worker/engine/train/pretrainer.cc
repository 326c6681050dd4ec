#include "worker/engine/train/pretrainer.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "worker/engine/calibration/documents.h"
#include "worker/engine/checkpoint/atomic_file.h"
#include "worker/engine/checkpoint/digest.h"
#include "worker/engine/checkpoint/model_config.h"
#include "worker/engine/checkpoint/sha256.h"
#include "worker/engine/error.h"
#include "worker/engine/model/device_work.h"
#include "worker/engine/tasks.h"
#include "worker/engine/train/batch_feed.h"
#include "worker/engine/train/corpus.h"
#include "worker/engine/train/dense_model.h"
#include "worker/engine/train/loss_watch.h"
#include "worker/engine/train/pretrain_state.h"
#include "worker/engine/train/published_model.h"

namespace bitsweep::engine {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kPackRows = 8;
// Losses are fetched from a GPU once in so many steps, so that the host stays ahead of it.
constexpr std::int64_t kFetchEvery = 8;
// What a pass may keep for its backward pass. On the CPU passes run side by side and stay small.
constexpr std::int64_t kDeviceGraphBytesMax = std::int64_t{24} << 30;
constexpr std::int64_t kCpuPassTokens = 512;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.5g", value);
  return text;
}

// Inputs and targets [rows, T] i64 on `device`, of packs that lie one after the other.
struct Rows {
  at::Tensor inputs, targets;
};

Rows MakeRows(const std::vector<TokenPack>& packs, std::int64_t length, at::Device device) {
  std::int64_t rows = 0;
  for (const TokenPack& pack : packs) {
    rows += static_cast<std::int64_t>(pack.size() - 1) / length;
  }
  // Pinned where a GPU copies it, so that the copy waits for nothing.
  const at::TensorOptions options =
      at::TensorOptions().dtype(at::kInt).pinned_memory(device.is_cuda());
  at::Tensor both = at::empty({2, rows, length}, options);
  std::int32_t* inputs = both.data_ptr<std::int32_t>();
  std::int32_t* targets = inputs + rows * length;
  for (const TokenPack& pack : packs) {
    inputs = std::copy(pack.begin(), pack.end() - 1, inputs);
    targets = std::copy(pack.begin() + 1, pack.end(), targets);
  }
  both = both.to(device, /*non_blocking=*/true).to(at::kLong);
  return {both[0], both[1]};
}

class Pretrainer {
 public:
  Pretrainer(const PretrainSource& source,
             const PretrainOptions& options,
             const std::string& output_dir,
             Events& events)
      : source_(source),
        options_(options),
        output_dir_(output_dir),
        events_(events),
        tokenizer_(Tokenizer::Load(source.tokenizer_dir)),
        identity_(Identity()) {}

  nlohmann::json Run() {
    if (const std::optional<nlohmann::json> finished = FinishedTotals(output_dir_, identity_)) {
      RemoveState();
      return *finished;
    }
    start_ = Clock::now();
    const OneTorchThread one_thread;
    PrepareModel();
    PrepareText();
    PrepareState();
    TrainSteps();
    nlohmann::json totals = Publish();
    WriteReport(output_dir_, identity_, totals);
    RemoveState();
    return totals;
  }

 private:
  // Everything that decides the result and is not the code itself.
  nlohmann::json Identity() const {
    const auto digest = [](const std::string& path) { return Sha256Hex(ReadWholeFile(path)); };
    nlohmann::json identity = {{"kind", "train"},
                               {"config", source_.config},
                               {"options", ToJson(options_)},
                               {"generator", kTaskGeneratorVersion},
                               {"tokenizer", digest(source_.tokenizer_dir + "/tokenizer.json")}};
    if (!source_.texts_file.empty()) {
      identity["texts"] = {{"digest", digest(source_.texts_file)},
                           {"in_hundred", source_.texts_in_hundred}};
    }
    if (source_.from) {
      identity["from"] = DigestOf(*source_.from);
    }
    return identity;
  }

  void PrepareModel() {
    WriteFileAtomically(output_dir_ + "/config.json", source_.config.dump(2) + "\n");
    const ModelConfig config = LoadModelConfig(output_dir_);
    if (tokenizer_->vocab_size() > config.vocab_size) {
      ThrowBadInput(source_.tokenizer_dir + ": the tokenizer has " +
                    std::to_string(tokenizer_->vocab_size()) + " tokens, the model " +
                    std::to_string(config.vocab_size) + " (config.json, vocab_size)");
    }
    if (options_.sequence_length > config.max_position_embeddings) {
      ThrowBadInput("sequence-length " + std::to_string(options_.sequence_length) +
                    " is more than the model's " + std::to_string(config.max_position_embeddings) +
                    " positions (config.json, max_position_embeddings)");
    }
    const FlatLayout layout(config);
    const at::Tensor values = source_.from ? CheckpointValues(layout, *source_.from)
                                           : InitialValues(layout, options_.seed);
    model_.emplace(config,
                   values.to(options_.device),
                   options_.dtype,
                   /*positions=*/options_.sequence_length);
    const std::int64_t length = options_.sequence_length;
    pass_rows_ = std::max<std::int64_t>(1, kCpuPassTokens / length);
    if (!options_.device.is_cpu()) {
      const std::int64_t bytes =
          std::min(kDeviceGraphBytesMax, DeviceWork::FreeBytes(options_.device) / 2);
      pass_rows_ = std::max<std::int64_t>(1, bytes / model_->GraphBytes(length, length));
    }
  }

  void PrepareText() {
    CorpusOptions corpus;
    corpus.seed = options_.seed;
    corpus.sequence_length = options_.sequence_length;
    corpus.pack_rows = std::gcd(options_.batch, kPackRows);
    corpus.texts_in_hundred = source_.texts_in_hundred;
    if (!source_.texts_file.empty()) {
      corpus.texts = ReadDocuments(source_.texts_file);
    }
    corpus_.emplace(tokenizer_, corpus);
    if (options_.validation_rows == 0) {
      return;
    }
    corpus.part = TaskPart::kHeldOut;
    corpus.pack_rows = options_.validation_rows;
    corpus.texts_in_hundred = 0;
    validation_ = MakeRows(
        {Corpus(tokenizer_, corpus).Pack(0, 0)}, options_.sequence_length, options_.device);
  }

  void PrepareState() {
    state_.adamw.first = at::zeros_like(model_->values());
    state_.adamw.second = at::zeros_like(model_->values());
    if (ReadPretrainState(output_dir_, identity_, model_->values(), &state_)) {
      resumed_ = state_.adamw.steps;
      events_.Log("info", "going on after step " + std::to_string(resumed_));
    }
    watch_.emplace("training", state_.lowest);
    schedule_ = {
        .peak = options_.learning_rate, .warmup = options_.warmup, .steps = options_.steps};
  }

  void TrainSteps() {
    const auto packs = static_cast<std::size_t>(options_.batch / corpus_->options().pack_rows);
    BatchFeed feed(
        [this](std::uint64_t step, std::uint64_t pack) { return corpus_->Pack(step, pack); },
        resumed_ + 1,
        options_.steps,
        packs,
        options_.threads);
    for (std::int64_t step = resumed_ + 1; step <= options_.steps; ++step) {
      MakeStep(MakeRows(feed.Next(), options_.sequence_length, options_.device));
      const bool is_last = step == options_.steps;
      const bool validates = !is_last && step % options_.validate_every == 0;
      const bool saves = !is_last && step % options_.save_every == 0;
      if (is_last || validates || saves || step % kFetchEvery == 0) {
        FetchLosses();
      }
      if (validates) {
        Validate();
      }
      if (saves) {
        state_.lowest = watch_->lowest();
        WritePretrainState(output_dir_, identity_, model_->values(), state_);
      }
      if (options_.on_step) {
        options_.on_step(step);
      }
    }
  }

  // The gradient of the mean over all rows is added up pass by pass, in the passes' order.
  void MakeStep(const Rows& rows) {
    const std::int64_t passes = (rows.inputs.size(0) + pass_rows_ - 1) / pass_rows_;
    const std::int64_t wave = options_.device.is_cpu() ? options_.threads : 1;
    at::Tensor gradient;
    at::Tensor loss;
    for (std::int64_t first = 0; first < passes; first += wave) {
      const std::int64_t count = std::min(wave, passes - first);
      std::vector<at::Tensor> losses(static_cast<std::size_t>(count));
      std::vector<at::Tensor> gradients(static_cast<std::size_t>(count));
      RunTasks(count, static_cast<int>(wave), [&](std::int64_t i) {
        const auto at = static_cast<std::size_t>(i);
        losses[at] = Pass(rows, first + i, &gradients[at]);
      });
      const c10::NoGradGuard no_grad;
      for (std::size_t i = 0; i < gradients.size(); ++i) {
        const bool is_first = !gradient.defined();
        gradient = is_first ? gradients[i] : gradient.add_(gradients[i]);
        loss = is_first ? losses[i] : loss.add_(losses[i]);
      }
    }
    norm_ = ClipGradient(gradient, options_.clip);
    StepAdamw(options_.adamw,
              schedule_.At(state_.adamw.steps + 1),
              model_->layout().matrix_values(),
              gradient,
              model_->values(),
              &state_.adamw);
    pending_.push_back(loss);
  }

  // One pass's loss and gradient, by its share of all rows.
  at::Tensor Pass(const Rows& rows, std::int64_t pass, at::Tensor* gradient) const {
    const std::int64_t all = rows.inputs.size(0);
    const std::int64_t begin = pass * pass_rows_;
    const std::int64_t count = std::min(pass_rows_, all - begin);
    const double share = static_cast<double>(count) / static_cast<double>(all);
    const at::Tensor loss = model_->Pass(
        rows.inputs.narrow(0, begin, count), rows.targets.narrow(0, begin, count), gradient);
    const c10::NoGradGuard no_grad;
    if (gradient != nullptr) {
      gradient->mul_(share);
    }
    return loss * share;
  }

  // Looks at the losses since the last time; what they show is told.
  void FetchLosses() {
    const at::Tensor losses = at::stack(pending_).to(at::kCPU);
    const std::int64_t step = state_.adamw.steps;
    const auto count = static_cast<std::int64_t>(pending_.size());
    pending_.clear();
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t at = step - count + 1 + i;
      watch_->Look(at, schedule_.At(at), losses.data_ptr<double>()[i]);
    }
    training_loss_ = losses.mean().item<double>();
    events_.Progress("train", step, options_.steps, "steps");
    events_.Metric("train/loss", training_loss_, "nats/token");
    events_.Metric("train/learning_rate", schedule_.At(step), "");
    events_.Metric("train/gradient_norm", norm_.item<double>(), "");
    events_.Metric("train/tokens_per_second", TokensPerSecond(), "tokens/s");
  }

  double TokensPerSecond() const {
    const std::int64_t steps = state_.adamw.steps - resumed_;
    return static_cast<double>(steps * options_.batch * options_.sequence_length) /
           SecondsSince(start_);
  }

  void Validate() {
    if (!validation_.inputs.defined()) {
      return;
    }
    const std::int64_t passes = (options_.validation_rows + pass_rows_ - 1) / pass_rows_;
    double loss = 0.0;
    for (std::int64_t pass = 0; pass < passes; ++pass) {
      loss += Pass(validation_, pass, nullptr).item<double>();
    }
    state_.curve.push_back({state_.adamw.steps, training_loss_, loss});
    events_.Metric("train/validation_loss", loss, "nats/token");
    events_.Log("info",
                "step " + std::to_string(state_.adamw.steps) + " of " +
                    std::to_string(options_.steps) + ": training loss " + Number(training_loss_) +
                    ", on held-out tasks " + Number(loss) + " nats a token");
  }

  nlohmann::json Publish() {
    {
      const c10::NoGradGuard no_grad;
      model_->values().copy_(model_->values().to(at::kHalf));
    }
    Validate();
    WriteModel(output_dir_, model_->layout(), model_->values(), source_.tokenizer_dir);
    const double seconds = SecondsSince(start_);
    nlohmann::json totals = {{"training_loss", training_loss_},
                             {"curve", ToJson(state_.curve)},
                             {"steps", state_.adamw.steps},
                             {"tokens", options_.steps * options_.batch * options_.sequence_length},
                             {"parameters", model_->layout().size()},
                             {"resumed_steps", resumed_},
                             {"pass_rows", pass_rows_},
                             {"seconds", seconds},
                             {"tokens_per_second", TokensPerSecond()},
                             {"threads", options_.threads}};
    if (!state_.curve.empty()) {
      totals["validation_loss"] = state_.curve.back().validation;
    }
    return totals;
  }

  void RemoveState() const { std::filesystem::remove(output_dir_ + "/" + kPretrainStateFile); }

  const PretrainSource& source_;
  const PretrainOptions& options_;
  const std::string& output_dir_;
  Events& events_;
  const std::shared_ptr<const Tokenizer> tokenizer_;
  const nlohmann::json identity_;
  Clock::time_point start_;
  std::optional<DenseModel> model_;
  std::optional<Corpus> corpus_;
  std::optional<LossWatch> watch_;
  Rows validation_;
  RateSchedule schedule_;
  PretrainState state_;
  std::int64_t pass_rows_ = 1;
  std::int64_t resumed_ = 0;
  std::vector<at::Tensor> pending_;  // Losses of the last steps, not yet looked at.
  at::Tensor norm_;                  // Of the last gradient.
  double training_loss_ = 0.0;       // Mean of the last steps that were looked at.
};

}  // namespace

nlohmann::json PretrainModel(const PretrainSource& source,
                             const PretrainOptions& options,
                             const std::string& output_dir,
                             Events& events) {
  CheckPretrainOptions(options);
  return Pretrainer(source, options, output_dir, events).Run();
}

}  // namespace bitsweep::engine
