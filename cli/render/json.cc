#include "cli/render/json.h"

#include <string>
#include <string_view>

#include <google/protobuf/descriptor.h>

namespace bitsweep::cli {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Json = nlohmann::ordered_json;

// One value: the field itself, or its element `index` where it is repeated.
Json ValueOf(const Message& message, const FieldDescriptor* field, int index) {
  const auto* reflection = message.GetReflection();
  const auto get = [&](auto single, auto element) -> Json {
    return field->is_repeated() ? Json((reflection->*element)(message, field, index))
                                : Json((reflection->*single)(message, field));
  };
  using R = google::protobuf::Reflection;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return get(&R::GetInt32, &R::GetRepeatedInt32);
    case FieldDescriptor::CPPTYPE_INT64:
      return get(&R::GetInt64, &R::GetRepeatedInt64);
    case FieldDescriptor::CPPTYPE_UINT32:
      return get(&R::GetUInt32, &R::GetRepeatedUInt32);
    case FieldDescriptor::CPPTYPE_UINT64:
      return get(&R::GetUInt64, &R::GetRepeatedUInt64);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return get(&R::GetDouble, &R::GetRepeatedDouble);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return get(&R::GetFloat, &R::GetRepeatedFloat);
    case FieldDescriptor::CPPTYPE_BOOL:
      return get(&R::GetBool, &R::GetRepeatedBool);
    case FieldDescriptor::CPPTYPE_ENUM:
      return field->is_repeated() ? reflection->GetRepeatedEnum(message, field, index)->name()
                                  : reflection->GetEnum(message, field)->name();
    case FieldDescriptor::CPPTYPE_STRING:
      return get(&R::GetString, &R::GetRepeatedString);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return ToJson(field->is_repeated() ? reflection->GetRepeatedMessage(message, field, index)
                                         : reflection->GetMessage(message, field));
  }
  return nullptr;
}

Json MapOf(const Message& message, const FieldDescriptor* field) {
  // Protobuf's maps have no order; the JSON has one, so that two runs print the same.
  nlohmann::json sorted = nlohmann::json::object();
  for (int i = 0; i < message.GetReflection()->FieldSize(message, field); ++i) {
    const Message& entry = message.GetReflection()->GetRepeatedMessage(message, field, i);
    const Json key = ValueOf(entry, entry.GetDescriptor()->FindFieldByNumber(1), 0);
    sorted[key.is_string() ? key.get<std::string>() : key.dump()] =
        ValueOf(entry, entry.GetDescriptor()->FindFieldByNumber(2), 0);
  }
  return sorted;
}

}  // namespace

Json ToJson(const Message& message) {
  Json json = Json::object();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message.GetDescriptor()->field(i);
    std::string name = field->name();
    if (field->is_map()) {
      json[name] = MapOf(message, field);
    } else if (field->is_repeated()) {
      Json list = Json::array();
      for (int k = 0; k < message.GetReflection()->FieldSize(message, field); ++k) {
        list.push_back(ValueOf(message, field, k));
      }
      json[name] = std::move(list);
    } else if (name.ends_with("_json")) {
      name.resize(name.size() - std::string_view("_json").size());
      const Json text = ValueOf(message, field, 0);
      Json parsed = Json::parse(text.get<std::string>(), nullptr, /*allow_exceptions=*/false);
      json[name] = parsed.is_discarded() ? text : parsed;
    } else {
      json[name] = ValueOf(message, field, 0);
    }
  }
  return json;
}

}  // namespace bitsweep::cli
