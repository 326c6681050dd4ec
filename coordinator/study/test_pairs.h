// Which variants a question compares, in which direction and in which families: the study's choices
// (arXiv 2503.07103). Internal to this room. Pure free functions: any thread.
#pragma once

#include <string>
#include <vector>

#include "coordinator/study/cells.h"
#include "coordinator/study/sweep_spec.h"

namespace bitsweep {

/// Two variants of one model; seeds are 0 and set by who uses them.
struct VariantPair {
  VariantCoordinates baseline, treatment;
  // Tests of one family, model, benchmark and language are corrected together.
  std::string family;
  bool operator==(const VariantPair&) const = default;
};

/// The pairs of one model in the order of the question's lists; rq2 has the reference calibration
/// first. A pair whose variants are not all in the question (no fp16, nothing fine-tuned) is listed
/// where fp16 is missing, since another question may have measured it, and cannot be otherwise.
std::vector<VariantPair> PairsOf(const QuestionSpec& question, const std::string& model);

/// Whether the tests of a family are corrected for each other: all but rq1-finetune's.
bool CorrectsFamilies(QuestionKind kind);

/// Whether `b` counts samples that fail under the treatment and pass under the baseline (rq1, rq3),
/// and not the reverse.
bool CountsLossesFirst(QuestionKind kind);

/// `<precision>[-<calibration>][-finetuned]`: "fp16", "2-bit-mixed-finetuned". A calibration that
/// is none or not specified is left out. Where the question has several fine-tunings the name
/// follows: "2-bit-mixed-finetuned-kl".
std::string VariantLabel(const QuestionSpec& question, const VariantCoordinates& variant);

}  // namespace bitsweep
