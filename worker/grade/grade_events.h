// What a grading process tells whoever started it: one JSON object a line (proto/README.md).
// Thread rule: any thread; lines are written whole, under a lock.
#pragma once

#include <cstdint>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include <absl/status/status.h>

namespace bitsweep::grade {

class GradeEvents {
 public:
  /// Writes to descriptor `fd`; -1: nowhere. With `draw_progress` a progress line is drawn on
  /// standard error.
  GradeEvents(int fd, bool draw_progress) : fd_(fd), draw_progress_(draw_progress) {}

  void Hello();
  void Progress(std::int64_t done, std::int64_t total, std::int64_t passed);
  void Log(const std::string& level, const std::string& message);
  void Done(const nlohmann::ordered_json& summary);
  /// Also says `status` on standard error.
  void Failed(const absl::Status& status);

 private:
  void Write(const nlohmann::ordered_json& event);
  void ClearLine();

  std::mutex mutex_;
  const int fd_;
  const bool draw_progress_;
  bool drawn_ = false;
};

/// The contract's failure class of a status: bad_input, sandbox, disk_full, preempted or bug.
const char* FailureClassOf(const absl::Status& status);

}  // namespace bitsweep::grade
