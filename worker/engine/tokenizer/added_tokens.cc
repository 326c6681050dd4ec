#include "worker/engine/tokenizer/added_tokens.h"

#include <algorithm>
#include <utility>

#include "worker/engine/tokenizer/utf8.h"

namespace bitsweep::engine {
namespace {

// Unicode's word characters (UTS 18, annex C): PCRE2's own \w leaves marks and joiners out and
// takes all numbers in.
constexpr const char* kWordAtStart = "\\A[\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{200C}\\x{200D}]";
constexpr const char* kWordAtEnd = "[\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{200C}\\x{200D}]\\z";

}  // namespace

AddedTokens::AddedTokens()
    : word_at_end_(Pattern::Regex(kWordAtEnd)),
      word_at_start_(Pattern::Regex(kWordAtStart)),
      space_at_end_(Pattern::Regex("\\s+\\z")),
      space_at_start_(Pattern::Regex("\\A\\s+")) {}

std::int64_t AddedTokens::NextId(const std::string& content, const Bpe& model) const {
  if (const Token* earlier = TokenOf(content)) {
    return earlier->id;
  }
  const std::int64_t id = model.IdOf(content);
  return id >= 0 ? id : std::max(model.vocabulary_size(), id_end());
}

AddedTokens AddedTokens::Make(const JsonPart& root,
                              const Normalizer* normalizer,
                              const Bpe& model) {
  AddedTokens added;
  if (!root.Has("added_tokens")) {
    return added;
  }
  for (const JsonPart& part : root.Children("added_tokens")) {
    const bool special = part.BoolOr("special", false);
    const std::string content = part.String("content");
    Token token{added.NextId(content, model),
                content,
                content,
                part.BoolOr("single_word", false),
                part.BoolOr("lstrip", false),
                part.BoolOr("rstrip", false),
                part.BoolOr("normalized", !special),
                special};
    if (token.content.empty()) {
      part.Refuse("an added token without content");
    }
    if (token.normalized && normalizer != nullptr) {
      token.decoded = normalizer->Apply(content);
    }
    const std::string& text = token.decoded;
    if (!text.empty()) {
      Needles& needles = token.normalized ? added.normalized_needles_ : added.raw_needles_;
      needles[static_cast<unsigned char>(text[0])].push_back({text, added.tokens_.size()});
    }
    added.tokens_.push_back(std::move(token));
  }
  for (Needles* needles : {&added.raw_needles_, &added.normalized_needles_}) {
    for (std::vector<Needle>& list : *needles) {
      std::stable_sort(list.begin(), list.end(), [](const Needle& a, const Needle& b) {
        return a.text.size() > b.text.size();
      });
    }
  }
  return added;
}

const AddedTokens::Needle* AddedTokens::MatchAt(const Needles& needles,
                                                std::string_view text,
                                                std::size_t at) const {
  for (const Needle& needle : needles[static_cast<unsigned char>(text[at])]) {
    if (text.compare(at, needle.text.size(), needle.text) == 0) {
      return &needle;
    }
  }
  return nullptr;
}

bool AddedTokens::IsWholeWord(std::string_view text, const Span& span) const {
  return word_at_end_.FindAll(text.substr(0, span.begin)).empty() &&
         word_at_start_.FindAll(text.substr(span.end)).empty();
}

std::vector<AddedTokens::Stretch> AddedTokens::Find(std::string_view text, bool normalized) const {
  const Needles& needles = normalized ? normalized_needles_ : raw_needles_;
  std::vector<Stretch> stretches;
  std::size_t end = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Needle* needle = MatchAt(needles, text, at);
    if (needle == nullptr) {
      ++at;
      continue;
    }
    const Token& token = tokens_[needle->token];
    Span span{at, at + needle->text.size()};
    at = span.end;
    if (token.single_word && !IsWholeWord(text, span)) {
      continue;
    }
    if (token.lstrip) {
      const std::vector<Span> spaces = space_at_end_.FindAll(text.substr(0, span.begin));
      if (!spaces.empty()) {
        // Spaces that the previous token took with it stay there.
        span.begin = std::max(spaces.front().begin, end);
      }
    }
    if (token.rstrip) {
      const std::vector<Span> spaces = space_at_start_.FindAll(text.substr(span.end));
      if (!spaces.empty()) {
        span.end += spaces.front().end;
      }
    }
    if (end < span.begin) {
      stretches.push_back({-1, {end, span.begin}});
    }
    stretches.push_back({token.id, span});
    end = span.end;
    at = std::max(at, end);
  }
  if (end < text.size()) {
    stretches.push_back({-1, {end, text.size()}});
  }
  return stretches;
}

const AddedTokens::Token* AddedTokens::TokenOf(std::int64_t id) const {
  const auto it = std::find_if(
      tokens_.begin(), tokens_.end(), [&](const Token& token) { return token.id == id; });
  return it == tokens_.end() ? nullptr : &*it;
}

const AddedTokens::Token* AddedTokens::TokenOf(const std::string& content) const {
  const auto it = std::find_if(
      tokens_.begin(), tokens_.end(), [&](const Token& token) { return token.content == content; });
  return it == tokens_.end() ? nullptr : &*it;
}

std::int64_t AddedTokens::id_end() const {
  std::int64_t end = 0;
  for (const Token& token : tokens_) {
    end = std::max(end, token.id + 1);
  }
  return end;
}

}  // namespace bitsweep::engine
