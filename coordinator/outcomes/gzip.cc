#include "coordinator/outcomes/gzip.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <zlib.h>

#include <absl/strings/str_cat.h>

namespace bitsweep {
namespace {

// 15 bits of window, and 16 more: gzip's header and no other.
constexpr int kGzipWindow = 15 + 16;
constexpr std::size_t kPieceBytes = 1 << 18;

struct EndInflate {
  void operator()(z_stream* stream) const { inflateEnd(stream); }
};

}  // namespace

bool LooksGzipped(std::string_view bytes) {
  return bytes.starts_with("\x1f\x8b");
}

absl::StatusOr<std::string> Gunzip(std::string_view bytes,
                                   const std::string& origin,
                                   std::int64_t bytes_max) {
  const auto error = [&](const std::string& message) {
    return absl::InvalidArgumentError(absl::StrCat(origin, ": ", message));
  };
  if (!LooksGzipped(bytes)) {
    return error("is not a gzip file; without compression the name ends in .csv");
  }
  z_stream stream{};
  if (inflateInit2(&stream, kGzipWindow) != Z_OK) {
    return absl::ResourceExhaustedError(absl::StrCat(origin, ": no memory to unpack it"));
  }
  const std::unique_ptr<z_stream, EndInflate> guard(&stream);
  std::string text;
  std::string piece(kPieceBytes, '\0');
  while (true) {
    // zlib counts in unsigned int, and does not write to its input.
    const std::size_t given =
        std::min<std::size_t>(bytes.size(), std::numeric_limits<uInt>::max());
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(given);
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    const int result = inflate(&stream, Z_NO_FLUSH);
    bytes.remove_prefix(given - stream.avail_in);
    text.append(piece, 0, piece.size() - stream.avail_out);
    if (static_cast<std::int64_t>(text.size()) > bytes_max) {
      return error(absl::StrCat("unpacks to more than ", bytes_max, " bytes"));
    }
    if (result == Z_STREAM_END) {
      if (bytes.empty()) {
        return text;
      }
      if (!LooksGzipped(bytes) || inflateReset(&stream) != Z_OK) {
        return error("something else follows the gzip data");
      }
    } else if (result == Z_BUF_ERROR || (result == Z_OK && bytes.empty() && stream.avail_out > 0)) {
      return error("the gzip data is cut short");
    } else if (result != Z_OK) {
      return error(absl::StrCat(
          "the gzip data is corrupt", stream.msg == nullptr ? "" : ": ", stream.msg == nullptr ? "" : stream.msg));
    }
  }
}

}  // namespace bitsweep
