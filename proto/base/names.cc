#include "proto/base/names.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

namespace bitsweep {
namespace {

unsigned ByteAt(std::string_view text, std::size_t at) {
  return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U;
}

bool IsContinuation(unsigned byte) {
  return (byte & 0xC0U) == 0x80U;
}

/// Length of the well-formed sequence at `at` (Unicode table 3-7), or 0.
std::size_t SequenceLength(std::string_view text, std::size_t at) {
  const unsigned first = ByteAt(text, at);
  const unsigned second = ByteAt(text, at + 1);
  if (first < 0x80U) {
    return 1;
  }
  if (first >= 0xC2U && first <= 0xDFU) {
    return IsContinuation(second) ? 2 : 0;
  }
  if (first >= 0xE0U && first <= 0xEFU) {
    // Overlong forms and surrogates are excluded by the second byte's range.
    const unsigned low = first == 0xE0U ? 0xA0U : 0x80U;
    const unsigned high = first == 0xEDU ? 0x9FU : 0xBFU;
    return second >= low && second <= high && IsContinuation(ByteAt(text, at + 2)) ? 3 : 0;
  }
  if (first >= 0xF0U && first <= 0xF4U) {
    const unsigned low = first == 0xF0U ? 0x90U : 0x80U;
    const unsigned high = first == 0xF4U ? 0x8FU : 0xBFU;
    return second >= low && second <= high && IsContinuation(ByteAt(text, at + 2)) &&
                   IsContinuation(ByteAt(text, at + 3))
               ? 4
               : 0;
  }
  return 0;
}

}  // namespace

bool IsHexDigest(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

absl::Status CheckRelativePath(std::string_view path) {
  if (path.empty()) {
    return absl::InvalidArgumentError("path is empty");
  }
  if (path.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError("path holds a NUL byte");
  }
  for (const std::string& part : std::vector<std::string>(absl::StrSplit(std::string(path), '/'))) {
    if (part.empty() || part == "." || part == "..") {
      return absl::InvalidArgumentError(absl::StrCat(
          "path \"", ToUtf8(path), "\": must be relative, without empty, \".\" or \"..\" parts"));
    }
  }
  return absl::OkStatus();
}

std::string ToUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = SequenceLength(text, at);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      at += 1;
    } else {
      out += text.substr(at, length);
      at += length;
    }
  }
  return out;
}

}  // namespace bitsweep
