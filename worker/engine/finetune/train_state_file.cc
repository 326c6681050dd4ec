#include "worker/engine/finetune/train_state_file.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "worker/engine/checkpoint/safetensors.h"
#include "worker/engine/error.h"

namespace bitsweep::engine {
namespace {

constexpr const char* kIdentity = "bitsweep.identity";
constexpr const char* kProgress = "bitsweep.progress";

nlohmann::json ProgressOf(const TrainState& state) {
  nlohmann::json curve = nlohmann::json::array();
  for (const EpochLosses& epoch : state.curve) {
    curve.push_back({epoch.train, epoch.measured});
  }
  return {{"steps", state.steps},
          {"untrained", state.untrained},
          {"best_epoch", state.best_epoch},
          {"best", state.best},
          {"curve", curve}};
}

TrainState StateOf(const nlohmann::json& progress) {
  TrainState state;
  progress.at("steps").get_to(state.steps);
  progress.at("untrained").get_to(state.untrained);
  progress.at("best_epoch").get_to(state.best_epoch);
  progress.at("best").get_to(state.best);
  for (const nlohmann::json& epoch : progress.at("curve")) {
    state.curve.push_back({epoch.at(0).get<double>(), epoch.at(1).get<double>()});
  }
  return state;
}

// The file's tensor on the given device and in the given dtype, as memory of its own.
at::Tensor Own(const SafetensorsFile& file,
               const std::string& name,
               at::IntArrayRef shape,
               const at::TensorOptions& options) {
  const at::Tensor stored = file.Get(name);
  if (stored.sizes() != shape) {
    ThrowBadInput(file.path() + ": tensor '" + name + "' has another shape than the model's");
  }
  return stored.to(options, /*non_blocking=*/false, /*copy=*/true);
}

}  // namespace

void WriteTrainState(const std::string& dir,
                     const nlohmann::json& identity,
                     const TrainState& state,
                     const std::vector<Parameter*>& parameters) {
  NamedTensors tensors;
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    if (!state.best_values[p].defined()) {
      continue;
    }
    const std::string& name = parameters[p]->name;
    tensors.emplace_back("value." + name, parameters[p]->value.to(at::kCPU));
    tensors.emplace_back("best." + name, state.best_values[p].to(at::kCPU));
    tensors.emplace_back("first." + name, state.first_moments[p].to(at::kCPU));
    tensors.emplace_back("second." + name, state.second_moments[p].to(at::kCPU));
  }
  WriteSafetensors(dir + "/" + kTrainStateFile,
                   tensors,
                   {{kIdentity, identity.dump()}, {kProgress, ProgressOf(state).dump()}});
}

bool ReadTrainState(const std::string& dir,
                    const nlohmann::json& identity,
                    TrainState* state,
                    const std::vector<Parameter*>& parameters) {
  const std::string path = dir + "/" + kTrainStateFile;
  if (!std::filesystem::exists(path)) {
    return false;
  }
  // A file that does not read as ours is as good as none: training starts again.
  try {
    const std::shared_ptr<const SafetensorsFile> file = SafetensorsFile::Open(path);
    if (file->metadata().at(kIdentity) != identity.dump()) {
      return false;
    }
    TrainState read = StateOf(nlohmann::json::parse(file->metadata().at(kProgress)));
    read.best_values.resize(parameters.size());
    read.first_moments.resize(parameters.size());
    read.second_moments.resize(parameters.size());
    std::vector<at::Tensor> values(parameters.size());
    for (std::size_t p = 0; p < parameters.size(); ++p) {
      const std::string& name = parameters[p]->name;
      if (file->Has("value." + name)) {
        const at::Tensor& like = parameters[p]->value;
        values[p] = Own(*file, "value." + name, like.sizes(), like.options());
        read.best_values[p] = Own(*file, "best." + name, like.sizes(), like.options());
        read.first_moments[p] = Own(*file, "first." + name, like.sizes(), like.options());
        read.second_moments[p] = Own(*file, "second." + name, like.sizes(), like.options());
      }
    }
    const c10::NoGradGuard no_grad;
    for (std::size_t p = 0; p < parameters.size(); ++p) {
      if (values[p].defined()) {
        parameters[p]->value.copy_(values[p]);
      }
    }
    *state = std::move(read);
    return true;
  } catch (const EngineError&) {
    return false;
  } catch (const nlohmann::json::exception&) {
    return false;
  } catch (const std::out_of_range&) {
    return false;
  }
}

}  // namespace bitsweep::engine
