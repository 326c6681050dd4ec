#include "worker/engine/checkpoint/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include <ATen/ATen.h>

#include "worker/engine/checkpoint/atomic_file.h"
#include "worker/engine/checkpoint/packed_codes.h"
#include "worker/engine/error.h"

namespace bitsweep::engine {
namespace {

namespace fs = std::filesystem;
using Where = std::map<std::string, std::shared_ptr<const SafetensorsFile>>;

std::string ShapeText(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  }
  return text + "]";
}

std::map<std::string, std::set<std::string>> ReadIndex(const std::string& path) {
  nlohmann::json index;
  try {
    index = nlohmann::json::parse(ReadWholeFile(path));
  } catch (const nlohmann::json::exception& error) {
    ThrowBadInput(path + ": " + error.what());
  }
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    ThrowBadInput(path + ": weight_map: want an object of tensor name -> file name");
  }
  std::map<std::string, std::set<std::string>> tensors_of_file;
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    if (!file.is_string() || file.get<std::string>().empty() ||
        file.get<std::string>().find('/') != std::string::npos) {
      ThrowBadInput(path + ": weight_map." + tensor + ": found " + file.dump() +
                    ", want a file name without a folder");
    }
    tensors_of_file[file.get<std::string>()].insert(tensor);
  }
  return tensors_of_file;
}

Where OpenShards(const std::string& dir, const std::string& index_path) {
  Where where;
  for (const auto& [file_name, tensors] : ReadIndex(index_path)) {
    const std::string path = dir + "/" + file_name;
    if (!fs::exists(path)) {
      ThrowBadInput(path + " is missing: " + index_path + " puts " +
                    std::to_string(tensors.size()) + " tensors there (the first is " +
                    *tensors.begin() + "). Copy or download that shard again, or the whole model.");
    }
    const auto file = SafetensorsFile::Open(path);
    for (const std::string& tensor : tensors) {
      if (!file->Has(tensor)) {
        ThrowBadInput(path + ": no tensor '" + tensor + "', which " + index_path + " puts there");
      }
      where[tensor] = file;
    }
  }
  return where;
}

/// One line for a shell that makes model.safetensors of one or several pickled files, plain or
/// AQLM, without loading the model and without running what a pickle may hold (weights_only). It
/// copies each tensor, because save_file refuses those that share memory.
std::string ConversionCommand(const std::string& dir) {
  return "  cd '" + dir +
         "' && python3 -c \"import glob, torch; from safetensors.torch import save_file; t = {k: "
         "v.clone().contiguous() for f in sorted(glob.glob('pytorch_model*.bin')) for k, v in "
         "torch.load(f, map_location='cpu', weights_only=True).items()}; save_file(t, "
         "'model.safetensors', metadata={'format': 'pt'})\"";
}

[[noreturn]] void ThrowNoWeights(const std::string& dir) {
  for (const char* name : {"pytorch_model.bin", "pytorch_model.bin.index.json"}) {
    if (fs::exists(dir + "/" + name)) {
      ThrowBadInput(dir + "/" + name +
                    ": PyTorch's pickled weights are not read, because reading "
                    "a pickle runs the code in it. Convert them once, where Python has torch and "
                    "safetensors (pip install torch safetensors numpy):\n" +
                    ConversionCommand(dir));
    }
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(dir)) {
    if (entry.path().filename().string().rfind("model-block-", 0) == 0) {
      ThrowBadInput(
          dir +
          ": an unfinished quantization (block files without model.safetensors.index.json); "
          "run the same quantization again with this output folder to finish it");
    }
  }
  ThrowBadInput(
      dir +
      ": no weights: want model.safetensors, or model.safetensors.index.json with its shards");
}

Where OpenWeights(const std::string& dir, bool packed) {
  const std::string packed_index = dir + "/" + kPackedIndexFileName;
  if (packed != fs::exists(packed_index)) {
    ThrowBadInput(packed ? packed_index +
                               " is missing: config.json's quantization_config.packing "
                               "says that the codes are packed"
                         : packed_index +
                               ": the weights are packed, but config.json has no "
                               "quantization_config.packing; copy config.json again");
  }
  if (packed) {
    return OpenShards(dir, packed_index);
  }
  const std::string single = dir + "/model.safetensors";
  const std::string index = dir + "/" + kIndexFileName;
  if (fs::exists(single)) {
    Where where;
    const auto file = SafetensorsFile::Open(single);
    for (const auto& [name, entry] : file->entries()) {
      where[name] = file;
    }
    return where;
  }
  if (fs::exists(index)) {
    return OpenShards(dir, index);
  }
  ThrowNoWeights(dir);
}

/// "model.layers.3.self_attn.q_proj" -> "self_attn.q_proj"
std::string LinearNameOf(const std::string& prefix) {
  constexpr std::string_view kLayers = "model.layers.";
  return prefix.substr(prefix.find('.', kLayers.size()) + 1);
}

/// Checks the tensors that a config implies, and that there are no others.
class Inventory {
 public:
  Inventory(const std::string& dir, const ModelConfig& config, const Where& where)
      : dir_(dir), config_(config), where_(where) {}

  void Check() {
    const std::int64_t h = config_.hidden_size;
    ExpectFloat("model.embed_tokens.weight", {config_.vocab_size, h});
    ExpectFloat("model.norm.weight", {h});
    if (!config_.tie_word_embeddings || where_.count("lm_head.weight") != 0) {
      ExpectFloat("lm_head.weight", {config_.vocab_size, h});
    }
    for (std::int64_t layer = 0; layer < config_.num_layers; ++layer) {
      const std::string block = "model.layers." + std::to_string(layer) + ".";
      ExpectFloat(block + "input_layernorm.weight", {h});
      ExpectFloat(block + "post_attention_layernorm.weight", {h});
      for (const std::string& linear : ModelConfig::LinearNames()) {
        CheckLinear(block + linear, config_.LinearShape(linear));
      }
    }
    RefuseOthers();
  }

 private:
  void CheckLinear(const std::string& prefix, std::pair<std::int64_t, std::int64_t> shape) {
    const auto [rows, columns] = shape;
    if (where_.count(prefix + ".codes") == 0 && where_.count(prefix + ".codes_packed") == 0) {
      ExpectFloat(prefix + ".weight", {rows, columns});
      return;
    }
    if (!config_.aqlm) {
      ThrowBadInput(dir_ + ": '" + prefix +
                    "' is quantized, but config.json has no "
                    "quantization_config");
    }
    const AqlmConfig& aqlm = *config_.aqlm;
    const std::int64_t codebook_size = std::int64_t{1} << aqlm.codebook_bits;
    const std::int64_t groups = columns / aqlm.group_size;
    if (aqlm.packed) {
      Expect(prefix + ".codes_packed",
             {PackedBytes(rows * groups * aqlm.codebooks, aqlm.codebook_bits)},
             {"U8"});
    } else {
      Expect(prefix + ".codes",
             {rows, groups, aqlm.codebooks},
             {aqlm.codebook_bits <= 8 ? "I8" : "I16"});
    }
    ExpectFloat(prefix + ".codebooks", {aqlm.codebooks, codebook_size, 1, aqlm.group_size});
    ExpectFloat(prefix + ".scales", {rows, 1, 1, 1});
  }

  void ExpectFloat(const std::string& name, const std::vector<std::int64_t>& shape) {
    Expect(name, shape, {"F16", "BF16", "F32"});
  }

  void Expect(const std::string& name,
              const std::vector<std::int64_t>& shape,
              const std::vector<std::string>& dtypes) {
    expected_.insert(name);
    const auto it = where_.find(name);
    if (it == where_.end()) {
      ThrowBadInput(dir_ + ": tensor '" + name + "' is in none of the weight files, want " +
                    ShapeText(shape));
    }
    const SafetensorsFile::Entry& entry = it->second->entries().at(name);
    if (entry.shape != shape) {
      ThrowBadInput(it->second->path() + ": tensor '" + name + "' has shape " +
                    ShapeText(entry.shape) + ", config.json implies " + ShapeText(shape));
    }
    if (std::find(dtypes.begin(), dtypes.end(), entry.dtype) == dtypes.end()) {
      std::string allowed;
      for (const std::string& dtype : dtypes) {
        allowed += (allowed.empty() ? "" : ", ") + dtype;
      }
      ThrowBadInput(it->second->path() + ": tensor '" + name + "' has dtype " + entry.dtype +
                    ", want " + allowed);
    }
  }

  // A tensor that we do not use is a computation that we would leave out. Only the rotary
  // frequencies, which old checkpoints store and the config implies, are harmless.
  void RefuseOthers() const {
    for (const auto& [name, file] : where_) {
      const bool is_rotary = name.size() > 9 && name.compare(name.size() - 9, 9, ".inv_freq") == 0;
      if (!is_rotary && expected_.count(name) == 0) {
        ThrowBadInput(file->path() + ": tensor '" + name +
                      "' is not part of a Llama model with this config.json");
      }
    }
  }

  const std::string& dir_;
  const ModelConfig& config_;
  const Where& where_;
  std::set<std::string> expected_;
};

}  // namespace

std::shared_ptr<const Checkpoint> Checkpoint::Open(const std::string& dir) {
  std::shared_ptr<Checkpoint> checkpoint(new Checkpoint());
  checkpoint->dir_ = dir;
  checkpoint->config_ = LoadModelConfig(dir);
  checkpoint->where_ =
      OpenWeights(dir, checkpoint->config_.aqlm && checkpoint->config_.aqlm->packed);
  Inventory(checkpoint->dir_, checkpoint->config_, checkpoint->where_).Check();
  return checkpoint;
}

at::Tensor Checkpoint::Get(const std::string& name) const {
  const auto it = where_.find(name);
  if (it == where_.end()) {
    ThrowBadInput(dir_ + ": no tensor '" + name + "'");
  }
  return it->second->Get(name);
}

QuantizedLinear Checkpoint::GetQuantized(const std::string& prefix) const {
  if (!config_.aqlm) {
    ThrowBadInput(dir_ + "/config.json: no quantization_config, but '" + prefix +
                  "' is asked for in quantized form");
  }
  QuantizedLinear linear;
  const AqlmConfig& aqlm = *config_.aqlm;
  const std::string name = prefix + (aqlm.packed ? ".codes_packed" : ".codes");
  const at::Tensor stored = Get(name);
  try {
    if (aqlm.packed) {
      const auto [rows, columns] = config_.LinearShape(LinearNameOf(prefix));
      linear.codes = UnpackCodes(
          stored, {rows, columns / aqlm.group_size, aqlm.codebooks}, aqlm.codebook_bits);
    } else {
      linear.codes = CodesFromStored(stored, aqlm.codebook_bits);
    }
  } catch (const EngineError& error) {
    throw EngineError(error.failure(),
                      tensors().at(name)->path() + ": '" + name + "': " + error.what());
  }
  linear.codebooks = Get(prefix + ".codebooks").to(at::kFloat);
  linear.scales = Get(prefix + ".scales").to(at::kFloat);
  return linear;
}

at::Tensor Checkpoint::LinearWeight(const std::string& prefix) const {
  if (IsQuantized(prefix)) {
    return Dequantize(GetQuantized(prefix));
  }
  return Get(prefix + ".weight").to(at::kFloat);
}

std::vector<std::string> Checkpoint::WeightFiles() const {
  std::set<std::string> names;
  for (const auto& [tensor, file] : where_) {
    names.insert(fs::path(file->path()).filename().string());
  }
  return {names.begin(), names.end()};
}

}  // namespace bitsweep::engine
