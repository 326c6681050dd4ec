#include "worker/engine/model/verbs.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/checkpoint/safetensors.h"
#include "worker/engine/error.h"
#include "worker/engine/model/decoder.h"
#include "worker/engine/model/llama.h"
#include "worker/engine/numerics.h"

namespace bitsweep::engine {
namespace {

struct LogitsOptions {
  std::string model_dir, input, output;
  std::int64_t greedy = -1;
};

// input_ids of the file as i64 [T].
at::Tensor ReadInputIds(const std::string& path) {
  const at::Tensor ids = SafetensorsFile::Open(path)->Get("input_ids");
  if (ids.dim() != 1 || ids.numel() == 0 ||
      (ids.scalar_type() != at::kInt && ids.scalar_type() != at::kLong)) {
    ThrowBadInput(path + ": input_ids must be [T] i32 or i64 with T >= 1, found " +
                  std::to_string(ids.dim()) + " dimensions of " + at::toString(ids.scalar_type()));
  }
  return ids.to(at::TensorOptions().dtype(at::kLong), /*non_blocking=*/false, /*copy=*/true);
}

// The ids and up to `count` greedy ones -> i32.
at::Tensor ContinueGreedily(const Checkpoint& checkpoint,
                            const Numerics& numerics,
                            const at::Tensor& input_ids,
                            std::int64_t count) {
  const ModelConfig& config = checkpoint.config();
  const std::shared_ptr<const DecoderModel> model =
      MakeDecoderModel(checkpoint, DtypeOf(numerics), DeviceOf(numerics));
  const std::int64_t* begin = input_ids.data_ptr<std::int64_t>();
  std::vector<std::int64_t> ids(begin, begin + input_ids.numel());
  const std::int64_t length_max =
      std::min(static_cast<std::int64_t>(ids.size()) + count, config.max_position_embeddings);
  const std::unique_ptr<Decoder> decoder =
      model->MakeDecoder({.slots = 1, .positions = length_max});
  at::Tensor logits = decoder->Prefill(ids);
  decoder->Place(0);
  while (static_cast<std::int64_t>(ids.size()) < length_max) {
    ids.push_back(logits[0].argmax().item<std::int64_t>());
    if (std::find(config.eos_token_ids.begin(), config.eos_token_ids.end(), ids.back()) !=
        config.eos_token_ids.end()) {
      break;
    }
    if (static_cast<std::int64_t>(ids.size()) < length_max) {
      logits = decoder->Step({ids.back()}, {static_cast<std::int64_t>(ids.size()) - 1});
    }
  }
  return at::tensor(ids, at::kLong).to(at::kInt);
}

void RunLogits(const LogitsOptions& options, const VerbContext& context) {
  const std::shared_ptr<const Checkpoint> checkpoint = Checkpoint::Open(options.model_dir);
  const at::Tensor ids = ReadInputIds(options.input);
  const at::Tensor logits =
      LlamaModel::Load(*checkpoint, DtypeOf(context.numerics), DeviceOf(context.numerics))
          ->Logits(ids.unsqueeze(0))[0];
  NamedTensors out = {{"logits", logits.cpu()}};
  if (options.greedy >= 0) {
    out.emplace_back("greedy",
                     ContinueGreedily(*checkpoint, context.numerics, ids, options.greedy));
  }
  WriteSafetensors(options.output, out);
}

}  // namespace

void RegisterModelVerbs(VerbRegistry& registry) {
  registry.AddDirect(
      "logits",
      "Logits of given tokens, and a greedy continuation",
      [](CLI::App& app) -> DirectVerb {
        const auto options = std::make_shared<LogitsOptions>();
        app.add_option("model", options->model_dir, "A model or checkpoint folder")->required();
        app.add_option("--input", options->input, "safetensors file with input_ids [T] i32")
            ->required();
        app.add_option("--output",
                       options->output,
                       "safetensors file to write: logits [T, V] f32, greedy i32")
            ->required();
        app.add_option(
               "--greedy", options->greedy, "Also write the input and up to N greedy tokens")
            ->check(CLI::NonNegativeNumber);
        return [options](const VerbContext& context) { RunLogits(*options, context); };
      });
}

}  // namespace bitsweep::engine
