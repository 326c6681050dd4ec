// SHA-256 and canonical JSON: what keys and artifact names are made of.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <absl/status/statusor.h>
#include <nlohmann/json.hpp>

namespace bitsweep {

/// Hashes a stream of bytes. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void Update(std::string_view bytes);
  /// 64 lower-case hexadecimal digits. REQUIRES: called once, last.
  std::string Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string Sha256Hex(std::string_view bytes);

/// NOT_FOUND when the file cannot be opened, INTERNAL on a read error. Reads in 1 MiB pieces.
absl::StatusOr<std::string> Sha256HexOfFile(const std::string& path);

/// UTF-8 without white space, object members sorted by name, numbers in their shortest round-trip form. A floating-point
/// number with an integral value is written as an integer, so that `1.0` and `1` in a sweep file give one key.
std::string CanonicalJson(const nlohmann::json& value);

/// The first 8 bytes of SHA-256 over `parts` joined by '\x1f', big-endian: how seeds derive from one another.
std::uint64_t DeriveSeed(std::initializer_list<std::string_view> parts);

}  // namespace bitsweep
