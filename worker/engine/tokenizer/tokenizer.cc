#include "worker/engine/tokenizer/tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>
#include <utility>

#include "worker/engine/checkpoint/atomic_file.h"
#include "worker/engine/error.h"
#include "worker/engine/tokenizer/added_tokens.h"
#include "worker/engine/tokenizer/bpe.h"
#include "worker/engine/tokenizer/json_part.h"
#include "worker/engine/tokenizer/normalizer.h"
#include "worker/engine/tokenizer/pre_tokenizer.h"
#include "worker/engine/tokenizer/token_decoder.h"
#include "worker/engine/tokenizer/utf8.h"

namespace bitsweep::engine {
namespace {

nlohmann::json ParseFile(const std::string& path) {
  try {
    return nlohmann::json::parse(ReadWholeFile(path));
  } catch (const nlohmann::json::exception& error) {
    ThrowBadInput(path + ": " + error.what());
  }
}

// "<s>" or {"content": "<s>", ...}; empty when there is none.
std::string TokenContent(const JsonPart& config, const std::string& key) {
  if (!config.Has(key)) {
    return "";
  }
  const JsonPart part = config.Child(key);
  return part.value().is_object() ? part.String("content") : config.String(key);
}

// The special token that a template puts before the text: {"single": [{"SpecialToken": {"id":
// "<s>"}}, {"Sequence": ...}]}.
std::string TemplateBos(const JsonPart& processor) {
  const std::string type = processor.String("type");
  if (type == "ByteLevel") {
    return "";  // It only moves offsets.
  }
  if (type == "Sequence") {
    for (const JsonPart& step : processor.Children("processors")) {
      const std::string bos = TemplateBos(step);
      if (!bos.empty()) {
        return bos;
      }
    }
    return "";
  }
  if (type == "TemplateProcessing") {
    const std::vector<JsonPart> items = processor.Children("single");
    const bool has_bos = !items.empty() && items.front().Has("SpecialToken");
    return has_bos ? items.front().Child("SpecialToken").String("id") : "";
  }
  processor.Child("type").Refuse("post-processor '" + type +
                                 "' is not supported; supported are TemplateProcessing, ByteLevel, "
                                 "Sequence");
}

class JsonTokenizer : public Tokenizer {
 public:
  JsonTokenizer(const JsonPart& root, const JsonPart& config)
      : normalizer_(root.Has("normalizer") ? MakeNormalizer(root.Child("normalizer")) : nullptr),
        pre_tokenizer_(root.Has("pre_tokenizer") ? MakePreTokenizer(root.Child("pre_tokenizer"))
                                                 : nullptr),
        model_(Bpe::Make(root.Child("model"))),
        decoder_(root.Has("decoder") ? MakeTokenDecoder(root.Child("decoder")) : nullptr),
        added_(AddedTokens::Make(root, normalizer_.get(), *model_)),
        vocab_size_(std::max(model_->id_end(), added_.id_end())) {
    if (config.Has("eos_token")) {
      eos_id_ = RequireId(config, "eos_token");
    }
    if (config.Has("add_bos_token")) {
      if (config.BoolOr("add_bos_token", false)) {
        bos_id_ = RequireId(config, "bos_token");
      }
    } else if (root.Has("post_processor")) {
      const JsonPart processor = root.Child("post_processor");
      const std::string bos = TemplateBos(processor);
      if (!bos.empty()) {
        bos_id_ = IdOf(bos);
        if (bos_id_ < 0) {
          processor.Refuse("its special token '" + bos + "' is not in the vocabulary");
        }
      }
    }
  }

  std::vector<std::int64_t> Encode(std::string_view text) const override {
    std::string repaired;
    if (!IsValidUtf8(text)) {
      repaired = LossyUtf8(text);
      text = repaired;
    }
    std::vector<std::int64_t> ids;
    ids.reserve(text.size() / 2);
    for (const AddedTokens::Stretch& raw : added_.Find(text, false)) {
      if (raw.id >= 0) {
        ids.push_back(raw.id);
        continue;
      }
      std::string stretch(text.substr(raw.span.begin, raw.span.end - raw.span.begin));
      if (normalizer_ != nullptr) {
        stretch = normalizer_->Apply(std::move(stretch));
      }
      EncodeNormalized(stretch, raw.span.begin == 0, &ids);
    }
    return ids;
  }

  std::string Decode(const std::vector<std::int64_t>& ids, bool skip_special) const override {
    std::vector<std::string> tokens;
    tokens.reserve(ids.size());
    for (const std::int64_t id : ids) {
      if (skip_special && IsSpecial(id)) {
        continue;
      }
      if (const AddedTokens::Token* token = added_.TokenOf(id)) {
        tokens.push_back(token->decoded);
      } else if (const std::string* model_token = model_->TokenOf(id)) {
        tokens.push_back(*model_token);
      }
    }
    // Without a decoder the tokenizers library joins with spaces.
    const char* separator = decoder_ == nullptr ? " " : "";
    if (decoder_ != nullptr) {
      tokens = decoder_->Apply(std::move(tokens));
    }
    std::string text;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      text += (i == 0 ? "" : separator) + tokens[i];
    }
    return text;
  }

  std::int64_t bos_id() const override { return bos_id_; }
  std::int64_t eos_id() const override { return eos_id_; }
  bool IsSpecial(std::int64_t id) const override {
    const AddedTokens::Token* token = added_.TokenOf(id);
    return token != nullptr && token->special;
  }
  std::int64_t vocab_size() const override { return vocab_size_; }

 private:
  void EncodeNormalized(std::string_view text,
                        bool is_at_start,
                        std::vector<std::int64_t>* ids) const {
    for (const AddedTokens::Stretch& stretch : added_.Find(text, true)) {
      if (stretch.id >= 0) {
        ids->push_back(stretch.id);
        continue;
      }
      Pieces pieces;
      pieces.list.push_back({text.substr(stretch.span.begin, stretch.span.end - stretch.span.begin),
                             is_at_start && stretch.span.begin == 0});
      if (pre_tokenizer_ != nullptr) {
        pre_tokenizer_->Apply(&pieces);
      }
      for (const Piece& piece : pieces.list) {
        model_->Encode(piece.text, ids);
      }
    }
  }

  std::int64_t IdOf(const std::string& content) const {
    const AddedTokens::Token* token = added_.TokenOf(content);
    return token != nullptr ? token->id : model_->IdOf(content);
  }

  std::int64_t RequireId(const JsonPart& config, const std::string& key) const {
    const std::string content = TokenContent(config, key);
    if (content.empty()) {
      config.Refuse("add_bos_token is set, but there is no " + key);
    }
    const std::int64_t id = IdOf(content);
    if (id < 0) {
      config.Child(key).Refuse("'" + content + "' is not in tokenizer.json");
    }
    return id;
  }

  std::unique_ptr<const Normalizer> normalizer_;
  std::unique_ptr<const PreTokenizer> pre_tokenizer_;
  std::unique_ptr<const Bpe> model_;
  std::unique_ptr<const TokenDecoder> decoder_;
  AddedTokens added_;
  std::int64_t vocab_size_;
  std::int64_t bos_id_ = -1;
  std::int64_t eos_id_ = -1;
};

}  // namespace

std::shared_ptr<const Tokenizer> Tokenizer::Load(const std::string& dir) {
  const std::string path = dir + "/tokenizer.json";
  if (!std::filesystem::exists(path)) {
    const bool has_model = std::filesystem::exists(dir + "/tokenizer.model");
    ThrowBadInput(path + " is missing" +
                  (has_model
                       ? ": SentencePiece's tokenizer.model is not read; write tokenizer.json with "
                         "transformers: "
                         "AutoTokenizer.from_pretrained(DIR, use_fast=True).save_pretrained(DIR)"
                       : ""));
  }
  const nlohmann::json root = ParseFile(path);
  const std::string config_path = dir + "/tokenizer_config.json";
  const nlohmann::json config =
      std::filesystem::exists(config_path) ? ParseFile(config_path) : nlohmann::json::object();
  const JsonPart root_part(path, "", root);
  const JsonPart config_part(config_path, "", config);
  if (!root.is_object()) {
    root_part.Refuse("want an object");
  }
  if (!config.is_object()) {
    config_part.Refuse("want an object");
  }
  return std::make_shared<JsonTokenizer>(root_part, config_part);
}

}  // namespace bitsweep::engine
