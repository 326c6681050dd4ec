#include "worker/engine/tokenizer/pre_tokenizer.h"

#include <array>
#include <utility>

#include "worker/engine/tokenizer/byte_level.h"
#include "worker/engine/tokenizer/pattern.h"

namespace bitsweep::engine {
namespace {

// GPT-2's words (the byte-level pre-tokenizer's own expression, when `use_regex` is set).
constexpr const char* kByteLevelWords =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

// Splits every piece at a pattern.
void SplitPieces(const Pattern& pattern, SplitBehavior behavior, bool invert, Pieces* pieces) {
  std::vector<Piece> result;
  result.reserve(pieces->list.size());
  for (const Piece& piece : pieces->list) {
    for (const Span& span : Split(piece.text, pattern, behavior, invert)) {
      result.push_back({piece.text.substr(span.begin, span.end - span.begin),
                        piece.is_at_start && span.begin == 0});
    }
  }
  pieces->list = std::move(result);
}

class SequencePreTokenizer : public PreTokenizer {
 public:
  explicit SequencePreTokenizer(std::vector<std::unique_ptr<const PreTokenizer>> steps)
      : steps_(std::move(steps)) {}
  void Apply(Pieces* pieces) const override {
    for (const auto& step : steps_) {
      step->Apply(pieces);
    }
  }

 private:
  std::vector<std::unique_ptr<const PreTokenizer>> steps_;
};

class SplitPreTokenizer : public PreTokenizer {
 public:
  SplitPreTokenizer(Pattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  void Apply(Pieces* pieces) const override { SplitPieces(pattern_, behavior_, invert_, pieces); }

 private:
  Pattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

class ByteLevelPreTokenizer : public PreTokenizer {
 public:
  ByteLevelPreTokenizer(bool add_prefix_space, bool use_regex)
      : add_prefix_space_(add_prefix_space),
        use_regex_(use_regex),
        words_(Pattern::Regex(kByteLevelWords)) {}
  void Apply(Pieces* pieces) const override {
    if (add_prefix_space_) {
      for (Piece& piece : pieces->list) {
        if (piece.text.front() != ' ') {
          piece.text = pieces->Own(std::string(1, ' ').append(piece.text));
        }
      }
    }
    if (use_regex_) {
      SplitPieces(words_, SplitBehavior::kIsolated, false, pieces);
    }
    for (Piece& piece : pieces->list) {
      piece.text = pieces->Own(BytesToAlphabet(piece.text));
    }
  }

 private:
  bool add_prefix_space_;
  bool use_regex_;
  Pattern words_;
};

enum class PrependScheme {
  kAlways,
  kFirst,
  kNever,
};

class MetaspacePreTokenizer : public PreTokenizer {
 public:
  MetaspacePreTokenizer(std::string replacement, PrependScheme scheme, bool split)
      : replacement_(std::move(replacement)),
        scheme_(scheme),
        split_(split),
        space_(Pattern::Literal(" ")),
        marker_(Pattern::Literal(replacement_)) {}
  void Apply(Pieces* pieces) const override {
    for (Piece& piece : pieces->list) {
      std::string text = space_.Replace(piece.text, replacement_);
      const bool is_wanted = scheme_ == PrependScheme::kAlways ||
                             (scheme_ == PrependScheme::kFirst && piece.is_at_start);
      if (is_wanted && text.rfind(replacement_, 0) != 0) {
        text.insert(0, replacement_);
      }
      piece.text = pieces->Own(std::move(text));
    }
    if (split_) {
      SplitPieces(marker_, SplitBehavior::kMergedWithNext, false, pieces);
    }
  }

 private:
  std::string replacement_;
  PrependScheme scheme_;
  bool split_;
  Pattern space_;
  Pattern marker_;
};

SplitBehavior ReadBehavior(const JsonPart& part) {
  struct Row {
    const char* name;
    SplitBehavior behavior;
  };
  static constexpr std::array kRows = {
      Row{"Removed", SplitBehavior::kRemoved},
      Row{"Isolated", SplitBehavior::kIsolated},
      Row{"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      Row{"MergedWithNext", SplitBehavior::kMergedWithNext},
      Row{"Contiguous", SplitBehavior::kContiguous},
  };
  const std::string name = part.String("behavior");
  for (const Row& row : kRows) {
    if (name == row.name) {
      return row.behavior;
    }
  }
  part.Child("behavior")
      .Refuse("'" + name +
              "' is not supported; supported are Removed, Isolated, MergedWithPrevious, "
              "MergedWithNext, Contiguous");
}

PrependScheme ReadPrependScheme(const JsonPart& part) {
  const std::string name = part.StringOr("prepend_scheme", "always");
  // Older files say add_prefix_space instead.
  if (!part.BoolOr("add_prefix_space", true) || name == "never") {
    return PrependScheme::kNever;
  }
  if (name == "always") {
    return PrependScheme::kAlways;
  }
  if (name == "first") {
    return PrependScheme::kFirst;
  }
  part.Child("prepend_scheme").Refuse("found '" + name + "', want always, first or never");
}

}  // namespace

std::unique_ptr<const PreTokenizer> MakePreTokenizer(const JsonPart& part) {
  const std::string type = part.String("type");
  if (type == "Sequence") {
    std::vector<std::unique_ptr<const PreTokenizer>> steps;
    for (const JsonPart& step : part.Children("pretokenizers")) {
      steps.push_back(MakePreTokenizer(step));
    }
    return std::make_unique<SequencePreTokenizer>(std::move(steps));
  }
  if (type == "Split") {
    return std::make_unique<SplitPreTokenizer>(
        Pattern::FromJson(part.Child("pattern")), ReadBehavior(part), part.BoolOr("invert", false));
  }
  if (type == "Digits") {
    const bool individual = part.BoolOr("individual_digits", false);
    return std::make_unique<SplitPreTokenizer>(
        Pattern::Regex("\\p{N}"),
        individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous,
        false);
  }
  if (type == "ByteLevel") {
    return std::make_unique<ByteLevelPreTokenizer>(part.BoolOr("add_prefix_space", true),
                                                   part.BoolOr("use_regex", true));
  }
  if (type == "Metaspace") {
    return std::make_unique<MetaspacePreTokenizer>(
        part.String("replacement"), ReadPrependScheme(part), part.BoolOr("split", true));
  }
  part.Child("type").Refuse(
      "pre-tokenizer '" + type +
      "' is not supported; supported are Sequence, Split, Digits, ByteLevel, Metaspace");
}

}  // namespace bitsweep::engine
