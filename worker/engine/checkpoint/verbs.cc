#include "worker/engine/checkpoint/verbs.h"

#include <CLI/CLI.hpp>
#include <cstdint>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "worker/engine/checkpoint/atomic_file.h"
#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/checkpoint/convert.h"
#include "worker/engine/checkpoint/measure.h"
#include "worker/engine/error.h"
#include "worker/engine/strict_object.h"
#include "worker/engine/tokenizer/tokenizer.h"

namespace bitsweep::engine {
namespace {

using nlohmann::json;

struct InspectOptions {
  std::string dir;
  std::string output = "text";
};

// The manifest and what only the tensors tell.
json Describe(const std::string& dir, const std::string& output_dir) {
  json out = json::parse(ReadWholeFile(output_dir + "/manifest.json"));
  const auto checkpoint = Checkpoint::Open(dir);
  const ModelConfig& config = checkpoint->config();
  const CheckpointSize size = MeasureCheckpoint(*checkpoint);
  out["architecture"] = {{"name", "LlamaForCausalLM"},
                         {"layers", config.num_layers},
                         {"hidden_size", config.hidden_size},
                         {"intermediate_size", config.intermediate_size},
                         {"heads", config.num_heads},
                         {"kv_heads", config.num_kv_heads},
                         {"head_dim", config.head_dim},
                         {"vocab_size", config.vocab_size},
                         {"max_position_embeddings", config.max_position_embeddings},
                         {"rope", config.rope.type},
                         {"tie_word_embeddings", config.tie_word_embeddings}};
  out["linear_parameters"] = size.linear_parameters;
  out["packed"] = config.aqlm && config.aqlm->packed;
  out["packed_bytes"] = size.packed_bytes;
  out["unpacked_bytes"] = size.unpacked_bytes;
  out["effective_bits"] = size.packed_effective_bits;
  out["effective_bits_stored"] = size.stored_effective_bits;
  return out;
}

void PrintText(const json& description) {
  const json& shape = description["architecture"];
  std::printf(
      "architecture      %s, %lld layers, hidden %lld, heads %lld (%lld kv), vocabulary %lld, rope "
      "%s\n",
      shape["name"].get<std::string>().c_str(),
      static_cast<long long>(shape["layers"].get<std::int64_t>()),
      static_cast<long long>(shape["hidden_size"].get<std::int64_t>()),
      static_cast<long long>(shape["heads"].get<std::int64_t>()),
      static_cast<long long>(shape["kv_heads"].get<std::int64_t>()),
      static_cast<long long>(shape["vocab_size"].get<std::int64_t>()),
      shape["rope"].get<std::string>().c_str());
  std::printf("parameters        %lld (%lld in the blocks' linears)\n",
              static_cast<long long>(description["parameters"].get<std::int64_t>()),
              static_cast<long long>(description["linear_parameters"].get<std::int64_t>()));
  std::printf("bytes             %lld of tensors; %lld with codes bit-packed, %lld unpacked\n",
              static_cast<long long>(description["bytes"].get<std::int64_t>()),
              static_cast<long long>(description["packed_bytes"].get<std::int64_t>()),
              static_cast<long long>(description["unpacked_bytes"].get<std::int64_t>()));
  std::printf("effective bits    %.3f a weight of the linears; %.3f with codes bit-packed\n",
              description["effective_bits_stored"].get<double>(),
              description["effective_bits"].get<double>());
  const json& quantized = description["quantized"];
  if (quantized.is_null()) {
    std::printf("quantized         no\n");
  } else {
    std::printf("quantized         aqlm %sx%s, group size %s%s\n",
                quantized["codebooks"].dump().c_str(),
                quantized["codebook_bits"].dump().c_str(),
                quantized["group_size"].dump().c_str(),
                description["packed"].get<bool>() ? ", codes packed" : "");
  }
  std::printf("digest            %s (%zu files)\n",
              description["digest"].get<std::string>().c_str(),
              description["files"].size());
}

StageVerb ConfigureInspect(CLI::App& app) {
  const auto options = std::make_shared<InspectOptions>();
  app.add_option("model", options->dir, "A model or checkpoint folder")->required();
  app.add_option("--output", options->output, "text or json")
      ->check(CLI::IsMember({"text", "json"}));
  return [options] {
    StageRequest request;
    request.kind = "inspect";
    request.members = {{"model", {{"dir", AbsolutePath(options->dir)}}}};
    request.finish = [options](const json&, const std::string& output_dir) {
      const json description = Describe(options->dir, output_dir);
      if (options->output == "json") {
        std::printf("%s\n", description.dump(2).c_str());
      } else {
        PrintText(description);
      }
    };
    return request;
  };
}

void Convert(
    const std::string& in, const std::string& out, CodesForm form, bool force, Events& events) {
  const Conversion done = ConvertCheckpoint(in, out, form, force, events);
  std::printf("%s: %lld bytes of tensors (%.3f bits a weight) -> %s: %lld (%.3f)\n",
              in.c_str(),
              static_cast<long long>(done.before.stored_bytes),
              done.before.stored_effective_bits,
              out.c_str(),
              static_cast<long long>(done.after.stored_bytes),
              done.after.stored_effective_bits);
}

DirectVerb ConfigureConvert(CLI::App& app) {
  struct Flags {
    std::string in, out;
    bool packed = false, unpacked = false, force = false;
  };
  const auto flags = std::make_shared<Flags>();
  app.add_option("in", flags->in, "An AQLM checkpoint, packed or not")->required();
  app.add_option("out", flags->out, "The folder of the converted one; must not be there")
      ->required();
  CLI::Option_group* forms = app.add_option_group("form", "The form to write");
  forms->add_flag("--packed", flags->packed, "Codes as a bit stream, B bits each (bitsweep's own)");
  forms->add_flag("--unpacked",
                  flags->unpacked,
                  "Codes as int8 or int16: what transformers and other AQLM tools load");
  forms->require_option(1);
  app.add_flag("--force", flags->force, "Replace OUT where it is a checkpoint or an empty folder");
  return [flags](const VerbContext& context) {
    const CodesForm form = flags->packed ? CodesForm::kPacked : CodesForm::kUnpacked;
    Convert(flags->in, flags->out, form, flags->force, context.events);
  };
}

void Tokenize(const std::string& dir) {
  const auto tokenizer = Tokenizer::Load(dir);
  std::string line;
  for (std::int64_t number = 1; std::getline(std::cin, line); ++number) {
    const std::string where = "standard input, line " + std::to_string(number);
    json input;
    try {
      input = json::parse(line);
    } catch (const json::exception& error) {
      ThrowBadInput(where + ": " + error.what());
    }
    const std::vector<std::int64_t> ids =
        tokenizer->Encode(StrictObject(input, where).String("text"));
    const json output = {{"ids", ids}, {"decoded", tokenizer->Decode(ids)}};
    std::cout << output.dump() << '\n';
  }
  std::cout.flush();
}

DirectVerb ConfigureTokenize(CLI::App& app) {
  const auto dir = std::make_shared<std::string>();
  app.add_option("model", *dir, "A folder with tokenizer.json")->required();
  return [dir](const VerbContext&) { Tokenize(*dir); };
}

}  // namespace

void RegisterCheckpointVerbs(VerbRegistry& registry) {
  registry.AddStage("inspect", "Architecture, sizes and identity of a model", ConfigureInspect);
  registry.AddDirect(
      "convert", "Bit-pack the codes of an AQLM checkpoint, or unpack them", ConfigureConvert);
  registry.AddDirect("tokenize", "Text to token ids and back, as JSON lines", ConfigureTokenize);
}

}  // namespace bitsweep::engine
