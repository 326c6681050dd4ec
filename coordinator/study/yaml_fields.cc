#include "coordinator/study/yaml_fields.h"

#include <algorithm>
#include <cmath>

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include "coordinator/study/nearest.h"

namespace bitsweep {
namespace {

// Deeper nesting in method options is a mistake or an attack by aliases.
constexpr int kJsonDepthMax = 6;
constexpr std::size_t kNameLengthMax = 100;

std::string KindOf(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Map:
      return "a mapping";
    case YAML::NodeType::Scalar:
      return absl::StrCat("'", node.Scalar(), "'");
    default:
      return "nothing";
  }
}

}  // namespace

std::string YamlReader::Substitute(const std::string& text, int line) {
  std::string out;
  std::size_t at = 0;
  while (true) {
    const std::size_t open = text.find("${", at);
    if (open == std::string::npos) {
      return out + text.substr(at);
    }
    const std::size_t close = text.find('}', open);
    if (close == std::string::npos) {
      Error(line, absl::StrCat("'", text, "': '${' without '}'"));
      return text;
    }
    const std::string name = text.substr(open + 2, close - open - 2);
    out += text.substr(at, open - at);
    at = close + 1;
    const auto found = variables_.find(name);
    if (found == variables_.end()) {
      std::vector<std::string> known;
      for (const auto& [variable, value] : variables_) {
        known.push_back(variable);
      }
      Error(line,
            absl::StrCat(
                "unknown variable '",
                name,
                "'",
                known.empty() ? "; the file has no `variables:`" : AllowedText(name, known)));
      continue;
    }
    out += found->second;
  }
}

std::optional<std::string> YamlReader::Text(const YAML::Node& node, const std::string& what) {
  if (!node.IsScalar()) {
    Error(node, absl::StrCat(what, ": found ", KindOf(node), "; a single value is needed"));
    return std::nullopt;
  }
  return Substitute(node.Scalar(), Line(node));
}

std::optional<std::int64_t> YamlReader::Integer(const YAML::Node& node,
                                                const std::string& what,
                                                std::int64_t least,
                                                std::int64_t most) {
  const std::string range = most == INT64_MAX
                                ? absl::StrCat("an integer of at least ", least)
                                : absl::StrCat("an integer from ", least, " to ", most);
  if (!node.IsScalar()) {
    Error(node, absl::StrCat(what, ": found ", KindOf(node), "; allowed: ", range));
    return std::nullopt;
  }
  const std::string text = Substitute(node.Scalar(), Line(node));
  std::int64_t value = 0;
  // A quoted number is a text, unless a variable stands in it: there quotes are needed inside { }.
  const bool quoted = node.Tag() == "!" && node.Scalar().find("${") == std::string::npos;
  if (quoted || !absl::SimpleAtoi(text, &value) || value < least || value > most) {
    Error(node,
          absl::StrCat(
              what, ": found ", quoted ? "the text " : "", "'", text, "'; allowed: ", range));
    return std::nullopt;
  }
  return value;
}

std::vector<Placed> YamlReader::List(const YAML::Node& node, const std::string& what) {
  std::vector<Placed> out;
  if (node.IsScalar()) {
    out.push_back({Substitute(node.Scalar(), Line(node)), Line(node)});
    return out;
  }
  if (!node.IsSequence()) {
    Error(node, absl::StrCat(what, ": found ", KindOf(node), "; a list is needed"));
    return out;
  }
  for (const YAML::Node& item : node) {
    const std::optional<std::string> text = Text(item, what);
    if (!text) {
      continue;
    }
    const bool repeated =
        std::any_of(out.begin(), out.end(), [&](const Placed& p) { return p.text == *text; });
    if (repeated) {
      Error(item, absl::StrCat(what, ": '", *text, "' is listed twice"));
    } else {
      out.push_back({*text, Line(item)});
    }
  }
  return out;
}

nlohmann::json YamlReader::ToJson(const YAML::Node& node, const std::string& what, int depth) {
  if (depth > kJsonDepthMax) {
    Error(node, absl::StrCat(what, ": nested deeper than ", kJsonDepthMax, " levels"));
    return nullptr;
  }
  if (node.IsMap()) {
    nlohmann::json object = nlohmann::json::object();
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) {
        Error(entry.first, absl::StrCat(what, ": a key must be a single value"));
        continue;
      }
      object[entry.first.Scalar()] = ToJson(entry.second, what, depth + 1);
    }
    return object;
  }
  if (node.IsSequence()) {
    nlohmann::json array = nlohmann::json::array();
    for (const YAML::Node& item : node) {
      array.push_back(ToJson(item, what, depth + 1));
    }
    return array;
  }
  if (!node.IsScalar()) {
    return nullptr;
  }
  const std::string text = Substitute(node.Scalar(), Line(node));
  if (node.Tag() != "!") {
    std::int64_t integer = 0;
    double number = 0;
    if (text == "true" || text == "false") {
      return text == "true";
    }
    if (absl::SimpleAtoi(text, &integer)) {
      return integer;
    }
    if (absl::SimpleAtod(text, &number) && std::isfinite(number)) {
      return number;
    }
  }
  return text;
}

YamlFields::YamlFields(YamlReader& reader, const YAML::Node& node, std::string what)
    : reader_(reader),
      what_(std::move(what)),
      line_(YamlReader::Line(node)),
      is_map_(node.IsMap()) {
  if (!is_map_) {
    reader_.Error(
        node, absl::StrCat(what_, ": found ", KindOf(node), "; a mapping (key: value) is needed"));
    return;
  }
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) {
      reader_.Error(entry.first, absl::StrCat(what_, ": a key must be a single value"));
      continue;
    }
    const std::string key = entry.first.Scalar();
    const int line = YamlReader::Line(entry.first);
    if (std::any_of(
            keys_.begin(), keys_.end(), [&](const Placed& known) { return known.text == key; })) {
      reader_.Error(line, absl::StrCat(what_, ": key '", key, "' is given twice"));
      continue;
    }
    keys_.push_back({key, line});
    if (!entry.second.IsNull()) {
      values_.emplace(key, entry.second);
    }
  }
}

std::string YamlFields::Path(const std::string& key) const {
  return what_.empty() ? key : absl::StrCat(what_, ": ", key);
}

int YamlFields::line(const std::string& key) const {
  for (const Placed& known : keys_) {
    if (known.text == key) {
      return known.line;
    }
  }
  return line_;
}

bool YamlFields::HasUnknownNear(const std::string& key) const {
  return std::any_of(keys_.begin(), keys_.end(), [&](const Placed& known) {
    return std::find(asked_.begin(), asked_.end(), known.text) == asked_.end() &&
           Nearest(known.text, asked_) == key;
  });
}

std::optional<YAML::Node> YamlFields::Optional(const std::string& key) {
  if (std::find(asked_.begin(), asked_.end(), key) == asked_.end()) {
    asked_.push_back(key);
  }
  const auto found = values_.find(key);
  return found == values_.end() ? std::nullopt : std::optional<YAML::Node>(found->second);
}

std::optional<YAML::Node> YamlFields::Required(const std::string& key) {
  std::optional<YAML::Node> value = Optional(key);
  if (!value && is_map_) {
    missing_.push_back(key);
  }
  return value;
}

void YamlFields::Refuse(const std::string& key, const std::string& why) {
  const auto known =
      std::find_if(keys_.begin(), keys_.end(), [&](const Placed& k) { return k.text == key; });
  if (known != keys_.end()) {
    reader_.Error(known->line, absl::StrCat(Path(key), ": ", why));
    keys_.erase(known);
    values_.erase(key);
  }
}

std::string YamlFields::RequiredText(const std::string& key) {
  const std::optional<YAML::Node> node = Required(key);
  if (!node) {
    return "";
  }
  const std::optional<std::string> text = reader_.Text(*node, Path(key));
  if (text && text->empty()) {
    reader_.Error(*node, absl::StrCat(Path(key), ": is empty"));
  }
  return text.value_or("");
}

std::string YamlFields::Text(const std::string& key, std::string fallback) {
  const std::optional<YAML::Node> node = Optional(key);
  return node ? reader_.Text(*node, Path(key)).value_or(fallback) : fallback;
}

std::string YamlFields::OneOf(const std::string& key,
                              const std::vector<std::string>& allowed,
                              std::string fallback) {
  const std::optional<YAML::Node> node = Optional(key);
  if (!node) {
    return fallback;
  }
  const std::optional<std::string> text = reader_.Text(*node, Path(key));
  if (text && std::find(allowed.begin(), allowed.end(), *text) == allowed.end()) {
    reader_.Error(*node,
                  absl::StrCat(Path(key), ": found '", *text, "'", AllowedText(*text, allowed)));
    return fallback;
  }
  return text.value_or(fallback);
}

std::int64_t YamlFields::Integer(const std::string& key,
                                 std::int64_t least,
                                 std::int64_t most,
                                 std::optional<std::int64_t> fallback) {
  const std::optional<YAML::Node> node = fallback ? Optional(key) : Required(key);
  const std::int64_t otherwise = fallback.value_or(least);
  return node ? reader_.Integer(*node, Path(key), least, most).value_or(otherwise) : otherwise;
}

double YamlFields::Number(const std::string& key,
                          const std::function<bool(double)>& fits,
                          const std::string& range,
                          double fallback) {
  const std::optional<YAML::Node> node = Optional(key);
  if (!node) {
    return fallback;
  }
  const std::optional<std::string> text = reader_.Text(*node, Path(key));
  double value = 0;
  const bool quoted =
      node->IsScalar() && node->Tag() == "!" && node->Scalar().find("${") == std::string::npos;
  if (text &&
      (quoted || !absl::SimpleAtod(*text, &value) || !std::isfinite(value) || !fits(value))) {
    reader_.Error(*node, absl::StrCat(Path(key), ": found '", *text, "'; allowed: ", range));
    return fallback;
  }
  return text ? value : fallback;
}

std::optional<std::uint64_t> YamlFields::Seed(const std::string& key) {
  const std::optional<YAML::Node> node = Optional(key);
  if (!node) {
    return std::nullopt;
  }
  const std::optional<std::string> text = reader_.Text(*node, Path(key));
  std::uint64_t value = 0;
  if (text && !absl::SimpleAtoi(*text, &value)) {
    reader_.Error(
        *node,
        absl::StrCat(Path(key), ": found '", *text, "'; allowed: an integer from 0 to 2^64 - 1"));
    return std::nullopt;
  }
  return text ? std::optional<std::uint64_t>(value) : std::nullopt;
}

std::vector<Placed> YamlFields::List(const std::string& key) {
  const std::optional<YAML::Node> node = Optional(key);
  return node ? reader_.List(*node, Path(key)) : std::vector<Placed>();
}

void YamlFields::Finish() {
  const std::string place = what_.empty() ? "" : absl::StrCat(what_, ": ");
  for (const Placed& key : keys_) {
    if (std::find(asked_.begin(), asked_.end(), key.text) != asked_.end()) {
      continue;
    }
    reader_.Error(
        key.line,
        absl::StrCat(place, "unknown key '", key.text, "'", AllowedText(key.text, asked_)));
    missing_.erase(std::remove(missing_.begin(), missing_.end(), Nearest(key.text, asked_)),
                   missing_.end());
  }
  for (const std::string& key : missing_) {
    reader_.Error(line_, absl::StrCat(place, "key '", key, "' is missing"));
  }
}

std::vector<std::pair<Placed, YAML::Node>> NamedEntries(YamlReader& reader,
                                                        const YAML::Node& node,
                                                        const std::string& what) {
  std::vector<std::pair<Placed, YAML::Node>> out;
  if (!node.IsMap()) {
    reader.Error(
        node, absl::StrCat(what, ": found ", KindOf(node), "; a mapping (name: {...}) is needed"));
    return out;
  }
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) {
      reader.Error(entry.first, absl::StrCat(what, ": a name must be a single value"));
      continue;
    }
    const Placed name{entry.first.Scalar(), YamlReader::Line(entry.first)};
    const bool repeated = std::any_of(
        out.begin(), out.end(), [&](const auto& known) { return known.first.text == name.text; });
    if (repeated) {
      reader.Error(name.line, absl::StrCat(what, ": '", name.text, "' is given twice"));
      continue;
    }
    CheckName(reader, name, what);
    out.emplace_back(name, entry.second);
  }
  return out;
}

void CheckName(YamlReader& reader, const Placed& name, const std::string& what) {
  const bool characters = std::all_of(name.text.begin(), name.text.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-' || c == '+';
  });
  if (name.text.empty() || !characters || name.text.size() > kNameLengthMax ||
      name.text[0] == '.' || name.text[0] == '-') {
    reader.Error(
        name.line,
        absl::StrCat(what,
                     ": '",
                     name.text,
                     "' is no name; allowed: letters, digits, '.', '_', '-' and '+', at most ",
                     kNameLengthMax,
                     " of them, the first not '.' or '-'"));
  }
}

}  // namespace bitsweep
