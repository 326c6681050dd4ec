#include "worker/engine/finetune/benches.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "worker/engine/calibration/sampling.h"
#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/error.h"
#include "worker/engine/finetune/held_out_kl.h"
#include "worker/engine/finetune/resident_memory.h"
#include "worker/engine/numerics.h"
#include "worker/engine/tokenizer/tokenizer.h"

namespace bitsweep::engine {
namespace {

// What is compared, in the order of the table: each goes on from the second.
constexpr const char* kPlain = "plain";
constexpr const char* kBlocks = "blocks";
constexpr const char* kEndToEnd = "end-to-end";
constexpr const char* kPv = "pv";

struct BenchFlags {
  std::string model, calibration, benchmark, output;
  std::vector<std::string> held_out;
  std::vector<std::int64_t> held_out_sequences = {24};
  std::int64_t sequences = 72, validation = 8, sequence_length = 512;
  std::int64_t samples = 10, max_tokens_total = 512;
  std::vector<std::uint64_t> seeds = {0, 1, 2};
  std::vector<std::string> what = {kPlain, kBlocks, kEndToEnd, kPv};
  std::string quantize = R"({"codebooks": 2, "codebook_bits": 8})";
  std::string block_tuning = "{}", finetune = "{}", pv = "{}";
};

std::string MemoryColumn(std::int64_t measured, const nlohmann::json& summary) {
  constexpr std::int64_t kMega = 1'000'000;
  return summary.contains("memory_bound_bytes")
             ? std::to_string(measured / kMega) + ", " +
                   std::to_string(summary.at("memory_bound_bytes").get<std::int64_t>() / kMega)
             : std::string();
}

class FinetuneBench {
 public:
  FinetuneBench(const BenchFlags& flags, const StageRegistry& stages, const VerbContext& context)
      : flags_(flags), stages_(stages), context_(context) {}

  void Run() {
    const auto tokenizer = Tokenizer::Load(flags_.model);
    std::string names;
    for (std::size_t i = 0; i < flags_.held_out.size(); ++i) {
      const std::filesystem::path file = flags_.held_out[i];
      names += (names.empty() ? "" : ", ") + file.filename().string();
      texts_.push_back(SampleCalibration({.parts = {{.file = flags_.held_out[i],
                                                     .sequences = flags_.held_out_sequences[i],
                                                     .window = WindowPolicy::kPack,
                                                     .min_tokens = 0}},
                                          .validation = 0,
                                          .sequence_length = flags_.sequence_length},
                                         *tokenizer,
                                         /*seed=*/0));
    }
    std::printf(
        "| seed | what | KL on %s | KL in the last epoch's training | epochs, the best | codes "
        "changed | memory and its bound, MB | seconds |\n"
        "|---|---|---|---|---|---|---|---|\n",
        names.c_str());
    for (const std::uint64_t seed : flags_.seeds) {
      const nlohmann::json quantize = nlohmann::json::parse(flags_.quantize);
      nlohmann::json tuned = quantize;
      tuned["block_tuning"] = nlohmann::json::parse(flags_.block_tuning);
      nlohmann::json end_to_end = {{"objective", "teacher-kl"}};
      end_to_end.update(nlohmann::json::parse(flags_.finetune));
      nlohmann::json pv = end_to_end;
      pv["objective"] = "pv-teacher-kl";
      pv.update(nlohmann::json::parse(flags_.pv));
      Quantize(seed, kPlain, quantize);
      Quantize(seed, kBlocks, tuned);
      Finetune(seed, kEndToEnd, end_to_end);
      Finetune(seed, kPv, pv);
    }
  }

 private:
  std::string Folder(std::uint64_t seed, const std::string& what) const {
    return AbsolutePath(flags_.output) + "/seed-" + std::to_string(seed) + "/" + what;
  }

  nlohmann::json RunStage(const char* kind,
                          std::uint64_t seed,
                          const std::string& folder,
                          const nlohmann::json& members) const {
    std::filesystem::create_directories(folder);
    StageSpec spec;
    spec.where = "bench finetune";
    spec.kind = kind;
    spec.numerics = context_.numerics;
    spec.threads = context_.threads;
    spec.seed = seed;
    spec.output_dir = folder;
    spec.members = members;
    Events events(-1);
    return stages_.stages().at(kind)(spec, events);
  }

  nlohmann::json Calibration() const {
    return {{"parts",
             {{{"file", AbsolutePath(flags_.calibration)},
               {"sequences", flags_.sequences},
               {"window", "pack"}}}},
            {"validation", flags_.validation},
            {"sequence_length", flags_.sequence_length}};
  }

  void Quantize(std::uint64_t seed, const char* what, const nlohmann::json& method) {
    Measure(seed, what, "quantize", {{"model", Model()}, {"method", method}});
  }

  void Finetune(std::uint64_t seed, const char* what, const nlohmann::json& method) {
    Measure(
        seed,
        what,
        "finetune",
        {{"model", {{"dir", Folder(seed, kBlocks)}}}, {"teacher", Model()}, {"method", method}});
  }

  nlohmann::json Model() const { return {{"dir", AbsolutePath(flags_.model)}}; }

  // One row: the stage, the KL of what it wrote, and completions to grade.
  void Measure(std::uint64_t seed, const char* what, const char* kind, nlohmann::json members) {
    if (std::find(flags_.what.begin(), flags_.what.end(), what) == flags_.what.end()) {
      return;
    }
    const auto start = std::chrono::steady_clock::now();
    const std::int64_t memory_before = ForgetPeakMemory();
    const std::string folder = Folder(seed, what);
    members["calibration"] = Calibration();
    const nlohmann::json summary = RunStage(kind, seed, folder, members);
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    const bool is_known = memory_before >= 0 && DeviceOf(context_.numerics).is_cpu();
    const std::string memory = is_known ? MemoryColumn(PeakMemory() - memory_before, summary) : "";
    std::string kl;
    for (const CalibrationSet& text : texts_) {
      std::array<char, 32> number{};
      std::snprintf(number.data(),
                    number.size(),
                    "%.5f",
                    HeldOutKl(*Checkpoint::Open(folder),
                              *Checkpoint::Open(flags_.model),
                              text,
                              DeviceOf(context_.numerics),
                              context_.threads));
      kl += (kl.empty() ? "" : ", ") + std::string(number.data());
    }
    const std::string epochs = summary.contains("best_epoch")
                                   ? std::to_string(summary.at("epochs").get<int>()) + ", " +
                                         std::to_string(summary.at("best_epoch").get<int>())
                                   : "";
    const bool has_curve = summary.contains("curve") && !summary.at("curve").empty();
    std::printf("| %llu | %s | %s | %.5f | %s | %.4f | %s | %.1f |\n",
                static_cast<unsigned long long>(seed),
                what,
                kl.c_str(),
                has_curve ? summary.at("curve").back().at("training").get<double>() : 0.0,
                epochs.c_str(),
                summary.value("codes_changed", 0.0),
                memory.c_str(),
                spent.count());
    std::fflush(stdout);
    if (!flags_.benchmark.empty()) {
      Generate(seed, what, "greedy", 1, 0.0, 1.0);
      Generate(seed, what, "sampled", flags_.samples, 0.2, 0.95);
    }
  }

  void Generate(std::uint64_t seed,
                const std::string& what,
                const std::string& how,
                std::int64_t samples,
                double temperature,
                double top_p) const {
    RunStage("generate",
             seed,
             Folder(seed, what + "-" + how),
             {{"model", {{"dir", Folder(seed, what)}}},
              {"benchmark", {{"file", AbsolutePath(flags_.benchmark)}, {"language", "python"}}},
              {"sampling",
               {{"samples", samples},
                {"temperature", temperature},
                {"top_p", top_p},
                {"max_tokens_total", flags_.max_tokens_total}}}});
  }

  const BenchFlags& flags_;
  const StageRegistry& stages_;
  const VerbContext& context_;
  std::vector<CalibrationSet> texts_;
};

DirectVerb Configure(CLI::App& app, const StageRegistry& stages) {
  const auto flags = std::make_shared<BenchFlags>();
  app.add_option("model", flags->model, "A full-precision model's folder")->required();
  app.add_option("--calibration", flags->calibration, "JSON lines {\"text\"}")->required();
  app.add_option("--sequences", flags->sequences, "Sequences, validation included")
      ->capture_default_str();
  app.add_option("--validation", flags->validation, "Sequences that choose the best epoch")
      ->capture_default_str();
  app.add_option("--sequence-length", flags->sequence_length)->capture_default_str();
  app.add_option("--held-out",
                 flags->held_out,
                 "Text that nothing is fitted to, JSON lines; several files by commas")
      ->delimiter(',')
      ->required();
  app.add_option("--held-out-sequences",
                 flags->held_out_sequences,
                 "Of each --held-out, by commas; one number for all")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--seeds", flags->seeds, "Of sampling and quantization")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--what", flags->what, "Which rows; fine-tuning goes on from the blocks' folder")
      ->delimiter(',')
      ->check(CLI::IsMember({kPlain, kBlocks, kEndToEnd, kPv}))
      ->capture_default_str();
  app.add_option("--quantize", flags->quantize, "Stage quantize's method, JSON")
      ->capture_default_str();
  app.add_option("--block-tuning", flags->block_tuning, "Its block_tuning, JSON")
      ->capture_default_str();
  app.add_option("--finetune", flags->finetune, "Stage finetune's method, JSON")
      ->capture_default_str();
  app.add_option("--pv", flags->pv, "What its method has further with pv-teacher-kl, JSON")
      ->capture_default_str();
  app.add_option("--benchmark", flags->benchmark, "Python problems: completions are written, too");
  app.add_option("--samples", flags->samples, "At temperature 0.2, beside a greedy one")
      ->capture_default_str();
  app.add_option("--max-tokens-total", flags->max_tokens_total)->capture_default_str();
  app.add_option("--output", flags->output, "A folder; what is finished there is not made again")
      ->required();
  return [flags, &stages](const VerbContext& context) {
    if (flags->held_out_sequences.size() == 1) {
      flags->held_out_sequences.resize(flags->held_out.size(), flags->held_out_sequences.front());
    }
    if (flags->held_out_sequences.size() != flags->held_out.size()) {
      ThrowBadInput("--held-out-sequences: " + std::to_string(flags->held_out_sequences.size()) +
                    " numbers for " + std::to_string(flags->held_out.size()) +
                    " files of --held-out; allowed is one number, or one for each file");
    }
    FinetuneBench(*flags, stages, context).Run();
  };
}

}  // namespace

void RegisterFinetuneBenches(BenchRegistry& benches, const StageRegistry& stages) {
  benches.Add("finetune",
              "Plain, block-tuned, end-to-end and PV-tuned: held-out KL and completions",
              [&stages](CLI::App& app) { return Configure(app, stages); });
}

}  // namespace bitsweep::engine
