// A file that appears whole or not at all: written beside its place, fsynced, renamed over it, the
// folder fsynced. Thread rule: one thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bitsweep::engine {

/// Throws EngineError(kDiskFull) on ENOSPC and EDQUOT, kBug on other I/O errors. Without Commit()
/// nothing is left behind.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void Write(const void* bytes, std::size_t size);
  void Write(std::string_view text) { Write(text.data(), text.size()); }
  void Commit();

 private:
  std::string path_;
  std::string temporary_path_;
  int fd_ = -1;
};

void WriteFileAtomically(const std::string& path, std::string_view text);

/// The whole file. Throws kBadInput naming the path and the reason.
std::string ReadWholeFile(const std::string& path);

}  // namespace bitsweep::engine
