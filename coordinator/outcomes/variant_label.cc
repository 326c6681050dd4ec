#include "coordinator/outcomes/variant_label.h"

#include <algorithm>
#include <utility>

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include "coordinator/study/nearest.h"
#include "coordinator/study/sweep_spec.h"

namespace bitsweep {
namespace {

constexpr int kBitsMax = 15;
constexpr std::size_t kNameLengthMax = 128;

/// Lower-case words between the separators.
std::vector<std::string> WordsOf(std::string_view label) {
  std::vector<std::string> words;
  bool open = false;
  for (const char c : label) {
    const bool separator = c == '-' || c == '_' || c == '+' || c == ' ';
    if (!separator) {
      if (!open) {
        words.emplace_back();
      }
      words.back() += absl::ascii_tolower(static_cast<unsigned char>(c));
    }
    open = !separator;
  }
  return words;
}

bool IsIn(const std::string& word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// "4" with `bits` -> "4-bit"; "" where the number is none that we know.
std::string PrecisionOfBits(const std::string& digits) {
  int bits = 0;
  if (digits.empty() || !std::all_of(digits.begin(), digits.end(), [](unsigned char c) {
        return absl::ascii_isdigit(c);
      }) || !absl::SimpleAtoi(digits, &bits)) {
    return "";
  }
  if (bits == 16) {
    return std::string(kFp16);
  }
  return bits >= 1 && bits <= kBitsMax ? absl::StrCat(bits, "-bit") : "";
}

/// The precision that begins at words[at]; `used` is how many words it takes.
std::string PrecisionAt(const std::vector<std::string>& words, std::size_t at, std::size_t& used) {
  const std::string& word = words[at];
  used = 1;
  if (IsIn(word, {"fp16", "bf16", "float16", "bfloat16"})) {
    return std::string(kFp16);
  }
  for (const std::string_view suffix : {"bits", "bit"}) {
    if (word.size() > suffix.size() && word.ends_with(suffix)) {
      return PrecisionOfBits(word.substr(0, word.size() - suffix.size()));
    }
  }
  if (at + 1 < words.size() && IsIn(words[at + 1], {"bit", "bits"})) {
    used = 2;
    return PrecisionOfBits(word);
  }
  return "";
}

std::vector<std::string> SplitAt(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) {
      return parts;
    }
    text.remove_prefix(end + 1);
  }
}

}  // namespace

std::optional<VariantLabel> ParseVariantLabel(std::string_view label) {
  const std::vector<std::string> words = WordsOf(label);
  VariantLabel variant;
  for (std::size_t i = 0; i < words.size();) {
    std::size_t used = 1;
    const std::string& word = words[i];
    const std::string precision = PrecisionAt(words, i, used);
    bool known = true;
    if (!precision.empty()) {
      known = std::exchange(variant.precision, precision).empty();
    } else if (IsIn(word, {"random", "mixed", "code", "unspecified"})) {
      known = !std::exchange(variant.calibration, word).has_value();
    } else if (IsIn(word, {"finetuned", "finetune", "ft"})) {
      known = !std::exchange(variant.finetuned, std::string(kFinetuned)).has_value();
    } else if (word == "fine" && i + 1 < words.size() && IsIn(words[i + 1], {"tuned", "tune"})) {
      known = !std::exchange(variant.finetuned, std::string(kFinetuned)).has_value();
      used = 2;
    } else {
      known = false;
    }
    if (!known) {
      return std::nullopt;
    }
    i += used;
  }
  if (variant.precision.empty() || (variant.precision == kFp16 && variant.finetuned)) {
    return std::nullopt;
  }
  return variant;
}

absl::Status AddLabelMap(std::string_view text, LabelMaps& maps) {
  static const std::vector<std::string> kColumns = {"model",
                                                    "quantization",
                                                    "language",
                                                    "pass",
                                                    "calibration",
                                                    "finetuned",
                                                    "benchmark",
                                                    "family",
                                                    "params"};
  const auto error = [&](const std::string& message) {
    return absl::InvalidArgumentError(
        absl::StrCat("--map '", std::string(text), "': ", message));
  };
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    return error("is not COLUMN=label=value,...; for example quantization=2bit-rnd=2-bit,random");
  }
  const std::string column(text.substr(0, equals));
  if (std::find(kColumns.begin(), kColumns.end(), column) == kColumns.end()) {
    return error(absl::StrCat("column '", column, "' has no labels", AllowedText(column, kColumns)));
  }
  std::map<std::string, std::string>& labels = maps[column];
  std::string* value = nullptr;
  for (const std::string& piece : SplitAt(text.substr(equals + 1), ',')) {
    const std::size_t at = piece.find('=');
    if (at == std::string::npos) {
      if (value == nullptr) {
        return error(absl::StrCat("'", piece, "' is not label=value"));
      }
      absl::StrAppend(value, ",", piece);
      continue;
    }
    const auto [entry, added] = labels.emplace(piece.substr(0, at), piece.substr(at + 1));
    if (!added) {
      return error(absl::StrCat("label '", entry->first, "' is mapped twice"));
    }
    value = &entry->second;
  }
  return absl::OkStatus();
}

absl::StatusOr<VariantLabel> ParseMappedVariant(std::string_view value) {
  const std::vector<std::string> parts = SplitAt(value, ',');
  // "2bit" on the right-hand side means what it means in a file.
  VariantLabel variant =
      ParseVariantLabel(parts.front()).value_or(VariantLabel{parts.front(), {}, {}});
  const auto error = [&](const std::string& message) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--map quantization: value '", std::string(value), "': ", message,
        "; allowed: precision[,calibration][,finetuned], for example 2-bit,random"));
  };
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const std::string& part = parts[i];
    if (part == kFinetuned && !variant.finetuned) {
      variant.finetuned = part;
    } else if (!variant.calibration && IsSweepName(part) && part != kFinetuned) {
      variant.calibration = part;
    } else {
      return error(absl::StrCat("'", part, "' has no place"));
    }
  }
  if (!IsSweepName(variant.precision)) {
    return error(absl::StrCat("'", variant.precision, "' is no name of a precision"));
  }
  return variant;
}

bool IsSweepName(std::string_view name) {
  return !name.empty() && name.size() <= kNameLengthMax && name[0] != '.' && name[0] != '-' &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-' || c == '+';
         });
}

}  // namespace bitsweep
