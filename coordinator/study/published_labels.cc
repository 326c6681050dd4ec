#include "coordinator/study/published_labels.h"

#include <algorithm>
#include <cmath>

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

namespace bitsweep {
namespace {

bool IsDigit(char c) {
  return absl::ascii_isdigit(static_cast<unsigned char>(c));
}

/// The first number of `text` that a 'b' follows ("deepseek-coder-6.7b-base": 6.7); nullopt: none.
std::optional<double> BillionsIn(const std::string& text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!IsDigit(text[at])) {
      continue;
    }
    const std::size_t end = std::min(text.find_first_not_of("0123456789.", at), text.size());
    double number = 0;
    if (end < text.size() && (text[end] == 'b' || text[end] == 'B') &&
        absl::SimpleAtod(text.substr(at, end - at), &number)) {
      return number;
    }
    at = end;
  }
  return std::nullopt;
}

bool IsOtherVariant(const std::string& plain_id) {
  return plain_id.find("instruct") != std::string::npos ||
         plain_id.find("python") != std::string::npos;
}

}  // namespace

std::string PlainLabel(const std::string& label) {
  std::string plain;
  for (const char c : label) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c))) {
      plain += absl::ascii_tolower(static_cast<unsigned char>(c));
    }
  }
  return plain;
}

std::optional<PublishedModel> PublishedModelOf(const ModelSpec& model,
                                               const std::vector<PublishedRow>& rows) {
  const std::string id = PlainLabel(model.id);
  const std::optional<double> billions = BillionsIn(model.params.empty() ? model.id : model.params);
  if (!billions || IsOtherVariant(id)) {
    return std::nullopt;
  }
  const std::string params = absl::StrCat(std::lround(*billions), "B");
  for (const PublishedRow& row : rows) {
    const std::string family = PlainLabel(row.family);
    if (row.params == params && (PlainLabel(model.family) == family || id.starts_with(family))) {
      return PublishedModel{row.family, row.params};
    }
  }
  return std::nullopt;
}

std::string PublishedPrecisionOf(const std::string& label) {
  const std::string plain = PlainLabel(label);
  if (plain == "fp16" || plain == "16bit" || plain == "bf16" || plain == "float16" ||
      plain == "bfloat16") {
    return std::string(kFp16);
  }
  if (plain.size() == 4 && IsDigit(plain[0]) && plain.ends_with("bit")) {
    return absl::StrCat(plain.substr(0, 1), "-bit");
  }
  return label;
}

}  // namespace bitsweep
