#include "worker/runtime/child_event.h"

#include <nlohmann/json.hpp>

#include <absl/strings/str_cat.h>

#include "proto/base/names.h"

namespace bitsweep {
namespace {

using nlohmann::json;

absl::Status NotAnEvent(std::string_view line, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat(
      "the child wrote a line that is not an event (", why, "): ", ToUtf8(line.substr(0, 200))));
}

absl::StatusOr<ChildEvent> ParseFailed(const json& event, std::string_view line) {
  const auto failure = ParseFailureClass(event.at("class").get<std::string>());
  if (!failure) {
    return NotAnEvent(line, "unknown failure class");
  }
  return FailedEvent{.failure = *failure, .message = event.at("message")};
}

absl::StatusOr<ChildEvent> ParseObject(const json& event, std::string_view line) {
  const std::string name = event.at("event");
  if (name == "hello") {
    if (event.at("protocol") != 1) {
      return NotAnEvent(line, "this agent speaks protocol 1");
    }
    return HelloEvent{
        .tool = event.at("tool"), .version = event.at("version"), .build = event.at("build")};
  }
  if (name == "progress") {
    ProgressEvent progress{.phase = event.at("phase"),
                           .unit = event.at("unit"),
                           .done = event.at("done"),
                           .total = event.at("total")};
    if (progress.done < 0 || progress.total < 0) {
      return NotAnEvent(line, "negative progress");
    }
    return progress;
  }
  if (name == "metric") {
    return LogEvent{.level = "metric",
                    .message = absl::StrCat(event.at("name").get<std::string>(),
                                            " = ",
                                            event.at("value").dump(),
                                            " ",
                                            event.at("unit").get<std::string>())};
  }
  if (name == "log") {
    return LogEvent{.level = event.at("level"), .message = event.at("message")};
  }
  if (name == "checkpoint") {
    CheckpointEvent checkpoint{.file = event.at("file")};
    if (const absl::Status status = CheckRelativePath(checkpoint.file); !status.ok()) {
      return NotAnEvent(line, std::string(status.message()));
    }
    return checkpoint;
  }
  if (name == "done") {
    const json& summary = event.at("summary");
    if (!summary.is_object()) {
      return NotAnEvent(line, "the summary is not an object");
    }
    return DoneEvent{.summary = summary.dump()};
  }
  if (name == "failed") {
    return ParseFailed(event, line);
  }
  return UnknownEvent{};
}

}  // namespace

absl::StatusOr<ChildEvent> ParseChildEvent(std::string_view line) {
  const json event = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!event.is_object()) {
    return NotAnEvent(line, "not a JSON object");
  }
  try {
    return ParseObject(event, line);
  } catch (const json::exception& error) {
    return NotAnEvent(line, error.what());
  }
}

bool LineCutter::Push(std::string_view bytes) {
  while (!broken_ && !bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    rest_ += bytes.substr(0, end);
    if (rest_.size() > line_bytes_max_) {
      broken_ = true;
      break;
    }
    if (end == std::string_view::npos) {
      break;
    }
    lines_.push_back(std::exchange(rest_, {}));
    bytes.remove_prefix(end + 1);
  }
  return !broken_;
}

std::optional<std::string> LineCutter::Next() {
  if (lines_.empty()) {
    return std::nullopt;
  }
  std::string line = std::move(lines_.front());
  lines_.pop_front();
  return line;
}

}  // namespace bitsweep
