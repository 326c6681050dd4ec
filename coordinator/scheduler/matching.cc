#include "coordinator/scheduler/matching.h"

#include <algorithm>

#include "coordinator/domain/text.h"

namespace bitsweep {
namespace {

bool Offers(const std::vector<std::string>& models, const std::string& path) {
  return std::find(models.begin(), models.end(), path) != models.end();
}

int GpusWith(const WorkerOffer& offer, std::int64_t bytes) {
  return static_cast<int>(
      std::count_if(offer.gpus.begin(), offer.gpus.end(), [&](const GpuOffer& gpu) {
        return gpu.memory_bytes >= bytes;
      }));
}

int SemanticsOf(const WorkerOffer& offer, StageKind kind) {
  const auto place = offer.semantics.find(std::string(ToString(kind)));
  return place != offer.semantics.end() ? place->second : 0;
}

}  // namespace

int IsolationRank(std::string_view isolation) {
  if (isolation == "bubblewrap") {
    return 3;
  }
  if (isolation == "landlock") {
    return 2;
  }
  return isolation == "none" ? 1 : 0;
}

bool CanRun(StageKind kind, const StageNeeds& needs, const WorkerOffer& offer) {
  return std::find(offer.stages.begin(), offer.stages.end(), kind) != offer.stages.end() &&
         SemanticsOf(offer, kind) == needs.semantics &&
         GpusWith(offer, needs.gpu_bytes) >= needs.gpus && offer.host_bytes >= needs.host_bytes &&
         offer.cores >= needs.cores && (needs.gpus > 0 || offer.slots > 0) &&
         (needs.isolation.empty() ||
          IsolationRank(offer.isolation) >= IsolationRank(needs.isolation)) &&
         std::all_of(needs.model_paths.begin(),
                     needs.model_paths.end(),
                     [&](const std::string& path) { return Offers(offer.models, path); });
}

std::vector<UnmetNeed> UnmetNeeds(StageKind kind,
                                  const StageNeeds& needs,
                                  const WorkerOffer& offer) {
  std::vector<UnmetNeed> unmet;
  const auto add = [&](Unmet need, std::string text) { unmet.push_back({need, std::move(text)}); };
  if (std::find(offer.stages.begin(), offer.stages.end(), kind) == offer.stages.end()) {
    add(Unmet::kKind, Cat("does not take ", ToString(kind), " stages"));
    return unmet;
  }
  if (const int version = SemanticsOf(offer, kind); version != needs.semantics) {
    add(Unmet::kSemantics,
        Cat("implements ", ToString(kind), " v", version, ", not v", needs.semantics));
  }
  if (static_cast<int>(offer.gpus.size()) < needs.gpus) {
    add(Unmet::kGpus, Cat("has ", offer.gpus.size(), " of ", needs.gpus, " GPUs"));
  } else if (GpusWith(offer, needs.gpu_bytes) < needs.gpus) {
    add(Unmet::kGpuMemory, Cat("lacks ", needs.gpu_bytes >> 20, " MiB of GPU memory"));
  }
  if (offer.host_bytes < needs.host_bytes) {
    add(Unmet::kHostMemory,
        Cat("has ", offer.host_bytes >> 20, " of ", needs.host_bytes >> 20, " MiB of memory"));
  }
  if (offer.cores < needs.cores) {
    add(Unmet::kCores, Cat("has ", offer.cores, " of ", needs.cores, " cores"));
  } else if (needs.gpus == 0 && offer.slots < 1) {
    add(Unmet::kCores, "has no slot for CPU stages");
  }
  if (!needs.isolation.empty() && IsolationRank(offer.isolation) < IsolationRank(needs.isolation)) {
    add(Unmet::kIsolation,
        Cat("lacks isolation ",
            needs.isolation,
            " (has ",
            offer.isolation.empty() ? "no isolation" : offer.isolation,
            ")"));
  }
  for (const std::string& path : needs.model_paths) {
    if (!Offers(offer.models, path)) {
      add(Unmet::kModel, Cat("has no model ", path, " below its --model-root"));
    }
  }
  return unmet;
}

}  // namespace bitsweep
