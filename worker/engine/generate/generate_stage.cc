// The stage `generate`: benchmark and model in, completions.jsonl out.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <sys/resource.h>
#include <vector>

#include "worker/benchmark/record.h"
#include "worker/engine/checkpoint/atomic_file.h"
#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/device_list.h"
#include "worker/engine/error.h"
#include "worker/engine/generate/batch.h"
#include "worker/engine/generate/stages.h"
#include "worker/engine/host_memory.h"
#include "worker/engine/model/decoder.h"
#include "worker/engine/model/device_work.h"
#include "worker/engine/numerics.h"
#include "worker/engine/strict_object.h"
#include "worker/engine/tokenizer/tokenizer.h"

namespace bitsweep::engine {
namespace {

// Sequences at once. On the CPU more rows than this no longer make a step cheaper; on a GPU the
// cache decides first.
constexpr std::int64_t kSlotsMaxCpu = 256;
constexpr std::int64_t kSlotsMaxGpu = 1024;

// The cache may take this share of the memory that is available when the stage starts.
constexpr std::int64_t kCacheShareDivisor = 2;

// Events of progress for one stage: enough for a smooth bar, few enough for a study of thousands of
// samples.
constexpr std::int64_t kProgressEvents = 200;

struct GenerateSpec {
  std::string model_dir;
  std::string benchmark;
  std::string language;
  GenerationOptions options;
  std::int64_t slots = 0;  // 0: by memory.
  std::int64_t split = 0;  // Devices of one replica; 0: as few as hold it.
  WeightsForm weights = WeightsForm::kAuto;
  std::int64_t gpu_memory_mib = 0;  // 0: all that a GPU has.
};

WeightsForm ParseWeights(const std::string& text) {
  return text == "codes"      ? WeightsForm::kCodes
         : text == "expanded" ? WeightsForm::kExpanded
                              : WeightsForm::kAuto;
}

EarlyStop ParseEarlyStop(const std::string& text) {
  return text == "none"    ? EarlyStop::kNone
         : text == "class" ? EarlyStop::kClass
                           : EarlyStop::kFunction;
}

GenerateSpec ReadSpec(const StageSpec& spec) {
  constexpr std::int64_t kSamplesMax = 100'000;
  constexpr std::int64_t kTokensMax = 1 << 20;
  constexpr std::int64_t kSlotsMax = 1 << 16;
  constexpr std::int64_t kSplitMax = 64;
  constexpr std::int64_t kMebibytesMax = 1 << 24;
  GenerateSpec out;
  StrictObject members(spec.members, spec.where);
  StrictObject model = members.Object("model");
  out.model_dir = model.String("dir");
  model.Finish();
  StrictObject benchmark = members.Object("benchmark");
  out.benchmark = benchmark.String("file");
  out.language = benchmark.Choice("language", {"python", "java"});
  benchmark.Finish();
  StrictObject sampling = members.Object("sampling");
  out.options.samples = sampling.Int("samples", 1, kSamplesMax);
  out.options.sampling.temperature = sampling.Number("temperature", 0.0, 100.0);
  out.options.sampling.top_p = sampling.Number("top_p", 0.0, 1.0);
  if (out.options.sampling.top_p == 0.0) {
    sampling.Refuse("top_p", "found 0, want a number in (0, 1]");
  }
  out.options.tokens_max = sampling.Int("max_tokens_total", 2, kTokensMax);
  out.options.early_stop =
      ParseEarlyStop(sampling.ChoiceOr("early_stop", {"none", "class", "function"}, "class"));
  sampling.Finish();
  if (members.Has("batch")) {
    StrictObject batch = members.Object("batch");
    out.slots = batch.Has("slots") ? batch.Int("slots", 1, kSlotsMax) : 0;
    out.options.batch_invariant = batch.BoolOr("invariant", false);
    out.split = batch.IntOr("split", 1, kSplitMax, 0);
    out.weights = ParseWeights(batch.ChoiceOr("weights", {"auto", "expanded", "codes"}, "auto"));
    out.gpu_memory_mib = batch.IntOr("gpu_memory_mib", 1, kMebibytesMax, 0);
    batch.Finish();
  }
  members.Finish();
  out.options.seed = spec.seed;
  out.options.threads = spec.threads;
  return out;
}

std::vector<benchmark::Record> ReadRecords(const GenerateSpec& spec) {
  std::vector<benchmark::Record> records;
  try {
    records = benchmark::ReadBenchmark(spec.benchmark);
  } catch (const benchmark::BenchmarkError& error) {
    ThrowBadInput(error.what());
  }
  const std::string found = benchmark::LanguageName(records.at(0).language);
  if (spec.language != found) {
    ThrowBadInput(spec.benchmark + ": its problems are in " + found + ", the stage asks for " +
                  spec.language);
  }
  return records;
}

std::int64_t ChooseSlots(const GenerateSpec& spec, const DecoderModel& model, bool gpu) {
  if (spec.slots > 0) {
    return spec.slots;
  }
  if (gpu) {
    return kSlotsMaxGpu;
  }
  // Every thread has a staging slot more.
  const std::int64_t affordable =
      AvailableHostMemory() / kCacheShareDivisor / model.SlotBytes(spec.options.tokens_max);
  return std::clamp<std::int64_t>(affordable - spec.options.threads, 1, kSlotsMaxCpu);
}

std::vector<std::int64_t> EndOfTextIds(const Checkpoint& checkpoint, const Tokenizer& tokenizer) {
  std::vector<std::int64_t> ids = checkpoint.config().eos_token_ids;
  if (tokenizer.eos_id() >= 0 &&
      std::find(ids.begin(), ids.end(), tokenizer.eos_id()) == ids.end()) {
    ids.push_back(tokenizer.eos_id());
  }
  return ids;
}

std::vector<GenerationProblem> MakeProblems(const std::vector<benchmark::Record>& records,
                                            const Tokenizer& tokenizer,
                                            std::int64_t tokens_max) {
  std::vector<GenerationProblem> problems;
  for (const benchmark::Record& record : records) {
    problems.push_back({&record, MakePrompt(tokenizer, record.prompt, tokens_max)});
    if (problems.back().prompt.ids.empty()) {
      ThrowBadInput("problem " + record.name +
                    ": its prompt is empty and the tokenizer adds no beginning-of-text id");
    }
  }
  return problems;
}

void WriteCompletions(const std::string& path,
                      const std::vector<benchmark::Record>& records,
                      const std::vector<std::vector<GeneratedSample>>& results) {
  AtomicFile file(path);
  for (std::size_t problem = 0; problem < records.size(); ++problem) {
    for (std::size_t sample = 0; sample < results[problem].size(); ++sample) {
      const GeneratedSample& result = results[problem][sample];
      const nlohmann::ordered_json line = {{"name", records[problem].name},
                                           {"sample", sample},
                                           {"completion", result.text},
                                           {"tokens", result.tokens}};
      file.Write(line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
                 "\n");
    }
  }
  file.Commit();
}

nlohmann::json Summarize(const std::vector<GenerationProblem>& problems,
                         const std::vector<std::vector<GeneratedSample>>& results,
                         const GenerationOptions& options,
                         double seconds) {
  std::map<Finish, std::int64_t> finished;
  std::int64_t tokens = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t truncated = 0;
  for (std::size_t i = 0; i < problems.size(); ++i) {
    prompt_tokens += static_cast<std::int64_t>(problems[i].prompt.ids.size());
    truncated += problems[i].prompt.truncated ? 1 : 0;
    // Greedy samples are generated once; their copies cost nothing.
    tokens += options.sampling.temperature == 0.0 ? results[i].at(0).tokens : 0;
    for (const GeneratedSample& sample : results[i]) {
      tokens += options.sampling.temperature == 0.0 ? 0 : sample.tokens;
      ++finished[sample.finish];
    }
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return {{"tokens", tokens},
          {"prompt_tokens", prompt_tokens},
          {"seconds", seconds},
          {"peak_memory_bytes", std::int64_t{usage.ru_maxrss} * 1024},
          {"truncated_prompts", truncated},
          {"slots", options.slots},
          {"finished_by",
           {{"eos", finished[Finish::kEos]},
            {"stop", finished[Finish::kStop]},
            {"scanner", finished[Finish::kScanner]},
            {"length", finished[Finish::kLength]}}}};
}

std::string FormOf(const PlacedModel& placed) {
  return placed.weights.codes ? "codes" : "expanded";
}

nlohmann::json RunGenerate(const StageSpec& stage, Events& events) {
  GenerateSpec spec = ReadSpec(stage);
  const std::vector<benchmark::Record> records = ReadRecords(spec);
  const std::shared_ptr<const Checkpoint> checkpoint = Checkpoint::Open(spec.model_dir);
  const std::shared_ptr<const Tokenizer> tokenizer = Tokenizer::Load(spec.model_dir);
  const std::int64_t positions = checkpoint->config().max_position_embeddings;
  if (spec.options.tokens_max > positions) {
    ThrowBadInput(stage.where + ": /sampling/max_tokens_total: found " +
                  std::to_string(spec.options.tokens_max) + ", but " + spec.model_dir + " has " +
                  std::to_string(positions) + " positions");
  }
  const std::vector<GenerationProblem> problems =
      MakeProblems(records, *tokenizer, spec.options.tokens_max);
  const std::vector<at::Device> devices = DevicesOf(stage.numerics);
  if (spec.gpu_memory_mib > 0 && !devices[0].is_cuda()) {
    ThrowBadInput(stage.where + ": /batch/gpu_memory_mib: found " +
                  std::to_string(spec.gpu_memory_mib) +
                  " with device cpu; a limit of GPU memory wants device cuda");
  }
  for (const at::Device device : devices) {
    DeviceWork::LimitBytes(device, spec.gpu_memory_mib << 20);
  }
  const std::vector<PlacedModel> models =
      PlaceDecoderModels(*checkpoint, DtypeOf(stage.numerics), devices, spec.split, spec.weights);
  std::vector<Replica> replicas;
  for (const PlacedModel& placed : models) {
    replicas.push_back({*placed.model, placed.device, placed.decoders});
  }
  events.Log("info",
             "generates on " + DeviceNames(devices) + ": " + std::to_string(replicas.size()) +
                 " replicas of the model, weights " + FormOf(models[0]) + ": " +
                 models[0].weights.why);
  spec.options.slots = ChooseSlots(spec, *models[0].model, devices[0].is_cuda());

  const std::int64_t total = static_cast<std::int64_t>(problems.size()) * spec.options.samples;
  std::int64_t done = 0;
  events.Progress("generate", 0, total, "samples");
  const auto on_finished = [&](std::int64_t count) {
    const std::int64_t before = done * kProgressEvents / total;
    done += count;
    if (done * kProgressEvents / total != before) {
      events.Progress("generate", done, total, "samples");
    }
  };
  const auto started = std::chrono::steady_clock::now();
  const std::vector<std::vector<GeneratedSample>> results =
      GenerateAll(replicas,
                  *tokenizer,
                  EndOfTextIds(*checkpoint, *tokenizer),
                  problems,
                  spec.options,
                  on_finished);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();

  WriteCompletions(stage.output_dir + "/completions.jsonl", records, results);
  nlohmann::json summary = Summarize(problems, results, spec.options, seconds);
  summary["devices"] = devices.size();
  summary["replicas"] = replicas.size();
  summary["weights"] = FormOf(models[0]);
  summary["weights_reason"] = models[0].weights.why;
  events.Metric("tokens_per_second", summary["tokens"].get<double>() / seconds, "1/s");
  return summary;
}

}  // namespace

void RegisterGenerateStages(StageRegistry& registry) {
  registry.Add("generate", RunGenerate);
}

}  // namespace bitsweep::engine
