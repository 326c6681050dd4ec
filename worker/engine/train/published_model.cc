#include "worker/engine/train/published_model.h"

#include <filesystem>
#include <fstream>

#include <ATen/ATen.h>

#include "worker/engine/checkpoint/atomic_file.h"
#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/checkpoint/safetensors.h"
#include "worker/engine/error.h"

namespace bitsweep::engine {
namespace {

constexpr const char* kReportFile = "report.json";
constexpr int kReportFormat = 1;

}  // namespace

void WriteModel(const std::string& dir,
                const FlatLayout& layout,
                const at::Tensor& values,
                const std::string& tokenizer_dir) {
  const at::Tensor stored = values.detach().to(at::kCPU).to(at::kHalf);
  if (!stored.to(at::kFloat).isfinite().all().item<bool>()) {
    throw EngineError(FailureClass::kDiverged,
                      "training: a value is not finite, or too large to be stored in f16");
  }
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
    const std::string from = tokenizer_dir + "/" + name;
    if (std::filesystem::exists(from)) {
      WriteFileAtomically(dir + "/" + name, ReadWholeFile(from));
    }
  }
  NamedTensors tensors;
  for (std::size_t slot = 0; slot < layout.slots().size(); ++slot) {
    tensors.emplace_back(layout.slots()[slot].name, layout.View(stored, slot));
  }
  WriteSafetensors(dir + "/model.safetensors", tensors);
}

void WriteReport(const std::string& dir,
                 const nlohmann::json& identity,
                 const nlohmann::json& totals) {
  const nlohmann::json report = {
      {"format", kReportFormat}, {"identity", identity}, {"totals", totals}};
  WriteFileAtomically(dir + "/" + kReportFile, report.dump(1) + "\n");
}

std::optional<nlohmann::json> FinishedTotals(const std::string& dir,
                                             const nlohmann::json& identity) {
  const std::string path = dir + "/" + kReportFile;
  if (!std::filesystem::exists(path)) {
    return std::nullopt;
  }
  std::ifstream file(path, std::ios::binary);
  const nlohmann::json report = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!report.is_object() || report.value("identity", nlohmann::json()) != identity) {
    ThrowBadInput(path + ": is of another training; a training wants a folder of its own");
  }
  Checkpoint::Open(dir);  // Throws where it has been damaged since.
  return report.at("totals");
}

}  // namespace bitsweep::engine
