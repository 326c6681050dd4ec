// The safetensors format (8-byte little-endian header length, JSON header, data), memory-mapped for
// reading and written atomically. Format document: the safetensors repository's README, section
// "Format". Thread rule: a SafetensorsFile is immutable after Open and may be read from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

namespace bitsweep::engine {

/// One mapped file. Tensors returned by Get share the mapping and keep it alive.
class SafetensorsFile : public std::enable_shared_from_this<SafetensorsFile> {
 public:
  struct Entry {
    std::string
        dtype;  // As in the header: "F16", "F32", "BF16", "I8", "I16", "I32", "I64", "U8", ...
    std::vector<std::int64_t> shape;
    std::uint64_t begin = 0;  // Byte offsets into the data part, end exclusive.
    std::uint64_t end = 0;
  };

  /// Maps `path` and checks every offset, size and dtype against the file's length.
  /// Throws EngineError(kBadInput) that names the file, the tensor, both byte counts ("truncated:
  /// ...").
  static std::shared_ptr<const SafetensorsFile> Open(const std::string& path);

  const std::string& path() const { return path_; }
  const std::map<std::string, Entry>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  bool Has(const std::string& name) const { return entries_.count(name) != 0; }
  /// The tensor as stored, without a copy, read-only by convention. Throws kBadInput naming file
  /// and tensor when absent.
  at::Tensor Get(const std::string& name) const;

  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

 private:
  SafetensorsFile() = default;
  std::string path_;
  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> metadata_;
  const std::byte* map_ = nullptr;
  std::size_t map_bytes_ = 0;
  const std::byte* data_ = nullptr;
};

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// Writes CPU tensors (made contiguous) to `path` by write, fsync, rename, so that a reader never
/// sees half a file. Throws EngineError(kDiskFull) on ENOSPC, kBug on other I/O errors.
void WriteSafetensors(const std::string& path,
                      const NamedTensors& tensors,
                      const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

}  // namespace bitsweep::engine
