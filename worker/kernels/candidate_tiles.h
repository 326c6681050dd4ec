// A codebook of groups of 8, laid out for the matrix instructions that score candidates on a device:
// tiles of 16 candidates, each value c as two halves, hi = f16(scale c) and lo = f16(scale c - hi),
// which together hold 22 bits of it. A score C_k . v is then hi.hi + hi.lo + lo.hi with f32 sums:
// within 2^-21 of the product of the largest values. `scale` is the power of two that brings the
// codebook's largest magnitude into [1, 2), so that nothing leaves f16's range.
// Thread rule: plain functions; PackCandidateTilesCuda queues work on its stream.
#pragma once

#include <cstdint>

#include "worker/kernels/device.h"

namespace bitsweep::kernels {

/// The only group size that the device ops have.
inline constexpr std::int64_t kDeviceGroup = 8;
inline constexpr std::int64_t kTileCandidates = 16;

/// Tiles whose lowest score is found before anyone asks where in them it was: long enough to
/// make the asking cheap, short enough to spread small codebooks over warps.
constexpr std::int64_t ChunkTiles(std::int64_t k) {
  return k >= 4096 ? 8 : 2;
}
/// K rounded up to whole chunks; the padding scores kPaddingScore.
constexpr std::int64_t PaddedToChunks(std::int64_t k) {
  const std::int64_t chunk = ChunkTiles(k) * kTileCandidates;
  return (k + chunk - 1) / chunk * chunk;
}
/// Where candidate k's norm lies among PaddedToChunks(K) * 2 floats: as the matrix instructions take
/// it, twice, beside that of candidate k + 8 of the tile.
constexpr std::int64_t NormPlace(std::int64_t k) {
  return k / 16 * 32 + k % 8 * 4 + k % 16 / 8 * 2;
}
/// Larger than any score.
inline constexpr float kPaddingScore = 3e38F;

struct CandidateTilesArgs {
  std::int64_t candidates = 0;         // K
  const float* centroids = nullptr;    // [K, 8]
  std::uint32_t* tiles = nullptr;      // [PaddedToChunks(K) * 8]
  float* scale = nullptr;              // [2]: the largest magnitude, the power of two
};

KernelStatus PackCandidateTilesCuda(const CandidateTilesArgs& args, DeviceStream stream);

}  // namespace bitsweep::kernels
