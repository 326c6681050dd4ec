// Two versions of the block function: plain C++, and the SHA instructions of x86 where the
// processor has them (a model of 13 GB is hashed in about ten seconds rather than a minute).
#include "worker/engine/checkpoint/sha256.h"

#include <algorithm>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace bitsweep::engine {
namespace {

// FIPS 180-4, section 4.2.2: the fractional parts of the cube roots of the first 64 primes.
alignas(16) constexpr std::array<std::uint32_t, 64> kRound = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

using State = std::array<std::uint32_t, 8>;

void CompressPlain(State* state, const unsigned char* bytes, std::size_t blocks) {
  for (; blocks > 0; --blocks, bytes += 64) {
    std::array<std::uint32_t, 64> w{};
    for (std::size_t t = 0; t < 16; ++t) {
      w[t] = (std::uint32_t{bytes[4 * t]} << 24) | (std::uint32_t{bytes[4 * t + 1]} << 16) |
             (std::uint32_t{bytes[4 * t + 2]} << 8) | std::uint32_t{bytes[4 * t + 3]};
    }
    for (std::size_t t = 16; t < 64; ++t) {
      const std::uint32_t s0 =
          std::rotr(w[t - 15], 7) ^ std::rotr(w[t - 15], 18) ^ (w[t - 15] >> 3);
      const std::uint32_t s1 = std::rotr(w[t - 2], 17) ^ std::rotr(w[t - 2], 19) ^ (w[t - 2] >> 10);
      w[t] = w[t - 16] + s0 + w[t - 7] + s1;
    }
    auto [a, b, c, d, e, f, g, h] = *state;
    for (std::size_t t = 0; t < 64; ++t) {
      const std::uint32_t sum1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
      const std::uint32_t choice = (e & f) ^ (~e & g);
      const std::uint32_t t1 = h + sum1 + choice + kRound[t] + w[t];
      const std::uint32_t sum0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
      const std::uint32_t majority = (a & b) ^ (a & c) ^ (b & c);
      h = g;
      g = f;
      f = e;
      e = d + t1;
      d = c;
      c = b;
      b = a;
      a = t1 + sum0 + majority;
    }
    const State sums = {a, b, c, d, e, f, g, h};
    for (std::size_t i = 0; i < 8; ++i) {
      (*state)[i] += sums[i];
    }
  }
}

#if defined(__x86_64__)

bool HasShaInstructions() {
  unsigned int a = 0;
  unsigned int b = 0;
  unsigned int c = 0;
  unsigned int d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & (1U << 29)) != 0 &&
         __builtin_cpu_supports("sse4.1") != 0;
}

// sha256rnds2 keeps the eight words as (A, B, E, F) and (C, D, G, H), highest lane first, and does
// two rounds.
__attribute__((target("sha,sse4.1"))) void CompressSha(State* state,
                                                       const unsigned char* bytes,
                                                       std::size_t blocks) {
  const __m128i swap_bytes = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  const State& s = *state;
  const auto pack = [](std::uint32_t w3, std::uint32_t w2, std::uint32_t w1, std::uint32_t w0) {
    return std::array<std::uint32_t, 4>{w0, w1, w2, w3};
  };
  const auto abef_words = pack(s[0], s[1], s[4], s[5]);
  const auto cdgh_words = pack(s[2], s[3], s[6], s[7]);
  __m128i abef = _mm_loadu_si128(reinterpret_cast<const __m128i*>(abef_words.data()));
  __m128i cdgh = _mm_loadu_si128(reinterpret_cast<const __m128i*>(cdgh_words.data()));
  for (; blocks > 0; --blocks, bytes += 64) {
    const __m128i abef_before = abef;
    const __m128i cdgh_before = cdgh;
    __m128i w[4];  // The last 16 words of the message schedule, in a ring of four quadruples.
    for (std::size_t i = 0; i < 16; ++i) {
      __m128i& now = w[i % 4];
      if (i < 4) {
        const auto* source = reinterpret_cast<const __m128i*>(bytes + 16 * i);
        now = _mm_shuffle_epi8(_mm_loadu_si128(source), swap_bytes);
      } else {
        const __m128i older = w[(i + 1) % 4];
        const __m128i before_last = w[(i + 2) % 4];
        const __m128i last = w[(i + 3) % 4];
        // w[t-7] for the four words straddles the last two quadruples.
        const __m128i seven_back = _mm_alignr_epi8(last, before_last, 4);
        now =
            _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(now, older), seven_back), last);
      }
      const auto* constants = reinterpret_cast<const __m128i*>(kRound.data() + 4 * i);
      const __m128i sum = _mm_add_epi32(now, _mm_load_si128(constants));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  std::array<std::uint32_t, 4> low{};
  std::array<std::uint32_t, 4> high{};
  _mm_storeu_si128(reinterpret_cast<__m128i*>(low.data()), abef);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(high.data()), cdgh);
  *state = {low[3], low[2], high[3], high[2], low[1], low[0], high[1], high[0]};
}

#endif

}  // namespace

void Sha256::Compress(const unsigned char* bytes, std::size_t blocks) {
#if defined(__x86_64__)
  static const bool has_instructions = HasShaInstructions();
  if (use_instructions_ && has_instructions) {
    CompressSha(&state_, bytes, blocks);
    return;
  }
#endif
  CompressPlain(&state_, bytes, blocks);
}

void Sha256::Update(const void* bytes, std::size_t size) {
  const auto* next = static_cast<const unsigned char*>(bytes);
  total_bytes_ += size;
  if (pending_bytes_ > 0) {
    const std::size_t taken = std::min(size, kBlockBytes - pending_bytes_);
    std::memcpy(pending_.data() + pending_bytes_, next, taken);
    pending_bytes_ += taken;
    next += taken;
    size -= taken;
    if (pending_bytes_ < kBlockBytes) {
      return;
    }
    Compress(pending_.data(), 1);
    pending_bytes_ = 0;
  }
  Compress(next, size / kBlockBytes);
  pending_bytes_ = size % kBlockBytes;
  if (pending_bytes_ > 0) {
    std::memcpy(pending_.data(), next + (size - pending_bytes_), pending_bytes_);
  }
}

std::string Sha256::HexDigest() {
  const std::uint64_t bits = total_bytes_ * 8;
  // A one bit, zeros up to 8 bytes before the end of a block, and the message's length in bits.
  std::array<unsigned char, 2 * kBlockBytes> tail{};
  tail[0] = 0x80;
  const std::size_t zeros_end = (pending_bytes_ < 56 ? 56 : 120) - pending_bytes_;
  for (std::size_t i = 0; i < 8; ++i) {
    tail[zeros_end + i] = static_cast<unsigned char>(bits >> (56 - 8 * i));
  }
  Update(tail.data(), zeros_end + 8);
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint32_t word : state_) {
    for (int shift = 28; shift >= 0; shift -= 4) {
      text.push_back(kDigits[(word >> shift) & 0xF]);
    }
  }
  return text;
}

std::string Sha256Hex(std::string_view text) {
  Sha256 hash;
  hash.Update(text);
  return hash.HexDigest();
}

}  // namespace bitsweep::engine
