// What other people call a model variant ("16bit", "2bit-mixed-finetuned") in our words: a
// precision, a calibration and whether it was fine-tuned. Only what is certain is understood; the
// rest needs a --map. Plain values and free functions: any thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

namespace bitsweep {

// What `finetuned` is called where a file only says that it was.
inline constexpr std::string_view kFinetuned = "finetuned";

/// Parts that a label does not speak of are absent.
struct VariantLabel {
  std::string precision;  // "fp16", "4-bit"
  std::optional<std::string> calibration;
  std::optional<std::string> finetuned;  // kFinetuned
  friend bool operator==(const VariantLabel&, const VariantLabel&) = default;
};

/// "16bit", "fp16", "bf16", "float16" are fp16; "2bit", "2-bit", "2_bits" are 2-bit (1 to 15). The
/// words random, mixed, code, unspecified name the calibration; finetuned, fine-tuned, finetune, ft
/// say that it was fine-tuned. Case, and which of - _ + and space stand between words, do not
/// matter. nullopt: a word is not understood, or two contradict each other.
std::optional<VariantLabel> ParseVariantLabel(std::string_view label);

/// Column -> label as the file has it -> value as we want it.
using LabelMaps = std::map<std::string, std::map<std::string, std::string>>;

/// Adds one `--map COLUMN=label=value,label=value`. A piece without '=' belongs to the value before
/// it, so that `quantization=2bit-rnd=2-bit,random` maps one label. INVALID_ARGUMENT: the form, a
/// column that cannot be mapped (the message lists those that can), or a label mapped twice.
absl::Status AddLabelMap(std::string_view text, LabelMaps& maps);

/// A mapped value of column `quantization`: `precision[,calibration][,finetuned]`. The precision may
/// be any name. INVALID_ARGUMENT says what is allowed.
absl::StatusOr<VariantLabel> ParseMappedVariant(std::string_view value);

/// Whether `name` may be a name of a sweep: letters, digits, '.', '_', '-', '+' and at most 128
/// of them, the first not '.' or '-'.
bool IsSweepName(std::string_view name);

}  // namespace bitsweep
