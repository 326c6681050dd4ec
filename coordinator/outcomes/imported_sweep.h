// A file of outcomes as a sweep: its cells, the stages that stand for work done elsewhere, and the
// spec that tables and tests read. The spec's text is kept with the sweep in place of a sweep file;
// it says nothing that the file did not: no calibration texts, no codebooks, no sampling beyond the
// number of samples. Plain values and free functions: any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "coordinator/outcomes/outcomes_file.h"
#include "coordinator/study/sweep_spec.h"

#include "proto/contract/cell.h"
#include "proto/contract/stage.h"

namespace bitsweep {

/// Where outcomes came from: kept with the sweep and with every stage.
struct OutcomesSource {
  std::string file_name;  // Without its folder.
  std::string sha256;     // Of the file's bytes, as they were uploaded.
  std::vector<std::string> maps, defaults;  // As given on the command line.
};

/// A stage that was done elsewhere: it has succeeded before it is known.
struct ImportedStage {
  StageDefinition definition;
  std::string summary;  // JSON, as a child's `done` event has it.
  int cell = -1;        // Of a grade stage: whose verdicts it has, as an index of the file's cells.
};

struct ImportedSweep {
  SweepSpec spec;
  std::string spec_text;  // ParseImportedSpec reads it back.
  std::vector<CellDefinition> cells;  // In the order of the file's cells.
  std::vector<ImportedStage> stages;  // Each key once.
};

/// Cells that `file` has, and the questions that they can answer:
///   rq1           fp16 and quantized of one calibration (random where there are several)
///   rq1-finetune  a precision with and without fine-tuning, of one calibration
///   rq2           a precision with several calibrations; the reference is random, else the first
///   rq3           2-bit and fp16 of several sizes of a family, of calibration mixed (or the only
///                 one)
/// Variants that none of them takes are in `rq1-<calibration>`, so that no row is in no table.
/// Products of a question that the file does not have are excluded, never pending.
ImportedSweep MakeImportedSweep(const OutcomesFile& file,
                                const OutcomesSource& source,
                                const std::string& name);

/// Whether a sweep's text is one that MakeImportedSweep wrote.
bool IsImportedSpec(std::string_view text);

/// DATA_LOSS: not what MakeImportedSweep wrote.
absl::StatusOr<SweepSpec> ParseImportedSpec(std::string_view text);

/// The questions of a file's variants and what of their products it lacks. `spec` has everything
/// else. (For tests; MakeImportedSweep calls it.)
void InferQuestions(const OutcomesFile& file, SweepSpec& spec);

}  // namespace bitsweep
