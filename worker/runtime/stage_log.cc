#include "worker/runtime/stage_log.h"

#include <algorithm>
#include <fcntl.h>

#include <absl/strings/str_cat.h>

namespace bitsweep {

StageLog::StageLog(const std::string& path,
                   std::int64_t file_bytes_max,
                   std::int64_t tail_bytes_max)
    : file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)),
      file_bytes_max_(file_bytes_max),
      tail_bytes_max_(static_cast<std::size_t>(tail_bytes_max)) {}

StageLog::~StageLog() {
  if (left_out_ > 0) {
    Write(absl::StrCat("\n[", left_out_, " bytes are left out; the end follows]\n"));
    Write(Tail());
  }
}

void StageLog::Write(std::string_view bytes) {
  while (file_.is_open() && !bytes.empty()) {
    const ssize_t n = ::write(file_.get(), bytes.data(), bytes.size());
    if (n <= 0) {
      file_.Reset();  // A full disk: the stage's own writes will say so.
      return;
    }
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

void StageLog::Append(std::string_view bytes) {
  const std::int64_t size = static_cast<std::int64_t>(bytes.size());
  const std::int64_t fits = std::clamp<std::int64_t>(file_bytes_max_ - written_, 0, size);
  Write(bytes.substr(0, static_cast<std::size_t>(fits)));
  written_ += fits;
  left_out_ += size - fits;
  tail_ += bytes;
  // Cut at twice the limit, so that a byte is moved once on average.
  if (tail_.size() > 2 * tail_bytes_max_) {
    tail_.erase(0, tail_.size() - tail_bytes_max_);
  }
}

void StageLog::Line(std::string_view text) {
  Append(std::string(text) + "\n");
}

std::string StageLog::Tail() const {
  if (tail_.size() <= tail_bytes_max_) {
    return tail_;
  }
  std::string tail = tail_.substr(tail_.size() - tail_bytes_max_);
  const std::size_t line = tail.find('\n');
  return line == std::string::npos || line + 1 == tail.size() ? tail : tail.substr(line + 1);
}

}  // namespace bitsweep
