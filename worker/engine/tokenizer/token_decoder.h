// The `decoder` of tokenizer.json: Sequence, Replace, ByteFallback, Fuse, Strip, ByteLevel and
// Metaspace turn the tokens' strings back into text. Thread rule: immutable, any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "worker/engine/tokenizer/json_part.h"

namespace bitsweep::engine {

class TokenDecoder {
 public:
  virtual ~TokenDecoder() = default;
  /// Rewrites the strings; the text is what they make when joined.
  virtual std::vector<std::string> Apply(std::vector<std::string> tokens) const = 0;
};

/// Throws kBadInput at an unsupported type.
std::unique_ptr<const TokenDecoder> MakeTokenDecoder(const JsonPart& part);

}  // namespace bitsweep::engine
