#include "worker/engine/checkpoint/manifest.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <unistd.h>
#include <vector>

#include "worker/engine/checkpoint/measure.h"
#include "worker/engine/checkpoint/sha256.h"
#include "worker/engine/error.h"
#include "worker/engine/tokenizer/tokenizer.h"

namespace bitsweep::engine {
namespace {

namespace fs = std::filesystem;

// Beside the weights: whatever changes what the model computes or how text becomes tokens.
constexpr std::array kOtherFiles = {"config.json",
                                    "generation_config.json",
                                    kIndexFileName,
                                    kPackedIndexFileName,
                                    "tokenizer.json",
                                    "tokenizer_config.json"};

std::vector<std::string> IdentityFiles(const Checkpoint& checkpoint) {
  const std::vector<std::string> weights = checkpoint.WeightFiles();
  std::set<std::string> names(weights.begin(), weights.end());
  // The index of a single-file model is not read, so it is not part of the identity.
  const bool is_single = weights.size() == 1 && weights.front() == "model.safetensors";
  for (const std::string name : kOtherFiles) {
    const bool is_unused = is_single && name == kIndexFileName;
    if (!is_unused && fs::exists(checkpoint.dir() + "/" + name)) {
      names.insert(name);
    }
  }
  return {names.begin(), names.end()};
}

// Hashes a file; `on_bytes` is told how much was read, piece by piece.
template <typename OnBytes>
std::string HashFile(const std::string& path, const OnBytes& on_bytes) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    ThrowBadInput(path + ": cannot open: " + std::strerror(errno));
  }
  Sha256 hash;
  std::vector<char> buffer(std::size_t{4} << 20);
  while (true) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      const int error = errno;
      ::close(fd);
      ThrowBadInput(path + ": cannot read: " + std::strerror(error));
    }
    if (count == 0) {
      break;
    }
    hash.Update(buffer.data(), static_cast<std::size_t>(count));
    on_bytes(count);
  }
  ::close(fd);
  return hash.HexDigest();
}

nlohmann::json TokenizerMember(const Checkpoint& checkpoint, Events& events) {
  if (!fs::exists(checkpoint.dir() + "/tokenizer.json")) {
    events.Log("warning",
               checkpoint.dir() + ": no tokenizer.json: it can be neither quantized nor evaluated");
    return nullptr;
  }
  return {{"add_bos", Tokenizer::Load(checkpoint.dir())->bos_id() >= 0}};
}

}  // namespace

nlohmann::json MakeManifest(const Checkpoint& checkpoint, Events& events) {
  const ModelConfig& config = checkpoint.config();
  nlohmann::json manifest = {{"format", 1}, {"config", config.raw}};
  manifest["tokenizer"] = TokenizerMember(checkpoint, events);

  const std::vector<std::string> names = IdentityFiles(checkpoint);
  std::int64_t total_bytes = 0;
  for (const std::string& name : names) {
    total_bytes += static_cast<std::int64_t>(fs::file_size(checkpoint.dir() + "/" + name));
  }
  std::int64_t done_bytes = 0;
  const auto on_bytes = [&](std::int64_t bytes) {
    done_bytes += bytes;
    events.Progress("hash", done_bytes, total_bytes, "bytes");
  };
  nlohmann::json files = nlohmann::json::array();
  for (const std::string& name : names) {
    const std::int64_t before = done_bytes;
    const std::string digest = HashFile(checkpoint.dir() + "/" + name, on_bytes);
    files.push_back({{"name", name}, {"size", done_bytes - before}, {"sha256", digest}});
  }
  // nlohmann's compact dump with sorted keys is the canonical JSON of strings and integers.
  manifest["digest"] = Sha256Hex(files.dump());
  manifest["files"] = files;

  const CheckpointSize size = MeasureCheckpoint(checkpoint);
  manifest["parameters"] = size.parameters;
  manifest["bytes"] = size.stored_bytes;
  manifest["quantized"] = nullptr;
  if (config.aqlm) {
    manifest["quantized"] = {{"codebooks", config.aqlm->codebooks},
                             {"codebook_bits", config.aqlm->codebook_bits},
                             {"group_size", config.aqlm->group_size}};
  }
  return manifest;
}

}  // namespace bitsweep::engine
