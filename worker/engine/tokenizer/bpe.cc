#include "worker/engine/tokenizer/bpe.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <optional>
#include <queue>
#include <utility>

#include "worker/engine/tokenizer/utf8.h"

namespace bitsweep::engine {
namespace {

constexpr std::uint64_t PairKey(std::int32_t left, std::int32_t right) {
  return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) |
         static_cast<std::uint32_t>(right);
}

// Merges are ["a", "b"] or, in older files, "a b".
std::optional<std::pair<std::string, std::string>> ReadPair(const nlohmann::json& value) {
  if (value.is_array() && value.size() == 2 && value[0].is_string() && value[1].is_string()) {
    return std::pair(value[0].get<std::string>(), value[1].get<std::string>());
  }
  if (value.is_string()) {
    const std::string text = value.get<std::string>();
    const std::size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return std::pair(text.substr(0, space), text.substr(space + 1));
    }
  }
  return std::nullopt;
}

}  // namespace

std::unique_ptr<const Bpe> Bpe::Make(const JsonPart& part) {
  // Files before tokenizers 0.9 leave the type out.
  const std::string type = part.StringOr("type", part.Has("merges") ? "BPE" : "unknown");
  if (type != "BPE") {
    part.Refuse("model type '" + type + "' is not supported; supported is BPE");
  }
  if (part.Has("dropout") && part.Child("dropout").value() != 0.0) {
    part.Child("dropout").Refuse("dropout is not supported");
  }
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!part.StringOr(affix, "").empty()) {
      part.Child(affix).Refuse("not supported; supported is none");
    }
  }
  std::unique_ptr<Bpe> bpe(new Bpe());
  bpe->ReadVocabulary(part);
  bpe->ReadMerges(part);
  bpe->fuse_unknown_ = part.BoolOr("fuse_unk", false);
  bpe->ignore_merges_ = part.BoolOr("ignore_merges", false);
  if (part.Has("unk_token")) {
    bpe->unknown_id_ = static_cast<Id>(bpe->IdOf(part.String("unk_token")));
    if (bpe->unknown_id_ < 0) {
      part.Child("unk_token").Refuse("'" + part.String("unk_token") + "' is not in the vocabulary");
    }
  }
  if (part.BoolOr("byte_fallback", false)) {
    for (int byte = 0; byte < 256; ++byte) {
      std::array<char, 8> name{};
      std::snprintf(name.data(), name.size(), "<0x%02X>", static_cast<unsigned>(byte));
      bpe->byte_ids_.push_back(static_cast<Id>(bpe->IdOf(name.data())));
    }
  }
  return bpe;
}

void Bpe::ReadVocabulary(const JsonPart& part) {
  const JsonPart vocabulary = part.Child("vocab");
  if (!vocabulary.value().is_object()) {
    vocabulary.Refuse("want an object of token -> id");
  }
  // No vocabulary has 16 million tokens; an id beyond is damage and must not become an allocation.
  constexpr std::int64_t kIdMax = 1 << 24;
  for (const auto& [token, id] : vocabulary.value().items()) {
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 || id.get<std::int64_t>() > kIdMax) {
      vocabulary.Refuse("token '" + token + "' has the id " + id.dump() +
                        ", want an integer in [0, 2^24]");
    }
    const Id value = id.get<Id>();
    vocabulary_[token] = value;
    if (static_cast<std::size_t>(value) >= tokens_.size()) {
      tokens_.resize(static_cast<std::size_t>(value) + 1);
    }
    tokens_[static_cast<std::size_t>(value)] = token;
  }
}

void Bpe::ReadMerges(const JsonPart& part) {
  const JsonPart merges = part.Child("merges");
  if (!merges.value().is_array()) {
    merges.Refuse("want an array");
  }
  // There are up to some 100,000 merges: a JsonPart is only made for one that is refused.
  for (std::size_t rank = 0; rank < merges.value().size(); ++rank) {
    const auto pair = ReadPair(merges.value()[rank]);
    if (!pair) {
      merges.Element(rank).Refuse("found " + merges.value()[rank].dump() +
                                  ", want [\"a\", \"b\"] or \"a b\"");
    }
    const auto& [left, right] = *pair;
    const std::array<std::int64_t, 3> ids = {IdOf(left), IdOf(right), IdOf(left + right)};
    if (std::any_of(ids.begin(), ids.end(), [](std::int64_t id) { return id < 0; })) {
      merges.Element(rank).Refuse("'" + left + "' + '" + right +
                                  "': a part or the result is not in the vocabulary");
    }
    merges_[PairKey(static_cast<Id>(ids[0]), static_cast<Id>(ids[1]))] = {
        static_cast<std::uint32_t>(rank), static_cast<Id>(ids[2])};
  }
}

std::int64_t Bpe::IdOf(const std::string& token) const {
  const auto it = vocabulary_.find(token);
  return it == vocabulary_.end() ? -1 : it->second;
}

const std::string* Bpe::TokenOf(std::int64_t id) const {
  if (id < 0 || id >= id_end() || tokens_[static_cast<std::size_t>(id)].empty()) {
    return nullptr;
  }
  return &tokens_[static_cast<std::size_t>(id)];
}

const Bpe::Merge* Bpe::FindMerge(Id left, Id right) const {
  const auto it = merges_.find(PairKey(left, right));
  return it == merges_.end() ? nullptr : &it->second;
}

std::vector<Bpe::Symbol> Bpe::Symbols(std::string_view piece) const {
  std::vector<Symbol> symbols;
  symbols.reserve(piece.size());
  const auto add = [&](Id id) {
    const auto index = static_cast<std::int32_t>(symbols.size());
    if (index > 0) {
      symbols.back().next = index;
    }
    symbols.push_back({id, index - 1, -1, false});
  };
  bool is_unknown_pending = false;
  std::string character;
  for (std::size_t at = 0; at < piece.size(); at += character.size()) {
    character.assign(piece.substr(at, Utf8Length(piece[at])));
    const auto known = vocabulary_.find(character);
    if (known != vocabulary_.end()) {
      if (is_unknown_pending) {
        add(unknown_id_);
        is_unknown_pending = false;
      }
      add(known->second);
      continue;
    }
    const auto byte_id = [&](char byte) { return byte_ids_[static_cast<unsigned char>(byte)]; };
    if (!byte_ids_.empty() && std::all_of(character.begin(), character.end(), [&](char byte) {
          return byte_id(byte) >= 0;
        })) {
      for (const char byte : character) {
        add(byte_id(byte));
      }
      continue;
    }
    // Without an unknown token the character is dropped, as in the tokenizers library.
    if (unknown_id_ >= 0) {
      if (is_unknown_pending && !fuse_unknown_) {
        add(unknown_id_);
      }
      is_unknown_pending = true;
    }
  }
  if (is_unknown_pending) {
    add(unknown_id_);
  }
  return symbols;
}

void Bpe::MergeAll(std::vector<Symbol>* symbols) const {
  struct Candidate {
    std::uint32_t rank;
    std::int32_t left;
    Id id;
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };
  std::vector<Candidate> storage;
  storage.reserve(symbols->size());
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue(std::greater<>(),
                                                                               std::move(storage));
  const auto symbol = [&](std::int32_t index) -> Symbol& {
    return (*symbols)[static_cast<std::size_t>(index)];
  };
  const auto offer = [&](std::int32_t left) {
    if (left < 0 || symbol(left).next < 0) {
      return;
    }
    if (const Merge* merge = FindMerge(symbol(left).id, symbol(symbol(left).next).id)) {
      queue.push({merge->rank, left, merge->id});
    }
  };
  for (std::size_t i = 0; i + 1 < symbols->size(); ++i) {
    offer(static_cast<std::int32_t>(i));
  }
  while (!queue.empty()) {
    const Candidate candidate = queue.top();
    queue.pop();
    Symbol& left = symbol(candidate.left);
    if (left.is_merged_away || left.next < 0) {
      continue;
    }
    Symbol& right = symbol(left.next);
    // A candidate goes stale when one of its symbols has merged with another since.
    const Merge* merge = FindMerge(left.id, right.id);
    if (merge == nullptr || merge->id != candidate.id) {
      continue;
    }
    left.id = candidate.id;
    left.next = right.next;
    right.is_merged_away = true;
    if (right.next >= 0) {
      symbol(right.next).previous = candidate.left;
    }
    offer(left.previous);
    offer(candidate.left);
  }
}

void Bpe::Encode(std::string_view piece, std::vector<std::int64_t>* ids) const {
  if (ignore_merges_) {
    const std::int64_t whole = IdOf(std::string(piece));
    if (whole >= 0) {
      ids->push_back(whole);
      return;
    }
  }
  std::vector<Symbol> symbols = Symbols(piece);
  MergeAll(&symbols);
  for (const Symbol& symbol : symbols) {
    if (!symbol.is_merged_away) {
      ids->push_back(symbol.id);
    }
  }
}

}  // namespace bitsweep::engine
