#include "coordinator/study/test_pairs.h"

#include <algorithm>
#include <set>

#include <absl/strings/str_cat.h>

#include "coordinator/study/question_tests.h"

namespace bitsweep {
namespace {

std::vector<VariantPair> AgainstFp16(const std::vector<VariantCoordinates>& variants) {
  std::vector<VariantPair> pairs;
  for (const VariantCoordinates& variant : variants) {
    if (variant.precision != kFp16) {
      pairs.push_back({{variant.model,
                        std::string(kFp16),
                        std::string(kNone),
                        std::string(kNone),
                        variant.seed},
                       variant,
                       ""});
    }
  }
  return pairs;
}

std::vector<VariantPair> BeforeAndAfter(const std::vector<VariantCoordinates>& variants) {
  std::vector<VariantPair> pairs;
  for (const VariantCoordinates& variant : variants) {
    if (variant.finetuned != kNone) {
      VariantCoordinates before = variant;
      before.finetuned = kNone;
      pairs.push_back({before, variant, ""});
    }
  }
  return pairs;
}

/// Every two of the question's calibrations at one precision (and fine-tuning).
std::vector<VariantPair> BetweenCalibrations(const QuestionSpec& question,
                                             const std::vector<VariantCoordinates>& variants) {
  std::vector<std::string> calibrations = question.calibrations;
  if (question.reference_calibration) {
    std::stable_partition(calibrations.begin(), calibrations.end(), [&](const std::string& name) {
      return name == *question.reference_calibration;
    });
  }
  std::vector<VariantPair> pairs;
  std::set<std::string> known;
  for (const VariantCoordinates& variant : variants) {
    const std::string family = absl::StrCat(variant.precision, "\n", variant.finetuned);
    if (variant.precision == kFp16 || !known.insert(family).second) {
      continue;
    }
    for (std::size_t first = 0; first < calibrations.size(); ++first) {
      for (std::size_t second = first + 1; second < calibrations.size(); ++second) {
        VariantPair pair = {variant, variant, family};
        pair.baseline.calibration = calibrations[first];
        pair.treatment.calibration = calibrations[second];
        pairs.push_back(std::move(pair));
      }
    }
  }
  return pairs;
}

}  // namespace

std::vector<VariantPair> PairsOf(const QuestionSpec& question, const std::string& model) {
  QuestionSpec one = question;
  one.models = {model};
  const std::vector<VariantCoordinates> variants = QuestionVariants(one, 0);
  std::vector<VariantPair> pairs;
  switch (question.kind) {
    case QuestionKind::kRq1:
    case QuestionKind::kRq3:
      pairs = AgainstFp16(variants);
      break;
    case QuestionKind::kRq1Finetune:
      pairs = BeforeAndAfter(variants);
      break;
    case QuestionKind::kRq2:
      pairs = BetweenCalibrations(question, variants);
      break;
  }
  // A list that names something twice must not make two tests of one.
  std::vector<VariantPair> distinct;
  for (VariantPair& pair : pairs) {
    if (std::find(distinct.begin(), distinct.end(), pair) == distinct.end()) {
      distinct.push_back(std::move(pair));
    }
  }
  return distinct;
}

bool CorrectsFamilies(QuestionKind kind) {
  return kind != QuestionKind::kRq1Finetune;
}

bool CountsLossesFirst(QuestionKind kind) {
  return kind == QuestionKind::kRq1 || kind == QuestionKind::kRq3;
}

std::string VariantLabel(const QuestionSpec& question, const VariantCoordinates& variant) {
  std::string label = variant.precision;
  if (variant.calibration != kNone && variant.calibration != kUnspecified) {
    absl::StrAppend(&label, "-", variant.calibration);
  }
  if (variant.finetuned != kNone) {
    const auto finetunes = std::count_if(question.finetunes.begin(),
                                         question.finetunes.end(),
                                         [](const std::string& name) { return name != kNone; });
    absl::StrAppend(&label, "-finetuned", finetunes > 1 ? "-" + variant.finetuned : "");
  }
  return label;
}

}  // namespace bitsweep
