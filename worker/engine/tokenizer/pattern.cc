#include "worker/engine/tokenizer/pattern.h"

#include <algorithm>
#include <utility>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "worker/engine/error.h"
#include "worker/engine/tokenizer/utf8.h"

namespace bitsweep::engine {

struct Pattern::Compiled {
  pcre2_code* code = nullptr;
  Compiled() = default;
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;
  ~Compiled() { pcre2_code_free(code); }
};

namespace {

std::string Pcre2Message(int error) {
  PCRE2_UCHAR buffer[256] = {};
  pcre2_get_error_message(error, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

struct MatchDataDeleter {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

struct Fragment {
  Span span;
  bool is_match;
};

// The matches and what lies between them, in order.
std::vector<Fragment> Fragments(std::string_view text, const Pattern& pattern, bool invert) {
  std::vector<Fragment> fragments;
  std::size_t end = 0;
  for (const Span& match : pattern.FindAll(text)) {
    if (end != match.begin) {
      fragments.push_back({{end, match.begin}, invert});
    }
    fragments.push_back({match, !invert});
    end = match.end;
  }
  if (end != text.size()) {
    fragments.push_back({{end, text.size()}, invert});
  }
  return fragments;
}

// A match joins its neighbour unless that neighbour is a match itself.
void MergeWithPrevious(const std::vector<Fragment>& fragments, std::vector<Span>* spans) {
  bool was_match = false;
  for (const Fragment& fragment : fragments) {
    if (fragment.is_match && !was_match && !spans->empty()) {
      spans->back().end = fragment.span.end;
    } else {
      spans->push_back(fragment.span);
    }
    was_match = fragment.is_match;
  }
}

void MergeWithNext(const std::vector<Fragment>& fragments, std::vector<Span>* spans) {
  bool was_match = false;
  for (auto fragment = fragments.rbegin(); fragment != fragments.rend(); ++fragment) {
    if (fragment->is_match && !was_match && !spans->empty()) {
      spans->back().begin = fragment->span.begin;
    } else {
      spans->push_back(fragment->span);
    }
    was_match = fragment->is_match;
  }
  std::reverse(spans->begin(), spans->end());
}

void MergeRuns(const std::vector<Fragment>& fragments, std::vector<Span>* spans) {
  bool was_match = false;
  for (const Fragment& fragment : fragments) {
    if (fragment.is_match == was_match && !spans->empty()) {
      spans->back().end = fragment.span.end;
    } else {
      spans->push_back(fragment.span);
    }
    was_match = fragment.is_match;
  }
}

}  // namespace

Pattern Pattern::Literal(std::string text) {
  Pattern pattern;
  pattern.literal_ = std::move(text);
  return pattern;
}

Pattern Pattern::Regex(const std::string& expression) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  auto compiled = std::make_shared<Compiled>();
  // Oniguruma, which the files are written for, lets ^ and $ match at every line.
  compiled->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()),
                                 expression.size(),
                                 PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE,
                                 &error,
                                 &offset,
                                 nullptr);
  if (compiled->code == nullptr) {
    ThrowBadInput("regular expression '" + expression + "' at offset " + std::to_string(offset) +
                  ": " + Pcre2Message(error));
  }
  // Without the just-in-time compiler matching is slower and the same.
  pcre2_jit_compile(compiled->code, PCRE2_JIT_COMPLETE);
  Pattern pattern;
  pattern.regex_ = std::move(compiled);
  return pattern;
}

Pattern Pattern::Regex(const std::string& expression, const JsonPart& part) {
  // These classes hold other characters in PCRE2 than in Oniguruma; the tokens would differ
  // silently.
  for (const char* escape : {"\\w", "\\W", "\\b", "\\B"}) {
    if (expression.find(escape) != std::string::npos) {
      part.Refuse(std::string("a regular expression with ") + escape +
                  " is not supported; \\p{...}, \\s, \\d, classes and look-around are");
    }
  }
  try {
    return Regex(expression);
  } catch (const EngineError& error) {
    part.Refuse(error.what());
  }
}

Pattern Pattern::FromJson(const JsonPart& part) {
  if (part.Has("String") && part.value().size() == 1) {
    std::string literal = part.String("String");
    if (literal.empty()) {
      part.Refuse("an empty pattern matches everywhere; it is not supported");
    }
    return Literal(std::move(literal));
  }
  if (part.Has("Regex") && part.value().size() == 1) {
    return Regex(part.String("Regex"), part.Child("Regex"));
  }
  part.Refuse("found " + part.value().dump() + ", want {\"String\": ...} or {\"Regex\": ...}");
}

std::vector<Span> Pattern::FindAll(std::string_view text) const {
  std::vector<Span> matches;
  if (regex_ == nullptr) {
    for (std::size_t at = text.find(literal_); at != std::string_view::npos;
         at = text.find(literal_, at + literal_.size())) {
      matches.push_back({at, at + literal_.size()});
    }
    return matches;
  }
  const std::unique_ptr<pcre2_match_data, MatchDataDeleter> data(
      pcre2_match_data_create_from_pattern(regex_->code, nullptr));
  if (data == nullptr) {
    throw std::bad_alloc();
  }
  for (std::size_t at = 0; at <= text.size();) {
    // Checking the whole text again at every match would make this quadratic; Encode has checked it
    // once.
    const int count = pcre2_match(regex_->code,
                                  reinterpret_cast<PCRE2_SPTR>(text.data()),
                                  text.size(),
                                  at,
                                  PCRE2_NO_UTF_CHECK,
                                  data.get(),
                                  nullptr);
    if (count == PCRE2_ERROR_NOMATCH) {
      break;
    }
    if (count < 0) {
      ThrowBadInput("tokenizer: a regular expression fails on this text: " + Pcre2Message(count));
    }
    const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(data.get());
    const Span match{offsets[0], offsets[1]};
    if (match.end > match.begin) {
      matches.push_back(match);
      at = match.end;
    } else if (match.end < text.size()) {
      // An empty match splits nothing; the search goes on one character further.
      at = match.end + Utf8Length(text[match.end]);
    } else {
      break;
    }
  }
  return matches;
}

std::string Pattern::Replace(std::string_view text, std::string_view content) const {
  std::string result;
  result.reserve(text.size());
  std::size_t end = 0;
  for (const Span& match : FindAll(text)) {
    result += text.substr(end, match.begin - end);
    result += content;
    end = match.end;
  }
  result += text.substr(end);
  return result;
}

std::vector<Span> Split(std::string_view text,
                        const Pattern& pattern,
                        SplitBehavior behavior,
                        bool invert) {
  const std::vector<Fragment> fragments = Fragments(text, pattern, invert);
  std::vector<Span> spans;
  spans.reserve(fragments.size());
  switch (behavior) {
    case SplitBehavior::kRemoved:
    case SplitBehavior::kIsolated:
      for (const Fragment& fragment : fragments) {
        if (behavior == SplitBehavior::kIsolated || !fragment.is_match) {
          spans.push_back(fragment.span);
        }
      }
      break;
    case SplitBehavior::kMergedWithPrevious:
      MergeWithPrevious(fragments, &spans);
      break;
    case SplitBehavior::kMergedWithNext:
      MergeWithNext(fragments, &spans);
      break;
    case SplitBehavior::kContiguous:
      MergeRuns(fragments, &spans);
      break;
  }
  return spans;
}

}  // namespace bitsweep::engine
