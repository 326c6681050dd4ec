// Results that the coordinator has not acknowledged yet, kept over a restart of the agent: hours of
// quantization must not be lost because both processes happened to stop.
// Runs on: agent loop.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <variant>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "proto/contract/session.h"

namespace bitsweep {

using StageResult = std::variant<StageSucceeded, StageFailed>;

const Fence& FenceOf(const StageResult& result);
nlohmann::json ToJson(const StageResult& result);
/// INVALID_ARGUMENT: not what ToJson makes.
absl::StatusOr<StageResult> ResultFromJson(const nlohmann::json& value);

class ResultJournal {
 public:
  virtual ~ResultJournal() = default;
  /// Durable when it returns OK.
  virtual absl::Status Put(const StageResult& result) = 0;
  /// Nothing when there is none of this fence.
  virtual void Remove(const Fence& fence) = 0;
  virtual std::map<Fence, StageResult> Load() = 0;
};

/// One JSON file a result, in a folder of its own.
class FileResultJournal : public ResultJournal {
 public:
  /// Creates `folder`. INTERNAL when that fails.
  static absl::StatusOr<std::unique_ptr<FileResultJournal>> Open(const std::string& folder);
  absl::Status Put(const StageResult& result) override;
  void Remove(const Fence& fence) override;
  /// Files that cannot be read back are logged and removed: their stages run again.
  std::map<Fence, StageResult> Load() override;

 private:
  explicit FileResultJournal(std::string folder) : folder_(std::move(folder)) {}
  std::string PathOf(const Fence& fence) const;
  const std::string folder_;
};

}  // namespace bitsweep
