#include "worker/engine/tokenizer/token_decoder.h"

#include <optional>
#include <utility>

#include "worker/engine/tokenizer/byte_level.h"
#include "worker/engine/tokenizer/pattern.h"
#include "worker/engine/tokenizer/utf8.h"

namespace bitsweep::engine {
namespace {

using Tokens = std::vector<std::string>;

class SequenceDecoder : public TokenDecoder {
 public:
  explicit SequenceDecoder(std::vector<std::unique_ptr<const TokenDecoder>> steps)
      : steps_(std::move(steps)) {}
  Tokens Apply(Tokens tokens) const override {
    for (const auto& step : steps_) {
      tokens = step->Apply(std::move(tokens));
    }
    return tokens;
  }

 private:
  std::vector<std::unique_ptr<const TokenDecoder>> steps_;
};

class ReplaceDecoder : public TokenDecoder {
 public:
  ReplaceDecoder(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  Tokens Apply(Tokens tokens) const override {
    for (std::string& token : tokens) {
      token = pattern_.Replace(token, content_);
    }
    return tokens;
  }

 private:
  Pattern pattern_;
  std::string content_;
};

int HexDigit(char digit) {
  if (digit >= '0' && digit <= '9') {
    return digit - '0';
  }
  if (digit >= 'A' && digit <= 'F') {
    return digit - 'A' + 10;
  }
  if (digit >= 'a' && digit <= 'f') {
    return digit - 'a' + 10;
  }
  return -1;
}

// "<0x0A>" -> 10
std::optional<char> ByteToken(const std::string& token) {
  if (token.size() != 6 || token.compare(0, 3, "<0x") != 0 || token[5] != '>' ||
      HexDigit(token[3]) < 0 || HexDigit(token[4]) < 0) {
    return std::nullopt;
  }
  return static_cast<char>(HexDigit(token[3]) * 16 + HexDigit(token[4]));
}

class ByteFallbackDecoder : public TokenDecoder {
 public:
  Tokens Apply(Tokens tokens) const override {
    Tokens result;
    std::string bytes;
    const auto flush = [&] {
      if (IsValidUtf8(bytes)) {
        result.push_back(bytes);
      } else {
        // A run that is not UTF-8 as a whole is lost as a whole: one replacement character a byte.
        result.insert(result.end(), bytes.size(), "\xEF\xBF\xBD");
      }
      bytes.clear();
    };
    for (std::string& token : tokens) {
      if (const std::optional<char> byte = ByteToken(token)) {
        bytes.push_back(*byte);
        continue;
      }
      if (!bytes.empty()) {
        flush();
      }
      result.push_back(std::move(token));
    }
    if (!bytes.empty()) {
      flush();
    }
    return result;
  }
};

class FuseDecoder : public TokenDecoder {
 public:
  Tokens Apply(Tokens tokens) const override {
    std::string text;
    for (const std::string& token : tokens) {
      text += token;
    }
    return {std::move(text)};
  }
};

class StripDecoder : public TokenDecoder {
 public:
  StripDecoder(std::string character, std::int64_t start_max, std::int64_t stop_max)
      : character_(std::move(character)), start_max_(start_max), stop_max_(stop_max) {}
  Tokens Apply(Tokens tokens) const override {
    for (std::string& token : tokens) {
      std::size_t begin = 0;
      for (std::int64_t i = 0;
           i < start_max_ && token.compare(begin, character_.size(), character_) == 0;
           ++i) {
        begin += character_.size();
      }
      std::size_t end = token.size();
      for (std::int64_t i = 0;
           i < stop_max_ && end >= begin + character_.size() &&
           token.compare(end - character_.size(), character_.size(), character_) == 0;
           ++i) {
        end -= character_.size();
      }
      token = token.substr(begin, end - begin);
    }
    return tokens;
  }

 private:
  std::string character_;
  std::int64_t start_max_;
  std::int64_t stop_max_;
};

class ByteLevelDecoder : public TokenDecoder {
 public:
  Tokens Apply(Tokens tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) {
      std::string token_bytes;
      bool is_in_alphabet = true;
      for (std::size_t at = 0; at < token.size() && is_in_alphabet;) {
        const std::optional<unsigned char> byte = AlphabetToByte(NextCodePoint(token, &at));
        is_in_alphabet = byte.has_value();
        token_bytes.push_back(static_cast<char>(byte.value_or(0)));
      }
      // A token with a character outside the alphabet (an added token) stands for itself.
      bytes += is_in_alphabet ? token_bytes : token;
    }
    return {LossyUtf8(bytes)};
  }
};

class MetaspaceDecoder : public TokenDecoder {
 public:
  MetaspaceDecoder(std::string replacement, bool is_prepended)
      : marker_(Pattern::Literal(std::move(replacement))), is_prepended_(is_prepended) {}
  Tokens Apply(Tokens tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      tokens[i] = marker_.Replace(tokens[i], i == 0 && is_prepended_ ? "" : " ");
    }
    return tokens;
  }

 private:
  Pattern marker_;
  bool is_prepended_;
};

}  // namespace

std::unique_ptr<const TokenDecoder> MakeTokenDecoder(const JsonPart& part) {
  const std::string type = part.String("type");
  if (type == "Sequence") {
    std::vector<std::unique_ptr<const TokenDecoder>> steps;
    for (const JsonPart& step : part.Children("decoders")) {
      steps.push_back(MakeTokenDecoder(step));
    }
    return std::make_unique<SequenceDecoder>(std::move(steps));
  }
  if (type == "Replace") {
    return std::make_unique<ReplaceDecoder>(Pattern::FromJson(part.Child("pattern")),
                                            part.String("content"));
  }
  if (type == "ByteFallback") {
    return std::make_unique<ByteFallbackDecoder>();
  }
  if (type == "Fuse") {
    return std::make_unique<FuseDecoder>();
  }
  if (type == "Strip") {
    const std::string content = part.String("content");
    if (content.empty() || content.size() != Utf8Length(content[0])) {
      part.Child("content").Refuse("want one character");
    }
    return std::make_unique<StripDecoder>(content, part.Int("start"), part.Int("stop"));
  }
  if (type == "ByteLevel") {
    return std::make_unique<ByteLevelDecoder>();
  }
  if (type == "Metaspace") {
    const bool is_prepended = part.BoolOr("add_prefix_space", true) &&
                              part.StringOr("prepend_scheme", "always") != "never";
    return std::make_unique<MetaspaceDecoder>(part.String("replacement"), is_prepended);
  }
  part.Child("type").Refuse("decoder '" + type +
                            "' is not supported; supported are Sequence, Replace, ByteFallback, "
                            "Fuse, Strip, ByteLevel, Metaspace");
}

}  // namespace bitsweep::engine
