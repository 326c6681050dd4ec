// A strict reader of one JSON object: every member is asked for by name and type, and Finish()
// refuses what nobody asked for, so that a misspelt key of a stage spec never silently takes its
// default. Thread rule: one thread; the JSON value must outlive the reader.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace bitsweep::engine {

/// Errors are EngineError(kBadInput): "<where><pointer>: found ..., want ...", e.g. "spec.json:
/// /method/codebooks: ...".
class StrictObject {
 public:
  /// `where` names the document (for messages), `pointer` is the JSON pointer of `object` in it (""
  /// is the root). Throws when `object` is not an object.
  StrictObject(const nlohmann::json& object, std::string where, std::string pointer = "");

  /// Present and not null?
  bool Has(const std::string& key) const;

  /// The members below are required; Or... return `fallback` when the member is absent or null.
  std::string String(const std::string& key);
  std::string StringOr(const std::string& key, const std::string& fallback);
  /// One of `allowed`; the message lists them.
  std::string Choice(const std::string& key, const std::vector<std::string>& allowed);
  std::string ChoiceOr(const std::string& key,
                       const std::vector<std::string>& allowed,
                       const std::string& fallback);
  std::int64_t Int(const std::string& key, std::int64_t min, std::int64_t max);
  std::int64_t IntOr(const std::string& key,
                     std::int64_t min,
                     std::int64_t max,
                     std::int64_t fallback);
  std::uint64_t UnsignedOr(const std::string& key, std::uint64_t fallback);
  /// Finite, in [min, max].
  double Number(const std::string& key, double min, double max);
  double NumberOr(const std::string& key, double min, double max, double fallback);
  bool BoolOr(const std::string& key, bool fallback);
  /// A member object, read as strictly.
  StrictObject Object(const std::string& key);
  /// The objects of a member array (at least one).
  std::vector<StrictObject> Objects(const std::string& key);
  /// Marks a member as known without reading it here.
  const nlohmann::json& Raw(const std::string& key);

  /// Throws when the object has a member that was not asked for, naming it and the known ones.
  void Finish() const;
  /// Throws kBadInput at a member: "<where>: <pointer>/<key>: <message>".
  [[noreturn]] void Refuse(const std::string& key, const std::string& message) const;

 private:
  const nlohmann::json& Need(const std::string& key, const char* want);

  const nlohmann::json* object_;
  std::string where_;
  std::string pointer_;
  std::set<std::string> known_;
};

}  // namespace bitsweep::engine
