// An interpreter of Hugging Face's tokenizer.json for the two families that the study uses:
// byte-fallback BPE with normalizers (CodeLlama) and byte-level BPE with split and digit
// pre-tokenizers (DeepSeek-Coder). Thread rule: immutable after Load, any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bitsweep::engine {

class Tokenizer {
 public:
  /// Reads tokenizer.json and tokenizer_config.json of a model folder. Throws kBadInput naming file
  /// and JSON path of the part that is not supported, with what is supported.
  static std::shared_ptr<const Tokenizer> Load(const std::string& dir);
  virtual ~Tokenizer() = default;

  /// UTF-8 -> ids, no special tokens added; special-token look-alikes in the text become their ids.
  virtual std::vector<std::int64_t> Encode(std::string_view text) const = 0;
  /// ids -> UTF-8, special tokens kept as their text unless `skip_special`.
  virtual std::string Decode(const std::vector<std::int64_t>& ids,
                             bool skip_special = false) const = 0;
  /// The id to prepend to a prompt or document, or -1: `add_bos_token` of tokenizer_config.json or,
  /// absent that, the post-processor's.
  virtual std::int64_t bos_id() const = 0;
  /// The end-of-text id of tokenizer_config.json's eos_token, or -1.
  virtual std::int64_t eos_id() const = 0;
  virtual bool IsSpecial(std::int64_t id) const = 0;
  virtual std::int64_t vocab_size() const = 0;
};

}  // namespace bitsweep::engine
