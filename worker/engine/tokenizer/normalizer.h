// The `normalizer` of tokenizer.json: Sequence, Prepend and Replace. Thread rule: immutable, any
// thread.
#pragma once

#include <memory>
#include <string>

#include "worker/engine/tokenizer/json_part.h"

namespace bitsweep::engine {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// UTF-8 -> UTF-8. An empty text stays empty.
  virtual std::string Apply(std::string text) const = 0;
};

/// Throws kBadInput at an unsupported type.
std::unique_ptr<const Normalizer> MakeNormalizer(const JsonPart& part);

}  // namespace bitsweep::engine
