#include "worker/runtime/stage_spec.h"

#include <absl/strings/str_cat.h>

#include "bitsweep_generated/semantics.h"

namespace bitsweep {
namespace {

using nlohmann::json;

void SetCommon(json& spec, const Assignment& assignment, const std::string& output_folder) {
  spec["protocol"] = 1;
  spec["stage"] = assignment.fence.stage.value();
  spec["attempt"] = assignment.fence.attempt;
  spec["threads"] = assignment.cores;
  spec["output"]["dir"] = output_folder;
}

}  // namespace

absl::StatusOr<json> LocalSpec(const Assignment& assignment,
                               const std::map<std::string, std::string>& paths,
                               const std::string& output_folder) {
  json spec = json::parse(assignment.stage.spec, nullptr, /*allow_exceptions=*/false);
  if (!spec.is_object()) {
    return absl::InvalidArgumentError("the stage's spec is not a JSON object");
  }
  for (const auto& [pointer, path] : paths) {
    try {
      spec[json::json_pointer(pointer)] = path;
    } catch (const json::exception& error) {
      return absl::InvalidArgumentError(
          absl::StrCat("input pointer ", pointer, " does not fit the spec: ", error.what()));
    }
  }
  spec["kind"] = std::string(ToString(assignment.stage.kind));
  if (!spec.contains("semantics")) {
    spec["semantics"] = assignment.stage.needs.semantics;
  }
  SetCommon(spec, assignment, output_folder);
  return spec;
}

json InspectSpec(const Assignment& assignment,
                 const std::string& model_folder,
                 const std::string& output_folder) {
  json spec = {{"kind", "inspect"},
               {"semantics", SemanticsOf("inspect")},
               {"numerics", {{"device", "cpu"}, {"dtype", "f32"}}},
               {"model", {{"dir", model_folder}}}};
  SetCommon(spec, assignment, output_folder);
  return spec;
}

}  // namespace bitsweep
