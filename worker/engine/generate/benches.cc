#include "worker/engine/generate/benches.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/GradMode.h>

#include "worker/engine/device_list.h"
#include "worker/engine/error.h"
#include "worker/engine/generate/device_batch.h"
#include "worker/engine/generate/random_model.h"
#include "worker/engine/generate/step_meter.h"
#include "worker/engine/keyed_random.h"
#include "worker/engine/model/copy_bandwidth.h"
#include "worker/engine/model/decoder.h"
#include "worker/engine/model/device_work.h"
#include "worker/engine/numerics.h"

namespace bitsweep::engine {
namespace {

struct BenchFlags {
  std::int64_t layers = 32, hidden = 4096, heads = 32, kv_heads = 32, intermediate = 11008,
               vocab = 32016;
  std::int64_t problems = 128, samples = 1, prompt = 200, spread = 0, fresh = 128, mean = 0, slots = 1024,
               pages = 0;
  double temperature = 0.2, top_p = 0.95;
  std::uint64_t seed = 0;
  int repeats = 1;
  std::int64_t split = 1;
  bool batch_invariant = false;
  std::string weights = "expanded";
  std::int64_t codebooks = 1, codebook_bits = 15, group_size = 8, gpu_memory_mib = 0;
  std::string json, tokens;
};

ModelConfig MakeConfig(const BenchFlags& flags) {
  ModelConfig config;
  config.hidden_size = flags.hidden;
  config.intermediate_size = flags.intermediate;
  config.num_layers = flags.layers;
  config.num_heads = flags.heads;
  config.num_kv_heads = flags.kv_heads;
  config.head_dim = flags.hidden / flags.heads;
  config.vocab_size = flags.vocab;
  config.max_position_embeddings = flags.prompt + flags.spread + flags.fresh;
  if (flags.hidden % flags.heads != 0 || flags.heads % flags.kv_heads != 0) {
    ThrowBadInput("--hidden must be a multiple of --heads, and --heads one of --kv-heads");
  }
  if (flags.weights == "codes") {
    config.aqlm = AqlmConfig{.codebooks = static_cast<int>(flags.codebooks),
                             .codebook_bits = static_cast<int>(flags.codebook_bits),
                             .group_size = static_cast<int>(flags.group_size)};
    if (flags.hidden % flags.group_size != 0 || flags.intermediate % flags.group_size != 0) {
      ThrowBadInput("--hidden and --intermediate must be multiples of --group-size");
    }
  }
  return config;
}

std::vector<std::vector<std::int64_t>> RandomPrompts(const BenchFlags& flags) {
  std::vector<std::vector<std::int64_t>> prompts;
  for (std::int64_t i = 0; i < flags.problems; ++i) {
    KeyedRandom random({flags.seed, static_cast<std::uint64_t>(i)});
    const auto below = [&](std::int64_t bound) {
      return static_cast<std::int64_t>(random.Below(static_cast<std::uint64_t>(bound)));
    };
    const std::int64_t length = flags.prompt - flags.spread + below(2 * flags.spread + 1);
    prompts.emplace_back();
    while (static_cast<std::int64_t>(prompts.back().size()) < length) {
      prompts.back().push_back(3 + below(flags.vocab - 3));
    }
  }
  return prompts;
}

// Tokens of each completion, [problem][sample].
std::vector<std::vector<std::int64_t>> Lengths(const BenchFlags& flags) {
  std::vector<std::vector<std::int64_t>> lengths(static_cast<std::size_t>(flags.problems));
  for (std::size_t problem = 0; problem < lengths.size(); ++problem) {
    KeyedRandom random({flags.seed, static_cast<std::uint64_t>(problem), 1});
    for (std::int64_t sample = 0; sample < flags.samples; ++sample) {
      const double draw = (static_cast<double>(random.Below(1 << 20)) + 0.5) / (1 << 20);
      const double length = -std::log(draw) * static_cast<double>(flags.mean);
      lengths[problem].push_back(
          flags.mean == 0 ? flags.fresh
                          : std::clamp<std::int64_t>(std::llround(length), 1, flags.fresh));
    }
  }
  return lengths;
}

// What every loop works on.
struct Workload {
  ModelConfig config;
  std::vector<std::vector<std::int64_t>> prompts;
  std::vector<std::vector<std::int64_t>> lengths;  // Of the completions: [problem][sample].
  std::vector<DeviceDecoder> decoders;
};

void RunMetered(const BenchFlags& flags,
                const Workload& work,
                std::size_t number,
                ProblemQueue& queue,
                StepMeter& meter) {
  DeviceLoop loop = {.decoder = *work.decoders[number].decoder,
                     .prompts = {},
                     .samples = flags.samples,
                     .tokens_max = flags.prompt + flags.spread + flags.fresh,
                     .key =
                         [](std::size_t problem, std::int64_t sample) {
                           return kernels::DrawKey{static_cast<std::uint32_t>(problem),
                                                   0,
                                                   static_cast<std::uint32_t>(sample),
                                                   0};
                         },
                     .accept =
                         [&](std::vector<DeviceLoop::Token>& tokens) { meter.Accept(tokens); },
                     .queue = &queue,
                     .number = number};
  for (const std::vector<std::int64_t>& prompt : work.prompts) {
    loop.prompts.push_back(&prompt);
  }
  try {
    loop.Run();
  } catch (...) {
    queue.Stop();
    throw;
  }
}

// Generates every sequence up to its length.
Measured Measure(const BenchFlags& flags, const Workload& work, Completions& completions) {
  completions.assign(
      work.prompts.size(),
      std::vector<std::vector<std::int64_t>>(static_cast<std::size_t>(flags.samples)));
  ProblemQueue queue(work.prompts.size(), work.decoders.size(), flags.samples);
  std::vector<at::Device> devices;
  for (const DeviceDecoder& decoder : work.decoders) {
    devices.push_back(decoder.device);
  }
  std::vector<StepMeter> meters(devices.size(),
                                StepMeter(work.config, work.prompts, work.lengths, completions));
  const auto begin = std::chrono::steady_clock::now();
  RunOnDevices(devices,
               [&](std::size_t number) { RunMetered(flags, work, number, queue, meters[number]); });
  Measured all;
  all.seconds = SecondsSince(begin);
  const auto append = [](auto& to, const auto& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  for (const StepMeter& meter : meters) {
    all.tokens += meter.measured().tokens;
    append(all.steps, meter.measured().steps);
    append(all.bytes, meter.measured().bytes);
    append(all.shared, meter.measured().shared);
    append(all.live, meter.measured().live);
  }
  return all;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0.0 : values[values.size() / 2];
}

std::string FormOf(const BenchFlags& flags) {
  return flags.weights != "codes" ? flags.weights
                                  : "codes " + std::to_string(flags.codebooks) + "x" +
                                        std::to_string(flags.codebook_bits);
}

nlohmann::ordered_json Row(const BenchFlags& flags,
                           const Measured& measured,
                           std::size_t devices,
                           double bandwidth,
                           double start_seconds) {
  std::vector<double> share, shared;
  double floor = 0.0;
  for (std::size_t i = 0; i < measured.steps.size(); ++i) {
    share.push_back(measured.bytes[i] / bandwidth / measured.steps[i]);
    shared.push_back(measured.shared[i] / bandwidth / measured.steps[i]);
    floor += measured.bytes[i] / bandwidth;
  }
  return {{"weights", FormOf(flags)},
          {"devices", devices},
          {"problems", flags.problems},
          {"samples", flags.samples},
          {"prompt", flags.prompt},
          {"new", flags.fresh},
          {"mean", flags.mean},
          {"tokens", measured.tokens},
          {"live_max", *std::max_element(measured.live.begin(), measured.live.end())},
          {"steps", measured.steps.size()},
          {"start_seconds", start_seconds},
          {"seconds", measured.seconds},
          {"tokens_per_second", static_cast<double>(measured.tokens) / measured.seconds},
          {"step_ms_median", 1e3 * Median(measured.steps)},
          {"roofline_share_steps", Median(share)},
          {"roofline_share_steps_prompts_once", Median(shared)},
          {"roofline_share_all", floor / measured.seconds / static_cast<double>(devices)},
          {"copy_gigabytes_per_second", bandwidth / 1e9}};
}

void Print(const nlohmann::ordered_json& row, bool head) {
  if (head) {
    std::puts(
        "| weights | GPUs | problems x samples | prompt + new | at once | seconds | tokens/s | ms a "
        "step | "
        "of the "
        "roofline, step | prompts counted once | whole run | copy GB/s |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|---|");
  }
  std::printf(
      "| %s | %lld | %lld x %lld | %lld + %lld | %lld | %.3f | %.0f | %.3f | %.1f%% | %.1f%% | "
      "%.1f%% | %.0f |\n",
      row["weights"].get<std::string>().c_str(),
      row["devices"].get<long long>(),
      row["problems"].get<long long>(),
      row["samples"].get<long long>(),
      row["prompt"].get<long long>(),
      row["new"].get<long long>(),
      row["live_max"].get<long long>(),
      row["seconds"].get<double>(),
      row["tokens_per_second"].get<double>(),
      row["step_ms_median"].get<double>(),
      100.0 * row["roofline_share_steps"].get<double>(),
      100.0 * row["roofline_share_steps_prompts_once"].get<double>(),
      100.0 * row["roofline_share_all"].get<double>(),
      row["copy_gigabytes_per_second"].get<double>());
  std::fflush(stdout);
}

// A replica for each device, or group of devices; each draws its own weights, which are the same on
// one model of device.
Workload MakeWorkload(const BenchFlags& flags, const VerbContext& context) {
  Workload work = {.config = MakeConfig(flags),
                   .prompts = RandomPrompts(flags),
                   .lengths = Lengths(flags),
                   .decoders = {}};
  const std::vector<at::Device> devices = DevicesOf(context.numerics);
  const auto loops = static_cast<std::int64_t>(devices.size());
  if (loops % flags.split != 0 || flags.split > flags.layers) {
    ThrowBadInput("--split must divide the number of devices (" + std::to_string(loops) +
                  ") and be at most --layers");
  }
  DecoderOptions options = {
      .slots = std::min(flags.slots, (flags.problems + loops - 1) / loops * flags.samples),
      .positions = work.config.max_position_embeddings,
      .batch_invariant = flags.batch_invariant,
      .pages_max = flags.pages};
  for (const at::Device device : devices) {
    DeviceWork::LimitBytes(device, flags.gpu_memory_mib << 20);
  }
  for (auto group = devices.begin(); group != devices.end(); group += flags.split) {
    const c10::DeviceGuard guard(*group);
    const std::shared_ptr<const DecoderModel> model = MakePagedDecoderModel(
        RandomModel(
            work.config, flags.seed, DtypeOf(context.numerics), {group, group + flags.split}),
        EvenStretches(flags.layers, flags.split));
    if (model == nullptr) {
      ThrowBadInput(
          "bench generate needs --dtype f16 or bf16, a head size of 32, 64, 96 or 128, and on a "
          "GPU "
          "compute capability 9.0");
    }
    for (options.memory_divisor = flags.split; options.memory_divisor > 0;
         --options.memory_divisor) {
      work.decoders.push_back(
          {model->MakeBatchDecoder(
               options,
               {.temperature = flags.temperature, .top_p = flags.top_p, .seed = flags.seed}),
           *group});
    }
  }
  return work;
}

void RunBench(const BenchFlags& flags, const VerbContext& context) {
  const c10::NoGradGuard no_grad;
  const double bandwidth = CopyBandwidth(DeviceOf(context.numerics));
  const auto begin = std::chrono::steady_clock::now();
  const Workload work = MakeWorkload(flags, context);
  const double start_seconds = SecondsSince(begin);
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  Completions completions;
  for (int repeat = 0; repeat < flags.repeats; ++repeat) {
    const Measured measured = Measure(flags, work, completions);
    rows.push_back(Row(flags, measured, work.decoders.size(), bandwidth, start_seconds));
    Print(rows.back(), repeat == 0);
  }
  if (!flags.json.empty()) {
    std::ofstream(flags.json) << rows.dump(1) << "\n";
  }
  if (!flags.tokens.empty()) {
    const nlohmann::json tokens = {{"prompts", work.prompts}, {"completions", completions}};
    std::ofstream(flags.tokens) << tokens.dump() << "\n";
  }
}

DirectVerb ConfigureGenerate(CLI::App& app) {
  const auto flags = std::make_shared<BenchFlags>();
  const auto count = [&](const char* name, std::int64_t& value, const char* what) {
    app.add_option(name, value, what)->check(CLI::PositiveNumber)->capture_default_str();
  };
  count("--problems", flags->problems, "Prompts, all different");
  count("--samples", flags->samples, "Sequences of each prompt");
  count("--prompt", flags->prompt, "Tokens of a prompt");
  app.add_option("--spread", flags->spread, "Prompts are longer or shorter by up to this")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  count("--new", flags->fresh, "Tokens of a completion");
  app.add_option("--mean",
                 flags->mean,
                 "Completions end at random, after so many tokens in the mean, at --new at the "
                 "latest; 0: at --new")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  count("--slots", flags->slots, "Sequences at once, where memory allows");
  app.add_option("--pages", flags->pages, "Of the cache, at most; 0: as memory allows")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  count("--split", flags->split, "GPUs that the layers of one replica are divided over");
  app.add_flag("--batch-invariant", flags->batch_invariant, "As of generate");
  app.add_option("--weights", flags->weights, "Dense ones, or random codes and codebooks")
      ->check(CLI::IsMember({"expanded", "codes"}))
      ->capture_default_str();
  count("--codebooks", flags->codebooks, "With --weights codes");
  app.add_option("--codebook-bits", flags->codebook_bits, "With --weights codes")
      ->check(CLI::Range(1, 16))
      ->capture_default_str();
  count("--group-size", flags->group_size, "With --weights codes");
  app.add_option("--gpu-memory-limit", flags->gpu_memory_mib, "As of generate, MiB")
      ->check(CLI::PositiveNumber);
  app.add_option("--temperature", flags->temperature, "0: greedy")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--top-p", flags->top_p, "In (0, 1]")->capture_default_str();
  app.add_option("--seed", flags->seed, "Of weights, prompts and draws")->capture_default_str();
  app.add_option("--repeats", flags->repeats, "Runs; each prints a row")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  count("--layers", flags->layers, "Of the model");
  count("--hidden", flags->hidden, "Of the model");
  count("--heads", flags->heads, "Of the model");
  count("--kv-heads", flags->kv_heads, "Of the model");
  count("--intermediate", flags->intermediate, "Of the model");
  count("--vocab", flags->vocab, "Of the model");
  app.add_option("--json", flags->json, "Also write the rows to this file");
  app.add_option("--tokens", flags->tokens, "Write the last run's prompts and completions");
  return [flags](const VerbContext& context) { RunBench(*flags, context); };
}

}  // namespace

void RegisterGenerateBenches(BenchRegistry& benches) {
  benches.Add("generate", "Generate with a model of random weights", ConfigureGenerate);
  benches.Add("codebooks", "Multiply by weights that are kept as codes", ConfigureCodebookBench);
}

}  // namespace bitsweep::engine
