// What ParseSweep knows between reading the sections and a valid SweepSpec, and the checks across
// sections: names that refer to nothing, questions that their kind does not allow, rules that
// exclude nothing. Internal to this room.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/study/diagnostics.h"
#include "coordinator/study/sweep_spec.h"
#include "coordinator/study/yaml_fields.h"

namespace bitsweep {

struct QuestionDraft {
  Placed name;
  int line = 0, calibrations_line = 0, finetunes_line = 0;
  std::optional<QuestionKind> kind;
  std::vector<Placed> models, precisions, calibrations, finetunes, benchmarks;
  std::optional<Placed> reference;
};

struct ExcludeDraft {
  int line = 0;
  std::vector<Placed> questions, models, precisions, calibrations, finetunes, benchmarks, languages;
};

struct SweepDraft {
  SweepSpec spec;  // Less questions and excludes.
  std::vector<QuestionDraft> questions;
  std::vector<ExcludeDraft> excludes;
  std::vector<Placed> resource_models;
  int seeds_line = 0;
  // False where the section itself could not be read: then names that refer to it are not reported.
  bool models_known = true, precisions_known = true, calibrations_known = true,
       finetunes_known = true, benchmarks_known = true;
};

/// Completes draft.spec; mistakes go to `diagnostics`.
void CheckSweep(SweepDraft& draft, Diagnostics& diagnostics);

}  // namespace bitsweep
