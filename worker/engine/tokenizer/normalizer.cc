#include "worker/engine/tokenizer/normalizer.h"

#include <utility>
#include <vector>

#include "worker/engine/tokenizer/pattern.h"

namespace bitsweep::engine {
namespace {

class SequenceNormalizer : public Normalizer {
 public:
  explicit SequenceNormalizer(std::vector<std::unique_ptr<const Normalizer>> steps)
      : steps_(std::move(steps)) {}
  std::string Apply(std::string text) const override {
    for (const auto& step : steps_) {
      text = step->Apply(std::move(text));
    }
    return text;
  }

 private:
  std::vector<std::unique_ptr<const Normalizer>> steps_;
};

class PrependNormalizer : public Normalizer {
 public:
  explicit PrependNormalizer(std::string prefix) : prefix_(std::move(prefix)) {}
  std::string Apply(std::string text) const override {
    return text.empty() ? text : prefix_ + text;
  }

 private:
  std::string prefix_;
};

class ReplaceNormalizer : public Normalizer {
 public:
  ReplaceNormalizer(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  std::string Apply(std::string text) const override { return pattern_.Replace(text, content_); }

 private:
  Pattern pattern_;
  std::string content_;
};

}  // namespace

std::unique_ptr<const Normalizer> MakeNormalizer(const JsonPart& part) {
  const std::string type = part.String("type");
  if (type == "Sequence") {
    std::vector<std::unique_ptr<const Normalizer>> steps;
    for (const JsonPart& step : part.Children("normalizers")) {
      steps.push_back(MakeNormalizer(step));
    }
    return std::make_unique<SequenceNormalizer>(std::move(steps));
  }
  if (type == "Prepend") {
    return std::make_unique<PrependNormalizer>(part.String("prepend"));
  }
  if (type == "Replace") {
    return std::make_unique<ReplaceNormalizer>(Pattern::FromJson(part.Child("pattern")),
                                               part.String("content"));
  }
  part.Child("type").Refuse("normalizer '" + type +
                            "' is not supported; supported are Sequence, Prepend, Replace");
}

}  // namespace bitsweep::engine
