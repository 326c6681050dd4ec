// A piece of tokenizer.json that knows its place, so that whatever is not supported is refused with
// file and JSON path. Thread rule: one thread; the JSON document must outlive its parts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace bitsweep::engine {

class JsonPart {
 public:
  JsonPart(std::string file, std::string path, const nlohmann::json& value)
      : file_(std::move(file)), path_(std::move(path)), value_(&value) {}

  const nlohmann::json& value() const { return *value_; }
  bool IsNull() const { return value_->is_null(); }
  /// Present and not null?
  bool Has(const std::string& key) const;
  /// Throws kBadInput when there is no such member.
  JsonPart Child(const std::string& key) const;
  /// Element `index` of an array.
  JsonPart Element(std::size_t index) const;
  /// The elements of a member that must be an array.
  std::vector<JsonPart> Children(const std::string& key) const;
  std::string String(const std::string& key) const;
  std::string StringOr(const std::string& key, const std::string& fallback) const;
  bool BoolOr(const std::string& key, bool fallback) const;
  std::int64_t Int(const std::string& key) const;
  /// Throws kBadInput: "<file>: <path>: <message>".
  [[noreturn]] void Refuse(const std::string& message) const;

 private:
  std::string file_;
  std::string path_;
  const nlohmann::json* value_;
};

}  // namespace bitsweep::engine
