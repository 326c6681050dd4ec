#include "worker/engine/tokenizer/json_part.h"

#include "worker/engine/error.h"

namespace bitsweep::engine {

bool JsonPart::Has(const std::string& key) const {
  const auto it = value_->find(key);
  return it != value_->end() && !it->is_null();
}

JsonPart JsonPart::Child(const std::string& key) const {
  if (!value_->is_object() || !value_->contains(key)) {
    Refuse("member '" + key + "' is missing");
  }
  return JsonPart(file_, path_ + "/" + key, (*value_)[key]);
}

JsonPart JsonPart::Element(std::size_t index) const {
  return JsonPart(file_, path_ + "/" + std::to_string(index), (*value_)[index]);
}

std::vector<JsonPart> JsonPart::Children(const std::string& key) const {
  const JsonPart array = Child(key);
  if (!array.value().is_array()) {
    array.Refuse("want an array");
  }
  std::vector<JsonPart> parts;
  parts.reserve(array.value().size());
  for (std::size_t i = 0; i < array.value().size(); ++i) {
    parts.push_back(array.Element(i));
  }
  return parts;
}

std::string JsonPart::String(const std::string& key) const {
  const JsonPart child = Child(key);
  if (!child.value().is_string()) {
    child.Refuse("want a string");
  }
  return child.value().get<std::string>();
}

std::string JsonPart::StringOr(const std::string& key, const std::string& fallback) const {
  return Has(key) ? String(key) : fallback;
}

bool JsonPart::BoolOr(const std::string& key, bool fallback) const {
  if (!Has(key)) {
    return fallback;
  }
  const JsonPart child = Child(key);
  if (!child.value().is_boolean()) {
    child.Refuse("want true or false");
  }
  return child.value().get<bool>();
}

std::int64_t JsonPart::Int(const std::string& key) const {
  const JsonPart child = Child(key);
  // No vocabulary comes near 2^31 ids; a larger number is damage.
  constexpr std::int64_t kIdMax = INT32_MAX;
  if (!child.value().is_number_integer() || child.value().get<std::int64_t>() < 0 ||
      child.value().get<std::int64_t>() > kIdMax) {
    child.Refuse("found " + child.value().dump() + ", want an integer in [0, 2^31)");
  }
  return child.value().get<std::int64_t>();
}

void JsonPart::Refuse(const std::string& message) const {
  ThrowBadInput(file_ + ": " + (path_.empty() ? "/" : path_) + ": " + message);
}

}  // namespace bitsweep::engine
