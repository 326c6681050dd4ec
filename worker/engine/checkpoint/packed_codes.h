// The packed form of AQLM codes, ours: B bits a code instead of the int8 or int16 of the
// interchange form, so that 12- and 15-bit codes waste nothing. The format is in README.md, "Packed
// checkpoints". Thread rule: pure functions, any thread.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace bitsweep::engine {

/// Bytes that `count` codes of `codebook_bits` each take: the last byte is filled up with zeros.
std::int64_t PackedBytes(std::int64_t count, int codebook_bits);

/// codes [any shape], integers in [0, K) -> [PackedBytes(numel, B)] u8. Code n, counted in
/// row-major order, is bits n*B .. n*B+B-1 of the stream, least significant first; bit k of the
/// stream is bit k % 8 of byte k / 8. Throws kBadInput on a code outside [0, K) and on B
/// outside 1..16.
at::Tensor PackCodes(const at::Tensor& codes, int codebook_bits);

/// The inverse: [PackedBytes(product of shape, B)] u8 -> i32 of `shape`. Throws kBadInput on
/// another length, and on filling bits that are not zero.
at::Tensor UnpackCodes(const at::Tensor& packed, at::IntArrayRef shape, int codebook_bits);

}  // namespace bitsweep::engine
