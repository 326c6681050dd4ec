// The BPE model of tokenizer.json: vocabulary, ranked merges, byte fallback and unknown tokens.
// Thread rule: immutable after Make, any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "worker/engine/tokenizer/json_part.h"

namespace bitsweep::engine {

class Bpe {
 public:
  /// `part` is /model. Throws kBadInput at another type, at dropout and subword affixes, at merges
  /// of unknown tokens.
  static std::unique_ptr<const Bpe> Make(const JsonPart& part);

  /// Appends the ids of one piece: its characters, then the lowest-ranked merge again and again,
  /// leftmost first.
  void Encode(std::string_view piece, std::vector<std::int64_t>* ids) const;
  /// Null when no token has this id.
  const std::string* TokenOf(std::int64_t id) const;
  /// The id of a token, or -1.
  std::int64_t IdOf(const std::string& token) const;
  std::int64_t vocabulary_size() const { return static_cast<std::int64_t>(vocabulary_.size()); }
  /// One above the greatest id.
  std::int64_t id_end() const { return static_cast<std::int64_t>(tokens_.size()); }

 private:
  using Id = std::int32_t;
  struct Merge {
    std::uint32_t rank;
    Id id;
  };
  struct Symbol {
    Id id;
    std::int32_t previous;  // Index of the neighbour, or -1.
    std::int32_t next;
    bool is_merged_away;
  };

  Bpe() = default;
  void ReadVocabulary(const JsonPart& part);
  void ReadMerges(const JsonPart& part);
  std::vector<Symbol> Symbols(std::string_view piece) const;
  void MergeAll(std::vector<Symbol>* symbols) const;
  const Merge* FindMerge(Id left, Id right) const;

  std::unordered_map<std::string, Id> vocabulary_;
  std::vector<std::string> tokens_;  // By id; empty where an id is not used.
  std::unordered_map<std::uint64_t, Merge> merges_;
  std::vector<Id> byte_ids_;  // 256 ids of <0x00>..<0xFF> with byte fallback, else empty; -1 where
                              // there is none.
  Id unknown_id_ = -1;
  bool fuse_unknown_ = false;
  bool ignore_merges_ = false;
};

}  // namespace bitsweep::engine
