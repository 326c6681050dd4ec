#include "worker/engine/quantize/model_quantizer.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <sys/resource.h>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "worker/engine/checkpoint/writer.h"
#include "worker/engine/device_list.h"
#include "worker/engine/error.h"
#include "worker/engine/model/device_work.h"
#include "worker/engine/quantize/block_pass.h"
#include "worker/engine/quantize/block_refinement.h"
#include "worker/engine/quantize/block_replicas.h"
#include "worker/engine/quantize/block_search.h"
#include "worker/engine/quantize/block_statistics.h"
#include "worker/engine/quantize/device_room.h"
#include "worker/engine/quantize/method_options.h"
#include "worker/engine/quantize/report.h"
#include "worker/engine/quantize/sharded_sequences.h"

namespace bitsweep::engine {
namespace {

using Clock = std::chrono::steady_clock;
using Linears = std::map<std::string, QuantizedLinear>;

double Since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::int64_t PeakMemoryBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::int64_t>(usage.ru_maxrss) * 1024;  // Linux counts kibibytes.
}

at::Tensor Ids(const std::vector<std::vector<std::int64_t>>& sequences,
               std::int64_t length,
               std::int64_t vocab_size) {
  at::Tensor ids = at::empty({static_cast<std::int64_t>(sequences.size()), length}, at::kLong);
  auto* out = ids.data_ptr<std::int64_t>();
  for (const auto& sequence : sequences) {
    for (const std::int64_t id : sequence) {
      if (id < 0 || id >= vocab_size) {
        ThrowBadInput("calibration: token id " + std::to_string(id) +
                      " is outside the model's vocabulary of " + std::to_string(vocab_size) +
                      "; tokenizer.json and config.json do not belong together");
      }
      *out++ = id;
    }
  }
  return ids;
}

class ModelQuantizer {
 public:
  ModelQuantizer(std::shared_ptr<const Checkpoint> source,
                 const CalibrationSet& calibration,
                 const ModelQuantizeOptions& options,
                 const std::string& output_dir,
                 Events& events)
      : source_(std::move(source)),
        config_(source_->config()),
        options_(options),
        calibration_(calibration),
        events_(events),
        writer_(output_dir,
                source_,
                {.codebooks = options.linear.codebooks,
                 .codebook_bits = options.linear.codebook_bits,
                 .group_size = options.linear.group_size}),
        search_(config_, options.linear, options.devices, options.seed, options.threads),
        journal_(output_dir, Identity()),
        block_(config_, calibration.sequence_length, options.devices, options.dtype) {}

  nlohmann::json Run() {
    const auto start = Clock::now();
    events_.Log("info",
                std::string("linears are quantized by: ") + search_.method().name + ", on " +
                    DeviceNames(options_.devices));
    Embed();
    const std::int64_t resumed = CountResumable();
    journal_.Truncate(resumed);
    linears_done_ = resumed * LinearsPerBlock();
    ReportProgress();
    for (std::int64_t layer = 0; layer < config_.num_layers; ++layer) {
      if (layer >= resumed) {
        block_.Load(*source_, layer);
        QuantizeBlock(layer);
      }
      Advance(layer);
    }
    writer_.Finish();
    const nlohmann::json totals = Totals(resumed, Since(start));
    journal_.Finish(totals);
    return totals;
  }

 private:
  static std::int64_t LinearsPerBlock() {
    return static_cast<std::int64_t>(ModelConfig::LinearNames().size());
  }

  // Everything that decides the result and is not the code itself.
  nlohmann::json Identity() const {
    nlohmann::json files = nlohmann::json::array();
    for (const std::string& file : source_->WeightFiles()) {
      files.push_back(file);
    }
    return {{"model_config", config_.raw},
            {"weight_files", files},
            {"method", MethodJson(options_.linear, options_.block_tuning)},
            {"seed", options_.seed},
            {"calibration",
             {{"digest", calibration_.digest},
              {"sequences", calibration_.train.size()},
              {"validation", calibration_.validation.size()},
              {"sequence_length", calibration_.sequence_length}}}};
  }

  // X of the first block: the embeddings.
  void Embed() {
    const auto divide = [&](const std::vector<std::vector<std::int64_t>>& windows) {
      return ShardedSequences(options_.devices,
                              static_cast<std::int64_t>(windows.size()),
                              calibration_.sequence_length,
                              config_.hidden_size,
                              options_.dtype);
    };
    RequireRoom();
    train_ = divide(calibration_.train);
    validation_ = divide(calibration_.validation);
    const std::int64_t length = calibration_.sequence_length;
    const at::Tensor train = Ids(calibration_.train, length, config_.vocab_size);
    const at::Tensor validation = Ids(calibration_.validation, length, config_.vocab_size);
    RunOnDevices(options_.devices, [&](std::size_t device) {
      // Looked up where they are used: the set is larger than the model.
      const at::Device here = options_.devices[device];
      const at::Tensor table =
          source_->Get("model.embed_tokens.weight").to(here, options_.dtype);
      EmbedShards(device, table, train, train_);
      EmbedShards(device, table, validation, validation_);
    });
  }

  static void EmbedShards(std::size_t device,
                          const at::Tensor& table,
                          const at::Tensor& ids,
                          const ShardedSequences& out) {
    for (std::size_t s = 0; s < out.shards().size(); ++s) {
      const SequenceShard& shard = out.shards()[s];
      // By sequences, so that no second copy of a shard is held.
      for (std::int64_t i = 0; i < shard.count && out.DeviceIndex(s) == device; ++i) {
        out.Shard(s).select(0, i).copy_(
            at::embedding(table, ids.select(0, shard.begin + i).to(table.device())));
      }
    }
  }

  void RequireRoom() const {
    const auto train = static_cast<std::int64_t>(calibration_.train.size());
    const auto validation = static_cast<std::int64_t>(calibration_.validation.size());
    const std::int64_t length = calibration_.sequence_length;
    const std::size_t devices = options_.devices.size();
    const bool gathers = WantsTargets() && devices > 1;
    RunOnDevices(options_.devices, [&](std::size_t device) {
      DeviceShare share = {
          .tokens = (SequencesOnDevice(DivideIntoShards(train, length), device, devices) +
                     SequencesOnDevice(DivideIntoShards(validation, length), device, devices)) *
                    length,
          .element = static_cast<std::int64_t>(c10::elementSize(options_.dtype)),
          .keeps_targets = WantsTargets(),
          .gathered_tokens = gathers && device == 0 ? (train + validation) * length : 0};
      for (std::size_t tap = 0; tap < kTapCount; ++tap) {
        share.totals[tap] = search_.spread().homes[tap] == device;
      }
      const at::Device here = options_.devices[device];
      RequireRoomForQuantization(
          QuantizeBytesAtLeast(config_, share), DeviceWork::FreeBytes(here), here.str());
    });
  }

  // Leading blocks that are on disk and in the journal. A later block without its predecessors is
  // useless: its inputs would have been other ones.
  std::int64_t CountResumable() const {
    std::int64_t layer = 0;
    while (layer < config_.num_layers && journal_.Has(layer) && writer_.HasBlock(layer)) {
      ++layer;
    }
    return layer;
  }

  void QuantizeBlock(std::int64_t layer) {
    auto start = Clock::now();
    BlockStatistics statistics(search_.Homes());
    ShardedSequences targets = Pass().Taps(train_, &statistics, WantsTargets());
    seconds_forward_ += Since(start);
    start = Clock::now();
    std::vector<LinearReport> reports;
    Linears linears = Search(layer, statistics, &reports);
    statistics = BlockStatistics();
    seconds_search_ += Since(start);
    const nlohmann::json refined =
        WantsTargets() ? Refine(layer, std::move(targets), linears) : nlohmann::json();
    const BlockWeights& weights = block_[0].weights;
    const std::string file = writer_.WriteBlock(
        layer, linears, {weights.input_layernorm, weights.post_attention_layernorm});
    journal_.Add(layer, std::move(reports), refined);
    events_.CheckpointFile(file);
  }

  bool WantsTargets() const { return options_.refinement || options_.block_tuning; }

  // Between search and publication: changes codebooks, scales and norms, on the first device.
  nlohmann::json Refine(std::int64_t layer, ShardedSequences targets, Linears& linears) {
    const auto start = Clock::now();
    const at::Tensor train_targets = targets.Whole();
    targets = ShardedSequences();
    const BlockRefinementInput input = {
        .layer = layer,
        .config = &config_,
        .rope = &block_[0].rope,
        .train_inputs = train_.Whole(),
        .train_targets = train_targets,
        .validation_inputs = validation_.Whole(),
        .validation_targets = Pass().Outputs(validation_).Whole(),
        .weights = &block_[0].weights,
        .linears = &linears};
    const nlohmann::json figures =
        options_.refinement
            ? options_.refinement(input)
            : TuneRefinedBlock(
                  input, *options_.block_tuning, options_.seed, options_.threads, events_);
    seconds_refinement_ += Since(start);
    return figures;
  }

  BlockPass Pass() const { return {.block = &block_, .threads = options_.threads}; }

  Linears Search(std::int64_t layer,
                 BlockStatistics& statistics,
                 std::vector<LinearReport>* reports) {
    const std::vector<LinearResult> results =
        search_.Run(layer, block_, statistics, [&] { LinearDone(); });
    Linears linears;
    for (std::size_t i = 0; i < results.size(); ++i) {
      const LinearResult& result = results[i];
      reports->push_back({.name = BlockSearch::LinearName(layer, i),
                          .out_features = result.shape.O,
                          .in_features = result.shape.I * result.shape.g,
                          .loss = result.loss,
                          .relative_loss = result.relative_loss(),
                          .epochs = result.epochs,
                          .seconds = result.seconds});
      events_.Metric("relative_loss/" + reports->back().name, reports->back().relative_loss, "1");
      linears[ModelConfig::LinearNames()[i]] = ToTensors(result);
    }
    return linears;
  }

  // X of the next block: this one as it is stored, on X.
  void Advance(std::int64_t layer) {
    const auto start = Clock::now();
    if (layer + 1 < config_.num_layers) {
      block_.LoadStored(writer_, layer);
      Pass().Advance(train_);
      Pass().Advance(validation_);
    }
    seconds_forward_ += Since(start);
  }

  void LinearDone() {
    const std::lock_guard<std::mutex> lock(progress_mutex_);
    ++linears_done_;
    ReportProgress();
  }

  void ReportProgress() {
    events_.Progress("quantize", linears_done_, config_.num_layers * LinearsPerBlock(), "linears");
  }

  nlohmann::json Totals(std::int64_t resumed, double seconds) const {
    const auto tokens =
        static_cast<std::int64_t>(calibration_.train.size()) * calibration_.sequence_length;
    return {{"relative_loss", journal_.MeanRelativeLoss()},
            {"seconds", seconds},
            {"seconds_forward", seconds_forward_},
            {"seconds_search", seconds_search_},
            {"seconds_refinement", seconds_refinement_},
            {"peak_memory_bytes", PeakMemoryBytes()},
            {"tokens", tokens},
            {"calibration_digest", calibration_.digest},
            {"linear_count", config_.num_layers * LinearsPerBlock()},
            {"resumed_blocks", resumed},
            {"threads", options_.threads},
            {"devices", options_.devices.size()}};
  }

  const std::shared_ptr<const Checkpoint> source_;
  const ModelConfig& config_;
  const ModelQuantizeOptions& options_;
  const CalibrationSet& calibration_;
  Events& events_;
  CheckpointWriter writer_;
  const BlockSearch search_;
  QuantizeJournal journal_;
  BlockReplicas block_;          // The one at work.
  ShardedSequences train_;       // X
  ShardedSequences validation_;  // X
  double seconds_forward_ = 0.0;
  double seconds_search_ = 0.0;
  double seconds_refinement_ = 0.0;
  std::mutex progress_mutex_;
  std::int64_t linears_done_ = 0;  // Guarded by progress_mutex_ while linears run side by side.
};

void CheckSource(const ModelConfig& config,
                 const std::string& dir,
                 const CalibrationSet& calibration,
                 const LinearQuantizeOptions& options) {
  if (config.aqlm.has_value()) {
    ThrowBadInput(dir + ": is quantized already (config.json has quantization_config)");
  }
  if (calibration.sequence_length > config.max_position_embeddings) {
    ThrowBadInput("calibration: sequence_length " + std::to_string(calibration.sequence_length) +
                  " is more than the model's " + std::to_string(config.max_position_embeddings) +
                  " positions (" + dir + "/config.json, max_position_embeddings)");
  }
  for (const std::string& name : ModelConfig::LinearNames()) {
    const std::int64_t in_features = config.LinearShape(name).second;
    if (in_features % options.group_size != 0) {
      ThrowBadInput(dir + ": " + name + " has " + std::to_string(in_features) +
                    " input features, not a multiple of group_size " +
                    std::to_string(options.group_size));
    }
  }
}

}  // namespace

nlohmann::json QuantizeModel(std::shared_ptr<const Checkpoint> source,
                             const CalibrationSet& calibration,
                             const ModelQuantizeOptions& options,
                             const std::string& output_dir,
                             Events& events) {
  CheckOptions(options.linear);
  CheckSource(source->config(), source->dir(), calibration, options.linear);
  for (const at::Device device : options.devices) {
    CheckNumerics(options.dtype, device);
  }
  return ModelQuantizer(std::move(source), calibration, options, output_dir, events).Run();
}

}  // namespace bitsweep::engine
