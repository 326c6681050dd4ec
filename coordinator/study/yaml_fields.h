// Reads YAML strictly: every key must be asked for, every value has a type and a range, every
// mistake names its line. The only header of this room that sees yaml-cpp; its exceptions end here.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <yaml-cpp/yaml.h>

#include "coordinator/study/diagnostics.h"

namespace bitsweep {

/// A value with the line it stands on.
struct Placed {
  std::string text;
  int line = 0;
};

/// What reading shares: where mistakes go, and the values of `${NAME}`.
class YamlReader {
 public:
  YamlReader(Diagnostics& diagnostics, std::map<std::string, std::string> variables)
      : diagnostics_(diagnostics), variables_(std::move(variables)) {}

  static int Line(const YAML::Node& node) { return node.Mark().line + 1; }
  void Error(int line, std::string message) { diagnostics_.Add(line, std::move(message)); }
  void Error(const YAML::Node& node, std::string message) { Error(Line(node), std::move(message)); }

  /// The scalar's text with variables replaced; reports anything that is not a scalar. `what` names
  /// it in messages.
  std::optional<std::string> Text(const YAML::Node& node, const std::string& what);
  /// As Text, and an integer in [least, most].
  std::optional<std::int64_t> Integer(const YAML::Node& node,
                                      const std::string& what,
                                      std::int64_t least,
                                      std::int64_t most);
  /// A list of scalars without repetition; a lone scalar is a list of one.
  std::vector<Placed> List(const YAML::Node& node, const std::string& what);
  /// Plain scalars become numbers and booleans where they look like them; anchors may not nest
  /// deeper than a few levels.
  nlohmann::json ToJson(const YAML::Node& node, const std::string& what, int depth = 0);

 private:
  std::string Substitute(const std::string& text, int line);

  Diagnostics& diagnostics_;
  std::map<std::string, std::string> variables_;
};

/// One mapping. Every key that may stand in it is asked for once; Finish then reports those that
/// were not.
class YamlFields {
 public:
  /// `what` names the mapping in messages ("benchmark 'demo'"). Anything that is not a mapping is
  /// reported; then the fields read as absent and are not reported missing.
  YamlFields(YamlReader& reader, const YAML::Node& node, std::string what);

  /// The value, or nullopt when absent or null.
  std::optional<YAML::Node> Optional(const std::string& key);
  /// Reports an absent key.
  std::optional<YAML::Node> Required(const std::string& key);
  /// A key that users may well write but that is not to stand here: `why` says what to do instead.
  void Refuse(const std::string& key, const std::string& why);

  std::string RequiredText(const std::string& key);
  std::string Text(const std::string& key, std::string fallback);
  std::string OneOf(const std::string& key,
                    const std::vector<std::string>& allowed,
                    std::string fallback);
  std::int64_t Integer(const std::string& key,
                       std::int64_t least,
                       std::int64_t most,
                       std::optional<std::int64_t> fallback);
  /// A finite number for which `fits` holds; `range` says it in words: "a number in (0, 1]".
  double Number(const std::string& key,
                const std::function<bool(double)>& fits,
                const std::string& range,
                double fallback);
  std::optional<std::uint64_t> Seed(const std::string& key);
  std::vector<Placed> List(const std::string& key);

  bool has(const std::string& key) const { return values_.contains(key); }
  /// Whether a key that nobody has asked for was most likely meant to be `key`. REQUIRES: every key
  /// has been asked for.
  bool HasUnknownNear(const std::string& key) const;
  int line(const std::string& key) const;
  int line() const { return line_; }
  const std::string& what() const { return what_; }
  std::string Path(const std::string& key) const;

  /// Reports the keys that nobody asked for, with the nearest that is allowed, and the required
  /// keys that are absent (less those that a reported key was most likely meant to be).
  void Finish();

 private:
  YamlReader& reader_;
  std::string what_;
  int line_ = 0;
  bool is_map_ = false;
  std::vector<Placed> keys_;
  std::map<std::string, YAML::Node> values_;
  std::vector<std::string> asked_, missing_;
};

/// Every entry of a mapping of names, in the file's order. Reports a value that is not a mapping
/// and bad names.
std::vector<std::pair<Placed, YAML::Node>> NamedEntries(YamlReader& reader,
                                                        const YAML::Node& node,
                                                        const std::string& what);

/// Reports a name that could not be part of a file name or would be mistaken for a number or a
/// keyword on the CLI.
void CheckName(YamlReader& reader, const Placed& name, const std::string& what);

}  // namespace bitsweep
