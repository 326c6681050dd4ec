#include "coordinator/store/encoding.h"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "coordinator/domain/text.h"

namespace bitsweep {
namespace {

using nlohmann::json;

// In the order of StageInput::Source.
constexpr std::array kSources = {"model_path", "blob", "artifact"};

/// Calls `visit(name, member)` for every member: one list for writing and for reading.
template <typename Needs, typename Visit>
void VisitNeeds(Needs& needs, const Visit& visit) {
  visit("semantics", needs.semantics);
  visit("device", needs.device);
  visit("gpus", needs.gpus);
  visit("gpu_bytes", needs.gpu_bytes);
  visit("host_bytes", needs.host_bytes);
  visit("cores", needs.cores);
  visit("disk_bytes", needs.disk_bytes);
  visit("isolation", needs.isolation);
  visit("model_paths", needs.model_paths);
}

/// Runs `decode`, turning nlohmann's exceptions into a Status.
template <typename Value, typename Decode>
absl::StatusOr<Value> Guarded(const char* what, const Decode& decode) {
  try {
    return decode();
  } catch (const json::exception& error) {
    return absl::DataLossError(Cat("a stage's ", what, " in the database: ", error.what()));
  }
}

}  // namespace

std::string EncodeNeeds(const StageNeeds& needs) {
  json object = json::object();
  VisitNeeds(needs, [&](const char* name, const auto& member) { object[name] = member; });
  return object.dump();
}

std::string EncodeInputs(const std::vector<StageInput>& inputs) {
  json list = json::array();
  for (const StageInput& input : inputs) {
    list.push_back({{"pointer", input.pointer},
                    {"source", kSources.at(static_cast<std::size_t>(input.source))},
                    {"value", input.value},
                    {"file", input.file},
                    {"digest", input.digest}});
  }
  return list.dump();
}

absl::StatusOr<StageNeeds> DecodeNeeds(const std::string& text) {
  return Guarded<StageNeeds>("needs", [&] {
    const json object = json::parse(text);
    StageNeeds needs;
    VisitNeeds(needs, [&](const char* name, auto& member) { object.at(name).get_to(member); });
    return needs;
  });
}

absl::StatusOr<std::vector<StageInput>> DecodeInputs(const std::string& text) {
  return Guarded<std::vector<StageInput>>("inputs", [&] {
    std::vector<StageInput> inputs;
    for (const json& object : json::parse(text)) {
      StageInput& input = inputs.emplace_back();
      object.at("pointer").get_to(input.pointer);
      object.at("value").get_to(input.value);
      object.at("file").get_to(input.file);
      object.at("digest").get_to(input.digest);
      const std::string source = object.at("source").get<std::string>();
      for (std::size_t i = 0; i < kSources.size(); ++i) {
        if (source == kSources[i]) {
          input.source = static_cast<StageInput::Source>(i);
        }
      }
    }
    return inputs;
  });
}

}  // namespace bitsweep
