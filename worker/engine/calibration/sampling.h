// Which tokens calibrate a quantization: the sequences that give H, and those held out for
// validation (arXiv 2503.07103's calibration sets; the policies' definitions are in README.md).
// Seeded, and recorded by the digest of the tokens.
// Thread rule: free functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "worker/engine/tokenizer/tokenizer.h"

namespace bitsweep::engine {

enum class WindowPolicy {
  kRandom,  // A window at a random place of a document longer than the window.
  kFirst,   // The first tokens of a document longer than the window.
  kPack,    // Documents joined as BOS + text + EOS, cut into windows one after the other.
};

/// "random", "first", "pack".
const char* WindowPolicyName(WindowPolicy policy);
/// Throws kBadInput on another spelling, naming the three.
WindowPolicy ParseWindowPolicy(const std::string& name);

struct CalibrationPart {
  std::string file;
  std::int64_t sequences = 0;
  WindowPolicy window = WindowPolicy::kPack;
  std::int64_t min_tokens = 0;  // Shorter documents (BOS included) are left out.
};

struct CalibrationSpec {
  std::vector<CalibrationPart> parts;
  std::int64_t validation = 0;  // Of the parts' sequences together, held out at random.
  std::int64_t sequence_length = 0;
};

struct CalibrationSet {
  std::int64_t sequence_length = 0;
  std::vector<std::vector<std::int64_t>> train;       // Each `sequence_length` ids.
  std::vector<std::vector<std::int64_t>> validation;  // Likewise.
  std::string digest;  // SHA-256 over counts, length and ids (CalibrationDigest).
};

/// Throws kBadInput: no parts, sizes that are not positive, validation not below the total; a file
/// that is too short (naming it, what was found, what is needed, what to change); an id outside the
/// tokenizer's vocabulary never appears.
CalibrationSet SampleCalibration(const CalibrationSpec& spec,
                                 const Tokenizer& tokenizer,
                                 std::uint64_t seed);

/// SHA-256 of little-endian i64 values: number of training sequences, of validation sequences, the
/// length, then all ids, training first.
std::string CalibrationDigest(const CalibrationSet& set);

}  // namespace bitsweep::engine
