#include "worker/engine/run/stage_spec.h"

#include <array>
#include <filesystem>
#include <string_view>
#include <utility>

#include "bitsweep_generated/semantics.h"
#include "worker/engine/checkpoint/atomic_file.h"
#include "worker/engine/error.h"
#include "worker/engine/strict_object.h"

namespace bitsweep::engine {
namespace {

constexpr std::int64_t kAttemptMax = 1'000'000;
constexpr std::int64_t kThreadsMax = 4096;
constexpr std::int64_t kDevicesMax = 64;

constexpr std::array<std::string_view, 9> kCommonMembers = {
    "protocol", "kind", "stage", "attempt", "semantics", "numerics", "threads", "seed", "output"};

void ReadVersions(StrictObject& root, StageSpec* spec) {
  const std::int64_t protocol = root.Int("protocol", INT64_MIN, INT64_MAX);
  if (protocol != kProtocol) {
    root.Refuse("protocol",
                "found " + std::to_string(protocol) + ", this engine speaks " +
                    std::to_string(kProtocol) + "; agent and engine are of different versions");
  }
  spec->kind = root.String("kind");
  if (spec->kind == "grade") {
    root.Refuse("kind", "'grade' is run by bitsweep-grade, not by the engine");
  }
  const int own = SemanticsOf(spec->kind);
  if (own == 0) {
    root.Refuse("kind",
                "found '" + spec->kind + "', want one of inspect, quantize, finetune, generate");
  }
  const std::int64_t semantics = root.Int("semantics", INT64_MIN, INT64_MAX);
  if (semantics != own) {
    root.Refuse("semantics",
                "the stage was planned with version " + std::to_string(semantics) + " of '" +
                    spec->kind + "', this engine implements " + std::to_string(own));
  }
}

void ReadOutput(StrictObject& root, StageSpec* spec) {
  StrictObject output = root.Object("output");
  spec->output_dir = output.String("dir");
  output.Finish();
  if (!std::filesystem::path(spec->output_dir).is_absolute()) {
    output.Refuse("dir", "found '" + spec->output_dir + "', want an absolute path");
  }
  if (!std::filesystem::is_directory(spec->output_dir)) {
    output.Refuse("dir", "'" + spec->output_dir + "' is not a folder");
  }
}

}  // namespace

StageSpec ParseStageSpec(const nlohmann::json& document, const std::string& where) {
  StrictObject root(document, where);
  StageSpec spec;
  spec.where = where;
  ReadVersions(root, &spec);
  spec.stage = root.StringOr("stage", "");
  spec.attempt = root.IntOr("attempt", 0, kAttemptMax, 0);
  StrictObject numerics = root.Object("numerics");
  spec.numerics.device = numerics.Choice("device", {"cpu", "cuda"});
  spec.numerics.dtype = numerics.Choice("dtype", {"f32", "f16", "bf16"});
  spec.numerics.devices = static_cast<int>(numerics.IntOr("devices", 1, kDevicesMax, 0));
  numerics.Finish();
  spec.threads = static_cast<int>(root.Int("threads", 1, kThreadsMax));
  spec.seed = root.UnsignedOr("seed", 0);
  ReadOutput(root, &spec);
  spec.members = document;
  for (const std::string_view common : kCommonMembers) {
    spec.members.erase(std::string(common));
  }
  return spec;
}

StageSpec ReadStageSpec(const std::string& path) {
  nlohmann::json document;
  try {
    document = nlohmann::json::parse(ReadWholeFile(path));
  } catch (const nlohmann::json::exception& error) {
    ThrowBadInput(path + ": " + error.what());
  }
  return ParseStageSpec(document, path);
}

}  // namespace bitsweep::engine
