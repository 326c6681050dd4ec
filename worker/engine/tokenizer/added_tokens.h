// The `added_tokens` of tokenizer.json: strings that are recognised in the text before anything
// else, and their ids. Thread rule: immutable after Make, any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "worker/engine/tokenizer/bpe.h"
#include "worker/engine/tokenizer/json_part.h"
#include "worker/engine/tokenizer/normalizer.h"
#include "worker/engine/tokenizer/pattern.h"

namespace bitsweep::engine {

class AddedTokens {
 public:
  struct Token {
    std::int64_t id;
    std::string content;
    std::string decoded;  // What the decoder is given: the content, normalized where the token is.
    bool single_word;
    bool lstrip;
    bool rstrip;
    bool normalized;  // Recognised in the normalized text rather than in the raw one.
    bool special;
  };
  /// A stretch of a text: one added token, or (id -1) what is left for the model.
  struct Stretch {
    std::int64_t id;
    Span span;
  };

  /// `root` is the whole document. `normalizer` may be null. Ids are given as the tokenizers
  /// library does: a token of the model's vocabulary has the model's id, another one the next free
  /// id, whatever the file says.
  static AddedTokens Make(const JsonPart& root, const Normalizer* normalizer, const Bpe& model);

  /// Cuts a raw (`normalized` false) or normalized text at the added tokens of that kind: the
  /// leftmost, then the longest.
  std::vector<Stretch> Find(std::string_view text, bool normalized) const;
  /// Null when `id` is not an added token's.
  const Token* TokenOf(std::int64_t id) const;
  const Token* TokenOf(const std::string& content) const;
  /// One above the greatest id, 0 without tokens.
  std::int64_t id_end() const;

 private:
  struct Needle {
    std::string text;
    std::size_t token;  // Index into tokens_.
  };
  /// For each first byte, the needles that begin with it, longest first.
  using Needles = std::array<std::vector<Needle>, 256>;

  AddedTokens();
  std::int64_t NextId(const std::string& content, const Bpe& model) const;
  const Needle* MatchAt(const Needles& needles, std::string_view text, std::size_t at) const;
  bool IsWholeWord(std::string_view text, const Span& span) const;

  std::vector<Token> tokens_;
  Needles raw_needles_;
  Needles normalized_needles_;
  Pattern word_at_end_;
  Pattern word_at_start_;
  Pattern space_at_end_;
  Pattern space_at_start_;
};

}  // namespace bitsweep::engine
