// Where optional data beside the checkout lies (tests/README.md). Thread rule: any thread.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

namespace bitsweep::benchmark {

/// The folder named by BITSWEEP_SHARED (default: ../shared, seen from the checkout).
inline std::filesystem::path SharedFolder() {
  const char* folder = std::getenv("BITSWEEP_SHARED");
  // Tests run in tests/ of the checkout.
  return std::filesystem::path("..") / (folder != nullptr && *folder != 0 ? folder : "../shared");
}

/// A file in that folder, or nullopt where it is not there.
inline std::optional<std::string> SharedFile(const std::string& name) {
  const std::filesystem::path path = SharedFolder() / name;
  return std::filesystem::exists(path) ? std::optional<std::string>(path.string()) : std::nullopt;
}

}  // namespace bitsweep::benchmark
