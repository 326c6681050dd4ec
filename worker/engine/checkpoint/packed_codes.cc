#include "worker/engine/checkpoint/packed_codes.h"

#include <algorithm>
#include <string>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "worker/engine/error.h"

namespace bitsweep::engine {
namespace {

// Eight codes fill whole bytes at every width, so runs of eight are independent of each other.
constexpr std::int64_t kRun = 8;
constexpr std::int64_t kRunsPerTask = 1 << 14;

void CheckBits(int codebook_bits) {
  if (codebook_bits < 1 || codebook_bits > 16) {
    ThrowBadInput("codebook bits " + std::to_string(codebook_bits) + ": want 1 to 16");
  }
}

void PackRun(const std::int32_t* codes, std::int64_t count, int bits, std::uint8_t* out) {
  std::uint32_t window = 0;
  int filled = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    window |= static_cast<std::uint32_t>(codes[i]) << filled;
    for (filled += bits; filled >= 8; filled -= 8) {
      *out++ = static_cast<std::uint8_t>(window);
      window >>= 8;
    }
  }
  if (filled > 0) {
    *out = static_cast<std::uint8_t>(window);
  }
}

// -> what is left of the last byte that was read.
std::uint32_t UnpackRun(const std::uint8_t* in, std::int64_t count, int bits, std::int32_t* codes) {
  const std::uint32_t mask = (std::uint32_t{1} << bits) - 1;
  std::uint32_t window = 0;
  int filled = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    for (; filled < bits; filled += 8) {
      window |= std::uint32_t{*in++} << filled;
    }
    codes[i] = static_cast<std::int32_t>(window & mask);
    window >>= bits;
    filled -= bits;
  }
  return window;
}

// Calls `on_codes(first code, number of codes, first byte)` for pieces that can be done at once.
template <typename OnCodes>
void ForEachPiece(std::int64_t count, int bits, const OnCodes& on_codes) {
  at::parallel_for(
      0, (count + kRun - 1) / kRun, kRunsPerTask, [&](std::int64_t begin, std::int64_t end) {
        const std::int64_t first = begin * kRun;
        on_codes(first, std::min(end * kRun, count) - first, begin * bits);
      });
}

}  // namespace

std::int64_t PackedBytes(std::int64_t count, int codebook_bits) {
  return (count * codebook_bits + 7) / 8;
}

at::Tensor PackCodes(const at::Tensor& codes, int codebook_bits) {
  CheckBits(codebook_bits);
  const at::Tensor flat = codes.to(at::kCPU, at::kInt).contiguous();
  const std::int64_t count = flat.numel();
  if (count > 0) {
    const auto least = flat.min().item<std::int64_t>();
    const auto greatest = flat.max().item<std::int64_t>();
    if (least < 0 || greatest >= (std::int64_t{1} << codebook_bits)) {
      ThrowBadInput("codes reach from " + std::to_string(least) + " to " +
                    std::to_string(greatest) + ", want [0, " +
                    std::to_string(std::int64_t{1} << codebook_bits) + ")");
    }
  }
  at::Tensor packed = at::empty({PackedBytes(count, codebook_bits)}, at::kByte);
  const auto* from = flat.data_ptr<std::int32_t>();
  auto* to = packed.data_ptr<std::uint8_t>();
  ForEachPiece(count, codebook_bits, [&](std::int64_t first, std::int64_t n, std::int64_t byte) {
    PackRun(from + first, n, codebook_bits, to + byte);
  });
  return packed;
}

at::Tensor UnpackCodes(const at::Tensor& packed, at::IntArrayRef shape, int codebook_bits) {
  CheckBits(codebook_bits);
  at::Tensor codes = at::empty(shape, at::kInt);
  const std::int64_t count = codes.numel();
  const std::int64_t want = PackedBytes(count, codebook_bits);
  if (packed.scalar_type() != at::kByte || packed.dim() != 1 || packed.numel() != want) {
    ThrowBadInput("packed codes: found " + std::to_string(packed.numel()) + " elements of type " +
                  at::toString(packed.scalar_type()) + ", want [" + std::to_string(want) +
                  "] bytes for " + std::to_string(count) + " codes of " +
                  std::to_string(codebook_bits) + " bits");
  }
  const at::Tensor stream = packed.contiguous();
  const auto* from = stream.data_ptr<std::uint8_t>();
  auto* to = codes.data_ptr<std::int32_t>();
  ForEachPiece(count, codebook_bits, [&](std::int64_t first, std::int64_t n, std::int64_t byte) {
    // Only the last piece can leave bits over, and they are its filling.
    if (UnpackRun(from + byte, n, codebook_bits, to + first) != 0) {
      ThrowBadInput(
          "packed codes: the bits after the last code are not zero: the stream is "
          "damaged, or was written with another width");
    }
  });
  return codes;
}

}  // namespace bitsweep::engine
