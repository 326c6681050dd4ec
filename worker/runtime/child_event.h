// What a stage's child process says: one JSON object a line (proto/README.md), parsed and checked.
// Pure: any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include <absl/status/statusor.h>

#include "proto/contract/stage.h"

namespace bitsweep {

struct HelloEvent {
  std::string tool, version, build;
};
struct ProgressEvent {
  std::string phase, unit;
  std::int64_t done = 0, total = 0;
};
struct LogEvent {  // `log`, and `metric` in words.
  std::string level, message;
};
struct CheckpointEvent {
  std::string file;
};
struct DoneEvent {
  std::string summary;  // A JSON object.
};
struct FailedEvent {
  FailureClass failure = FailureClass::kBug;
  std::string message;
};
struct UnknownEvent {};  // Of a newer tool.
using ChildEvent = std::variant<HelloEvent,
                                ProgressEvent,
                                LogEvent,
                                CheckpointEvent,
                                DoneEvent,
                                FailedEvent,
                                UnknownEvent>;

/// INVALID_ARGUMENT: not an event; the message quotes the beginning of the line.
absl::StatusOr<ChildEvent> ParseChildEvent(std::string_view line);

/// Cuts a stream of bytes into lines.
class LineCutter {
 public:
  explicit LineCutter(std::size_t line_bytes_max) : line_bytes_max_(line_bytes_max) {}
  /// False once a line was longer than the limit; nothing more is cut then.
  bool Push(std::string_view bytes);
  std::optional<std::string> Next();
  /// What came after the last line end.
  const std::string& rest() const { return rest_; }

 private:
  const std::size_t line_bytes_max_;
  std::deque<std::string> lines_;
  std::string rest_;
  bool broken_ = false;
};

}  // namespace bitsweep
