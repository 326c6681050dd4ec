// SHA-256 (FIPS 180-4), streaming. The engine is built alone on GPU machines and may not ask for
// OpenSSL. Thread rule: one thread an object.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bitsweep::engine {

class Sha256 {
 public:
  /// With `use_instructions` the processor's SHA instructions where it has them; without, plain C++
  /// (for its test).
  explicit Sha256(bool use_instructions = true) : use_instructions_(use_instructions) {}

  void Update(const void* bytes, std::size_t size);
  void Update(std::string_view text) { Update(text.data(), text.size()); }
  /// 64 lower-case hexadecimal digits. The object is spent afterwards.
  std::string HexDigest();

 private:
  static constexpr std::size_t kBlockBytes = 64;

  void Compress(const unsigned char* bytes, std::size_t blocks);

  // The initial hash value: the fractional parts of the square roots of the first eight primes.
  std::array<std::uint32_t, 8> state_ = {0x6a09e667,
                                         0xbb67ae85,
                                         0x3c6ef372,
                                         0xa54ff53a,
                                         0x510e527f,
                                         0x9b05688c,
                                         0x1f83d9ab,
                                         0x5be0cd19};
  std::array<unsigned char, kBlockBytes> pending_{};
  std::size_t pending_bytes_ = 0;
  std::uint64_t total_bytes_ = 0;
  bool use_instructions_;
};

std::string Sha256Hex(std::string_view text);

}  // namespace bitsweep::engine
