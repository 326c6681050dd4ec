// The log of one attempt: a file with a size limit, and the tail that travels with the result.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "worker/runtime/unique_fd.h"

namespace bitsweep {

class StageLog {
 public:
  /// Begins `path` anew. A file that cannot be written is no reason to fail the stage: the tail is
  /// still kept.
  StageLog(const std::string& path, std::int64_t file_bytes_max, std::int64_t tail_bytes_max);
  /// A file that reached its limit ends with the number of bytes left out and the tail.
  ~StageLog();
  StageLog(const StageLog&) = delete;
  StageLog& operator=(const StageLog&) = delete;

  void Append(std::string_view bytes);
  void Line(std::string_view text);
  /// The last `tail_bytes_max` bytes, from the beginning of a line where there is one.
  std::string Tail() const;

 private:
  void Write(std::string_view bytes);

  UniqueFd file_;
  const std::int64_t file_bytes_max_;
  const std::size_t tail_bytes_max_;
  std::int64_t written_ = 0, left_out_ = 0;
  std::string tail_;
};

}  // namespace bitsweep
