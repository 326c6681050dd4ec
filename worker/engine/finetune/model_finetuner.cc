#include "worker/engine/finetune/model_finetuner.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <vector>

#include <ATen/ATen.h>

#include "worker/engine/checkpoint/atomic_file.h"
#include "worker/engine/checkpoint/digest.h"
#include "worker/engine/checkpoint/sha256.h"
#include "worker/engine/checkpoint/writer.h"
#include "worker/engine/error.h"
#include "worker/engine/finetune/block_tuning.h"
#include "worker/engine/finetune/finetune_inputs.h"
#include "worker/engine/finetune/memory_bound.h"
#include "worker/engine/finetune/step_line.h"
#include "worker/engine/finetune/student.h"
#include "worker/engine/finetune/teacher.h"
#include "worker/engine/finetune/train_state_file.h"
#include "worker/engine/finetune/trainer.h"
#include "worker/engine/host_memory.h"
#include "worker/engine/tasks.h"

namespace bitsweep::engine {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr const char* kReportFile = "report.json";

std::string ShortNumber(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.5g", value);
  return text;
}

class ModelFinetuner {
 public:
  ModelFinetuner(std::shared_ptr<const Checkpoint> student,
                 std::shared_ptr<const Checkpoint> teacher,
                 const CalibrationSet& calibration,
                 const ModelFinetuneOptions& options,
                 const std::string& output_dir,
                 Events& events)
      : source_(std::move(student)),
        teacher_source_(std::move(teacher)),
        calibration_(calibration),
        options_(options),
        output_dir_(output_dir),
        events_(events),
        identity_(Identity()) {}

  nlohmann::json Run() {
    if (const std::optional<nlohmann::json> finished = FinishedTotals()) {
      RemoveState();
      return *finished;
    }
    const auto start = Clock::now();
    // What cannot be written there is found before anything is trained.
    CheckpointWriter writer(
        output_dir_, teacher_source_, *source_->config().aqlm, Sha256Hex(identity_.dump()));
    ids_ = AllIds(calibration_, source_->config().vocab_size);
    student_.emplace(*source_,
                     calibration_.sequence_length,
                     at::kFloat,
                     options_.device,
                     /*bf16_products=*/options_.method.products == Products::kBf16);
    if (MovesCodes()) {
      // A product's last bits may depend on how many threads make it, and codes on them.
      const OneTorchThread one_thread;
      student_->OfferCodes(*teacher_source_, options_.method.codes);
    }
    teacher_.emplace(Teacher::Load(*teacher_source_, options_.device),
                     ids_,
                     TeacherOptions{.tf32 = options_.method.products == Products::kBf16,
                                    .host_bytes_max = HostBytesForTeacher()});
    events_.Log("info",
                "the teacher's hidden states of " + std::to_string(teacher_->kept()) + " of " +
                    std::to_string(ids_.size(0)) + " sequences are kept");
    Describe();
    TrainState state;
    const bool goes_on = ReadTrainState(output_dir_, identity_, &state, student_->parameters());
    const std::int64_t resumed = goes_on ? state.epochs() : 0;
    if (goes_on) {
      events_.Log("info", "going on after epoch " + std::to_string(resumed));
    }
    training_since_ = Clock::now();
    resumed_epochs_ = resumed;
    state = Train(problem_, train_options_, std::move(state), Observer());
    nlohmann::json totals = Publish(state, writer);
    totals["resumed_epochs"] = resumed;
    totals["seconds"] = std::chrono::duration<double>(Clock::now() - start).count();
    WriteReport(totals);
    RemoveState();
    return totals;
  }

 private:
  // Everything that decides the result and is not the code itself.
  nlohmann::json Identity() const {
    nlohmann::json method = ToJson(options_.method);
    method.erase("gradient_checkpointing");  // It changes no bit of the result.
    return {{"kind", "finetune"},
            {"teacher_config", teacher_source_->config().raw},
            {"teacher_files", teacher_source_->WeightFiles()},
            {"student_digest", DigestOf(*source_)},
            {"method", method},
            {"seed", options_.seed},
            {"calibration_digest", calibration_.digest}};
  }

  std::optional<nlohmann::json> FinishedTotals() const {
    std::ifstream file(output_dir_ + "/" + kReportFile, std::ios::binary);
    const nlohmann::json report = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
    if (!report.is_object() || report.value("identity", nlohmann::json()) != identity_ ||
        !fs::exists(output_dir_ + "/" + kIndexFileName)) {
      return std::nullopt;
    }
    Checkpoint::Open(output_dir_);  // Throws where it has been damaged since.
    return report.at("totals");
  }

  // What the trainer is to do.
  void Describe() {
    const std::int64_t length = calibration_.sequence_length;
    const bool on_cpu = options_.device.is_cpu();
    train_options_ = {
        .learning_rate = options_.method.learning_rate,
        .learning_rate_end = options_.method.learning_rate_end,
        .epochs = options_.method.epochs,
        .early_stop = options_.method.early_stop,
        .batch = options_.method.batch,
        .pass_sequences = on_cpu ? 1
                                 : std::min(options_.method.batch,
                                            std::max<std::int64_t>(1, kDevicePassTokens / length)),
        .threads = on_cpu ? options_.threads : 1,
        .code_learning_rate = options_.method.codes.learning_rate,
        .code_settled = options_.method.codes.settled};
    const std::int64_t side_by_side =
        std::min<std::int64_t>(train_options_.threads, options_.method.batch);
    const std::int64_t kept =
        side_by_side * student_->KeptGraphBytes(train_options_.pass_sequences * length, length);
    recompute_ = options_.method.checkpointing == GradientCheckpointing::kOn ||
                 (options_.method.checkpointing == GradientCheckpointing::kAuto &&
                  kept > kKeptGraphBytesMax);
    problem_.name = "the model";
    problem_.seed = options_.seed;
    for (Parameter* parameter : student_->parameters()) {
      problem_.parameters.push_back(parameter);
      problem_.is_trained.push_back(IsTrained(parameter->part));
    }
    NumberSequences(static_cast<std::int64_t>(calibration_.train.size()),
                    static_cast<std::int64_t>(calibration_.validation.size()),
                    &problem_);
    problem_.pass = [this](const std::vector<std::int64_t>& sequences, Gradients* gradients) {
      const TeacherStates teacher = {.hidden = teacher_->Hidden(sequences),
                                     .head = teacher_->head()};
      return student_->Pass(
          ids_.index_select(0, at::tensor(sequences, at::kLong)), teacher, recompute_, gradients);
    };
    if (MovesCodes()) {
      problem_.codes = {
          .soften = [this](double temperature) { student_->SoftenCodes(temperature); },
          .settle = [this] { student_->SettleCodes(); },
          .restore = [this] { student_->RestoreCodes(); }};
    }
  }

  // On a GPU the host has little else to hold. On the CPU the memory bound counts what is kept.
  std::int64_t HostBytesForTeacher() const {
    return options_.device.is_cpu() ? 0 : AvailableHostMemory() / 2;
  }

  std::int64_t MemoryBound() const {
    const bool on_cpu = options_.device.is_cpu();
    return FinetuneMemoryBound({.config = source_->config(),
                                .parameters = problem_.parameters,
                                .is_trained = problem_.is_trained,
                                .sequences = ids_.size(0),
                                .length = calibration_.sequence_length,
                                .batch = options_.method.batch,
                                .pass_sequences = train_options_.pass_sequences,
                                .threads = train_options_.threads,
                                .kept_graph_bytes = student_->KeptGraphBytes(
                                    train_options_.pass_sequences * calibration_.sequence_length,
                                    calibration_.sequence_length),
                                .recompute = recompute_,
                                .on_cpu = on_cpu,
                                .teacher_value_bytes = teacher_->head().element_size(),
                                .codes = options_.method.codes,
                                .code_bytes = student_->CodeBytes()});
  }

  bool MovesCodes() const { return options_.method.objective == FinetuneObjective::kPvTeacherKl; }

  bool IsTrained(TrainedPart part) const {
    if (part == TrainedPart::kCodes) {
      return MovesCodes();
    }
    const std::set<TrainedPart>& train = options_.method.train;
    // A table that is both moves when either is asked for.
    return train.count(part) != 0 ||
           (part == TrainedPart::kEmbeddings && source_->config().tie_word_embeddings &&
            train.count(TrainedPart::kLmHead) != 0);
  }

  TrainObserver Observer() {
    TrainObserver observer;
    const auto count = static_cast<std::int64_t>(calibration_.train.size());
    observer.on_step = [this, count](
                           std::int64_t epoch, std::int64_t step, std::int64_t steps, double loss) {
      const std::int64_t done = (epoch - 1) * count + std::min(count, step * options_.method.batch);
      const std::int64_t total = options_.method.epochs * count;
      const std::chrono::duration<double> spent = Clock::now() - training_since_;
      events_.Annotate(
          DescribeStep({.epoch = epoch,
                        .epochs = options_.method.epochs,
                        .step = step,
                        .steps = steps,
                        .loss = loss,
                        .tokens = (done - resumed_epochs_ * count) * calibration_.sequence_length,
                        .tokens_left = (total - done) * calibration_.sequence_length,
                        .seconds = spent.count()}));
      events_.Progress("finetune", done, total, "sequences");
      if (options_.on_step) {
        options_.on_step(epoch, step);
      }
    };
    observer.on_epoch = [this](const TrainState& state) {
      if (state.curve.empty()) {
        training_since_ = Clock::now();  // The untrained state has been measured.
      }
      Tell(state);
      WriteTrainState(output_dir_, identity_, state, student_->parameters());
    };
    return observer;
  }

  void Tell(const TrainState& state) {
    const bool is_first = state.curve.empty();
    const double measured = is_first ? state.untrained : state.curve.back().measured;
    events_.Metric(std::string("finetune/kl_") + MeasuredOn(), measured, "nats/token");
    std::string text = is_first ? "untrained" : "epoch " + std::to_string(state.epochs());
    if (!is_first) {
      events_.Metric("finetune/kl_training", state.curve.back().train, "nats/token");
      text += " of " + std::to_string(options_.method.epochs) + ": KL while training " +
              ShortNumber(state.curve.back().train);
    }
    events_.Log("info",
                text + ": KL on " + MeasuredOn() + " sequences " + ShortNumber(measured) +
                    (state.best_epoch == state.epochs() ? ", the best so far" : ""));
  }

  const char* MeasuredOn() const {
    return calibration_.validation.empty() ? "train" : "validation";
  }

  nlohmann::json Publish(const TrainState& state, CheckpointWriter& writer) {
    student_->RoundToStored();
    events_.Annotate("");
    const double after = MeasureLoss(problem_, train_options_, problem_.measured);
    const std::int64_t sequences =
        options_.method.epochs * static_cast<std::int64_t>(calibration_.train.size());
    student_->Write(writer);
    events_.Progress("finetune", sequences, sequences, "sequences");
    nlohmann::json curve = nlohmann::json::array();
    for (const EpochLosses& epoch : state.curve) {
      curve.push_back({{"training", epoch.train}, {MeasuredOn(), epoch.measured}});
    }
    nlohmann::json totals = {
        {"kl_before", state.untrained},
        {"kl_after", after},
        {"kl_on", MeasuredOn()},
        {"curve", curve},
        {"epochs", state.epochs()},
        {"best_epoch", state.best_epoch},
        {"steps", state.steps},
        {"tokens",
         state.epochs() * static_cast<std::int64_t>(calibration_.train.size()) *
             calibration_.sequence_length},
        {"calibration_digest", calibration_.digest},
        {"recomputed_graphs", recompute_},
        {"memory_bound_bytes", MemoryBound()},
        {"threads", options_.threads}};
    if (MovesCodes()) {
      totals["codes_changed"] = ShareOfCodesChanged();
    }
    return totals;
  }

  double ShareOfCodesChanged() const {
    std::int64_t changed = 0;
    std::int64_t all = 0;
    for (const auto& [linear, codes] : student_->Codes()) {
      changed += (codes != source_->GetQuantized(linear).codes).sum().item<std::int64_t>();
      all += codes.numel();
    }
    return static_cast<double>(changed) / static_cast<double>(all);
  }

  void WriteReport(const nlohmann::json& totals) const {
    const nlohmann::json report = {{"format", 1}, {"identity", identity_}, {"totals", totals}};
    WriteFileAtomically(output_dir_ + "/" + kReportFile, report.dump(1) + "\n");
  }

  void RemoveState() const { fs::remove(output_dir_ + "/" + kTrainStateFile); }

  const std::shared_ptr<const Checkpoint> source_;
  const std::shared_ptr<const Checkpoint> teacher_source_;
  const CalibrationSet& calibration_;
  const ModelFinetuneOptions& options_;
  const std::string& output_dir_;
  Events& events_;
  const nlohmann::json identity_;
  at::Tensor ids_;  // [sequences, T], training first.
  std::optional<Student> student_;
  std::optional<Teacher> teacher_;
  TrainProblem problem_;
  TrainOptions train_options_;
  bool recompute_ = false;
  Clock::time_point training_since_;  // Of this process, measuring before the first step left out.
  std::int64_t resumed_epochs_ = 0;
};

}  // namespace

nlohmann::json FinetuneModel(std::shared_ptr<const Checkpoint> student,
                             std::shared_ptr<const Checkpoint> teacher,
                             const CalibrationSet& calibration,
                             const ModelFinetuneOptions& options,
                             const std::string& output_dir,
                             Events& events) {
  CheckPair(*student, *teacher, calibration);
  CheckNumerics(at::kFloat, options.device);
  return ModelFinetuner(
             std::move(student), std::move(teacher), calibration, options, output_dir, events)
      .Run();
}

}  // namespace bitsweep::engine
