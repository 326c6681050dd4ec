// The `pre_tokenizer` of tokenizer.json: Sequence, Split, Digits, ByteLevel and Metaspace. It cuts
// a text into the pieces that byte-pair merges never cross. Thread rule: pre-tokenizers are
// immutable, any thread; Pieces belong to one call.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "worker/engine/tokenizer/json_part.h"

namespace bitsweep::engine {

struct Piece {
  std::string_view text;  // Valid UTF-8, not empty.
  bool is_at_start;       // It begins where the whole input began.
};

/// The pieces and the rewritten strings that they point into.
struct Pieces {
  std::vector<Piece> list;
  std::deque<std::string> owned;  // A deque never moves what it holds.
  std::string_view Own(std::string text) { return owned.emplace_back(std::move(text)); }
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void Apply(Pieces* pieces) const = 0;
};

/// Throws kBadInput at an unsupported type.
std::unique_ptr<const PreTokenizer> MakePreTokenizer(const JsonPart& part);

}  // namespace bitsweep::engine
